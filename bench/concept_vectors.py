"""What is left of a concept's vectors: python bench/concept_vectors.py --out FOLDER. Makes the models and prints the tables.

A metric is handed numbers and an attack is run on the control too; value vectors of two models compare only where one came from the
other. So this stands beside the pipeline: it holds target and unlearned model at once. Measurements are kept under --out, one file a
concept and seed: a run that was stopped goes on where it was, and two runs may share the work by --seeds.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from expunge.contract.apply import undisturbed, unlearn
from expunge.contract.evidence import Evidence
from expunge.contract.job import Job
from expunge.contract.model import Generator, Model
from expunge.contract.registry import find as unit_of
from expunge.contract.splits import Splits
from expunge.contract.units import Probe
from expunge.engine.concept_vectors import Found, Search, concept_tokens, falls, find, specificity
from expunge.engine.fit import fit
from expunge.engine.score import score
from expunge.engine.value_vectors import Outputs, Place, changes, columns, disturb
from expunge.facts.rows import Row, Rows
from expunge.modalities.text_build import new_text_model
from expunge.pipeline.loading import quieten
from expunge.sources.people import People
from expunge.statistics.answers import said_successes
from expunge.testbeds.text import RECIPE, SIZES, world_tokenizer

CONCEPTS = ("favourite_dish", "first_pet")
"""Relations whose values no other relation has."""
WIDE = {**SIZES, "intermediate_size": 256}
PEOPLE, RELATIONS, EPOCHS, TOKENS = 24, 8, 60, 24
COUNTS, TAKEN = (1, 2, 4, 8, 16), 8
NOISES = (2.0, 4.0, 8.0, 16.0)
SEARCH = Search(vectors=COUNTS[-1])
NEEDLE_LR = 0.2
"""Of gradient ascent on the vectors alone; the paper's grid is 0.1 to 0.5."""
METHODS = ("ascent", "npo", "dpo")
ATTACKS: dict[str, dict[str, Any]] = {
    "paraphrase": {"item_control": False},
    "in_context": {"forms": ("fact",), "item_control": False},
    "relearning": {"item_control": False},
}


@dataclass(frozen=True)
class World:
    """One world, one concept to forget in it, and how its models are trained."""

    seed: int
    concept: str
    splits: Splits

    @classmethod
    def of(cls, seed: int, concept: str) -> World:
        """Make people; forget is every row of one relation, retain every other row."""
        made = People(people=PEOPLE, forget_people=1, holdout_people=0, relations=RELATIONS, ledger=0, seed=seed).run()
        rows = [*made["forget"], *made["retain"]]

        def having(wanted: bool) -> Rows:
            return Rows(tuple(row for row in rows if (_relation(row) == concept) == wanted))

        return cls(seed, concept, Splits.of(forget=having(True), retain=having(False)))

    def train(self, rows: Sequence[Row], start: int) -> Model:
        """Train a model from the weights drawn under `start`."""
        blank = new_text_model(world_tokenizer(), "llama", WIDE, seed=start)
        recipe = RECIPE.model_copy(update={"seed": self.seed, "epochs": EPOCHS})
        model = fit(blank, Rows(tuple(rows)), recipe, job=Job(seed=self.seed), label="training")
        model.module.train(False)
        return model

    def everything(self) -> list[Row]:
        """Return the target's rows in an order that does not depend on the concept."""
        rows = (*self.splits.rows["forget"], *self.splits.rows["retain"])
        return sorted(rows, key=lambda row: row.id)

    def some_retain(self) -> Rows:
        """Return every fifth retain row, for what is asked of many models."""
        retain = self.splits.rows["retain"]
        return retain.take(range(0, len(retain), 5))


def _relation(row: Row) -> str:
    return str(row["fact"]).rpartition("/")[2]


def recall(model: Model, rows: Rows) -> float:
    """Return the share of rows whose value the model says."""
    return float(said_successes(rows, said(model, rows), 0.8).mean())


def said(model: Model, rows: Rows) -> list[str]:
    """Return what a model answers."""
    return cast(Generator, model).generate(rows, max_new_tokens=TOKENS)


def noised(target: Model, places: Sequence[Place], seed: int, noise: float = SEARCH.noise) -> Model:
    """Return a copy with noise on some vectors."""
    model, drawn = target.copy(), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        vectors = [Outputs.of(model).at(place) for place in places]
        for vector, new in zip(vectors, disturb(vectors, noise, drawn), strict=True):
            vector.copy_(new)
    return model


def subjects(
    world: World, target: Model, found: Sequence[Place], drawn: Sequence[Place]
) -> Iterator[tuple[str, Model]]:
    """Yield every model by name."""
    splits, seed = world.splits, world.seed
    yield "do nothing", target
    yield "retrained, same start", world.train(splits.rows["retain"], seed)
    yield "retrained, other start", world.train(splits.rows["retain"], seed + 500)
    for name in METHODS:
        yield name, unlearn(unit_of("method", name).create(), target, splits, job=Job(seed=seed))[0]
    only = columns(target, found[:TAKEN])
    ascent = unit_of("method", "ascent").create({"lr": NEEDLE_LR})
    yield "ascent on the vectors", unlearn(ascent, target, splits, job=Job(seed=seed, mask=only))[0]
    yield "noise on the vectors", noised(target, found[:TAKEN], seed)
    yield "noise on random vectors", noised(target, drawn[:TAKEN], seed)


def attacked(world: World, name: str, model: Model) -> dict[str, float]:
    """Return the mean success of every attack."""
    forget, job = world.splits.rows["forget"], Job(seed=world.seed)
    probe = Probe(
        model=model.copy,
        splits=world.splits,
        generator=job.generator,
        score=lambda other, rows: score(other, rows, job=job),
        generate=said,
        job=job,
    )
    evidence, values = Evidence(name=name, role="unlearned", modality="text", rows={"forget": forget}), {}
    for attack, settings in ATTACKS.items():
        with undisturbed(world.seed):
            outcome = unit_of("attack", attack).create(settings).run(evidence, probe)
        if outcome.unscored is not None:
            raise RuntimeError(f"{attack} on {name}: {outcome.unscored}")
        values[attack] = float(np.mean(outcome.forget))
    return values


def measure(seed: int, concept: str) -> dict[str, Any]:
    """Return everything measured of one concept in one world."""
    from scipy.stats import spearmanr

    world = World.of(seed, concept)
    target, splits, few = world.train(world.everything(), seed), world.splits, world.some_retain()
    found = find(target, splits.rows["forget"], splits.rows["retain"], SEARCH, Job(seed=seed))
    every = Outputs.of(target).places()
    drawn = random.Random(f"{seed}/{concept}").sample(every, COUNTS[-1])
    places = [one.place for one in found]
    models: dict[str, Any] = {}
    for name, model in subjects(world, target, places, drawn):
        change = [asdict(one) for one in changes(target, model, places[:TAKEN], SEARCH.top_k)]
        own = {key: float(np.mean([one[key] for one in change])) for key in change[0]}
        own |= {"forget": recall(model, splits.rows["forget"]), "retain": recall(model, splits.rows["retain"])}
        models[name] = own | attacked(world, name, model)
        print(f"{time.strftime('%H:%M:%S')} {seed} {concept} {name}", flush=True)

    def asked(count: int, noise: float) -> list[float]:
        copies = [noised(target, at[:count], seed, noise) for at in (places, drawn)]
        return [recall(model, rows) for model in copies for rows in (splits.rows["forget"], few)]

    fell = falls(target, every, SEARCH.noise, (splits.rows["forget"], few), Job(seed=seed + 1))
    effect = (fell[:, 0] - fell[:, 1]).tolist()
    tokens = concept_tokens(target, splits.rows["forget"], splits.rows["retain"], SEARCH.contrast)
    shares = specificity(target, torch.cat(Outputs.of(target).matrices), tokens, SEARCH.top_k)
    best = sorted(range(len(every)), key=lambda i: -effect[i])[:TAKEN]
    return {
        "models": models,
        "counts": [asked(count, SEARCH.noise) for count in COUNTS],
        "noises": [asked(TAKEN, noise) for noise in NOISES],
        "found": [_shown(one) for one in found[:TAKEN]],
        "words and effect": float(spearmanr(shares.tolist(), effect)[0]),
        "best on the shortlist": sum(every[i] in places for i in best),
        "tried": len(found),
        "vectors": len(every),
    }


def _shown(one: Found) -> list[Any]:
    return [f"{one.place.block}/{one.place.unit}", one.share, one.forget_fall, one.retain_fall]


def _cell(values: Sequence[float]) -> str:
    return f"{np.mean(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def tables(every: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Yield the report over all concepts and seeds: means with their least and most."""
    first = next(iter(every.values()))
    keys = ("forget", "retain", *ATTACKS, "cosine", "distance", "jaccard")
    yield f"| model | {' | '.join(keys)} |\n|{'---|' * (len(keys) + 1)}"
    for name in first["models"]:
        cells = [_cell([one["models"][name][key] for one in every.values()]) for key in keys]
        yield f"| {name} | {' | '.join(cells)} |"
    for title, steps in (("counts", COUNTS), ("noises", NOISES)):
        yield f"\n| {title} | forget | retain | random: forget | random: retain |\n|---|---|---|---|---|"
        for i, step in enumerate(steps):
            cells = [_cell([one[title][i][column] for one in every.values()]) for column in range(4)]
            yield f"| {step:g} | {' | '.join(cells)} |"
    yield f"\n| seed, concept | tried | of the {TAKEN} best | words and effect | first: words, falls |\n|---|---|---|---|---|"
    for name, one in every.items():
        shown = "; ".join(
            f"{at} {share:.2f} {forget:.2f} {retain:.2f}" for at, share, forget, retain in one["found"][:3]
        )
        told = f"{one['tried']} of {one['vectors']} | {one['best on the shortlist']} | {one['words and effect']:.2f}"
        yield f"| {name} | {told} | {shown} |"


def contrasts(every: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Yield differences between models with 95% t intervals over worlds, the concepts of a world averaged first."""
    from scipy.stats import t

    found, drawn = "noise on the vectors", "noise on random vectors"
    pairs = [(drawn, found, key) for key in ("forget", "retain", "paraphrase", "relearning")] + [
        (found, "npo", "relearning")
    ]
    columns = {
        f"{key}: {one} minus {other}": [
            cell["models"][one][key] - cell["models"][other][key] for cell in every.values()
        ]
        for one, other, key in pairs
    }
    for name in (found, drawn):
        columns[f"retain minus forget: {name}"] = [
            cell["models"][name]["retain"] - cell["models"][name]["forget"] for cell in every.values()
        ]
    yield "\n| difference | mean over worlds (95%) | cells above 0 |\n|---|---|---|"
    for name, values in columns.items():
        worlds = np.reshape(values, (-1, len(CONCEPTS))).mean(1)
        half = t.ppf(0.975, len(worlds) - 1) * worlds.std(ddof=1) / len(worlds) ** 0.5 if len(worlds) > 1 else np.inf
        above = sum(value > 0 for value in values)
        yield f"| {name} | {worlds.mean():.2f} ({worlds.mean() - half:.2f} to {worlds.mean() + half:.2f}) | {above} of {len(values)} |"
    least = min(cell["models"][name]["cosine"] for cell in every.values() for name in ("ascent", "npo", "dpo"))
    yield f"\nLeast cosine under ascent, npo and dpo: {least:.3f}."


def kept(place: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what a file holds, made once."""
    if not place.exists():
        fresh = place.with_suffix(".new")
        fresh.write_text(json.dumps(make(), indent=1))
        fresh.rename(place)
    value: dict[str, Any] = json.loads(place.read_text())
    return value


def main() -> None:
    """Measure every concept in every world and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", default="0-4", help="first and last seed of the worlds")
    given = parser.parse_args()
    torch.set_num_threads(1)
    quieten()
    given.out.mkdir(parents=True, exist_ok=True)
    first, last = map(int, given.seeds.split("-"))
    every = {
        f"{seed}, {concept}": kept(given.out / f"{seed}-{concept}.json", partial(measure, seed, concept))
        for seed in range(first, last + 1)
        for concept in CONCEPTS
    }
    lines = [*tables(every), *contrasts(every)]
    (given.out / "table.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
