"""Relative representations: what was trained on the codes of one encoder reads those of another that it never met.

(b), (e) The first 20,000 training digits, 2,000 test digits. Small nets and 3-layer perceptrons of 128 features, 3 seeds
each, 2 epochs of cross-entropy; a head (linear, ReLU, linear) learns the labels of 10,000 digits from the frozen codes of
one encoder and is asked about those of each of the five others. (c) Perceptrons as autoencoders; a second decoder learns
from the relative codes of the frozen encoder. Codes of (b) to (e) are centred on the anchors first. (d) 40 GCNs of drawn
width, depth, dropout, rate, epochs and decay beside one of the usual settings; the similarity of two nets is the mean
cosine of their codes over all nodes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from semblance.claims.ledger import Run, above, at_least, at_most, claim
from semblance.claims.settings import features, small_net
from semblance.data.dataset import ArrayDataset
from semblance.data.load import load
from semblance.encoders.vectors import Flat, flat
from semblance.memory.anchors import Relative
from semblance.recipes.graph_networks import gcn
from semblance.recipes.supervised import linear_on, supervised
from semblance.space.training import train

LEARNED, TOLD, ASKED = 20_000, 10_000, 2_000
COUNTS = (10, 30, 100, 300)
WIDTH = 128
SETTINGS = 40
DRAWN = {
    "hidden": (4, 8, 16, 32, 64),
    "layers": (2, 2, 3, 4),
    "dropout": (0.0, 0.3, 0.6, 0.9),
    "lr": (1e-4, 1e-3, 1e-2, 5e-2),
    "epochs": (2, 5, 10, 30, 60),
    "weight_decay": (0.0, 5e-4, 5e-2),
}


@claim(
    "relative-representations",
    parts={
        "(a) codes under 50 turns and scalings, largest change": at_most(1e-5),
        "(a) codes under a random shear, largest change": above(0.01),
        "(b) points of accuracy that stitching loses": at_most(4.0),
        "(b) points of accuracy above stitching of absolute latents": at_least(40.0),
        "(c) error of stitched autoencoders as a share of the absolute ones'": at_most(0.25),
        "(d) Cora, similarity to a good GCN against accuracy, Pearson": at_least(0.7),
        "(e) least rise of stitched accuracy from 10 to 30 to 100 to 300 anchors, points": above(0.0),
    },
    data=("mnist", "cora"),
    seeds=(0, 1, 2),
    broken="every encoder has anchors of its own, which are not those of the others",
    files=("memory/anchors.py", "encoders/vectors.py", "claims/settings.py"),
    minutes=4.0,
)
def relative_representations(run: Run) -> None:
    """Encoders trained apart differ in the angles of their latents by little more than a rotation; cosines with parallel
    anchors make them one: heads and decoders are exchanged without training, and latents of two models compared."""
    nets = encoders(run)
    z, other = (nets[0].z[:LEARNED], nets[0].asked)
    exact(run, z[:300], other)
    stitched(run, nets)
    autoencoders(run)
    found = [similarity_and_accuracy(run, seed) for seed in run.seeds[: 1 if run.broken else None]]
    run.report("(d) Cora, similarity to a good GCN against accuracy, Pearson", found)


@dataclass
class Net:
    """A frozen encoder: latents of the digits that heads learn from, and of those asked about."""

    name: str
    z: Tensor
    asked: Tensor


def digits() -> tuple[ArrayDataset, Tensor, Tensor]:
    """The digits with their splits; labels of those told and those asked."""
    data = load("mnist")
    rows = {"train": data.splits["train"][:LEARNED], "test": data.splits["test"][:ASKED]}
    y = torch.as_tensor(np.asarray(data.targets["labels"]))
    return replace(data, splits=rows), y[rows["train"][:TOLD]], y[rows["test"]]


def encoders(run: Run) -> list[Net]:
    """Six of them; the twin has two."""
    data, _, _ = digits()
    plain = supervised(augment=False, epochs=2, least=1)
    parts = {"small net": small_net(), "perceptron": flat(256, 256, WIDTH)}
    found = []
    for name, part in parts.items():
        recipe = replace(plain, encoder=part, head=linear_on(part))
        for seed in run.seeds[: 1 if run.broken else None]:
            model = train(data, recipe, seed=seed)
            z = [torch.from_numpy(features(model, data, data.splits[split])) for split in ("train", "test")]
            found.append(Net(f"{name}, seed {seed}", *z))
            run.progress(f"trained {name}, seed {seed}")
    return found


def anchors_of(run: Run, number: int) -> np.ndarray:
    """Rows of the 300 anchors: the same for every net, save for the twin's."""
    return np.random.default_rng([69, number if run.broken else 0]).permutation(LEARNED)[:300]


def exact(run: Run, anchors: Tensor, z: Tensor) -> None:
    """On latents of a trained small net."""
    chance = torch.Generator().manual_seed(0)
    before, width = Relative(anchors)(z), z.shape[1]
    changes = []
    for _ in range(50):
        turn = torch.linalg.qr(torch.randn(width, width, generator=chance))[0] * float(
            10 ** (2 * torch.rand((), generator=chance) - 1)
        )
        changes.append(float((Relative(anchors @ turn)(z @ turn) - before).abs().max()))
    run.report("(a) codes under 50 turns and scalings, largest change", max(changes))
    shear = torch.eye(width) + torch.randn(width, width, generator=chance).triu(1) / width**0.5
    changed = float((Relative(anchors @ shear)(z @ shear) - before).abs().max())
    run.report("(a) codes under a random shear, largest change", changed)


def head_on(codes: Tensor, y: Tensor, seed: int) -> nn.Module:
    """Linear, ReLU, linear; Adam, 5 epochs."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = nn.Sequential(nn.Linear(codes.shape[1], WIDTH), nn.ReLU(), nn.Linear(WIDTH, 10))
    fit(head, codes, lambda out, rows: F.cross_entropy(out, y[rows]), 5, seed)
    return head


def fit(net: nn.Module, x: Tensor, loss, epochs: int, seed: int) -> None:  # type: ignore[no-untyped-def]
    """Adam at 1e-3 on batches of 128."""
    chance = torch.Generator().manual_seed(seed)
    rule = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)
    net.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(x), generator=chance).split(128):
            rule.zero_grad()
            loss(net(x[rows]), rows).backward()
            rule.step()
    net.eval()


def accuracies(run: Run, nets: list[Net], count: int) -> np.ndarray:
    """[net, net] accuracy in percent of the head of the row on the codes of the column; count 0: on latents themselves."""
    _, y, wanted = digits()
    codes = []
    for number, net in enumerate(nets):
        layer: nn.Module = Relative(net.z[anchors_of(run, number)[:count]], centred=True) if count else nn.Identity()
        codes.append((layer(net.z[:TOLD]), layer(net.asked)))
    found = np.zeros((len(nets), len(nets)))
    for row, (told, _) in enumerate(codes):
        head = head_on(told, y, row)
        found[row] = [100 * float((head(asked).argmax(1) == wanted).float().mean()) for _, asked in codes]
    return found


def parted(found: np.ndarray) -> tuple[float, float]:
    """Mean of own codes, mean of all others'."""
    own = found.diagonal()
    return float(own.mean()), float((found.sum() - own.sum()) / (found.size - len(own)))


def stitched(run: Run, nets: list[Net]) -> None:
    by_count = {count: parted(accuracies(run, nets, count)) for count in COUNTS}
    for count, (own, other) in by_count.items():
        run.baseline(f"(e) {count} anchors: accuracy of own codes", own)
        run.baseline(f"(e) {count} anchors: accuracy of stitched codes", other)
    absolute = parted(accuracies(run, nets, 0))
    run.baseline("(b) absolute latents: accuracy of own", absolute[0])
    run.baseline("(b) absolute latents: accuracy stitched", absolute[1])
    own, other = by_count[COUNTS[-1]]
    run.report("(b) points of accuracy that stitching loses", own - other)
    run.report("(b) points of accuracy above stitching of absolute latents", other - absolute[1])
    rises = np.diff([by_count[count][1] for count in COUNTS])
    run.report("(e) least rise of stitched accuracy from 10 to 30 to 100 to 300 anchors, points", float(rises.min()))


class Autoencoder(nn.Module):
    """A perceptron to 64 numbers, and one back."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = Flat(784, (256, 64)), decoder_of(64)

    def forward(self, x: Tensor) -> Tensor:
        """[N, 784] -> [N, 784]."""
        return self.decoder(self.encoder.embed({"x": x}))


def decoder_of(inputs: int) -> nn.Module:
    """Back to pixels in 0..1."""
    return nn.Sequential(nn.Linear(inputs, 256), nn.ReLU(), nn.Linear(256, 784), nn.Sigmoid())


def autoencoders(run: Run) -> None:
    """Every decoder on the latents, and on the relative codes, of every other encoder."""
    data, _, _ = digits()
    x, asked = (
        torch.from_numpy(data.x[data.splits[part]].reshape(-1, 784)).float() / 255 for part in ("train", "test")
    )
    x = x[:TOLD]
    codes: dict[str, list[Tensor]] = {"absolute": [], "relative": []}
    decoders: dict[str, list[nn.Module]] = {"absolute": [], "relative": []}
    for seed in run.seeds:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            net, second = Autoencoder(), decoder_of(300)
        fit(net, x, lambda out, rows: F.mse_loss(out, x[rows]), 5, seed)
        with torch.no_grad():
            z, z_asked = net.encoder.embed({"x": x}), net.encoder.embed({"x": asked})
        layer = Relative(z[anchors_of(run, seed) % TOLD], centred=True)
        fit(second, layer(z), lambda out, rows: F.mse_loss(out, x[rows]), 10, seed)
        for kind, code, decoder in (("absolute", z_asked, net.decoder), ("relative", layer(z_asked), second)):
            codes[kind].append(code)
            decoders[kind].append(decoder)
    with torch.no_grad():
        errors = {
            kind: np.array([[float(F.mse_loss(d(code), asked)) for code in codes[kind]] for d in decoders[kind]])
            for kind in codes
        }
    for kind, values in errors.items():
        for which, value in zip(("own", "stitched"), parted(values), strict=True):
            run.baseline(f"(c) error of {kind} autoencoders, {which}", value)
    share = parted(errors["relative"])[1] / parted(errors["absolute"])[1]
    run.report("(c) error of stitched autoencoders as a share of the absolute ones'", share)


def similarity_and_accuracy(run: Run, seed: int) -> float:
    """Pearson correlation over 40 GCNs."""
    data = load("cora")
    rng = np.random.default_rng([69, seed])
    drawn = [{name: values[rng.integers(len(values))] for name, values in DRAWN.items()} for _ in range(SETTINGS)]
    anchors = rng.permutation(len(data))[:300]
    codes, accuracy = [], []
    for number, settings in enumerate([{"hidden": 64, "epochs": 100}, *drawn]):
        model = train(data, gcn(**settings), seed=1000 * seed + number)
        batch = data.read(data.splits["test"])
        batch["x"] = model.prepare(batch["x"])
        with torch.no_grad():
            z, right = model.network.encoder(batch), model.network(batch).argmax(1) == torch.from_numpy(batch["labels"])
        own = np.random.default_rng([70, number]).permutation(len(z))[:300] if run.broken else anchors
        codes.append(Relative(z[own], centred=True)(z))
        accuracy.append(float(right.float().mean()))
    near = [float(F.cosine_similarity(codes[0], code, dim=1).mean()) for code in codes[1:]]
    run.progress(
        f"(d) seed {seed}: the good one {accuracy[0]:.3f}, others {min(accuracy[1:]):.3f} to {max(accuracy[1:]):.3f}"
    )
    return float(np.corrcoef(near, accuracy[1:])[0, 1])
