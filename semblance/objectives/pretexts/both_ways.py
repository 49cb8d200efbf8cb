"""Both ways: a generator makes pictures of codes, the trunk codes of pictures, and a discriminator sees both in pairs.

    loss = logistic(D(x, E(x)), 1) + logistic(D(G(c), c), 0),    least for D, greatest for G and E

Where D cannot tell the two kinds of pairs apart, E undoes G. All three move in one step: gradients turn round on their way
from D to G and E (turned.py). So the loss says how well D tells, and is no measure of the features.

BiGAN: Donahue et al. 2017, arXiv:1605.09782; Dumoulin et al. 2017, arXiv:1606.00704."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch, Encoder, Metrics
from semblance.objectives.pretexts.asked import ToPixels, reading, yes_or_no
from semblance.objectives.turned import turned


class BothWays(nn.Module):
    """For pictures of this shape (C, H, W) and embeddings of this width; codes have `code` numbers."""

    needs: frozenset[str] = frozenset()

    def __init__(self, dim: int, item: tuple[int, int, int], code: int = 32, hidden: int = 128):
        super().__init__()
        channels, height, width = item
        self.code = code
        self.encode = nn.Linear(dim, code)
        self.start = nn.Sequential(nn.Linear(code, hidden * 16), nn.ReLU())
        self.paint = ToPixels(hidden, channels, (4, 4), (height, width))
        self.look = nn.Sequential(
            nn.Conv2d(channels, 32, 3, 2, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(32, 64, 3, 2, 1),
            nn.LeakyReLU(0.2),
            nn.AdaptiveAvgPool2d(4),
            nn.Flatten(),
        )
        self.judge = nn.Sequential(nn.Linear(64 * 16 + code, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, 1))

    def forward(self, model: Encoder, batch: Batch) -> tuple[Tensor, Metrics]:
        """x [N, C, H, W] -> scalar, {loss, accuracy: of the discriminator}."""
        x = batch["x"]
        found = F.layer_norm(self.encode(reading(model, x)), (self.code,))
        drawn = F.layer_norm(torch.randn(len(x), self.code).to(found), (self.code,))
        pictures = torch.cat([x, turned(self.made(drawn))])
        codes = torch.cat([turned(found), drawn])
        target = torch.cat([torch.ones(len(x)), torch.zeros(len(x))]).to(found)
        loss, told = yes_or_no(self.judge(torch.cat([self.look(pictures), codes], 1)), target)
        return loss, {"loss": float(loss.detach()), **told}

    def made(self, code: Tensor) -> Tensor:
        """[N, code] -> pictures [N, C, H, W]."""
        out: Tensor = self.paint(self.start(code).unflatten(1, (-1, 4, 4)))
        return out
