"""Omniglot's hand-drawn characters, with an alphabet to forget: every character of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from expunge.contract.about import About
from expunge.facts.errors import InputError
from expunge.facts.rows import Row, Rows
from expunge.sources._omniglot_files import drawings


@dataclass(frozen=True, kw_only=True)
class Omniglot:
    """Read characters as 21x21 shares of ink in [0, 1] (5x5 pixels each); the label is the character, the group its alphabet.

    Each character was drawn by 20 people: the last `test` of them are the test rows, the `holdout` before these no model is trained on.
    `forget` names an alphabet by number, in the order of names; of a stream of requests, `earlier` are those forgotten before it, which
    stand in no training set and are measured as `forget/earlier`.

    Source: Lake, Salakhutdinov and Tenenbaum 2015. Reads one zip of images (FOLDER/ALPHABET/characterNN/NNNN_DD.png).
    """

    about = About(
        needs=(),
        modalities=("vision",),
        claim="A model trained without an alphabet never answers with one of its characters.",
        paper="Human-level concept learning through probabilistic program induction",
        link="https://doi.org/10.1126/science.aab3050",
        year=2015,
        paper_id="P095",
        differs=("One classifier over the characters of all alphabets, in place of one-shot tasks.",),
        cost="about 3 s for 2,720 images",
    )

    data: str = ""
    """Path of the zip of images, or of the folder that holds it."""
    forget: str = "alphabet=1"
    """Which alphabet must go: alphabet=NUMBER or alphabet=NAME."""
    earlier: str = ""
    """Alphabets (numbers or names, comma between) that were forgotten before."""
    holdout: int = 3
    """Drawers whose characters no model is trained on."""
    test: int = 3
    """Drawers whose characters serve utility."""

    def __post_init__(self) -> None:
        if min(self.holdout, self.test) < 1 or self.holdout + self.test > 18:
            raise ValueError("holdout and test must be at least 1 and leave 2 of the 20 drawers")

    def run(self) -> dict[str, Rows]:
        """Return forget, retain, holdout, test, test_forget, and forget/earlier where alphabets went before."""
        found = list(drawings(Path(self.data)))
        names = sorted({alphabet for alphabet, _, _, _ in found})
        word, _, value = self.forget.partition("=")
        wanted = _named(value if word == "alphabet" else "", names, self.forget)
        gone = [_named(one.strip(), names, self.earlier) for one in self.earlier.split(",") if one.strip()]
        if wanted in gone:
            raise InputError(f"forget={self.forget!r} was forgotten earlier", do="leave it out of earlier")
        labels = {key: i for i, key in enumerate(sorted({(alphabet, char) for alphabet, char, _, _ in found}))}
        rows: dict[str, list[Row]] = {}
        for alphabet, character, drawer, image in found:
            label, group = labels[alphabet, character], f"alphabet-{names.index(alphabet)}"
            row = Row(id=f"omniglot-{label}-{drawer}", fields={"image": image, "label": label}, group=group)
            own, last = alphabet == wanted, 20 - drawer
            if last < self.test:
                split = "test_forget" if own else "test"
            elif last < self.test + self.holdout:
                split = "holdout" if own else "unused"
            else:
                split = "forget" if own else "retain"
            if alphabet in gone:
                split = "forget/earlier" if split == "retain" else "unused"
            rows.setdefault(split, []).append(row)
        rows.pop("unused", None)
        return {name: Rows(tuple(items), name) for name, items in rows.items()}


def _named(value: str, names: list[str], given: str) -> str:
    if value in names:
        return value
    if not value.isdigit() or int(value) >= len(names):
        raise InputError(f"{given!r} is not understood", do=f"use numbers 0 to {len(names) - 1} or {', '.join(names)}")
    return names[int(value)]
