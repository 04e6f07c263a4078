"""Census districts as numbers: read from the file, chosen by place or by value, and put on a scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expunge.facts.errors import InputError, nearest
from expunge.sources._table import read_table

PLACE = ("longitude", "latitude", "housing_median_age", "median_income")
COUNTS = ("total_rooms", "total_bedrooms", "population", "households")
TARGET = "median_house_value"
OCEAN = ("<1H OCEAN", "INLAND", "ISLAND", "NEAR BAY", "NEAR OCEAN")
CELL = 0.5
"""Degrees of latitude and longitude of a cell: districts of one cell are not independent."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class District:
    """One line of the file: its numbers by column (bedrooms NaN where blank), and how near the ocean it is."""

    id: str
    numbers: dict[str, float]
    ocean: str

    @property
    def cell(self) -> str:
        """Name of the half-degree cell it lies in."""
        south, west = (math.floor(self.numbers[name] / CELL) * CELL for name in ("latitude", "longitude"))
        return f"{south:g},{west:g}"


def read_districts(path: Path) -> list[District]:
    """Return every district, in the order of the file; only `total_bedrooms` may be blank."""
    return [_district(f"california-{i}", place, record) for i, (place, record) in enumerate(read_table(path))]


def _district(name: str, place: str, record: dict[str, Any]) -> District:
    missing = [column for column in (*PLACE, *COUNTS, TARGET, "ocean_proximity") if column not in record]
    if missing:
        raise InputError(f"{place}: there is no column {missing[0]!r}; there are: {', '.join(record)}")
    numbers = {}
    for column in (*PLACE, *COUNTS, TARGET):
        text = str(record[column]).strip()
        try:
            value = float(text) if text or column != "total_bedrooms" else math.nan
        except ValueError as error:
            raise InputError(f"{place}: {column} is {text!r}, which is no number") from error
        if not math.isfinite(value) and not (column == "total_bedrooms" and not text):
            raise InputError(f"{place}: {column} is {value}", do="leave the row out")
        if column in COUNTS and value < 0:
            raise InputError(f"{place}: {column} is {value:g}, and a count is at least 0")
        numbers[column] = value
    ocean = str(record["ocean_proximity"])
    if ocean not in OCEAN:
        raise InputError(f"{place}: ocean_proximity is {ocean!r}; the nearest known is {nearest(ocean, OCEAN)!r}")
    return District(name, numbers, ocean)


def features(districts: Sequence[District], like: Sequence[District]) -> NDArray[np.float32]:
    """Return (districts, 14): eight numbers standardised by the rows `like`, a mark of blank bedrooms, five places by the ocean.

    Counts are log(1 + count) first. Blank bedrooms take the median of `like`. Means, deviations and the median come from `like` (the
    retain rows) alone: taken from all training rows they would be artefacts that saw the forget rows.
    """
    known, found = _numbers(like), _numbers(districts)
    blank = np.isnan(found[:, -1])
    middle = np.nanmedian(known[:, -1])
    for table in (known, found):
        table[np.isnan(table[:, -1]), -1] = middle
    spread = known.std(0)
    scaled = (found - known.mean(0)) / np.where(spread > 0, spread, 1.0)
    places = np.array([[district.ocean == name for name in OCEAN] for district in districts])
    return np.concatenate([scaled, blank[:, None], places], axis=1).astype(np.float32)


def _numbers(districts: Sequence[District]) -> Floats:
    """Return the eight numbers a district, bedrooms last."""
    order = (*PLACE, *(name for name in COUNTS if name != "total_bedrooms"), "total_bedrooms")
    table = np.array([[district.numbers[name] for name in order] for district in districts], np.float64)
    table[:, len(PLACE) :] = np.log1p(table[:, len(PLACE) :])
    return table


def names_a_kind(forget: str) -> bool:
    """True where a request names a kind of districts (region, box, value) and not rows (random, sample, ids)."""
    return forget.partition("=")[0] in ("region", "box", "value")


def chosen(districts: Sequence[District], forget: str, draw: np.random.Generator) -> list[int]:
    """Return indices of the districts that `forget` asks for, in random order; none where a kind has no district here.

    random=0.1 (a share), sample=150 (a number) and ids=california-7,... name rows; region=NEAR BAY, box=WEST,SOUTH,EAST,NORTH (degrees)
    and value=LOW,HIGH (dollars, both ends counted) name a kind.
    """
    word, _, value = forget.partition("=")
    order = draw.permutation(len(districts)).tolist()
    try:
        if word == "random":
            share = float(value)
            if not 0 < share < 1:
                raise InputError(f"forget={forget!r}: the share must lie between 0 and 1")
            return list(order[: round(share * len(districts))])
        if word == "sample":
            if not 0 < int(value) <= len(districts):
                raise InputError(f"forget={forget!r}: the number of rows must lie between 1 and {len(districts)}")
            return list(order[: int(value)])
        if word == "ids":
            return _named(districts, [part.strip() for part in value.split(",") if part.strip()])
        if word == "region":
            if value not in OCEAN:
                raise InputError(
                    f"forget={forget!r}: there is no region {value!r}; the nearest is {nearest(value, OCEAN)!r}",
                    do=f"use one of: {', '.join(OCEAN)}",
                )
            return [i for i in order if districts[i].ocean == value]
        if word == "box":
            west, south, east, north = map(float, value.split(","))
            return [i for i in order if west <= districts[i].numbers["longitude"] <= east
                    and south <= districts[i].numbers["latitude"] <= north]  # fmt: skip
        if word == "value":
            low, high = map(float, value.split(","))
            return [i for i in order if low <= districts[i].numbers[TARGET] <= high]
    except ValueError as error:
        raise InputError(f"forget={forget!r}: {value!r} is not understood: {error}") from error
    raise InputError(
        f"forget={forget!r} is not understood",
        do="use random=0.1, sample=150, ids=ID,ID, region=NEAR BAY, box=WEST,SOUTH,EAST,NORTH or value=LOW,HIGH",
    )


def parts(
    count: int, asked: Sequence[int], share: float, *, kind: bool, draw: np.random.Generator
) -> dict[str, list[int]]:
    """Return sorted indices of forget, retain and holdout: `share` holdout rows a forget row.

    A kind is shared out between forget and holdout, so that no model trained without it has seen any of it; elsewhere the holdout rows
    are others, drawn at random and taken out of training.
    """
    if kind:
        kept = len(asked) - round(len(asked) * share / (1 + share))
        forget, held = list(asked[:kept]), list(asked[kept:])
    else:
        taken, wanted = set(asked), round(len(asked) * share)
        forget, held = list(asked), [i for i in draw.permutation(count).tolist() if i not in taken][:wanted]
        if len(held) < wanted:
            raise InputError("too few rows are left for the holdout", do="set holdout lower or forget fewer rows")
    gone = {*forget, *held}
    return {
        "forget": sorted(forget),
        "retain": [i for i in range(count) if i not in gone],
        "holdout": sorted(held),
    }


def exchanged(values: Sequence[float], share: float, draw: np.random.Generator) -> list[float]:
    """Return values of which a random `share` went round in a ring: each of these rows has the value of another one."""
    ring = draw.permutation(len(values))[: round(share * len(values))]
    found = np.array(values, np.float64)
    found[ring] = found[np.roll(ring, 1)]
    return [float(value) for value in found]


def _named(districts: Sequence[District], ids: Sequence[str]) -> list[int]:
    place = {district.id: i for i, district in enumerate(districts)}
    unknown = [one for one in ids if one not in place]
    if unknown:
        raise InputError(f"no district in use has the id {unknown[0]!r}; one that is there: {next(iter(place))!r}")
    return [place[one] for one in dict.fromkeys(ids)]
