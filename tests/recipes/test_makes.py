"""What recipes make that is no model: an index for embeddings of a shape, a report without data."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from semblance.contracts import Index, Report
from semblance.data.dataset import Shape
from semblance.errors import SemblanceError
from semblance.recipes.registry import build, table

SHAPE = Shape("vectors", (6,), 0, 50)


def test_window_search_makes_an_index_of_its_settings() -> None:
    made = build("window-search", by="year", base="flat", cutoff=20, geometry="euclidean")
    assert made.makes == table()["window-search"].makes == "index"
    index = made.index(SHAPE)
    assert isinstance(index, Index)
    vectors = np.random.default_rng(0).normal(size=(50, 6))
    index.add([str(i) for i in range(50)], vectors, pa.table({"year": np.arange(50)}))
    assert index.search(vectors[7:8], 1, "year between 5 and 9")[0] == [["7"]]
    with pytest.raises(SemblanceError, match="base index"):
        build("window-search", base="tree")
    with pytest.raises(SemblanceError, match="branching is 1"):
        build("window-search", branching=1)


@pytest.mark.parametrize("name", [name for name, row in table().items() if row.makes == "report"])
def test_a_recipe_that_makes_a_report_has_no_domain_and_refuses_to_be_fitted(name: str) -> None:
    made = build(name)
    assert table()[name].domains == ()
    report = made.report()
    assert isinstance(report, Report) and str(report) and report.table().num_rows
    with pytest.raises(SemblanceError, match="makes a report"):
        made.encoder(SHAPE)
