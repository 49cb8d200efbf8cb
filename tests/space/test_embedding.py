"""An embedding in parts is what the model makes of all data at once, whatever happens on the way."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import semblance as sb
from semblance.data.load import load
from semblance.errors import Failed, Interrupted, SemblanceError
from semblance.recipes.registry import build
from semblance.space import part_files
from semblance.space.embedding import embed, part_rows, planned
from semblance.space.model import Model
from semblance.space.space import Space
from semblance.space.training import train
from semblance.testing import small

BATCH = 8


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of 8 items and parts of 16, so that few items are many parts."""
    monkeypatch.setattr(Model, "block", BATCH)
    monkeypatch.setattr("semblance.space.embedding.LEAST", 2)
    monkeypatch.setattr("semblance.space.part_files.READ", 1 << 12)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("photos") / "photos"
    for number in range(70):
        file = root / ["cat", "dog", "ox"][number % 3] / f"{number:02d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (9, 9, 3), np.uint8)
        Image.fromarray(pixels).save(file)
    return root


@pytest.fixture(scope="module")
def model(photos: Path) -> Model:
    return train(load(photos, size=8), build("simsiam", width=8), name="simsiam", settings={"width": 8}, epochs=0)


def same(one: Space, other: Space, close: float = 0.0) -> None:
    """Raises unless two spaces hold the same items, as any reader sees them."""
    assert one.ids == other.ids
    if close:
        np.testing.assert_allclose(np.array(one.vectors), np.array(other.vectors), rtol=0, atol=close)
    else:
        np.testing.assert_array_equal(np.array(one.vectors), np.array(other.vectors))
    assert one.attributes().equals(other.attributes())
    names = one.ids[::9]
    assert [one.store.thumbnail(n) for n in names] == [other.store.thumbnail(n) for n in names]
    told = ("dim", "geometry", "domain", "classes", "labels", "units", "words", "name", "model")
    assert {k: one.manifest[k] for k in told} == {k: other.manifest[k] for k in told}
    assert one.check() == []


def gone(out: Path) -> bool:
    """Whether nothing of the work is left beside the space."""
    return not list(out.parent.glob(f"{out.name}.*"))


def test_images_in_parts_are_the_space_of_all_images_bit_for_bit(photos: Path, model: Model, tmp_path: Path) -> None:
    with embed(model, photos, tmp_path / "a.space") as found, sb.fit(photos, model, out=tmp_path / "b.space") as whole:
        same(found, whole)
        assert found.info == {"out": str(tmp_path / "a.space"), "units": 70, "dim": model.dim, "parts": 5, "resumed": 0}
        record = json.loads((tmp_path / "a.space" / "recipe.json").read_text())
        assert record["recipe"] == "simsiam@1" and record["data"]["source"] == str(photos)
        assert found.search(photos / "cat" / "00.png", k=1).ids == ["cat/00.png"]
        assert found.evaluate()["notes"][0].startswith(f"no baseline: {photos} was read in parts")
        assert found.evaluate(load(photos, size=8))["metrics"]["knn1"]["baseline"] is not None
    assert gone(tmp_path / "a.space")


def test_pictures_that_cannot_be_read_are_left_out(photos: Path, model: Model, tmp_path: Path) -> None:
    shutil.copytree(photos, tmp_path / "photos")
    for number in range(20):  # more than a part of them
        (tmp_path / "photos" / "cat" / f"{number:02d}x.png").write_text("no picture")
    whole = sb.fit(tmp_path / "photos", model, out=tmp_path / "b.space")
    said: list[str] = []
    with whole, embed(model, tmp_path / "photos", tmp_path / "a.space", say=said.append) as found:
        assert said[-1] == "left out: 20 (the first is cat/00x.png: no image that pillow knows)"
        # Batches are others where inputs are left out: sums of float32 in another order.
        same(found, whole, close=1e-5)
    for number in range(70):
        (tmp_path / "photos" / "cat" / f"{number:02d}y.png").write_text("no picture")
    with pytest.raises(SemblanceError, match="90 of 160 images cannot be read"):
        embed(model, tmp_path / "photos", tmp_path / "c.space")


def rows(path: Path, n: int = 70, **more: Any) -> Path:
    x = np.random.default_rng(1).normal(size=(n, 6)).astype(np.float32)
    pq.write_table(
        pa.table({"vector": x.tolist(), "label": [["b", "a", None][i % 3] for i in range(n)], **more}), path, 9
    )
    return path


def array(path: Path) -> Path:
    np.save(path, np.eye(70, 6) + 1)
    return path


SOURCES: dict[str, Callable[[Path], Any]] = {
    "parquet": lambda folder: rows(folder / "x.parquet"),
    "numbers as labels": lambda folder: rows(folder / "x.parquet", label=[i / 7 for i in range(70)]),
    "splits": lambda folder: rows(folder / "x.parquet", split=["test" if i > 60 else "train" for i in range(70)]),
    "several classes": lambda folder: rows(folder / "x.parquet", label=["a;b", "c", None, "", "a"] * 14),
    "npy": lambda folder: array(folder / "x.npy"),
    "known set": lambda folder: "iris",
    "memory": lambda folder: small("vectors"),
}


@pytest.mark.parametrize("name", SOURCES)
def test_rows_in_parts_are_the_space_of_all_rows(name: str, tmp_path: Path) -> None:
    data = SOURCES[name](tmp_path)
    whole = load(data)
    reader = train(whole, build("icon"), name="icon", epochs=0)
    with embed(reader, data, tmp_path / "a.space") as found, sb.fit(data, reader, out=tmp_path / "b.space") as other:
        same(found, other, close=1e-5)  # parts end where row groups do, so that batches are others


def test_texts_and_graphs_too(tmp_path: Path) -> None:
    texts = [f"a {word} of number {i}" for i in range(40) for word in ("ship", "house")]
    pq.write_table(pa.table({"text": texts, "year": range(80)}), tmp_path / "x.parquet", 30)
    data = load(tmp_path / "x.parquet", domain="text")
    reader = train(data, build("simcse"), name="simcse", epochs=0)
    with embed(reader, tmp_path / "x.parquet", tmp_path / "a.space") as found:
        with sb.fit(data, reader, out=tmp_path / "b.space") as other:
            same(found, other, close=1e-5)
        assert found.search(text="a ship of number 3", k=1).ids == ["6"]
    graph = small("graph")
    reader = train(graph, build("gcn"), name="gcn", epochs=0)
    with embed(reader, graph, tmp_path / "c.space") as found, sb.fit(graph, reader, out=tmp_path / "d.space") as other:
        same(found, other)
        assert found.info["parts"] == 1


def stopped_after(parts: int, monkeypatch: pytest.MonkeyPatch, error: type[BaseException] = KeyboardInterrupt) -> None:
    """The next embedding ends with this error when so many parts are done."""
    make, done = part_files._make, 0

    def some(*given: Any) -> None:
        nonlocal done
        done += 1
        if done > parts:
            monkeypatch.setattr(part_files, "_make", make)
            raise error
        make(*given)

    monkeypatch.setattr(part_files, "_make", some)


def test_what_was_stopped_goes_on_and_makes_no_part_again(
    photos: Path, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped_after(2, monkeypatch)
    with pytest.raises(
        Interrupted, match=r"stopped; the parts that are done lie in .*a\.space\.embedding: the same command"
    ):
        embed(model, photos, tmp_path / "a.space")
    assert not (tmp_path / "a.space").exists()
    told: list[tuple[int, int]] = []
    said: list[str] = []
    with embed(
        model,
        photos,
        tmp_path / "a.space",
        say=said.append,
        progress=lambda done, total, text: told.append((done, total)),
    ) as found:
        assert found.info["resumed"] == 2 and told[0] == (32, 70) and told[-1] == (70, 70)
        assert said[-1] == f"2 of 5 parts are in {tmp_path / 'a.space.embedding'}"
        with sb.fit(photos, model, out=tmp_path / "b.space") as whole:
            same(found, whole)
    assert gone(tmp_path / "a.space")


def test_data_or_a_model_that_changed_in_between_is_refused_and_begun_anew_when_told_to(
    photos: Path, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(photos, tmp_path / "photos")
    stopped_after(2, monkeypatch)
    with pytest.raises(Interrupted):
        embed(model, tmp_path / "photos", tmp_path / "a.space")
    other = train(
        load(photos, size=8), build("simsiam", width=8), name="simsiam", settings={"width": 8}, epochs=0, seed=1
    )
    with pytest.raises(SemblanceError, match=r"the model is another one since the parts in .* were made: bring back"):
        embed(other, tmp_path / "photos", tmp_path / "a.space")
    with pytest.raises(SemblanceError, match="the data is other data since the parts"):
        embed(model, np.zeros((40, 8, 8, 3), np.uint8), tmp_path / "a.space")
    with open(tmp_path / "photos" / "cat" / "00.png", "ab") as file:
        file.write(b" ")
    for _ in range(2):  # the refusal changes nothing
        with pytest.raises(SemblanceError, match=r"cat/00.png has .* bytes and had .* since the parts in .* were made"):
            embed(model, tmp_path / "photos", tmp_path / "a.space")
    with embed(model, tmp_path / "photos", tmp_path / "a.space", overwrite=True) as found:
        assert found.info["resumed"] == 0 and len(found) == 70


def test_a_space_that_is_there_is_replaced_only_when_told_to(photos: Path, model: Model, tmp_path: Path) -> None:
    embed(model, photos / "cat", tmp_path / "a.space").close()
    with pytest.raises(SemblanceError, match="already holds a space: give --overwrite"):
        embed(model, photos, tmp_path / "a.space")
    with embed(model, photos, tmp_path / "a.space", overwrite=True) as found:
        assert len(found) == 70 and found.version == 2
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x.txt").write_text("mine")
    with pytest.raises(SemblanceError, match="holds other files and no space"):
        embed(model, photos, tmp_path / "other", overwrite=True)


def test_a_space_whose_parts_only_wait_to_be_swept_up_is_done(
    photos: Path, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the commit and the end."""
    monkeypatch.setattr("os.rename", failing(".done"))
    with pytest.raises(Failed):
        embed(model, photos, tmp_path / "a.space")
    monkeypatch.undo()
    with embed(model, photos, tmp_path / "a.space") as found:
        assert len(found) == 70 and found.version == 1
    assert gone(tmp_path / "a.space")


def failing(end: str) -> Any:
    real = os.rename

    def rename(old: Any, new: Any) -> None:
        if str(new).endswith(end):
            raise OSError(5, "Input/output error", str(new))
        real(old, new)

    return rename


def test_two_at_once_are_refused(photos: Path, model: Model, tmp_path: Path) -> None:
    def again(done: int, total: int, text: str) -> None:
        with pytest.raises(Failed, match=r"another process .* is writing"):
            embed(model, photos, tmp_path / "a.space")

    embed(model, photos, tmp_path / "a.space", progress=again).close()


def test_an_error_names_the_part_and_keeps_what_is_done(photos: Path, model: Model, tmp_path: Path) -> None:
    x = np.ones((70, 6), np.float32)
    x[40, 2] = np.nan
    np.save(tmp_path / "x.npy", x)
    reader = train(load(np.ones((9, 6), np.float32)), build("as-is"), name="as-is", epochs=0)
    says = r"part 3 of 5 \(rows 32 to 47 of .*x\.npy\): .*x\.npy: row 40, column 2 is missing"
    with pytest.raises(SemblanceError, match=says) as told:
        embed(reader, tmp_path / "x.npy", tmp_path / "a.space")
    assert "\n" not in str(told.value) and len(list((tmp_path / "a.space.embedding" / "parts").iterdir())) == 2


def test_a_full_disk_is_said_in_one_line_and_gone_on_from(
    photos: Path, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, room = os.write, 3 * 16 * model.dim * 4

    def full(handle: int, content: Any) -> int:
        nonlocal room
        room -= len(content)
        if room < 0:
            raise OSError(28, "No space left on device")
        return write(handle, content)

    monkeypatch.setattr("semblance.memory.segments.os.write", full)
    says = r"part 4 of 5 \(.*\) could not be embedded: No space left on device; what is done stays in"
    with pytest.raises(Failed, match=says) as told:
        embed(model, photos, tmp_path / "a.space")
    assert "\n" not in str(told.value)
    monkeypatch.setattr("semblance.memory.segments.os.write", write)
    with embed(model, photos, tmp_path / "a.space") as found:
        assert found.info["resumed"] == 3 and len(found) == 70


def test_what_cannot_be_embedded_is_refused_before_anything_is_made(photos: Path, model: Model, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((9, 3)))
    (tmp_path / "none").mkdir()
    for data, words in [
        (tmp_path / "x.npy", "images are bytes"),
        (tmp_path / "none", "holds no images"),
        ("mnits", "no file"),
    ]:
        with pytest.raises(SemblanceError, match=words):
            embed(model, data, tmp_path / "a.space")
    with pytest.raises(SemblanceError, match="there is no folder"):
        embed(model, photos, tmp_path / "no" / "a.space")


def test_a_plan_says_what_it_would_take(photos: Path, model: Model) -> None:
    assert planned(model, photos) == {
        "units": 70,
        "dim": model.dim,
        "parts": 5,
        "megabytes": round(280 * model.dim / 1e6, 1),
    }


@pytest.mark.parametrize(("units", "rows"), [(1, 16), (5000, 24), (10**7, 39064), (10**9, 3906256)])
def test_a_part_is_a_256th_of_the_data_in_whole_batches(model: Model, units: int, rows: int, monkeypatch: Any) -> None:
    assert part_rows(units, model) == min(rows, -(-(256 << 20) // (4 * model.dim) // BATCH) * BATCH)
