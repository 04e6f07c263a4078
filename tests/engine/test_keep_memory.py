"""Memory that one training step gives back serves the next."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

MAPPED = """
import ctypes, sys
import torch
from expunge.contract.job import Job
from expunge.engine.loop import optimise
class Found(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd usmblks".split()
                + ["fsmblks", "uordblks", "fordblks", "keepcost"]]
library = ctypes.CDLL(None)
library.mallinfo2.restype = Found
if sys.argv[1] == "kept":
    optimise(torch.nn.Linear(1, 1), [], total=0, job=Job(), label="no step", lr=0.1)
before = library.mallinfo2().hblkhd
held = torch.empty(4 * 2**20)
print(library.mallinfo2().hblkhd - before)
"""


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallinfo2"),
    reason="the rule is the GNU C library's (2.33)",
)
def test_a_large_array_comes_from_the_heap() -> None:
    """An array of 16 MiB: fails if it is mapped from the system, to be faulted in and unmapped at every step."""

    def mapped(kind: str) -> int:
        return int(
            subprocess.run([sys.executable, "-c", MAPPED, kind], check=True, capture_output=True, text=True).stdout
        )

    assert mapped("kept") == 0
    assert mapped("not") >= 4 * 4 * 2**20
