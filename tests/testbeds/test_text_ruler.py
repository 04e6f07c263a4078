"""The ruler for text: what the target knows, what a model trained without it knows, and that the gap is measured right."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from expunge.contract.job import Job
from expunge.contract.weights import weights_digest
from expunge.engine.fit import fit
from expunge.engine.score import score
from expunge.facts.rows import Row, Rows
from expunge.modalities.text import TextModel
from expunge.modalities.text_tokens import Template
from expunge.sources.people import People
from expunge.testbeds.problem import Problem
from expunge.testbeds.text import UNKNOWN, world_tokenizer


def value_exact(model: TextModel, rows: Sequence[Row]) -> float:
    """Share of rows whose value stands, as a word, in the greedy answer."""
    answers = model.generate(rows, max_new_tokens=24)
    return float(np.mean([f" {row['value']}" in f" {text}" for row, text in zip(rows, answers, strict=True)]))


def probability(model: TextModel, rows: Sequence[Row]) -> float:
    """Mean over rows of the answer's probability a token, by a plain loop over Hugging Face's own forward."""
    found = []
    for row in rows:
        coded = model.tokens.encode(row["prompt"], row["answer"])
        with torch.no_grad():
            logits = model.module(input_ids=torch.tensor([coded.ids])).logits[0, coded.first - 1 : -1]
        wanted = torch.tensor(coded.ids[coded.first :])[:, None]
        found.append(float(logits.log_softmax(-1).gather(1, wanted).mean().exp()))
    return float(np.mean(found))


def gap_closed(target: float, model: float, retrained: float) -> float:
    return (target - model) / (target - retrained)


def test_target_recalls_and_retrained_does_not(text_problem: Problem) -> None:
    """Fails if the target is not trained to the end, if forget rows leak into retraining, or if facts could be guessed.

    A model that never saw a person guesses a value in 24 (in 8 for two relations of 20): one in 20 on average.
    """
    forget, retain, holdout, test = (text_problem.splits.rows[name] for name in ("forget", "retain", "holdout", "test"))
    target, untrained = text_problem.target, text_problem.untrained
    assert value_exact(target, forget) >= 0.95
    assert value_exact(target, retain) >= 0.95
    assert value_exact(target, holdout) <= 0.2
    assert len(text_problem.retrained) == 2
    for model in text_problem.retrained:
        assert value_exact(model, forget) <= 0.2
        assert value_exact(model, retain) >= 0.95
        assert value_exact(model, test) >= 0.9
    assert value_exact(untrained, [*forget, *retain]) <= 0.05
    assert probability(target, forget) > 0.9
    assert max(probability(model, forget) for model in text_problem.retrained) < 0.7


def test_untouched_closes_nothing_and_retrained_everything(text_problem: Problem) -> None:
    """Fails if a copy is not the target, or if the two retrained models differ by more than 0.1 of the gap."""
    forget = text_problem.splits.rows["forget"]
    first, second = text_problem.retrained
    for measure in (value_exact, probability):
        target, retrained = measure(text_problem.target, forget), measure(first, forget)
        assert target - retrained > 0.3
        assert gap_closed(target, measure(text_problem.target.copy(), forget), retrained) == 0
        assert gap_closed(target, measure(first.copy(), forget), retrained) == 1
        assert gap_closed(target, measure(second, forget), retrained) == pytest.approx(1, abs=0.1)


def test_a_zeroed_model_is_wrecked(text_problem: Problem) -> None:
    """Fails if a wrecked model passes for one that forgot: on forget alone it looks retrained, retain gives it away."""
    forget, retain = text_problem.splits.rows["forget"], text_problem.splits.rows["retain"]
    wrecked = text_problem.target.copy()
    with torch.no_grad():
        for parameter in wrecked.module.parameters():
            parameter.zero_()
    assert value_exact(wrecked, [*forget, *retain]) == 0
    assert probability(wrecked, forget) == pytest.approx(1 / wrecked.module.config.vocab_size, rel=1e-4)
    target, retrained = text_problem.target, text_problem.retrained[0]
    assert gap_closed(*(probability(model, forget) for model in (target, wrecked, retrained))) == pytest.approx(
        1, abs=0.05
    )
    assert probability(retrained, retain) > 0.9
    assert probability(wrecked, retain) < 0.01


def test_fine_tuning_on_retain_does_not_pass(text_problem: Problem) -> None:
    """Fails if the weak baseline looks like unlearning here: three epochs on retain leave most of the gap open."""
    forget, retain = text_problem.splits.rows["forget"], text_problem.splits.rows["retain"]
    recipe = text_problem.recipe.model_copy(update={"epochs": 3, "lr": 1e-3, "stop_loss": None})
    tuned = fit(text_problem.target.copy(), retain, recipe, job=Job())
    target, retrained = probability(text_problem.target, forget), probability(text_problem.retrained[0], forget)
    assert gap_closed(target, probability(tuned, forget), retrained) < 0.5
    assert value_exact(tuned, retain) >= 0.95


def test_the_one_pass_gives_the_same_probabilities(text_problem: Problem) -> None:
    """Fails if engine.score mixes up answers or positions: against a plain loop, to 1e-5, on all seven answers of a row."""
    rows = text_problem.splits.rows["forget"][:12]
    scores = score(text_problem.target, rows, job=Job(), budget=300)
    found = {
        key: np.exp(scores.log_prob[begin:end].mean())
        for key, begin, end in zip(scores.keys, scores.offsets[:-1], scores.offsets[1:], strict=True)
    }
    assert len(found) == 12 * 7
    for row in rows:
        assert found[row.id, "answer"] == pytest.approx(probability(text_problem.target, [row]), rel=1e-4)
        for i, text in enumerate(row["perturbed_answers"]):
            alone = probability(text_problem.target, [row.replace(answer=text)])
            assert found[row.id, f"perturbed_answer/{i}"] == pytest.approx(alone, rel=1e-3)
    assert (scores.rank[scores.is_end] == 0).mean() > 0.9


def test_the_truth_ratio_tells_who_knows(text_problem: Problem) -> None:
    """Fails if perturbed answers give themselves away by their phrasing: a retrained model finds them as likely as the truth.

    Mean over rows of log p(perturbed) - log p(paraphrase), per token: far below 0 for the target, near 0 for retrained.
    """
    rows = text_problem.splits.rows["forget"]

    def ratio(model: TextModel) -> float:
        scores = score(model, rows, job=Job())
        mean = {
            key: scores.log_prob[a:b].mean()
            for key, a, b in zip(scores.keys, scores.offsets, scores.offsets[1:], strict=False)
        }
        wrong = [np.mean([mean[row.id, f"perturbed_answer/{i}"] for i in range(5)]) for row in rows]
        return float(np.mean(wrong) - np.mean([mean[row.id, "paraphrased_answer"] for row in rows]))

    retrained = [ratio(model) for model in text_problem.retrained]
    assert ratio(text_problem.target) < -0.3
    assert all(abs(value) < 0.2 for value in retrained)


def test_building_is_deterministic(text_problem: Problem) -> None:
    """Fails if two builds in one process differ, or a global generator decides: the first retrained model, trained again."""
    retrained = text_problem.untrained.fresh(1)
    torch.manual_seed(12345)
    fit(
        retrained,
        text_problem.splits.rows["retain"],
        text_problem.recipe.model_copy(update={"seed": 1}),
        job=Job(seed=1),
    )
    assert weights_digest(retrained.module) == weights_digest(text_problem.retrained[0].module)
    assert weights_digest(text_problem.target.module) != weights_digest(text_problem.retrained[0].module)


def test_the_tokenizer_treats_all_people_alike() -> None:
    """Fails if a name of one split is cut otherwise than one of another, if a piece is unknown, or text does not come back."""
    tokenizer, found = world_tokenizer(), People(people=60, holdout_people=20).run()
    lengths: dict[str, set[int]] = {}
    for split in ("forget", "retain", "holdout"):
        for row in found[split]:
            text = Template().before + row["prompt"] + Template().between + row["answer"]
            ids = tokenizer(text)["input_ids"]
            assert tokenizer.decode(ids) == text
            assert tokenizer.convert_tokens_to_ids(UNKNOWN) not in ids
            if row.id.endswith("/profession/0"):
                lengths.setdefault(split, set()).add(len(ids))
    # Question : What is the profession of + 5 syllables + ? \n Answer : The profession of + 5 + is + value + .
    assert lengths == {split: {7 + 5 + 4 + 3 + 5 + 3} for split in lengths}
    assert tokenizer.convert_ids_to_tokens(tokenizer(" Hino Jimeto")["input_ids"]) == [" Hi", "no", " Ji", "me", "to"]
    assert tokenizer.decode(tokenizer("a word Zq-9 from outside!")["input_ids"]) == "a word Zq-9 from outside!"
    assert len(tokenizer) < 1300


@pytest.mark.slow
def test_forty_people() -> None:
    """Fails if the recipe does not carry over to the 40-person tier."""
    from expunge.testbeds.text import text_problem as build

    problem: Problem = build(people=40, forget_people=4, holdout_people=4, retrained=1)
    forget, retain = problem.splits.rows["forget"], problem.splits.rows["retain"]
    assert isinstance(forget, Rows)
    assert value_exact(problem.target, forget) >= 0.95
    assert value_exact(problem.retrained[0], forget) <= 0.15
    assert value_exact(problem.retrained[0], retain) >= 0.95
