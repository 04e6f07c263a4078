"""A run's folder: pieces that are finished once, so that a run killed at any moment goes on after the last one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from expunge.facts.digest import canonical_json, directory_digests, file_sha256, sha256
from expunge.facts.errors import InputError, VerificationFailed
from expunge.store.atomic import new_directory, remove, remove_partials, write_atomic
from expunge.store.lock import locked
from expunge.store.names import safe_name


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run: `pieces/<name>` holds the bytes or directory, `finished/<name>` its sha256, written after it.

    A piece without its mark in `finished` does not exist: a kill in between costs that piece and no other. Pieces
    must not hold forget text; what does belongs in the cache.
    """

    id: str
    request: str
    folder: Path

    def has(self, name: str) -> bool:
        """Say whether a piece is finished."""
        return self._mark(name).is_file()

    def finish(self, name: str, data: bytes) -> None:
        """Keep bytes as a finished piece; finishing it again with other bytes is refused."""
        if self.has(name) and self._mark(name).read_text("ascii") == sha256(data):
            return
        self._refuse_again(name)
        write_atomic(self._piece(name), data)
        write_atomic(self._mark(name), sha256(data).encode("ascii"))

    @contextmanager
    def finishing(self, name: str) -> Iterator[Path]:
        """Give an empty directory to fill (a model); it is a finished piece when the block ends well."""
        self._refuse_again(name)
        with new_directory(self._piece(name)) as partial:
            yield partial
        write_atomic(self._mark(name), _content(self._piece(name)).encode("ascii"))

    def piece(self, name: str) -> bytes:
        """Return the bytes of a finished piece."""
        path = self._checked(name)
        if path.is_dir():
            raise InputError(f"the piece {name!r} of run {self.id!r} is a directory", do="read it with directory()")
        return path.read_bytes()

    def directory(self, name: str) -> Path:
        """Return the directory of a finished piece. Read it, do not write into it."""
        path = self._checked(name)
        if not path.is_dir():
            raise InputError(f"the piece {name!r} of run {self.id!r} is a file", do="read it with piece()")
        return path

    def finished(self) -> tuple[str, ...]:
        """Return the names of all finished pieces, in order of name."""
        marks = self.folder / "finished"
        names = [path.name for path in marks.iterdir()] if marks.is_dir() else []
        return tuple(sorted(name for name in names if not name.startswith(".")))

    def _piece(self, name: str) -> Path:
        return self.folder / "pieces" / safe_name(name, "piece")

    def _mark(self, name: str) -> Path:
        return self.folder / "finished" / safe_name(name, "piece")

    def _refuse_again(self, name: str) -> None:
        """Refuse a finished piece; else remove what a killed process left of it."""
        if self.has(name):
            raise InputError(
                f"the piece {name!r} of run {self.id!r} is finished already",
                causes=(
                    "the plan changed under the same run id",
                    "Expunge or a library changed since",
                    "a step is not deterministic",
                ),
                do="start a new run",
            )
        remove(self._piece(name))

    def _checked(self, name: str) -> Path:
        if not self.has(name):
            raise InputError(f"the run {self.id!r} has not finished {name!r}", do="run it again: it resumes")
        path = self._piece(name)
        if not path.exists() or _content(path) != self._mark(name).read_text("ascii"):
            remove(self._mark(name))
            raise VerificationFailed(
                f"the piece {name!r} of run {self.id!r} was changed after it was finished; it was set aside",
                causes=("a file was edited", "the disk lost data"),
                do="run it again: this piece is computed anew",
            )
        return path


@contextmanager
def hold(run: Run) -> Iterator[Run]:
    """Hold a run against every other process while the block lasts; a second one gets `Locked`."""
    with locked(run.folder / "lock"):
        remove_partials(run.folder)
        yield run


def _content(path: Path) -> str:
    return sha256(canonical_json(directory_digests(path))) if path.is_dir() else file_sha256(path)
