"""Drawing problems: two patterns in a few seconds, and real 8x8 digits drawn by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from expunge.contract.job import Job
from expunge.contract.splits import SPLITS, Splits
from expunge.engine.fit import fit
from expunge.facts.recipe import Recipe
from expunge.facts.rows import Row, Rows
from expunge.modalities.diffusion import DiffusionModel, Words, diffusion_model
from expunge.modalities.vision import Images, vision_model
from expunge.sources.digits import Digits
from expunge.testbeds.problem import Problem, train_problem
from expunge.testbeds.vision import CLASS, CLASS_RECIPE, IMAGES

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SIDES = ("left", "right")
PIXELS = 4
DIGITS_RECIPE = Recipe(epochs=40, lr=3e-3, batch_size=64)
SIDES_RECIPE = Recipe(epochs=100, lr=1e-2, batch_size=80)

Judge = Callable[[Tensor], list[str]]
"""Images to the name of what is drawn in each."""


def _named(rows: Rows) -> Rows:
    return Rows(tuple(row.replace(prompt=NAMES[row["label"]]) for row in rows), rows.name)


def digits_problem(*, retrained: int = 1) -> Problem:
    """Return the problem of forgetting how to draw a three, asked for by its name."""
    found = Digits(forget=f"class={CLASS}").run()
    splits = Splits.of(**{name: _named(found[name]) for name in SPLITS})
    images = Images(shape=(1, 8, 8), mean=(0.5,), std=(0.5,))
    untrained = diffusion_model("denoiser", images=images, words=Words(known=NAMES), seed=100)
    return train_problem("drawn-digits", splits, untrained, DIGITS_RECIPE, retrained=retrained)


def digits_judge() -> Judge:
    """Return a judge trained on all digits outside test: its own accuracy is the ceiling of what it can say."""
    found = Digits().run()
    rows = Rows((*found["forget"], *found["retain"], *found["holdout"]), "train")
    model = fit(vision_model("cnn", images=IMAGES, classes=10), rows, CLASS_RECIPE, job=Job())

    def judge(images: Tensor) -> list[str]:
        drawn = [Row(id=str(i), fields={"image": image.numpy(), "label": 0}) for i, image in enumerate(images)]
        with torch.no_grad():
            return [NAMES[int(label)] for label in model.logits(model.pack(drawn)).argmax(1)]

    return judge


def _side(name: str, n: int, first: int, draw: np.random.Generator) -> Rows:
    pattern = np.zeros((PIXELS, PIXELS), np.float32)
    pattern[:, : PIXELS // 2] = 1.0
    pattern = pattern if name == SIDES[0] else pattern[:, ::-1]
    images = (pattern + draw.normal(size=(n, PIXELS, PIXELS)) * 0.1).astype(np.float32)
    return Rows(tuple(Row(id=f"{name}-{first + i}", fields={"image": images[i], "prompt": name}) for i in range(n)))


def sides_problem(*, retrained: int = 2) -> Problem:
    """Return the problem of forgetting "right": 4x4 images that are bright on the left or on the right.

    A retrained model saw no image bright on the right: asked for "right", it draws what it knows.
    """
    draw = np.random.default_rng(0)
    splits = Splits.of(
        forget=_side("right", 40, 0, draw),
        retain=_side("left", 40, 0, draw),
        holdout=_side("right", 40, 40, draw),
        test=_side("left", 40, 40, draw),
    )
    images = Images(shape=(1, PIXELS, PIXELS), mean=(0.5,), std=(0.5,))
    untrained = diffusion_model(
        "denoiser", images=images, words=Words(known=SIDES), seed=100, width=8, context=8, heads=2
    )
    return train_problem("drawn-sides", splits, untrained, SIDES_RECIPE, retrained=retrained)


def sides_judge(images: Tensor) -> list[str]:
    """Say which side of each image is the brighter one."""
    half = images.shape[-1] // 2
    left = images[..., :half].mean((1, 2, 3)) > images[..., half:].mean((1, 2, 3))
    return [SIDES[0] if one else SIDES[1] for one in left.tolist()]


def agreement(
    model: DiffusionModel, judge: Judge, prompts: Sequence[str], *, each: int = 20, guidance: float = 2.0, seed: int = 0
) -> dict[str, float]:
    """Return, by prompt, the share of `each` drawn images that the judge calls by it."""
    asked = [prompt for prompt in prompts for _ in range(each)]
    drawn = model.sample(asked, generator=torch.Generator().manual_seed(seed), guidance=guidance)
    hits = [said == prompt for said, prompt in zip(judge(drawn.cpu()), asked, strict=True)]
    return {prompt: sum(hits[i * each : (i + 1) * each]) / each for i, prompt in enumerate(prompts)}
