"""ORT's form gap: trained forms against unseen ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.engine.forms import side_forms, successes
from expunge.facts.errors import InputError, UndeclaredRead
from expunge.facts.score import Score, unscored
from expunge.statistics.clusters import FloatArray
from expunge.statistics.forms import least_above, macro_mean
from expunge.statistics.summary import ideal_for, mean_score

SIDES = ("forget", "holdout")


@dataclass(frozen=True, kw_only=True)
class OrtFormGap:
    """Measure the form gap: success in the forms a fact was trained (and removed) in, minus success in forms it was never trained in.

    gap = mean over people of (mean over trained forms - mean over unseen forms) of success; forms count alike. Of the target it says how
    far knowledge carries over (at or above 0); of a removal that reaches one form alone it is below 0: the trained form is silent and
    the others answer. Near 0 with `forget/unseen` as the control's is form-independent; near 0 alone is not, since a target that was
    not touched may have it too.

    An unseen form counts where the target itself can answer it: its success on forget people lies above that on holdout people by at
    least `least`, at the lower 95% end of the difference (`least_above`). A form that the target cannot read (names from values, after
    one direction was trained) says nothing about a removal.

    Source: Ye et al. 2025 (ORT). Differs: see `differs`. Reads generations, and the target's.
    """

    about = About(
        needs=("generations", "target"),
        modalities=("text",),
        claim="Gradient ascent and NPO trained on one form have a gap below 0: accuracy stays high in the other forms.",
        paper="LLM Unlearning Should Be Form-Independent",
        link="https://arxiv.org/abs/2506.07795",
        year=2025,
        paper_id="P111",
        stochastic=False,
        differs=(
            "One signed number with an interval over people; the paper tabulates forms.",
            "Forms that the target cannot answer either are left out, by a rule fixed before the run.",
            "On a model of 0.5M parameters the methods' defaults end all forms, and the gap is near 0 (docs/results/ort.md).",
        ),
        battery="full",
        row_fields=("form",),
        cost="arithmetic on generations made for all units",
    )

    least: float = 0.25
    """How far the target's success on forget people must lie above that on holdout people for an unseen form to count."""

    def __post_init__(self) -> None:
        if not 0 <= self.least <= 1:
            raise ValueError(f"least must be in 0..1, not {self.least}")

    def run(self, evidence: Evidence) -> Mapping[str, Score]:
        """Return the gap, and both its parts, on forget and holdout rows."""
        found = {}
        for side in (side for side in SIDES if side == "forget" or side in evidence.rows):
            ideal = ideal_for(side)
            try:
                readable = self._readable(evidence)
                trained, people = _by_person(evidence, side, trained=True)
                unseen, same = _by_person(evidence, side, trained=False, only=readable)
                if people != same:
                    raise InputError(f"trained and unseen forms are asked of different {side} groups")
            except (InputError, UndeclaredRead) as error:
                found[side] = unscored("form gap", error.what, ideal=ideal)
                continue
            named = {"": ("form gap", trained - unseen), "/trained": ("success in trained forms", trained)}
            named["/unseen"] = (f"success in unseen forms ({', '.join(readable)})", unseen)
            for part, (name, values) in named.items():
                found[side + part] = mean_score(name, lambda values=values: values, people, ideal=ideal, keep=False)  # type: ignore[misc]
        return found

    def _readable(self, evidence: Evidence) -> list[str]:
        """Return the unseen forms that the target answers better of forget people than of holdout people."""
        target = evidence.target
        if target is None:
            raise InputError("the target tells which forms can be answered at all, and there is none")
        asked = [side_forms(target, side, trained=False) for side in SIDES]
        found = []
        for form in (form for form in asked[0] if form in asked[1]):
            known, guessed = (_by_person(target, side, trained=False, only=[form])[0] for side in SIDES)
            if least_above(known, guessed) >= self.least:
                found.append(form)
        if not found:
            raise InputError(f"the target answers no unseen form surely {self.least} better than by guessing")
        return found


def _by_person(
    evidence: Evidence, side: str, *, trained: bool, only: list[str] | None = None
) -> tuple[FloatArray, list[str]]:
    asked = side_forms(evidence, side, trained=trained)
    chosen = {form: place for form, place in asked.items() if only is None or form in only}
    values = {form: successes(evidence, *place) for form, place in chosen.items()}
    groups = {form: evidence.rows[split].take(rows).groups for form, (split, rows) in chosen.items()}
    return macro_mean(values, groups)
