"""Two tiny problems that every method is tried on: fictitious people (text) and six clouds of points (tabular)."""

from __future__ import annotations

import pytest
import torch
from tiny_problems import Tiny, make_table, make_text


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def people() -> Tiny:
    """A tiny Llama that recalls eight fictitious people, two of whom are to be forgotten."""
    return make_text(0)


@pytest.fixture(scope="session")
def clouds() -> Tiny:
    """A small MLP that tells six clouds of points apart, one of which is to be forgotten."""
    return make_table(0)
