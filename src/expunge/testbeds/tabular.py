"""A table problem with a planted answer: clusters whose label is known, and mislabelled rows that must be memorised."""

from __future__ import annotations

import numpy as np

from expunge.contract.splits import Splits
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Row, Rows
from expunge.modalities.array_tasks import Classification
from expunge.modalities.tabular import Features, tabular_model
from expunge.testbeds.problem import Problem, train_problem

CLASSES = 4
CLUSTERS = 8
WIDTH = 32
SPREAD = 0.8
TRAINED = 1000
WRONG = 100
RECIPE = Recipe(epochs=25, lr=3e-3, batch_size=32)


def planted_rows(n: int, *, seed: int) -> tuple[Rows, Rows]:
    """Return `n` rows with their true label, and the same rows with a wrong one (which keep `clean_label`).

    Cluster centres are Gaussian with standard deviation SPREAD, rows Gaussian around them with standard deviation 1;
    cluster k has the label k mod CLASSES.
    """
    draw = np.random.default_rng(seed)
    centres = draw.normal(size=(CLUSTERS, WIDTH)) * SPREAD
    clusters = draw.integers(CLUSTERS, size=n)
    vectors = (centres[clusters] + draw.normal(size=(n, WIDTH))).astype(np.float32)
    wrong = (clusters + draw.integers(1, CLASSES, n)) % CLASSES
    clean = [
        Row(id=f"planted-{i}", fields={"features": vectors[i], "label": int(clusters[i] % CLASSES)}) for i in range(n)
    ]
    mislabelled = [
        row.replace(label=int(label), clean_label=row["label"]) for row, label in zip(clean, wrong, strict=True)
    ]
    return Rows(tuple(clean)), Rows(tuple(mislabelled))


def tabular_problem(*, retrained: int = 3) -> Problem:
    """Return the problem of forgetting mislabelled rows: target knows the wrong labels, a retrained model the right ones.

    Of TRAINED rows, WRONG mislabelled ones are to be forgotten and as many stay; WRONG further mislabelled ones are holdout,
    seen by no model.
    """
    clean, wrong = planted_rows(TRAINED + 6 * WRONG, seed=0)
    splits = Splits.of(
        forget=wrong[:WRONG],
        retain=Rows((*wrong[WRONG : 2 * WRONG], *clean[2 * WRONG : TRAINED])),
        holdout=wrong[TRAINED : TRAINED + WRONG],
        test=clean[TRAINED + WRONG :],
    )
    untrained = tabular_model(
        "mlp", features=Features(width=WIDTH), task=Classification(classes=CLASSES), seed=100, width=256
    )
    return train_problem("planted-table", splits, untrained, RECIPE, retrained=retrained)
