"""The card of a space: a README.md in its folder that tells a stranger what it is, from what, and how far to trust it.

`fit` writes it; what an evaluation measured is put in afterwards (`add_measured`). The head is YAML as model hubs read it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from semblance.data import named
from semblance.data.relational import Loaded, RelationalDataset
from semblance.errors import SemblanceError
from semblance.space.model import told_item

FEW = 200  # held-out units below which intervals are wide enough to be named a limit


def write_card(target: Path, dataset: Loaded, record: Mapping[str, Any]) -> None:
    """Write (or replace) `target`/README.md."""
    recipe = record["recipe"] or "a wrapped module"
    settings = ", ".join(f"{k} = {v}" for k, v in record["settings"].items()) or "the recipe's defaults"
    splits = ", ".join(f"{name} {len(rows):,}" for name, rows in dataset.splits.items())
    trained, environment = record["trained"], record["environment"]
    head = {
        "library_name": "semblance",
        "license": "other",
        "tags": [dataset.domain, record["recipe"] or "wrapped"],
        "datasets": [dataset.name] if named.is_name(dataset.name) else [],
        "model-index": [],
    }
    loss = "" if trained["loss"] is None else f", loss of the last {trained['loss']:.4g}"
    text = f"""---
{_yaml(head)}
---
# {target.name}

{len(dataset):,} {dataset.units}s ({dataset.domain}), embedded by `{recipe}`.

## Data

- {_source(dataset)}, fingerprint `{dataset.fingerprint[:16]}`, {_item(dataset)}
- splits: {splits}; classes: {len(dataset.classes) or "none"}; inputs left out: {len(dataset.skipped)}
- columns to filter by: {", ".join(dataset.attributes.column_names) or "none"}, split{_label(dataset)}

## Recipe

- `{recipe}`, {settings}; seed {record["seed"]}
- {trained["epochs"]} epochs in {trained["seconds"]:g} s{loss}; {trained["device"]}, {trained["precision"]}
- Semblance {environment["semblance"]}, torch {environment["torch"]}, Python {environment["python"]}
- again: `semblance fit --from {target.name}/recipe.json`

## Measured

Nothing yet: `semblance evaluate {target.name}` judges the held-out items against the training items.

## Limits

{_bullets(_limits(dataset, record))}

## Licence

- of the data: {_licence(dataset)}
- the model, the space and the labels are yours
"""
    _write(target, text)


def add_measured(target: Path, metrics: Mapping[str, Mapping[str, float | None] | None]) -> None:
    """Put an evaluation's figures ({name: {value, low, high, baseline}}) into the card of the space at `target`."""
    path = target / "README.md"
    if not path.is_file():
        raise SemblanceError(f"{target} has no README.md to put the figures into: fit the space again")
    told = {name: found for name, found in metrics.items() if found is not None and found.get("value") is not None}
    rows = [
        f"| {name} | {_number(found['value'])} | {_number(found.get('low'))} to {_number(found.get('high'))} "
        f"| {_number(found.get('baseline'))} |"
        for name, found in told.items()
    ]
    section = "\n".join(
        [
            "Held-out items (split `test`) against the training items; intervals of 95% over the held-out items.",
            "",
            "| metric | value | 95% interval | raw input |",
            "| --- | --- | --- | --- |",
            *rows,
        ]
    )
    results = [{"type": name, "value": round(float(found["value"] or 0), 4)} for name, found in told.items()]
    index = [{"name": target.name, "results": [{"task": {"type": "feature-extraction"}, "metrics": results}]}]
    # As functions, since a backslash in a replacement would be read as a group.
    text = re.sub(r"(?<=## Measured\n\n).*?(?=\n\n## )", lambda _: section, path.read_text(), flags=re.DOTALL)
    text = re.sub(r"(?m)^model-index: .*$", lambda _: _yaml({"model-index": index}), text, count=1)
    _write(target, text)


def _write(target: Path, text: str) -> None:
    beside = target / ".README.partial"
    beside.write_text(text)
    os.replace(beside, target / "README.md")


def _yaml(head: Mapping[str, Any]) -> str:
    """A line an entry; JSON is YAML, so nothing a name may hold needs a rule of its own."""
    return "\n".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in head.items())


def _bullets(lines: list[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _source(dataset: Loaded) -> str:
    return dataset.name or dataset.source or "an array in memory"


def _item(dataset: Loaded) -> str:
    if isinstance(dataset, RelationalDataset):
        facts = dataset.shape().facts
        related = [f"{int(facts[name]):,} {name}" for name in ("nodes", "edges") if name in facts]
        return ", ".join([*related, f"{told_item(dataset.shape().item)} features"])
    if dataset.domain == "text":
        return f"an item {sum(len(text.split()) for text in dataset.x) / len(dataset):,.0f} words on average"
    shape = dataset.x.shape[1:]
    if dataset.domain == "images":
        return f"an item {'grey' if shape[0] == 1 else 'RGB'}, {shape[1]} x {shape[2]} pixels"
    return f"an item {shape[0]:,} numbers"


def _label(dataset: Loaded) -> str:
    return ", label" if "labels" in dataset.targets else ""


def _limits(dataset: Loaded, record: Mapping[str, Any]) -> list[str]:
    """What the figures do not say, as far as the data and the run tell."""
    learned, held = len(dataset.splits["train"]), len(dataset.splits.get("test", ()))
    found = [f"learned from {learned:,} {dataset.units}s; of other sources nothing is known, so judge there again"]
    if dataset.domain == "images":
        height, width = dataset.x.shape[2:]
        found.append(f"every picture is seen at {height} x {width} pixels: what is smaller is not seen")
    elif dataset.domain == "text":
        found.append("of words that the training texts do not hold nothing was learned: they are read by their pieces")
    elif dataset.domain == "vectors":
        found.append("columns have to come in the same order and the same units")
    if held < FEW:
        found.append(f"{held:,} {dataset.units}s were held out: intervals are wide")
    if "labels" not in dataset.targets:
        found.append("there were no labels: whether what is near is alike to a person was not measured")
    if dataset.skipped:
        found.append(f"{len(dataset.skipped):,} inputs could not be read and are not in the space")
    if record.get("asked", {}).get("seconds") is not None:
        found.append("trained by the clock: another run gives other numbers")
    return [*found, "the nearest item need not be near: look at the distance"]


def _licence(dataset: Loaded) -> str:
    if not named.is_name(dataset.name):
        return "not known to Semblance; ask its source"
    row = next(row for row in named.data_list() if row.name == dataset.name)
    return f"{row.licence} ({row.source})"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
