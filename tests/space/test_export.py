"""Exports: files of vectors hold the space's numbers, exported models give the model's answers."""

from __future__ import annotations

import json
import re
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors import safe_open
from torch import nn

import semblance as sb
from semblance.app import cli
from semblance.app.flags import run
from semblance.data.load import load as load_data
from semblance.errors import Failed, SemblanceError
from semblance.recipes.registry import build
from semblance.space import export as exporting
from semblance.space.export import drawn_items, export_model
from semblance.space.space import Space
from semblance.space.training import train


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A space of 60 scanned digits, learned in one epoch."""
    out = tmp_path_factory.mktemp("export") / "digits.space"
    data = load_data("digits").subset(np.arange(60))
    sb.fit(data, "simclr", out=out, epochs=1, batch=16, least=1).close()
    return out


@pytest.fixture
def space(folder: Path) -> Space:
    return sb.load(folder)


def test_every_file_of_vectors_holds_the_spaces_numbers(space: Space, tmp_path: Path) -> None:
    for suffix in exporting.VECTORS:
        space.export(tmp_path / f"z{suffix}")
    z = space.vectors
    np.testing.assert_array_equal(np.load(tmp_path / "z.npy"), z)
    with safe_open(tmp_path / "z.safetensors", framework="np") as file:
        np.testing.assert_array_equal(file.get_tensor("vectors"), z)
        assert json.loads(file.metadata()["semblance"]) == {"recipe": "simclr@1", "geometry": "cosine"}
    with pa.memory_map(str(tmp_path / "z.arrow")) as file:
        arrow = pa.ipc.open_file(file).read_all()
    for table in (pq.read_table(tmp_path / "z.parquet"), arrow):
        assert table.column_names[:2] == ["id", "vector"] and table.column("id").to_pylist() == space.ids
        assert "label" in table.column_names and table.schema.field("vector").type == pa.list_(pa.float32(), z.shape[1])
        np.testing.assert_array_equal(table.column("vector").combine_chunks().flatten().to_numpy().reshape(z.shape), z)


def test_an_exported_file_is_read_as_data(space: Space, tmp_path: Path) -> None:
    space.export(tmp_path / "z.parquet")
    again = load_data(tmp_path / "z.parquet")
    np.testing.assert_array_equal(again.x, space.vectors)
    assert again.ids == space.ids and len(again.classes) == 10


def test_a_condition_chooses_what_is_written(space: Space, tmp_path: Path) -> None:
    for suffix in exporting.VECTORS:
        space.export(tmp_path / f"z{suffix}", where="split = 'test'")
    rows = space.store.rows_where("split = 'test'")
    np.testing.assert_array_equal(np.load(tmp_path / "z.npy"), space.vectors[rows])
    assert pq.read_table(tmp_path / "z.parquet").num_rows == len(rows)
    space.export(tmp_path / "none.npy", where="split = 'nowhere'")
    assert np.load(tmp_path / "none.npy").shape == (0, space.vectors.shape[1])
    space.export(tmp_path / "none.safetensors", where="split = 'nowhere'")


@pytest.fixture(scope="module")
def models(folder: Path) -> Path:
    """A folder with the space's model as model.onnx and model.pt2."""
    with sb.load(folder) as space:
        for name in ("model.onnx", "model.pt2"):
            space.export(folder.parent / name)
    return folder.parent


def test_exported_models_answer_as_the_space_embeds(space: Space, models: Path) -> None:
    """Stored bytes go in, the vectors of the space come out, whatever the number of items."""
    session = onnxruntime.InferenceSession(models / "model.onnx", providers=["CPUExecutionProvider"])
    module = torch.export.load(models / "model.pt2").module()
    for items in (1, 7):
        x = np.array(load_data("digits").x[:items])
        expected = space.model.embed(x)
        np.testing.assert_allclose(session.run(None, {"x": x})[0], expected, atol=1e-4)
        with torch.no_grad():
            np.testing.assert_allclose(module(torch.from_numpy(x)).numpy(), expected, atol=1e-4)


def test_the_files_of_models_say_what_they_are_and_hold_no_pickle(models: Path) -> None:
    with zipfile.ZipFile(models / "model.pt2") as file:
        parts = {name: file.read(name) for name in file.namelist()}
    assert not any(part.startswith((b"\x80\x02", b"PK")) for part in parts.values())
    header = next(part for name, part in parts.items() if name.endswith("semblance.json"))
    assert json.loads(header)["recipe"] == "simclr@1"
    said = {entry.key: entry.value for entry in onnx.load(models / "model.onnx").metadata_props}
    assert json.loads(said["semblance"])["shape"]["item"] == [1, 8, 8]


def test_models_of_vectors_and_of_wrapped_modules_are_exported(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).standard_normal((30, 6)).astype(np.float32)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        wrapped = sb.wrap(nn.Linear(6, 3), domain="vectors", item=(6,))
    for model in (train(load_data(vectors), build("as-is"), name="as-is"), wrapped):
        model.export(tmp_path / "m.onnx")
        session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
        np.testing.assert_allclose(session.run(None, {"x": vectors})[0], model.embed(vectors), atol=1e-5)


def test_a_model_whose_exported_answers_differ_is_not_written(space: Space, tmp_path: Path, monkeypatch) -> None:
    def elsewhere(program, header):
        return b"", lambda x: torch.zeros(len(x), space.model.dim)

    monkeypatch.setattr(exporting, "_as_pt2", elsewhere)
    with pytest.raises(Failed, match="was not written: on 1 items its answers are"):
        space.export(tmp_path / "model.pt2")
    assert list(tmp_path.iterdir()) == []


def test_a_module_that_cannot_be_traced_is_refused_in_one_line(tmp_path: Path) -> None:
    class Wilful(nn.Module):
        def forward(self, x):
            return x.flatten(1)[:, :3] if float(x.sum()) > 0 else x.flatten(1)[:, 3:6]

    with pytest.raises(SemblanceError, match="cannot be traced") as caught:
        export_model(sb.wrap(Wilful(), item=(1, 4, 4)), tmp_path / "m.pt2")
    assert "\n" not in str(caught.value) and not (tmp_path / "m.pt2").exists()


def test_drawn_items_are_as_a_dataset_stores_them(space: Space) -> None:
    x = drawn_items(space.model, 3)
    assert x.dtype == torch.uint8 and x.shape == (3, 1, 8, 8)
    assert torch.equal(x, drawn_items(space.model, 3))


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("z.csv", {}, "no export format '.csv': there are .arrow, .npy, .onnx, .parquet, .pt2, .safetensors"),
        ("z", {}, "no export format"),
        ("z.parqet", {}, "did you mean .parquet"),
        ("nowhere/z.npy", {}, "there is no folder"),
        ("z.onnx", {"where": "split = 'test'"}, "leave it out"),
        ("z.npy", {"where": "splitt = 'test'"}, "split"),
    ],
)
def test_a_wrong_target_is_refused_and_nothing_is_written(space: Space, tmp_path: Path, name, options, says) -> None:
    with pytest.raises(SemblanceError, match=re.escape(says)):
        space.export(tmp_path / name, **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("library", ["onnxscript", "onnxruntime", "onnx"])
def test_a_missing_library_names_the_extra(space: Space, tmp_path: Path, monkeypatch, library: str) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(SemblanceError, match=rf"ONNX needs {library}: pip install 'semblance\[onnx\]'"):
        space.export(tmp_path / "m.onnx")


def command(capsys, *arguments) -> tuple[int, str, str]:
    capsys.readouterr()
    code = run(cli.app, [str(a) for a in arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_the_verb_writes_what_the_suffix_says(capsys, folder: Path, tmp_path: Path) -> None:
    code, out, _ = command(capsys, "export", folder, "--out", tmp_path / "z.npy", "--json")
    found = json.loads(out)
    assert code == 0 and found["schema"] == 1 and (found["units"], found["dim"]) == (60, 128)
    assert found["bytes"] == (tmp_path / "z.npy").stat().st_size
    code, out, _ = command(capsys, "export", folder, "-o", tmp_path / "z.parquet", "--where", "label = '3'")
    assert code == 0 and out.startswith(f"{tmp_path / 'z.parquet'}: ") and "vectors of 128 numbers" in out
    code, out, _ = command(capsys, "export", folder, "-o", tmp_path / "m.pt2")
    assert code == 0 and "checked against ours" in out
    code, out, _ = command(capsys, "export", folder, "-o", tmp_path / "later.npy", "--dry-run", "--json")
    assert code == 0 and json.loads(out)["dry_run"]["units"] == 60 and not (tmp_path / "later.npy").exists()


@pytest.mark.parametrize("name", ["z.csv", "nowhere/z.npy"])
def test_the_verb_answers_a_wrong_target_with_exit_code_2_and_one_line(
    capsys, folder: Path, tmp_path: Path, name
) -> None:
    code, out, err = command(capsys, "export", folder, "--out", tmp_path / name)
    assert code == 2 and out == "" and err.count("\n") == 1
    assert command(capsys, "export", tmp_path / "no.space", "--out", tmp_path / "z.npy")[0] == 2
