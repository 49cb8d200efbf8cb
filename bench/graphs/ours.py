"""Semblance's layers for the harness of the graph anchors: `--ours bench.graphs.ours:ours`."""

import torch
from torch import nn

from semblance.encoders.graphs import Aggregated, Attention, Convolution, Stack, Sum
from semblance.geometry.cross_entropy import cross_entropy
from semblance.geometry.graph import Graph

FOUR = ["mean", "max", "min", "deviation"]
MAKE = {
    "gcn": lambda inputs, outputs, delta: Convolution(inputs, outputs),
    "gin": lambda inputs, outputs, delta: Sum(nn.Linear(inputs, outputs)),
    "gat": lambda inputs, outputs, delta: Attention(inputs, outputs),
    "pna": lambda inputs, outputs, delta: Aggregated(inputs, outputs, delta, FOUR),
}
OURS = {  # their names of weights, and ours
    "gcn": {"lin": "map", "bias": "map.bias"},
    "gin": {"nn": "update"},
    "gat": {"lin": "map", "att_src": "of_source", "att_dst": "of_target", "bias": "bias"},
    "pna": {"pre_nns": "pre", "post_nns": "post", "lin": "mix"},
}


def ours(name, edge_index, y, weights):
    if name.startswith("sheaf"):
        from bench.graphs.sheaves import ours as sheaves

        return sheaves(name, edge_index, y, weights)
    last = "nn" if name == "gin" else "lin"
    hidden, outputs = (len(weights[f"{layer}.{last}.weight"]) for layer in (0, 1))
    inputs = weights["0.pre_nns.0.0.weight"].shape[1] // 2 if name == "pna" else weights[f"0.{last}.weight"].shape[1]
    delta = next((float(v) for k, v in weights.items() if "avg_deg_log" in k), 1.0)
    net = Stack([MAKE[name](inputs, hidden, delta), MAKE[name](hidden, outputs, delta)], activate_last=False)
    held = dict(net.layers.named_parameters())
    for key, value in weights.items():
        number, first, *rest = key.split(".")
        if first in OURS[name]:
            mine = held[".".join([number, OURS[name][first], *rest])]
            mine.data = value.reshape(mine.shape).clone()
    ring = Graph(torch.tensor([[0, 1, 2, 3], [1, 2, 3, 0]]), 4)
    net({"x": torch.ones(4, inputs), "graph": ring}).sum().backward()  # compiled before anything is measured
    graph, optimiser = Graph(edge_index, len(y)), torch.optim.Adam(net.parameters())

    def forward(x):
        return net({"x": x, "graph": graph})

    def step(x):
        optimiser.zero_grad()
        cross_entropy(forward(x), y).backward()
        optimiser.step()

    return step, forward
