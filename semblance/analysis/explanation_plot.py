"""The picture of an explanation: every kind of parts in its own way, one colour scale for all.

    cells    the picture, and the same in grey under its shares        tokens    words on their share's colour
    nodes, edges    the graph, drawn by springs                        features  bars of the strongest
    pairs    the matrix                                                curve     similarity as parts go and come

Red is more similar, blue less: a scale that people who see two primary colours tell apart too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from semblance.analysis.explanation import Explanation, Parts
from semblance.figures import Drawn

SCALE = "RdBu_r"
NAMED = 32  # ticks of a pair matrix beyond which they cannot be read
BARS = 12
WRAP = 34  # characters of text in a line


def draw(of: Explanation) -> Drawn:
    """A figure as wide as a page."""
    panels = _panels(of)
    across = 2 if len(panels) == 4 else min(len(panels), 3)
    down = -(-len(panels) // across)
    figure = Drawn(figsize=(3.3 * across + 0.3, 3.1 * down), layout="constrained")
    grid = figure.subplots(down, across, squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    for axes, panel in zip(grid.flat, panels, strict=False):
        panel(axes)
    return figure


def _panels(of: Explanation) -> list[Callable[[Any], None]]:
    found: list[Callable[[Any], None]] = []
    nodes = next((side for side in of.parts if side.kind == "nodes"), None)
    edges = next((side for side in of.parts if side.kind == "edges" and side.ends is not None), None)
    cells = [side for side in of.parts if side.kind == "cells"]
    tall = max((float(np.abs(side.share).max(initial=0)) for side in cells), default=0) or 1.0
    for side in of.parts:
        if side.kind == "cells":
            found.append(lambda axes, side=side: _cells(axes, side, tall))
        elif side.kind == "tokens":
            found.append(lambda axes, side=side: _tokens(axes, side))
        elif side is nodes and edges is not None:
            found.append(lambda axes, nodes=nodes, edges=edges: _graph(axes, nodes, edges))
        elif side is not edges or nodes is None:
            found.append(lambda axes, side=side: _bars(axes, side))
    if of.pairs is not None:
        found.append(lambda axes: _matrix(axes, of))
    if of.curve is not None:
        found.append(lambda axes: _curve(axes, of))
    return found


def _limit(share: np.ndarray) -> float:
    return float(np.abs(share).max(initial=0)) or 1.0


def _cells(axes: Any, side: Parts, limit: float) -> None:
    """The picture in grey, its shares over it, smooth as the cells of a network's map are."""
    rows, columns = side.grid or (1, len(side.names))
    shares = side.share.reshape(rows, columns)
    extent = (0, columns, rows, 0)
    if side.picture is not None:
        grey = side.picture if side.picture.ndim == 2 else side.picture @ [0.299, 0.587, 0.114]
        axes.imshow(grey, cmap="gray", vmin=-0.3, vmax=1.3, extent=extent, aspect="equal")
    strength = np.clip(np.abs(shares) / limit, 0, 1)
    axes.imshow(
        shares,
        cmap=SCALE,
        vmin=-limit,
        vmax=limit,
        alpha=0.15 + 0.65 * strength,
        extent=extent,
        aspect="equal",
        interpolation="nearest",
    )
    axes.set_title(_short(side.item), fontsize=9)
    axes.set_axis_off()


def _tokens(axes: Any, side: Parts) -> None:
    """Words in lines, each on its colour."""
    from matplotlib import colormaps

    limit, scale, x, y = _limit(side.share), colormaps[SCALE], 0, 0
    for name, share in zip(side.names, side.share, strict=True):
        if x and x + len(name) > WRAP:
            x, y = 0, y + 1
        colour = scale(0.5 + 0.5 * float(share) / limit)
        axes.text(
            x / WRAP,
            -y,
            name,
            family="monospace",
            fontsize=8,
            va="center",
            color="white" if abs(share) > 0.7 * limit else "black",
            bbox={"facecolor": colour, "edgecolor": "none", "pad": 1.5},
        )
        x += len(name) + 1
    axes.plot([0, 1], [0.7, -y - 0.7], alpha=0)  # text alone gives axes no data, and no limits
    axes.set(xlim=(0, 1), ylim=(-max(y, 3) - 0.7, 0.7))
    axes.set_title(_short(side.item), fontsize=9)
    axes.set_axis_off()


def _bars(axes: Any, side: Parts) -> None:
    chosen = side.strongest(BARS)[::-1]
    colours = ["#b2182b" if side.share[i] > 0 else "#2166ac" for i in chosen]
    axes.barh(range(len(chosen)), side.share[chosen], color=colours)
    axes.set_yticks(range(len(chosen)), [_short(side.names[i], 22) for i in chosen], fontsize=7)
    axes.axvline(0, color="black", linewidth=0.6)
    axes.set_title(_short(f"{side.kind} {side.item}".strip()), fontsize=9)


def _graph(axes: Any, nodes: Parts, edges: Parts) -> None:
    """The part of the graph that was seen; the widest lines give most."""
    import networkx

    assert edges.ends is not None
    graph = networkx.Graph()
    graph.add_nodes_from(range(len(nodes.names)))
    graph.add_edges_from(edges.ends.tolist())
    place = networkx.spring_layout(graph, seed=0)
    at = np.array([place[i] for i in range(len(nodes.names))])
    limit, node_limit = _limit(edges.share), _limit(nodes.share)
    for (a, b), share in zip(edges.ends, edges.share, strict=True):
        colour = "#b2182b" if share > 0 else "#2166ac"
        strength = abs(float(share)) / limit
        axes.plot(*at[[a, b]].T, color=colour, linewidth=0.4 + 3 * strength, alpha=0.2 + 0.8 * strength, zorder=1)
    axes.scatter(
        *at.T, c=nodes.share, cmap=SCALE, vmin=-node_limit, vmax=node_limit, s=45, edgecolors="0.3", linewidths=0.6
    )
    for i in nodes.strongest(6):
        axes.annotate(_short(nodes.names[i], 14), at[i], fontsize=7, xytext=(4, 4), textcoords="offset points")
    axes.set_title("nodes and edges", fontsize=9)
    axes.set_axis_off()


def _matrix(axes: Any, of: Explanation) -> None:
    assert of.pairs is not None
    left, right = of.parts[:2]
    limit = _limit(of.pairs)
    picture = axes.imshow(of.pairs, cmap=SCALE, vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest")
    axes.figure.colorbar(picture, ax=axes, shrink=0.8).ax.tick_params(labelsize=7)
    for side, ticks, label in ((left, axes.set_yticks, axes.set_ylabel), (right, axes.set_xticks, axes.set_xlabel)):
        if len(side.names) <= NAMED and side.kind != "cells":
            turned = {"rotation": 90} if side is right else {}
            ticks(range(len(side.names)), [_short(name, 12) for name in side.names], fontsize=6, **turned)
        else:
            ticks([])
        label(f"{side.kind} of {_short(side.item, 22)}", fontsize=8)
    axes.set_title("every pair of parts", fontsize=9)


def _curve(axes: Any, of: Explanation) -> None:
    assert of.curve is not None
    c = of.curve
    axes.fill_between(c.share, c.random.min(0), c.random.max(0), color="0.8", linewidth=0)
    axes.plot(c.share, c.random.mean(0), color="0.45", linestyle="--", label="random")
    axes.plot(c.share, c.deletion, color="#d55e00", marker="o", markersize=3, label="strongest go")
    axes.plot(c.share, c.insertion, color="#0072b2", marker="s", markersize=3, label="strongest come")
    axes.set_xlabel("share of parts", fontsize=8)
    axes.set_ylabel(of.measure, fontsize=8)
    axes.tick_params(labelsize=7)
    axes.legend(fontsize=7, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=3, columnspacing=1)
    axes.set_title("is it these parts?", fontsize=9)


def _short(text: str, most: int = 36) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}\u2026"
