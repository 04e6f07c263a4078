"""The stemmer agrees with the one that rouge-score uses."""

from __future__ import annotations

import itertools
import random

import pytest

from expunge.statistics.porter import stem

WORDS = {
    "caresses": "caress", "ponies": "poni", "ties": "tie", "cats": "cat", "feed": "feed", "agreed": "agre",
    "plastered": "plaster", "motoring": "motor", "sing": "sing", "conflated": "conflat", "sized": "size",
    "hopping": "hop", "falling": "fall", "hissing": "hiss", "filing": "file", "happy": "happi", "enjoy": "enjoy",
    "relational": "relat", "vietnamization": "vietnam", "formaliti": "formal", "triplicate": "triplic",
    "goodness": "good", "revival": "reviv", "adoption": "adopt", "probate": "probat", "rate": "rate", "cease": "ceas",
    "controll": "control", "roll": "roll", "dying": "die", "skies": "sky", "died": "die", "spied": "spi",
    "radically": "radic", "hopefulli": "hope", "archaeology": "archaeolog", "theologi": "theolog", "ing": "ing",
}  # fmt: skip

ENDINGS = (
    "s es ies ied ed ing eed ational tional enci anci izer bli alli entli eli ousli ization ation ator alism iveness "
    "fulness ousness aliti iviti biliti fulli logi icate ative alize iciti ical ful ness al ance ence er ic able ible "
    "ant ement ment ent ion ou ism ate iti ous ive ize y e ll ly"
)


def test_words_by_the_published_rules() -> None:
    """Fails if a step is left out, or one of the peer's departures from the paper (die, spi, enjoy, theolog) is."""
    assert {word: stem(word) for word in WORDS} == WORDS


def test_equals_the_peer_on_made_words() -> None:
    """Fails if any rule, or the order of any two, differs from the stemmer of rouge-score (every ending on many stems)."""
    peer = pytest.importorskip("nltk.stem.porter").PorterStemmer()
    endings = ENDINGS.split()
    draw = random.Random(0)
    stems = ["".join(draw.choices("aeiouybcdlstz", k=draw.randint(0, 5))) for _ in range(120)]
    words = {a + b for a, b in itertools.product(stems, endings)} | {a + b for a in endings for b in endings}
    assert len(words) > 5_000
    assert [word for word in words if stem(word) != peer.stem(word)] == []
