"""What every encoder promises.

check_encoder(lambda shape: MyEncoder(shape.item[0], 32), "vectors")
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor

from semblance.contracts import Batch, Encoder
from semblance.data.dataset import ArrayDataset, Shape
from semblance.data.moments import shape_of
from semblance.data.prepare import Prepare
from semblance.data.relational import Loaded, RelationalDataset
from semblance.errors import SemblanceError
from semblance.geometry.spaces import space_named
from semblance.testing.dataset import small
from semblance.testing.promises import Excused, equal, keep, that
from semblance.testing.related import renumbered

Make = Callable[[Shape], Any]
ITEMS = 8
CLOSE = 1e-4
"""How far two answers may differ that are the same but for the order of additions in float32."""


@dataclass(frozen=True)
class Tried:
    """An encoder, how another one is made, and data to try it on."""

    make: Callable[[int], Any]
    dataset: Loaded
    prepare: Prepare
    encoder: Any

    @property
    def rows(self) -> np.ndarray:
        """Positions of a few items."""
        return np.arange(ITEMS)

    def batch(self, rows: np.ndarray, dtype: torch.dtype = torch.float32, dataset: Loaded | None = None) -> Batch:
        """The prepared batch of these units."""
        data = self.dataset if dataset is None else dataset
        if isinstance(data, ArrayDataset):
            return {"x": self.prepare(torch.from_numpy(np.array(data.x[rows]))).to(dtype)}
        batch = data.read(rows)
        if "x" in batch:
            each = [x if x is None else self.prepare(x).to(dtype) for x in in_list(batch["x"])]
            batch["x"] = each if isinstance(batch["x"], list) else each[0]
        return {name: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for name, v in batch.items()}

    def embed(self, batch: Batch, encoder: Any = None) -> Tensor:
        """[N, dim] without gradients, in eval mode."""
        with torch.no_grad():
            z: Tensor = (encoder or self.encoder).eval().embed(batch)
        return z


def check_encoder(make: Make, dataset: str | Loaded = "vectors", excused: Excused = None) -> None:
    """Holds what `make(shape)` builds to the Encoder contract, on a few units of the dataset (a domain names the small one
    that is here). `excused`: promises without a meaning for this encoder, each with the reason."""
    data = small(dataset) if isinstance(dataset, str) else dataset
    if len(data) < ITEMS:
        raise SemblanceError(f"the data set has {len(data)} items: an encoder is tried on {ITEMS}")
    shape = shape_of(data)

    def seeded(seed: int) -> Any:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return make(shape)

    encoder = seeded(0)
    kind = type(encoder).__name__
    that(isinstance(encoder, Encoder), f"a {kind} is no Encoder: it lacks dim, geometry, forward or embed")
    that(isinstance(encoder, torch.nn.Module), f"a {kind} is no torch.nn.Module, which the rules train and files keep")
    related = {"renumbered": _renumbered} if isinstance(data, RelationalDataset) else {}
    keep(f"the encoder {kind}", PROMISES | related, excused, Tried(seeded, data, Prepare(shape, True), encoder))


def in_list(x: Any) -> list[Any]:
    """Features as a list, one entry a dimension (one for all but complexes)."""
    return x if isinstance(x, list) else [x]


def _says(tried: Tried) -> None:
    """`dim` is a whole number above 0, `geometry` one that a space can name and find again"""
    dim, geometry = tried.encoder.dim, tried.encoder.geometry
    that(isinstance(dim, int) and dim > 0, f"dim is {dim!r}")
    that(space_named(geometry.name) == geometry, f"{geometry!r} is not what its name {geometry.name!r} leads to")


def _embeds(tried: Tried) -> None:
    """`embed` answers [N, dim], finite, not the same for every item"""
    z = tried.embed(tried.batch(tried.rows))
    that(tuple(z.shape) == (ITEMS, tried.encoder.dim), f"shape {list(z.shape)}, dim {tried.encoder.dim}")
    that(bool(torch.isfinite(z).all()), "NaN or infinity")
    that(len(torch.unique(z.double().round(decimals=6), dim=0)) > 1, "every item has the same embedding")


def _alone(tried: Tried) -> None:
    """in eval mode an item's embedding does not depend on its companions (a node's: on who else is asked for)"""
    z = tried.embed(tried.batch(tried.rows))
    equal(tried.embed(tried.batch(tried.rows[3:4])), z[3:4], "an item alone and among others", _close(z))
    turned = tried.embed(tried.batch(tried.rows[::-1].copy()))
    equal(turned.flip(0), z, "the items in another order", _close(z))


def _none(tried: Tried) -> None:
    """no items give no embeddings, [0, dim]"""
    equal(tried.embed(tried.batch(tried.rows[:0])), np.empty((0, tried.encoder.dim)), "an empty batch")


def _input(tried: Tried) -> None:
    """the batch is left as it was, and asked twice the answer is the same"""
    batch = tried.batch(tried.rows)
    before = [None if x is None else dense(x).clone() for x in in_list(batch.get("x"))]
    names = set(batch)
    first, second = tried.embed(batch), tried.embed(batch)
    that(set(batch) == names, f"the batch has {sorted(set(batch) ^ names)} more or less than before")
    for x, kept in zip(in_list(batch.get("x")), before, strict=True):
        if x is not None:
            equal(dense(x), kept, "the items afterwards")
    equal(second, first, "the second answer")


def dense(x: Tensor) -> Tensor:
    """Features without gaps."""
    return x if x.layout == torch.strided else x.to_dense()


def _gradients(tried: Tried) -> None:
    """every parameter that can be trained receives a gradient"""
    encoder = tried.make(1).train()
    z = encoder.embed(tried.batch(tried.rows))
    wanted = [name for name, p in encoder.named_parameters() if p.requires_grad]
    if not wanted:
        return
    that(z.requires_grad, "the embedding does not depend on any parameter")
    (z * torch.linspace(-1, 2, z.numel()).reshape(z.shape)).sum().backward()
    left = [name for name, p in encoder.named_parameters() if p.requires_grad and p.grad is None]
    that(not left, f"none reached {', '.join(left[:3])}")
    broken = [name for name, p in encoder.named_parameters() if p.grad is not None and not p.grad.isfinite().all()]
    that(not broken, f"NaN or infinity reached {', '.join(broken[:3])}")


def _kept(tried: Tried) -> None:
    """its tensors, written to a file and read into one that was made anew, give the same embeddings"""
    content = save({name: t.contiguous() for name, t in tried.encoder.state_dict().items()})
    again = tried.make(2)
    again.load_state_dict(load(content))
    batch = tried.batch(tried.rows)
    equal(tried.embed(batch, again), tried.embed(batch), "what the second one answers")


def _double(tried: Tried) -> None:
    """float64 agrees with float32"""
    z = tried.embed(tried.batch(tried.rows))
    exact = tried.make(0).double()
    equal(tried.embed(tried.batch(tried.rows, torch.float64), exact), z, "float64 and float32", 10 * _close(z))


def _renumbered(tried: Tried) -> None:
    """with the nodes numbered otherwise every unit has the embedding that it had"""
    assert isinstance(tried.dataset, RelationalDataset)
    other, unit = renumbered(tried.dataset)
    every = np.arange(len(tried.dataset))
    z = tried.embed(tried.batch(every))
    equal(tried.embed(tried.batch(every, dataset=other)), z[unit], "the embeddings", 10 * _close(z))


def _close(z: Tensor) -> float:
    return CLOSE * max(1.0, math.sqrt(float(z.double().pow(2).mean())))


PROMISES = {
    "says": _says,
    "embeds": _embeds,
    "alone": _alone,
    "none": _none,
    "input": _input,
    "gradients": _gradients,
    "kept": _kept,
    "double": _double,
}
