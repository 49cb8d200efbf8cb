"""Both ways: a generator makes pictures of codes, the trunk makes codes of pictures, and a judge sees both in pairs.

    loss = logistic(J(x, E(x)), 1) + logistic(J(G(c), c), 0)        moves the judge J alone
         + logistic(J(x, E(x)), 0) + logistic(J(G(c), c), 1)        moves E and G alone

Where J cannot tell the two kinds of pairs apart, E undoes G. The second line asks for wrong answers rather than against
right ones: where J is sure, its own loss has no gradient left to turn round. The sum says how the game stands, and is no
measure of the features.

BiGAN: Donahue et al. 2017, arXiv:1605.09782; Dumoulin et al. 2017, arXiv:1606.00704."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from semblance.contracts import Batch, Encoder, Metrics
from semblance.objectives.pretexts.asked import ToPixels, reading, yes_or_no


class Judge(nn.Module):
    """Pictures [N, C, H, W] and codes [N, code] -> how surely the code was made of the picture, logits [N, 1]."""

    def __init__(self, channels: int, code: int, hidden: int = 128):
        super().__init__()
        self.look = nn.Sequential(
            nn.Conv2d(channels, 32, 3, 2, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(32, 64, 3, 2, 1),
            nn.LeakyReLU(0.2),
            nn.AdaptiveAvgPool2d(4),
            nn.Flatten(),
        )
        self.decide = nn.Sequential(nn.Linear(64 * 16 + code, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, 1))

    def forward(self, pictures: Tensor, codes: Tensor) -> Tensor:
        out: Tensor = self.decide(torch.cat([self.look(pictures), codes], 1))
        return out


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
        self.judge = Judge(channels, code, hidden)

    def forward(self, model: Encoder, batch: Batch) -> tuple[Tensor, Metrics]:
        """x [N, C, H, W] -> scalar, {loss, judge: its own part, accuracy: of the judge}."""
        x = batch["x"]
        found = F.layer_norm(self.encode(reading(model, x)), (self.code,))
        drawn = F.layer_norm(torch.randn(len(x), self.code).to(found), (self.code,))
        pictures, codes = torch.cat([x, self.made(drawn)]), torch.cat([found, drawn])
        target = torch.cat([torch.ones(len(x)), torch.zeros(len(x))]).to(found)
        judged, told = yes_or_no(self.judge(pictures.detach(), codes.detach()), target)
        held = {name: weight.detach() for name, weight in self.judge.named_parameters()}
        fooled, _ = yes_or_no(functional_call(self.judge, held, (pictures, codes)), 1 - target)
        loss = judged + fooled
        return loss, {"loss": float(loss.detach()), "judge": float(judged.detach()), **told}

    def made(self, code: Tensor) -> Tensor:
        """[N, code] -> pictures [N, C, H, W]."""
        out: Tensor = self.paint(self.start(code).unflatten(1, (-1, 4, 4)))
        return out
