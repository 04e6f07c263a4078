"""The protocol on voices as a plan, and a small run on the real recordings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest
from classifiers import Measured, mean_interval, read, share_right
from digits_gap import after
from identities import identities
from tiny_directory import call
from voices import voices

from expunge.benchmarks.fsdd import FsddBenchmark
from expunge.contract.evidence import Evidence
from expunge.engine.distributions import label_log_probs
from expunge.facts.errors import InputError
from expunge.metrics.average_gap import AverageGap
from expunge.metrics.nomus import Nomus
from expunge.pipeline.benchmark import benchmark_plan, check_benchmark
from expunge.statistics.auc import auc


def test_settings_reach_the_plan(tmp_path: Path) -> None:
    """Fails if whose clips go, the network or the recipe does not reach the plan, or a column names what is not measured."""
    (tmp_path / "fsdd.npz").write_bytes(b"")
    voices = FsddBenchmark(forget="speaker=2", seed=7, epochs=3, architecture="resnet", width=4, depth=1).run(tmp_path)
    check_benchmark(voices)
    plan = benchmark_plan("fsdd", voices, voices.methods, seeds=(0,), retrained=(101, 102))
    assert plan.request.settings == {"data": str(tmp_path / "fsdd.npz"), "forget": "speaker=2", "seed": 7}
    assert (plan.model.architecture, plan.model.settings) == ("resnet", {"width": 4, "depth": 1})
    assert plan.recipe is not None
    assert plan.recipe.epochs == 3
    with pytest.raises(InputError, match="there is no file"):
        FsddBenchmark().run(tmp_path / "none")
    with pytest.raises(InputError, match="there is no file"):
        FsddBenchmark().run(None)


def test_the_ruler_on_real_voices(shared_data: Path, tmp_path: Path) -> None:
    """The target knows every clip; models that never heard the speaker read those digits above chance (.1) and far below the target.

    Fails if forget rows reach a retrained model, or the digits are not learnt.
    """
    done = call("bench", "fsdd", "--data", shared_data / "fsdd", "--methods", "ascent", "--seeds", "0", "--retrained-seeds", "101,102",
                "--set", "epochs=10", "--quiet", "--out", tmp_path)  # fmt: skip
    assert done.code == 0, done.err
    (record,) = (json.loads(path.read_text()) for path in tmp_path.rglob("pieces/record-do_nothing"))
    found = {(m["model"], m["split"]): m["score"]["value"] for m in record["measurements"] if m["metric"] == "accuracy"}
    assert found["target", "forget"] > 0.97
    for one in ("retrained-0", "retrained-1"):
        assert 0.15 <= found[one, "forget"] <= 0.75
        assert found[one, "retain"] > 0.97
        assert found[one, "test"] > 0.9
    assert record["claim"]["rung"] == "not_shown"


SPEAKERS = (0, 1, 2)
"""Who goes: each with a draw of held-out clips and models of its own. Settings were chosen on speaker 3, seed 100."""
REMOVALS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "finetune": ("finetune", {}),
    "gentle": ("finetune", {"lr": 4e-4}),
    "scrub": ("scrub", {"lr": 1e-3}),
    "random_label": ("random_label", {}),
    "ascent": ("ascent", {"lr": 1e-4}),
    "longer ascent": ("ascent", {}),
}
"""Fine-tuning at twice the rate of training and at a tenth of it; ascent at two rates."""


def measures(one: Evidence) -> dict[str, float]:
    """Membership against held-out clips of the same speaker (AUC of the loss), NoMUS, distance to the retrained models, test accuracy."""
    known, unknown = (label_log_probs(one, split) for split in ("forget", "holdout"))
    return {
        "membership": auc(known, unknown),
        "nomus": Nomus().value(one),
        "of others": Nomus(outside="test").value(one),
        "distance": read(AverageGap(), one),
        "test": share_right(one, "test"),
    }


def by_model(at: Measured, seed: int) -> dict[str, dict[str, float]]:
    """The measures of the target, of the retrained models (their mean) and after each removal."""
    again = [measures(at.evidence[f"retrained-{i}"]) for i in range(10)]
    found = {name: measures(after(at, label, settings, seed=seed)) for name, (label, settings) in REMOVALS.items()}
    return {
        "target": measures(at.evidence["target"]),
        "retrained": {key: fmean(each[key] for each in again) for key in again[0]},
        **found,
    }


@pytest.mark.slow
def test_claim_on_three_speakers(shared_data: Path) -> None:
    """What of the paper's comparison holds on voices, beside the distance to retraining (average gap in points), which is the headline.

    Means over three speakers, ten retrained models each, on two processors, where the same training ends in other weights. Distance:
    retrained 2.5 and 2.4, scrub 4.9 and 7.9 (10.2, 10.5, 3.0), fine-tuning 8.7 and 5.7 (6.0, 4.4, 6.8): which is nearer hangs on that. Mild
    fine-tuning and doing nothing 23.5 and 23, ascent 38, 70 and 19, 65, random labels 24 and 25. Member AUC of the loss: target .58 and .59,
    mild fine-tuning .58, fine-tuning .52 and .51, retrained .50, ascent .48 and .46 at a test accuracy of .10. NoMUS: fine-tuning .962 and
    .981, retrained .958 and .962, scrub .958 and .949, random labels .954 and .959, mild .950 and .945, target .931 and .942, ascent .77,
    .51 and .83, .52: retraining has not the highest sum; with other speakers' clips as outsiders target .960 and .970, retrained .755 and
    .751. So fine-tuning leaves membership only at a rate that leaves everything, and scrub is not shown to beat it by either measure.
    Fails if forget rows reach a retrained model, scrub's max pass minimises, or fine-tuning is given the forget rows.
    """
    found = [by_model(voices(shared_data / "fsdd" / "fsdd.npz", seed, seed), seed) for seed in SPEAKERS]
    for each in found:
        print(json.dumps({name: {k: round(v, 3) for k, v in one.items()} for name, one in each.items()}))

    def of(name: str, what: str) -> np.ndarray:
        return np.array([each[name][what] for each in found])

    # fine-tuning leaves membership at a tenth of training's rate, and so it leaves everything; at twice that rate it does not
    assert np.abs(of("gentle", "membership") - of("target", "membership")).max() < 0.03
    assert np.abs(of("gentle", "distance") - of("target", "distance")).max() < 2
    lowered = of("target", "membership") - of("finetune", "membership")
    assert (lowered > 0).all()
    assert (lowered[of("target", "membership") > 0.55] > 0.05).all()
    assert fmean(of("target", "membership")) > 0.55
    assert (of("finetune", "distance") < of("target", "distance")).all()
    # ascent has no rate that removes the speaker and keeps the digits of the others: further from retraining than doing nothing
    assert of("longer ascent", "test").max() < 20
    assert (of("longer ascent", "distance") > of("target", "distance") + 20).all()
    assert fmean(of("longer ascent", "membership")) < fmean(of("target", "membership"))
    # scrub is less than half as far as all but fine-tuning, from which neither measure tells it apart
    for name in ("target", "gentle", "ascent", "longer ascent", "random_label"):
        assert fmean(of("scrub", "distance")) < fmean(of(name, "distance")) / 2, name
    for measure in ("distance", "nomus"):
        for name in ("finetune", "retrained"):
            difference = mean_interval(of("scrub", measure) - of(name, measure))
            assert difference.low < 0 < difference.high
    # the sum of a model without the speaker: above doing nothing with the speaker's own clips as outsiders, below it with others'; no highest
    assert fmean(of("target", "nomus")) < fmean(of("retrained", "nomus")) < fmean(of("finetune", "nomus"))
    assert fmean(of("retrained", "of others")) < fmean(of("target", "of others")) - 0.1


def scrubbed_and_climbed(
    at: Measured, seed: int, scrub: Mapping[str, Any], ascent: Mapping[str, Any]
) -> tuple[dict[str, float], Evidence]:
    """Accuracies on forget and test rows of the retrained models, after scrub and after ascent; and the evidence after scrub."""
    scrubbed, climbed = (after(at, label, given, seed=seed) for label, given in (("scrub", scrub), ("ascent", ascent)))
    found = {
        "retrained forget": fmean(share_right(at.evidence[f"retrained-{i}"], "forget") for i in range(10)),
        "scrub forget": share_right(scrubbed, "forget"),
        "scrub test": share_right(scrubbed, "test"),
        "ascent test": share_right(climbed, "test"),
    }
    print(seed, {name: round(value, 1) for name, value in found.items()})
    return found, scrubbed


def test_claim_of_a_collapse_on_two_labels_is_ascents_and_not_of_the_labels() -> None:
    """Persons in a table, three seeds, settings of seeds 100 and 101: scrub keeps the others' rows (test .97 to 1.0) with two labels as with ten.

    What two labels do to it: the forgotten person's rows go to chance or below (.25, .50, .55; retrained .56, .96, .71). With ten labels
    its distance to retraining is .15, .07 and .32 of doing nothing's (.05 on the seeds of the settings). Ascent falls to .78 to .86
    with two labels and to .27 to .30 with ten: its collapse is not of the labels.
    Fails if a max pass minimises (forget rows stay), or the min passes stop (test rows go).
    """
    for seed in range(5):
        two, _ = scrubbed_and_climbed(identities(2, seed), seed, {"lr": 1e-2}, {"lr": 5e-3})
        assert two["scrub test"] > 95
        assert two["scrub forget"] < min(65, two["retrained forget"] - 10)
        at = identities(10, seed)
        ten, scrubbed = scrubbed_and_climbed(at, seed, {"lr": 1e-2}, {"lr": 5e-3})
        assert read(AverageGap(), scrubbed) < 0.5 * read(AverageGap(), at.evidence["target"])
        assert ten["ascent test"] < two["ascent test"] < 90


@pytest.mark.slow
def test_claim_of_a_collapse_on_odd_and_even(shared_data: Path) -> None:
    """Odd and even of three speakers: scrub's test accuracy stays .98 to 1.0; ascent's is .50, chance, as it is .10 of ten digits.

    Forget rows after scrub .50, .74 and .55 (retrained .78, .92, .84): it over-forgets, and its distance to retraining (11.6, 9.0, 13.5) is no
    better than doing nothing's (13.5, 5.0, 9.2); of ten digits it was a fifth to a half of it. Fails as above.
    """
    for seed in SPEAKERS:
        at = voices(shared_data / "fsdd" / "fsdd.npz", seed, seed, 2)
        found, scrubbed = scrubbed_and_climbed(at, seed, {"lr": 1e-3}, {})
        assert found["scrub test"] > 95
        assert found["scrub forget"] < found["retrained forget"] - 10
        assert read(AverageGap(), scrubbed) > 0.7 * read(AverageGap(), at.evidence["target"])
        assert found["ascent test"] < 60
