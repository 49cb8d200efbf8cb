"""Placement: where among the layers of a network a recorded population stands, and how sure one can be of it.

    score(area, layer)   how far the area's mean responses and the layer share their items, by a measure of `similarity`:
                         rsa (the similarity of similarity matrices, SSM), or svcca with a number of directions
    pseudo-depth         the layer of largest score, counted from 0
    ceiling              the same measure between two halves of the area's own trials
    spread               of the pseudo-depths of all areas but the lowest: sequential areas differ, parallel ones do not

Every resample takes some of the neurons, some of the images and one of the networks (seeds) without replacement, since an
image drawn twice would be its own nearest neighbour. Responses are any table [images, neurons] or [images, trials,
neurons]; `simulated_area` stands in for a recording. Reference: Shi, Shea-Brown & Buice 2019 "Comparison Against Task
Driven Artificial Neural Networks Reveals Functional Organization of Mouse Visual Cortex".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from semblance.analysis.similarity import MEASURES, Measure, svcca
from semblance.errors import SemblanceError, unknown
from semblance.reports import TableReport, report_html, write_page

Array = np.ndarray
KEPT = 0.8
"""Share of the neurons and of the images that a resample takes, unless told."""
SURE = 0.85
"""Share of resamples that have to agree on an area's layer."""
DIRECTIONS = 10
"""Directions that svcca keeps: by 99% of the variance it would keep nearly as many as there are images, and all agree."""
ORDERS = 1_000


@dataclass(frozen=True)
class Placement:
    """The report. scores: [resamples, areas, layers]; ceiling: [areas], NaN without trials; p: of as large a spread of the
    higher areas where they are exchanged within resamples."""

    areas: tuple[str, ...]
    layers: tuple[str, ...]
    scores: Array
    ceiling: Array
    neurons: tuple[int, ...]
    images: int
    measure: str
    p: float
    notes: tuple[str, ...] = field(default=())

    @property
    def depth(self) -> Array:
        """int64 [resamples, areas], the layer of largest score."""
        return np.asarray(self.scores.argmax(2))

    @property
    def settled(self) -> Array:
        """[areas]: the share of resamples that agree with the most frequent layer."""
        return np.array([np.bincount(column).max() / len(column) for column in self.depth.T])

    @property
    def lowest(self) -> int:
        """The area of least mean pseudo-depth."""
        return int(self.depth.mean(0).argmin())

    @property
    def spread(self) -> float:
        """The range of mean pseudo-depth over all areas but the lowest, in layers."""
        return float(np.ptp(np.delete(self.depth.mean(0), self.lowest)))

    def __str__(self) -> str:
        order = np.argsort(self.depth.mean(0), kind="stable")
        placed = ", ".join(f"{self.areas[i]} {self.depth[:, i].mean():.1f}" for i in order)
        doubt = [self.areas[i] for i in order if self.settled[i] < SURE]
        kind = ""
        if len(self.areas) > 2:
            order_of = "sequential" if self.spread >= 1 and self.p < 0.05 else "parallel"
            kind = f"; above the lowest they are {order_of}, {self.spread:.1f} layers apart"
        tail = f"; not settled for {', '.join(doubt)}: record more neurons or show more images" if doubt else ""
        return f"pseudo-depths of {len(self.layers)} layers: {placed}{kind}{tail}"

    def rows(self) -> list[dict[str, Any]]:
        """One row an area, in the order of pseudo-depth; low and high hold 95% of the resamples."""
        found = []
        for i in np.argsort(self.depth.mean(0), kind="stable"):
            depth, best = self.depth[:, i], self.scores[:, i].mean(0).argmax()
            low, high = np.quantile(depth, [0.025, 0.975])
            found.append(
                {
                    "area": self.areas[i],
                    "layer": self.layers[best],
                    "pseudo_depth": float(depth.mean()),
                    "low": float(low),
                    "high": float(high),
                    "settled": float(self.settled[i]),
                    "score": float(self.scores[:, i, best].mean()),
                    "deviation": float(self.scores[:, i, best].std(ddof=1)),
                    "ceiling": None if np.isnan(self.ceiling[i]) else float(self.ceiling[i]),
                    "neurons": self.neurons[i],
                }
            )
        return found

    def table(self) -> Any:
        """Columns area, layer, pseudo_depth, low, high, settled, score, deviation, ceiling, neurons."""
        import pyarrow as pa

        return pa.Table.from_pylist(self.rows())

    def plot(self) -> Any:
        """A matplotlib figure: every area's score over the layers with its deviation, the ceiling dotted."""
        from semblance.figures import Drawn

        figure = Drawn(figsize=(6.5, 3.6), layout="constrained")
        axes, at = figure.subplots(), np.arange(len(self.layers))
        for i, name in enumerate(self.areas):
            mean, deviation = self.scores[:, i].mean(0), self.scores[:, i].std(0)
            (line,) = axes.plot(at, mean, "o-", label=name)
            axes.fill_between(at, mean - deviation, mean + deviation, color=line.get_color(), alpha=0.2, linewidth=0)
            if not np.isnan(self.ceiling[i]):
                axes.axhline(self.ceiling[i], color=line.get_color(), linestyle=":", linewidth=0.8)
        axes.set_xticks(at, self.layers)
        axes.set(ylabel=self.measure, xlabel="layer")
        axes.legend(frameon=False)
        return figure

    def save(self, path: str | Path) -> None:
        """One HTML file with sentence, table and picture."""
        write_page(path, "Areas among layers", self._said(), self.plot(), self.rows())

    def _said(self) -> str:
        return ". ".join([str(self), *self.notes]) + "."

    def _repr_html_(self) -> str:
        return report_html("Areas among layers", self._said(), self.plot(), self.rows())


def place(
    recorded: Mapping[str, Array],
    networks: Sequence[Mapping[str, Array]],
    measure: str | Measure = "rsa",
    neurons: int | None = None,
    images: int | None = None,
    resamples: int = 20,
    seed: int = 0,
) -> Placement:
    """Responses by area, [images, neurons] or [images, trials, neurons], beside the layers [images, units] of one network
    or several of other seeds, for the same images. neurons, images: how many a resample takes, default 0.8 of them."""
    areas, shown = _areas(recorded), len(next(iter(recorded.values())))
    layers = _layers(networks, shown)
    name, chosen = _chosen(measure)
    taken = min(images or max(round(KEPT * shown), 4), shown)
    counts = tuple(min(neurons or max(round(KEPT * a.shape[2]), 1), a.shape[2]) for a in areas.values())
    rng = np.random.default_rng(seed)
    scores = np.empty((resamples, len(areas), len(layers)))
    ceiling = np.full((resamples, len(areas)), np.nan)
    for at in range(resamples):
        rows = np.sort(rng.choice(shown, taken, replace=False))
        network = networks[rng.integers(len(networks))]
        sides = [chosen.prepare(np.asarray(network[layer])[rows]) for layer in layers]
        for i, (responses, count) in enumerate(zip(areas.values(), counts, strict=True)):
            some = responses[rows][:, :, rng.choice(responses.shape[2], count, replace=False)]
            own = chosen.prepare(some.mean(1))
            scores[at, i] = [chosen.between(own, side) for side in sides]
            trials = rng.permutation(some.shape[1])
            if len(trials) > 1:
                halves = (some[:, part].mean(1) for part in np.array_split(trials, 2))
                ceiling[at, i] = chosen.between(*(chosen.prepare(half) for half in halves))
    found = Placement(
        tuple(areas), tuple(layers), scores, ceiling.mean(0), counts, taken, name, _exchanged(scores.argmax(2), rng)
    )
    notes = [
        f"{area} stands at one layer in only {share:.0%} of the resamples, with {count} neurons and {taken} images"
        for area, share, count in zip(areas, found.settled, counts, strict=True)
        if share < SURE
    ]
    return Placement(**{**vars(found), "notes": tuple(notes)})


def robustness(
    recorded: Mapping[str, Array],
    networks: Sequence[Mapping[str, Array]],
    neurons: Sequence[int] = (),
    images: Sequence[int] = (),
    image_sets: Mapping[str, Array] | None = None,
    **settings: Any,
) -> TableReport:
    """Placements with so many neurons, with so many images, and within sets of images (rows by name): whether the areas
    stay where all of them put them."""
    whole = place(recorded, networks, **settings)
    kept = [("neurons", str(n), place(recorded, networks, **{**settings, "neurons": n})) for n in neurons]
    kept += [("images", str(n), place(recorded, networks, **{**settings, "images": n})) for n in images]
    for name, rows in (image_sets or {}).items():
        some = {area: np.asarray(responses)[rows] for area, responses in recorded.items()}
        nets = [{layer: np.asarray(x)[rows] for layer, x in network.items()} for network in networks]
        kept.append(("image set", name, place(some, nets, **settings)))
    home = whole.scores.mean(0).argmax(1)
    best = (slice(None), np.arange(len(home)), home)
    rows_ = tuple(
        {
            "what": what,
            "kept": count,
            "agrees": float((found.depth == home).mean()),
            "score": float(found.scores[best].mean()),
            "deviation": float(found.scores[best].std(0).mean()),
        }
        for what, count, found in [("all", "all", whole), *kept]
    )
    least = min(rows_, key=lambda row: row["agrees"])
    verdict = (
        f"areas stand where all neurons and images put them in {rows_[0]['agrees']:.0%} of the resamples, and in "
        f"{least['agrees']:.0%} with {least['kept']} {least['what']}"
    )
    return TableReport("Robustness of a placement", verdict, rows_, "kept", ("agrees", "score", "deviation"), "what")


def simulated_area(layer: Array, neurons: int, rng: np.random.Generator, trials: int = 10, noise: float = 0.5) -> Array:
    """A layer [images, units] -> [images, trials, neurons]: a random subset of its units, every trial with normal noise
    whose deviation is so many times the layer's."""
    if neurons > layer.shape[1]:
        raise SemblanceError(f"{neurons} neurons of a layer of {layer.shape[1]} units: give as many or fewer")
    some = np.asarray(layer[:, rng.choice(layer.shape[1], neurons, replace=False)], np.float32)
    drawn = rng.standard_normal((len(some), trials, neurons), dtype=np.float32)
    return np.asarray(some[:, None] + noise * float(layer.std()) * drawn)


def _areas(recorded: Mapping[str, Array]) -> dict[str, Array]:
    if not recorded:
        raise SemblanceError("no area is given: name one or more, each with responses [images, trials, neurons]")
    areas = {}
    for name, responses in recorded.items():
        held = np.asarray(responses)
        held = held[:, None] if held.ndim == 2 else held
        if held.ndim != 3 or not held.size:
            raise SemblanceError(f"the area {name} has shape {np.shape(responses)}: give [images, trials, neurons]")
        broken = int((~np.isfinite(held).all((1, 2))).sum())
        if broken:
            raise SemblanceError(
                f"the area {name} holds NaN or infinity in {broken} of {len(held)} images: leave them out"
            )
        areas[name] = held
    lengths = {name: len(held) for name, held in areas.items()}
    if len(set(lengths.values())) > 1:
        raise SemblanceError(f"areas saw different numbers of images, {lengths}: give the same images for all")
    if next(iter(lengths.values())) < 4:
        raise SemblanceError(f"{next(iter(lengths.values()))} images are too few to be compared: give at least 4")
    return areas


def _layers(networks: Sequence[Mapping[str, Array]], shown: int) -> list[str]:
    if not networks or not networks[0]:
        raise SemblanceError("no network is given: give one or more, each its layers by name")
    layers = list(networks[0])
    for network in networks:
        if list(network) != layers:
            raise SemblanceError(f"networks have the layers {layers} and {list(network)}: give the same of each")
        for layer, x in network.items():
            if len(x) != shown:
                raise SemblanceError(
                    f"layer {layer} saw {len(x)} images and the areas {shown}: give the same images in the same order"
                )
    return layers


def _chosen(measure: str | Measure) -> tuple[str, Measure]:
    if isinstance(measure, Measure):
        return measure.about, measure
    if measure == "svcca":
        return measure, svcca(directions=DIRECTIONS)
    if measure not in MEASURES:
        raise unknown("measure", measure, MEASURES)
    return measure, MEASURES[measure]


def _exchanged(depth: Array, rng: np.random.Generator) -> float:
    """How often the higher areas' mean depths are as far apart where areas are exchanged within resamples; 1 of fewer than
    two of them."""
    higher = np.delete(depth, int(depth.mean(0).argmin()), 1)
    if higher.shape[1] < 2:
        return 1.0
    drawn = rng.permuted(np.broadcast_to(higher, (ORDERS, *higher.shape)), axis=2)
    beyond = np.ptp(drawn.mean(1), 1) >= np.ptp(higher.mean(0)) - 1e-12
    return float((1 + beyond.sum()) / (1 + ORDERS))
