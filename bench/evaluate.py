"""Teacher-forced evaluation beside the standard framework's: python bench/evaluate.py CHECKOUT --data TOFU_FOLDER [--all].

CHECKOUT is a clone of locuslab/open-unlearning; its own per-batch functions are run, unchanged, over the passes that its TOFU
evaluation makes on forget05: every metric is a pass of its own over rows in data order, 32 a batch, padded on the right. Ours is
the one pass over the same rows and answers. Both sides score the same fp32 model of about 8M parameters on one thread; times are
processor time of whole passes, each side tokenised beforehand. Forward calls, padded positions and logit positions are counted in
the same run and do not depend on the machine. Losses of every answer must agree to 1e-4 before any ratio is printed.

With --all the passes of all likelihood metrics are run (exact memorisation, min-k++, loss, zlib, reference beside the default
ones); gradient norms and generation are not teacher-forced passes and stay out.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from expunge.contract.job import Job
from expunge.engine.score import batches, score
from expunge.facts.rows import Row, Rows
from expunge.modalities.text import TextModel
from expunge.modalities.text_build import new_text_model, train_tokenizer
from expunge.modalities.text_tokens import answers_of
from expunge.sources.tofu import Tofu

SHAPE = {
    "hidden_size": 256,
    "intermediate_size": 704,
    "num_hidden_layers": 7,
    "num_attention_heads": 8,
    "tie_word_embeddings": True,
    "max_position_embeddings": 512,
}
BATCH = 32
SPLITS = ("forget", "holdout", "retain_perturbed", "real_authors", "world_facts")


@dataclass(frozen=True)
class Pass:
    """One pass of the peer: which function, over which answers of which rows, and how many forwards a batch it makes."""

    name: str
    function: str
    split: str
    answers: tuple[str, ...]


def passes(everything: bool) -> list[Pass]:
    """Return the peer's passes for forget05: its default TOFU metrics, or all likelihood metrics."""
    perturbed = tuple(f"perturbed_answer/{i}" for i in range(5))
    options = perturbed[:3]
    probability, tokens, vocabulary = "evaluate_probability", "tokenwise_logprobs", "tokenwise_vocab_logprobs"
    found = [Pass("forget_Q_A_Prob", probability, "forget", ("answer",))]
    for split in ("forget", "retain_perturbed"):
        found.append(Pass(f"{split}_Q_A_PARA_Prob", probability, split, ("paraphrased_answer",)))
        found.append(Pass(f"{split}_Q_A_PERT_Prob", probability, split, perturbed))
    found.append(Pass("retain_Q_A_Prob", probability, "retain_perturbed", ("answer",)))
    for split in ("real_authors", "world_facts"):
        found.append(Pass(f"{split}_Q_A_Prob", probability, split, ("answer",)))
        found.append(Pass(f"{split}_Q_A_PERT_Prob", probability, split, options))
    found.append(Pass("extraction_strength", vocabulary, "forget", ("answer",)))
    attacks = [("mia_min_k", (tokens,))]
    if everything:
        found.append(Pass("exact_memorization", vocabulary, "forget", ("answer",)))
        attacks += [
            ("mia_min_k_plus_plus", (vocabulary, tokens)),
            ("mia_loss", (probability,)),
            ("mia_zlib", (probability,)),
        ]
        attacks += [("mia_reference", (probability, probability))]
    for name, functions in attacks:
        for split in ("forget", "holdout"):
            found.extend(Pass(f"{name}_{split}", function, split, ("answer",)) for function in functions)
    return found


def peer_functions(checkout: Path) -> Any:
    """Return the peer's module of per-batch functions, with its heavy imports (omegaconf, datasets) stood in for."""
    stand_in, data, utils = types.ModuleType("omegaconf"), types.ModuleType("data"), types.ModuleType("data.utils")
    stand_in.OmegaConf = object  # type: ignore[attr-defined]
    utils.IGNORE_INDEX = -100  # type: ignore[attr-defined]
    sys.modules |= {"omegaconf": stand_in, "data": data, "data.utils": utils}
    for name, path in (("evals", "src/evals"), ("evals.metrics", "src/evals/metrics")):
        package = types.ModuleType(name)
        package.__path__ = [str(checkout / path)]
        sys.modules[name] = package
    return importlib.import_module("evals.metrics.utils")


def collate(model: TextModel, rows: Sequence[Row], answer: str) -> dict[str, Tensor]:
    """Return rows as the peer's collator gives them: padded on the right, labels -100 before the answer."""
    codes = [model.tokens.encode(str(row["prompt"]), answers_of(row)[answer]) for row in rows]
    ids = [torch.tensor(code.ids) for code in codes]
    labels = [torch.tensor([-100] * code.first + list(code.ids[code.first :])) for code in codes]
    stacked = pad_sequence(ids, batch_first=True, padding_value=model.tokens.eos)
    lengths = torch.tensor([len(one) for one in ids])
    # the peer masks by `ids != pad`, which hides real end tokens where pad is eos; the cost is the same
    mask = (torch.arange(stacked.shape[1])[None] < lengths[:, None]).long()
    return {
        "input_ids": stacked,
        "attention_mask": mask,
        "labels": pad_sequence(labels, batch_first=True, padding_value=-100),
    }


@dataclass
class Count:
    """Forward calls, positions the body ran and positions the head ran."""

    calls: int = 0
    body: int = 0
    head: int = 0

    def watch(self, module: Any) -> list[Any]:
        """Count from now on; returns handles to remove."""
        body = module.get_input_embeddings().register_forward_hook(lambda *given: self._body(given[1][0]))
        head = module.get_output_embeddings().register_forward_hook(lambda *given: self._head(given[1][0]))
        return [body, head]

    def _body(self, ids: Tensor) -> None:
        self.calls, self.body = self.calls + 1, self.body + ids.numel()

    def _head(self, hidden: Tensor) -> None:
        self.head += hidden.numel() // hidden.shape[-1]


def run_peer(
    functions: Any, todo: Sequence[Pass], model: TextModel, rows: dict[str, Rows]
) -> dict[tuple[str, str], float]:
    """Run every pass and return the mean loss of each (row, answer) that a probability pass gave."""
    found = {}
    for one in todo:
        call: Callable[..., Any] = getattr(functions, one.function)
        split = rows[one.split]
        for begin in range(0, len(split), BATCH):
            part = split.items[begin : begin + BATCH]
            for answer in one.answers:
                values = call(model.module, collate(model, part, answer))
                if one.function == "evaluate_probability":
                    found |= {(row.id, answer): value["avg_loss"] for row, value in zip(part, values, strict=True)}
    return found


def run_own(model: TextModel, rows: dict[str, Rows]) -> dict[tuple[str, str], float]:
    """Run the one pass over every split and return the mean loss of each (row, answer)."""
    found = {}
    for split in SPLITS:
        scores = score(model, rows[split], job=Job())
        found |= dict(zip(scores.keys, (-scores.mean_log_prob()).tolist(), strict=True))
    return found


def least_positions(model: TextModel, rows: dict[str, Rows]) -> Iterator[int]:
    """Yield, a split, the positions that suffice when each question's common token prefix is run once."""
    for split in SPLITS:
        questions = model.questions(rows[split])
        yield sum(model.question_cost(questions[i]) for batch in batches(model, questions, 4096) for i in batch)


def timed(count: Count, model: TextModel, call: Callable[[], Any]) -> tuple[float, Any]:
    """Return processor seconds and the result of a call, its positions counted."""
    handles = count.watch(model.module)
    start = time.process_time()
    found = call()
    spent = time.process_time() - start
    for handle in handles:
        handle.remove()
    return spent, found


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--vocabulary", type=int, default=8192)
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = Tofu(data=str(given.data)).run()
    texts = [f"{row['prompt']} {row['answer']}" for row in rows["retain"]]
    model = new_text_model(train_tokenizer(texts, given.vocabulary), "llama", SHAPE, seed=0)
    functions, todo = peer_functions(given.checkout), passes(given.all)
    for split in SPLITS:  # both sides keep their tokens
        for question in model.questions(rows[split]):
            model.question_cost(question)
    theirs, own = Count(), Count()
    run_own(model, {split: rows[split][:32] for split in SPLITS})  # warm up
    peer_seconds, peer = timed(theirs, model, lambda: run_peer(functions, todo, model, rows))
    own_seconds, ours = timed(own, model, lambda: run_own(model, rows))
    worst = max(abs(value - ours[key]) for key, value in peer.items())
    if worst > 1e-4:
        sys.exit(f"mean losses differ by up to {worst:.2g}: no ratio is printed")
    minimum = sum(least_positions(model, rows))
    size = sum(parameter.numel() for parameter in model.module.parameters())
    print(f"{size / 1e6:.1f}M parameters, {len(peer)} answers, largest difference of a mean loss {worst:.2g}")
    print(f"{'':12}{'calls':>8}{'positions':>12}{'logit positions':>18}{'seconds':>10}")
    for name, count, seconds in (("peer", theirs, peer_seconds), ("own", own, own_seconds)):
        print(f"{name:12}{count.calls:8}{count.body:12}{count.head:18}{seconds:10.2f}")
    ratios = (theirs.calls / own.calls, theirs.body / own.body, theirs.head / own.head, peer_seconds / own_seconds)
    print(f"{'ratio':12}{ratios[0]:8.2f}{ratios[1]:12.2f}{ratios[2]:18.2f}{ratios[3]:10.2f}")
    print(f"shared-prefix minimum {minimum} positions; own runs {own.body / minimum:.3f} times it")


if __name__ == "__main__":
    main()
