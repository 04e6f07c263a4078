"""Train 32 shadow models in one loop and one after another: python bench/shadows.py [--threads 2] [--batch 64] [--uncut | --plain].

Prints seconds (of the processor with one thread, of the clock with more), their ratio, how far the weights differ, and with one thread
the most that any loop could gain: what the steps' multiplications and additions take at the rate of a large matrix product.
`--uncut` puts all models into one loop, however large a layer's output is; `--plain` leaves convolutions and norms the rules that
`torch.func` has for them.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

import expunge.engine.fit_many as fit_many_module
import expunge.engine.folding as folding_module
from expunge.contract.job import Job
from expunge.engine.fit import fit
from expunge.engine.fit_many import fit_many
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Rows
from expunge.modalities.arrays import ArrayModel
from expunge.modalities.vision import Images, vision_model
from expunge.pipeline.shadows import halves
from expunge.sources.digits import Digits
from timing import seconds

MODELS = 32
NETWORKS = (
    ("cnn", {"width": 4}, 1),
    ("cnn", {"width": 8}, 1),
    ("cnn", {"width": 16}, 1),
    ("cnn", {"width": 4}, 3),
    ("cnn", {"width": 8}, 3),
    ("cnn", {"width": 16}, 3),
    ("resnet", {"width": 8}, 1),
    ("mlp", {"width": 64}, 1),
    ("mlp", {"width": 256}, 1),
)
"""Networks, their settings, and how many times as wide and high the digits are made (1: 8x8, 3: 24x24)."""
SIDE = 1024
RECIPE = Recipe(epochs=5, lr=6e-3, batch_size=64)


def enlarged(rows: Rows, times: int) -> Rows:
    """Return rows whose images have each pixel so many times in either direction."""
    made = (row.replace(image=np.kron(row["image"], np.ones((times, times), np.float32))) for row in rows)
    return Rows(tuple(made), rows.name)


def main() -> None:
    """Compare both ways on digits, each model on half of the rows."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=RECIPE.batch_size)
    parser.add_argument("--uncut", action="store_true")
    parser.add_argument("--plain", action="store_true")
    given = parser.parse_args()
    threads = given.threads
    if given.uncut:
        fit_many_module.MOST_OUTPUTS = sys.maxsize
    if given.plain:
        folding_module.RULES = {}
    torch.set_num_threads(threads)
    now = time.process_time if threads == 1 else time.perf_counter
    found = Digits(forget="random=0.1").run()
    rows = Rows((*found["forget"], *found["retain"]), "rows")
    recipes = [RECIPE.model_copy(update={"seed": seed, "batch_size": given.batch}) for seed in range(MODELS)]
    rate = 2 * SIDE**3 / seconds(lambda: torch.ones(SIDE, SIDE) @ torch.ones(SIDE, SIDE))
    print(f"a product of matrices of {SIDE}: {rate / 1e9:.0f} billion operations a second")
    for network, settings, times in NETWORKS:
        sets, size = halves(enlarged(rows, times), MODELS, 0), (1, 8 * times, 8 * times)

        def made(
            seed: int, network: str = network, settings: dict[str, int] = settings, size: tuple[int, int, int] = size
        ) -> ArrayModel:
            images = Images(shape=size, mean=(0.3,), std=(0.38,))
            return vision_model(network, images=images, classes=10, seed=seed, **settings)

        # the first use of memory takes several times as long as later ones: neither side pays for it
        short = [recipe.model_copy(update={"epochs": 1}) for recipe in recipes]
        fit_many([made(seed) for seed in range(MODELS)], sets, short, job=Job())
        fit(made(0), sets[0], recipes[0], job=Job())
        alone, together = [made(seed) for seed in range(MODELS)], [made(seed) for seed in range(MODELS)]
        began = now()
        for model, own, recipe in zip(alone, sets, recipes, strict=True):
            fit(model, own, recipe, job=Job())
        middle = now()
        fit_many(together, sets, recipes, job=Job())
        ended = now()
        one, many = middle - began, ended - middle
        away = max(
            float((a - b).detach().abs().max())
            for x, y in zip(alone, together, strict=True)
            for a, b in zip(x.module.parameters(), y.module.parameters(), strict=True)
        )
        name = f"{network} {', '.join(f'{k} {v}' for k, v in settings.items())}, {size[1]}x{size[2]}"
        batch = together[0].pack(sets[0][: given.batch])
        with FlopCounterMode(display=False) as counted:
            together[0].total_loss(batch).mean().backward()  # type: ignore[no-untyped-call]
        passes = sum(len(own) for own in sets) * RECIPE.epochs / batch.size
        least = counted.get_total_flops() * passes / rate
        bound = f"; at most {one / least:.1f}x" if threads == 1 else ""
        print(
            f"{name:21} one after another {one:6.2f} s, together {many:6.2f} s: {one / many:.1f}x; weights differ by "
            f"at most {away:.1e}{bound}",
            flush=True,
        )


if __name__ == "__main__":
    main()
