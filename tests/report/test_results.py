"""The tables and drawings hold the records' numbers, nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import report_records as make

from expunge.facts.record import Measurement, Record, Thresholds
from expunge.facts.score import Score, unscored
from expunge.report.drawings import distributions, tradeoff
from expunge.report.groups import subjects
from expunge.report.results import tables


def measured(records: list[Record], method: str, metric: str, split: str, model: str = "unlearned") -> list[float]:
    """Return a metric's values over the seeds of a method, straight from the records."""
    return [
        m.score.value
        for record in records
        if record.method.name == method
        for m in record.measurements
        if (m.metric, m.split, m.model) == (metric, split, model) and m.score.value is not None
    ]


def test_every_cell_is_the_mean_and_range_over_seeds(run_records: list[Record]) -> None:
    """Against NumPy, every metric and split of every method. Fails if one seed is shown for all, or range is a deviation."""
    checked = 0
    for table in tables(subjects(run_records), run_records):
        for row in table.rows:
            if row.anchor:
                continue
            for (metric, _), cell in zip(table.columns, row.cells, strict=True):
                values = measured(run_records, row.label.split("+")[0], metric, table.split)
                if not values:
                    assert (cell.value, cell.words) == (None, "unscored")
                    continue
                assert cell.value == pytest.approx(np.mean(values))
                assert cell.words == f"{np.mean(values):.3f}"
                assert cell.detail == f"{min(values):.3f} to {max(values):.3f}"
                checked += 1
    assert checked == 4 * 7


def test_anchors_stand_above_the_methods_in_every_table(run_records: list[Record]) -> None:
    """Fails if a table of numbers is shown without do nothing, retrained, noise floor and untrained."""
    for table in tables(subjects(run_records), run_records):
        labels = [row.label for row in table.rows]
        assert labels[:5] == [
            "do nothing (target)",
            "retrained",
            "second retrained (noise floor)",
            "all 3 retrained, mean",
            "untrained (random weights)",
        ]
        target = table.rows[0].cells[0]
        assert target.value == measured(run_records, "npo", table.columns[0][0], table.split, "target")[0]


def test_one_seed_shows_its_own_interval_and_never_a_range() -> None:
    """Fails if low..high of the score is replaced by min..max of one value."""
    record = make.record("npo")
    score = next(
        m.score for m in record.measurements if m.model == "unlearned" and m.metric == "rouge" and m.split == "forget"
    )
    table = tables(subjects([record]), [record])[0]
    cell = table.rows[-1].cells[[name for name, _ in table.columns].index("rouge")]
    assert cell.detail == f"{score.low:.3f} to {score.high:.3f}"


def test_unscored_seeds_are_noted_and_not_averaged_as_zero() -> None:
    """0.4 and unscored: the mean is 0.4 with a note. Fails if unscored counts as 0, or its reason is dropped."""
    made = []
    for seed, score in enumerate([Score(name="m", value=0.4), unscored("m", "too few unlearned models")]):
        record = make.record("npo", seed=seed)
        made.append(
            record.model_copy(
                update={"measurements": (Measurement(metric="m", model="unlearned", split="forget", score=score),)}
            )
        )
    (table,) = tables(subjects(made), made)
    (row,) = table.rows
    assert (row.cells[0].value, row.cells[0].notes, table.notes) == (0.4, (1,), ("too few unlearned models",))


def test_tradeoff_draws_means_ranges_and_the_retrained_band(run_records: list[Record]) -> None:
    """Fails if the axes take a metric that has no good direction, or the band is not the retrained models' range."""
    drawing = tradeoff(subjects(run_records), run_records)
    figure = str(drawing.figure)
    xs = measured(run_records, "npo", "probability", "forget")
    assert f"npo: probability (forget rows) {np.mean(xs):.3f}, tofu model utility 0.615" in figure
    retrained = [measured(run_records, "npo", "probability", "forget", f"retrained-{i}")[0] for i in range(3)]
    low, high = 46 + 376 * min(retrained), 46 + 376 * max(retrained)
    assert f'<rect x="{low - 1:.1f}"' in figure
    assert f'width="{high - low + 2:.1f}"' in figure
    assert [label for label, _ in drawing.legend] == [
        "do nothing",
        "retrained",
        "second retrained",
        "untrained",
        "npo",
        "ascent",
        "random_label+saliency",
        "retrain",
    ]


def test_tradeoff_says_why_it_is_not_drawn() -> None:
    """Fails if a plot is drawn of something that was not measured."""
    record = make.record("npo")
    kept = tuple(m for m in record.measurements if m.split == "forget")
    bare = record.model_copy(update={"measurements": kept})
    drawing = tradeoff(subjects([bare]), [bare])
    assert drawing.figure is None
    assert drawing.words == "Not drawn: no scored metric of utility says which way is good."


def test_distributions_start_with_truth_ratios_and_name_what_is_not_drawn(run_records: list[Record]) -> None:
    """Fails if a metric kept row by row is silently dropped, or a seed's rows are pooled with another's."""
    extra = []
    for record in run_records:
        more = tuple(
            Measurement(
                metric=f"m{i}",
                model="unlearned",
                split="forget",
                score=Score(name="m", value=0.0, per_example=(0.0, 1.0)),
            )
            for i in range(2)
        )
        extra.append(record.model_copy(update={"measurements": (*record.measurements, *more)}))
    drawn, left = distributions(subjects(extra), extra)
    assert drawn[0].title == "truth ratio, row by row"
    assert len(drawn) == 4
    assert left == ("m0", "m1")
    assert "share of the 80 forget rows" in str(drawn[0].figure)


def test_variants_of_a_split_stand_in_its_table() -> None:
    """forget and forget/normalised are two columns of one table. Fails if each variant opens a table, or hides the other."""
    record = make.record("npo")
    kept = [
        Measurement(metric="probability", model="unlearned", split=split, score=Score(name="p", value=value))
        for split, value in (("forget", 0.25), ("forget/normalised", 0.5), ("ledger", 0.75))
    ]
    forget, ledger = tables(subjects([record]), [record.model_copy(update={"measurements": tuple(kept)})])
    assert [name for name, _ in forget.columns] == ["probability", "probability/normalised"]
    assert (forget.split, forget.first, ledger.split, ledger.first) == ("forget", True, "ledger", False)


def test_tradeoff_prefers_what_the_plan_declares(run_records: list[Record]) -> None:
    """Truth ratio is measured first, probability is declared. Fails if the first metric by name is drawn instead."""
    measurements = sorted(run_records[0].measurements, key=lambda one: one.metric != "truth_ratio")
    record = run_records[0].model_copy(
        update={"measurements": tuple(m for m in measurements if "utility" not in m.metric)}
    )
    figure = str(tradeoff(subjects([record]), [record]).figure)
    assert ">probability (forget rows)</text>" in figure
    assert ">probability (retain rows)</text>" in figure
    blank = record.model_copy(update={"thresholds": Thresholds()})
    assert ">truth ratio (forget rows)</text>" in str(tradeoff(subjects([blank]), [blank]).figure)
