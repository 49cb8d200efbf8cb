"""Worded: a linear head whose classes are known by words, and what the words are good for.

    direction   words -> the mean of their rows, a direction in the space of embeddings: items are found by words
    copied      a head for other classes, started from the rows of the words they are called by     Mehta et al. 2024
    ranked      items by how much they show of several words: multi-label retrieval
    precision   mean average precision over words

arXiv:2404.15653.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from semblance.data.concepts import Vocabulary
from semblance.errors import SemblanceError
from semblance.heads.classify import Linear


def direction(head: Linear, flags: Tensor) -> Tensor:
    """bool [n, K] words of each query -> [n, d], the mean of their rows; all zero without any."""
    share = flags.to(head.map.weight.dtype) / flags.sum(1, keepdim=True).clamp_min(1)
    found: Tensor = share @ head.map.weight
    return found


def copied(head: Linear, vocabulary: Vocabulary, names: Sequence[str]) -> tuple[Linear, list[str]]:
    """A head for the classes of these names: the row of a class is the mean of its words' rows, with their mean bias; those
    that name no word start at random, and are told."""
    flags = torch.from_numpy(vocabulary.flags(names))
    found = Linear(head.map.in_features, len(names), names).to(head.map.weight)
    known = flags.any(1)
    with torch.no_grad():
        found.map.weight[known] = direction(head, flags)[known]
        bias = flags.to(head.map.bias) @ head.map.bias / flags.sum(1).clamp_min(1)
        found.map.bias[known] = bias[known]
    return found, [name for name, there in zip(names, known.tolist(), strict=True) if not there]


def ranked(logits: Tensor, flags: Tensor) -> Tensor:
    """Logits [N, K], words of each query bool [n, K] -> [n, N], items in order of how likely they show all of a query's
    words: sum_k log sigmoid(f_k)."""
    if not bool(flags.any(1).all()):
        raise SemblanceError("a query names no concept that was learned: give one that does")
    return (flags.to(logits) @ F.logsigmoid(logits).T).argsort(dim=1, descending=True, stable=True)


def precision(scores: np.ndarray, wanted: np.ndarray) -> float:
    """Scores and what is there [N, K] -> the mean over words that occur of average precision: of all items in order, the
    mean over the right ones of the share of right ones up to there."""
    order = np.argsort(-scores, axis=0, kind="stable")
    right = np.take_along_axis(np.asarray(wanted, bool), order, 0)
    up_to = np.cumsum(right, 0) / np.arange(1, len(right) + 1)[:, None]
    there = right.any(0)
    each = (up_to * right).sum(0)[there] / right.sum(0)[there]
    return float(each.mean())
