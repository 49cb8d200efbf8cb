"""Embedder: any recipe as a scikit-learn estimator, for pipelines, grid searches and `set_output`.

    make_pipeline(StandardScaler(), sb.Embedder(recipe="icon"), LogisticRegression()).fit(x, y)

`fit` trains as `sb.fit` does and writes no space: the same seed gives the same weights. All rows given are learned from;
what is held out is the caller's business, as everywhere in scikit-learn. Labels that are missing are -1, None or NaN.
`predict` answers by the labels of the nearest training items, or by the recipe's own head.

It is kept by `save` and `load`, as one safetensors file. It pickles in memory too (that is how scikit-learn clones it into
other processes), and what is pickled there is that file's content.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import narwhals as nw
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import save as save_arrays
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data

from semblance.data.assemble import assemble
from semblance.data.dataset import ArrayDataset
from semblance.data.labels import labels_of
from semblance.data.load import load as load_data
from semblance.data.relational import Loaded
from semblance.errors import SemblanceError
from semblance.geometry.nearest import nearest
from semblance.heads.neighbours import vote
from semblance.memory.atomic import all_or_nothing, write_file
from semblance.recipes.registry import row_of, table
from semblance.space.choose import choose, suits
from semblance.space.model import Model
from semblance.space.training import train

FORMAT = 1
NESTED = "settings__"


class Embedder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A recipe as an estimator: X -> embeddings [N, d] float32, and labels by neighbours where y was given.

    recipe: a name from `sb.recipes()` (default: the domain's) or a model from `sb.wrap`. settings: those of the recipe,
    reached by a search as `settings__temperature`. epochs, device and precision as in `sb.fit`; size is that of images.
    random_state: the seed. n_neighbors: how many vote in `predict`.

    X: [N, d] numbers or a data frame of numbers as everywhere in scikit-learn; or what `sb.fit` takes (uint8 images
    [N, H, W] or [N, H, W, 3], a folder, a list of image files, a dataset). Fitted: `embedding_` [N, d] of the rows of
    `fit`, `model_`, `classes_` (labels that are classes), `n_features_in_`.
    """

    def __init__(
        self,
        recipe: str | Model | None = None,
        *,
        settings: Mapping[str, Any] | None = None,
        epochs: int | None = None,
        size: int | None = None,
        random_state: int | np.random.RandomState | None = 0,
        n_neighbors: int = 20,
        device: str = "auto",
        precision: str = "auto",
    ):
        self.recipe = recipe
        self.settings = settings
        self.epochs = epochs
        self.size = size
        self.random_state = random_state
        self.n_neighbors = n_neighbors
        self.device = device
        self.precision = precision

    # --- scikit-learn's conventions ----------------------------------------------------------------------------------

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The arguments; with `deep` also every setting given, as `settings__NAME`."""
        found: dict[str, Any] = super().get_params(deep=False)
        if deep and isinstance(self.settings, Mapping):
            found |= {f"{NESTED}{name}": value for name, value in self.settings.items()}
        return found

    def set_params(self, **params: Any) -> Self:
        """Sets arguments, and single settings as `settings__NAME`."""
        nested = {name: params.pop(name) for name in list(params) if name.startswith(NESTED)}
        super().set_params(**params)
        if nested:
            changes = {name.removeprefix(NESTED): value for name, value in nested.items()}
            self.settings = {**(self.settings or {}), **changes}
        return self

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        row = table().get(str(self.recipe).partition("@")[0]) if isinstance(self.recipe, str) else None
        tags.target_tags.required = row is not None and "labels" in row.needs
        tags.transformer_tags.preserves_dtype = ["float32"]
        tags.input_tags.three_d_array = row is not None and "images" in row.domains
        tags.input_tags.two_d_array = row is None or "vectors" in row.domains
        return tags

    @property
    def _n_features_out(self) -> int:
        return int(self.embedding_.shape[1])

    # --- learning and answering --------------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn from all rows of X (of a dataset: from its split `train`), with labels y where the recipe wants them."""
        self._fit(X, y)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> NDArray[np.float32]:
        """`fit(X, y).transform(X)`, without embedding twice."""
        return self._fit(X, y)

    def _fit(self, X: Any, y: Any) -> NDArray[np.float32]:
        if self.n_neighbors < 1:
            raise SemblanceError(f"n_neighbors is {self.n_neighbors}: let one neighbour or more vote")
        seed = self.random_state
        if not isinstance(seed, int | np.integer):
            seed = int(check_random_state(seed).randint(2**31 - 1))
        dataset = self._dataset(X, y, reset=True)
        if isinstance(self.recipe, Model):
            suits(self.recipe, dataset)
            self.model_ = self.recipe
        else:
            name, settings, recipe = choose(dataset, self.recipe, self.settings or {})
            if len(dataset.splits["train"]) < 2 and any(stage.objective is not None for stage in recipe.stages):
                raise SemblanceError(f"recipe {name!r} was given one sample to learn from: give two or more")
            kept: dict[str, Any] = {"epochs": self.epochs, "device": self.device, "precision": self.precision}
            self.model_ = train(dataset, recipe, seed=int(seed), name=name, settings=settings, **kept)
            # What trained along is not needed any more, and would be pickled with the rest.
            self.model_.objective = None
        z = self.model_.embed(dataset)
        rows = dataset.splits["train"]
        whole = len(rows) == len(dataset)
        self.embedding_ = z if whole else z[rows]
        self._keep_targets(dataset if whole else dataset.subset(rows), y)
        return z

    def transform(self, X: Any) -> NDArray[np.float32]:
        """X -> [N, d] float32 in the recipe's geometry (unit length where it is cosine)."""
        check_is_fitted(self)
        return self.model_.embed(self._dataset(X, None, reset=False))

    def predict(self, X: Any) -> NDArray[Any]:
        """The label of every row: by the recipe's own head where it has one, else by the votes of the nearest training
        rows (weights exp(cos / 0.07)); for numbers their weighted mean; for several classes those with half the votes."""
        check_is_fitted(self)
        if not hasattr(self, "targets_"):
            raise SemblanceError("there are no labels to predict with: give y to fit")
        dataset = self._dataset(X, None, reset=False)
        # Only what learned from these labels answers in them: a head may name clusters of its own.
        if self.model_.network.head is not None and "labels" in row_of(self.model_.recipe).needs:
            codes = {name: code for code, name in enumerate(self.model_.classes)}
            return self.classes_[[codes[answer] for answer in self.model_.predict(dataset)]]
        share = self._votes(self.model_.embed(dataset))
        if self.targets_.ndim == 2:
            return share >= 0.5
        return self.classes_[share.argmax(1)] if hasattr(self, "classes_") else share[:, 0]

    def score(self, X: Any, y: Any) -> float:
        """Accuracy of `predict` (of all classes at once where a row has several), or R2 for numbers."""
        found = self.predict(X)
        if found.dtype.kind == "f" and not hasattr(self, "classes_"):
            from sklearn.metrics import r2_score

            return float(r2_score(y, found))
        right = found == np.asarray(y)
        return float((right.all(1) if right.ndim == 2 else right).mean())

    def _votes(self, z: NDArray[np.float32]) -> NDArray[np.float32]:
        """Embeddings [n, d] -> [n, K] shares of classes, or [n, 1] weighted means of numbers."""
        known = self.targets_ >= 0 if hasattr(self, "classes_") else np.isfinite(self.targets_)
        rows = np.flatnonzero(known.all(1) if known.ndim == 2 else known)
        count = min(self.n_neighbors, len(rows))
        found, similarity = nearest(z, self.embedding_[rows], count, self.model_.geometry.name)
        if hasattr(self, "classes_"):
            return vote(self.targets_[rows][found], similarity, len(self.classes_)).numpy()
        # The votes for `the neighbour at place i` are the weights of a mean over neighbours.
        weights = vote(np.tile(np.arange(count), (len(z), 1)), similarity, count).numpy()
        values = self.targets_[rows][found].reshape(len(z), count, -1)
        return np.einsum("nk,nkt->nt", weights, values)

    # --- data --------------------------------------------------------------------------------------------------------

    def _dataset(self, X: Any, y: Any, *, reset: bool) -> ArrayDataset:
        """X as a dataset that is all `train`; a table of numbers is checked as scikit-learn checks it."""
        if isinstance(X, ArrayDataset):
            if y is not None:
                raise SemblanceError("a dataset holds its labels itself: leave y out")
            self.n_features_in_ = int(np.prod(X.x.shape[1:]))
            return X
        if not _is_media(X):
            x = validate_data(self, X, reset=reset, dtype=np.float32, ensure_2d=True)
            if y is not None:
                check_consistent_length(x, y)
            labels = None if y is None else labels_of(_column(y), "y")
            dataset = assemble(
                "vectors",
                x,
                targets={} if labels is None else {"labels": labels.values},
                classes=() if labels is None else labels.classes,
                splits={"train": np.arange(len(x))},
            )
        elif reset:
            found = unrelated(load_data(X, labels=y, size=self.size))
            dataset = replace(found, splits={"train": np.arange(len(found))})
            self.n_features_in_ = int(np.prod(found.x.shape[1:]))
        else:
            dataset = unrelated(self.model_.read(X))
        return dataset

    def _keep_targets(self, dataset: ArrayDataset, y: Any) -> None:
        """`targets_` as numbers, and `classes_` in the caller's own values where labels are classes."""
        for name in ("targets_", "classes_"):
            if hasattr(self, name):
                delattr(self, name)
        if "labels" not in dataset.targets:
            return
        self.targets_ = dataset.targets["labels"]
        if self.targets_.ndim == 1 and self.targets_.dtype.kind in "iu":
            self.classes_ = np.array(dataset.classes)
            if y is not None and len(dataset.classes):
                given = np.asarray(_column(y))
                known = self.targets_ >= 0
                _, first = np.unique(self.targets_[known], return_index=True)
                self.classes_ = np.asarray(given[known][first].tolist())

    # --- keeping -----------------------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Write everything as one safetensors file, in one step."""
        check_is_fitted(self)
        if isinstance(self.recipe, Model):
            raise SemblanceError("this embedder holds a module of yours: keep that by Model.save, and wrap it again")
        with all_or_nothing(Path(path)):
            write_file(Path(path), self._packed())

    @classmethod
    def load(cls, path: str | Path) -> Embedder:
        """Read what `save` wrote."""
        try:
            content = Path(path).read_bytes()
        except OSError as error:
            raise SemblanceError(f"there is no embedder at {path} ({error.strerror})") from None
        return cls()._unpacked(content, str(path))

    def _packed(self) -> bytes:
        tensors = {f"model.{name}": tensor.numpy() for name, tensor in self.model_.tensors().items()}
        tensors["embedding"] = np.ascontiguousarray(self.embedding_)
        about: dict[str, Any] = {
            "format": FORMAT,
            "params": {**super().get_params(deep=False), "random_state": _plain_seed(self.random_state)},
            "features": self.n_features_in_ if hasattr(self, "n_features_in_") else None,
            "names": list(self.feature_names_in_) if hasattr(self, "feature_names_in_") else None,
            "classes": self.classes_.tolist() if hasattr(self, "classes_") else None,
            "model": self.model_.header(),
        }
        if hasattr(self, "targets_"):
            tensors["targets"] = np.ascontiguousarray(self.targets_)
        return save_arrays(tensors, metadata={"embedder": json.dumps(about)})

    def _unpacked(self, content: bytes, what: str) -> Embedder:
        from safetensors.torch import load as load_tensors

        try:
            tensors = load_tensors(content)
            about = json.loads(_metadata(content)["embedder"])
        except (SafetensorError, KeyError, ValueError) as error:
            raise SemblanceError(f"{what} is no embedder ({error}): give a file that Embedder.save wrote") from None
        if about["format"] > FORMAT:
            raise SemblanceError(
                f"{what} has format {about['format']} and this version reads up to {FORMAT}: update Semblance"
            )
        self.set_params(**about["params"])
        weights = {n.removeprefix("model."): t.clone() for n, t in tensors.items() if n.startswith("model.")}
        self.model_ = Model.from_tensors(weights, about["model"])
        self.embedding_ = tensors["embedding"].numpy()
        if about["features"] is not None:
            self.n_features_in_ = about["features"]
        if about["names"] is not None:
            self.feature_names_in_ = np.array(about["names"], dtype=object)
        if "targets" in tensors:
            self.targets_ = tensors["targets"].numpy()
        if about["classes"] is not None:
            self.classes_ = np.array(about["classes"])
        return self

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        if "model_" not in state or isinstance(self.recipe, Model):
            return state
        fitted = ("model_", "embedding_", "targets_")
        return {**{k: v for k, v in state.items() if k not in fitted}, "_packed_content": self._packed()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        content = state.pop("_packed_content", None)
        super().__setstate__(state)
        if content is not None:
            fitted = type(self)()._unpacked(content, "the pickled embedder")
            for name in ("model_", "embedding_", "targets_"):
                if hasattr(fitted, name):
                    setattr(self, name, getattr(fitted, name))


def _is_media(X: Any) -> bool:
    """Whether X is for our own readers: a path, a name, a list of files, arrays of three dimensions and more, a data frame
    with a column that is no number (files, vectors)."""
    if isinstance(X, str | Path):
        return True
    if isinstance(X, Sequence) and X and all(isinstance(item, str | Path) for item in X):
        return True
    if getattr(X, "ndim", 2) > 2:
        return True
    frame = nw.from_native(X, pass_through=True) if hasattr(X, "columns") or hasattr(X, "column_names") else None
    return isinstance(frame, nw.DataFrame) and not all(kind.is_numeric() for kind in frame.schema.values())


def _column(y: Any) -> Any:
    """Labels as a NumPy array, objects where they mix kinds."""
    return np.asarray(y.to_numpy() if hasattr(y, "to_numpy") else y)


def _plain_seed(seed: Any) -> int | None:
    """A random state as a file can hold it; a generator in use is forgotten."""
    return int(seed) if isinstance(seed, int | np.integer) else None


def _metadata(content: bytes) -> dict[str, str]:
    length = int.from_bytes(content[:8], "little")
    found: dict[str, str] = json.loads(content[8 : 8 + length]).get("__metadata__") or {}
    return found


def unrelated(dataset: Loaded) -> ArrayDataset:
    """Items one by one, as an estimator gets them; refuses nodes and graphs, which it cannot split or stack."""
    if not isinstance(dataset, ArrayDataset):
        raise SemblanceError(f"the estimator takes images and vectors, and this data is {dataset.domain}: use sb.fit")
    return dataset
