"""Translation: two stores of vectors made by different encoders, brought where they can be compared.

    relative     either side's codes relative to the same anchors: no fit, needs the anchors' counterparts (anchors.py)
    procrustes   y ~ (x - mx) R + my with orthonormal R, the least squares over pairs: R = U V^T of X'Y = U S V^T
    vec2vec      a learned translator of the first side into the space of the second, without any pair (unpaired.py)

The three agree on one face: a side's vectors go in, unit vectors of a common space come out, in which both sides are
measured by cosine. What varies: coordinates (relative to anchors, absolute, learned), and what is known of both sides
(pairs, or nothing). References: those of `anchors` and `unpaired`; Schoenemann 1966 (Procrustes).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from semblance.errors import SemblanceError, unknown
from semblance.learning.parts import chance
from semblance.memory.anchors import Relative, choose_anchors
from semblance.memory.unpaired import Plan, Terms, Translator, learn_unpaired

LEAST = 4  # pairs
ALONE = 64  # vectors of either side, without pairs
BLOCK = 8192
Progress = Callable[[int, int], None]


def _silent(done: int, total: int) -> None:
    return None


class Moved(nn.Module):
    """x -> (x - middle) turn + there."""

    middle: Tensor
    turn: Tensor
    there: Tensor

    def __init__(self, middle: Tensor, turn: Tensor, there: Tensor):
        super().__init__()
        self.register_buffer("middle", middle)
        self.register_buffer("turn", turn)
        self.register_buffer("there", there)

    def forward(self, x: Tensor) -> Tensor:
        """[N, d] -> [N, d']."""
        return (x - self.middle) @ self.turn + self.there


class Translation(nn.Module):
    """How either side's vectors [N, d] come into one space, where cosines compare them. `facts` are plain values from which
    an empty one of the same shapes is built (`blank`)."""

    def __init__(self, method: str, left: nn.Module, right: nn.Module, facts: Mapping[str, Any]):
        super().__init__()
        self.method, self.facts = method, dict(facts)
        self.sides = nn.ModuleList([left, right])
        self.eval()

    @torch.inference_mode()
    def meet(self, vectors: np.ndarray, side: int) -> np.ndarray:
        """[N, d] of side 0 or 1 -> unit vectors [N, m] float32 in the common space."""
        parts = []
        for at in range(0, max(len(vectors), 1), BLOCK):
            x = torch.from_numpy(np.array(vectors[at : at + BLOCK], np.float32))  # a copy: what is mapped is read-only
            parts.append(F.normalize(self.sides[side](x), dim=1))
        return np.asarray(torch.cat(parts).numpy())


def procrustes(x: np.ndarray, y: np.ndarray) -> Moved:
    """Rows [n, d], [n, d'] of the same items -> the map of the first side into the second. Where d < d', the first
    becomes a plane within the second; where d > d', what the second has no room for is dropped."""
    a, b = _finite(x, "first"), _finite(y, "second")
    middle, there = a.mean(0), b.mean(0)
    u, _, v = torch.linalg.svd((a - middle).T @ (b - there), full_matrices=False)
    return Moved(middle.float(), (u @ v).float(), there.float())


def relative(
    x: np.ndarray,
    y: np.ndarray,
    anchors: int = 300,
    how: str = "drawn",
    similarity: str = "cosine",
    centred: bool = True,
    steps: int = 0,
    seed: int = 0,
) -> Translation:
    """Parallel rows [n, d], [n, d'], of which up to so many become the anchors; chosen by the first side's vectors."""
    _parallel(x, y)
    rows = choose_anchors(x, min(anchors, len(x)), chance(seed), how)
    sides = [_finite(side, name)[rows].float() for side, name in ((x, "first"), (y, "second"))]
    facts = {
        "similarity": similarity,
        "centred": centred,
        "steps": steps,
        "shapes": [list(side.shape) for side in sides],
    }
    left, right = (Relative(side, similarity, centred, steps) for side in sides)
    return Translation("relative", left, right, facts)


def turned(x: np.ndarray, y: np.ndarray) -> Translation:
    """Parallel rows [n, d], [n, d'] -> the first side turned into the second's space by Procrustes."""
    _parallel(x, y)
    return Translation("procrustes", procrustes(x, y), nn.Identity(), {"shapes": [[x.shape[1]], [y.shape[1]]]})


def unpaired(
    x: np.ndarray,
    y: np.ndarray,
    plan: Plan | None = None,
    terms: Terms | None = None,
    runs: int = 3,
    seed: int = 0,
    progress: Progress = _silent,
) -> Translation:
    """All rows [N, d], [M, d'] of either side, in any order -> the first side in the second's space, by the run (of so
    many) of the least mismatch."""
    for side, name in ((x, "first"), (y, "second")):
        _finite(side, name)
        if len(side) < ALONE:
            raise SemblanceError(
                f"the {name} side has {len(side)} vectors, too few to be told by their shape alone: give {ALONE} or more, "
                "or pairs and method procrustes"
            )
    plan = Plan() if plan is None else plan
    found, wrong = learn_unpaired(x, y, plan, terms, range(seed, seed + runs), progress)
    best = int(np.argmin(wrong))
    facts = {"dims": [x.shape[1], y.shape[1]], "plan": vars(plan), "mismatch": wrong, "kept": best}
    return Translation("vec2vec", found[best], nn.Identity(), facts)


def blank(method: str, facts: Mapping[str, Any]) -> Translation:
    """A translation of these shapes, to be filled by its tensors."""
    if method == "relative":
        kept = [facts[name] for name in ("similarity", "centred", "steps")]
        left, right = (Relative(torch.zeros(*shape), *kept) for shape in facts["shapes"])
        return Translation(method, left, right, facts)
    if method == "procrustes":
        (d,), (m,) = facts["shapes"]
        return Translation(method, Moved(torch.zeros(d), torch.zeros(d, m), torch.zeros(m)), nn.Identity(), facts)
    if method == "vec2vec":
        first, second = facts["dims"]
        return Translation(method, Translator((first, second), Plan(**facts["plan"])), nn.Identity(), facts)
    raise unknown("method of translation", method, METHODS)


METHODS = ("relative", "procrustes", "vec2vec")


def _parallel(x: np.ndarray, y: np.ndarray) -> None:
    if len(x) != len(y):
        raise SemblanceError(f"there are {len(x)} and {len(y)} vectors of pairs: give the same items on both sides")
    if len(x) < LEAST:
        raise SemblanceError(
            f"{len(x)} pairs are too few to bring two spaces together: give {LEAST} or more (some hundred are better), or "
            "method vec2vec, which needs none"
        )


def _finite(x: np.ndarray, name: str) -> Tensor:
    """float64, checked: numbers, and not all rows the same."""
    z = torch.as_tensor(np.asarray(x, np.float64))
    if not bool(torch.isfinite(z).all()):
        raise SemblanceError(f"the {name} side holds NaN or infinity: leave these items out of both")
    if len(z) and bool((z == z[0]).all()):
        raise SemblanceError(
            f"the {name} side has the same vector for all {len(z)} items, so nothing can be told apart there: fit that "
            "space again"
        )
    return z
