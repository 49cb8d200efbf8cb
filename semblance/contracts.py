"""The eight contracts of Semblance. Whatever fits one of them can be joined to the rest; no base class is needed.

A `Batch` is a dictionary: what an encoder reads (`x` for images [N, C, H, W] and vectors [N, d]), what an objective
needs (`labels` [N] int64 with -1 for unlabelled, `index` [N] positions in the training data, `views`: a list of
batches, one per view) and nothing else. N is the number of units, d the width of an embedding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from torch import Tensor

    from semblance.geometry.spaces import Geometry

Batch = dict[str, Any]
Metrics = dict[str, float]


@runtime_checkable
class Dataset(Protocol):
    """What comes in. `len(dataset)` is the number of units; the rest is aligned with them.

    `units` says in a word what gets one embedding (item, node, pair); `targets` are named columns (a class, several
    classes, a number), `labels` the default one; `attributes` is an Arrow table; `splits` names index arrays
    (`train` always exists); `fingerprint` is a hash of the content.
    """

    @property
    def domain(self) -> str: ...

    @property
    def units(self) -> str: ...

    @property
    def ids(self) -> Sequence[str]: ...

    @property
    def targets(self) -> Mapping[str, Any]: ...

    @property
    def attributes(self) -> pa.Table: ...

    @property
    def splits(self) -> Mapping[str, np.ndarray]: ...

    @property
    def fingerprint(self) -> str: ...

    def __len__(self) -> int: ...

    def read(self, index: np.ndarray) -> Batch:
        """The units at these positions, as they are stored: `x` and what belongs to it."""


@runtime_checkable
class Encoder(Protocol):
    """Domain -> representation: vectors [N, d], a list of maps, tokens with their mask, or scalars with vectors."""

    dim: int
    geometry: Geometry

    def forward(self, batch: Batch) -> Any: ...

    def embed(self, batch: Batch) -> Tensor:
        """The pooled read-out [N, dim]."""


@runtime_checkable
class Head(Protocol):
    """Representation -> answer."""

    def forward(self, representation: Any, batch: Batch) -> Any: ...

    def decode(self, prediction: Any) -> Any:
        """What a user reads: labels, boxes, masks."""


@runtime_checkable
class Objective(Protocol):
    """What to be good at. Owns what trains along and is dropped afterwards (projector, predictor, teacher, bank).

    Where it has them, the loop calls `advance(progress)` before every step, progress (0 to below 1) being the share of the
    run that is done, and `after_step(model, batch)` after every step of the optimiser."""

    needs: frozenset[str]

    def forward(self, model: Encoder, batch: Batch) -> tuple[Tensor, Metrics]: ...


@runtime_checkable
class Rule(Protocol):
    """How weights change. Rules with a `step` share the one loop; solvers yield once; protocols wrap rules."""

    def run(self, parts: Any, data: Any, budget: Any) -> Iterator[Metrics]: ...


@runtime_checkable
class Index(Protocol):
    """Where representations are found again. Vectors are [N, d] float32, ids strings."""

    def add(self, ids: Sequence[str], vectors: np.ndarray, attributes: pa.Table | None = None) -> None: ...

    def remove(self, ids: Sequence[str]) -> None: ...

    def search(
        self, queries: np.ndarray, k: int, where: str | None = None
    ) -> tuple[list[list[str]], list[np.ndarray]]: ...

    def save(self, path: Path) -> None: ...

    def load(self, path: Path) -> Index: ...


@runtime_checkable
class Recipe(Protocol):
    """Parts, a rule, and what they make: a model, an index, a dataset, a front or a report."""

    makes: str


@runtime_checkable
class Report(Protocol):
    """An analysis: numbers, picture, one HTML file, and the verdict in one sentence (`str`)."""

    def table(self) -> pa.Table: ...

    def plot(self) -> Any: ...

    def save(self, path: Path) -> None: ...
