from __future__ import annotations

import pytest

from expunge.engine.last_sites import last_parameters, only
from expunge.facts.errors import InputError
from expunge.modalities.vision import Images, vision_model

IMAGES = Images(shape=(1, 8, 8))


def test_the_last_sites_hold_all_that_is_nested_in_them() -> None:
    """Fails if: only direct children count, so that a block's Sequential or the norm before the head is left out."""
    model = vision_model("vit", images=IMAGES, classes=10, width=8, depth=2, heads=2)
    names = [name for name, _ in model.module.named_parameters()]
    assert last_parameters(model, 1) == ("head.weight", "head.bias")
    assert set(last_parameters(model, 2)) == {n for n in names if n.startswith(("blocks.1.", "norm.", "head."))}
    assert "blocks.1.feed_forward.2.weight" in last_parameters(model, 2)
    assert set(names) - set(last_parameters(model, 3)) == {"places", "stem.weight", "stem.bias"}


def test_none_and_all_are_refused() -> None:
    """Fails if: 0 is taken for all, or all for the last."""
    model = vision_model("mlp", images=IMAGES, classes=10, width=8, depth=1)
    for sites in (0, 3, 4):
        with pytest.raises(InputError, match="give 1 to 2"):
            last_parameters(model, sites)


def test_only_puts_back_what_took_gradients_before() -> None:
    """Fails if: a frozen parameter is thawed inside or after."""
    model = vision_model("mlp", images=IMAGES, classes=10, width=8, depth=1)
    model.module.head.bias.requires_grad_(False)
    before = {name: p.requires_grad for name, p in model.module.named_parameters()}
    with only(model, ("head.weight", "head.bias")):
        inside = {name for name, p in model.module.named_parameters() if p.requires_grad}
    assert inside == {"head.weight"}
    assert {name: p.requires_grad for name, p in model.module.named_parameters()} == before
