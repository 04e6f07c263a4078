"""ORT's splits: forms apart for the people to forget, all forms for those to retain."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import protocols
import pytest

from expunge.contract.splits import Splits
from expunge.facts.errors import InputError
from expunge.facts.rows import Rows
from expunge.sources._ort_tofu import wording_key
from expunge.sources._people_forms import FORMS
from expunge.sources.ort import Ort

SMALL = {"retain_people": 12, "forget_people": 3, "holdout_people": 2, "relations": 4}
SIDES = ("forget", "holdout")


def prompts(rows: Rows) -> set[str]:
    return {row["prompt"] for row in rows}


def test_forms_in_training_and_in_evaluation_are_disjoint() -> None:
    """Fails if a form that is asked of forget people stands in a training set for them, or holdout people are trained on.

    Three people of 4 facts: 24 question rows in two wordings, 12 a form asked, 6 chains (birth country, instrument family).
    """
    found = Ort(**SMALL).run()  # type: ignore[arg-type]
    assert {row["form"] for row in found["forget"]} == {"question"}
    asked = {name: len(rows) for name, rows in found.items() if name.startswith("forget/")}
    assert asked == {f"forget/{form}": 6 if form == "two_hop" else 12 for form in FORMS if form != "question"}
    assert len(found["forget"]) == 24
    for row in found["forget"]:
        one = row["fact"]
        assert [two["prompt"] for two in found["forget/translated"] if two["fact"] == one] == [
            row["translated_prompts"]["German"]
        ]
        assert {two["prompt"] for two in found["forget/paraphrase"] if two["fact"] == one} < set(
            row["paraphrased_prompts"]
        )
    trained = prompts(found["forget"]) | prompts(found["retain"]) | prompts(found["extra_training"])
    for name, rows in found.items():
        if "/" in name or name == "holdout":
            assert not prompts(rows) & trained, name
        if "/" in name:
            assert {row["form"] for row in rows} == {name.split("/")[1]}
            assert set(rows.groups) == set(found[name.split("/")[0]].groups)
    people = [set(found[name].groups) for name in ("retain", *SIDES)]
    assert [len(groups) for groups in people] == [12, 3, 2]
    assert len(set().union(*people)) == 17
    Splits.of(**{name: found[name] for name in ("forget", "retain", "holdout", "test")})


def test_retain_people_are_trained_in_all_forms() -> None:
    """Fails if a form is not taught, or a fact that follows is trained in other forms than the chain."""
    found = Ort(**SMALL).run()  # type: ignore[arg-type]
    counts = Counter(row["form"] for row in found["retain"])
    assert counts == {form: 24 if form == "two_hop" else 48 for form in FORMS}
    follows = [row for rows in found.values() for row in rows if "country" in row.id or "family" in row.id]
    assert {row["form"] for row in follows if "form" in row.fields} == {"two_hop"}
    one = {row.id: row.content() for row in Ort(**SMALL).run()["retain"]}  # type: ignore[arg-type]
    assert one == {row.id: row.content() for row in found["retain"]}


def test_trained_forms_are_chosen() -> None:
    """Fails if forms to train are not taken out of those asked, or what a fact is trained in changes how another form asks for it."""
    two = Ort(**SMALL, trained_forms=("question", "cloze"), wordings=1).run()  # type: ignore[arg-type]
    one = Ort(**SMALL).run()  # type: ignore[arg-type]
    assert Counter(row["form"] for row in two["forget"]) == {"question": 12, "cloze": 12}
    assert "forget/cloze" not in two
    assert prompts(two["forget/choice"]) == prompts(one["forget/choice"])
    assert prompts(one["forget/cloze"]) == {row["prompt"] for row in two["forget"] if row["form"] == "cloze"}
    other = Ort(**SMALL, seed=1).run()  # type: ignore[arg-type]
    assert not prompts(other["forget"]) & prompts(one["forget"])
    for bad, text in (({"trained_forms": ("poem",)}, "poem"), ({"trained_forms": ()}, "none"), ({"relations": 2}, "3")):
        with pytest.raises(ValueError, match=text):
            Ort(**bad)


def write_tofu(folder: Path) -> None:
    """Twelve authors of 20 questions, the last four with paraphrases; one question has a paraphrase that differs in a comma."""
    import csv
    import json

    (folder / "tofu").mkdir()
    (folder / "tofu_paraphrases").mkdir()
    full = [{"question": f"What is {k} of author {k // 20}?", "answer": f"It is thing {k}."} for k in range(240)]
    (folder / "tofu" / "full.jsonl").write_text("\n".join(map(json.dumps, full)))
    options = {f"option{i}": f"o{i}" for i in range(1, 5)}
    for name in ("real_authors", "world_facts"):
        (folder / "tofu" / f"{name}.jsonl").write_text(json.dumps({"question": name, "answer": "o1", **options}))
    with (folder / "tofu_paraphrases" / "paraphrase_res_rows.csv").open("w", newline="") as file:
        for k in range(160, 240):
            question, answer = full[k].values()
            others = [f"Name {k} of author {k // 20}", f"Of author {k // 20}, which is {k}?", f"Say what {k} is."]
            if k == 239:
                others[0] = f"What is {k}, of author {k // 20}?"
            csv.writer(file).writerow([question, answer, repr(others), "[]"])


def test_real_questions_by_wording(tmp_path: Path) -> None:
    """Fails if a wording asked is also trained, one that differs in a comma counts as another, or a retain author lacks a wording.

    Four authors with paraphrases: retain 1, forget 2, holdout 1. Each question has 4 wordings, the last one 3: with 2 trained and 2 asked
    it is left out, so that holdout has 19 questions.
    """
    write_tofu(tmp_path)
    found = Ort(
        data=str(tmp_path), retain_people=1, forget_people=2, holdout_people=1, wordings=2, asked=2, plain=3
    ).run()
    sizes = {name: len(rows) for name, rows in found.items()}
    assert sizes == {
        "forget": 80, "forget/paraphrase": 80, "forget/tense": 40, "holdout": 38, "holdout/paraphrase": 38,
        "holdout/tense": 19, "retain": 20 * 5 + 3 * 20, "test": 2, "extra_training": 2,
    }  # fmt: skip
    trained = {wording_key(text) for name in ("forget", "retain") for text in prompts(found[name])}
    for name in ("forget/paraphrase", "forget/tense", "holdout", "holdout/paraphrase", "holdout/tense"):
        assert not {wording_key(text) for text in prompts(found[name])} & trained
    assert found["forget/tense"][0]["prompt"] == "What was 180 of author 9?"
    assert found["forget"][1]["prompt"] == "Name 180 of author 9"
    assert found["forget"][1]["paraphrased_prompts"] == ("Of author 9, which is 180?", "Say what 180 is.")
    assert set(found["forget"].groups) == {"author-009", "author-010"}
    with pytest.raises(InputError, match="5 authors with paraphrases were asked for"):
        Ort(data=str(tmp_path), retain_people=1, forget_people=3, holdout_people=1).run()


def test_published_paraphrases(shared_data: Path) -> None:
    """Fails if the published questions and paraphrases no longer meet, or an asked wording is trained."""
    found = Ort(data=str(shared_data), retain_people=3, forget_people=4, holdout_people=3).run()
    assert len(found["forget"]) == len(found["forget/paraphrase"]) == 158
    trained = {wording_key(text) for name in ("forget", "retain") for text in prompts(found[name])}
    asked = [name for name in found if "/" in name]
    assert asked == ["forget/paraphrase", "forget/tense", "holdout/paraphrase", "holdout/tense"]
    assert not {wording_key(text) for name in asked for text in prompts(found[name])} & trained
    assert {form for row in found["retain"] for form in [row["form"]]} == {"question", "paraphrase", "tense"}


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_claim_a_fact_learnt_in_one_form_is_answered_in_others() -> None:
    """Three draws of people; share of facts that only the question's form was trained of. The target says .82 [.58, 1.06] more
    of them than retrained models when asked in a paraphrase, and .94 in the past tense.

    Fails if another form of a fact to forget is trained, or retrained models know these people.
    """
    found = protocols.ort()
    for form in ("paraphrase", "tense"):
        assert found.over("target", f"ort_success:forget/{form}", less="retrained").low > 0.2
