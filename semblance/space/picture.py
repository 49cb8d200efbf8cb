"""Picture: a space in two dimensions, so that a person sees what lies together.

    pca     the two directions in which the vectors vary most
    umap    neighbours are kept near (McInnes, Healy and Melville 2018, arXiv:1802.03426); distances between far groups
            mean little

`auto` takes UMAP, and PCA for less than 50 items or where umap-learn does not import. Spaces of two dimensions are drawn
as they are. Beyond `most` items a uniform sample is drawn, and the picture says so. The same seed draws the same picture.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from semblance.errors import SemblanceError, unknown

if TYPE_CHECKING:
    from semblance.space.space import Space

log = logging.getLogger(__name__)
METHODS = ("auto", "umap", "pca")
FEW, NEIGHBOURS = 50, 15
CLASSES = 20
"""So many classes have a colour and a name; the rest are grey."""
CELLS = 24
"""Pictures stand in a grid of so many columns."""
# Okabe and Ito's colours, which people who do not tell red from green can tell apart; then lighter and darker ones.
COLOURS = (
    *("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#B8A900", "#444444", "#7B4FA3", "#8C5A2B"),
    *("#7FB8D8", "#F2CF80", "#80CEB9", "#E5BCD3", "#003C5E", "#7A3600", "#5C5400", "#A0A0A0", "#B79AD0", "#C49A6C"),
)
REST = "#C0C0C0"


def plot(
    space: Space,
    colour: str | None = "label",
    where: str | None = None,
    method: str = "auto",
    pictures: bool = False,
    most: int = 10_000,
    seed: int = 0,
    progress: Callable[[int, int, str], None] | None = None,
) -> Any:
    """The items that satisfy `where` as points, coloured by an attribute; a matplotlib figure. With `pictures` the items
    themselves stand where they are not in one another's way."""
    if method not in METHODS:
        raise unknown("method of drawing", method, METHODS)
    if most < 1:
        raise SemblanceError(f"most is {most}: let one item be drawn, or more")
    view = space.store.refresh()
    if pictures and view.manifest["domain"] != "images":
        raise SemblanceError(f"this space holds {view.manifest['domain']} and no images: leave pictures out")
    rows = view.rows_where(where)
    found = len(rows)
    if not found:
        raise SemblanceError("no item satisfies the condition: there is nothing to draw")
    if found > most:
        rows = np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
    names = view.schema.names
    if colour is not None and colour not in names and colour != "label":
        raise unknown("column", colour, names)
    values = view.attributes([colour], rows=rows).column(colour) if colour is not None and colour in names else None
    if progress is not None:
        progress(0, 1, "two dimensions")
    xy, how = flat(np.asarray(view.vectors(rows), np.float32), method, seed)

    from matplotlib.colors import to_rgba

    from semblance.figures import Drawn

    figure = Drawn(figsize=(7.2, 6), layout="constrained")
    axes = figure.subplots()
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.set_aspect("equal", adjustable="datalim")
    sampled = f"a uniform sample of {len(rows):,} of {found:,} items" if len(rows) < found else f"{found:,} items"
    axes.set_title(f"{space.path.name}: {sampled}, {how}", fontsize=10, loc="left")
    if values is None:
        paint = np.tile(to_rgba(COLOURS[0]), (len(rows), 1))
    else:
        paint = _legend(axes, values, colour)
    size = float(np.clip(9000 / len(rows), 3, 40))
    # In an order by chance, or the last class would lie on top of the others.
    order = np.random.default_rng(seed).permutation(len(rows))
    axes.scatter(xy[order, 0], xy[order, 1], s=size, c=paint[order], linewidths=0, alpha=0.8, zorder=1)
    if pictures:
        chosen = spread(xy, CELLS)
        _thumbnails(axes, space, view.ids(rows[chosen]), xy[chosen], paint[chosen])
    return figure


def flat(vectors: np.ndarray, method: str, seed: int) -> tuple[np.ndarray, str]:
    """[N, d] -> [N, 2] and how it was come by."""
    if vectors.shape[1] <= 2:
        return np.pad(vectors, ((0, 0), (0, 2 - vectors.shape[1]))), "as they are"
    if method == "umap" or (method == "auto" and len(vectors) >= FEW):
        try:
            # Vectors of a cosine space have length 1: their Euclidean neighbours are those by angle.
            return _umap(vectors, seed), "UMAP"
        except ImportError as error:
            if method == "umap":
                raise SemblanceError(f"UMAP does not import here ({error}): draw with method='pca'") from error
            log.warning("umap-learn does not import (%s): drawn by PCA", error)
    centred = vectors - vectors.mean(0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    if len(axes) < 2:  # one item
        return np.zeros((len(vectors), 2), np.float32), "PCA"
    axes = axes[:2] * np.sign(axes[:2][np.arange(2), np.abs(axes[:2]).argmax(1)])[:, None]  # the same way up everywhere
    return centred @ axes.T, "PCA"


def _umap(vectors: np.ndarray, seed: int) -> np.ndarray:
    if len(vectors) < 4:
        raise SemblanceError(f"UMAP needs four items or more, and there are {len(vectors)}: draw with method='pca'")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a seed takes one thread; that a graph has several parts
        import umap

        near = min(NEIGHBOURS, len(vectors) - 1)
        init = "spectral" if len(vectors) > FEW else "random"
        layout = umap.UMAP(n_neighbors=near, min_dist=0.1, init=init, random_state=seed, n_jobs=1)
        found: np.ndarray = layout.fit_transform(vectors)
    return found


def spread(xy: np.ndarray, cells: int) -> np.ndarray:
    """Rows of the items nearest to the centres of a grid's cells, one a cell."""
    low, side = xy.min(0), max(float(np.ptp(xy, axis=0).max()), 1e-9)
    at = (xy - low) / side * (cells - 1e-6)
    cell = at.astype(int)
    off = ((at - cell - 0.5) ** 2).sum(1)
    order = np.lexsort((off, cell[:, 1], cell[:, 0]))
    first = np.unique(cell[order], axis=0, return_index=True)[1]
    return np.asarray(order[first])


def _legend(axes: Any, values: pa.ChunkedArray, title: str | None) -> np.ndarray:
    """[N, 4] colours of the items, and what they mean beside the axes."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize, to_rgba

    if pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
        numbers = np.array([np.nan if v is None else v for v in values.to_pylist()], float)
        known = numbers[np.isfinite(numbers)]
        scale = ScalarMappable(Normalize(*((known.min(), known.max()) if len(known) else (0, 1))), colormaps["viridis"])
        axes.figure.colorbar(scale, ax=axes, label=title, shrink=0.6)
        return np.asarray(scale.to_rgba(np.ma.masked_invalid(numbers)))
    said = np.array(["" if v is None else str(v) for v in values.to_pylist()])
    names, counts = np.unique(said[said != ""], return_counts=True)
    named = sorted(names[np.argsort(-counts, kind="stable")][:CLASSES].tolist(), key=_as_read)
    paint = np.tile(to_rgba(REST), (len(said), 1))
    for name, colour in zip(named, COLOURS, strict=False):
        paint[said == name] = to_rgba(colour)
    keys = [(_short(name), colour) for name, colour in zip(named, COLOURS, strict=False)]
    if len(names) > len(named):
        keys.append((f"{len(names) - len(named):,} more", REST))
    if (said == "").any():
        keys.append(("none", REST))
    marks = [axes.scatter([], [], s=30, color=colour, label=name) for name, colour in keys]
    axes.legend(handles=marks, title=title, frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return paint


def _as_read(name: str) -> tuple[bool, float, str]:
    return (False, float(name), name) if name.isdecimal() else (True, 0.0, name)


def _short(name: str) -> str:
    """As a legend shows it: dollars would be read as mathematics, and a leading _ hides the line."""
    text = name if len(name) <= 24 else name[:23] + "\u2026"
    return text.replace("$", r"\$").lstrip("_") or " "


def _thumbnails(axes: Any, space: Space, ids: list[str], xy: np.ndarray, paint: np.ndarray) -> None:
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage
    from PIL import Image

    for id, place, colour in zip(ids, xy, paint, strict=True):
        stored = space.store.thumbnail(id)
        if stored is not None:
            image = Image.open(BytesIO(stored)).convert("RGB")
            shown = OffsetImage(np.asarray(image), zoom=14 / max(image.size), interpolation="nearest")
            frame = {"edgecolor": colour, "linewidth": 1.5, "boxstyle": "square,pad=0"}
            axes.add_artist(AnnotationBbox(shown, tuple(place), pad=0, bboxprops=frame, zorder=2))
