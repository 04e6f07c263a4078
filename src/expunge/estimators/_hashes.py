"""Words of 64 bits that look drawn and are not: chance that is a function of a key (splitmix64's finaliser)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
STEP, WORD = 0x9E3779B97F4A7C15, 2**64 - 1
FACTORS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)


def mixed(words: Hashes) -> Hashes:
    """Return splitmix64's finaliser of each word."""
    words = words + np.uint64(STEP)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(FACTORS[0])
    words = (words ^ (words >> np.uint64(27))) * np.uint64(FACTORS[1])
    return words ^ (words >> np.uint64(31))


def key_of(*parts: int) -> int:
    """Return one word for a chain of whole numbers: splitmix64's finaliser in plain numbers, which is faster for one word."""
    key = 0
    for part in parts:
        key = key ^ (part * STEP & WORD)
        for shift, factor in ((30, FACTORS[0]), (27, FACTORS[1]), (31, 1)):
            key = (key ^ key >> shift) * factor & WORD
        key = (key + STEP) & WORD
    return key
