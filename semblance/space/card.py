"""The card of a space: a README.md in its folder that tells a stranger what it is, from what, and how to use it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from semblance.data.dataset import ArrayDataset


def write_card(target: Path, dataset: ArrayDataset, record: Mapping[str, Any]) -> None:
    """Write (or replace) `target`/README.md."""
    settings = ", ".join(f"{k} = {v}" for k, v in record["settings"].items()) or "the recipe's defaults"
    splits = ", ".join(f"{name} {len(rows):,}" for name, rows in dataset.splits.items())
    trained = record["trained"]
    text = f"""---
library_name: semblance
tags: [{dataset.domain}, {record["recipe"] or "wrapped"}]
---
# {target.name}

{len(dataset):,} {dataset.units}s ({dataset.domain}), embedded by `{record["recipe"] or "a wrapped module"}`.

- Data: {dataset.name or dataset.source or "an array in memory"} (fingerprint `{dataset.fingerprint[:16]}`); splits:
{splits};
  classes: {len(dataset.classes) or "none"}; skipped inputs: {len(dataset.skipped)}.
- Training: {settings}; seed {record["seed"]}; {trained["epochs"]} epochs; {trained["device"]}, {trained["precision"]}.
- Columns to filter by: {", ".join(dataset.attributes.column_names) or "none"}, split, label where there are labels.

`semblance search {target.name} QUERY`, `semblance evaluate {target.name}`; `semblance fit --from
{target.name}/recipe.json` runs it again. The model, the space and the labels are yours. For the licence of the data
ask its source.
"""
    beside = target / ".README.partial"
    beside.write_text(text)
    os.replace(beside, target / "README.md")
