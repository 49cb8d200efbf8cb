"""Principal aggregation: several aggregators side by side, each scaled by the node's degree in several ways.

    m_ij = pre( x_i || x_j || e_ij ),   x_i' = mix( post( x_i || for scaler s, for aggregator a: s(d_i) a_j m_ij ) )
    identity 1,   amplification log(d + 1) / delta,   attenuation delta / log(d + 1)   delta: mean log(d + 1) in training

Axes: aggregators and scalers, depth of pre and post, edge features, towers (groups of features, or the whole input
several times, mixed by the last map). d counts incoming edges. Reference: Corso et al. 2020, arXiv:2004.05718.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from semblance.encoders.graphs.aggregators import activation_named, aggregate
from semblance.encoders.graphs.message import mapped
from semblance.encoders.graphs.scaled import scaled_product
from semblance.encoders.graphs.statistics import KNOWN, by_degree, statistics
from semblance.errors import SemblanceError, unknown
from semblance.geometry.graph import Graph
from semblance.geometry.products import fits

AGGREGATORS = ("mean", "max", "min", "std")
SCALERS = ("identity", "amplification", "attenuation")


class Aggregated(nn.Module):
    """`log_degree` is delta. divide: every tower reads its group of features, otherwise all of them. edges: width of
    edge_x."""

    log_degree: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        log_degree: float,
        aggregators: Sequence[str] = AGGREGATORS,
        scalers: Sequence[str] = SCALERS,
        towers: int = 1,
        divide: bool = False,
        before: int = 1,
        after: int = 1,
        edges: int = 0,
        activation: str | None = None,
    ):
        super().__init__()
        wrong = [scaler for scaler in scalers if scaler not in SCALERS]
        if wrong:
            raise unknown("scaler", wrong[0], SCALERS)
        if outputs % towers or (divide and inputs % towers):
            raise SemblanceError(
                f"{inputs} inputs and {outputs} outputs do not split into {towers} towers: choose multiples"
            )
        self.width, self.aggregators, self.scalers = (
            inputs // towers if divide else inputs,
            tuple(aggregators),
            tuple(scalers),
        )
        summaries = len(self.aggregators) * len(self.scalers)
        self.pre = nn.ModuleList(_perceptron(self.width, (2 + bool(edges)) * self.width, before) for _ in range(towers))
        self.post = nn.ModuleList(
            _perceptron(outputs // towers, (summaries + 1) * self.width, after) for _ in range(towers)
        )
        self.edge = nn.Linear(edges, self.width) if edges else None
        self.mix = nn.Linear(outputs, outputs)
        self.register_buffer("log_degree", torch.tensor(float(log_degree)))
        self.towers, self.divide, self.activation, self.dim = towers, divide, activation, outputs

    def forward(self, x: Tensor, graph: Graph) -> Tensor:
        """x: [V, f] -> [V, outputs]."""
        if self._simple() and fits(x, self.mix.weight):
            return self._fused(x, graph)
        edge = None
        if self.edge is not None:
            if graph.edge_x is None:
                raise SemblanceError("the layer reads edge features and the graph has none: give edge_x, or edges=0")
            edge = self.edge(graph.edge_x.to(x.dtype))
        parts = x.split(self.width, 1) if self.divide else [x] * self.towers
        towers = [
            post(torch.cat([part, self._summaries(pre, part, edge, graph)], 1))
            for part, pre, post in zip(parts, self.pre, self.post, strict=True)
        ]
        return activation_named(self.activation)(self.mix(torch.cat(towers, 1)))

    def _simple(self) -> bool:
        """Whether messages are linear, so that summaries need nothing per edge."""
        return self.edge is None and len(self.pre[0]) == 1 and set(self.aggregators) <= set(KNOWN)  # type: ignore[arg-type]

    def _fused(self, x: Tensor, graph: Graph) -> Tensor:
        """The same with a node's maps before the edges, and the last two maps, if nothing bends between them, as
        one."""
        merged = len(self.post[0]) == 1  # type: ignore[arg-type]
        mixes = self.mix.weight.split(self.mix.out_features // self.towers, 1)
        scales = torch.stack(self._scales(torch.from_numpy(by_degree(graph)[1]).to(x)), 1)
        count, outs = len(self.aggregators) * self.width, []
        total = self.mix.bias.expand(len(x), -1)
        for tower, (pre, post, mix) in enumerate(zip(self.pre, self.post, mixes, strict=True)):
            part = x[:, tower * self.width : (tower + 1) * self.width] if self.divide else x
            of_target, of_source = pre[0].weight.split(self.width, 1)  # type: ignore[index]
            source, target = mapped(part, of_source, None), mapped(part, of_target, pre[0].bias)  # type: ignore[index]
            found = statistics(graph, source, target, self.aggregators)
            first = post[0]  # type: ignore[index]
            weight = mix @ first.weight if merged else first.weight
            bias = mix @ first.bias if merged else first.bias
            maps = weight[:, self.width :].reshape(len(weight), -1, count)
            base = mapped(part, weight[:, : self.width], bias)
            bend = merged and self.towers == 1 and self.activation == "relu"
            if merged:
                base = base + total if tower else base + self.mix.bias
                total = scaled_product(graph, found, maps, base, scales, bend)
            else:
                outs.append(post[1:](scaled_product(graph, found, maps, base, scales, False)))  # type: ignore[index]
        if not merged:
            total = self.mix(torch.cat(outs, 1))
        return total if merged and bend else activation_named(self.activation)(total)

    def _summaries(self, pre: nn.Module, x: Tensor, edge: Tensor | None, graph: Graph) -> Tensor:
        """[V, width] -> [V, scalers * aggregators * width]."""
        first, *rest = pre  # type: ignore[misc]
        of_target, of_source, *of_edge = first.weight.split(self.width, 1)
        target, source = nn.functional.linear(x, of_target, first.bias), x @ of_source.T
        told = None if edge is None else edge @ of_edge[0].T
        found = aggregate(graph, source, target, told, nn.Sequential(*rest) if rest else None, self.aggregators)
        summaries = torch.cat(found, 1)
        degree = torch.from_numpy(graph.rows().degree).to(x)
        return torch.cat([summaries * scale[:, None] for scale in self._scales(degree)], 1)

    def _scales(self, degree: Tensor) -> list[Tensor]:
        """[n] degrees -> [n] for every scaler; a degree of 0 counts as 1 where a division needs it."""
        named = {
            "identity": lambda: torch.ones_like(degree),
            "amplification": lambda: (degree + 1).log() / self.log_degree,
            "attenuation": lambda: self.log_degree / (degree.clamp(min=1) + 1).log(),
        }
        return [named[scaler]() for scaler in self.scalers]


def _perceptron(width: int, inputs: int, depth: int) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Linear(inputs, width)]
    for _ in range(depth - 1):
        layers += [nn.ReLU(), nn.Linear(width, width)]
    return nn.Sequential(*layers)
