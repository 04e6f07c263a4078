"""ROUGE-L by hand, and equal to rouge-score."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from expunge.facts.errors import InputError
from expunge.statistics.rouge import rouge_l, words


def test_by_hand() -> None:
    """Fails if recall divides by what was said, if order is ignored, or if words are not stemmed."""
    found = rouge_l("The cats were running home", "a cat runs")
    # stemmed: the cat were run home / a cat runs ("runs" has 4 letters: stemmed to run)
    assert words("The cats were running home") == ("the", "cat", "were", "run", "home")
    assert words("a cat runs") == ("a", "cat", "run")
    assert found.recall == 2 / 5
    assert found.precision == 2 / 3
    assert found.f1 == pytest.approx(2 * (2 / 5) * (2 / 3) / (2 / 5 + 2 / 3), rel=1e-15)
    assert rouge_l("one two three", "three two one").recall == 1 / 3
    assert rouge_l("one two", "").recall == 0.0


def test_a_reference_without_words_is_no_zero() -> None:
    """Fails if an empty reference scores 0: nothing could have been found in it."""
    with pytest.raises(InputError, match="no word to find"):
        rouge_l(" -- ", "anything")


def test_equals_rouge_score_on_real_answers(shared_data: Path) -> None:
    """Fails if stemming, the word pattern, the subsequence or a division differs from rouge-score's on 400 real pairs."""
    scorer = pytest.importorskip("rouge_score.rouge_scorer").RougeScorer(["rougeL"], use_stemmer=True)
    with gzip.open(shared_data / "tofu" / "retain_perturbed.jsonl.gz", "rt", encoding="utf-8") as lines:
        items = [json.loads(line) for line in lines]
    pairs = [(item["answer"], item["perturbed_answer"][0]) for item in items]
    assert len(pairs) >= 400
    for reference, said in pairs:
        peer, own = scorer.score(reference, said)["rougeL"], rouge_l(reference, said)
        assert (own.recall, own.precision) == (peer.recall, peer.precision)
        assert own.f1 == pytest.approx(peer.fmeasure, rel=1e-12)
