"""Persons in a table: the label says nothing of whose row it is, and one person is to be forgotten."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from classifiers import Measured, of_problem

from expunge.contract.splits import Splits
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Row, Rows
from expunge.modalities.array_tasks import Classification
from expunge.modalities.tabular import Features, tabular_model
from expunge.testbeds.problem import train_problem

PERSONS, EACH, WIDTH = 6, 80, 24


@cache
def identities(classes: int, seed: int) -> Measured:
    """Six persons with 80 rows each; half of the first one's are to be forgotten, the other half are holdout. Shared: change only copies.

    Row = the class's centre + this person's own way of it + the person + noise. The first person's rows that are held out are the
    non-members, and a quarter of every other person's are test rows. Labels are drawn without looking at the person.
    """
    torch.set_num_threads(1)
    draw = np.random.default_rng(seed)
    centres = draw.normal(size=(classes, WIDTH))
    own = draw.normal(size=(PERSONS, classes, WIDTH))
    persons = draw.normal(size=(PERSONS, WIDTH))
    rows: dict[str, list[Row]] = {name: [] for name in ("forget", "retain", "holdout", "test")}
    for i in range(PERSONS * EACH):
        person, label = i // EACH, int(draw.integers(classes))
        x = 0.6 * centres[label] + own[person, label] + persons[person] + draw.normal(size=WIDTH)
        row = Row(id=f"{seed}-{i}", fields={"features": x.astype(np.float32), "label": label}, group=f"person-{person}")
        if person == 0:
            rows["forget" if i % 2 else "holdout"].append(row)
        else:
            rows["retain" if i % 4 else "test"].append(row)
    splits = Splits.of(**{name: Rows(tuple(found), name) for name, found in rows.items()})
    task = Classification(classes=classes)
    blank = tabular_model("mlp", features=Features(width=WIDTH), task=task, seed=seed, width=64, depth=1)
    recipe = Recipe(epochs=30, lr=4e-3, batch_size=32, seed=10 * seed)
    return of_problem(train_problem("identities", splits, blank, recipe, retrained=10))
