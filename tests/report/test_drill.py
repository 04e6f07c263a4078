"""Row by row: the records' numbers under the records' ids, text only where it was handed over."""

from __future__ import annotations

import numpy as np
import report_records as make

from expunge.facts.record import Record
from expunge.report.drill import Drill, drill
from expunge.report.groups import subjects


def drilled(records: list[Record], with_text: dict[str, str] | None = None) -> Drill:
    """Return the drill-down of records, which must have one."""
    found = drill(subjects(records), records, with_text)
    assert found is not None
    return found


def outcome(record: Record, attack: str, model: str) -> np.ndarray:
    """Return an outcome's rows straight from the record."""
    return np.array(next(o.forget for o in record.outcomes if (o.attack, o.model) == (attack, model)))


def test_cells_are_the_rows_numbers_and_the_controls_mean(run_records: list[Record]) -> None:
    """Every cell of two attacks and a metric, by hand. Fails if rows are shifted, or another seed's numbers are shown."""
    found = drilled(run_records)
    record = run_records[0]
    assert found.columns == ("do nothing", "npo", "ascent", "random_label+saliency", "retrain", "control (mean)")
    retrained = [f"retrained-{i}" for i in range(3)]
    metric = {m.model: m.score.per_example for m in record.measurements if (m.metric, m.split) == ("rouge", "forget")}
    for row in found.rows:
        index = int(row.id.removeprefix("people/"))
        cells = {line.name: line.cells for line in row.measures}
        for attack, kind in (("relearning", "success"), ("membership_loss", "member score")):
            said = cells[f"{attack} ({kind})"]
            assert said[0] == f"{outcome(record, attack, 'target')[index]:.3f}".replace("-", "−")
            assert said[1] == f"{outcome(record, attack, 'unlearned')[index]:.3f}".replace("-", "−")
            control = np.mean([outcome(record, attack, name)[index] for name in retrained])
            assert said[-1] == f"{control:.3f}".replace("-", "−")
        said = cells["rouge (metric)"]
        assert said[1] == f"{metric['unlearned'][index]:.3f}"
        assert said[-1] == f"{np.mean([metric[name][index] for name in retrained]):.3f}"
        assert row.group == str(index * 20 // 80)


def test_rows_are_ordered_by_the_most_that_came_out_above_the_control(run_records: list[Record]) -> None:
    """Fails if a row that also comes out of the control counts as leaking, or the order is the file's."""
    found = drilled(run_records)
    record = run_records[0]
    attacks = ["direct_questions", "paraphrase", "prefix_extraction", "relearning", "quantisation_int4"]
    above = [
        outcome(record, attack, "unlearned")
        - np.mean([outcome(record, attack, f"retrained-{i}") for i in range(3)], axis=0)
        for attack in attacks
    ]
    most = np.max(above, axis=0)
    for row in found.rows:
        assert row.worst[0][1] == f"{most[int(row.id[-4:])]:.3f}".replace("-", "−")
    tops = [max(float(words.replace("−", "-")) for _, words in row.worst) for row in found.rows]
    assert tops == sorted(tops, reverse=True)


def test_rows_are_cut_and_the_page_says_how_many() -> None:
    """12 measures by 3 columns: 360 cells hold 10 rows. Fails if the cut is silent or a row loses numbers instead."""
    records = [make.record("npo")]
    found = drill(subjects(records), records, None, cells=360)
    assert found is not None
    assert len(found.rows) == 10
    assert all(len(row.measures) == 12 for row in found.rows)
    assert found.words.startswith("10 of 80 forget rows")
    assert "The other 70 rows are in the records" in found.words


def test_text_is_joined_by_row_id_and_only_then() -> None:
    """Fails if text lands on another row, or a row without text gets some."""
    record = make.record("npo")
    assert all(row.text is None for row in drilled([record]).rows)
    joined = {row.id: row.text for row in drilled([record], {"people/0007": "a secret", "people/9999": "nobody"}).rows}
    assert joined.pop("people/0007") == "a secret"
    assert set(joined.values()) == {None}


def test_without_ids_rows_are_named_by_their_place_and_the_page_says_so() -> None:
    """Fails if made-up ids look like the source's own."""
    record = make.record("npo")
    splits = tuple(split.model_copy(update={"ids": ()}) for split in record.splits)
    found = drilled([record.model_copy(update={"splits": splits})])
    assert {row.id for row in found.rows} == {f"forget[{i}]" for i in range(80)}
    assert "keep no row ids" in found.words


def test_without_control_rows_nothing_is_above_the_control() -> None:
    """Fails if, under the item control, a row's own success is passed off as a difference."""
    found = drilled([make.record("npo", retrained=0, item=True)])
    assert {row.worst for row in found.rows} == {(("empty", ""),)}
    assert "control (mean)" not in found.columns


def test_nothing_to_show_is_no_drill_down(run_records: list[Record]) -> None:
    """Fails if a page of reference records alone, or of records without rows, cannot be made."""
    references = run_records[-2:]
    assert drill(subjects(references), references, None) is None
    bare = make.record("npo").model_copy(update={"outcomes": (), "measurements": ()})
    assert drill(subjects([bare]), [bare], None) is None
