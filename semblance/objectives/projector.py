"""Projector and predictor: the small perceptron between an embedding and the space where an objective compares.

    x -> [Linear -> BatchNorm -> ReLU] * (depth - 1) -> Linear [-> BatchNorm]

The papers differ in widths and in where batch norm stands: SimCLR has none on the output, SimSiam's projector has it on
every layer (with or without affine on the last), its predictor on the hidden layer only.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from semblance.errors import unknown

OUTPUT_NORMS = ("none", "affine", "plain")


def perceptron(widths: Sequence[int], *, hidden_norm: bool = True, output_norm: str = "none") -> nn.Sequential:
    """widths [in, hidden..., out] -> module [N, in] -> [N, out].

    `output_norm`: none, affine (batch norm with scale and shift) or plain (without: unit variance per coordinate).
    """
    if output_norm not in OUTPUT_NORMS:
        raise unknown("output norm", output_norm, OUTPUT_NORMS)
    layers: list[nn.Module] = []
    for i, (width_in, width_out) in enumerate(pairwise(widths)):
        last = i == len(widths) - 2
        normed = output_norm != "none" if last else hidden_norm
        layers.append(nn.Linear(width_in, width_out, bias=not normed))
        if normed:
            layers.append(nn.BatchNorm1d(width_out, affine=not last or output_norm == "affine"))
        if not last:
            layers.append(nn.ReLU())
    return nn.Sequential(*layers)
