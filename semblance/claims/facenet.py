"""FaceNet: unit embeddings trained by semi-hard triplets verify, cluster and fit into bytes, and a new network can be
trained to stand beside an old one.

Omniglot small, identities are the 200 characters of all alphabets but Sanskrit; small net to 128 numbers, 320 batches of 20
by 10. Everything is measured on the 840 drawings of the 42 characters left out.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from sklearn.cluster import AgglomerativeClustering
from sklearn.metrics import adjusted_mutual_info_score

from semblance.claims.drawings import Pairs, directions, parted, pixels_of
from semblance.claims.ledger import Run, at_least, at_most, claim, within
from semblance.claims.settings import features
from semblance.data.dataset import ArrayDataset
from semblance.recipes.mined import compatible
from semblance.recipes.mined import facenet as recipe
from semblance.space.model import Model
from semblance.space.training import train

STEPS, EPOCHS, FAR = 80, 4, 0.01


@claim(
    "facenet",
    parts={
        "(a) AUC of verification": at_least(0.92),
        "(a) VAL at FAR 1 percent above pixels": at_least(0.15),
        "(a) VAL at FAR 1 percent above random negatives": at_least(0.02),
        "(b) change of VAL by rounding to int8": at_most(0.005),
        "(c) AUC between two independent networks": within(0.5, 0.15),
        "(c) AUC between the old network and a harmonic one": at_least(0.90),
        "(c) the harmonic network's own AUC below the old one's": at_most(0.02),
        "(d) adjusted mutual information of clusters above pixels": at_least(0.15),
    },
    data=("omniglot-small",),
    seeds=(0,),
    broken="labels are shuffled while training",
    files=(
        "data/semi_hard.py",
        "data/beyond.py",
        "objectives/mined.py",
        "objectives/compatible.py",
        "recipes/mined.py",
        "claims/drawings.py",
    ),
    minutes=4.0,
)
def facenet(run: Run) -> None:
    """Semi-hard triplets over large batches give an embedding in which a threshold on squared distance verifies unseen
    identities; bytes suffice to store it; two networks' embeddings are strangers unless trained to be compatible."""
    data, unseen = parted(("Sanskrit",))
    if run.broken:
        y = np.random.default_rng(0).permutation(data.targets["labels"])
        data = relabelled(data, y)
    y = np.asarray(unseen.targets["labels"])
    pixels = directions(pixels_of(unseen))
    raw = Pairs(pixels, y)
    run.baseline("pixels: AUC", raw.auc())
    run.baseline("pixels: VAL at FAR 1 percent", raw.accepted(FAR))
    found: dict[str, list[float]] = {}

    def note(part: str, value: float) -> None:
        found.setdefault(part, []).append(value)

    epochs = EPOCHS // 4 if run.broken else EPOCHS
    for seed in run.seeds:
        old, other = fit(data, seed, epochs), fit(data, seed + 100, epochs)
        plain = fit(data, seed, epochs, mining="random")
        z, second, without = (embedded(model, unseen) for model in (old, other, plain))
        pairs = Pairs(z, y)
        val = pairs.accepted(FAR)
        run.progress(f"seed {seed}: AUC {pairs.auc():.4f}, VAL {val:.4f}, random {Pairs(without, y).accepted(FAR):.4f}")
        note("(a) AUC of verification", pairs.auc())
        note("(a) VAL at FAR 1 percent above pixels", val - raw.accepted(FAR))
        note("(a) VAL at FAR 1 percent above random negatives", val - Pairs(without, y).accepted(FAR))
        note("(b) change of VAL by rounding to int8", abs(Pairs(in_bytes(z), y).accepted(FAR) - val))
        note("(c) AUC between two independent networks", Pairs(second, y, z).auc())
        harmonic = train(data, compatible(old.network.encoder, other.network.encoder, steps=20 * epochs), seed=seed)
        beside = embedded(harmonic, unseen)
        note("(c) AUC between the old network and a harmonic one", Pairs(beside, y, z).auc())
        note("(c) the harmonic network's own AUC below the old one's", pairs.auc() - Pairs(beside, y).auc())
        note("(d) adjusted mutual information of clusters above pixels", clustered(z, y) - clustered(pixels, y))
    for part, values in found.items():
        run.report(part, values)


def fit(data: ArrayDataset, seed: int, epochs: int, **axes: object) -> Model:
    """80 batches an epoch of 20 characters by 10 drawings."""
    return train(data, recipe(batch=200, items=10, steps=STEPS, epochs=epochs, **axes), seed=seed)  # type: ignore[arg-type]


def embedded(model: Model, data: ArrayDataset) -> np.ndarray:
    """Directions of all items."""
    return directions(features(model, data, np.arange(len(data))))


def in_bytes(z: np.ndarray) -> np.ndarray:
    """As read back from signed bytes of one scale for all."""
    step = np.abs(z).max() / 127
    return np.round(z / step).astype(np.int8).astype(np.float32) * step


def clustered(z: np.ndarray, y: np.ndarray) -> float:
    """Adjusted mutual information of clusters with characters: average linkage on squared distances, cut where it is
    verified. The threshold of half the characters is used for the other half, both ways."""
    found = []
    for half in (0, 1):
        own, square = y % 2 == half, 2 - 2 * z[y % 2 == half] @ z[y % 2 == half].T
        threshold = Pairs(z[~own], y[~own]).threshold(FAR)
        clusters = AgglomerativeClustering(
            n_clusters=None, metric="precomputed", linkage="average", distance_threshold=threshold
        ).fit_predict(np.maximum(square, 0))
        found.append(adjusted_mutual_info_score(y[own], clusters))
    return float(np.mean(found))


def relabelled(data: ArrayDataset, y: np.ndarray) -> ArrayDataset:
    """The same drawings under other labels."""
    return replace(data, targets={"labels": y}, fingerprint=f"{data.fingerprint} shuffled")
