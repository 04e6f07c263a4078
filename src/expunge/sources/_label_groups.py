"""Labels coarser than the ten digits, so that one digit can be forgotten from within a label that stays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

NAMED = {"digit": "0,1,2,3,4,5,6,7,8,9", "parity": "02468,13579"}


def label_of_digit(labels: str) -> NDArray[np.int64]:
    """Return the label of each digit, (10,): `digit`, `parity` (even 0, odd 1), or groups of digits such as 01234,56789.

    Raises ValueError unless every digit stands in one of two or more groups, once.
    """
    groups = [group.strip() for group in NAMED.get(labels, labels).split(",")]
    if len(groups) < 2 or "" in groups or sorted("".join(groups)) != list("0123456789"):
        raise ValueError(
            f"labels must be digit, parity or groups that hold each of the ten digits once, such as 01234,56789; not {labels!r}"
        )
    place = {int(digit): label for label, group in enumerate(groups) for digit in group}
    return np.array([place[digit] for digit in range(10)], np.int64)
