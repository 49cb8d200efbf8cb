"""Recipes of captions, from a folder with a table beside it to a search by words."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import semblance as sb
from semblance.app import cli
from semblance.data.load import load
from semblance.errors import SemblanceError
from semblance.recipes.registry import build
from semblance.space.model import Model
from semblance.space.training import train

COLOURS = {"red": (220, 30, 30), "green": (30, 220, 30), "blue": (30, 30, 220)}
QUICK = {"backbone": "half", "batch": 16, "least": 128, "augment": False}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Thirty-six pictures of a coloured square on noise, with a sentence each."""
    folder = tmp_path_factory.mktemp("data") / "photos"
    folder.mkdir()
    chance = np.random.default_rng(0)
    lines = ["file_name,caption"]
    for i in range(36):
        name = list(COLOURS)[i % 3]
        x = chance.integers(0, 40, (12, 12, 3))
        x[3:9, 3:9] = COLOURS[name]
        Image.fromarray(x.astype(np.uint8)).save(folder / f"{i}.png")
        lines.append(f"{i}.png,a {name} square {chance.choice(['here', 'today', 'again'])}")
    (folder / "captions.csv").write_text("\n".join(lines))
    return folder


@pytest.fixture(scope="module", params=["clip", "catlip"])
def space(request, photos, tmp_path_factory):
    out = tmp_path_factory.mktemp("spaces") / f"{request.param}.space"
    with sb.fit(photos, request.param, out=out, epochs=12, lr=3e-3, **QUICK) as found:
        yield found


def test_words_find_pictures_that_fit_them(space):
    for answer, name in zip(space.search(text=list(COLOURS), k=5), COLOURS, strict=True):
        captions = [result["attributes"]["caption"] for result in answer.results]
        assert sum(name in caption for caption in captions) >= 4, (name, captions)


def test_a_space_read_from_disk_reads_the_same_words(space):
    with sb.load(space.path) as again:
        assert np.array_equal(again.read_words(["a blue square"]), space.read_words(["a blue square"]))


def test_pictures_agree_with_their_own_captions_more_than_with_others(space, photos):
    own = space.agreement(photos)
    data = load(photos)
    other = load(photos, captions=list(np.roll(data.captions, 1)))
    assert own.shape == (36,) and own.mean() > space.agreement(other).mean() + 0.2
    with pytest.raises(SemblanceError, match="the data has none"):
        space.agreement(np.zeros((3, 12, 12, 3), np.uint8))


def test_the_command_line_takes_captions_and_searches_by_words(photos, tmp_path, capsys):
    plain = tmp_path / "plain"
    plain.mkdir()
    for file in photos.glob("*.png"):
        (plain / file.name).write_bytes(file.read_bytes())
    words = tmp_path / "words.csv"
    words.write_text((photos / "captions.csv").read_text())
    out = tmp_path / "plain.space"
    asked = ["--recipe", "clip", "--out", str(out), "--epochs", "1", "--set", "least=16", "--no-evaluate"]
    status = cli.run(cli.app, ["fit", str(plain), *asked])
    told = capsys.readouterr().err
    assert status == 2 and "learns from captions and the data has none" in told and "captions.csv" in told
    assert "simclr" in told and "catlip" not in told.split("or use")[1] and "supcon" not in told.split("or use")[1]
    assert cli.run(cli.app, ["fit", str(plain), "--captions", str(words), *asked]) == 0
    assert cli.run(cli.app, ["search", str(out), "--text", "a red square", "-k", "2"]) == 0
    with sb.load(out) as made:
        assert made.store.recipe["data"]["options"]["captions"] == str(words)


def test_a_space_that_knows_no_words_says_what_would(photos, tmp_path):
    with sb.fit(photos, "simclr", out=tmp_path / "s.space", epochs=1, backbone="half", least=16) as space:
        with pytest.raises(SemblanceError, match="clip or catlip"):
            space.search(text="a red square")
        with pytest.raises(SemblanceError, match="what learns from captions reads both"):
            space.agreement(photos)


def test_catlip_answers_with_concepts_and_refuses_words_that_it_never_saw(photos):
    model = train(load(photos), build("catlip", **QUICK), epochs=12, name="catlip", settings=QUICK)
    assert {"red", "green", "blue", "square"} <= set(model.classes)
    answers = model.predict(photos)
    names = [list(COLOURS)[int(name.removesuffix(".png")) % 3] for name in load(photos).ids]
    right = [name in answer for name, answer in zip(names, answers, strict=True)]
    assert np.mean(right) > 0.9
    with pytest.raises(SemblanceError, match="'a zebra' names no concept that was learned: there are"):
        model.embed_words(["a red one", "a zebra"])


def test_a_model_file_keeps_what_reads_its_captions(photos, tmp_path):
    for name in ("clip", "catlip"):
        model = train(load(photos), build(name, **QUICK), epochs=1, name=name, settings=QUICK)
        model.save(tmp_path / "m.safetensors")
        again = Model.load(tmp_path / "m.safetensors")
        assert np.array_equal(again.embed_words(["a red square"]), model.embed_words(["a red square"]))


def test_biases_and_norms_do_not_decay():
    stage = build("clip").stages[0]
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    groups = stage.rule.make_optimizer(type("P", (), {"modules": lambda self: module})()).param_groups
    assert [(len(g["params"]), g["weight_decay"]) for g in groups] == [(1, 0.05), (3, 0.0)]
