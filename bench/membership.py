"""Membership attacks with 32 shadow models: python bench/membership.py --data ../shared/data --page docs/results/membership.md. Resumes.

MNIST, a random tenth of 3,000 images of which a fifth bear a wrong label. Every seed is a target of its own and a removal from it by every
method. Shadow models of each kind are trained in one loop; those of u_lira are unlearned by the method that is attacked. Every attack runs
on the retrained models too, with the same shadow models: what it finds there is no membership.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from expunge.facts.record import Outcome, Record
from expunge.pipeline.benchmark import benchmark_plan, cell
from expunge.pipeline.columns import value_of
from expunge.pipeline.plan import Plan, check_plan
from expunge.pipeline.progress import Bars
from expunge.pipeline.ready import check_plan_ready
from expunge.pipeline.run import run_plan
from expunge.pipeline.tune import search_table
from expunge.pipeline.tuned import tuned_plan, words
from expunge.statistics.auc import auc, tpr_at_fpr
from expunge.store.store import Store
from pages import write_tables
from vision import BUDGET, CASES, protocol_of

ATTACKS = ("loss", "modified_entropy", "lira", "u_lira", "rmia")
METHODS = ("finetune", "simnpo", "undial", "retrain")
COLUMNS = ("accuracy:forget", "accuracy:test", "gap_closed:forget")
RATE = 0.01
"""False positives allowed: 3 of 300 holdout rows."""
READINGS: dict[str, Callable[[Outcome], float]] = {
    "AUC": lambda found: auc(found.forget, found.holdout),
    "true positives at 1% false ones": lambda found: tpr_at_fpr(found.forget, found.holdout, RATE).estimate,
}


def plan_of(given: argparse.Namespace) -> Plan:
    """Return the plan: methods at their defaults, which the search starts from, a target a seed, and shadow models of each kind."""
    protocol = protocol_of(CASES["mnist_random"], given.data)
    own = replace(protocol, attacks=ATTACKS, columns=COLUMNS, method_settings={})
    plan = benchmark_plan(
        "membership",
        own,
        METHODS,
        seeds=range(given.first, given.first + given.seeds),
        retrained=range(101, 101 + given.retrained),
    ).plain()
    verify, seeds = {**plan["verify"], "shadows": given.shadows}, {**plan["seeds"], "target": "method"}
    return check_plan({**plan, "verify": verify, "seeds": seeds}, where="bench/membership.py")


def _of(record: Record, attack: str, model: str, reading: Callable[[Outcome], float]) -> float:
    (found,) = [one for one in record.outcomes if (one.attack, one.model, one.kind) == (attack, model, "member")]
    if found.unscored is not None:
        raise SystemExit(f"{attack} on {model}: {found.unscored}")
    return reading(found)


def _control(records: Sequence[Record], attack: str, reading: Callable[[Outcome], float]) -> float:
    """Return the mean over the retrained models; those of records of several seeds are the same."""
    names = [model.name for model in records[0].models if model.role == "retrained"]
    return fmean(_of(records[0], attack, name, reading) for name in names)


def tables(records: Sequence[Record], search: Mapping[str, Any]) -> str:
    """Return the search, what was removed, and a table a reading: method by attack, mean [lowest, highest] over targets (retrained)."""
    by_method: dict[str, list[Record]] = {}
    for record in records:
        by_method.setdefault(record.method.name, []).append(record)
    del by_method["second_retrained"]
    sizes = ", ".join(f"{split.name} {split.n}" for split in records[0].splits)
    count = records[0].plan["verify"]["shadows"]
    lines = [
        f"{count} shadow models of each kind; {len(by_method['retrain'])} targets; rows measured: {sizes}.",
        "",
        words(search),
        "",
    ]
    tried = search_table(search)
    head, *body = ["| " + " | ".join(row) + " |" for row in tried]
    lines += [head, "|---" * len(tried[0]) + "|", *body, ""]
    named = " | ".join(column.replace(":", " ") for column in COLUMNS)
    lines += [f"| method | {named} |", "|---|" + "---|" * len(COLUMNS)]
    for method, found in by_method.items():
        cells = [cell([value_of(record, "unlearned", column) for record in found]) for column in COLUMNS]
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    for name, reading in READINGS.items():
        lines += ["", f"## {name[0].upper()}{name[1:]} (of retrained models)", ""]
        lines += ["| method | " + " | ".join(ATTACKS) + " |", "|---|" + "---|" * len(ATTACKS)]
        for method, found in by_method.items():
            cells = [
                f"{cell([_of(record, attack, 'unlearned', reading) for record in found])} ({_control(found, attack, reading):.3g})"
                for attack in ATTACKS
            ]
            lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run what is left to run, and print the tables or write them into the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder that holds mnist")
    parser.add_argument("--out", type=Path, default=Path("membership-run"))
    parser.add_argument("--seeds", type=int, default=5, help="targets")
    parser.add_argument("--retrained", type=int, default=10, help="retrained models, the control")
    parser.add_argument("--first", type=int, default=0, help="the first target's seed")
    parser.add_argument("--shadows", type=int, default=32, help="shadow models of each kind")
    parser.add_argument("--page", type=Path, help="write the tables into this page, under its mark")
    given = parser.parse_args()
    torch.set_num_threads(1)
    plan = plan_of(given)
    check_plan_ready(plan, Path.cwd())
    plan, search = tuned_plan(plan, given.out / "store", budget=BUDGET, base=Path.cwd(), progress=Bars(quiet=True))
    run_id = f"membership-{plan.digest()[:8]}"
    with Store.open(given.out / "store") as store:
        records = run_plan(plan, store, run_id=run_id, base=Path.cwd(), progress=Bars(quiet=True))
    if given.page is None:
        print(tables(records, search))
    else:
        write_tables(given.page, "membership.py", tables(records, search))


if __name__ == "__main__":
    main()
