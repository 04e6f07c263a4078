"""Labelled images as splits: which rows are to be forgotten (a class, a random share, ids), and a holdout like them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from expunge.facts.errors import InputError
from expunge.facts.rows import Row, Rows

Images = NDArray[np.float32]
Labels = NDArray[np.int64]


def check_shares(*, holdout: float, label_noise: float) -> None:
    """Raise ValueError at a negative holdout, or at a share of noisy labels outside 0..1."""
    if holdout < 0:
        raise ValueError(f"holdout must be at least 0, not {holdout}")
    if not 0 <= label_noise < 1:
        raise ValueError(f"label_noise must lie in 0..1, not {label_noise}")


def noisy(labels: Labels, share: float, draw: np.random.Generator) -> Labels:
    """Return labels with a random `share` of them replaced, each by another class drawn evenly."""
    classes = int(labels.max()) + 1
    changed = draw.permutation(len(labels))[: round(share * len(labels))]
    found = labels.copy()
    found[changed] = (labels[changed] + draw.integers(1, classes, len(changed))) % classes
    return found


def image_rows(
    images: Images, labels: Labels, clean: Labels, name: str, *, subclasses: Labels | None = None
) -> list[Row]:
    """Return one row an image under the id `name-i`; a row whose label was made noisy keeps its `clean_label`.

    Where labels are coarser than what is drawn, `subclasses` says what is drawn, and rows bear it as `subclass`.
    """
    rows = [
        Row(
            id=f"{name}-{i}", fields={"image": image, "label": label} | ({"clean_label": true} if true != label else {})
        )
        for i, (image, label, true) in enumerate(zip(images, labels.tolist(), clean.tolist(), strict=True))
    ]
    if subclasses is None:
        return rows
    return [row.replace(subclass=drawn) for row, drawn in zip(rows, subclasses.tolist(), strict=True)]


def _asked(rows: Sequence[Row], forget: str, draw: np.random.Generator) -> list[int]:
    """Indices of the rows that `class=3`, `subclass=3`, `random=0.1`, `sample=150` or `ids=digits-17` asks for, in random order."""
    mode, _, value = forget.partition("=")
    order = draw.permutation(len(rows)).tolist()
    try:
        if mode == "class":
            wanted = int(value)
            found = [i for i in order if rows[i].get("clean_label", rows[i]["label"]) == wanted]
        elif mode == "subclass":
            if "subclass" not in rows[0].fields:
                raise InputError(f"forget={forget!r}: each class is a label of its own here",
                                 do="use class=3, or set labels to parity or to groups such as 01234,56789")  # fmt: skip
            wanted = int(value)
            found = [i for i in order if rows[i]["subclass"] == wanted]
        elif mode == "random":
            share = float(value)
            if not 0 < share < 1:
                raise InputError(f"forget={forget!r}: the share must lie between 0 and 1")
            found = order[: round(share * len(rows))]
        elif mode == "sample":
            if not 0 < int(value) <= len(rows):
                raise InputError(f"forget={forget!r}: the number of rows must lie between 1 and {len(rows)}")
            found = order[: int(value)]
        elif mode == "ids":
            found = _places(rows, value)
        else:
            raise InputError(
                f"forget={forget!r} is not understood",
                do="use class=3, subclass=3, random=0.1, sample=150 or ids=ID,ID",
            )
    except ValueError as error:
        raise InputError(
            f"forget={forget!r}: {value!r} is not a number", do="use class=3, subclass=3, random=0.1 or sample=150"
        ) from error
    if not found:
        raise InputError(f"forget={forget!r} asks for no row", do="use a class that is there, or a larger share")
    return found


def _places(rows: Sequence[Row], ids: str) -> list[int]:
    """Return indices of the rows that a list of ids with commas between them names."""
    place = {row.id: i for i, row in enumerate(rows)}
    named = [part.strip() for part in ids.split(",") if part.strip()]
    unknown = [one for one in named if one not in place]
    if unknown:
        raise InputError(f"no training row has the id {unknown[0]!r}; ids run from {rows[0].id} to {rows[-1].id}")
    return [place[one] for one in dict.fromkeys(named)]


def image_splits(
    rows: Sequence[Row], forget: str, holdout: float, draw: np.random.Generator, holdout_ids: str = ""
) -> dict[str, Rows]:
    """Return forget, retain and holdout of training rows; holdout is `holdout` rows a forget row, with the same labels.

    With `holdout_ids` it is the rows that these name.
    """
    asked = _asked(rows, forget, draw)
    if holdout_ids:
        return _split(rows, asked, _places(rows, holdout_ids))
    return shared_out(rows, asked, holdout, draw, kind=forget.startswith(("class=", "subclass=")))


def shared_out(
    rows: Sequence[Row], asked: Sequence[int], holdout: float, draw: np.random.Generator, *, kind: bool
) -> dict[str, Rows]:
    """Return forget, retain and holdout where the rows at `asked` are to go, in random order.

    A class, or another `kind` of rows, is shared out between forget and holdout, so that no model trained without it has seen any of it.
    Otherwise a forget row's partners are other rows of its label, drawn at random and taken out of training.
    """
    if kind:
        kept = len(asked) - round(len(asked) * holdout / (1 + holdout))
        asked, held = asked[:kept], list(asked[kept:])
    else:
        wanted = Counter(
            {label: math.ceil(n * holdout) for label, n in Counter(rows[i]["label"] for i in asked).items()}
        )
        taken, held = set(asked), []
        for i in draw.permutation(len(rows)).tolist():
            if i not in taken and wanted[rows[i]["label"]] > 0:
                wanted[rows[i]["label"]] -= 1
                held.append(i)
        if wanted.total():
            raise InputError(f"{wanted.total()} holdout rows are missing: too few others share a forget row's label",
                             do="set holdout lower or forget fewer rows")  # fmt: skip
    return _split(rows, asked, held)


def _split(rows: Sequence[Row], asked: Sequence[int], held: Sequence[int]) -> dict[str, Rows]:
    both = set(asked) & set(held)
    if both:
        raise InputError(f"{rows[min(both)].id} is to be forgotten and a holdout row", do="name it in one place")
    gone = {*asked, *held}
    chosen = {
        "forget": sorted(asked),
        "retain": [i for i in range(len(rows)) if i not in gone],
        "holdout": sorted(held),
    }
    return {name: Rows(tuple(rows[i] for i in indices), name) for name, indices in chosen.items() if indices}


def test_splits(rows: Sequence[Row], forget: str) -> dict[str, Rows]:
    """Return test; where a class or a subclass is to be forgotten its test rows stand apart in test_forget.

    Left inside, they would count a model that forgot the class as one that lost utility.
    """
    mode, _, value = forget.partition("=")
    field = {"class": "label", "subclass": "subclass"}.get(mode)
    gone = {row.id for row in rows if field is not None and row[field] == int(value)}
    found = {
        "test": [row for row in rows if row.id not in gone],
        "test_forget": [row for row in rows if row.id in gone],
    }
    return {name: Rows(tuple(items), name) for name, items in found.items() if items}
