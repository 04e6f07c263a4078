"""Records as a run would write them, made of chosen leak levels; their tests and claims come from the verdict itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from expunge.facts.digest import sha256
from expunge.facts.record import (
    Measurement,
    MethodFacts,
    ModelFacts,
    Outcome,
    Record,
    SplitFacts,
    Thresholds,
)
from expunge.facts.score import Score, unscored
from expunge.verdict.reach import derive_tests, reach
from expunge.verdict.roles import control_of

SUCCESS = ("direct_questions", "paraphrase", "prefix_extraction", "relearning", "quantisation_int4")
MEMBER = ("membership_loss", "membership_min_k", "membership_gradient_norm")
LEAKS: Mapping[str, Mapping[str, float]] = {
    "target": dict.fromkeys((*SUCCESS, *MEMBER), 0.95),
    "retrained": dict.fromkeys((*SUCCESS, *MEMBER), 0.03),
    "npo": {"direct_questions": 0.03, "paraphrase": 0.04, "prefix_extraction": 0.05, "relearning": 0.62},
    "ascent": {"direct_questions": 0.0, "prefix_extraction": 0.0, "relearning": 0.35},
    "random_label": {"direct_questions": 0.04, "paraphrase": 0.3, "quantisation_int4": 0.45},
    "retrain": {},
}
"""How often knowledge comes out, by attack; what is not named leaks as a retrained model does."""
HOSTILE = "<script>window.hacked = 1</script>\"'&{{ 7 * 7 }}<img src=x onerror=hacked=1>"
"""What every name, setting and reason may hold."""
METRICS = ("probability", "rouge", "truth_ratio", "extraction_strength")


def record(
    method: str = "npo",
    *,
    seed: int = 0,
    n: int = 80,
    groups: int = 20,
    retrained: int = 3,
    utility: float = 0.6,
    without: Sequence[str] = (),
    unscored_attacks: Mapping[str, str] | None = None,
    leaks: Mapping[str, float] | None = None,
    guard: str | None = None,
    item: bool = False,
    found: bool = True,
    request: str = "people",
    **facts: Any,
) -> Record:
    """Return one removal's record, judged.

    `leaks` sets how often each attack brings a row out, `without` names attacks that were not run, `item` asks matched
    holdout rows, `found=False` gives a target that never knew the rows and was left alone.
    """
    unscored_attacks = unscored_attacks or {}
    subject = None if not found else ("guarded", "guarded") if guard else ("unlearned", "unlearned")
    models = [("target", "target"), *([subject] if subject else [])]
    models += [(f"retrained-{i}", "retrained") for i in range(retrained) if i or method != "second_retrained"]
    models += [("untrained", "untrained")]
    outcomes: list[Outcome] = []
    measurements: list[Measurement] = []
    for name, role in models:
        levels = _levels(method, role, leaks) if found or role != "target" else LEAKS["retrained"]
        rng = np.random.default_rng(
            [
                int(sha256(f"{method if role in ('unlearned', 'guarded') else name}".encode())[:8], 16),
                seed if role in ("unlearned", "guarded") else 7,
            ]
        )
        level = utility if role in ("unlearned", "guarded") else 0.62 if role != "untrained" else 0.02
        measurements += _measurements(rng, name, role, levels, level, n)
        if role == "untrained":
            continue
        outcomes += _outcomes(rng, name, levels, n, unscored_attacks, without, item)
        rows = tuple(float(x) for x in np.clip(rng.normal(level, 0.05, 100), 0, 1))
        outcomes.append(
            Outcome(attack="probability", model=name, kind="success", step="utility", split="retain", forget=rows)
        )
    made = Record(
        request={"id": request, "kind": "data", "label": f"{method}-{seed}", "commitment": sha256(b"salted")},
        plan=PLAN,
        versions={"python": "3.11.9", "expunge": "0.1.0", "torch": "2.13.0", "numpy": "2.3.1", "threads": "2"},
        seeds={"method": seed, "verify": 0},
        splits=(
            SplitFacts(
                name="forget",
                n=n,
                groups=tuple(i * groups // n for i in range(n)),
                ids=tuple(f"people/{i:04d}" for i in range(n)),
                commitment=sha256(b"forget"),
            ),
            SplitFacts(name="retain", n=400, commitment=sha256(b"retain")),
            SplitFacts(
                name="holdout", n=n, groups=tuple(i * groups // n for i in range(n)), commitment=sha256(b"holdout")
            ),
        ),
        models=tuple(
            ModelFacts(
                role=role,
                name=name,
                content_digest=sha256(f"{name}{method}{seed}".encode() if role == "unlearned" else name.encode()),
                parameters=2_031_616,
            )
            for name, role in models
        ),
        method=MethodFacts(
            name=method,
            settings=facts.pop("settings", {"beta": 0.1, "lr": 0.001, "steps": 60}),
            seed=seed,
            guard=guard,
            digest_before="a",
            digest_after="b" if found else "a",
            moved_entries=2_031_616,
            reads={"forget": n, "retain": 400},
            **facts,
        ),
        thresholds=Thresholds(
            battery=(*SUCCESS[1:], *MEMBER),
            indistinguishable_metrics=("probability", "rouge"),
        ),
        measurements=tuple(measurements),
        outcomes=tuple(outcomes),
        overlap={
            "n": 8,
            "near": 0.5,
            "retain_rows": 400,
            "sharing_n_gram": 3,
            "near_duplicates": 1,
            "ids": ["people/0200", "people/0201"],
        },
        refusals=("attack paraphrase_file left out of the battery: it needs paraphrases",),
        cost={
            "scores (s)": 12.25 + seed,
            "generations (s)": 30.5,
            "verification (s)": 71.125,
            "method (s)": 44.75 + seed,
            "peak memory (MB)": 1412.0,
        },
        created="2026-02-03T10:11:12+00:00",
    )
    made = made.model_copy(update={"tests": derive_tests(made), "control": control_of(made)})
    return made.model_copy(update={"claim": reach(made)})


def run(
    n: int = 80, methods: Sequence[str] = ("npo", "ascent", "random_label", "retrain"), seeds: int = 3
) -> list[Record]:
    """Return a whole run: methods by seeds, do nothing and a second retrained model."""
    levels = {"ascent": 0.18, "random_label": 0.56, "npo": 0.615}
    found = [
        record(
            method,
            seed=seed,
            n=n,
            utility=levels.get(method, 0.62),
            locator="saliency" if method == "random_label" else None,
        )
        for method in methods
        for seed in range(seeds)
    ]
    target = record("do_nothing", n=n, leaks=LEAKS["target"], utility=0.62, settings={})
    return [*found, target, record("second_retrained", n=n, leaks={}, utility=0.62, settings={})]


PLAN: dict[str, Any] = {
    "request": {"id": "request-1", "kind": "data", "source": "people", "settings": {"people": 40, "split": "forget"}},
    "model": {"directory": None, "architecture": "llama", "settings": {"hidden_size": 128, "layers": 4}},
    "recipe": {"epochs": 30, "lr": 0.001, "clip": 1.0, "stop_loss": None},
    "method": [
        {"name": "npo", "settings": {"beta": 0.1}, "seeds": [0, 1, 2]},
        {"name": "ascent", "settings": {}, "seeds": [0, 1, 2]},
    ],
    "verify": {"battery": "standard", "max_new_tokens": 64},
}


def _levels(method: str, role: str, leaks: Mapping[str, float] | None) -> Mapping[str, float]:
    base = LEAKS["retrained"]
    if role == "target":
        return LEAKS["target"]
    if role in ("unlearned", "guarded"):
        return {**base, **(leaks if leaks is not None else LEAKS.get(method, {}))}
    return base


def _outcomes(
    rng: np.random.Generator,
    name: str,
    levels: Mapping[str, float],
    n: int,
    unscored_attacks: Mapping[str, str],
    without: Sequence[str],
    item: bool,
) -> list[Outcome]:
    made = []
    for attack in (*SUCCESS, *MEMBER):
        if attack in without:
            continue
        step = "behavioural" if attack == "direct_questions" else "resistant"
        kind = "member" if attack in MEMBER else "success"
        common = {"attack": attack, "model": name, "kind": kind, "step": step}
        if attack in unscored_attacks:
            made.append(Outcome(**common, unscored=unscored_attacks[attack]))
            continue
        level = levels[attack]
        if kind == "success":
            rows = (rng.random(n) < level).astype(float)
            extra: dict[str, Any] = {"item_control": tuple((rng.random(n) < 0.03).astype(float))} if item else {}
        else:
            rows = rng.normal(2.0 * max(level - 0.03, 0.0), 1.0, n)
            extra = {"holdout": tuple(rng.normal(0.0, 1.0, n))}
        if attack == "relearning":
            extra["curve"] = tuple(
                (float(steps), float(level * (1 - np.exp(-steps / 12)))) for steps in (0, 5, 10, 20, 40)
            )
        made.append(Outcome(**common, forget=tuple(float(x) for x in rows), cost={"s": 1.5}, **extra))
    return made


def _measurements(
    rng: np.random.Generator, name: str, role: str, levels: Mapping[str, float], utility: float, n: int
) -> list[Measurement]:
    made = []
    know = levels["direct_questions"] if role != "untrained" else 0.0
    for metric in METRICS:
        centre = {"probability": 0.1 + 0.8 * know, "rouge": 0.3 + 0.6 * know, "truth_ratio": 0.7 - 0.3 * know}.get(
            metric, 0.05 + 0.7 * know
        )
        rows = np.clip(rng.normal(centre, 0.08, n), 0, 1)
        score = Score(
            name=metric,
            value=float(rows.mean()),
            low=float(rows.mean() - 0.02),
            high=float(rows.mean() + 0.02),
            n=n,
            ideal="as_control" if metric == "truth_ratio" else "lower",
            per_example=tuple(float(x) for x in rows),
        )
        made.append(Measurement(metric=metric, model=name, split="forget", score=score))
    for metric in ("probability", "rouge"):
        rows = np.clip(rng.normal(utility, 0.05, 100), 0, 1)
        made.append(
            Measurement(
                metric=metric,
                model=name,
                split="retain",
                score=Score(
                    name=metric,
                    value=float(rows.mean()),
                    n=100,
                    ideal="higher",
                    per_example=tuple(float(x) for x in rows),
                ),
            )
        )
    made.append(
        Measurement(
            metric="tofu_model_utility",
            model=name,
            split="",
            score=Score(name="tofu_model_utility", value=utility, n=9, ideal="higher"),
        )
    )
    made.append(
        Measurement(metric="klom", model=name, split="forget", score=unscored("klom", "below 20 + 20 models", n=n))
    )
    return made
