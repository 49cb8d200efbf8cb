"""`semblance shard`, and `search` over what it names: the space's own answer; exit 3 and a name where a shard is lost."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from memory.filled import numbers

import semblance as sb
from semblance.app import cli


def call(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    capsys.readouterr()
    return (cli.run(cli.app, [str(word) for word in words]), *capsys.readouterr())


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    np.save("v.npy", numbers(60, 4))
    sb.fit("v.npy", recipe="as-is", out="v.space").close()
    return tmp_path


def test_a_space_in_shards_is_searched_as_a_space(capsys: pytest.CaptureFixture[str], there: Path) -> None:
    code, out, _ = call(capsys, "shard", "v.space", "--into", 3, "--out", "v.shards", "--json")
    assert code == 0
    assert json.loads(out) == {"schema": 1, "out": "v.shards", "shards": ["shard-0", "shard-1", "shard-2"], "units": 60}
    query = ("--id", "7", "42", "-k", 4, "--where", "split = 'train'", "--json")
    (code, ours, _), (_, theirs, _) = (call(capsys, "search", place, *query) for place in ("v.shards", "v.space"))
    assert code == 0
    for one, other in zip(json.loads(ours), json.loads(theirs), strict=True):
        assert set(one) == set(other) | {"partial", "lost"} and one["partial"] is False
        assert [{**line, "space": None} for line in one["results"]] == [{**x, "space": None} for x in other["results"]]
    code, out, _ = call(capsys, "search", "v.shards", "v.npy", "-k", 1)
    assert code == 0 and "3 of 3 shards" in out and "shard-2" in out


def test_a_lost_shard_is_named_and_the_exit_code_is_3(capsys: pytest.CaptureFixture[str], there: Path) -> None:
    call(capsys, "shard", "v.space", "--into", 3, "--out", "v.shards")
    shutil.rmtree("v.shards/shard-1")
    code, out, err = call(capsys, "search", "v.shards", "--id", 7, "--json")
    found = json.loads(out)
    assert code == 3 and found["partial"] is True and found["lost"][0]["space"] == "shard-1" and found["results"]
    assert err.count("\n") == 1 and "since 1 did not answer: shard-1: v.shards/shard-1/space.db: No such file" in err
    code, out, err = call(capsys, "search", "v.shards", "--id", 7)
    assert code == 3 and "2 of 3 shards" in out and "shard-1" in err
    code, out, err = call(capsys, "search", "v.shards", "--id", 25)
    assert code == 2 and "it is in a shard that is lost: shard-1" in err and err.count("\n") == 1


def test_several_spaces_are_named_as_one_and_mistakes_cost_a_line(
    capsys: pytest.CaptureFixture[str], there: Path
) -> None:
    shutil.copytree("v.space", "w.space")
    code, out, _ = call(capsys, "shard", "v.space", "w.space", "--out", "both.shards")
    assert code == 0 and out == "both.shards: 120 items in 2 shards\n"
    code, out, _ = call(capsys, "search", "both.shards", "--id", 7, "-k", 1, "--json")
    assert code == 0 and json.loads(out)["results"][0]["space"] == "../w.space"
    for words, says in (
        (("shard", "v.space", "w.space", "--into", 2, "--out", "x"), "--into splits one space"),
        (("shard", "v.space", "no.space", "--out", "x"), "no.space: there is nothing here"),
        (("shard", "v.space", "--into", 100, "--out", "x"), "ask for fewer"),
        (("shard", "v.space", "--into", 2, "--out", "both.shards"), "is there already"),
        (("evaluate", "both.shards"), "names several spaces"),
    ):
        code, _, err = call(capsys, *words)
        assert code == 2 and says in err and err.count("\n") == 1
    assert not Path("x").exists()
