"""Files: a part in a folder, and back as memory maps, so that a large one is open at once and read where it is used.

    part.json      what lies where, and the plans
    0.npy ...      arrays, each in a file of its own;   0.arrow ... the words of columns of text

What is read is copied on write, so that no search can change a file. Nothing is pickled.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from semblance.errors import Failed
from semblance.memory.fused.kernels import Codes, Lists
from semblance.memory.fused.orders import Order, Rows
from semblance.memory.fused.part import Part
from semblance.memory.fused.planner import COUNTS, SHARES, Plan
from semblance.memory.masks import Column
from semblance.memory.words import Words

FORMAT = 1


def save(part: Part, folder: Path) -> None:
    """Writes a part into a new folder."""
    folder.mkdir(parents=True)
    files = 0

    def put(array: np.ndarray | pa.Array | None) -> str | None:
        nonlocal files
        if array is None:
            return None
        files += 1
        if isinstance(array, np.ndarray):
            np.save(folder / f"{files}.npy", array, allow_pickle=False)
            return f"{files}.npy"
        name = f"{files}.arrow"
        with (
            pa.OSFile(str(folder / name), "wb") as sink,
            pa.ipc.new_file(sink, pa.schema({"words": pa.string()})) as out,
        ):
            out.write_batch(pa.record_batch([array], names=["words"]))
        return name

    rows = part.rows
    whole: dict[str, Any] = {
        "format": FORMAT,
        "shares": SHARES,
        "counts": COUNTS,
        "natural": part.natural,
        "keys": put(part.keys),
        "vectors": put(rows.vectors),
        "bias": put(rows.bias),
        "lists": [put(array) for array in rows.lists],
        "list_codes": [put(codes.blocks) for codes in rows.list_codes],
        "books": [[put(codes.books), put(codes.bias)] for codes in rows.list_codes],
        "orders": [
            [o.column, o.length, put(o.rows), put(o.values), [put(codes.blocks) for codes in o.codes]]
            for o in part.orders.values()
        ],
        "plans": {name: _plain(plan) for name, plan in part.plans.items()},
        "columns": [
            [name, c.kind, put(c.values), put(c.null), c.words and put(c.words.array)]
            for name, c in part.columns.items()
        ],
    }
    (folder / "part.json").write_text(json.dumps(whole))


def load(folder: Path) -> Part:
    """The part that a folder holds; `Failed` if it is damaged or was written by another version: build it anew then."""
    try:
        whole = json.loads((folder / "part.json").read_text())
        if (whole["format"], whole["shares"], whole["counts"]) != (FORMAT, list(SHARES), list(COUNTS)):
            raise Failed(f"{folder}: is an index of another version: it is built anew")

        def get(name: str | None) -> Any:
            return None if name is None else np.asarray(np.load(folder / name, mmap_mode="c", allow_pickle=False))

        books = [(get(entries), get(bias)) for entries, bias in whole["books"]]
        list_codes = tuple(Codes(get(b), *own) for b, own in zip(whole["list_codes"], books, strict=True))
        rows = Rows(get(whole["vectors"]), get(whole["bias"]), Lists(*map(get, whole["lists"])), list_codes)
        orders = {}
        for name, length, own, values, blocks in whole["orders"]:
            codes = tuple(Codes(get(block), *kept) for block, kept in zip(blocks, books, strict=True))
            orders[name] = Order(name, length, get(own), get(values), codes)
        columns = {
            name: Column(kind, get(values), get(null), None if words is None else _words(folder / words))
            for name, kind, values, null, words in whole["columns"]
        }
        plans = {name: _plan(plain) for name, plain in whole["plans"].items()}
        return Part(get(whole["keys"]), rows, orders, plans, columns, whole["natural"])
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowInvalid) as error:
        raise Failed(f"{folder}: is a damaged index, which is built anew: {error}") from None


def _words(path: Path) -> Words:
    with pa.memory_map(str(path)) as source:
        return Words.sorted(pa.ipc.open_file(source).read_all()["words"].combine_chunks())


def _plain(plan: Plan) -> dict[str, Any]:
    needs = [[list(key), depths] for key, depths in plan.needs.items()]
    return {**plan._asdict(), "needs": needs, "scanned": list(plan.scanned.items())}


def _plan(plain: dict[str, Any]) -> Plan:
    needs = {(size, probes): depths for (size, probes), depths in plain["needs"]}
    return Plan(**{**plain, "needs": needs, "scanned": dict(plain["scanned"])})
