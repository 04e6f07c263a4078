"""Forget every skill in turn: python bench/skills.py --out FOLDER. Prints what each removal left, and the task-by-task matrices.

One store: all skills share the target, and a run that was stopped goes on where it was. A page a skill stands under --out.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean

import torch

from expunge.benchmarks.skills import METHODS, SkillsBenchmark
from expunge.facts.record import Record
from expunge.facts.score import Score
from expunge.pipeline.benchmark import benchmark_plan
from expunge.pipeline.columns import value_of
from expunge.pipeline.loading import quieten
from expunge.pipeline.run import run_plan
from expunge.report.page import write
from expunge.statistics.intervals import wilson
from expunge.store.store import Store

ASKED = {
    "given": "skill_accuracy:forget",
    "unseen": "skill_accuracy:forget/unseen",
    "carried over": "skill_transfer:forget/carried",
    "others (test)": "skill_accuracy:test",
    "probe": "linear_probe:success",
}
"""What is shown of every model, by column."""


def score_of(record: Record, model: str, column: str) -> Score | None:
    """Return a metric's score with its interval; None where it was not measured."""
    metric, _, split = column.partition(":")
    found = (one.score for one in record.measurements if (one.metric, one.model, one.split) == (metric, model, split))
    return next(found, None)


def cell(records: Sequence[Record], model: str, column: str) -> str:
    """Return one number with an interval: over rows where there is one record, else the range over seeds; of an attack, a share's."""
    if len(records) > 1:
        values = [value for value in (value_of(record, model, column) for record in records) if value is not None]
        shown = f"{mean(values):.2f} [{min(values):.2f}, {max(values):.2f}]" if values else "unscored"
        return shown if len(values) in (0, len(records)) else f"{shown} of {len(values)}"
    score = score_of(records[0], model, column)
    if score is not None and score.value is not None:
        return f"{score.value:.2f} [{score.low:.2f}, {score.high:.2f}]"
    hits = [
        o.forget for o in records[0].outcomes if o.attack == column.partition(":")[0] and o.model == model and o.forget
    ]
    if score is not None or not hits:
        return "unscored"
    interval = wilson(sum(hits[0]), len(hits[0]))
    return f"{mean(hits[0]):.2f} [{interval.low:.2f}, {interval.high:.2f}]"


def of_method(records: Sequence[Record], method: str) -> list[Record]:
    """Return the records of one method, a seed each."""
    return [record for record in records if record.method.name == method]


def left(found: Mapping[str, Sequence[Record]], methods: Sequence[str]) -> Iterator[str]:
    """Yield the table of what every removal left of its skill."""
    yield "| forgotten | model | chance | " + " | ".join(ASKED) + " | claim |"
    yield "|" + "---|" * (len(ASKED) + 4)
    for skill, records in found.items():
        chance = value_of(records[0], "target", "skill_accuracy:forget/chance")
        shown = [("target", records[:1], "target"), ("retrained", records[:1], "retrained-0")]
        shown += [(method, of_method(records, method), "unlearned") for method in methods]
        for name, chosen, model in shown:
            cells = [cell(chosen, model, column) for column in ASKED.values()]
            claims = (
                sorted({record.claim.headline for record in chosen if record.claim}) if model == "unlearned" else ["-"]
            )
            yield f"| {skill} | {name} | {chance:.2f} | {' | '.join(cells)} | {'; '.join(claims)} |"


def matrix(found: Mapping[str, Sequence[Record]], method: str, skills: Sequence[str]) -> Iterator[str]:
    """Yield the change of accuracy on unseen examples of every skill (columns), a line each skill that was forgotten."""
    yield f"| {method}: forgotten | " + " | ".join(skills) + " |"
    yield "|" + "---|" * (len(skills) + 1)
    for skill, records in found.items():
        chosen = of_method(records, method)
        columns = [f"skill_transfer:{'forget/unseen' if other == skill else f'skill/{other}'}" for other in skills]
        yield f"| {skill} | {' | '.join(cell(chosen, 'unlearned', column) for column in columns)} |"


def main() -> None:
    """Run every skill and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--skills", default=",".join(SkillsBenchmark().skills), help="the world's skills; each is forgotten"
    )
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--method-seeds", default="0")
    parser.add_argument("--retrained-seeds", default="101")
    parser.add_argument("--retain-weight", type=float, default=SkillsBenchmark().retain_weight)
    parser.add_argument("--seed", type=int, default=0, help="of the world's examples")
    given = parser.parse_args()
    torch.set_num_threads(1)
    quieten()
    skills, methods = tuple(given.skills.split(",")), given.methods.split(",")
    seeds, retrained = ([int(one) for one in text.split(",")] for text in (given.method_seeds, given.retrained_seeds))
    found: dict[str, list[Record]] = {}
    with Store.open(given.out / "store") as store:
        for skill in skills:
            unit = SkillsBenchmark(skill=skill, skills=skills, retain_weight=given.retain_weight, seed=given.seed)
            plan = benchmark_plan(f"skills-{skill}", unit.run(None), methods, seeds=seeds, retrained=retrained)
            found[skill] = run_plan(plan, store, run_id=f"skills-{skill}-{plan.digest()[:8]}")
            write(given.out / f"{skill}.html", found[skill], title=f"Forgetting the skill {skill}")
            lines = list(left(found, methods))
            for method in methods:
                lines += ["", *matrix(found, method, skills)]
            (given.out / "table.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
