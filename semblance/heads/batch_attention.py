"""Batch attention: while training, the items of a batch look at one another.

    H = norm(X + attention(X)),    Y = norm(H + perceptron(H))    across the batch, no positions

One and the same classifier reads X and Y.

At test the module is gone: the classifier was trained to read X alone as well. With it an item's loss has a gradient in
other items' features, so that frequent classes shape rare ones. A batch must be shuffled (a batch of one class would look
at itself), and with a batch of one item the module is a plain residual layer.

Hou et al. 2022, arXiv:2203.01522 (BatchFormer).
"""

from __future__ import annotations

from torch import Tensor, nn


class BatchAttention(nn.Module):
    """One transformer layer over the rows of a batch, or over the same cell of every item's map."""

    def __init__(self, width: int, heads: int = 4, dropout: float = 0.5):
        super().__init__()
        # Norms stand after the sums, as in the paper: Y has a length of its own, whatever that of X.
        self.layer = nn.TransformerEncoderLayer(width, heads, width, dropout, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """[N, d] -> [N, d], or maps [N, d, H, W] -> the same: each cell looks at that cell of the others."""
        tokens = x[None] if x.ndim == 2 else x.flatten(2).permute(2, 0, 1)  # [cells, N, d]
        seen: Tensor = self.layer(tokens)
        return seen[0] if x.ndim == 2 else seen.permute(1, 2, 0).reshape(x.shape)
