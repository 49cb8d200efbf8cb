"""Decision: what the neighbours voted, neighbour by neighbour, and which answer that makes.

    share of neighbour j = w_j / sum of w,     share of a class = the shares of its neighbours,     answer = the largest

w by the vote function of `heads.neighbours`: plain, distance, softmax or rank, times the stored item's own weight. The
shares of a decision sum to 1, so an answer is taken apart into the stored items that gave it. Where labels stand in a
tree, shares are summed up to the ancestors, and `agreed` answers with the most special label that enough of them share.

Reference: Geirhos et al. 2024, arXiv:2408.08172.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from semblance.errors import SemblanceError
from semblance.geometry.spaces import Geometry
from semblance.heads.neighbours import Weigh, decide, votes_of


@dataclass(frozen=True)
class Voter:
    """A neighbour and its part in an answer: `share` of the whole vote."""

    id: str
    label: str
    distance: float
    share: float
    source: str | None = None


@dataclass(frozen=True)
class Decision:
    """An answer: the label, each class's share of the votes (largest first, the label leading), and who voted, nearest
    first."""

    label: str
    shares: dict[str, float]
    neighbours: tuple[Voter, ...]

    @property
    def share(self) -> float:
        """The winner's share of the votes: how sure the answer is."""
        return self.shares[self.label]

    @property
    def cited(self) -> list[str]:
        """Ids of the neighbours that voted for the answer."""
        return [voter.id for voter in self.neighbours if voter.label == self.label]

    def to_dict(self) -> dict[str, Any]:
        """As `semblance label --json` prints it."""
        return asdict(self)


def similarity_of(distances: np.ndarray, geometry: str | Geometry) -> np.ndarray:
    """Distances of a geometry -> what votes are weighed by: the cosine, or the distance with its sign turned."""
    name = geometry if isinstance(geometry, str) else geometry.name
    return (1 - distances if name == "cosine" else -distances).astype(np.float32)


def check_votes(votes: str | Weigh, geometry: str | Geometry) -> None:
    """Refuses votes weighed by the cosine where distances are none."""
    name = geometry if isinstance(geometry, str) else geometry.name
    if votes == "distance" and name != "cosine":
        raise SemblanceError(f"votes 'distance' weigh by the cosine and distances here are {name}: use rank or plain")


def decision(
    ids: Sequence[str],
    codes: np.ndarray,
    distances: np.ndarray,
    names: Sequence[str],
    geometry: str | Geometry = "cosine",
    votes: str | Weigh = "rank",
    temperature: float = 0.07,
    weights: np.ndarray | None = None,
    sources: Sequence[str | None] | None = None,
) -> Decision:
    """One query's neighbours, nearest first: ids, classes `codes` [k] (positions in `names`), distances [k] and the items'
    own `weights` [k] -> the decision. Where no vote weighs anything the nearest decides, and all share the vote evenly."""
    if not len(ids):
        raise SemblanceError("no neighbour is left to vote: add labelled items, or mask and filter fewer")
    check_votes(votes, geometry)
    y = np.asarray(codes, np.int64)[None]
    near = similarity_of(np.asarray(distances), geometry)[None]
    own = None if weights is None else np.asarray(weights)[None]
    w = votes_of(y, near, votes, temperature, own)[0].double().numpy()
    weighed = w.sum() > 0
    share = w / w.sum() if weighed else np.full(len(w), 1 / len(w))
    total = np.bincount(y[0], weights=share, minlength=len(names))
    label = int(decide(torch.from_numpy(total if weighed else np.ones_like(total))[None], y)[0])
    order = sorted(set(y[0].tolist()), key=lambda c: (c != label, -total[c], c))
    given = sources if sources is not None else [None] * len(ids)
    voters = zip(ids, y[0], distances, share, given, strict=True)
    return Decision(
        label=names[label],
        shares={names[c]: float(total[c]) for c in order},
        neighbours=tuple(Voter(id, names[c], float(d), float(part), source) for id, c, d, part, source in voters),
    )


def agreed(shares: Mapping[str, float], parents: Mapping[str, str], least: float = 0.5) -> tuple[str | None, float]:
    """Shares of labels and the tree above them (label -> parent; a root has none) -> the deepest node under which lie at
    least so much of the votes, and how much; of equally deep ones the fuller. (None, 0) where not even a root has it."""
    if not 0 < least <= 1:
        raise SemblanceError(f"least is {least}, but it is a share of the votes: give more than 0 and at most 1")
    total: dict[str, float] = {}
    depth: dict[str, int] = {}
    for label, share in shares.items():
        path = [label]
        while path[-1] in parents:
            if parents[path[-1]] in path:
                raise SemblanceError(f"label {path[-1]!r} is its own ancestor: a hierarchy has no circles")
            path.append(parents[path[-1]])
        for above, node in enumerate(reversed(path)):
            depth[node] = above
            total[node] = total.get(node, 0.0) + share
    # Shares that sum to 1 may lack a rounding error of it.
    enough = [node for node, share in total.items() if share >= least - 1e-9]
    if not enough:
        return None, 0.0
    best = max(enough, key=lambda node: (depth[node], total[node]))
    return best, total[best]
