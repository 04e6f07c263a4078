from __future__ import annotations

from functools import cache
from statistics import fmean
from typing import Any

import numpy as np
import pytest
import torch
from classifiers import mean_interval
from poisoned_class import after, mean_again, measured, poisoned, share
from tiny_problems import Tiny

from expunge.contract.apply import unlearn
from expunge.contract.job import Job
from expunge.contract.splits import Splits
from expunge.contract.weights import weights_digest
from expunge.engine.descend import Descent, one_pass
from expunge.engine.triggers import Trigger, exposed
from expunge.facts.rows import Rows
from expunge.methods import ebyd
from expunge.methods.ebyd import EBYD


def test_loss_is_of_the_rows_and_of_the_rows_with_the_trigger(clouds: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand with a trigger that sets feature 0 to 2. Fails if the weight is lost, the trigger's rows bear its class, or it is not put in."""
    seen: list[tuple[float, float]] = []
    trigger = Trigger(mask=torch.tensor([1.0, 0.0]), pattern=torch.tensor([2.0, 5.0]), success=1.0)

    def spy(model: Any, job: Job, descent: Descent, loss: Any, *, retain: Rows, label: str) -> None:
        step = next(one_pass(model, job, 8, 0, forget=Rows(()), retain=retain))
        with torch.no_grad():
            x = step.retain_batch.inputs["x"]
            moved = torch.stack([torch.full_like(x[:, 0], 2.0), x[:, 1]], 1)
            logs = [torch.log_softmax(model.module(each), -1) for each in (x, moved)]
            own = [-float(each.gather(1, step.retain_batch.targets[:, None]).mean()) for each in logs]
            seen.append((float(loss(step)), own[0] + 0.3 * own[1]))

    monkeypatch.setattr(ebyd, "descend", spy)
    monkeypatch.setattr(EBYD, "found", lambda *_: (0, trigger))
    monkeypatch.setattr(ebyd, "seen_past", lambda model, rows, *_: (rows, 0))
    EBYD(trigger_weight=0.3).run(clouds.target.copy(), clouds.splits.restricted(("retain",)), Job())
    assert len(seen) == 1
    assert seen[0][0] == pytest.approx(seen[0][1], rel=1e-4)


def test_rows_that_bear_the_trigger_are_taught_their_own_label(clouds: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trained on as they are they teach the backdoor again. Fails if the rows go into the descent as given."""
    taught: list[Rows] = []
    changed = Rows(tuple(row.replace(label=1) for row in clouds.retain))
    monkeypatch.setattr(ebyd, "descend", lambda *_, retain, **__: taught.append(retain))
    monkeypatch.setattr(ebyd, "seen_past", lambda *_: (changed, len(changed)))
    job = Job()
    EBYD(clean_rows=20, inversion_steps=5).run(clouds.target.copy(), clouds.splits.restricted(("retain",)), job)
    assert taught == [changed]
    assert job.notes["relabelled_rows"] == len(clouds.retain)


def test_no_known_poison_is_read(clouds: Tiny) -> None:
    """Fails if forget rows reach the weights: removal is without knowing the trigger, its class or a poisoned row."""
    method = EBYD(clean_rows=20, inversion_steps=20)
    digests = set()
    for forget in (clouds.forget, clouds.forget[:1]):
        model, facts = unlearn(method, clouds.target, Splits.of(forget=forget, retain=clouds.retain), job=Job())
        digests.add(weights_digest(model.module))
        assert set(facts.reads) == {"retain"}
    assert len(digests) == 1


def test_an_unknown_way_to_detect_is_refused() -> None:
    with pytest.raises(ValueError, match="detect must be inversion or exposure"):
        EBYD(detect="guess")


SEEDS = (0, 1, 2, 3, 4)
"""Seeds of poison, target and removal that claims are reported on; the defaults were chosen on 900 to 902."""
READ = ("clean", "corrected", "success")


@cache
def cleaned(seed: int, detect: str = "inversion", network: str = "mlp") -> tuple[dict[str, float], dict[str, Any]]:
    """What is measured after removal, and its notes."""
    return after(EBYD(detect=detect), poisoned(seed, network=network))


def gap(found: dict[str, float], seed: int, network: str = "mlp") -> float:
    """Distance to the mean of ten clean models over clean and corrected accuracy and success, in points."""
    clean = mean_again(seed, network=network)
    return fmean(abs(found[name] - clean[name]) for name in READ)


def test_claim_the_backdoor_is_found_and_removed() -> None:
    """The bar: corrected accuracy of at least 85 at a clean loss of at most 2 points, on seed 0; five seeds below.

    Fails if the class is not 0, or rows that bear the trigger are left as they are.
    """
    before, (found, notes) = measured(poisoned(0).target, poisoned(0)), cleaned(0)
    assert before["success"] > 90
    assert notes["backdoor_class"] == 0
    assert notes["stands_out"] > 2
    assert notes["relabelled_rows"] >= 40
    assert found["corrected"] >= 85
    assert found["success"] < 8
    assert before["clean"] - found["clean"] <= 2


@pytest.mark.slow
def test_claim_nearer_to_ten_clean_models_than_training_without_the_known_rows_over_five_seeds() -> None:
    """Gap to ten models trained without any poisoned row, in points, mean and 95% interval: 2.3 [1.2, 3.4], most of which is corrected
    accuracy above theirs.

    Do nothing 62.0 [60.7, 63.4], a model trained without the tenth of the rows that is known 62.0 [60.4, 63.5] (success 98.6 [96.6,
    100.6]): paired -59.7 [-61.9, -57.6] and -59.7 [-62.1, -57.2]. Corrected accuracy 95.0 [93.4, 96.6] (retrained 88.6), success .1
    [-.1, .3], clean accuracy lost .6 [-.1, 1.3]. The class found is 0 on each seed. Fails as above.
    """
    gaps: dict[str, list[float]] = {"ebyd": [], "target": [], "known left out": []}
    after_it, lost = [], []
    for seed in SEEDS:
        of, (found, notes) = poisoned(seed), cleaned(seed)
        assert notes["backdoor_class"] == 0
        before, kept = measured(of.target, of), measured(of.trained(of.rows(0.1)["retain"], seed + 101), of)
        for name, one in zip(gaps, (found, before, kept), strict=True):
            gaps[name].append(gap(one, seed))
        after_it.append(found)
        lost.append(before["clean"] - found["clean"])
    for name in ("target", "known left out"):
        nearer = mean_interval(np.subtract(gaps["ebyd"], gaps[name]))
        print(name, mean_interval(gaps[name]), nearer)
        assert nearer.high < 0
    own = {name: mean_interval([one[name] for one in after_it]) for name in READ}
    print(mean_interval(gaps["ebyd"]), own, mean_interval(lost))
    assert own["corrected"].low >= 85
    assert own["success"].high < 8
    assert mean_interval(lost).high <= 2


@pytest.mark.slow
def test_claim_that_exposure_leaves_the_class_of_the_backdoor_does_not_hold_on_a_small_mlp() -> None:
    """The paper's own way to find the class says 8, 8, 0, 5, 2 on seeds 0 to 4, where what is then removed is no backdoor but on seed
    2. (On 900 to 902 it said 0, 1, 3.) Inversion finds 0 on all of them.

    Clean accuracy lost by inversion (which exposes nothing) and by exposure: .7 and 1.5, .6 and 3.1, .2 and .2, 0 and 7.0, 1.5 and 4.4:
    removal guided by the exposed model costs no less on any seed, and 2.7 points more in the mean, 95% interval [-.7, 6.1]. It leaves
    success at 100, 100, 0, 100 and 99, and lies 49 [15, 84] points further from ten clean models. Fails if: both ways are one, or
    exposure finds the class on all five.
    """
    costs, nearer, wrong = [], [], []
    for seed in SEEDS:
        (plain, notes), (found, seen) = (cleaned(seed, detect) for detect in ("inversion", "exposure"))
        print(seed, plain, found, seen["backdoor_class"])
        assert notes["backdoor_class"] == 0
        costs.append(plain["clean"] - found["clean"])
        nearer.append(gap(plain, seed) - gap(found, seed))
        if seen["backdoor_class"] != 0:
            wrong.append(found["success"])
    more = mean_interval(costs)
    print(more, mean_interval(nearer))
    assert min(costs) > -0.5
    assert more.low < 0 < more.estimate
    assert mean_interval(nearer).high < 0
    assert wrong
    assert min(wrong) > 70


@pytest.mark.slow
def test_claim_that_an_exposed_model_keeps_its_backdoor_does_not_hold_on_each_seed() -> None:
    """Ascent on 100 of the retain rows until accuracy on them is .2, seeds 0 to 4: attack success 99.8, 98.8, 97.3, 100, 96.9 to 0,
    45.7, 100, 36.7, 0%, mean 36 with 95% interval [-15, 88] (on seeds 100 to 102 45, 94 and 65); clean accuracy 97.0 to 98.3 to 19.8%
    [14.4, 25.3].

    So clean accuracy falls near chance as the paper has it, and success stays high by luck. Fails if: ascent goes on past the collapse,
    or success stays on all five.
    """
    clean, success = [], []
    for seed in SEEDS:
        of = poisoned(seed)
        rows = of.splits(0.1).rows["retain"]
        drawn = rows.take(torch.randperm(len(rows), generator=Job(seed=seed).generator)[:100].tolist())
        copy = exposed(of.target, drawn, accuracy=0.2, lr=1e-3, steps=60, job=Job(seed=seed))
        found = measured(copy, of)
        print(seed, found)
        assert share(of.target, drawn) > 95 > 25 > share(copy, drawn)
        clean.append(found["clean"])
        success.append(found["success"])
    print(mean_interval(clean), mean_interval(success))
    assert mean_interval(clean).high < 35
    assert mean_interval(success).low < 10
    assert min(success) < 60 < 90 < max(success)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_claim_on_a_small_cnn() -> None:
    """Gap to ten clean models 1.0 [.6, 1.4] over five small CNNs; do nothing 64.8, trained without the known tenth 64.9.

    Corrected accuracy 96.8 [96.2, 97.4], success .5 [-.1, 1.1], clean accuracy lost .2 [-.3, .7]; the class found is 0 on each. The paper's
    exposure says 8, 2, 0, 4, 3, and what is then removed is a backdoor on the third alone: 51 [15, 86] points further from clean models,
    at a clean loss 1.5 [-1.7, 4.7] more, not less. An exposed model has 19 [13, 26] of clean accuracy and 28 [-24, 79] of success: near
    chance, and not high. Fails as on the MLP.
    """
    rows: dict[str, list[float]] = {
        name: [] for name in ("gap", "nothing", "exposed", "corrected", "success", "lost", "more", "kept")
    }
    wrong = []
    for seed in SEEDS:
        of, (found, notes) = poisoned(seed, network="cnn"), cleaned(seed, "inversion", "cnn")
        before, (other, seen) = measured(of.target, of), cleaned(seed, "exposure", "cnn")
        assert notes["backdoor_class"] == 0
        retain = of.splits(0.1).rows["retain"]
        drawn = retain.take(torch.randperm(len(retain), generator=Job(seed=seed).generator)[:100].tolist())
        collapsed = measured(exposed(of.target, drawn, accuracy=0.2, lr=1e-3, steps=60, job=Job(seed=seed)), of)
        wrong += [other["success"]] if seen["backdoor_class"] != 0 else []
        for name, value in {
            "gap": gap(found, seed, "cnn"),
            "nothing": gap(before, seed, "cnn"),
            "exposed": gap(other, seed, "cnn"),
            "corrected": found["corrected"],
            "success": found["success"],
            "lost": before["clean"] - found["clean"],
            "more": found["clean"] - other["clean"],
            "kept": collapsed["success"],
        }.items():
            rows[name].append(value)
    at = {name: mean_interval(values) for name, values in rows.items()}
    print(at)
    assert mean_interval(np.subtract(rows["gap"], rows["nothing"])).high < 0
    assert at["corrected"].low >= 85
    assert at["success"].high < 8
    assert at["lost"].high <= 2
    assert mean_interval(np.subtract(rows["gap"], rows["exposed"])).high < 0
    assert at["more"].low < 0 < at["more"].estimate
    assert min(wrong) > 70
    assert at["kept"].low < 10
