"""Spoken digits as spectrograms, with a speaker to forget and the digits to keep."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expunge.contract.about import About
from expunge.facts.errors import InputError
from expunge.facts.rows import Row, Rows
from expunge.sources._spectrogram import spectrogram

TEST = 5
"""Recordings 0 to 4 of a speaker and digit are the official test part."""
ARRAYS = ("audio", "offset", "digit", "speaker", "index")


@dataclass(frozen=True, kw_only=True)
class Fsdd:
    """Read the free spoken digits as `bands` x `frames` log-spectrograms in [0, 1]; the label is the digit, the group the speaker.

    Whose voice a clip has says nothing of its label: forgetting a speaker is not forgetting a class, and a model trained without
    that speaker still knows the digits. The clips of the speaker that are held out are the non-members. Test clips are the other
    speakers' official test part, `test_forget` the forgotten speaker's.

    Nothing of a spectrogram is computed from other clips. Speakers are numbered in the order of their names, and stand in no id.

    Source: Jackson et al. 2018 (free spoken digit dataset). Reads one npz (audio int16, offset, digit, speaker, index); nothing pickled.
    """

    about = About(
        needs=(),
        modalities=("vision",),
        claim="The label is independent of the speaker: a model trained without a speaker reads that speaker's digits above chance.",
        paper="Free Spoken Digit Dataset",
        link="https://doi.org/10.5281/zenodo.1342401",
        year=2018,
        paper_id="P140",
        differs=("Holdout clips are of the forgotten speaker, so that the non-members have the members' voice.",),
        cost="about 2 s for 2,000 clips",
    )

    data: str = ""
    """Path of fsdd.npz."""
    forget: str = "speaker=0"
    """Whose clips must go: speaker=NUMBER or speaker=NAME."""
    holdout: float = 0.3
    """Share of the speaker's clips outside the test part that no model is trained on."""
    bands: int = 32
    """Frequency bands between 80 Hz and 4 kHz."""
    frames: int = 32
    """Points in time."""
    seed: int = 0
    """Which clips are held out."""

    def __post_init__(self) -> None:
        if not 0 < self.holdout < 1 or min(self.bands, self.frames) < 4:
            raise ValueError("holdout must lie between 0 and 1; bands and frames must be at least 4")

    def run(self) -> dict[str, Rows]:
        """Return forget, retain, holdout, test and test_forget."""
        arrays = _read(Path(self.data))
        starts = arrays["offset"]
        names = sorted(set(arrays["speaker"].tolist()))
        wanted = _speaker(self.forget, names)
        rows: dict[str, list[Row]] = {name: [] for name in ("forget", "retain", "holdout", "test", "test_forget")}
        draw = np.random.default_rng(self.seed)
        held = draw.random(len(arrays["digit"])) < self.holdout
        for i, (digit, speaker, index) in enumerate(
            zip(arrays["digit"].tolist(), arrays["speaker"].tolist(), arrays["index"].tolist(), strict=True)
        ):
            image = spectrogram(arrays["audio"][starts[i] : starts[i + 1]], self.bands, self.frames)
            row = Row(id=f"fsdd-{i}", fields={"image": image, "label": digit}, group=f"speaker-{names.index(speaker)}")
            own = speaker == wanted
            if index < TEST:
                rows["test_forget" if own else "test"].append(row)
            elif own:
                rows["holdout" if held[i] else "forget"].append(row)
            else:
                rows["retain"].append(row)
        return {name: Rows(tuple(items), name) for name, items in rows.items()}


def _speaker(forget: str, names: list[str]) -> str:
    word, _, value = forget.partition("=")
    number = int(value) if value.isdigit() else None
    if word != "speaker" or (value not in names and (number is None or number >= len(names))):
        raise InputError(
            f"forget={forget!r} is not understood", do=f"use speaker=0 to speaker={len(names) - 1}, or speaker=NAME"
        )
    return value if number is None else names[number]


def _read(path: Path) -> dict[str, NDArray[Any]]:
    if not path.is_file():
        raise InputError(f"there is no file {path}", do="give data=PATH of fsdd.npz")
    try:
        with np.load(path, allow_pickle=False) as given:
            missing = [name for name in ARRAYS if name not in given]
            if missing:
                raise InputError(f"{path} has no array {missing[0]!r}", do=f"it needs {', '.join(ARRAYS)}")
            found = {name: given[name] for name in ARRAYS}
    except (ValueError, zipfile.BadZipFile, EOFError) as error:
        raise InputError(f"{path} cannot be read as npz without pickle: {error}") from error
    clips = len(found["digit"])
    if len(found["offset"]) != clips + 1 or int(found["offset"][-1]) != len(found["audio"]):
        raise InputError(f"{path}: offsets do not cut the audio into {clips} clips")
    return found
