"""TOFU's questions in trained and unseen wordings: the published paraphrases of the last ten authors' questions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from expunge.engine.tenses import in_past
from expunge.facts.errors import InputError
from expunge.facts.rows import Row
from expunge.sources._tofu_files import PUBLIC, plain_row, read_paraphrases, read_questions
from expunge.sources._tofu_files import public_rows as tofu_public_rows

WORD = re.compile(r"\w+")
TRAINED, UNSEEN, TENSE = "question", "paraphrase", "tense"


def wording_key(text: str) -> tuple[str, ...]:
    """Return the words of a text in lower case: wordings that differ in a comma alone are one."""
    return tuple(WORD.findall(text.lower()))


def wording_rows(row: Row, wordings: Sequence[str], trained: int, asked: int) -> dict[str, list[Row]]:
    """Return a question by form: its first `trained` wordings, `asked` others, and the first in the past tense if that is none of these."""
    used, past = wordings[: trained + asked], in_past(wordings[0])
    tense = [] if wording_key(past) in map(wording_key, used) else [past]
    texts = {TRAINED: used[:trained], UNSEEN: used[trained:], TENSE: tense}
    told = {"answer": row["answer"], "fact": row.id, "paraphrased_prompts": tuple(texts[UNSEEN])}

    def made(form: str, k: int, prompt: str) -> Row:
        return Row(id=f"{row.id}/{form}/{k}", fields={**told, "prompt": prompt, "form": form}, group=row.group)

    return {form: [made(form, k, prompt) for k, prompt in enumerate(prompts)] for form, prompts in texts.items()}


def tofu_rows(
    folder: Path, counts: tuple[int, int, int], plain: int, wordings: int, asked: int
) -> dict[str, list[Row]]:
    """Return forget, holdout and retain authors of those with paraphrases, and `plain` more retain authors in TOFU's own wording alone.

    `counts` are retain, forget and holdout authors with paraphrases, in that order; retain authors are trained in all wordings, so that
    the model can read them. A question with too few different wordings is left out, whoever it is about.
    """
    known = read_paraphrases(folder / "tofu_paraphrases")
    rows = [plain_row(i, item) for i, item in enumerate(read_questions(folder, "full"))]
    phrased: dict[str, list[dict[str, list[Row]]]] = {}
    for row in rows:
        texts = known.get((row["prompt"], row["answer"]), ())
        if texts:
            forms = phrased.setdefault(str(row.group), [])
            different: dict[tuple[str, ...], str] = {}
            for text in (row["prompt"], *texts):
                different.setdefault(wording_key(text), text)
            if len(different) >= wordings + asked:
                forms.append(wording_rows(row, list(different.values()), wordings, asked))
    authors = sorted(phrased)
    if sum(counts) > len(authors):
        raise InputError(f"{sum(counts)} authors with paraphrases were asked for, and {folder} has {len(authors)}")
    ends = (0, counts[0], counts[0] + counts[1], sum(counts))
    sides = [[one for author in authors[a:b] for one in phrased[author]] for a, b in pairwise(ends)]

    def rows_of(side: int, *forms: str) -> list[Row]:
        return [row for one in sides[side] for form in forms for row in one[form]]

    others = dict.fromkeys(str(row.group) for row in rows if row.group not in phrased)
    taken = set(list(others)[:plain])
    public = [row for name in PUBLIC for row in tofu_public_rows(folder, name)]
    own = [row.replace(form=TRAINED) for row in rows if row.group in taken]
    found = {"retain": [*rows_of(0, TRAINED, UNSEEN, TENSE), *own], "test": public, "extra_training": public}
    for side, name in ((1, "forget"), (2, "holdout")):
        found |= {name: rows_of(side, TRAINED), **{f"{name}/{form}": rows_of(side, form) for form in (UNSEEN, TENSE)}}
    return found
