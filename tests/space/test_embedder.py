"""The estimator: scikit-learn's own checks, and that it is `sb.fit` without a space."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas
import polars
import pytest
from safetensors.numpy import save_file
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from torch import nn

import semblance as sb
from semblance.data.load import load as load_data
from semblance.errors import SemblanceError
from semblance.space.embedder import Embedder

LEARNS = Embedder("icon", epochs=1)


@parametrize_with_checks([Embedder(), LEARNS])
def test_scikit_learns_own_checks_hold(estimator, check) -> None:
    check(estimator)


def digits(n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    x, y = load_digits(return_X_y=True)
    return x[:n].astype(np.float32), y[:n]


def pictures(n: int = 120) -> tuple[np.ndarray, np.ndarray]:
    found = load_digits()
    return (found.images[:n] * 15).astype(np.uint8), found.target[:n]


def flatten() -> sb.Model:
    """Pixels as they are, as a wrapped module."""
    return sb.wrap(nn.Flatten(), item=(1, 8, 8))


def test_the_estimator_learns_what_fit_learns_bit_for_bit(tmp_path: Path) -> None:
    x, _ = digits()
    everything = replace(load_data(x), splits={"train": np.arange(200), "test": np.arange(0)})
    with sb.fit(everything, "icon", out=tmp_path / "a.space", epochs=1, seed=3) as space:
        found = Embedder("icon", epochs=1, random_state=3).fit_transform(x)
        np.testing.assert_array_equal(found, space.vectors)
    assert np.abs(Embedder("icon", epochs=1, random_state=4).fit_transform(x) - found).max() > 1e-3


def test_transform_after_fit_is_fit_transform() -> None:
    x, y = digits()
    embedder = Embedder("icon", epochs=1)
    first = embedder.fit_transform(x, y)
    np.testing.assert_allclose(embedder.transform(x), first, atol=1e-6)
    assert first.dtype == np.float32 and embedder.n_features_in_ == 64


def test_it_works_in_a_pipeline_and_a_grid_search_reaches_its_settings() -> None:
    x, y = digits()
    pipeline = make_pipeline(StandardScaler(), Embedder("icon", epochs=1), LogisticRegression(max_iter=200))
    search = GridSearchCV(pipeline, {"embedder__settings__batch": [32, 64], "embedder__epochs": [1]}, cv=2)
    search.fit(x, y)
    assert search.best_estimator_[1].settings["batch"] in (32, 64)
    assert search.best_score_ > 0.2
    alone = GridSearchCV(Embedder(), {"n_neighbors": [1, 5]}, cv=3).fit(x, y)  # by its own score
    assert alone.best_score_ > 0.85 and set(alone.predict(x[:20])) <= set(range(10))


@pytest.mark.parametrize(("library", "kind"), [("pandas", pandas.DataFrame), ("polars", polars.DataFrame)])
def test_set_output_gives_frames_with_named_columns(library: str, kind: type) -> None:
    x, _ = digits(40)
    frame = kind({f"pixel{i}": x[:, i] for i in range(64)})
    embedder = Embedder().set_output(transform=library)
    found = embedder.fit_transform(frame)
    assert isinstance(found, kind) and list(found.columns) == [f"embedder{i}" for i in range(64)]
    assert list(embedder.get_feature_names_out()) == list(found.columns)
    assert list(embedder.feature_names_in_[:2]) == ["pixel0", "pixel1"]


def test_clones_and_parameters_are_what_was_given() -> None:
    embedder = Embedder("icon", settings={"batch": 32}, epochs=2)
    copy = clone(embedder)
    assert copy.get_params() == embedder.get_params() and copy.settings == {"batch": 32}
    assert copy.get_params()["settings__batch"] == 32 and "settings__batch" not in copy.get_params(deep=False)
    copy.set_params(settings__batch=16, epochs=1)
    assert copy.settings == {"batch": 16} and embedder.settings == {"batch": 32}
    with pytest.raises(ValueError, match="Invalid parameter 'epoch'"):
        copy.set_params(epoch=1)


def test_images_are_learned_from_and_labelled_by_a_recipe_that_needs_labels() -> None:
    x, y = pictures()
    embedder = Embedder("supervised", epochs=6, settings={"least": 1, "batch": 20, "width": 8}).fit(x, y)
    assert embedder.transform(x[:7]).shape == (7, embedder.embedding_.shape[1])
    assert embedder.score(x, y) > 0.2 and embedder.predict(x[:3]).dtype == y.dtype
    np.testing.assert_array_equal(  # by the recipe's own head
        embedder.predict(x), np.array([int(name) for name in embedder.model_.predict(x)])
    )
    assert embedder.__sklearn_tags__().target_tags.required
    assert not Embedder("simclr").__sklearn_tags__().target_tags.required


def test_files_of_images_and_datasets_are_taken(tmp_path: Path) -> None:
    from PIL import Image

    x, y = pictures(12)
    paths = [tmp_path / f"{i}.png" for i in range(12)]
    for path, picture in zip(paths, x, strict=True):
        Image.fromarray(picture).save(path)
    wrapped = flatten()
    by_file = Embedder(wrapped).fit(paths, y)
    np.testing.assert_allclose(by_file.embedding_, Embedder(wrapped).fit(x, y).embedding_, atol=1e-6)
    np.testing.assert_array_equal(by_file.predict([str(paths[3])]), by_file.predict(x[3:4]))
    dataset = load_data("digits").subset(np.arange(60))
    embedder = Embedder(wrapped)
    assert embedder.fit_transform(dataset).shape == (60, 64)
    assert (
        len(embedder.embedding_) == len(dataset.splits["train"]) == len(embedder.targets_)
    )  # only those are neighbours


def test_a_frame_with_a_column_of_vectors_is_read_as_data() -> None:
    x, y = digits(30)
    frame = polars.DataFrame({"vector": x.tolist()})
    np.testing.assert_allclose(Embedder().fit(frame, y).embedding_, Embedder().fit(x, y).embedding_, atol=1e-6)


def test_labels_of_every_kind_are_predicted_in_the_callers_values() -> None:
    x, y = digits()
    words = np.array([["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"][c] for c in y])
    assert Embedder().fit(x, words).score(x, words) > 0.9
    partial = y.copy()
    partial[::2] = -1  # unlabelled
    embedder = Embedder(n_neighbors=5).fit(x, partial)
    assert list(embedder.classes_) == list(range(10)) and embedder.score(x, y) > 0.85
    numbers = Embedder(n_neighbors=5).fit(x, y.astype(float) + 0.5)
    assert numbers.score(x, y + 0.5) > 0.7 and numbers.predict(x[:2]).shape == (2,)
    several = np.stack([y % 2 == 0, y > 4], axis=1).astype(int)
    both = Embedder(n_neighbors=5).fit(x, several)
    assert both.predict(x[:3]).shape == (3, 2) and both.score(x, several) > 0.8


def test_numbers_are_the_weighted_mean_of_the_neighbours_numbers() -> None:
    x, y = digits(50)
    embedder = Embedder(n_neighbors=3).fit(x, y.astype(float) + 0.25)
    z = embedder.embedding_.astype(np.float64)
    for row in range(5):
        similarity = z @ z[row]
        near = np.argsort(-similarity)[:3]
        weights = np.exp(similarity[near] / 0.07)
        expected = (weights * (y[near] + 0.25)).sum() / weights.sum()
        np.testing.assert_allclose(embedder.predict(x[row : row + 1]), [expected], rtol=1e-4)


def test_a_saved_embedder_is_the_same_after_loading(tmp_path: Path) -> None:
    x, y = pictures(30)
    embedder = Embedder("supervised", settings={"least": 1}, epochs=1, random_state=np.random.RandomState(0)).fit(x, y)
    embedder.save(tmp_path / "e.safetensors")
    again = Embedder.load(tmp_path / "e.safetensors")
    np.testing.assert_array_equal(again.transform(x), embedder.transform(x))
    np.testing.assert_array_equal(again.predict(x), embedder.predict(x))
    assert again.settings == {"least": 1} and again.random_state is None and again.n_features_in_ == 64
    frame = pandas.DataFrame(digits(30)[0]).rename(columns=str)
    Embedder().fit(frame, digits(30)[1]).save(tmp_path / "v.safetensors")
    named = Embedder.load(tmp_path / "v.safetensors")
    assert list(named.feature_names_in_) == list(frame.columns) and named.predict(frame.iloc[:2]).shape == (2,)
    raw = (tmp_path / "e.safetensors").read_bytes()
    assert pickle.PROTO not in raw[:1] and int.from_bytes(raw[:8], "little") < len(raw)  # a safetensors header


def test_what_is_pickled_in_memory_holds_no_code_of_the_network() -> None:
    x, y = digits(60)
    embedder = Embedder("icon", epochs=1).fit(x, y)
    content = pickle.dumps(embedder)
    assert b"torch" not in content.replace(b"torch_geometric", b"")
    np.testing.assert_allclose(pickle.loads(content).transform(x), embedder.transform(x), atol=1e-6)


def test_the_package_does_not_import_scikit_learn_before_the_estimator_is_asked_for() -> None:
    code = "import sys, semblance; print('sklearn' in sys.modules); semblance.Embedder; print('sklearn' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["False", "True"]


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda x, y: Embedder("icom").fit(x), "did you mean icon"),
        (lambda x, y: Embedder("icon@7").fit(x), "no version '7' of recipe icon"),
        (lambda x, y: Embedder("icon", settings={"bach": 3}).fit(x), "did you mean batch"),
        (lambda x, y: Embedder("simclr").fit(x), "takes images; this data is vectors"),
        (lambda x, y: Embedder("supervised").fit(pictures(20)[0]), "needs labels"),
        (lambda x, y: Embedder(n_neighbors=0).fit(x, y), "n_neighbors is 0"),
        (lambda x, y: Embedder("icon").fit(x[:1]), "one sample"),
        (lambda x, y: Embedder().fit(x).predict(x), "give y to fit"),
        (lambda x, y: Embedder().fit(load_data(x), y), "leave y out"),
        (lambda x, y: Embedder(flatten()).fit(pictures(20)[0]).transform(x), "this data is vectors"),
        (lambda x, y: Embedder(flatten()).fit(x), "takes images"),
        (lambda x, y: Embedder.load("nowhere.safetensors"), "there is no embedder"),
    ],
)
def test_a_mistake_is_answered_in_one_line(ask, says: str) -> None:
    with pytest.raises(SemblanceError, match=re.escape(says)) as caught:
        ask(*digits(40))
    assert "\n" not in str(caught.value)


def test_files_that_are_no_embedder_or_cannot_be_written_are_named(tmp_path: Path) -> None:
    save_file({"a": np.ones(2)}, tmp_path / "other.safetensors")
    (tmp_path / "text.safetensors").write_text("no tensors")
    for name in ("other", "text"):
        with pytest.raises(SemblanceError, match="is no embedder"):
            Embedder.load(tmp_path / f"{name}.safetensors")
    embedder = Embedder().fit(digits(20)[0])
    with pytest.raises(SemblanceError, match="nowhere"):
        embedder.save(tmp_path / "nowhere" / "e.safetensors")
    content = embedder._packed().replace(b'\\"format\\": 1', b'\\"format\\": 9', 1)
    (tmp_path / "newer.safetensors").write_bytes(content)
    with pytest.raises(SemblanceError, match="update Semblance"):
        Embedder.load(tmp_path / "newer.safetensors")
