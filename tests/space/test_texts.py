from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans

import semblance as sb
from semblance.app.cli import app, run
from semblance.data.load import load
from semblance.errors import SemblanceError
from semblance.geometry.closest_pairs import closest_pairs
from semblance.recipes.registry import build
from semblance.space.training import train
from semblance.testing import small

LITTLE = {"vocabulary": 320, "dim": 32, "blocks": 1, "heads": 2, "feedforward": 32}


@pytest.fixture(scope="module")
def csv(tmp_path_factory):
    dataset = small("text")
    rows = [
        f'{i},"{text}",{dataset.classes[k]}' for i, text, k in zip(dataset.ids, dataset.x.texts, topics(), strict=True)
    ]
    path = tmp_path_factory.mktemp("texts") / "sentences.csv"
    path.write_text("\n".join(["id,text,topic", *rows]))
    return path


def topics():
    return small("text").targets["labels"]


@pytest.fixture(scope="module")
def space(csv, tmp_path_factory):
    said = []
    out = tmp_path_factory.mktemp("made") / "s.space"
    made = sb.fit(csv, "simcse", out=out, epochs=3, least=256, length=8, batch=32, say=said.append, **LITTLE)
    made.info["said"] = said
    yield made
    made.close()


def test_words_of_ones_own_find_the_texts_of_the_same_words(space):
    found = space.search(text="ships sail across the sea harbour", k=5)
    assert sum(r["attributes"]["topic"] == "topic 0" for r in found.results) >= 4
    assert "text" in found.results[0]["attributes"]
    many = space.search(text=["a sea harbour", "bread from an oven"], k=3)
    assert len(many) == 2 and many[1].ids != many[0].ids
    np.testing.assert_allclose(space.read_words(["a sea harbour"]), space.embed(["a sea harbour"])[1])


def test_a_text_that_is_cut_is_said(space):
    assert any("longer than 8 pieces: the rest is not read" in line for line in space.info["said"])


def test_a_space_of_texts_is_opened_and_searched_without_its_data(space, csv, monkeypatch, tmp_path):
    z = space.read_words(["a sea harbour"])
    monkeypatch.chdir(tmp_path)
    with sb.load(space.path) as again:
        np.testing.assert_array_equal(again.read_words(["a sea harbour"]), z)
        assert again.model.pieces == space.model.pieces


def test_texts_are_added_and_found(space, tmp_path):
    import shutil

    shutil.copytree(space.path, tmp_path / "copy.space")
    with sb.load(tmp_path / "copy.space") as copy:
        copy.add(["harbour and sea and ships"], ids=["new"], attributes={"text": ["harbour and sea and ships"]})
        assert copy.search(text="harbour and sea and ships", k=1).ids == ["new"]


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (lambda s: s.search(text=" "), "holds no words"),
        (lambda s: s.search(), "one of the two"),
        (lambda s: s.search("0", text="a"), "one of the two"),
        (lambda s: s.search("not an id"), "text= for words of your own"),
    ],
)
def test_queries_that_are_none_are_one_line(space, ask, told):
    with pytest.raises(SemblanceError, match=told):
        ask(space)


def test_text_is_refused_where_there_is_none(tmp_path):
    with (
        sb.fit(np.eye(6, dtype=np.float32), out=tmp_path / "v.space") as vectors,
        pytest.raises(SemblanceError, match="holds vectors and reads no text"),
    ):
        vectors.search(text="words")


def test_the_command_line_searches_by_text(space, capsys):
    code = run(app, ["search", str(space.path), "--text", "sea harbour ship", "-k", "2", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert not code and len(said["results"]) == 2 and said["results"][0]["attributes"]["topic"] == "topic 0"


def test_embedding_says_what_it_does_not_read(space, tmp_path, capsys):
    (tmp_path / "long.txt").write_text("sea and harbour and ship and sail and song\n\nsea\n")
    assert not run(app, ["embed", str(space.path), str(tmp_path / "long.txt"), "-o", str(tmp_path / "z.npy")])
    said = capsys.readouterr().err
    assert "1 of 2 texts are longer than 8 pieces" in said and "1 empty text is left out" in said
    assert np.load(tmp_path / "z.npy").shape == (2, 32)


def test_a_model_of_texts_is_not_exported_without_its_pieces(space, tmp_path):
    with pytest.raises(SemblanceError, match="the pieces of its own tokenizer"):
        space.export(tmp_path / "m.pt2")


def test_the_server_reads_text_as_a_query(space):
    pytest.importorskip("fastapi")
    from semblance.app.server.searching import Query, vector_of

    class Here:
        def __init__(self):
            self.space = space

    class Held:
        manifest = space.manifest

    vector, item = vector_of(Here(), Held(), Query(text="a sea harbour"))
    assert item is None
    np.testing.assert_array_equal(vector, space.read_words(["a sea harbour"])[0])


def test_two_texts_are_explained_by_ids_and_by_words(space):
    found = sb.explain(space, "0", "5", curve=False)
    text = space.attributes(["text"]).column("text").to_pylist()
    words = found.parts[0].names
    assert len(words) >= 2 and list(words[:-1]) == text[0].split()[: len(words) - 1], "the last word may be cut"
    assert found.pairs is not None and found.gap < 0.05
    own = sb.explain(space, "0", "ships on the sea", curve=False)
    assert own.names[1] == "ships on the sea" and own.parts[1].names[0] == "ships"
    with pytest.raises(SemblanceError, match="neither an item of this space"):
        sb.explain(space, "0", "zzz")


def test_closest_texts_and_clusters_come_from_the_vectors(space):
    pairs, cosines = closest_pairs(space.vectors, 10)
    assert pairs.shape == (10, 2) and (np.diff(cosines) <= 0).all()
    assert len(set(KMeans(5, n_init=1, random_state=0).fit_predict(space.vectors))) == 5


@pytest.mark.parametrize("objective", ["regression", "triplet"])
def test_what_was_said_of_pairs_or_texts_brings_their_like_together(objective):
    dataset = small("text")

    def apart(epochs):
        model = train(dataset, build("sentence-bert", objective=objective, epochs=epochs, batch=16, lr=0.005, **LITTLE))
        z, y = model.embed(dataset), topics()
        cosine = z @ z.T
        same = y[:, None] == y
        return cosine[same & ~np.eye(len(y), dtype=bool)].mean() - cosine[~same].mean()

    assert apart(8) > apart(0) + 0.1


def test_classes_of_pairs_are_learned_too():
    from dataclasses import replace

    from semblance.data.judged import Judged

    dataset = small("text")
    pairs = dataset.pairs
    classes = Judged(pairs.first, pairs.second, (pairs.said > 2).astype(np.int64), ("no", "yes"), pairs.splits)
    model = train(replace(dataset, pairs=classes), build("sentence-bert", epochs=6, batch=16, lr=0.005, **LITTLE))
    assert model.history[-1]["loss"] < 0.8 * model.history[0]["loss"] and "accuracy" in model.history[-1]
    with pytest.raises(SemblanceError, match="regression learns from scores of pairs"):
        train(replace(dataset, pairs=classes), build("sentence-bert", objective="regression", **LITTLE))


def test_sentence_bert_without_pairs_or_labels_names_what_would_do(tmp_path):
    with pytest.raises(SemblanceError, match=r"has neither: use .*simcse"):
        sb.fit(load(["one text", "another text", "a third"], domain="text"), "sentence-bert", out=tmp_path / "x.space")


def test_a_recipe_of_texts_repeats_to_the_last_bit_on_two_trainings():
    one, two = (
        train(small("text"), build("simcse", epochs=1, least=1, **LITTLE), seed=4).network.state_dict()
        for _ in range(2)
    )
    assert all(torch.equal(one[name], two[name]) for name in one)
