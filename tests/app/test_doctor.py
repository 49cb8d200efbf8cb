"""`semblance doctor`: every part answers, a broken one is told and stops no other, and nothing is changed."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys

import pytest

from semblance import places
from semblance.app import cli, doctor, measure
from semblance.app.flags import run


def answer(capsys, *arguments):
    capsys.readouterr()
    assert run(cli.app, ["doctor", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_it_says_what_is_here_and_why_it_was_chosen(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("SEMBLANCE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache" / "images").mkdir(parents=True)
    (tmp_path / "cache" / "images" / "x.bin").write_bytes(b"0" * 3_000_000)
    found = answer(capsys)
    assert list(found) == ["schema", *doctor.LOOKS]
    assert not [part for part in found.values() if isinstance(part, dict) and "error" in part]
    assert found["versions"]["semblance"] == "0.1.0" and found["versions"]["torch"][0].isdigit()
    chosen = found["machine"]
    assert chosen["precision"] in ("float32", "bfloat16") and len(chosen["precision_why"]) > 10
    assert chosen["device"] in chosen["devices"] and chosen["search_kernel"] in (
        "avx512",
        "avx2",
        "ssse3",
        "neon",
        "plain",
    )
    assert found["places"]["cache_mb"] == 3.0 and "digits" in found["places"]["data_sets_here"]
    assert found["environment"]["SEMBLANCE_CACHE"] == str(tmp_path / "cache")
    assert set(found["packages"]) == {"recipes", "domains", "indexes", "reports"}


def test_a_person_reads_sections(capsys):
    capsys.readouterr()
    assert run(cli.app, ["doctor"]) == 0
    out = capsys.readouterr().out
    assert [line for line in out.splitlines() if line and not line.startswith(" ")] == list(doctor.LOOKS)
    assert "precision why" in out and max(map(len, out.splitlines())) <= 120


def test_an_absent_extra_is_told_with_the_line_that_installs_it(capsys, monkeypatch):
    real = importlib.metadata.version

    def version(name):
        if name in ("onnx", "kornia"):
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    found = answer(capsys)
    assert found["extras"]["onnx"] == "missing onnx: pip install 'semblance[onnx]'"
    assert found["versions"]["kornia"] == "missing: pip install kornia"


def test_a_part_that_fails_says_why_and_the_others_answer(capsys, monkeypatch):
    def broken():
        raise OSError("the disk\nis gone")

    monkeypatch.setitem(doctor.LOOKS, "places", broken)
    found = answer(capsys)
    assert found["places"] == {"error": "OSError: the disk is gone"}
    assert "precision" in found["machine"]


def test_it_answers_where_torch_and_numba_cannot_be_imported():
    code = (
        "import sys; sys.modules['torch'] = sys.modules['numba'] = None\n"
        "from semblance.app import cli; from semblance.app.flags import run\n"
        "sys.exit(run(cli.app, ['doctor', '--measure', '--json']))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    said = json.loads(found.stdout)
    assert "torch" in said["machine"]["error"] and "torch" in said["measured"]["error"]
    assert said["versions"]["semblance"] == "0.1.0" and said["places"]["data_sets_known"] > 0


def test_a_broken_index_of_data_sets_is_a_part_that_fails(capsys, monkeypatch, tmp_path):
    (tmp_path / "index.json").write_text("{")
    monkeypatch.setenv("SEMBLANCE_DATA", str(tmp_path))
    assert "no index of data sets" in answer(capsys)["places"]["error"]


def test_measuring_proposes_and_changes_nothing(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(measure, "ROUNDS", 1)
    monkeypatch.chdir(tmp_path)
    before = {key: value for key, value in os.environ.items() if not key.startswith("TORCH")}
    found = answer(capsys, "--measure")["measured"]
    assert all(value > 0 for key, value in found.items() if key != "proposals") and len(found) == 6
    assert len(found["proposals"]) == 1
    after = {key: value for key, value in os.environ.items() if not key.startswith("TORCH")}  # torch's own
    assert list(tmp_path.iterdir()) == [] and after == before


@pytest.mark.parametrize(
    ("step32", "step16", "chosen", "says"),
    [
        (10.0, 5.0, "float32", "--precision bfloat16: a training step takes 2.00 times less"),
        (10.0, 9.5, "float32", "none: float32"),
        (5.0, 10.0, "float32", "none: float32"),
        (5.0, 10.0, "bfloat16", "--precision float32: a training step takes 2.00 times less"),
    ],
)
def test_a_setting_is_proposed_where_it_is_clearly_faster(monkeypatch, step32, step16, chosen, says):
    from types import SimpleNamespace

    monkeypatch.setattr("semblance.learning.devices.precision_for", lambda device: SimpleNamespace(name=chosen))
    (line,) = measure.proposals({"step_float32_ms": step32, "step_bfloat16_ms": step16})
    assert line.startswith(says)


# --- places -----------------------------------------------------------------------------------------------------------


def test_compiled_code_stays_beside_the_package_where_that_can_be_written(monkeypatch):
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    assert places.keep_compiled() == places.Path(places.__file__).parent
    assert "NUMBA_CACHE_DIR" not in os.environ


def test_compiled_code_goes_to_the_cache_or_else_to_the_temporary_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("SEMBLANCE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(places.tempfile, "gettempdir", lambda: str(tmp_path / "temporary"))
    package = places.Path(places.__file__).parent
    monkeypatch.setattr(places.os, "access", lambda path, how: places.Path(path) != package)
    monkeypatch.setenv("NUMBA_CACHE_DIR", "")
    assert places.keep_compiled() == tmp_path / "cache" / "compiled"
    assert os.environ["NUMBA_CACHE_DIR"] == str(tmp_path / "cache" / "compiled")
    assert places.keep_compiled() == tmp_path / "cache" / "compiled"  # what is set stays
    monkeypatch.setenv("NUMBA_CACHE_DIR", "")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SEMBLANCE_CACHE", str(tmp_path / "file"))
    assert places.keep_compiled().parent == tmp_path / "temporary"


def test_numba_takes_the_folder_that_was_chosen(tmp_path):
    code = (
        "import os, semblance.places as p; real = os.access\n"
        "os.access = lambda path, how, **k: False if p.Path(path) == p.Path(p.__file__).parent else real(path, how, **k)\n"
        "print(p.keep_compiled())\nimport semblance.memory.associative as a\n"
        "print(a._sweep._cache.cache_path)"
    )
    environment = {**os.environ, "SEMBLANCE_CACHE": str(tmp_path)}
    environment.pop("NUMBA_CACHE_DIR", None)
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    ).stdout
    chosen, taken = out.split()
    assert chosen == str(tmp_path / "compiled") and taken.startswith(chosen)
