"""Class saliency: the gradient of a class score draws the class, points at the object, and seeds its outline.

MNIST: 20,000 training digits, centred by their mean image, two nets of different seeds (5 x 5 convolutions of 8, 16, 16).
Shape scenes: 6,000 of 32 x 32, noise 0.25; maps are of the true class, of test scenes. Erased pixels become black.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from semblance.analysis.backward_rules import RULES
from semblance.analysis.cutout import Box, box_of, cut_out, largest_piece, overlap
from semblance.analysis.saliency import class_model, gradient, strength
from semblance.claims.ledger import Run, at_least, at_most, claim
from semblance.claims.scene_settings import SceneNet, accuracy, made, near, taught
from semblance.data.load import load
from semblance.data.scenes import Scenes, shape_scenes

SCENES, TEST, BOXED, ERASED, DIGITS = 6_000, 500, 100, 40, 20_000
PENALTIES = (0.1, 0.3)


@claim(
    "class-saliency",
    parts={
        "(a) exact: rule 'gradient' against autograd": at_most(1e-6),
        "(a) exact: rule 'deconvnet' without ReLUs against the gradient": at_most(1e-6),
        "(a) exact: map and class model of a linear classifier": at_most(1e-4),
        "(b) class images given their class by both nets, of 20": at_least(20),
        "(b) mean confidence of the second net": at_least(0.95),
        "(b) posterior images that convince the second net (0.95), of 10": at_most(6),
        "(c) largest saliency within 2 pixels of the object": at_least(0.8),
        "(d) boxes from the cut that overlap by half": at_least(0.9),
        "(d) the same above thresholding the map": at_least(0.25),
        "(d) the same above the centred box": at_least(0.25),
        "(e) fall by the 40 most salient pixels, times that by 40 random ones": at_least(3),
    },
    data=("mnist", "synthetic: shape scenes"),
    seeds=(0,),
    broken="the nets are not trained",
    files=(
        "analysis/saliency.py",
        "analysis/backward_rules.py",
        "analysis/cutout.py",
        "data/scenes.py",
        "claims/scene_settings.py",
    ),
    minutes=3.0,
)
def class_saliency(run: Run) -> None:
    """One backward pass shows what a class looks like to a network and where in a picture it is."""
    for part, error in exact().items():
        run.report(part, error)
    epochs = 0 if run.broken else 4
    seed = run.seeds[0]
    x, y, test_x, test_y = digits()
    nets = [taught(made(seed + i, 10, widths=(8, 16, 16), channels=1, size=28), x, y, seed + i, epochs) for i in (0, 1)]
    for net in nets:
        run.baseline("accuracy on MNIST", accuracy(net, test_x, test_y))
    of_digits(run, nets)
    run.report(
        "(e) fall by the 40 most salient pixels, times that by 40 random ones", erased(run, nets[0], test_x, test_y, x)
    )
    scenes, test = shape_scenes(SCENES, seed), shape_scenes(TEST, seed + 1000)
    net = taught(made(seed, 4), scenes.x, scenes.present.argmax(1), seed, 1.5 * epochs)
    run.baseline("accuracy on shape scenes", accuracy(net, test.x, test.present.argmax(1)))
    maps = strength(gradient(score_of(net, test.present.argmax(1)), torch.from_numpy(test.x)))
    run.report("(c) largest saliency within 2 pixels of the object", near(maps, test.masks.any(1)))
    boxes(run, test, maps.numpy())


def exact() -> dict[str, float]:
    """The identities, on a random net and a random linear classifier."""
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(4, 3, 32, 32, generator=rng)
    net, straight = made(0, 4), made(0, 4, activation=nn.Identity)
    asked = x.clone().requires_grad_()
    (by_autograd,) = torch.autograd.grad(net(asked)[:, 1].sum(), asked)
    ones = np.ones(4, int)
    plain = gradient(score_of(straight, ones), x)
    weight = torch.randn(5, 27, generator=rng)
    found = class_model(lambda x: x.flatten(1) @ weight.T, torch.arange(5), (3, 3, 3), penalty=0.2, steps=400)
    w = gradient(lambda x: (x.flatten(1) @ weight.T)[:, 2], found[:1])
    off = [strength(w)[0] - weight[2].view(3, 3, 3).abs().amax(0), found.flatten(1) - weight / 0.4]
    return {
        "(a) exact: rule 'gradient' against autograd": largest(gradient(score_of(net, ones), x) - by_autograd),
        "(a) exact: rule 'deconvnet' without ReLUs against the gradient": max(
            largest(gradient(score_of(straight, ones), x, rule) - plain) for rule in RULES
        ),
        "(a) exact: map and class model of a linear classifier": max(map(largest, off)),
    }


def largest(error: Tensor) -> float:
    """In size."""
    return float(error.abs().max())


def score_of(net: nn.Module, labels: np.ndarray):  # type: ignore[no-untyped-def]
    """The score of each picture's own class."""
    chosen = torch.from_numpy(np.asarray(labels))
    return lambda x: net(x)[torch.arange(len(x)), chosen]


def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Training and test digits in 0..1, less the training mean image, with their labels."""
    data = load("mnist")
    found = []
    for name, most in (("train", DIGITS), ("test", 2000)):
        rows = data.splits[name][:most]
        found += [torch.from_numpy(data.x[rows]).float() / 255, torch.from_numpy(data.targets["labels"][rows])]
    mean = found[0].mean(0)
    return found[0] - mean, found[1], found[2] - mean, found[3]


def of_digits(run: Run, nets: list[SceneNet]) -> None:
    """Class images of the first net, before both."""
    every, right, confidence = torch.arange(10), 0, []
    for penalty in PENALTIES:
        images = class_model(nets[0], every, (1, 28, 28), penalty=penalty)
        with torch.no_grad():
            answers = [net(images).softmax(1) for net in nets]
        right += int(((answers[0].argmax(1) == every) & (answers[1].argmax(1) == every)).sum())
        confidence.append(float(answers[1][every, every].mean()))
    run.report("(b) class images given their class by both nets, of 20", right)
    run.report("(b) mean confidence of the second net", confidence)
    images = class_model(nets[0], every, (1, 28, 28), penalty=PENALTIES[0], objective="posterior")
    with torch.no_grad():
        answer = nets[1](images).softmax(1)
    # To convince is read as in the line before: with the confidence that the images of the score are to have.
    run.report(
        "(b) posterior images that convince the second net (0.95), of 10", int((answer[every, every] >= 0.95).sum())
    )
    run.baseline("posterior images given their class by the second net, of 10", int((answer.argmax(1) == every).sum()))


def boxes(run: Run, test: Scenes, maps: np.ndarray) -> None:
    """Boxes of the object by the cut, by a threshold of the map, and the middle of the picture, against the true ones."""
    hits = {"cut": 0, "threshold": 0, "centred": 0}
    size = test.x.shape[2]
    middle: Box = (size // 4, size // 4, size - size // 4, size - size // 4)
    for x, masks, saliency in zip(test.x[:BOXED], test.masks, maps, strict=False):
        true = box_of(masks.any(0))
        salient = largest_piece(saliency >= np.quantile(saliency, 0.95))
        found = {
            "cut": box_of(cut_out(x.transpose(1, 2, 0), saliency)),
            "threshold": box_of(salient),
            "centred": middle,
        }
        for name, one in found.items():
            hits[name] += overlap(one, true) >= 0.5
    shares = {name: count / BOXED for name, count in hits.items()}
    run.report("(d) boxes from the cut that overlap by half", shares["cut"])
    run.report("(d) the same above thresholding the map", shares["cut"] - shares["threshold"])
    run.report("(d) the same above the centred box", shares["cut"] - shares["centred"])
    for name in ("threshold", "centred"):
        run.baseline(f"boxes that overlap by half, {name}", shares[name])


def erased(run: Run, net: SceneNet, x: Tensor, y: Tensor, train: Tensor) -> float:
    """How much more the score of 300 digits falls without the salient pixels than without random ones."""
    x, y = x[:300], y[:300]
    black = train.amin(0, keepdim=True)  # black in the centred scale: the least that any digit has there
    score = score_of(net, y.numpy())
    with torch.no_grad():
        before = score(x)
    maps = strength(gradient(score, x)).flatten(1)
    rng = torch.Generator().manual_seed(0)
    orders = {"salient": maps, "random": torch.rand(maps.shape, generator=rng), "brightest": (x - black).flatten(1)}
    fall = {}
    for name, values in orders.items():
        gone = torch.zeros_like(maps, dtype=torch.bool).scatter(1, values.topk(ERASED, dim=1).indices, True)
        with torch.no_grad():
            fall[name] = float((before - score(torch.where(gone.view_as(x), black, x))).mean())
        run.baseline(f"fall of the score by the 40 pixels, {name}", fall[name])
    return fall["salient"] / max(fall["random"], 1e-9)
