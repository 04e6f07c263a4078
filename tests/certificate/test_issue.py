"""What is refused before anything is signed, and what a certificate holds."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from expunge.certificate.predicate import CERTIFICATE_NAME, NOT_COVERED, PREDICATE_TYPE, read_certificate
from expunge.certificate.show import describe
from expunge.facts.claim import Claim
from expunge.facts.digest import directory_digests
from expunge.facts.errors import Contradicted, InputError
from expunge.facts.record import Record
from expunge.facts.rows import Row, Rows

if TYPE_CHECKING:
    from conftest import Case

Issue = Callable[..., bytes]
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def test_one_record_key_and_time_give_one_certificate(case: Case, issue_again: Issue) -> None:
    """Fails if anything random or the clock enters the bytes."""
    assert issue_again() == case.envelope
    assert issue_again(issued="2026-01-02T03:04:06+00:00") != case.envelope


def test_it_is_an_in_toto_statement_about_every_file_of_the_child(case: Case) -> None:
    """Fails if a file is left out of the subjects or a digest is another file's."""
    plain = json.loads(base64.b64decode(json.loads(case.envelope)["payload"]))
    assert plain["_type"] == "https://in-toto.io/Statement/v1"
    assert plain["predicateType"] == PREDICATE_TYPE
    subjects = {subject["name"]: subject["digest"]["sha256"] for subject in plain["subject"]}
    assert subjects == directory_digests(case.unlearned)
    assert plain["predicate"]["parent"]["files"] == directory_digests(case.target)
    assert plain["predicate"]["record"]["outcomes"][0]["forget"] == [1.0] * 16
    assert plain["predicate"]["not_covered"] == list(NOT_COVERED)
    assert "created" not in plain["predicate"]


def test_a_record_that_states_another_claim_is_not_signed(case: Case, issue_again: Issue) -> None:
    """Fails if the record's claim is taken over, or silently replaced."""
    claim = Claim(provenance="none", rung="indistinguishable", control="retrained")
    with pytest.raises(Contradicted, match="rung: stated 'indistinguishable', the evidence gives 'resistant'"):
        issue_again(case.record.model_copy(update={"claim": claim}))
    stated = read_certificate(case.envelope).predicate
    assert issue_again(case.record.model_copy(update={"claim": stated.claim})) == case.envelope


def test_directories_that_were_not_measured_are_not_signed(case: Case, issue_again: Issue) -> None:
    """Fails if evidence about one model can be put on another."""
    with pytest.raises(InputError, match="not the target model that the record measured"):
        issue_again(target_dir=case.unlearned)
    models = tuple(model.model_copy(update={"content_digest": "0" * 64}) for model in case.record.models)
    with pytest.raises(InputError, match="not the model 'unlearned' that the record measured"):
        issue_again(case.record.model_copy(update={"models": models}))
    without = read_certificate(issue_again(target_dir=None)).predicate
    assert without.parent.files == {}
    assert without.parent.content_digest == read_certificate(case.envelope).predicate.parent.content_digest


def test_one_tensor_in_two_files_is_refused(case: Case, issue_again: Issue) -> None:
    """Fails if the content digest silently takes one of two tensors of one name: a loader may take the other."""
    (case.unlearned / "another.safetensors").write_bytes((case.unlearned / "model.safetensors").read_bytes())
    with pytest.raises(InputError, match="tensor 'weight' stands in two files"):
        issue_again()


LEAKS: list[tuple[str, dict[str, object], str]] = [
    (
        "a reason",
        {"request": {"reason": "She asked: where was QUILLON  Vandermeer born"}},
        "predicate.record.request.reason",
    ),
    ("a setting", {"plan": {"idk": ["x", "born in Ottersgate Hollow"]}}, "predicate.record.plan.idk"),
    ("a refusal", {"refusals": ("row 1 ('born in Ottersgate Hollow.') was odd",)}, "predicate.record.refusals"),
    ("a key", {"overlap": {"born in Ottersgate Hollow": 3}}, "a key of predicate.record.overlap"),
    (
        "a part of a long text",
        {"plan": {"example": "...tower of the old mill stood for ninety years, then..."}},
        "predicate.record.plan.example",
    ),
]


@pytest.mark.parametrize(("kind", "change", "where"), LEAKS, ids=[leak[0] for leak in LEAKS])
def test_forget_text_is_not_signed(
    case: Case, issue_again: Issue, kind: str, change: dict[str, object], where: str
) -> None:
    """Fails if one place, case, white space, or a part of eight words is not looked at; or if the error quotes it."""
    long = "In the village the tower of the old mill stood for ninety years and more."
    forget = Rows(
        (
            Row(
                id="row-1",
                fields={"prompt": "Where was Quillon Vandermeer born?", "answer": "born in Ottersgate Hollow"},
            ),
            Row(id="row-2", fields={"answer": "yes", "perturbed_answers": [long]}),
        )
    )
    with pytest.raises(InputError) as caught:
        issue_again(case.record.model_copy(update=change), forget=forget)
    assert where in caught.value.what
    assert "row-1" in caught.value.what or "row-2" in caught.value.what
    for word in ("Quillon", "Ottersgate", "tower"):
        assert word.lower() not in str(caught.value).lower()


def test_words_that_expunge_itself_writes_are_no_leak(case: Case, issue_again: Issue) -> None:
    """Fails if a short common word, or a field's name, stops a certificate."""
    rows = Rows((Row(id="r", fields={"answer": "relearning", "paraphrased_answer": "retrained", "label": 3}),))
    record = case.record.model_copy(update={"plan": {"map": "answer=paraphrased_answer"}})
    assert read_certificate(issue_again(record, forget=rows)).predicate.claim.rung == "resistant"


def test_a_long_single_word_is_found(case: Case, issue_again: Issue) -> None:
    """Fails if one-word answers are never looked for (shorter ones are not: a stated limit)."""
    record = case.record.model_copy(update={"plan": {"note": "about Llanfairpwllgwyn only"}})
    with pytest.raises(InputError, match="would repeat forget row 'r'"):
        issue_again(record, forget=Rows((Row(id="r", fields={"answer": "llanfairpwllgwyn"}),)))


def test_what_is_shown(case: Case, issue_again: Issue) -> None:
    """Fails if the margin, the smallest visible difference, what is missing or what is not covered is left out."""
    text = describe(read_certificate(issue_again(note="for case 17", not_covered=("the mobile build",))))
    line = next(line for line in text.splitlines() if "resistant relearning" in line)
    assert line.startswith("test        pass")
    assert "margin 0.5" in line
    assert "smallest difference visible" in line
    assert "missing     indistinguishable:" in text
    assert "not covered the mobile build" in text
    assert "not covered caches, logs, retrieval stores" in text
    assert "note        for case 17" in text
    assert "apart presence questions" in text


def test_an_older_certificate_in_the_directory_is_no_file_of_the_model(case: Case, issue_again: Issue) -> None:
    """Fails if a certificate binds the one it replaces: the directory could then never verify."""
    from expunge.certificate.verify import verify

    (case.unlearned / CERTIFICATE_NAME).write_bytes(b"an older one")
    again = issue_again()
    assert again == case.envelope
    (case.unlearned / CERTIFICATE_NAME).write_bytes(again)
    assert verify(again, key=KEY.public_key(), model_dir=case.unlearned).ok


def test_the_claim_is_derived_from_what_a_verifier_will_read(case: Case, issue_again: Issue) -> None:
    """Fails if it is derived from the objects in memory: a float32 epsilon is no number there, and is one in JSON."""
    import numpy as np

    from expunge.certificate.verify import verify

    method = case.record.method.model_copy(
        update={"provenance": "bounded", "provenance_checks": ("accountant",), "notes": {"epsilon": np.float32(2)}}
    )
    envelope = issue_again(case.record.model_copy(update={"method": method}))
    assert verify(envelope, key=KEY.public_key()).ok
    assert read_certificate(envelope).predicate.claim.provenance == "bounded"


def test_numbers_of_other_libraries_are_made_plain(case: Case, issue_again: Issue) -> None:
    """Fails if a NumPy number or an integer key in free settings gives a certificate that does not read back."""
    import numpy as np

    from expunge.certificate.verify import verify

    notes = {"steps": np.int64(3), "curve": np.array([0.5, 1.0]), "by_epoch": {1: 0.5}}
    record: Record = case.record.model_copy(update={"plan": notes})
    assert verify(issue_again(record), key=KEY.public_key()).ok
