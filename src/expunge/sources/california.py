"""California housing from a CSV file: districts and what a house in them costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from expunge.contract.about import About
from expunge.facts.errors import InputError
from expunge.facts.rows import Row, Rows
from expunge.sources._california_rows import (
    TARGET,
    District,
    chosen,
    exchanged,
    features,
    names_a_kind,
    parts,
    read_districts,
)


@dataclass(frozen=True, kw_only=True)
class California:
    """Read census districts as 14 numbers and the median house value (dollars), with rows, a region or a price range to forget.

    Features: eight numbers standardised by the retain rows, a mark where the number of bedrooms was blank (it is filled with the
    retain rows' median), five places by the ocean. A model that never saw a district predicts its value about as well as one that did,
    unless it learned by heart: `target_noise` gives that share of the rows the value of another row, on forget, retain and holdout
    alike, never on test, and only a model trained on such a row knows its value (`clean_label` keeps the true one).

    Source: Pace and Barry 1997, the 1990 census. Values are capped at 500,001 there. Reads housing.csv, gzipped or not.
    """

    about = About(
        needs=(),
        modalities=("tabular",),
        claim="With noisy targets a model fits the values it was trained on and misses those it was not.",
        paper="Sparse Spatial Autoregressions",
        link="https://doi.org/10.1016/S0167-7152(96)00140-X",
        year=1997,
        differs=(
            "Counts are logarithms; blank bedrooms are filled and marked.",
            "Rows of a region or a box are grouped by half-degree cell: neighbouring districts are not independent.",
        ),
        cost="about 1 s",
    )

    data: str = ""
    """Path of housing.csv or housing.csv.gz."""
    forget: str = "random=0.1"
    """What must go: random=0.1 (of the training rows), sample=150, ids=california-7, region=NEAR BAY, box=W,S,E,N or value=LOW,HIGH."""
    holdout: float = 1.0
    """Holdout rows a forget row, taken out of training; a region, a box or a price range is shared out between the two."""
    train_rows: int = 3000
    """Districts for forget, retain and holdout together, drawn at random (the file is sorted by place); 0 takes all but test."""
    test_rows: int = 1000
    """Further districts for utility only."""
    target_noise: float = 0.0
    """Share of the training districts whose value is replaced by that of another one."""
    seed: int = 0
    """Which rows are drawn, and which values are exchanged."""

    def __post_init__(self) -> None:
        if self.holdout < 0 or self.train_rows < 0 or self.test_rows < 0 or not 0 <= self.target_noise < 1:
            raise ValueError("holdout, train_rows and test_rows must be at least 0, target_noise a share below 1")

    def run(self) -> dict[str, Rows]:
        """Return forget, retain, holdout and test; of a region, a box or a price range test_forget has the test rows it covers."""
        if not self.data:
            raise InputError("no data file was given", do="set data to housing.csv.gz")
        every = read_districts(Path(self.data))
        used = self.train_rows or len(every) - self.test_rows
        if used < 1 or used + self.test_rows > len(every):
            raise InputError(f"{self.data} has {len(every)} districts, {used} + {self.test_rows} were asked for")
        draw = np.random.default_rng(self.seed)
        order = draw.permutation(len(every)).tolist()
        training, test = ([every[i] for i in part] for part in (order[:used], order[used : used + self.test_rows]))
        values = exchanged([district.numbers[TARGET] for district in training], self.target_noise, draw)
        asked, kind = chosen(training, self.forget, draw), names_a_kind(self.forget)
        places = parts(used, asked, self.holdout, kind=kind, draw=draw)
        for name in ("forget", "retain"):
            if not places[name]:
                raise InputError(f"forget={self.forget!r} leaves no {name} row", do="ask for others, or use more rows")
        scale = [training[i] for i in places["retain"]]
        rows = _rows(training, values, scale, grouped=self.forget.startswith(("region=", "box=")))
        found = {name: [rows[i] for i in indices] for name, indices in places.items()}
        if test:
            covered = set(chosen(test, self.forget, draw)) if kind else set()
            judged = _rows(test, [district.numbers[TARGET] for district in test], scale, grouped=False)
            found["test"] = [row for i, row in enumerate(judged) if i not in covered]
            found["test_forget"] = [row for i, row in enumerate(judged) if i in covered]
        return {name: Rows(tuple(items), name) for name, items in found.items() if items}


def _rows(
    districts: Sequence[District], values: Sequence[float], scale: Sequence[District], *, grouped: bool
) -> list[Row]:
    """Return one row a district; one whose value was exchanged keeps its own as `clean_label`."""
    return [
        Row(
            id=district.id,
            fields={"features": vector, "label": value}
            | ({"clean_label": district.numbers[TARGET]} if value != district.numbers[TARGET] else {}),
            group=district.cell if grouped else None,
        )
        for district, value, vector in zip(districts, values, features(districts, scale), strict=True)
    ]
