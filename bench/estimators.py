"""Forgetting one row against training anew without it: python bench/estimators.py [--adult adult-train.csv.gz] [--requests 30].

One thread, processor time, both in one run: the mean over requests of one row each against the least of three trainings on the rows
that are left. `apart` is the largest difference of a prediction from that of the model trained anew (for the certified one, with the
same noise). Rows are made up; with --adult, DaRE is also measured on UCI Adult beside scikit-learn's forest.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestClassifier

from expunge.estimators.dare_forest import DaREForest
from expunge.estimators.kernel_ridge import ExactKernelRidge
from expunge.estimators.logistic_regression import CertifiedLogisticRegression
from expunge.estimators.naive_bayes import ExactNaiveBayes
from expunge.estimators.nearest_neighbours import ExactNearestNeighbours
from expunge.estimators.ridge import ExactRidge
from expunge.sources._adult_rows import COLUMNS, NUMBERS, read_people

Array = np.ndarray[Any, Any]


def seconds(run: Callable[[], Any]) -> float:
    """Return the processor time of one run."""
    start = time.process_time()
    run()
    return time.process_time() - start


def outputs(model: Any, x: Array) -> Array:
    """Return probabilities where a model has them, else predictions."""
    return np.asarray(model.predict_proba(x) if hasattr(model, "predict_proba") else model.predict(x))


def line(build: Callable[[], Any], x: Array, y: Array, requests: int) -> str:
    """Measure one estimator and return its line of the table."""
    model = build().fit(x, y)
    taken = [seconds(partial(model.forget, x[i : i + 1], y[i : i + 1])) for i in range(requests)]
    anew = build()
    whole = min(seconds(lambda: anew.fit(x[requests:], y[requests:])) for _ in range(3))
    apart = np.abs(outputs(model, x[:200]) - outputs(anew, x[:200])).max()
    mean = float(np.mean(taken))
    return f"{len(x):>7} x {x.shape[1]:<4}{whole * 1000:10.1f}{mean * 1000:10.2f}{whole / mean:9.1f}x  {apart:.0e}"


def adult(path: Path) -> tuple[Array, Array]:
    """Return UCI Adult in an order drawn once, words as numbers in order of spelling."""
    people = read_people(path)
    columns = [
        np.array([one.numbers[name] for one in people])
        if name in NUMBERS
        else np.unique([one.words[name] for one in people], return_inverse=True)[1].astype(float)
        for name in COLUMNS[:-1]
    ]
    order = np.random.default_rng(0).permutation(len(people))
    return np.stack(columns, axis=1)[order], np.array([one.label for one in people])[order]


def on_adult(path: Path, requests: int, layers: int) -> None:
    """Print accuracy beside scikit-learn's forest, the speed of forgetting and what it retrained, over five seeds."""
    x, y = adult(path)
    cut = int(0.8 * len(x))
    found = []
    for seed in range(5):
        forest = DaREForest(n_estimators=10, max_features=7, random_layers=layers, random_state=seed)
        whole = seconds(partial(forest.fit, x[:cut], y[:cut]))
        peer = RandomForestClassifier(10, max_depth=10, max_features=7, random_state=seed).fit(x[:cut], y[:cut])
        scores = forest.score(x[cut:], y[cut:]), peer.score(x[cut:], y[cut:])
        for i in np.random.default_rng(seed).choice(cut, requests, replace=False):
            taken = seconds(partial(forest.forget, x[i : i + 1], y[i : i + 1]))
            found.append((*scores, whole, taken, forest.forgotten_rows_retrained_))
    own, theirs, whole, taken, rows = np.array(found).T
    print(
        f"adult, {cut} rows, 10 trees of depth 10, {layers} random layers, 5 seeds x {requests} requests: accuracy {own.mean():.4f} "
        f"(scikit-learn {theirs.mean():.4f}); training {whole.mean():.2f} s; one row {1000 * taken.mean():.1f} ms: "
        f"{whole.mean() / taken.mean():.0f}x (median {whole.mean() / np.median(taken):.0f}x); "
        f"rows retrained: mean {rows.mean():.0f}, median {np.median(rows):.0f}, most {rows.max():.0f} of {10 * cut}",
        flush=True,
    )


def main() -> None:
    """Print one line an estimator."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--adult", type=Path)
    parser.add_argument("--requests", type=int, default=30)
    arguments = parser.parse_args()
    draw = np.random.default_rng(0)

    def rows(count: int, width: int) -> tuple[Array, Array, Array]:
        x = draw.normal(size=(count, width))
        score = x @ draw.normal(size=width) + draw.normal(size=count)
        return x, score, (score > 0).astype(int)

    wide, tall, few = rows(20_000, 100), rows(20_000, 20), rows(1_500, 20)
    print(f"{'estimator':30}{'rows':>14}{'anew ms':>10}{'row ms':>10}{'ratio':>10}  apart")
    cases: list[tuple[Callable[[], Any], Array, Array]] = [
        (ExactRidge, wide[0], wide[1]),
        (ExactNearestNeighbours, tall[0], tall[2]),
        (ExactNaiveBayes, tall[0], tall[2]),
        (lambda: CertifiedLogisticRegression(sigma=10.0, random_state=0), tall[0], tall[2]),
        (lambda: DaREForest(random_state=0), tall[0], tall[2]),
        (ExactKernelRidge, few[0], few[1]),
    ]
    for build, x, y in cases:
        print(f"{type(build()).__name__:30}{line(build, x, y, arguments.requests)}", flush=True)
    if arguments.adult:
        for layers in (0, 3):
            on_adult(arguments.adult, arguments.requests, layers)


if __name__ == "__main__":
    main()
