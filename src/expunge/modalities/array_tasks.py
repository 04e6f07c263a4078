"""What an array is to be mapped to: one of some classes, or a number."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from expunge.facts.errors import InputError


def _is_no(what: str, row_id: str, name: str, given: Any) -> str:
    return f"row {row_id!r}: the {name} {given!r} is no {what}"


@dataclass(frozen=True, kw_only=True)
class Classification:
    """One of `classes`: the loss is -log p(label) in nats."""

    classes: int

    def __post_init__(self) -> None:
        if self.classes < 2:
            raise InputError(f"{self.classes} classes are nothing to tell apart", do="give at least 2")

    @property
    def outputs(self) -> int:
        """Numbers that the network returns an example."""
        return self.classes

    def targets(self, labels: Sequence[Any], ids: Sequence[str]) -> Tensor:
        """Return labels as integers, (examples,); one that is no whole number in 0..classes-1 is refused by its row."""
        found = []
        for label, row_id in zip(labels, ids, strict=True):
            if isinstance(label, bool):
                raise InputError(_is_no("whole number", row_id, "label", label), do="give 1 for true and 0 for false")
            try:
                value = operator.index(label)
            except TypeError as error:
                do = f"give a class number, 0..{self.classes - 1}"
                raise InputError(_is_no("whole number", row_id, "label", label), do=do) from error
            if not 0 <= value < self.classes:
                raise InputError(
                    f"row {row_id!r}: the label {value} is outside 0..{self.classes - 1}",
                    causes=("labels are counted from 1", "the model was trained for other classes"),
                    do="mend the label, or leave the row out",
                )
            found.append(value)
        return torch.tensor(found, dtype=torch.long)

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the cross-entropy of each example, (examples,)."""
        return nn.functional.cross_entropy(outputs.float(), targets, reduction="none")

    def predictions(self, outputs: Tensor) -> Tensor:
        """Return log p of every class, (examples, classes), in nats."""
        return torch.log_softmax(outputs.float(), dim=-1)

    def redraw(self, targets: Tensor, generator: torch.Generator) -> Tensor:
        """Return labels drawn uniformly from the classes that are not the example's own."""
        shift = torch.randint(1, self.classes, targets.shape, generator=generator).to(targets.device)
        return (targets + shift) % self.classes

    def describe(self) -> dict[str, Any]:
        """Return what `expunge.json` keeps."""
        return {"classes": self.classes}


@dataclass(frozen=True, kw_only=True)
class Regression:
    """A number: the loss is half the squared error of the standardised target.

    That is the negative log-likelihood, up to a constant, of a Gaussian whose standard deviation is `std`. `mean` and `std`
    are given, not taken from rows: computed from training rows they would be an artefact that saw the forget rows.
    """

    mean: float = 0.0
    std: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.mean) and math.isfinite(self.std) and self.std > 0):
            raise InputError(
                f"targets cannot be standardised by mean {self.mean} and std {self.std}",
                causes=("all retain rows have one target", "there is one retain row"),
                do="give mean and std (model.settings of a plan)",
            )

    @property
    def outputs(self) -> int:
        """Numbers that the network returns an example."""
        return 1

    def targets(self, labels: Sequence[Any], ids: Sequence[str]) -> Tensor:
        """Return standardised targets, (examples,); one that is no finite number is refused by its row."""
        found = []
        for label, row_id in zip(labels, ids, strict=True):
            if isinstance(label, (bool, str)):
                raise InputError(_is_no("number", row_id, "target", label), do="give a number")
            try:
                value = float(label)
            except (TypeError, ValueError) as error:
                raise InputError(_is_no("number", row_id, "target", label), do="give a number") from error
            if not math.isfinite(value):
                raise InputError(
                    f"row {row_id!r}: the target is {value}", do="leave the row out, or fill its target in"
                )
            found.append((value - self.mean) / self.std)
        return torch.tensor(found)

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return half the squared error of each example, (examples,)."""
        return (outputs[:, 0].float() - targets).square() / 2

    def predictions(self, outputs: Tensor) -> Tensor:
        """Return the predicted numbers on the scale of the rows, (examples, 1)."""
        return outputs[:, :1].float() * self.std + self.mean

    def redraw(self, targets: Tensor, generator: torch.Generator) -> Tensor:
        """Return targets drawn from the Gaussian of `mean` and `std` (the Gaussian amnesiac labels of regression)."""
        return torch.randn(targets.shape, generator=generator).to(targets)

    def describe(self) -> dict[str, Any]:
        """Return what `expunge.json` keeps."""
        return {"mean": self.mean, "std": self.std}
