"""Sound as an image: power by frequency band and time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RATE = 8000
"""Samples a second."""
WINDOW = 256
HOP = 128
LOWEST = 80.0
"""Lower edge of the lowest band, in Hz."""


def spectrogram(audio: NDArray[np.int16], bands: int, frames: int) -> NDArray[np.float32]:
    """Return a clip's power by band and time, (bands, frames), float32: 1 at its loudest cell, 0 at 60 dB below it and under.

    Windows of 32 ms every 16 ms (Hann); power is averaged within each band, then put linearly onto `frames` points in time.
    """
    from scipy.signal import stft

    padded = np.pad(audio.astype(np.float64), (0, max(0, WINDOW - len(audio))))
    heights, _, spectrum = stft(padded, fs=RATE, nperseg=WINDOW, noverlap=WINDOW - HOP, boundary=None)
    power = np.abs(spectrum) ** 2
    edges = np.geomspace(LOWEST, RATE / 2, bands + 1)
    centres = np.sqrt(edges[:-1] * edges[1:])
    inside = (heights >= edges[:-1, None]) & (heights < edges[1:, None])
    nearest = np.abs(heights - centres[:, None]).argmin(1)
    inside[np.arange(bands), nearest] |= ~inside.any(1)  # narrow low bands hold no frequency: the nearest stands in
    banded = inside @ power / inside.sum(1, keepdims=True)
    at = np.linspace(0, banded.shape[1] - 1, frames)
    stretched = np.stack([np.interp(at, np.arange(banded.shape[1]), band) for band in banded])
    loudest = stretched.max()
    decibels = 10 * np.log10(np.maximum(stretched / loudest, 1e-6)) if loudest > 0 else np.full(stretched.shape, -60.0)
    return np.asarray(1 + decibels / 60, np.float32)
