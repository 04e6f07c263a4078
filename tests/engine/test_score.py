"""The one pass equals a plain forward a row, whatever shares a batch, and runs few positions."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from plain_models import text_model

from expunge.contract.job import Job
from expunge.engine import score as engine
from expunge.engine.score import batches, most_positions, position_numbers, score
from expunge.facts.rows import Row, Rows
from expunge.modalities.array_tasks import Classification
from expunge.modalities.tabular import Features, tabular_model
from expunge.modalities.text_build import new_text_model, train_tokenizer
from expunge.modalities.text_tokens import answers_of
from expunge.sources.tofu import Tofu
from expunge.statistics.position_scores import PositionScores

COLUMNS = ("log_prob", "mean", "variance")
TIED = 1e-5
"""Log-probabilities nearer than this are ordered by float noise: which of two such words stands first is no fact."""


def with_answers(rows: Rows) -> Rows:
    """Give rows several answers that share beginnings, of other lengths."""
    changed = []
    for i, row in enumerate(rows):
        wrong = tuple(f"{row['answer'][: 3 + k]} no {'no ' * k}".strip() for k in range(i % 4))
        changed.append(row.replace(paraphrased_answer=f"{row['answer']} indeed", perturbed_answers=wrong))
    return Rows(tuple(changed))


@torch.no_grad()
def plainly(model: Any, rows: Rows) -> dict[tuple[str, str], dict[str, np.ndarray]]:
    """One forward a (row, answer), in float64 from the logits on: no packing, no padding, no shared prefix."""
    found = {}
    for row in rows:
        for name, answer in answers_of(row).items():
            code = model.tokens.encode(row["prompt"], answer)
            ids = torch.tensor([code.ids])
            logits = model.module(input_ids=ids).logits[0, code.first - 1 : -1].double()
            p = logits.softmax(-1)
            logs = p.log()
            mean = (p * logs).sum(-1)
            target = ids[0, code.first :]
            own = logs.gather(-1, target[:, None])
            ahead = (logs > own).sum(-1) + ((logs == own) & (torch.arange(logs.shape[1]) < target[:, None])).sum(-1)
            found[row.id, name] = {
                "log_prob": own[:, 0].numpy(),
                "mean": mean.numpy(),
                "variance": ((p * logs.square()).sum(-1) - mean.square()).numpy(),
                "rank": ahead.numpy(),
                "tied": ((logs - own).abs() < TIED).sum(-1).numpy() - 1,
                "token": target.numpy(),
                "is_end": (target == model.tokens.eos).numpy() & (np.arange(len(target)) == len(target) - 1),
            }
    return found


def compare(found: PositionScores, wanted: dict[tuple[str, str], dict[str, np.ndarray]], tolerance: float) -> None:
    assert found.keys == tuple(wanted)
    for place, columns in enumerate(wanted.values()):
        tied = columns.pop("tied")
        for name, values in columns.items():
            own = np.asarray(getattr(found, name))[found.positions(place)]
            if name == "rank":
                assert (abs(own - values) <= tied).all(), (own, values, tied)
            elif name in COLUMNS:
                np.testing.assert_allclose(own, values, rtol=0, atol=tolerance, err_msg=name)
            else:
                np.testing.assert_array_equal(own, values, err_msg=name)


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gpt_neox", "qwen2", "qwen3"])
def test_equals_a_plain_forward_a_row(architecture: str) -> None:
    """Fails if a branch sees another branch, positions do not go on from the prefix, moments are over another axis, or rows change places."""
    model, rows = text_model(architecture)
    rows = with_answers(rows)
    assert model.packed
    compare(score(model, rows, job=Job()), plainly(model, rows), 1e-5)


def test_plain_rows_give_the_same_numbers() -> None:
    """Where an architecture takes no block mask. Fails if padding is seen, or an answer's positions shift."""
    model, rows = text_model("llama")
    rows = with_answers(rows)
    wanted = plainly(model, rows)
    model.packed = False
    compare(score(model, rows, job=Job()), wanted, 1e-5)


@pytest.mark.parametrize("budget", [1, 60, 200])
def test_numbers_do_not_depend_on_the_budget(budget: int) -> None:
    """A question a batch, some, all. Fails if a row's company shows in its numbers, or a question is lost between batches."""
    model, rows = text_model("llama")
    rows = with_answers(rows)
    whole = score(model, rows, job=Job())
    other = score(model, rows, job=Job(), budget=budget)
    assert other.keys == whole.keys
    for name in COLUMNS:
        np.testing.assert_allclose(getattr(other, name), getattr(whole, name), rtol=0, atol=1e-5)
    assert np.mean(other.rank != whole.rank) < 0.05  # float noise orders two words that are alike


def test_moments_by_hand() -> None:
    """p = (1/2, 1/4, 1/4): E log p = -3/2 ln 2; E (log p)^2 = 5/2 ln^2 2, so the variance is 1/4 ln^2 2.

    Fails if the variance is the second moment, or moments are not weighted with p.
    """
    logits = torch.tensor([[0.5, 0.25, 0.25]]).log().add(7.0)
    log_p, mean, variance, rank = position_numbers(logits, torch.tensor([2]))
    assert log_p.item() == pytest.approx(-2 * math.log(2))
    assert mean.item() == pytest.approx(-1.5 * math.log(2))
    assert variance.item() == pytest.approx(0.25 * math.log(2) ** 2)
    assert rank.item() == 2


def test_ranks_under_ties_are_arg_maxes() -> None:
    """Of equal logits the lower index stands first. Fails if a model with all logits equal is right everywhere (rank 0)."""
    logits = torch.tensor([[1.0, 3.0, 3.0, 3.0], [0.0, 0.0, 0.0, 0.0], [5.0, 1.0, 9.0, 1.0]])
    targets = torch.tensor([[1, 2, 3, 0], [0, 1, 2, 3], [2, 0, 1, 3]])
    ranks = [position_numbers(logits[i].expand(4, -1), targets[i])[3].tolist() for i in range(3)]
    assert ranks == [[0, 1, 2, 3], [0, 1, 2, 3], [0, 1, 2, 3]]
    assert all(int(logits[i].argmax()) == int(targets[i][0]) for i in range(3))


def test_variance_is_never_below_zero_nor_lost_in_rounding() -> None:
    """E x^2 - (E x)^2 of two numbers near 900 loses all digits in float32. Fails if the variance is computed that way."""
    logits = torch.tensor([[0.0, -900.0], [0.0, 0.0]])
    variance = position_numbers(logits, torch.tensor([0, 1]))[2]
    assert variance.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("split_head", [True, False])
def test_logits_are_reduced_in_chunks(monkeypatch: pytest.MonkeyPatch, split_head: bool) -> None:
    """Three positions' logits at a time, and each predicted token once. Fails if a chunk's end falls wrong or answers swap numbers."""
    model, rows = text_model("llama")
    rows = with_answers(rows)
    wanted = plainly(model, rows)
    model.split_head = split_head
    heads: list[int] = []
    model.module.get_output_embeddings().register_forward_pre_hook(lambda _, args: heads.append(args[0].shape[0]))
    monkeypatch.setattr(engine, "CHUNK", 3 * model.module.config.vocab_size)
    compare(score(model, rows, job=Job()), wanted, 1e-5)
    if split_head:
        scored = sum(len(columns["rank"]) for columns in wanted.values())
        distinct = set()
        for row in rows:
            for answer in answers_of(row).values():
                code = model.tokens.encode(row["prompt"], answer)
                distinct |= {(row.id, code.ids[:n]) for n in range(code.first + 1, len(code.ids) + 1)}
        assert sum(heads) == len(distinct) < scored
        assert max(heads) == 3


def test_a_large_vocabulary_bounds_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if 4,096 positions of a vocabulary of 150,000 (2.5 GB of logits) run at once."""
    model, rows = text_model("llama")
    widest = max(max(p.shape) for p in model.module.parameters())
    costs = [model.question_cost(question) for question in model.questions(rows)]
    monkeypatch.setattr(engine, "MOST_LOGITS", (max(costs) + 30) * widest)
    assert most_positions(model) == max(costs) + 30 < sum(costs)
    seen: list[int] = []
    real = type(model).pack_questions

    def note(self: Any, questions: Any) -> Any:
        seen.append(sum(self.question_cost(question) for question in questions))
        return real(self, questions)

    monkeypatch.setattr(type(model), "pack_questions", note)
    score(model, rows, job=Job())
    assert sum(seen) == sum(costs)
    assert max(seen) <= max(costs) + 30


def test_a_classifiers_scores() -> None:
    """One position a row, with the arg-max's own probability. Fails if `top` is the label's, or a label counts as an end."""
    model = tabular_model("mlp", features=Features(width=2), task=Classification(classes=3), seed=0)
    rows = Rows(tuple(Row(id=str(i), fields={"features": [i - 1.0, 2.0 - i], "label": i % 3}) for i in range(5)))
    found = score(model, rows, job=Job())
    logs = model.module(torch.tensor([row["features"] for row in rows])).double().log_softmax(-1).detach().numpy()
    labels = np.array([row["label"] for row in rows])
    np.testing.assert_allclose(found.log_prob, logs[np.arange(5), labels], atol=1e-6)
    assert found.top is not None
    np.testing.assert_allclose(found.top, logs.max(1), atol=1e-6)
    np.testing.assert_array_equal(found.rank == 0, logs.argmax(1) == labels)
    assert not found.is_end.any()
    assert found.keys == tuple((row.id, "label") for row in rows)


def test_no_rows_no_scores() -> None:
    """Fails if an empty split breaks the pass."""
    model, _ = text_model("llama")
    assert len(score(model, [], job=Job())) == 0


def test_batches_hold_the_budget_and_every_question() -> None:
    """Costs 9 8 5 4 3 1 under 10: [9] [8] [5 4] [3 1]. Fails if a batch runs over, or order of length is lost."""

    class Costs:
        def question_cost(self, question: Any) -> int:
            return int(question)

    questions: Any = [4, 9, 1, 8, 3, 5]
    assert batches(Costs(), questions, 10) == [[1], [3], [5, 0], [4, 2]]  # type: ignore[arg-type]


def test_the_body_runs_the_positions_that_a_batch_says() -> None:
    """Tokens counted at the body's door. Fails if `positions` leaves padding out, or prompts run once an answer after all."""
    model, rows = text_model("llama")
    questions = model.questions(with_answers(rows))
    ran: list[int] = []
    handle = model.module.base_model.register_forward_pre_hook(
        lambda _, args, kwargs: ran.append(kwargs["input_ids"].numel()), with_kwargs=True
    )
    batch = model.pack_questions(questions)
    model.logits(batch)
    handle.remove()
    assert ran == [batch.positions]
    assert sum(map(model.question_cost, questions)) <= batch.positions


def test_positions_on_real_tofu(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """forget05 (1 + 1 + 5 answers a row), retain_perturbed, real_authors, world_facts: the positions of all batches that the pass packs.

    The shared-prefix minimum is each question's common token prefix once, and each answer's rest without its last token; answers
    that begin alike share still more. Fails if only prompts are shared (1.15 times as many), prompts run once an answer (1.6
    times), or batches mix lengths (above 1.05).
    """
    found = Tofu(data=str(shared_data / "tofu"), forget_size="05").run()
    texts = [f"{row['prompt']} {row['answer']}" for row in found["retain"][:400]]
    sizes = {"hidden_size": 4, "intermediate_size": 4, "num_hidden_layers": 1, "num_attention_heads": 1}
    model = new_text_model(train_tokenizer(texts, 2000), "llama", {**sizes, "max_position_embeddings": 1024}, seed=0)
    ran: list[int] = []

    def note(self: Any, batch: Any, reduce: Any, *, most: int) -> Any:
        ran.append(batch.positions)
        return (batch.targets.float(),) * 4

    monkeypatch.setattr(type(model), "reduce_logits", note)
    least = shared = plain = 0
    names = ("forget", "retain_perturbed", "real_authors", "world_facts")
    for name in names:
        scores = score(model, found[name], job=Job())
        assert len(scores) == sum(len(answers_of(row)) for row in found[name])
        for row in found[name]:
            codes = [model.tokens.encode(row["prompt"], answer).ids[:-1] for answer in answers_of(row).values()]
            parting = (t for t, column in enumerate(zip(*codes, strict=False)) if len(set(column)) > 1)
            prefix = next(parting, min(map(len, codes)))
            shared += prefix + sum(len(ids) - prefix for ids in codes)
            least += len({ids[:n] for ids in codes for n in range(1, len(ids) + 1)})
            plain += sum(map(len, codes))
    assert [len(found[name]) for name in names] == [200, 400, 100, 117]
    assert plain > 1.5 * least
    assert shared > 1.1 * least
    assert least <= sum(ran) <= 1.05 * least, sum(ran) / least
