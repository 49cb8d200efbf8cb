"""Token teachers: a slow copy that sees pictures whole says what the class token of another view, and the hidden patches of
the same view, should have been.

    loss = mean over (view i, other large view j) of D(h(class_i), h'(class_j))
         + patch * mean over large views of D(h(token of hidden patch), h'(token of that patch, seen))
         + apart * spread(class tokens of the large views)

The student's large views have a share of their patches replaced by a learned token, in a share of the pictures; small views
are whole and have the first term only. What varies:

    compare    D on codes: `codes.Balanced` (Sinkhorn) or `codes.Centred`, over `nested.PerLevel` for nested heads
    patch      0: DINO on the class token
    mask       scattered, block, or rolled over the edges so that each cell is hidden equally often (`masks`)
    apart      weight of the spread, 0: none

    ibot       one level, blocks                              Zhou et al. 2022, arXiv:2111.07832
    dinov2     one level, Sinkhorn, spread 0.1                Oquab et al. 2023, arXiv:2304.07193
    franca     nested levels, Sinkhorn, rolled, spread 0.1    Venkataramanan et al. 2025, arXiv:2507.14137

`teachers.py` compares whole embeddings of any encoder; here the encoder is a transformer on patches with a class token.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from semblance.contracts import Batch, Encoder, Metrics
from semblance.encoders.vision.patches import Patches, positions
from semblance.errors import SemblanceError, unknown
from semblance.objectives.branches import Copied, precise, spread_of
from semblance.objectives.masks import KINDS, places
from semblance.objectives.spread import spread

Compared = nn.Module


class AllTokens(nn.Module):
    """A transformer on patches whose embedding is all its tokens, the class token first: what the copy is of."""

    def __init__(self, encoder: Patches):
        super().__init__()
        self.encoder = encoder

    def embed(self, view: Batch) -> Tensor:
        """x [N, C, H, W] -> [N, 1 + T, d]."""
        return self.encoder.visible(view["x"])


class TokenHeads(nn.Module):
    """A head for the class token and one for patches; None: the same."""

    def __init__(self, first: nn.Module, rest: nn.Module | None = None):
        super().__init__()
        self.first, self.rest = first, rest

    def forward(self, tokens: Tensor) -> Tensor:
        """[N, 1 + T, d] -> [N, 1 + T, K]."""
        if self.rest is None:
            both: Tensor = self.first(tokens)
            return both
        return torch.cat([self.first(tokens[:, :1]), self.rest(tokens[:, 1:])], 1)


class TokenTeachers(nn.Module):
    """Heads, mask token and teacher are dropped after training."""

    needs = frozenset({"views"})

    def __init__(
        self,
        dim: int,
        heads: TokenHeads,
        teacher: Copied,
        compare: Compared,
        patch_compare: Compared,
        *,
        patch: float = 1.0,
        apart: float = 0.1,
        ratio: float = 0.4,
        share: float = 0.5,
        mask: str = "rolled",
        answered: int = 2,
    ):
        super().__init__()
        if mask not in KINDS:
            raise unknown("kind of mask", mask, KINDS)
        if not 0 < ratio < 1 or not 0 < share <= 1:
            raise SemblanceError(
                f"{ratio} of the patches are hidden in {share} of the pictures: give a ratio between 0 and 1, and a share "
                "above 0 up to 1"
            )
        if answered < 1:
            raise SemblanceError(f"answered is {answered}, but somebody has to answer: give 1 view or more")
        self.heads, self.teacher, self.compare, self.patch_compare = heads, teacher, compare, patch_compare
        self.hidden = nn.Parameter(torch.randn(dim) * 0.02)
        self.patch, self.apart, self.ratio, self.share = patch, apart, ratio, share
        self.mask, self.answered = mask, answered
        self._targets: tuple[list[Tensor], list[Tensor]] = ([], [])

    def forward(self, model: Encoder, batch: Batch) -> tuple[Tensor, Metrics]:
        """views: V batches of the same N items, the large ones first -> scalar, {loss, class, patch, std, rank}."""
        views = batch["views"]
        if len(views) < 2:
            raise SemblanceError(f"each item has {len(views)} view, and views are compared with others: draw 2 or more")
        encoder, large = bare(model), views[: self.answered]
        if encoder.first is None:
            raise SemblanceError("the encoder has no class token to compare: give readout='class'")
        targets = self.teacher(self._online(encoder), [], {"views": large})  # [N, 1 + T, K] each
        tokens, hidden = [], []
        for number, view in enumerate(views):
            gone = self._gone(encoder, view["x"]) if number < len(large) and self.patch else None
            tokens.append(shown(encoder, view["x"], gone, self.hidden))
            hidden.append(gone)
        firsts = [precise(self.heads.first(each[:, 0])) for each in tokens]
        pairs = [(i, j) for i in range(len(views)) for j in range(len(large)) if i != j]
        loss = torch.stack([self.compare(firsts[i], targets[j][:, 0]) for i, j in pairs]).mean()
        told = {"class": float(loss.detach()), **spread_of(tokens[0][:, 0].detach().float())}
        asked = [target[:, 0] for target in targets]
        patches: list[Tensor] = []
        if self.patch:
            head, terms = self.heads.first if self.heads.rest is None else self.heads.rest, []
            for each, target, gone in zip(tokens, targets, hidden, strict=False):
                assert gone is not None
                wanted = at(target[:, 1:], gone)
                terms.append(self.patch_compare(precise(head(at(each[:, 1:], gone))), wanted))
                patches.append(wanted)
            said = torch.stack(terms).mean()
            told["patch"] = float(said.detach())
            loss = loss + self.patch * said
        if self.apart:
            apart = torch.stack([spread(precise(each[:, 0])) for each in tokens[: len(large)]]).mean()
            loss = loss + self.apart * apart
        self._targets = (asked, patches)
        return loss, {"loss": float(loss.detach()), **told}

    def _gone(self, encoder: Patches, x: Tensor) -> Tensor:
        """The hidden places [n, k] of the first n = share N pictures: batches are in random order already."""
        grid = (x.shape[2] // encoder.patch, x.shape[3] // encoder.patch)
        hidden = places(max(1, round(self.share * len(x))), grid, self.ratio, self.mask, x)[1]
        if not hidden.shape[1]:
            raise SemblanceError(f"a ratio of {self.ratio} hides none of {grid[0]} by {grid[1]} patches: give more")
        return hidden

    def after_step(self, model: Encoder, batch: Batch) -> None:
        """Let the teacher follow, and the comparisons take note of the targets."""
        self.teacher.after_step(self._online(bare(model)), [], batch)
        for compare, targets in zip((self.compare, self.patch_compare), self._targets, strict=True):
            settle = getattr(compare, "after_step", None)
            if settle is not None and targets:
                settle(targets)
        self._targets = ([], [])

    def _online(self, encoder: Patches) -> nn.ModuleList:
        return nn.ModuleList([AllTokens(encoder), self.heads])


def bare(model: Encoder) -> Patches:
    """The transformer itself, without what is done to its tokens after training."""
    encoder: Any = getattr(model, "encoder", model)
    found: Patches = getattr(encoder, "bare", encoder)
    if not hasattr(found, "visible"):  # what stands for a transformer (learning/distribution.py) does as well
        raise SemblanceError(
            f"tokens are compared and a {type(found).__name__} has none: take the transformer on patches"
        )
    return found


def shown(encoder: Patches, x: Tensor, gone: Tensor | None, instead: Tensor) -> Tensor:
    """x [N, C, H, W], hidden places [n, k] of its first n pictures, what stands there [d] -> tokens [N, 1 + T, d]."""
    if gone is None:
        return encoder.visible(x)
    h = encoder.embedding(encoder.cut(x))
    covered = torch.zeros(h.shape[:2], dtype=torch.bool, device=h.device)
    covered[: len(gone)] = covered[: len(gone)].scatter(1, gone, True)
    h = torch.where(covered[..., None], instead.to(h), h)
    h = h + positions(x.shape[2] // encoder.patch, x.shape[3] // encoder.patch, encoder.dim, x)
    assert encoder.first is not None
    h = torch.cat([encoder.first.to(h).expand(len(h), 1, -1), h], 1)
    out: Tensor = encoder.norm(encoder.blocks(h, torch.ones(h.shape[:2], dtype=torch.bool, device=h.device)))
    return out


def at(tokens: Tensor, gone: Tensor) -> Tensor:
    """[N, T, K], places [n, k] of the first n -> [n k, K]."""
    return tokens[: len(gone)].gather(1, gone[..., None].expand(-1, -1, tokens.shape[2])).flatten(0, 1)
