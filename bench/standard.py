"""The standard framework's TOFU evaluation of forget05, run by its own code: which passes it makes, and what they give row by row."""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from expunge.facts.rows import Row, Rows
from expunge.modalities.text import TextModel
from expunge.modalities.text_tokens import answers_of

BATCH = 32
NEW_TOKENS = 200
SMALLEST = 0.4
"""Its default share of tokens in min-k and min-k++."""
SPLITS = ("forget", "holdout", "retain_perturbed", "real_authors", "world_facts")
SAID = ("forget", "retain_perturbed", "real_authors", "world_facts")
Key = tuple[str, str, str]
"""Number, split, answer."""
Values = dict[Key, np.ndarray]


@dataclass(frozen=True)
class Framework:
    """The modules that make its metrics, and its collator."""

    memorisation: Any
    attacks: Mapping[str, Any]
    collator: Any


def framework(checkout: Path) -> Framework:
    """Return the framework's own metric code; only omegaconf and its data loading, which need the network, are stood in for."""
    omegaconf, data = types.ModuleType("omegaconf"), types.ModuleType("data")
    omegaconf.OmegaConf = types.SimpleNamespace(to_container=lambda given, resolve: dict(given))  # type: ignore[attr-defined]
    data.__path__ = [str(checkout / "src/data")]
    data.get_datasets = data.get_collators = None  # type: ignore[attr-defined]
    utils = types.ModuleType("data.utils")
    utils.IGNORE_INDEX = -100  # type: ignore[attr-defined]
    sys.modules |= {"omegaconf": omegaconf, "data": data, "data.utils": utils}
    for name in ("evals", "evals.metrics", "evals.metrics.mia"):
        package = types.ModuleType(name)
        package.__path__ = [str(checkout / "src" / name.replace(".", "/"))]
        sys.modules[name] = package
    load = importlib.import_module
    classes = {
        "min_k": "MinKProbAttack",
        "min_k_plus_plus": "MinKPlusPlusAttack",
        "loss": "LOSSAttack",
        "zlib": "ZLIBAttack",
        "reference": "ReferenceAttack",
        "gradnorm": "GradNormAttack",
    }
    return Framework(
        load("evals.metrics.memorization"),
        {name: getattr(load(f"evals.metrics.mia.{name}"), cls) for name, cls in classes.items()},
        load("data.collators").DataCollatorForSupervisedDataset,
    )


def items(model: TextModel, rows: Sequence[Row], answers: Sequence[str]) -> list[dict[Any, Any]]:
    """Return rows as its dataset gives them, tokenised beforehand; several answers of a row make a nested item."""
    found: list[dict[Any, Any]] = []
    for index, row in enumerate(rows):
        nested = {}
        for answer in answers:
            code = model.tokens.encode(str(row["prompt"]), answers_of(row)[answer])
            labels = [-100] * code.first + list(code.ids[code.first :])
            nested[answer] = {"input_ids": torch.tensor(code.ids), "labels": torch.tensor(labels), "index": index}
        found.append(nested if len(nested) > 1 else nested[answers[0]])
    return found


def prompts(model: TextModel, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return prompts as its dataset gives them for generation."""
    found = []
    for index, row in enumerate(rows):
        ids = model.tokens.prompt_ids(str(row["prompt"]))
        whole = model.tokens.encode(str(row["prompt"]), str(row["answer"])).ids
        found.append({"input_ids": torch.tensor(ids), "labels": torch.tensor(whole), "index": index})
    return found


@dataclass(frozen=True)
class Standard:
    """Its evaluation of one model; each part returns numbers a row, in row order."""

    code: Framework
    model: TextModel
    reference: TextModel
    rows: Mapping[str, Rows]

    def parts(self) -> dict[str, Callable[[], Values]]:
        """Return the parts of the suite: what runs by default, what all metrics add, generation, gradient norms."""
        return {
            "default": partial(self._run, self._default),
            "added by all": partial(self._run, self._added),
            "generation": partial(self._run, self._generation),
            "gradient norms": partial(self._run, self._norms),
        }

    def _run(self, part: Callable[[], Iterator[tuple[Key, np.ndarray]]]) -> Values:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return dict(part())

    def _default(self) -> Iterator[tuple[Key, np.ndarray]]:
        wrong = tuple(f"perturbed_answer/{i}" for i in range(5))
        for split in ("forget", "retain_perturbed"):
            for answers in (("answer",), ("paraphrased_answer",), wrong):
                yield from self._losses(split, answers)
        for split in ("real_authors", "world_facts"):
            for answers in (("answer",), wrong[:3]):
                yield from self._losses(split, answers)
        yield from self._memorised("extraction_strength")
        yield from self._attack("min_k", k=SMALLEST)

    def _added(self) -> Iterator[tuple[Key, np.ndarray]]:
        yield from self._memorised("exact_memorization")
        yield from self._attack("min_k_plus_plus", k=SMALLEST)
        yield from self._attack("loss")
        yield from self._attack("zlib", tokenizer=self.model.tokens.tokenizer)
        yield from self._attack("reference", reference_model=self.reference.module)

    def _generation(self) -> Iterator[tuple[Key, np.ndarray]]:
        settings = {"do_sample": False, "top_p": None, "temperature": None, "max_new_tokens": NEW_TOKENS}
        for split in SAID:
            found = self.code.memorisation.rouge._metric_fn(
                self.model.module,
                tokenizer=self.model.tokens.tokenizer,
                data=prompts(self.model, self.rows[split]),
                collators=self.code.collator(self.model.tokens.tokenizer, "left", "index"),
                batch_size=BATCH,
                generation_args={**settings, "use_cache": True},
                rouge_type="rougeL_recall",
            )
            recalls = [value["rougeL_recall"] for value in found["value_by_index"].values()]
            yield ("rouge", split, "answer"), np.array(recalls)

    def _norms(self) -> Iterator[tuple[Key, np.ndarray]]:
        yield from self._attack("gradnorm", batch_size=1, p=2)

    def _losses(self, split: str, answers: tuple[str, ...]) -> Iterator[tuple[Key, np.ndarray]]:
        found = self.code.memorisation.probability._metric_fn(self.model.module, **self._given(split, answers))
        table = np.array([np.atleast_1d(value["avg_loss"]) for value in found["value_by_index"].values()])
        for answer, column in zip(answers, table.T, strict=True):
            yield ("mean loss", split, answer), column

    def _memorised(self, name: str) -> Iterator[tuple[Key, np.ndarray]]:
        metric = getattr(self.code.memorisation, name)
        found = metric._metric_fn(self.model.module, **self._given("forget", ("answer",)))
        yield (name, "forget", "answer"), np.array([value["score"] for value in found["value_by_index"].values()])

    def _attack(self, name: str, batch_size: int = BATCH, **more: Any) -> Iterator[tuple[Key, np.ndarray]]:
        for split in ("forget", "holdout"):
            given = self._given(split, ("answer",))
            attack = self.code.attacks[name](
                self.model.module, given["data"], given["collators"], batch_size=batch_size, **more
            )
            found = attack.attack()["value_by_index"].values()
            yield (name, split, "answer"), np.array([value["score"] for value in found])

    def _given(self, split: str, answers: Sequence[str]) -> dict[str, Any]:
        data = items(self.model, self.rows[split], answers)
        collator = self.code.collator(self.model.tokens.tokenizer, "right", "index")
        return {"data": data, "collators": collator, "batch_size": BATCH}
