"""The optimiser loop that training and every gradient method share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from expunge.contract.job import Job
from expunge.engine.parallel import sum_gradients
from expunge.engine.parallel import total as total_over_processes
from expunge.facts.errors import ContractBroken


def keep_memory() -> None:
    """Have arrays below 28 MiB that a step gives back serve the next step.

    The GNU C library maps a large array from the system, to be faulted in page by page, and unmaps it when it is given back. Large is what
    is larger than the largest that it unmapped, up to 32 MiB (mallopt(3), M_MMAP_THRESHOLD): so one is mapped and given back here, without
    a byte of it written. Without effect where another allocator is in place.
    """
    torch.empty(7 * 2**20, device="cpu")


def rate(step: int, steps: int, warmup: float, schedule: str) -> float:
    """Return the factor on the learning rate at `step` of `steps`: linear warm-up, then cosine, linear or constant."""
    ramp = math.ceil(warmup * steps)
    if step < ramp:
        return (step + 1) / ramp
    if schedule == "constant":
        return 1.0
    done = (step - ramp) / max(1, steps - ramp)
    return 0.5 * (1 + math.cos(math.pi * done)) if schedule == "cosine" else 1.0 - done


def optimiser(
    parameters: Sequence[Tensor],
    kind: str,
    *,
    lr: float,
    weight_decay: float,
    momentum: float = 0.9,
    vector: int = 1,
) -> torch.optim.Optimizer:
    """Return AdamW (fused) or SGD over `parameters`; weight decay spares vectors (norms, biases): those of at most `vector` axes."""
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if p.ndim > vector], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= vector], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if kind == "sgd":
        return torch.optim.SGD(groups, lr=lr, momentum=momentum)
    return torch.optim.AdamW(groups, lr=lr, fused=True)


class Masked:
    """Keep masked entries still. Zeroing gradients is not enough: momentum and weight decay move entries without any."""

    def __init__(self, module: nn.Module, job: Job) -> None:
        self.held: list[tuple[nn.Parameter, Tensor, Tensor]] = []
        if job.mask is None:
            return
        for name, parameter in module.named_parameters():
            if parameter.requires_grad:
                entry = job.mask.entries.get(name)
                free = torch.zeros_like(parameter, dtype=torch.bool) if entry is None else entry.to(parameter.device)
                self.held.append((parameter, free, parameter.detach().clone()))

    def gradients(self) -> None:
        """Zero the gradient of masked entries."""
        for parameter, free, _ in self.held:
            if parameter.grad is not None:
                parameter.grad.mul_(free)

    @torch.no_grad()
    def weights(self) -> None:
        """Put masked entries back."""
        for parameter, free, kept in self.held:
            parameter.copy_(torch.where(free, parameter, kept))


def optimise(
    module: nn.Module,
    steps: Iterable[Callable[[], Tensor]],
    *,
    total: int,
    job: Job,
    label: str,
    lr: float,
    weight_decay: float = 0.0,
    warmup: float = 0.0,
    schedule: str = "constant",
    kind: str = "adamw",
    momentum: float = 0.9,
    clip: float | None = None,
    after: Callable[[int, float], bool] | None = None,
) -> None:
    """Take one optimiser step for each loss that `steps` yields; `after(step, loss)` may end the loop by returning True.

    Gradients and losses are summed over processes: a loss must be this process's share of a sum over a global count. Raises
    ContractBroken at a loss that is not finite, before it reaches the weights. Counts `optimiser_steps` in the job's notes.
    """
    keep_memory()
    taken = int(job.notes.get("optimiser_steps", 0))
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    adam = optimiser(parameters, kind, lr=lr, weight_decay=weight_decay, momentum=momentum)
    masked = Masked(module, job)
    with torch.enable_grad():
        for index, loss_of in enumerate(job.progress.track(steps, total=total, label=label)):
            for group in adam.param_groups:
                group["lr"] = lr * rate(index, total, warmup, schedule)
            with job.autocast():
                loss = loss_of()
            value = float(total_over_processes(loss.detach()))
            if not math.isfinite(value):
                raise ContractBroken(f"{label}: the loss is {value} at step {index}", do="lower lr")
            adam.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            sum_gradients(parameters)
            masked.gradients()
            if clip is not None:
                nn.utils.clip_grad_norm_(parameters, clip)
            adam.step()
            masked.weights()
            job.notes["optimiser_steps"] = taken + index + 1
            if after is not None and after(index, value):
                break
    module.zero_grad(set_to_none=True)
