"""Books of invented words."""

from __future__ import annotations

import random
from pathlib import Path


def books(folder: Path, seed: int = 0) -> Path:
    """Write two books of invented words, with names in mid-sentence; another seed writes others."""
    syllables = ["lo", "mi", "ra", "te", "sul", "por", "fen", "gar"]
    plain = [a + b + c for a in syllables for b in syllables for c in ("den", "lish", "mond")]
    for number, name in enumerate(("alpha", "beta")):
        draw = random.Random(2 * seed + number)
        names = [
            draw.choice("BDKMPT") + draw.choice(("ar", "el", "ir")) + draw.choice(("dan", "mus", "vik")) + c
            for c in "abcdefgh"
        ]
        words = [draw.choice(names) if draw.random() < 0.05 else draw.choice(plain) for _ in range(900)]
        (folder / f"{name}.txt").write_text(" ".join(words))
    return folder
