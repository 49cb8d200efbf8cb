"""From a loss to an objective: a loss is a pure function of embeddings, `(z, batch) -> scalar`; an objective decides
which embeddings it sees and owns what trains along.

    on_items   z of the batch itself                      [N, d]
    on_views   z of all views, view after view, with `item` and `view` [views * N] telling which item each row
               shows in which view, and labels and index repeated alike                      [views * N, d]
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from semblance.contracts import Batch, Encoder, Metrics

Loss = Callable[[Tensor, Batch], Tensor]


class Lifted(nn.Module):
    """A loss of z as an objective, with an optional projector that is dropped after training."""

    def __init__(self, loss: Loss, projector: nn.Module | None, views: bool, needs: frozenset[str]):
        super().__init__()
        self.loss, self.projector, self.views, self.needs = loss, projector, views, needs

    def forward(self, model: Encoder, batch: Batch) -> tuple[Tensor, Metrics]:
        """-> scalar, metrics. The loss is computed in float32 whatever the encoder's precision."""
        if self.views:
            seen = batch["views"]
            z = torch.cat([model.embed(view) for view in seen])
            n = len(z) // len(seen)
            batch = {
                **{k: torch.cat([v] * len(seen)) for k, v in batch.items() if k in ("labels", "index")},
                "item": torch.arange(n, device=z.device).repeat(len(seen)),
                "view": torch.arange(len(seen), device=z.device).repeat_interleave(n),
            }
        else:
            z = model.embed(batch)
        if self.projector is not None:
            z = self.projector(z)
        loss = self.loss(z.float(), batch)
        return loss, {"loss": float(loss.detach())}


def on_items(loss: Loss, projector: nn.Module | None = None, needs: tuple[str, ...] = ()) -> Lifted:
    """The loss of the items' own embeddings."""
    return Lifted(loss, projector, False, frozenset(needs))


def on_views(loss: Loss, projector: nn.Module | None = None, needs: tuple[str, ...] = ()) -> Lifted:
    """The loss of the embeddings of all views."""
    return Lifted(loss, projector, True, frozenset({"views", *needs}))
