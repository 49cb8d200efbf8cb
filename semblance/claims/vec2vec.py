"""vec2vec: two spaces of the same world are translated into each other though no item is known in both.

A small net and a 3-layer perceptron, 32 features each, learn by SupCon for 2 epochs, each from its own half of the training
digits. 20,000 vectors of either half, unpaired; 2,000 test digits, as both encoders see them, judge. Twelve translators
learn side by side: all terms, and without one, three seeds each; of every kind the one of the least mismatch is kept, which
needs no pair. Baselines: no translation; directions matched by optimal transport and turned, again and again, from the
second moments on; Procrustes on 1,000 pairs.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from scipy.stats import special_ortho_group

from semblance.analysis.translated import translated
from semblance.claims.ledger import Run, above, at_least, at_most, claim
from semblance.claims.settings import knn_probe, linear_probe
from semblance.data.dataset import ArrayDataset, Shape
from semblance.data.load import load
from semblance.encoders.vectors import flat
from semblance.encoders.vision.stagenet import on_images
from semblance.memory.translate import turned
from semblance.memory.unpaired import Passed, Plan, Terms, kept_terms, learn_unpaired
from semblance.objectives.contrast import Contrast
from semblance.objectives.kernels import Cosine
from semblance.objectives.lift import on_items
from semblance.objectives.neighbours import same_label
from semblance.recipes.contrast import supcon
from semblance.recipes.registry import Recipe
from semblance.space.training import train

DIM, HELD, ASKED, PAIRS = 32, 20_000, 2_000, 1_000
PLAN = Plan(width=64, hidden=64, backbone=1, steps=1000, batch=64)
KINDS = {
    "all": Terms(),
    "no preservation": Terms(preservation=0.0),
    "no cycle": Terms(cycle=0.0),
    "no adversary": Terms(adversarial=0.0, latent=0.0),
}


@claim(
    "vec2vec",
    parts={
        "(a) mean cosine to the true vector": at_least(0.5),
        "(a) mean cosine above the identity's": at_least(0.3),
        "(b) labels of translated vectors by neighbours in the target": at_least(0.7),
        "(b) odd or even, learned in the target, told from translated vectors": at_least(0.7),
        "(c) mean cosine less that without preservation": above(0.0),
        "(c) mean cosine less that without cycle": above(0.0),
        "(c) mean cosine less that without adversaries": above(0.0),
        "(d) cosine of Procrustes on 1,000 pairs less the best without pairs": at_least(0.0),
        "(e) cycle and preservation loss of the true map onto a turned copy": at_most(1e-10),
    },
    data=("mnist",),
    seeds=(0, 1, 2),
    broken="every column of the second side is shuffled for itself, so that only marginals are left",
    files=(
        "memory/unpaired.py",
        "memory/side_by_side.py",
        "memory/translate.py",
        "analysis/translated.py",
        "claims/settings.py",
    ),
    minutes=5.0,
)
def vec2vec(run: Run) -> None:
    """Encoders of one modality, trained apart, have spaces so alike that one is translated into the other from the shape of
    the two alone: by cycles, kept cosines and adversaries."""
    sides = [encoded(run, side) for side in (0, 1)]
    x, y = (torch.from_numpy(side["held"]) for side in sides)
    if run.broken:
        chance = np.random.default_rng(126)
        y = torch.from_numpy(np.stack([chance.permutation(column) for column in sides[1]["held"].T], 1))
    kinds = {"all": Terms()} if run.broken else KINDS
    plan = replace(PLAN, steps=PLAN.steps // 4) if run.broken else PLAN
    terms, seeds = zip(*((term, seed) for term in kinds.values() for seed in run.seeds), strict=True)
    found, wrong = learn_unpaired(
        x.numpy(),
        y.numpy(),
        plan,
        terms,
        seeds,
        lambda done, total: done % 100 or run.progress(f"step {done} of {total}"),
    )
    asked, true = (side["asked"] for side in sides)
    cosine = {}
    for at, kind in enumerate(kinds):
        rows = range(at * len(run.seeds), (at + 1) * len(run.seeds))
        each = {row: found[row](torch.from_numpy(asked)).numpy() for row in rows}
        kept = min(rows, key=lambda row: wrong[row])
        cosine[kind] = agreement(each[kept], true)
        run.baseline(f"{kind}: mean cosine of every seed", [agreement(one, true) for one in each.values()])
        run.baseline(f"{kind}: mismatch of every seed", [wrong[row] for row in rows])
        if kind == "all":
            judged(run, each[kept], sides)
    identity = agreement(asked, true)
    run.baseline("identity: mean cosine", identity)
    run.report("(a) mean cosine to the true vector", cosine["all"])
    run.report("(a) mean cosine above the identity's", cosine["all"] - identity)
    if not run.broken:
        for kind, told in (("no preservation", "preservation"), ("no cycle", "cycle"), ("no adversary", "adversaries")):
            run.report(f"(c) mean cosine less that without {told}", cosine["all"] - cosine[kind])
    matched = agreement(by_transport(x[:500].numpy(), y[:500].numpy(), asked), true)
    paired = turned(asked[:PAIRS], true[:PAIRS])
    with_pairs = agreement(paired.meet(asked[PAIRS:], 0), true[PAIRS:])
    run.baseline("optimal transport: mean cosine", matched)
    run.baseline("Procrustes on 1,000 pairs: mean cosine", with_pairs)
    run.report(
        "(d) cosine of Procrustes on 1,000 pairs less the best without pairs",
        with_pairs - max(matched, *cosine.values()),
    )
    run.report("(e) cycle and preservation loss of the true map onto a turned copy", true_map(x[:200]))


def encoded(run: Run, side: int) -> dict[str, np.ndarray]:
    """Unit vectors of one encoder: `held` of its own half, `asked` of the test digits, and the labels of both."""
    data = load("mnist")
    rows = data.splits["train"][side::2]
    part: ArrayDataset = replace(data, splits={"train": rows, "test": data.splits["test"][:ASKED]})
    model = train(part, by_labels(side), seed=run.seeds[0] + side)
    y = np.asarray(data.targets["labels"])
    run.progress(f"trained the encoder of side {side + 1}")
    places = {"held": rows[:HELD], "asked": part.splits["test"]}
    return {name: model.embed(part, at) for name, at in places.items()} | {
        f"{name} y": y[at] for name, at in places.items()
    }


def by_labels(side: int) -> Recipe:
    """SupCon on single views: small net, or perceptron."""
    encoder = flat(256, 256, DIM) if side else on_images("small", dim=DIM)
    made = supcon(batch=256, epochs=2, least=1)

    def objective(shape: Shape) -> torch.nn.Module:
        return on_items(Contrast(same_label, Cosine(0.1)), needs=("labels",))

    return replace(made, encoder=encoder, stages=(replace(made.stages[0], objective=objective, views=None),))


def agreement(z: np.ndarray, true: np.ndarray) -> float:
    """Mean cosine of unit vectors."""
    return float((z * true).sum(1).mean())


def judged(run: Run, z: np.ndarray, sides: list[dict[str, np.ndarray]]) -> None:
    """What the target's own tools make of translated vectors."""
    there, y = sides[1]["held"][:5000], sides[1]["held y"][:5000]
    wanted = sides[1]["asked y"]
    run.report("(b) labels of translated vectors by neighbours in the target", knn_probe(there, y, z, wanted))
    odd = linear_probe(there, y % 2, z, wanted % 2)
    run.report("(b) odd or even, learned in the target, told from translated vectors", odd)
    met = translated(z, sides[1]["asked"])
    run.baseline("counterpart is the nearest of 2,000", met.top1)
    run.baseline("mean rank of the counterpart among 2,000", met.mean_rank)
    run.baseline("labels of the target's own vectors by neighbours", knn_probe(there, y, sides[1]["asked"], wanted))


def by_transport(x: np.ndarray, y: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Unit vectors [n, d], [n, d] -> the asked ones turned: principal axes by falling variance, the best of four signs;
    then assignment and Procrustes in turn, eight times."""
    a, b = (np.linalg.svd(side - side.mean(0), full_matrices=False)[2].T for side in (x, y))
    best, turn = np.inf, np.eye(x.shape[1])
    for signs in ([1, 1], [1, -1], [-1, 1], [-1, -1]):
        tried = (a * np.array(signs + [1] * (a.shape[1] - 2))) @ b.T
        for _ in range(8):
            rows, columns = linear_sum_assignment(-(x @ tried) @ y.T)
            u, _, v = np.linalg.svd(x[rows].T @ y[columns])
            tried = u @ v
        cost = -float(((x @ tried)[rows] * y[columns]).sum())
        if cost < best:
            best, turn = cost, tried
    return np.asarray(asked @ turn)


def true_map(x: torch.Tensor) -> float:
    """The largest of the losses of the pass in which y is x turned, and both translations are the turn."""
    turn = torch.from_numpy(special_ortho_group.rvs(x.shape[1], random_state=0)).double()
    z = torch.nn.functional.normalize(x.double(), dim=1)[None]
    y = z @ turn
    lost = kept_terms(Passed([z, y], [z, z], [z @ turn, y @ turn.T], [z @ turn @ turn.T, y @ turn.T @ turn], [z, y]))
    return max(float(lost["cycle"]), float(lost["preservation"]))
