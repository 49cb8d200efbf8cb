"""Sheaf diffusion for the harness of the graph anchors: its networks of diagonal, orthogonal and general maps."""

import torch
from torch import nn

from semblance.encoders.topology.diffusion import Diffusion, DiffusionNetwork
from semblance.encoders.topology.sheaf import SheafLearner
from semblance.geometry.cross_entropy import cross_entropy
from semblance.geometry.graph import Graph

MAPS = {"diag": "diagonal", "orth": "cayley", "general": "general"}


def ours(name, edge_index, y, weights):
    """callable(name, edge_index, y, weights) -> (step, forward), as the harness wants it."""
    maps = MAPS[name.split("-")[1]]
    d, f = len(weights["w1.0.weight"]), len(weights["w2.0.weight"])
    number = sum(key.startswith("w1") for key in weights)
    layers = [Diffusion(learner(d, f, maps), d, f, learn_gain=False) for _ in range(number)]
    encoder = DiffusionNetwork(weights["up.weight"].shape[1], layers)
    head = nn.Linear(d * f, len(weights["down.weight"]))
    names = {"lift": "up", "head": "down"}
    with torch.no_grad():
        for mine, theirs in ((encoder.lift, names["lift"]), (head, names["head"])):
            mine.weight.copy_(weights[f"{theirs}.weight"])
            mine.bias.copy_(weights[f"{theirs}.bias"])
        for i, layer in enumerate(layers):
            layer.left.copy_(weights[f"w1.{i}.weight"])
            layer.right.copy_(weights[f"w2.{i}.weight"])
            layer.operator.linear.weight.copy_(weights[f"learn.{i}.weight"])
            layer.operator.linear.bias.copy_(weights[f"learn.{i}.bias"])
    graph = Graph(edge_index, len(y))
    optimiser = torch.optim.Adam([*encoder.parameters(), *head.parameters()])

    def forward(x):
        return head(encoder({"x": x, "graph": graph}))

    def step(x):
        optimiser.zero_grad()
        cross_entropy(forward(x), y).backward()
        optimiser.step()

    return step, forward


def learner(d, f, maps):
    """As the harness has it: normalised by the entries of the diagonal, a thousandth added to it."""
    return SheafLearner(d, f, maps, normalisation="entries", ridge=1e-3)
