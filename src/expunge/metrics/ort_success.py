"""ORT's success by surface form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from expunge.contract.about import About
from expunge.contract.evidence import Evidence
from expunge.engine.forms import forms_in, successes
from expunge.facts.score import Score, unscored
from expunge.statistics.summary import ideal_for, mean_score


@dataclass(frozen=True, kw_only=True)
class OrtSuccess:
    """Measure in which surface forms a fact still comes out: a score for every form of every split that has forms.

    A row's success is 1 where its `value` was said, else 0; where the prompt shows the choices (choice, true_false) it is corrected
    for guessing, right minus wrong times c / (1 - c), so that 0 is chance there too. Rows without a value: ROUGE-L recall of the
    answer. What guessing an open question is worth, holdout rows in the same form show. `SPLIT` is the mean over its rows, `SPLIT/FORM`
    over those of one form where the split has several.

    Source: Ye et al. 2025 (ORT). Differs: see `differs`. Reads generations.
    """

    about = About(
        needs=("generations",),
        modalities=("text",),
        claim="After a removal trained on one form, success falls in that form and stays high in others; the retrained model has none.",
        paper="LLM Unlearning Should Be Form-Independent",
        link="https://arxiv.org/abs/2506.07795",
        year=2025,
        paper_id="P111",
        stochastic=False,
        differs=(
            "Choices are corrected for guessing, and an answer that is none of the choices counts as none, not as wrong.",
            "Every form has an interval over people, and the same form asked of people nobody was trained on beside it.",
        ),
        battery="full",
        row_fields=("form",),
        cost="one greedy generation a row, made once for all units",
    )

    def run(self, evidence: Evidence) -> Mapping[str, Score]:
        """Return the mean success of each split, and of each form in it; forget rows are always answered for."""
        found = {}
        for split, rows in evidence.rows.items():
            forms = forms_in(rows)
            every = [i for chosen in forms.values() for i in chosen]
            parts = {split: sorted(every)} | (
                {f"{split}/{form}": chosen for form, chosen in forms.items()} if len(forms) > 1 else {}
            )
            if not every:
                if split == "forget":
                    found[split] = unscored("success", "no forget row has a form", ideal=ideal_for(split))
                continue
            for part, chosen in parts.items():
                found[part] = mean_score(
                    "success, 0 by chance" if any(rows[i].get("chance") for i in chosen) else "success",
                    partial(successes, evidence, split, chosen),
                    rows.take(chosen).groups,
                    ideal=ideal_for(split),
                    keep=len(chosen) == len(rows),
                )
        return found
