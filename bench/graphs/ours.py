"""Semblance's layers for the harness of the graph anchors: `--ours bench.graphs.ours:ours`."""

import torch
from torch import nn

from semblance.encoders.graphs import Aggregated, Attention, Convolution, Stack, Sum
from semblance.geometry.cross_entropy import cross_entropy
from semblance.geometry.graph import Graph

NAMES = {"lin.weight": "map.weight", "bias": "map.bias", "nn.weight": "update.weight", "nn.bias": "update.bias"}
OF_GAT = {"lin.weight": "map.weight", "att_src": "of_source", "att_dst": "of_target", "bias": "bias"}
OF_PNA = {"pre_nns": "pre", "post_nns": "post", "lin": "mix"}


def layer(name, inputs, outputs, delta):
    if name == "gcn":
        return Convolution(inputs, outputs)
    if name == "gin":
        return Sum(nn.Linear(inputs, outputs))
    if name == "gat":
        return Attention(inputs, outputs)
    return Aggregated(inputs, outputs, delta, ["mean", "max", "min", "deviation"])


def named(name, key):
    """A weight of PyTorch Geometric's layer, by our name of it."""
    if name == "gat":
        return OF_GAT[key]
    if name == "pna":
        first, _, rest = key.partition(".")
        return f"{OF_PNA[first]}.{rest}"
    return NAMES[key]


def ours(name, edge_index, y, weights):
    if name.startswith("sheaf"):
        from bench.graphs.sheaves import ours as sheaves

        return sheaves(name, edge_index, y, weights)
    inputs = next(v for k, v in weights.items() if k.startswith("0.") and v.ndim == 2).shape[1] // (1 + (name == "pna"))
    hidden = next(v for k, v in weights.items() if k.startswith("0.") and k.endswith("bias")).shape[0]
    hidden = 64 if name == "pna" else hidden
    delta = next((float(v) for k, v in weights.items() if "avg_deg_log" in k), 1.0)
    net = Stack([layer(name, inputs, hidden, delta), layer(name, hidden, int(y.max()) + 1, delta)], activate_last=False)
    held = dict(net.layers.named_parameters())
    with torch.no_grad():
        for key, value in weights.items():
            number, _, rest = key.partition(".")
            if "avg_deg" not in rest and rest != "eps":
                mine = held[f"{number}.{named(name, rest)}"]
                mine.copy_(value.reshape(mine.shape))
    graph, optimiser = Graph(edge_index, len(y)), torch.optim.Adam(net.parameters())

    def forward(x):
        return net({"x": x, "graph": graph})

    def step(x):
        optimiser.zero_grad()
        cross_entropy(forward(x), y).backward()
        optimiser.step()

    return step, forward
