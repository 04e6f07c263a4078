"""The search for triggers on models whose answer is known."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from expunge.contract.job import Job
from expunge.engine.triggers import exposed, invert, seen_past, smallest
from expunge.facts.errors import InputError
from expunge.facts.rows import Row, Rows
from expunge.modalities.array_tasks import Classification
from expunge.modalities.arrays import ArrayModel
from expunge.modalities.tabular import Features, tabular_model


def planted() -> ArrayModel:
    """A linear model of three classes over four features: features 0 to 2 vote for their own class, and a large feature 3 for class 2."""
    model = tabular_model("mlp", features=Features(width=4), task=Classification(classes=3), seed=0, width=4, depth=0)
    line = nn.Linear(4, 3)
    with torch.no_grad():
        line.weight.copy_(torch.tensor([[4.0, 0, 0, 0], [0, 4.0, 0, 0], [0, 0, 4.0, 12.0]]))
        line.bias.zero_()
    model.module = line
    return model


def rows(extra: float = 0.0) -> Rows:
    """Three rows a class: 1 at the class's own feature."""
    made = []
    for i in range(9):
        features = [0.0, 0.0, 0.0, extra]
        features[i % 3] = 1.0
        made.append(Row(id=f"r{i}", fields={"features": features, "label": i % 3}))
    return Rows(tuple(made))


def test_the_planted_feature_is_found_and_needs_least() -> None:
    """Class 2 takes feature 3 alone; the others must raise their own feature against the row's. Fails if loss or size has another sign,
    the weight of the size does not follow success, or the masks of classes are mixed up.
    """
    found = invert(planted(), planted().pack(rows()), [0, 1, 2], steps=300, lr=0.1, wanted=1.0, job=Job())
    assert all(each.success == 1.0 for each in found.values())
    assert int(found[2].mask.argmax()) == 3
    assert found[2].size < 0.6 * min(found[0].size, found[1].size)
    for label in (0, 1):
        assert int((found[label].mask * found[label].pattern).argmax()) == label
    shown = found[2].on(planted().pack(rows()))
    assert planted().logits(shown).argmax(-1).tolist() == [2] * 9


def test_each_class_is_searched_as_if_alone() -> None:
    """Fails if one class's rows, success or weight reach another's."""
    together = invert(planted(), planted().pack(rows()), [0, 2], steps=60, lr=0.1, wanted=0.9, job=Job())
    alone = invert(planted(), planted().pack(rows()), [2], steps=60, lr=0.1, wanted=0.9, job=Job())
    assert torch.allclose(together[2].mask, alone[2].mask, atol=1e-5)
    assert together[2].success == alone[2].success


@pytest.mark.parametrize(("most", "calls"), [(9, [9, 9, 9]), (18, [18, 9]), (1, [9, 9, 9])])
def test_rows_read_at_once_are_bounded(monkeypatch: pytest.MonkeyPatch, most: int, calls: list[int]) -> None:
    """Fails if the rows of all classes are held at once whatever their number, a class is left out, or one finds another trigger by it."""
    model, given = planted(), planted().pack(rows())
    whole = invert(model, given, [0, 1, 2], steps=20, lr=0.1, wanted=0.9, job=Job())
    seen: list[int] = []
    real = model.module.forward
    monkeypatch.setattr(model.module, "forward", lambda x: seen.append(len(x)) or real(x))
    monkeypatch.setattr("expunge.engine.triggers.MOST_ROWS", most)
    found = invert(model, given, [0, 1, 2], steps=20, lr=0.1, wanted=0.9, job=Job())
    assert seen == [count for count in calls for _ in range(20)]
    assert list(found) == [0, 1, 2]
    for label, one in found.items():
        assert torch.allclose(one.mask, whole[label].mask, atol=1e-6)


def test_a_pattern_stays_where_inputs_are_and_images_share_a_mask() -> None:
    """Fails if a pattern leaves the range of the inputs, or channels have masks of their own."""
    from expunge.modalities.vision import Images, vision_model

    model = vision_model("mlp", images=Images(shape=(3, 4, 4)), classes=3, seed=1, width=8)
    draw = torch.rand(6, 3, 4, 4, generator=torch.Generator().manual_seed(0)).numpy()
    batch = model.pack([Row(id=f"r{i}", fields={"image": image, "label": i % 3}) for i, image in enumerate(draw)])
    (found,) = invert(model, batch, [1], steps=30, lr=0.5, wanted=0.9, job=Job()).values()
    assert found.mask.shape == (1, 4, 4)
    assert found.pattern.shape == (3, 4, 4)
    assert float(draw.min()) <= float(found.pattern.min())
    assert float(found.pattern.max()) <= float(draw.max())
    assert torch.allclose(
        found.on(batch).inputs["x"], (1 - found.mask) * batch.inputs["x"] + found.mask * found.pattern
    )


def test_rows_that_hang_on_the_trigger_get_the_label_without_it() -> None:
    """Fails if a row of the class that stands without the trigger is relabelled, or one of another class, or the label is not the model's."""
    (trigger,) = invert(planted(), planted().pack(rows()), [2], steps=300, lr=0.1, wanted=1.0, job=Job()).values()
    poisoned = [row.replace(label=2) for row in rows(extra=1.0)][:2]
    honest = Row(id="honest", fields={"features": [0.0, 0.0, 2.0, 0.0], "label": 2})
    other = Row(id="other", fields={"features": [1.0, 0.0, 0.0, 1.0], "label": 0})
    given = Rows((*poisoned, honest, other))
    found, changed = seen_past(planted(), given, trigger, 2, torch.zeros(4))
    assert [row["label"] for row in found] == [0, 1, 2, 0]
    assert changed == 2
    assert [row["label"] for row in given] == [2, 2, 2, 0]


def test_exposure_ends_at_the_accuracy_asked_for() -> None:
    """Fails if the model itself moves, the loss is lowered, or ascent goes on after the collapse."""
    model, before = planted(), planted().module.weight.clone()
    copy = exposed(model, rows(), accuracy=0.67, lr=0.1, steps=200, job=Job(seed=0))
    right = (copy.logits(copy.pack(rows())).argmax(-1) == torch.tensor([0, 1, 2] * 3)).float().mean()
    assert float(right) <= 0.67
    assert torch.equal(model.module.weight, before)
    short = exposed(model, rows(), accuracy=0.67, lr=0.1, steps=1, job=Job(seed=0))
    assert torch.allclose((short.module.weight - before).abs().max(), torch.tensor(0.1), atol=1e-3)


def test_who_stands_out_by_hand() -> None:
    """Median 10, deviations 7, 0, 1, 2, 1: their median 1. (10 - 3) / 1.4826. Fails if the largest is taken, or the mean, or no factor."""
    label, index = smallest({0: 10.0, 1: 3.0, 2: 11.0, 3: 12.0, 4: 9.0})
    assert label == 1
    assert index == pytest.approx(7 / 1.4826)
    with pytest.raises(InputError, match="of 2 classes none can stand out"):
        smallest({0: 1.0, 1: 2.0})
