"""ORT: every fact in many surface forms, those to forget trained in some of them and asked in the others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from expunge.contract.about import About
from expunge.facts.rows import Rows
from expunge.sources._ort_people import BASE, people_rows
from expunge.sources._ort_tofu import tofu_rows
from expunge.sources._people_forms import FORMS


@dataclass(frozen=True, kw_only=True)
class Ort:
    """Put facts into surface forms: retain people in all of them, forget and holdout people in the trained ones, the rest only asked.

    Nine forms of the generated people's facts: question, cloze, choice, true_false, reversed (who?), paraphrase, tense, translated
    (German), two_hop (a country by way of the birth city). A tiny model reads no form it was not taught, so that retain people teach all;
    `forget` and `holdout` hold `trained_forms`, and each other form is a set of its own, `forget/FORM` and `holdout/FORM`, that no model is
    trained on and no method sees. Holdout people are in no training set: what guessing a form is worth.

    With `data`, real questions: TOFU's ten authors whose questions have published paraphrases, trained in TOFU's wording and some
    paraphrases (form question), asked in others (form paraphrase) and in the past tense by rule (form tense).

    Source: Ye et al. 2025 (ORT). Differs: see `differs`. Reads nothing, or a folder with tofu and tofu_paraphrases.
    """

    about = About(
        needs=(),
        modalities=("text",),
        claim="A model that learnt a fact in one form answers it in others, once it has learnt from other people how forms relate.",
        paper="LLM Unlearning Should Be Form-Independent",
        link="https://arxiv.org/abs/2506.07795",
        year=2025,
        paper_id="P111",
        differs=(
            "Facts are of generated people, in forms by template: ORT has facts of a large model's own.",
            "Forms are read because retain people are trained in all of them: a model trained from nothing knows no form.",
            "A translated form keeps the values, as names are kept; its frame and nouns are German.",
            "Paraphrases of real questions are those published with ULD.",
        ),
        cost="milliseconds; with data one read of each file",
    )

    data: str = ""
    """Folder that holds tofu and tofu_paraphrases; nothing for generated people."""
    trained_forms: tuple[str, ...] = ("question",)
    """Forms that facts of forget people are trained in, and that a removal is given; of generated people only."""
    wordings: int = 2
    """Different wordings of a trained form, where it has so many."""
    asked: int = 2
    """With data: unseen paraphrases asked of a question; one with too few wordings is left out."""
    retain_people: int = 40
    """People trained in all forms; with data at most 10 authors less those to forget and held out."""
    forget_people: int = 10
    """People to forget."""
    holdout_people: int = 10
    """People that no model is trained on."""
    relations: int = 6
    """Facts a person, beside those that follow from them."""
    plain: int = 20
    """With data: further retain authors, in TOFU's own wording alone."""
    seed: int = 0
    """Another seed makes other people."""

    def __post_init__(self) -> None:
        unknown = [form for form in self.trained_forms if form not in FORMS[:-1]]
        if unknown or not self.trained_forms:
            raise ValueError(f"trained_forms must be some of {', '.join(FORMS[:-1])}, not {unknown or 'none'}")
        if min(self.retain_people, self.forget_people, self.holdout_people, self.wordings, self.asked) < 1:
            raise ValueError("retain_people, forget_people, holdout_people, wordings and asked must be at least 1")
        if not 3 <= self.relations <= BASE:
            raise ValueError(f"relations must be in 3..{BASE}, not {self.relations}")

    def run(self) -> dict[str, Rows]:
        """Return forget, retain, holdout, test and extra_training (public facts), forget/FORM and holdout/FORM."""
        counts = (self.retain_people, self.forget_people, self.holdout_people)
        if self.data:
            found = tofu_rows(Path(self.data), counts, self.plain, self.wordings, self.asked)
        else:
            found = people_rows(counts, self.relations, self.trained_forms, self.wordings, self.seed)
        return {name: Rows(tuple(rows), name) for name, rows in found.items() if rows}
