from __future__ import annotations

from dataclasses import replace
from functools import cache
from statistics import fmean

import numpy as np
import pytest
import torch
from classifiers import mean_interval
from digit_concepts import NAMES, attributes, with_concepts
from digits_class import Accuracies, accuracy
from digits_seeds import REPORTED, digits_of, gaps, untouched
from tiny_problems import Tiny, mean_over_rows, nll, plain

from expunge.contract.apply import unlearn
from expunge.contract.job import Job
from expunge.contract.model import Model
from expunge.engine.concept_bottleneck import Bottleneck, fit_bottleneck, ranked, shared
from expunge.engine.concepts import concepts_of
from expunge.engine.penultimate import body_features, labels_of
from expunge.facts.errors import InputError
from expunge.facts.rows import Row, Rows
from expunge.methods.concept_poisoning import ConceptPoisoning
from expunge.testbeds.problem import Problem

FORGOTTEN = 3
PARTNER = 9
NEIGHBOURS, OTHERS = (2, 5, 6, 7, 9), (0, 1, 4, 8)
"""Classes whose attribution overlaps the threes' most (.07 to .31) and least (0 to .08) on each of five targets."""


def planted(clouds: Tiny, partner: int) -> tuple[Rows, Rows]:
    """Rows with three concepts: one that the forget class shares with `partner` alone, and two of the other classes."""
    left = [label for label in range(1, 6) if label != partner]
    groups = ({0, partner}, set(left[:2]), set(left[2:]))

    def named(row: Row) -> Row:
        return row.replace(concepts=[int(row["label"] in group) for group in groups])

    return Rows(tuple(map(named, clouds.forget))), Rows(tuple(map(named, clouds.retain)))


@pytest.mark.parametrize("partner", [1, 3, 5])
def test_the_partner_is_the_class_with_the_same_concepts_not_the_nearest(clouds: Tiny, partner: int) -> None:
    """Cloud 0 lies between 1 and 5 and opposite 3. Fails if: sharing is not read from attributions, or the least is taken."""
    forget, retain = planted(clouds, partner)
    job = Job()
    assert ConceptPoisoning().partners(clouds.target, forget, retain, job) == {0: partner}
    assert job.notes["top_concepts"]["0"][0] == 0


def test_without_given_concepts_a_partner_is_found_among_retained_classes(clouds: Tiny) -> None:
    """Fails if: a class that is itself to be forgotten is taken, or a row its own label where every class has some to forget."""
    found = ConceptPoisoning().partners(clouds.target, clouds.forget, clouds.retain, Job())
    assert set(found) == {0}
    assert found[0] in range(1, 6)
    two = Rows((*clouds.forget, *(row for row in clouds.retain if row["label"] == 1)))
    rest = Rows(tuple(row for row in clouds.retain if row["label"] != 1))
    found = ConceptPoisoning().partners(clouds.target, two, rest, Job())
    assert set(found) == {0, 1}
    assert set(found.values()) <= {2, 3, 4, 5}
    some = Rows(tuple(row for row in clouds.retain if int(row.id.partition("/")[2]) < 15))
    others = Rows((*clouds.forget, *(row for row in clouds.retain if int(row.id.partition("/")[2]) >= 15)))
    found = ConceptPoisoning().partners(clouds.target, some, others, Job())
    assert all(label != partner for label, partner in found.items())
    with pytest.raises(InputError):
        ConceptPoisoning().partners(clouds.target, *planted_alone(clouds), Job())


def planted_alone(clouds: Tiny) -> tuple[Rows, Rows]:
    """Three classes to forget, of which one alone is retained: it has no other label to take."""
    own = [row for row in clouds.retain if row["label"] == 1]
    forget = Rows((*clouds.forget, *own[:10], *(row for row in clouds.retain if row["label"] == 2)))
    return forget, Rows(tuple(own[10:]))


@pytest.mark.parametrize("labels", ["targeted", "random"])
def test_loss_is_of_poisoned_labels_and_of_retain_rows_by_their_weight(
    clouds: Tiny, monkeypatch: pytest.MonkeyPatch, labels: str
) -> None:
    """Fails if: forget rows keep their labels, labels go to other rows, or the weight is on the wrong side."""
    method = ConceptPoisoning(labels=labels, retain_weight=0.3)
    seen = clouds.spied(method, monkeypatch)
    if labels == "targeted":
        wanted = dict.fromkeys(
            clouds.forget.ids, method.partners(clouds.target, clouds.forget, clouds.retain, Job())[0]
        )
    else:
        drawn = clouds.target.relabel(clouds.target.pack(clouds.forget), Job().generator).targets.tolist()
        wanted = dict(zip(clouds.forget.ids, drawn, strict=True))
        assert len(set(drawn)) == 5
    push = [
        nll((logits, torch.tensor([wanted[row.id]])))
        for row, (logits, _) in zip(seen.step.forget, plain(seen.moved, seen.step.forget), strict=True)
    ]
    keep = [nll(one) for one in plain(seen.moved, seen.step.retain)]
    assert seen.loss == pytest.approx(mean_over_rows(push) + 0.3 * mean_over_rows(keep), rel=1e-4)


def test_attributes_of_digits() -> None:
    """A ring has one hole, an eight two, a bar none. Fails if: the concepts of the claim below are not what they are called."""
    ring, eight, bar = (np.zeros((8, 8)) for _ in range(3))
    ring[1:7, 1:7], ring[3:5, 3:5] = 1, 0
    eight[:7, 2:6], eight[1:3, 3:5], eight[4:6, 3:5] = 1, 0, 0
    bar[:, 6] = 1
    found = [dict(zip(NAMES, attributes(image), strict=True)) for image in (ring, eight, bar)]
    assert [(one["hole"], one["two holes"]) for one in found] == [(1, 0), (1, 1), (0, 0)]
    assert (found[2]["right-heavy"], found[2]["stroke down"], found[2]["wide"]) == (1, 1, 0)


@cache
def digits(seed: int, network: str = "mlp") -> tuple[Problem, Bottleneck]:
    """The threes are to go; concepts are attributes of pixels, and the bottleneck is of the target of that seed."""
    problem = digits_of(seed, network)[0]
    problem = replace(problem, splits=with_concepts(problem.splits))
    rows = Rows((*problem.splits.rows["forget"], *problem.splits.rows["retain"]))
    features = body_features(problem.target, rows, job=Job())
    concepts = concepts_of(rows, features, count=2, seed=0)
    return problem, fit_bottleneck(features, labels_of(rows), concepts, sparsity=1e-3)


def top_mass(model: Model, seed: int, network: str = "mlp") -> float:
    """What the three top concepts of the threes add to p(3) over the forget rows, read by the target's bottleneck."""
    problem, bottleneck = digits(seed, network)
    forget = problem.splits.rows["forget"]
    own, labels = body_features(problem.target, forget, job=Job()), labels_of(forget)
    top = ranked(bottleneck.mass(own, labels, FORGOTTEN))[:3]
    return float(bottleneck.mass(body_features(model, forget, job=Job()), labels, FORGOTTEN)[top].sum())


def of_classes(model: Model, classes: tuple[int, ...]) -> float:
    """Accuracy on test rows of some classes, in percent."""
    test = digits(0)[0].splits.rows["test"]
    return accuracy(model, Rows(tuple(row for row in test if row["label"] in classes)))


def test_claim_a_class_of_digits_goes_and_its_top_concepts_lose_attribution() -> None:
    """Five targets: forget 0, retain 97.9, test 95.4 (retrained 0, 100, 98.4); gap 1.7 [.4, 3.0], do nothing 33.5: near, but not shown
    within 1.5.

    The threes' top concepts (right-heavy, open on the left above, open on the right above) add .85 to .88 to p(3) in the target, .00 to
    .02 after, less than the .08 to .37 of retrained models on average by .20 [.06, .34] (single ones up to 1.5, by other concepts).
    Partners are nines on two targets, sevens on two and sixes on one. Fails if: forget rows keep their labels, or retain rows are left
    out.
    """
    after, partners, top = [], [], []
    for seed in REPORTED:
        problem, _ = digits(seed)
        model, facts = unlearn(ConceptPoisoning(), problem.target, problem.splits, job=Job(seed=seed))
        after.append(Accuracies.of(model, problem))
        partners.append(facts.notes["concept_partners"][str(FORGOTTEN)])
        again = [top_mass(one, seed) for one in problem.retrained]
        top.append((top_mass(problem.target, seed), top_mass(model, seed), fmean(again)))
    assert set(partners) <= set(NEIGHBOURS)
    assert all(one.forget == one.holdout == 0 for one in after)
    gap = mean_interval(gaps(after))
    assert gap.low < 1.5 < gap.high
    assert mean_interval(np.subtract(gaps(after), gaps(untouched()))).high < -25
    assert mean_interval([one.retain for one in after]).low >= 95
    before, now, elsewhere = np.transpose(top)
    assert mean_interval(now - before).high < -0.6
    assert mean_interval(now - elsewhere).high < 0


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_claim_on_a_small_cnn() -> None:
    """Five small CNNs: forget 0, retain 99.7, gap to ten retrained models .3 [.0, .6], do nothing 33.5: within 1.5.

    The threes' top concepts lose .81 [.67, .96] of what they add to p(3), and end below retrained models' by .11 [.00, .23]. The paper's
    second half, accuracy on the five classes that share most: targeted 98.5, random labels 98.0, random labels without retain rows 88.3
    (on the other four 97.3, 97.6, 91.4). Targeted minus random .6 [-.3, 1.4], and blind labels cost the five no more than the four, 3.2
    [-11.1, 17.4]: the paper's order in the means, not shown. Fails if: forget rows keep their labels, or retain rows are left out.
    """
    after, top, near, far = [], [], [], []
    for seed in REPORTED:
        problem, _ = digits(seed, "cnn")
        ways = (
            ConceptPoisoning(),
            ConceptPoisoning(labels="random"),
            ConceptPoisoning(labels="random", retain_weight=0.0),
        )
        models = [unlearn(one, problem.target, problem.splits, job=Job(seed=seed))[0] for one in ways]
        after.append(Accuracies.of(models[0], problem))
        again = fmean(top_mass(one, seed, "cnn") for one in problem.retrained)
        top.append((top_mass(problem.target, seed, "cnn"), top_mass(models[0], seed, "cnn"), again))
        near.append([of_classes(model, NEIGHBOURS) for model in models])
        far.append([of_classes(model, OTHERS) for model in models])
    before, now, elsewhere = np.transpose(top)
    targeted, random, blind = np.transpose(near)
    gap, beside, shared_more = (
        mean_interval(one) for one in (gaps(after, "cnn"), targeted - random, np.transpose(far)[2] - blind)
    )
    print(
        gap,
        mean_interval(now - before),
        mean_interval(now - elsewhere),
        beside,
        shared_more,
        mean_interval(random - blind),
    )
    assert all(one.forget == one.holdout == 0 for one in after)
    assert gap.high < 1.5
    assert min(gaps(untouched("cnn"), "cnn")) > 30
    assert mean_interval([one.retain for one in after]).low >= 98
    assert mean_interval(now - before).high < -0.5
    assert mean_interval(now - elsewhere).high < 0.05
    assert beside.low < 0 < beside.high
    assert shared_more.low < 0 < shared_more.high


def test_claim_of_blind_random_labels_does_not_hold_as_stated() -> None:
    """The paper: blind random labels hurt the classes that share concepts more than targeted ones do.

    Test accuracy of the five classes that share most with the threes and of the four that share least, five targets: targeted 97.2 and
    93.0, random labels 98.4 and 98.0, random labels without retain rows 83.1 and 82.9. Targeted minus random on those that share: -1.2
    [-2.3, -.2], the other way round. Without retain rows they lose no more than the others (difference .3 [-4.4, 5.0]), and 15.3 [7.7,
    22.9] against random labels with them: it is the retain rows that keep a neighbour, not the choice of label. Fails if: that is no
    longer so.
    """

    def after(seed: int, **settings: object) -> Model:
        problem, _ = digits(seed)
        return unlearn(ConceptPoisoning(**settings), problem.target, problem.splits, job=Job(seed=seed))[0]  # type: ignore[arg-type]

    found = {
        name: np.array([[of_classes(after(seed, **given), part) for part in (NEIGHBOURS, OTHERS)] for seed in REPORTED])
        for name, given in {
            "targeted": {},
            "random": {"labels": "random"},
            "blind": {"labels": "random", "retain_weight": 0.0},
        }.items()
    }
    kept = mean_interval(found["random"][:, 0] - found["blind"][:, 0])
    assert mean_interval(found["targeted"][:, 0] - found["random"][:, 0]).high < 0
    beside = mean_interval(found["blind"] @ [1, -1])
    assert beside.low < 0 < beside.high
    assert kept.low > 5


def test_the_classes_that_share_most_with_the_threes_are_the_same_on_each_target() -> None:
    """Fails if: the two groups of the claim above overlap on a target."""
    for seed in REPORTED:
        problem, bottleneck = digits(seed)
        rows = Rows((*problem.splits.rows["forget"], *problem.splits.rows["retain"]))
        features, labels = body_features(problem.target, rows, job=Job()), labels_of(rows)
        own = bottleneck.mass(features, labels, FORGOTTEN)
        near, far = (
            [shared(own, bottleneck.mass(features, labels, label)) for label in part] for part in (NEIGHBOURS, OTHERS)
        )
        assert min(near) > max(far)
