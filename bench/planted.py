"""Judge the judge: python bench/planted.py --seeds 0-2. Prints, a planted case, the claim reached and whether it is true.

Thresholds stand in THRESHOLDS: 1.25 times the largest bound that a retrained model reached in any test of a kind on the worlds of
CALIBRATED, rounded up to the next .05. Those seeds are refused here unless --calibrate asks for them; it prints these bounds.
Under --out stand the records, and a page a world.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch

from expunge.contract.apply import guard
from expunge.contract.job import Job, Remembering
from expunge.contract.registry import find
from expunge.contract.weights import weights_digest
from expunge.facts.claim import RUNGS, Claim
from expunge.facts.digest import canonical_json
from expunge.facts.record import MethodFacts, Record, Thresholds
from expunge.pipeline.subjects import Subject
from expunge.pipeline.verify import Settings, judged, verify
from expunge.report.page import write
from expunge.statistics.intervals import wilson
from expunge.testbeds.planted import Case, World, partial_world, planted_world

CALIBRATED = range(900, 904)
THRESHOLDS = Thresholds(
    success_margin=0.1,
    auc_margin=0.2,
    utility_margin=0.1,
    presence_margin=0.25,
    indistinguishable_margin=0.1,
    indistinguishable_margins={"probability/normalised": 0.25},
)
MEMBER = ("loss", "zlib", "min_k", "min_k_plus_plus", "reference", "gradient_norm")
ATTACKS = (
    "direct_question",
    *MEMBER,
    "relearning",
    "quantisation",
    "paraphrase",
)


def record_of(
    world: World,
    case: Case,
    cache: Remembering,
    attacks: tuple[str, ...] = ATTACKS,
    metrics: tuple[str, ...] | None = None,
) -> Record:
    """Return the record of one case, verified like a removal."""
    problem = world.problem
    subjects = [Subject.held(case.target, "target", "target")]
    subjects += [Subject.held(one, f"retrained-{i}", "retrained") for i, one in enumerate(problem.retrained)]
    facts = MethodFacts(
        name=case.name,
        digest_before=weights_digest(case.target.module),
        digest_after=weights_digest(case.unlearned.module),
    )
    if case.guarded:
        unit = find("guard", "refusal").create()
        guarded = guard(unit, case.unlearned, problem.splits, job=Job())
        subjects.append(Subject("guarded", "guarded", lambda: case.unlearned, None, guarded))
        facts = facts.model_copy(update={"guard": "refusal"})
    else:
        subjects.append(Subject.held(case.unlearned, "unlearned", "unlearned"))
    settings = Settings(attacks=attacks, metrics=metrics, max_new_tokens=24, retain_rows=200, thresholds=THRESHOLDS)
    return verify(subjects, problem.splits, method=facts, request={"id": problem.name}, settings=settings, cache=cache)


def claims(seed: int, out: Path | None = None) -> Iterator[tuple[Case, Record, Claim]]:
    """Yield every case of a world with its record and claim."""
    world, cache = planted_world(seed), Remembering()
    for case in world.cases:
        record = record_of(world, case, cache)
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            (out / f"{seed}-{case.name}.json").write_bytes(canonical_json(record.model_dump(mode="python")))
        claim = judged(record).claim
        assert claim is not None
        yield case, record, claim


def whole_groups(record: Record) -> Iterator[str]:
    """Yield, a model, the share of forget groups that come out whole, and the largest share that comes out of one group."""
    found = {(one.model, one.split): one.score.value for one in record.measurements if one.metric == "groups_left"}
    for (model, split), share in found.items():
        if split == "forget":
            yield f"{model} {share:.3f} ({found[model, 'forget/most']:.2f})"


def left_behind(seeds: Iterable[int], shares: Sequence[float]) -> None:
    """Print the rung reached by removals that left a share of the people behind, and what stood against the next."""
    found: Counter[tuple[str, str]] = Counter()
    for seed in seeds:
        world, cache = partial_world(seed, shares), Remembering()
        for case in world.cases:
            record = record_of(world, case, cache, metrics=("probability", "rouge", "groups_left"))
            assert record.claim is not None
            found[case.name, record.claim.rung] += 1
            print(f"{seed} {case.name:12} {record.claim.rung:18} {'; '.join(record.claim.missing)}", flush=True)
            print(f"   groups left whole (most of one): {', '.join(whole_groups(record))}", flush=True)
    reached = [rung for rung in RUNGS if any(key[1] == rung for key in found)]
    print(f"\n{'':12}" + "".join(f"{rung:>18}" for rung in reached))
    for share in shares:
        print(f"left-{share:<7g}" + "".join(f"{found[f'left-{share:g}', rung]:18}" for rung in reached))


def largest_bounds(records: Iterable[Record]) -> dict[str, float]:
    """Return, a kind of margin, the largest bound that a model which never saw the forget rows reached in any test."""
    found: dict[str, float] = {}
    for record in records:
        for test in record.tests:
            if (
                test.low is None
                or test.high is None
                or (test.step == "presence") != (record.method.name == "never_knew")
            ):
                continue
            metric, _, split = test.name.partition("[")
            part = split.rstrip("]").partition("/")[2]
            bound = max(-test.low, test.high) if test.kind == "equivalence" else test.high
            kind = "auc" if metric in MEMBER else "success"
            if test.step == "utility":
                kind, bound = "utility", -test.low
            elif test.step in ("indistinguishable", "noise_floor"):
                kind = f"{metric}/{part}" if part else metric
            elif test.step == "presence":
                kind = "presence"
            found[kind] = max(found.get(kind, 0.0), bound)
    return found


def main() -> None:
    """Run worlds and print the confusion matrix."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", default="0-2", help="first and last seed of the worlds")
    parser.add_argument("--calibrate", action="store_true", help="allow the seeds that thresholds were set on")
    parser.add_argument("--out", type=Path)
    parser.add_argument(
        "--left", default="", help="shares of the forget people left behind, comma between, in place of the cases"
    )
    given = parser.parse_args()
    first, last = map(int, given.seeds.split("-"))
    if not given.calibrate and set(range(first, last + 1)) & set(CALIBRATED):
        sys.exit(f"seeds {CALIBRATED} set the thresholds")
    torch.set_num_threads(1)
    if given.left:
        left_behind(range(first, last + 1), [float(share) for share in given.left.split(",")])
        return
    found: Counter[tuple[str, str]] = Counter()
    clean: list[Record] = []
    right = count = 0
    for seed in range(first, last + 1):
        started = time.perf_counter()
        records = []
        for case, record, claim in claims(seed, given.out):
            if case.name != "never_knew":  # another target: no row of the others' page
                records.append(record)
            if case.name in ("never_knew", "retrained"):
                clean.append(record)
            reached = "not_found" if claim.not_found else claim.rung
            ok = case.is_right(claim.rung, claim.not_found)
            found[case.name, reached] += 1
            right, count = right + ok, count + 1
            print(
                f"{seed} {case.name:15} {reached:18} {'right' if ok else 'WRONG: ' + '; '.join(claim.missing)}",
                flush=True,
            )
        if given.out is not None:
            write(given.out / f"{seed}.html", records, title=f"Planted cases of world {seed}")
        print(f"world {seed}: {time.perf_counter() - started:.0f} s", flush=True)
    rungs = sorted({key[1] for key in found})
    print(f"\n{'':15}" + "".join(f"{name:>18}" for name in rungs))
    for name in dict.fromkeys(key[0] for key in found):
        print(f"{name:15}" + "".join(f"{found[name, one]:18}" for one in rungs))
    interval = wilson(right, count)
    print(f"\n{right} of {count} right: {right / count:.3f} ({interval.low:.3f} to {interval.high:.3f})")
    if given.calibrate:
        for kind, bound in largest_bounds(clean).items():
            print(f"{kind:25}{bound:.3f}   margin {math.ceil(round(1.25 * bound / 0.05, 6)) * 0.05:.2f}")


if __name__ == "__main__":
    main()
