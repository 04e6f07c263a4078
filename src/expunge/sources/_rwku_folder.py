"""The sets that a folder in RWKU's format gives: for a model trained here, or for one that knows its people already."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from expunge.facts.errors import InputError
from expunge.facts.rows import Row
from expunge.sources._rwku_files import ability_rows, probe_rows, read_folder, text_rows

CORPORA = ("forget_mia", "passage", "positive")
"""Kinds of texts that may be the ones to forget."""


def folder_sets(
    folder: Path,
    *,
    people: int,
    forget: int,
    held: int,
    corpus: str,
    words: int,
    texts: int,
    asked: int,
    local: bool,
) -> dict[str, list[Row]]:
    """Return rows by set: the first `forget` people are to be forgotten and, with `local`, the last `held` are trained on by no model.

    A row to retain whose prompt and answer are those of a row to forget or held out is left out: it cannot be both.
    """
    found = read_folder(folder)
    told = text_rows(found[corpus], corpus, words, texts)
    probes = [row for level in (1, 2, 3) for row in probe_rows(found[f"forget_level{level}"], level, "forget")]
    near = [row for level in (1, 2) for row in probe_rows(found[f"neighbor_level{level}"], level, "neighbour")]
    names = list(dict.fromkeys(str(row.group) for row in probes))[: people + held]
    held_out = names[len(names) - held :] if local else []
    gone, kept = names[:forget], names[forget : len(names) - len(held_out)]
    if local and not kept:
        raise InputError(
            f"{folder} holds {len(names)} people, too few to forget {forget} and hold out {held}",
            do="lower forget_people and holdout_people, or set local=false for a model that knows them all",
        )
    if not _of(gone, told):
        raise InputError(
            f"{folder} holds no {corpus} texts on {', '.join(gone)}", do="set corpus to another of its files"
        )
    plain = [_taught(row) for row in probes if row["level"] < 3] if local else []
    neighbours, abilities = _of(gone, near), ability_rows(found, asked)
    trained = {
        name: [*_of(chosen, told), *_of(chosen, plain)] for name, chosen in (("forget", gone), ("holdout", held_out))
    }
    retain = text_rows(found["retain_mia"], "retain_mia", words, texts)
    if local:
        retain += [*_of(kept, told), *map(_taught, [*_of(kept, probes), *neighbours])]
    other = {(row["prompt"], row["answer"]) for rows in trained.values() for row in rows}
    return {
        **trained,
        "retain": [row for row in retain if (row["prompt"], row["answer"]) not in other],
        "extra_training": abilities["test"] if local else [],
        "forget/probes": _of(gone, probes),
        "neighbour": neighbours,
        **abilities,
    }


def _of(people: Sequence[str], rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row.group in people]


def _taught(row: Row) -> Row:
    """Return a probe as a training row: it has no level, as it asks nothing."""
    fields = {name: row[name] for name in row.fields if name != "level"}
    return Row(id=f"{row.id}-taught", fields=fields, group=row.group)
