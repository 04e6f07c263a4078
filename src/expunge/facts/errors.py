"""Errors written for a person: what happened, the likely causes, what to type."""

from __future__ import annotations


class ExpungeError(Exception):
    """Say what happened, why it is likely, and what to do next.

    `exit_code` is what the command returns: 1 a required rung or a verification failed, 2 bad input,
    3 evidence that contradicts itself.
    """

    exit_code = 2

    def __init__(self, what: str, *, causes: tuple[str, ...] = (), do: str = "") -> None:
        self.what, self.causes, self.do = what, causes, do
        super().__init__(self.text())

    def text(self) -> str:
        """Return the message as the command prints it."""
        lines = [self.what, *(f"  likely cause: {cause}" for cause in self.causes)]
        return "\n".join([*lines, f"  try: {self.do}"] if self.do else lines)


class InputError(ExpungeError):
    """A request, file, setting or model that cannot be used; nothing was written."""


class UndeclaredRead(ExpungeError):
    """A unit read a split that it did not declare in `needs`."""


class ContractBroken(ExpungeError):
    """A unit returned something that its contract forbids (NaN weights, entries moved outside the mask...)."""

    exit_code = 3


class VerificationFailed(ExpungeError):
    """A certificate, record or model directory is not what it says it is."""

    exit_code = 1


class Contradicted(ExpungeError):
    """The battery contradicts a claim of provenance: a bug in the method, not a weak result."""

    exit_code = 3


class Locked(InputError):
    """Another process holds the run or the store."""


def nearest(key: str, known: tuple[str, ...]) -> str:
    """Return the known key nearest to `key` in spelling, or an empty string."""
    import difflib

    close = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
    return close[0] if close else ""
