"""Write weights from a closed form, within the scope and the mask."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from expunge.contract.job import Job


@torch.no_grad()
def write(job: Job, name: str, parameter: nn.Parameter, value: Tensor) -> None:
    """Set a parameter in place; entries outside the scope or the mask keep what they had."""
    if name not in job.scope:
        return
    if job.mask is not None:
        if name not in job.mask.entries:
            return
        value = torch.where(job.mask.entries[name].to(parameter.device), value, parameter)
    parameter.copy_(value)
