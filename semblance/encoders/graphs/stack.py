"""Stack: layers over one graph, one after the other, and what a node or a graph is in the end.

    x_0 = initial features,   x_l = dropout( f( norm( layer_l(x_l-1, graph) ) ) ) [+ x_l-1]
    states = x_L | concatenation, sum or maximum of all x_l        jumping knowledge: Xu et al. 2018, arXiv:1806.03536

What varies: initial features (given | constant | degree | random), activation, norm, dropout (of the input and of
every layer), residual, `jump`, read-out over the nodes of a graph (`readout.py`). A layer is any module layer(x [V,
f], graph) -> [V, out] with `dim`; the graph may be a hypergraph or a complex, if the layers take it. Random features:
Abboud et al. 2021, arXiv:2010.01179 (a share of the dimensions, drawn anew at every pass).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.encoders.graphs.aggregators import activation_named
from semblance.encoders.graphs.readout import READOUTS, pool
from semblance.errors import SemblanceError, unknown
from semblance.geometry.spaces import Geometry, Sphere

JUMPS = ("last", "concatenation", "sum", "max")
KINDS = ("given", "constant", "degree", "random")


class Stack(nn.Module):
    """Layers as an encoder.

    inputs: width of the initial features, needed where they are joined (`include_input`). dropout falls on the output
    of every layer, input_dropout on the input. activate_last: whether norm, activation and dropout also follow the
    last layer. norm: None or "batch". residual: x is added where widths agree. readout: how `embed` pools graphs.
    """

    def __init__(
        self,
        layers: Sequence[nn.Module],
        activation: str | None = "relu",
        norm: str | None = None,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        residual: bool = False,
        activate_last: bool = True,
        jump: str = "last",
        include_input: bool = False,
        inputs: int = 0,
        initial: nn.Module | None = None,
        readout: str = "sum",
        geometry: Geometry | None = None,
    ):
        super().__init__()
        if jump not in JUMPS:
            raise unknown("jump", jump, JUMPS)
        if readout not in READOUTS:
            raise unknown("readout", readout, READOUTS)
        if norm not in (None, "batch"):
            raise unknown("norm", norm, ("batch",))
        widths = [int(layer.dim) for layer in layers]  # type: ignore[arg-type]
        joined = ([inputs] if include_input else []) + widths
        if jump in ("sum", "max") and len(set(joined)) > 1:
            raise SemblanceError(f"layers of widths {joined} have no {jump}: make them equal, or jump='concatenation'")
        if include_input and inputs < 1:
            raise SemblanceError("the input joins the layers and its width is not known: give inputs=")
        self.layers = nn.ModuleList(layers)
        bent = len(layers) if activate_last else len(layers) - 1
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) if norm else nn.Identity() for width in widths[:bent])
        self.initial = initial
        self.activations: list[str | None] = [activation] * bent + [None] * (len(layers) - bent)
        if norm is None:
            for i, layer in enumerate(layers[:bent]):
                if (
                    getattr(layer, "activation", "none of its own") is None
                ):  # it fuses the activation with its last step
                    layer.activation, self.activations[i] = activation, None  # type: ignore[assignment]
        self.dropout, self.input_dropout, self.residual = dropout, input_dropout, residual
        self.jump, self.include_input, self.readout = jump, include_input, readout
        self.dim = sum(joined) if jump == "concatenation" else (widths[-1] if widths else inputs)
        self.geometry = Sphere() if geometry is None else geometry

    def forward(self, batch: Batch) -> Tensor:
        """-> states of all nodes [V, dim]."""
        x = batch["x"] if self.initial is None else self.initial(batch)
        x = _dropout(x, self.input_dropout, self.training)
        states = [x] if self.include_input or not len(self.layers) else []
        for i, layer in enumerate(self.layers):
            out = layer(x, batch["graph"])
            if i < len(self.norms):
                out = activation_named(self.activations[i])(self.norms[i](out))
                out = F.dropout(out, self.dropout, self.training) if self.dropout else out
            x = out + x if self.residual and out.shape == x.shape else out
            states.append(x)
        if self.jump == "last":
            return states[-1]
        if self.jump == "concatenation":
            return torch.cat(states, 1)
        joined = torch.stack(states)
        return joined.sum(0) if self.jump == "sum" else joined.amax(0)

    def embed(self, batch: Batch) -> Tensor:
        """-> [n, dim]: the states of `nodes` (absent: all), or of every graph where the graph has members."""
        return embedded(self.forward(batch), batch, self.readout)


def embedded(states: Tensor, batch: Batch, readout: str) -> Tensor:
    """What the space holds, from the states of all nodes [V, d]: pooled graphs, the nodes asked for, or all nodes."""
    graph = batch["graph"]
    if getattr(graph, "member", None) is not None:
        return pool(states, graph.member, graph.num_graphs, readout)
    nodes = batch.get("nodes")
    return states if nodes is None else states[nodes]


class Initial(nn.Module):
    """Initial features of a node. given: the batch's x; constant: `width` ones; degree: one-hot number of incoming
    edges, the last of `width` standing for all larger ones; random: x (or nothing, where x is absent) with `width`
    normal draws beside it, new at every pass, from `generator` (None: torch's stream)."""

    def __init__(self, kind: str = "given", width: int = 1, generator: torch.Generator | None = None):
        super().__init__()
        if kind not in KINDS:
            raise unknown("kind of initial features", kind, KINDS)
        self.kind, self.width, self.generator = kind, width, generator

    def forward(self, batch: Batch) -> Tensor:
        """-> [V, f]."""
        graph, x = batch["graph"], batch.get("x")
        if self.kind == "given":
            if x is None:
                raise SemblanceError("the nodes have no features: give some, or start from constant or degree")
            return x
        nodes = graph.num_nodes
        if self.kind == "constant":
            return torch.ones(nodes, self.width)
        if self.kind == "degree":
            degree = torch.from_numpy(graph.rows().degree).clamp(max=self.width - 1)
            return F.one_hot(degree, self.width).float()
        drawn = torch.randn(nodes, self.width, generator=self.generator)
        return drawn if x is None else torch.cat([x, drawn], 1)


def _dropout(x: Tensor, rate: float, training: bool) -> Tensor:
    """Dropout of a dense or sparse_csr input: zeros stay zeros, so only stored values are drawn for."""
    if not rate or not training:
        return x
    if x.layout == torch.strided:
        return F.dropout(x, rate)
    values = F.dropout(x.values(), rate)
    return torch.sparse_csr_tensor(x.crow_indices(), x.col_indices(), values, x.shape, check_invariants=False)
