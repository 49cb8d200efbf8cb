"""Classes that nothing was learned from: few shots within the test part, and descriptions that name them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import semblance as sb
from semblance.errors import SemblanceError

CLASSES = [f"class {i}" for i in range(12)]
CODES = np.random.default_rng(0).integers(0, 2, (12, 6)) + np.eye(12, 6) * 0.5


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory):
    """Vectors that are their class's code, turned, with some noise; the last four classes are in the test part alone."""
    rng = np.random.default_rng(1)
    y = np.arange(360) % 12
    x = CODES[y] @ rng.normal(size=(6, 20)) + 0.1 * rng.normal(size=(360, 20))
    split = np.where(y >= 8, "test", "train")
    table = {"x": list(x.astype(np.float32)), "label": [CLASSES[k] for k in y], "split": split}
    with sb.fit(pa.table(table), recipe="as-is", out=tmp_path_factory.mktemp("new") / "a.space") as made:
        yield made


def described(columns: dict[str, object] | None = None, count: int = 12) -> pa.Table:
    told = {f"a{i}": CODES[:count, i] for i in range(6)} if columns is None else columns
    return pa.table({"class": CLASSES[:count], **told})


def test_descriptions_name_classes_without_training_items(space) -> None:
    found = space.evaluate(attributes=described())
    probe = found["metrics"]["zeroshot"]
    assert 0.8 < probe["low"] <= probe["value"] <= probe["high"] <= 1
    assert any("4 classes by their attributes, 0.250 by chance" in note for note in found["notes"])
    wrong = described({f"a{i}": np.random.default_rng(2).permutation(CODES[:, i]) for i in range(6)})
    assert space.evaluate(attributes=wrong)["metrics"]["zeroshot"]["value"] < 0.6


def test_without_a_table_nothing_is_said_of_descriptions(space) -> None:
    found = space.evaluate()
    assert "zeroshot" not in found["metrics"]
    assert found["metrics"]["knn5"]["value"] is None and found["metrics"]["fewshot1"]["value"] > 0.9
    assert any("examples from other test units" in note for note in found["notes"])


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (described(count=11), "class 11"),
        (described({}), "describes none"),
        (Path("nothere.csv"), "no table nothere.csv"),
    ],
)
def test_a_table_that_does_not_do_is_refused(space, table: object, words: str) -> None:
    with pytest.raises(SemblanceError, match=words):
        space.evaluate(attributes=table)
