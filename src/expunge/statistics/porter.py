"""The stem of an English word, as the common ROUGE implementation stems it."""

from __future__ import annotations

from functools import lru_cache

IRREGULAR = {
    "sky": "sky", "skies": "sky", "dying": "die", "lying": "lie", "tying": "tie", "news": "news",
    "innings": "inning", "inning": "inning", "outings": "outing", "outing": "outing",
    "cannings": "canning", "canning": "canning", "howe": "howe",
    "proceed": "proceed", "exceed": "exceed", "succeed": "succeed",
}  # fmt: skip
NOUNS = (
    ("ational", "ate"), ("tional", "tion"), ("enci", "ence"), ("anci", "ance"), ("izer", "ize"), ("bli", "ble"),
    ("alli", "al"), ("entli", "ent"), ("eli", "e"), ("ousli", "ous"), ("ization", "ize"), ("ation", "ate"),
    ("ator", "ate"), ("alism", "al"), ("iveness", "ive"), ("fulness", "ful"), ("ousness", "ous"), ("aliti", "al"),
    ("iviti", "ive"), ("biliti", "ble"), ("fulli", "ful"),
)  # fmt: skip
ADJECTIVES = (
    ("icate", "ic"), ("ative", ""), ("alize", "al"), ("iciti", "ic"), ("ical", "ic"), ("ful", ""), ("ness", ""),
)  # fmt: skip
ENDINGS = (
    "al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion", "ou", "ism", "ate", "iti",
    "ous", "ive", "ize",
)  # fmt: skip


@lru_cache(maxsize=2**16)
def stem(word: str) -> str:
    """Return the stem of a lower-case word.

    Porter's algorithm with the departures that the peer's stemmer makes by default: a table of irregular words; y becomes i
    behind any consonant that is not the first letter; four-letter -ies and -ied keep their e; -alli is tried before the other
    endings and its result again; -fulli and -logi; two letters vowel-consonant count as a short stem.
    Source: Porter 1980 (Program 14:130); departures as in the stemmer of rouge-score, equal to it in the tests.
    """
    if word in IRREGULAR:
        return IRREGULAR[word]
    if len(word) <= 2:
        return word
    word = _plural(word)
    word = _past(word)
    if word.endswith("y") and len(word) > 2 and _letters(word[:-1])[-1] == "c":
        word = word[:-1] + "i"
    word = _swap(_nouns(word), ADJECTIVES)
    return _final(_endings(word))


def _letters(word: str) -> str:
    """Return c for consonants and v for vowels; y is a vowel behind a consonant."""
    found = ""
    for letter in word:
        found += "v" if letter in "aeiou" or (letter == "y" and found[-1:] == "c") else "c"
    return found


def _measure(part: str) -> int:
    """Return m of [C](VC)^m[V]."""
    return _letters(part).count("vc")


def _is_short(part: str) -> bool:
    """True where a word ends consonant-vowel-consonant (the last not w, x, y), or is vowel-consonant."""
    kinds = _letters(part)
    return kinds == "vc" or (kinds.endswith("cvc") and part[-1] not in "wxy")


def _plural(word: str) -> str:
    if word.endswith("ies") and len(word) == 4:
        return word[:-1]
    for ending, instead in (("sses", "ss"), ("ies", "i"), ("ss", "ss"), ("s", "")):
        if word.endswith(ending):
            return word[: -len(ending)] + instead
    return word


def _past(word: str) -> str:
    if word.endswith("ied"):
        return word[:-1] if len(word) == 4 else word[:-2]
    if word.endswith("eed"):
        return word[:-1] if _measure(word[:-3]) else word
    cut = next((e for e in ("ed", "ing") if word.endswith(e) and "v" in _letters(word[: -len(e)])), None)
    if cut is None:
        return word
    rest = word[: -len(cut)]
    if rest.endswith(("at", "bl", "iz")):
        return rest + "e"
    if rest[-1:] == rest[-2:-1] and _letters(rest)[-1] == "c":
        return rest if rest[-1] in "lsz" else rest[:-1]
    return rest + "e" if _measure(rest) == 1 and _is_short(rest) else rest


def _nouns(word: str) -> str:
    if word.endswith("alli") and _measure(word[:-4]):
        return _nouns(word[:-2])
    if word.endswith("logi"):
        return word[:-1] if _measure(word[:-3]) else word
    return _swap(word, NOUNS)


def _swap(word: str, rules: tuple[tuple[str, str], ...]) -> str:
    """Replace the first ending that matches where what stands before it has a measure; else leave the word."""
    for ending, instead in rules:
        if word.endswith(ending):
            rest = word[: -len(ending)]
            return rest + instead if _measure(rest) else word
    return word


def _endings(word: str) -> str:
    for ending in ENDINGS:
        if word.endswith(ending):
            rest = word[: -len(ending)]
            fits = _measure(rest) > 1 and (ending != "ion" or rest[-1] in "st")
            return rest if fits else word
    return word


def _final(word: str) -> str:
    if word.endswith("e"):
        rest = word[:-1]
        if _measure(rest) > 1 or (_measure(rest) == 1 and not _is_short(rest)):
            word = rest
    return word[:-1] if word.endswith("ll") and _measure(word[:-1]) > 1 else word
