"""Captions: weak supervision from paired text.

    across    contrast over two modalities: a picture is to find its caption among those of the batch, and a caption its
              picture                                                                     Radford et al. 2021 (CLIP)
              loss = -1/2N sum_i ( log softmax_j(z_i w_j / t)_i + log softmax_j(w_i z_j / t)_i )
    concepts  the concepts that the caption names are classes, several a picture: no text encoder, and no item looks at
              another, so that the loss of a batch is the mean of its items' losses       Mehta et al. 2024 (CatLIP)

The first is a row of `contrast_table.py` (p: the pair's other half, candidates: the other modality) with two encoders
instead of one; the second is `classify.py`'s loss on labels that `data/concepts.py` makes.

arXiv:2103.00020; arXiv:2404.15653.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from semblance.contracts import Batch, Metrics
from semblance.errors import SemblanceError
from semblance.objectives.branches import precise
from semblance.objectives.classify import CrossEntropy
from semblance.objectives.contrast_table import method
from semblance.objectives.lift import Loss


class Across(nn.Module):
    """A loss of the embeddings of items and of their captions together: rows 0 .. N - 1 are items (view 0), the next N
    their captions (view 1)."""

    needs = frozenset({"captions"})

    def __init__(self, loss: Loss):
        super().__init__()
        self.loss = loss

    def forward(self, model: Any, batch: Batch) -> tuple[Tensor, Metrics]:
        """-> scalar, {loss, matched: how many items have their own caption nearest}. captions: int64 [N, T]."""
        if "captions" not in batch:
            raise SemblanceError("this objective compares items with captions, and the batch has none: give captions")
        z, w = precise(model.encoder.embed(batch)), precise(model.encoder.embed_captions(batch["captions"]))
        place = torch.arange(len(z), device=z.device)
        rows = {"item": place.repeat(2), "view": torch.arange(2, device=z.device).repeat_interleave(len(z))}
        loss = self.loss(torch.cat([z, w]), rows)
        with torch.no_grad():
            nearest = (nn.functional.normalize(z, dim=1) @ nn.functional.normalize(w, dim=1).T).argmax(1)
        return loss, {"loss": float(loss.detach()), "matched": float((nearest == place).float().mean())}


def across(temperature: float = 0.07) -> Across:
    """CLIP's loss at a temperature that is given.

    Paper: the temperature is learned from 0.07, and stays below 1/100 at scale. Here it is held, since batches of some
    hundred pairs have few hard negatives to learn it from.
    """
    return Across(method("clip", temperature=temperature))


def concepts(loss: str = "each", smoothing: float = 0.0) -> CrossEntropy:
    """CatLIP's loss: binary cross-entropy of every concept (`each`), or a softmax whose targets are divided by their number
    (`shared`). Pictures whose captions name no concept teach nothing."""
    return CrossEntropy(smoothing, several=loss)
