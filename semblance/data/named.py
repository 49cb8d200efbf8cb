"""Named sets: real data known by name, bundled with a library or lying in the data folder.

`known.json` lists them: which file, which array plays which role, whose data it is and under which licence. The folder is
SEMBLANCE_DATA; unset, `../shared/data` beside the checkout where that exists, else the user's cache. An index.json
there replaces the entries of `known.json` for its own files.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import json
import os
import zipfile
import zlib
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from semblance.data.arrays import from_arrays
from semblance.data.dataset import ArrayDataset
from semblance.data.domains import DOMAINS, RELATIONAL, not_built
from semblance.errors import SemblanceError, unknown

if TYPE_CHECKING:
    from semblance.data.relational import RelationalDataset

ROLES = frozenset(
    {"x", "y", "names", "group", "split", "split_names", "class_names"}
    | {f"{part}_{role}" for part in ("train", "val", "test") for role in "xy"}
)
"""The roles of known.json that make a dataset of images or vectors."""
SPARSE = ("x_sparse", "y_sparse")
KNOWN = Path(__file__).with_name("known.json")


class Row(NamedTuple):
    """A line of `semblance data list`."""

    name: str
    domain: str
    units: str
    n: int
    licence: str
    source: str
    present: bool


def folder() -> Path:
    """Where named sets lie."""
    given = os.environ.get("SEMBLANCE_DATA")
    if given:
        return Path(given).expanduser()
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    if beside.is_dir():
        return beside
    from platformdirs import user_cache_path

    return user_cache_path("semblance") / "data"


def sets() -> dict[str, dict[str, Any]]:
    """Every known set, name -> its entry; bundled ones have `library` and `call`, others `file` and `sha256`."""
    index = folder() / "index.json"
    return _entries(index, index.stat().st_mtime_ns if index.is_file() else 0)


@cache
def _entries(index: Path, changed: int) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for path in (KNOWN, index) if changed else (KNOWN,):
        try:
            listed = json.loads(path.read_text(encoding="utf-8"))
            found |= {row["name"]: row for row in [*listed["bundled"], *listed["sets"]]}
        except (ValueError, KeyError, TypeError) as error:
            raise SemblanceError(
                f"{path} is no index of data sets ({error}): restore it or unset SEMBLANCE_DATA"
            ) from None
    return found


def is_name(text: object) -> bool:
    """Whether this is the name of a known set."""
    return isinstance(text, str) and text in sets()


def find(name: str) -> Path | None:
    """The file of a set, where it is present; bundled sets have none."""
    path = folder() / _entry(name).get("file", "")
    return path if path.is_file() else None


def data_list() -> list[Row]:
    """All known sets, in the order of the domains, those not built last."""
    rows = [
        Row(
            s["name"],
            s["domain"],
            s["units"],
            s["n"],
            s.get("licence") or f"of {s['library']}",
            s.get("source") or s["call"],
            _present(s),
        )
        for s in sets().values()
    ]
    place = {domain: i for i, domain in enumerate(DOMAINS)}
    return sorted(rows, key=lambda r: (place.get(r.domain, len(place)), r.domain))


def get(name: str) -> str:
    """What `semblance data get NAME` says: where the set lies, or its address and licence. Opens no connection: no set
    has a canonical address with a converter that is tested on a stored fragment yet."""
    entry = _entry(name)
    if "library" in entry:
        here = "is installed" if _present(entry) else f"is not: pip install {entry['library']}"
        return f"{name} comes with {entry['library']}, which {here}"
    if (path := find(name)) is not None:
        return f"{name} is present: {path}"
    return (
        f"{name} is not here. Its address: {entry['source']}; licence: {entry['licence']}. "
        f"Put it into {folder() / entry['file']} (or name its folder by SEMBLANCE_DATA)"
    )


def describe(name: str, check: bool = False) -> dict[str, Any]:
    """All that is known of a set; where it is present and of a built domain also shapes and units per class.

    `check` reads the file and compares its sha256 with the index.
    """
    entry = _entry(name)
    told = {k: entry.get(k) for k in ("name", "domain", "units", "n", "task", "metric", "licence", "source", "note")}
    told |= {"file": entry.get("file"), "library": entry.get("library"), "present": _present(entry)}
    if check and (path := find(name)) is not None:
        with open(path, "rb") as file:
            told["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
        if told["sha256"] != entry["sha256"]:
            raise SemblanceError(f"{path} has sha256 {told['sha256']}, its index says {entry['sha256']}: get it anew")
    if told["present"] and entry["domain"] in DOMAINS:
        dataset = read(name)
        labels = dataset.targets.get("labels")
        told["shape"] = _shape(dataset)
        told["splits"] = {part: len(rows) for part, rows in dataset.splits.items()}
        told["attributes"] = dataset.attributes.column_names
        if labels is not None and labels.dtype.kind == "i":
            counts = np.bincount(labels[labels >= 0], minlength=len(dataset.classes))
            told["classes"] = dict(zip(dataset.classes, counts.tolist(), strict=True))
    return told


def read(
    name: str,
    *,
    label: str | None = None,
    size: int | tuple[int, int] | None = None,
    directed: bool | None = None,
    split: int | str | None = None,
    seed: int = 0,
) -> ArrayDataset | RelationalDataset:
    """The set in memory, as its entry says which array is what. directed and split are for the relational domains: whether
    the directed edges are taken, and which published split, or shares."""
    entry = _entry(name)
    if entry["domain"] not in DOMAINS:
        raise not_built(entry["domain"], f"the set {name!r}")
    if not _present(entry):
        raise SemblanceError(get(name))
    if entry["domain"] in RELATIONAL:
        return _related(entry, label, size, directed, split, seed)
    if entry["domain"] == "text":
        return _texts(entry, label, seed)
    if directed is not None or split is not None:
        raise SemblanceError(
            f"the set {name!r} is {entry['domain']}: directed and split are for graphs, leave them out"
        )
    arrays = _called(entry) if "library" in entry else _stored(entry)
    dataset = from_arrays(
        _bytes(arrays) if entry["domain"] == "images" else arrays,
        entry["domain"],
        label=label,
        size=size,
        seed=seed,
        what=f"the set {name}",
        name=name,
        source=name,
    )
    return replace(dataset, notes=(f"domain: {entry['domain']} (the set {name}, {len(dataset):,} items)",))


def arrays(name: str) -> dict[str, Any]:
    """The arrays of a set of a relational domain by role, as known.json names them: sparse ones as CSR, attributes as a
    dictionary, several arrays of one role stacked. Errors: no such set; it is absent, or damaged."""
    entry = _entry(name)
    if not _present(entry):
        raise SemblanceError(get(name))
    if "library" not in entry:
        return _by_role(entry)
    from semblance.data.networkx_graphs import roles_of

    return roles_of(_called_object(entry), entry["arrays"])


def _related(
    entry: dict[str, Any],
    label: str | None,
    size: int | tuple[int, int] | None,
    directed: bool | None,
    split: int | str | None,
    seed: int,
) -> RelationalDataset:
    from semblance.data.known_graphs import from_roles

    if size is not None:
        raise SemblanceError(f"size is of images, and the set {entry['name']!r} is {entry['domain']}: leave it out")
    held = arrays(entry["name"])
    if label is not None:
        columns = held.get("attributes", {})
        if label not in columns:
            raise unknown("label column", label, columns)
        held = {k: v for k, v in held.items() if k not in ("class_names", "label_values", "y_sparse")} | {
            "y": columns[label]
        }
    known: dict[str, Any] = {"name": entry["name"], "source": entry["name"], "what": f"the set {entry['name']}"}
    known["options"] = {k: v for k, v in (("directed", directed), ("split", split)) if v is not None}
    return from_roles(entry["domain"], held, directed=directed, split=split, seed=seed, **known)


def _texts(entry: dict[str, Any], label: str | None, seed: int) -> ArrayDataset:
    from semblance.data import texts
    from semblance.data.tables import read_table

    known: dict[str, Any] = {"name": entry["name"], "source": entry["name"], "what": f"the set {entry['name']}"}
    return texts.of_roles(read_table(folder() / entry["file"]), entry["arrays"], label=label, seed=seed, **known)


def _by_role(entry: dict[str, Any]) -> dict[str, Any]:
    from semblance.data.known_graphs import csr

    path = folder() / entry["file"]
    found: dict[str, Any] = {}
    try:
        with np.load(path, allow_pickle=False) as held:
            for role, name in entry["arrays"].items():
                if role in SPARSE:
                    found[role] = csr(tuple(held[part] for part in name))
                elif role in ("attributes", "edge_attributes"):
                    found[role] = {part: held[part] for part in name}
                else:
                    found[role] = held[name] if isinstance(name, str) else np.stack([held[part] for part in name])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise SemblanceError(
            f"{path} cannot be read ({error}): get it anew, see semblance data get {entry['name']}"
        ) from None
    return found


def _shape(dataset: ArrayDataset | RelationalDataset) -> list[Any]:
    """That of x; of a complex one for every dimension, of data without features []."""
    if isinstance(dataset.x, list):
        return [[] if part is None else list(part.shape) for part in dataset.x]
    return [] if dataset.x is None else list(dataset.x.shape)


def _entry(name: str) -> dict[str, Any]:
    if name not in sets():
        raise unknown("data set", name, sets())
    return sets()[name]


def _present(entry: dict[str, Any]) -> bool:
    if "library" in entry:
        return find_spec(entry["call"].split(".")[0]) is not None
    return (folder() / entry["file"]).is_file()


def _stored(entry: dict[str, Any]) -> dict[str, np.ndarray]:
    """What a set is made of, by role; attributes under their own names, and the class of each unit's group by name."""
    path = folder() / entry["file"]
    roles = {role: name for role, name in entry["arrays"].items() if role in ROLES}
    try:
        with np.load(path, allow_pickle=False) as held:
            arrays = {role: held[name] for role, name in roles.items()}
            arrays |= {name: held[name] for name in entry["arrays"].get("attributes", ())}
            if "group_names" in entry["arrays"]:
                arrays["group"] = held[entry["arrays"]["group_names"]][arrays["group"]]
            if "image_hw" in entry["arrays"]:
                arrays["height"], arrays["width"] = held[entry["arrays"]["image_hw"]].T
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise SemblanceError(
            f"{path} cannot be read ({error}): get it anew, see semblance data get {entry['name']}"
        ) from None
    return arrays


def _called(entry: dict[str, Any]) -> dict[str, np.ndarray]:
    """The same for a bundled set."""
    held = _called_object(entry)
    if isinstance(held, np.ndarray):
        return {"x": held[None]}  # one photograph
    return {role: np.asarray(held[array]) for role, array in entry["arrays"].items() if role in ROLES}


def _called_object(entry: dict[str, Any]) -> Any:
    """What `library.module.function('literal')` gives; the call is taken apart rather than evaluated."""
    call = ast.parse(entry["call"], mode="eval").body
    assert isinstance(call, ast.Call), entry["call"]
    module, _, function = ast.unparse(call.func).rpartition(".")
    try:
        return getattr(importlib.import_module(module), function)(*map(ast.literal_eval, call.args))
    except (ImportError, OSError) as error:
        raise SemblanceError(f"{entry['name']} cannot be had from {entry['library']}: {error}") from None


def _bytes(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """scikit-learn's digits count the dark pixels of 4 x 4 blocks, 0 to 16: brought to 0 to 255."""
    if arrays.get("x", np.empty(0, np.uint8)).dtype == np.uint8:
        return arrays
    return {**arrays, "x": np.round(arrays["x"] * (255 / 16)).astype(np.uint8)}
