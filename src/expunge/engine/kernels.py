"""Run the linear layers of an evaluation by the faster of the two matrix libraries that PyTorch carries on a CPU."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear
from torch.overrides import TorchFunctionMode


class _OneDNN(TorchFunctionMode):
    """Send float32 linear layers on the CPU to oneDNN; whatever else stays as it is."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is linear and not kwargs and all(map(_plain, args)) and not torch.is_autocast_enabled("cpu"):
            return torch.ops.mkldnn._linear_pointwise(*args, *([None] if len(args) == 2 else []), "none", [], "")
        return func(*args, **(kwargs or {}))


def _plain(given: Any) -> bool:
    """True for an ordinary float32 tensor of the CPU that holds something, and for no bias."""
    if given is None:
        return True
    ordinary = type(given) in (Tensor, torch.nn.Parameter)
    return ordinary and given.dtype == torch.float32 and given.device.type == "cpu" and given.numel() > 0


def fast_linear() -> AbstractContextManager[Any]:
    """Return a context without gradients in which float32 linear layers on the CPU run in oneDNN, to within rounding the same.

    PyTorch sends them to MKL, which on processors that are not Intel's reaches half of oneDNN's speed (AMD Zen 5, one
    thread: 80 and 180 GFLOP/s at 4,096 x 256 x 704). Gradients do not flow through it: it is for evaluation only.
    """
    if torch.is_grad_enabled() or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return nullcontext()
    return _OneDNN()
