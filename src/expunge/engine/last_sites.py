"""The last layers of a network, as its sites count them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from expunge.contract.model import Model
from expunge.facts.errors import InputError


def last_parameters(model: Model, sites: int) -> tuple[str, ...]:
    """Return the names of the parameters of the last `sites` of stem, blocks and head, whole: whatever modules they nest.

    What lies between two of them (a norm before the head) goes with the later ones. All of them and more than there are is refused.
    """
    found = model.sites()
    chain = [*found.embedding, *found.blocks, *found.head]
    if not 1 <= sites < len(chain):
        raise InputError(f"the last {sites} of {len(chain)} layers were asked for", do=f"give 1 to {len(chain) - 1}")
    names = [name for name, _ in model.module.named_parameters()]
    first = next(i for i, name in enumerate(names) if name.startswith(f"{chain[-sites]}."))
    return tuple(names[first:])


@contextmanager
def only(model: Model, names: tuple[str, ...]) -> Iterator[None]:
    """Let only these parameters take gradients inside, and put every parameter's state back on leaving."""
    before = {name: parameter.requires_grad for name, parameter in model.module.named_parameters()}
    for name, parameter in model.module.named_parameters():
        parameter.requires_grad_(before[name] and name in names)
    try:
        yield
    finally:
        for name, parameter in model.module.named_parameters():
            parameter.requires_grad_(before[name])
