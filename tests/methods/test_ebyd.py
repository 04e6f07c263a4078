from __future__ import annotations

from typing import Any

import pytest
import torch
from poisoned_class import after, measured, poisoned, share
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


def test_claim_the_backdoor_is_found_and_removed_where_retraining_without_the_known_rows_leaves_it() -> None:
    """The bar: corrected accuracy of at least 85 at a clean loss of at most 2 points, seed 0 of 3 (the others below). Settings are the
    defaults, chosen on seeds 900 to 902. Fails if the class is not 0, or rows that bear the trigger are left as they are.
    """
    of = poisoned(0)
    before = measured(of.target, of)
    assert before["success"] > 90
    found, notes = after(EBYD(), of)
    assert notes["backdoor_class"] == 0
    assert notes["stands_out"] > 2
    assert notes["relabelled_rows"] >= 40
    assert found["corrected"] >= 85
    assert found["success"] < 8
    assert before["clean"] - found["clean"] <= 2


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_claim_on_the_other_seeds(seed: int) -> None:
    """As above on seeds 1 and 2."""
    of = poisoned(seed)
    before = measured(of.target, of)
    found, notes = after(EBYD(), of)
    assert notes["backdoor_class"] == 0
    assert found["corrected"] >= 85
    assert found["success"] < 8
    assert before["clean"] - found["clean"] <= 2


@pytest.mark.slow
def test_claim_that_exposure_leaves_the_class_of_the_backdoor_does_not_hold_on_a_small_mlp() -> None:
    """The paper's own way to find the class: 0 on seeds 900 and 2, and 1, 3, 8, 8 on 901, 902, 0 and 1, where what is then removed is no
    backdoor. Inversion finds 0 on all of them.

    Clean accuracy lost, by inversion (which exposes nothing) and by exposure, seeds 0 to 2: .8 and 1.5, .6 and 3.2, .2 and .2 points: removal guided by the exposed
    model costs no less, and leaves success at 100, 100 and 0%. Fails if: both ways are one, or exposure finds the class on all three.
    """
    wrong = []
    for seed in (0, 1, 2):
        of = poisoned(seed)
        clean = measured(of.target, of)["clean"]
        (plain, notes), (found, seen) = (after(EBYD(detect=detect), of) for detect in ("inversion", "exposure"))
        print(seed, clean, plain, found, seen["backdoor_class"])
        assert notes["backdoor_class"] == 0
        assert plain["success"] < 8
        assert clean - found["clean"] > clean - plain["clean"] - 0.5
        if seen["backdoor_class"] != 0:
            wrong.append(found["success"])
    assert wrong
    assert min(wrong) > 70


@pytest.mark.slow
def test_claim_that_an_exposed_model_keeps_its_backdoor_does_not_hold_on_each_seed() -> None:
    """Ascent on 100 of the retain rows until accuracy on them is .2, seeds 0 to 2: clean accuracy 98.0, 97.6, 97.4 to 18.7, 17.8, 14.8%, attack success
    99.8, 98.8, 97.3 to 0, 45.7 and 100% (on seeds 100 to 102 45, 94 and 65). The class that is answered most is 8, 8 and 0, the backdoor's. So clean accuracy
    falls near chance as the paper has it, and success stays high by luck. Fails if: ascent goes on past the collapse, or success stays on all three.
    """
    success = []
    for seed in (0, 1, 2):
        of = poisoned(seed)
        rows = of.splits(0.1).rows["retain"]
        drawn = rows.take(torch.randperm(len(rows), generator=Job(seed=seed).generator)[:100].tolist())
        copy = exposed(of.target, drawn, accuracy=0.2, lr=1e-3, steps=60, job=Job(seed=seed))
        found = measured(copy, of)
        print(seed, found)
        assert found["clean"] < 35
        assert share(of.target, drawn) > 95 > 25 > share(copy, drawn)
        success.append(found["success"])
    assert min(success) < 60 < 90 < max(success)
