"""Cut out: an object from a saliency map, without box or mask ever having been taught.

    seeds    pixels above the `high` quantile of the map are object, those below the `low` one background
    unary    -log p(colour) of two mixtures of Gaussians, one fitted to either seed
    tie      neighbours cost exp(-|colour difference|^2 / (2 mean)) where they are parted
    labels   the cheapest cut (maximum flow), of which the largest piece is kept; its box is where the object is

References: Simonyan et al. 2013, arXiv:1312.6034; Boykov & Jolly 2001 (interactive graph cuts).
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage, sparse
from sklearn.mixture import GaussianMixture

from semblance.errors import SemblanceError

HIGH, LOW = 0.95, 0.30
GAUSSIANS = 2
SCALE = 1_000  # costs as whole numbers, which maximum flow takes
Box = tuple[int, int, int, int]


def cut_out(
    picture: np.ndarray,
    saliency: np.ndarray,
    tie: float = 2.0,
    high: float = HIGH,
    low: float = LOW,
    gaussians: int = GAUSSIANS,
) -> np.ndarray:
    """picture [H, W, C], saliency [H, W] -> bool [H, W], the object. tie: cost of parting two alike neighbours, in nats."""
    if picture.shape[:2] != saliency.shape:
        raise SemblanceError(
            f"the map is {list(saliency.shape)} and the picture {list(picture.shape[:2])}: give one size"
        )
    sure, ground = saliency >= np.quantile(saliency, high), saliency <= np.quantile(saliency, low)
    if min(sure.sum(), ground.sum()) <= gaussians or (sure & ground).any():
        raise SemblanceError("the map is too flat to seed an object and its background: nothing stands out in it")
    colours = picture.reshape(-1, picture.shape[2]).astype(np.float64)
    costs = []
    for seed in (sure, ground):
        mixture = GaussianMixture(gaussians, reg_covar=1e-3, random_state=0, init_params="k-means++")
        costs.append(-mixture.fit(colours[seed.ravel()]).score_samples(colours))
    cut = _cheapest_cut(*costs, picture.astype(np.float64), tie)
    return largest_piece(cut if cut.any() else sure)


def _cheapest_cut(of_object: np.ndarray, of_ground: np.ndarray, picture: np.ndarray, tie: float) -> np.ndarray:
    """Costs [P] of either label -> bool [H, W]: what stays with the source when the smallest cut is made."""
    height, width = picture.shape[:2]
    number = np.arange(height * width).reshape(height, width)
    pairs = np.concatenate(
        [
            np.stack([number[:, :-1].ravel(), number[:, 1:].ravel()], 1),
            np.stack([number[:-1].ravel(), number[1:].ravel()], 1),
        ]
    )
    flat = picture.reshape(len(of_object), -1)
    gap = ((flat[pairs[:, 0]] - flat[pairs[:, 1]]) ** 2).sum(1)
    held = tie * np.exp(-gap / max(2 * gap.mean(), np.finfo(float).tiny))
    # Only the difference of a pixel's two costs matters, so one of its edges can be empty.
    least = np.minimum(of_object, of_ground)
    source, sink, pixels = len(flat), len(flat) + 1, number.ravel()
    start = np.concatenate([np.full(len(flat), source), pixels, pairs[:, 0], pairs[:, 1]])
    end = np.concatenate([pixels, np.full(len(flat), sink), pairs[:, 1], pairs[:, 0]])
    capacity = np.concatenate([of_ground - least, of_object - least, held, held])
    flow = np.round(np.minimum(capacity, 1e4) * SCALE).astype(np.int32)
    graph = sparse.csr_array((flow, (start, end)), shape=(len(flat) + 2, len(flat) + 2))
    found = sparse.csgraph.maximum_flow(graph, source, sink).flow
    left = (graph - found).tocsr()
    left.data = np.maximum(left.data, 0)
    left.eliminate_zeros()
    reached = sparse.csgraph.breadth_first_order(left, source, return_predecessors=False)
    mine = np.zeros(len(flat) + 2, bool)
    mine[reached] = True
    return mine[:-2].reshape(height, width)


def largest_piece(mask: np.ndarray) -> np.ndarray:
    """[H, W] -> its largest connected piece."""
    pieces, count = ndimage.label(mask)
    if not count:
        return mask
    sizes = ndimage.sum_labels(mask, pieces, np.arange(1, count + 1))
    found: np.ndarray = pieces == 1 + int(np.argmax(sizes))
    return found


def box_of(mask: np.ndarray) -> Box:
    """[H, W] with something in it -> top, left, bottom, right, the last two one beyond."""
    rows, columns = np.nonzero(mask)
    return int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1


def overlap(a: Box, b: Box) -> float:
    """Intersection over union of two boxes."""
    height, width = (min(a[2 + i], b[2 + i]) - max(a[i], b[i]) for i in range(2))
    both = max(height, 0) * max(width, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return both / (sum(areas) - both)
