"""Sounds of pictures: a picture is scanned from left to right, every row a tone as loud as it is bright there.

    s(t) = sum over rows of brightness(row, column at t) sin(2 pi f_row t + phase_row) + noise

Low rows sound low. Where pictures come without sound this gives them one that goes with them. The scan is Meijer's 1992 "An
experimental system for auditory image representations"."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

ROWS, COLUMNS, SAMPLES = 16, 16, 64  # tones, moments, samples of a moment


def sounds(x: Tensor, noise: float = 0.1, generator: torch.Generator | None = None) -> Tensor:
    """x [n, C, H, W] -> waves [n, 1024]."""
    bright = F.adaptive_avg_pool2d(x.mean(1, keepdim=True), (ROWS, COLUMNS))[:, 0]  # [n, 16, 16]
    low, high = bright.amin((1, 2), keepdim=True), bright.amax((1, 2), keepdim=True)
    loud = (bright - low) / (high - low).clamp_min(1e-6)
    time = torch.arange(COLUMNS * SAMPLES) / SAMPLES
    tone = torch.linspace(30, 2, ROWS)[:, None]  # cycles a moment, the top row the highest
    phase = 2 * math.pi * torch.rand(len(x), ROWS, 1, generator=generator)
    waves = torch.sin(2 * math.pi * tone * time + phase).to(x)  # [n, 16, 1024]
    wave = (loud.repeat_interleave(SAMPLES, 2) * waves).mean(1)
    return wave + noise * torch.randn(wave.shape, generator=generator).to(x)


def spectrogram(wave: Tensor) -> Tensor:
    """[n, samples] -> [n, 1, 33, moments]: the logarithm of how loud each tone is at each moment."""
    window = torch.hann_window(SAMPLES, device=wave.device)
    spectrum = torch.stft(wave.float(), SAMPLES, SAMPLES // 2, window=window, return_complex=True)
    return spectrum.abs().clamp_min(1e-3).log()[:, None]
