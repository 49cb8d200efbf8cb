"""Model: a trained network with what it takes to feed it: from data of its domain to embeddings and answers.

On disk a model is one safetensors file: tensors, and in the header the recipe's name and settings, the data's shape and
the class names as JSON. Loading builds the recipe's parts again and fills them, so no code is ever read from a file. A
recipe's name is kept with its version, so that other defaults tomorrow build what was trained today.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from semblance.contracts import Batch
from semblance.data.captions import numbers_of
from semblance.data.concepts import Vocabulary
from semblance.data.dataset import ArrayDataset, Shape
from semblance.data.load import load as load_data
from semblance.data.pieces import Pieces
from semblance.data.prepare import Prepare
from semblance.data.relational import Loaded, RelationalDataset
from semblance.data.views import default_views
from semblance.encoders.files import module_of
from semblance.encoders.wrapped import encoder_of
from semblance.errors import SemblanceError
from semblance.geometry.spaces import Geometry
from semblance.heads.worded import direction
from semblance.learning.devices import autocast, choose_device, precision_for
from semblance.learning.parts import INIT, VIEWS, Feed, Network, chance, torch_chance
from semblance.recipes.registry import Recipe, build, stored_name, table, told_name

FORMAT = 1
BLOCK = 512  # items embedded at a time, fewer where they are large (see Model.block)


@dataclass
class Model:
    """A network and how to feed it: texts are cut by `pieces`, and those about images by `captions`; `notes` say what
    training did to the data. `recipe` and `settings` name what it was built from ("" for a wrapped module, whose `origin`
    says what it can be built again from, where that is known)."""

    network: Network
    shape: Shape
    prepare: Callable[[Tensor], Tensor]
    recipe: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    objective: nn.Module | None = None
    history: list[dict[str, float]] = field(default_factory=list)
    device: str = "cpu"
    precision: str = "float32"
    origin: Mapping[str, Any] = field(default_factory=dict)
    pieces: Pieces | None = None
    captions: Pieces | Vocabulary | None = None
    notes: tuple[str, ...] = ()

    @property
    def dim(self) -> int:
        """Width of an embedding."""
        return int(self.network.encoder.dim)

    @property
    def geometry(self) -> Geometry:
        """What distance means between embeddings of this model."""
        space: Geometry = self.network.encoder.geometry
        return space

    @property
    def block(self) -> int:
        """Items embedded at a time: 512 of CIFAR's size, down to 16 for photographs, so that memory stays bounded."""
        return int(np.clip(2**21 // max(int(np.prod(self.shape.item)), 1), 16, BLOCK))

    def read(self, data: Any) -> Loaded:
        """Data of the model's domain as a dataset whose items have the size this model was trained on."""
        dataset: Loaded
        if isinstance(data, ArrayDataset | RelationalDataset):
            dataset = data
        else:
            size: Any = self.shape.item[1:] if self.shape.domain == "images" else None
            dataset = load_data(data, domain=self.shape.domain, size=size)
        if dataset.domain != self.shape.domain:
            raise SemblanceError(
                f"the model was made for {self.shape.domain} and this data is {dataset.domain}: "
                "embed data of the model's own domain"
            )
        if dataset.domain == "vectors" and dataset.x.shape[1:] != self.shape.item:
            raise SemblanceError(
                f"the vectors have {dataset.x.shape[1]} columns and the model was made for {self.shape.item[0]}: "
                "give vectors of the same columns in the same order"
            )
        if isinstance(dataset, RelationalDataset) and dataset.shape().item != tuple(self.shape.item):
            raise SemblanceError(
                f"the {dataset.units}s have {told_item(dataset.shape().item)} features and the model was made for "
                f"{told_item(self.shape.item)}: give data of the same features in the same order"
            )
        return self._cut(dataset)

    def _cut(self, dataset: Loaded) -> Loaded:
        """Texts as the numbers of their pieces; data of other domains as it is."""
        return self.pieces.cut(dataset) if self.pieces is not None and isinstance(dataset, ArrayDataset) else dataset

    def batches(self, dataset: Loaded, rows: np.ndarray | None = None) -> Iterator[Batch]:
        """Prepared batches in order, `block` items at a time; all at once where a batch holds the whole structure."""
        device = choose_device(self.device)
        if isinstance(dataset, ArrayDataset):
            for x in self.blocks(dataset, rows):
                yield {"x": x.to(device)}
            return
        every = np.arange(len(dataset)) if rows is None else rows
        yield from Feed(dataset, every, None, self.prepare, device=device).in_order(self.block)

    def blocks(self, dataset: ArrayDataset, rows: np.ndarray | None = None) -> Iterator[Tensor]:
        """Prepared inputs, `block` items at a time, in order."""
        dataset = self._cut(dataset)  # type: ignore[assignment]  # of the kind it was
        every = np.arange(len(dataset)) if rows is None else rows
        for start in range(0, len(every), self.block):
            x = torch.from_numpy(np.array(dataset.x[every[start : start + self.block]]))
            yield self.prepare(conform(x, self.shape))

    def embed_blocks(self, dataset: Loaded, rows: np.ndarray | None = None) -> Iterator[np.ndarray]:
        """Embeddings [n, dim] float32, brought into the model's geometry, `block` items at a time."""
        for batch in self.batches(dataset, rows):
            yield self.embed_batch(batch)

    def embed_prepared(self, x: Tensor) -> np.ndarray:
        """Prepared inputs [n, ...] -> [n, dim] float32."""
        return self.embed_batch({"x": x.to(choose_device(self.device))})

    def embed_batch(self, batch: Batch) -> np.ndarray:
        """A prepared batch of n units -> [n, dim] float32."""
        device = choose_device(self.device)
        self.network.eval()
        with torch.inference_mode(), autocast(device, precision_for(device, self.precision)):
            z = self.network.embed(batch)
        return self.geometry.prepare(z.float().cpu().numpy())

    def embed(self, data: Any, rows: np.ndarray | None = None) -> np.ndarray:
        """Data (path, array, list of paths, dataset) -> embeddings [N, dim] float32 in the model's geometry."""
        found = list(self.embed_blocks(self.read(data), rows))
        return np.concatenate(found) if found else np.empty((0, self.dim), np.float32)

    def embed_words(self, texts: Sequence[str]) -> np.ndarray:
        """Texts -> vectors [n, dim] of the same space as the items': of a model of texts, or of one that learned from
        captions. An error for others, and for words that no concept of the model's stands for."""
        if self.shape.domain == "text":
            return self.embed(list(texts))
        if self.captions is None:
            raise SemblanceError(
                f"this model reads {self.shape.domain} and no text: what learns from captions reads both ({_readers()})"
            )
        self.network.eval()
        with torch.inference_mode():
            if isinstance(self.captions, Pieces):
                tokens = torch.from_numpy(numbers_of(self.captions, texts))
                z = self.network.encoder.embed_captions(tokens.to(choose_device(self.device)))
            else:
                flags = self.captions.flags(texts)
                if not flags.any(1).all():
                    text = texts[int(np.flatnonzero(~flags.any(1))[0])]
                    some = ", ".join(self.captions.concepts[:8])
                    raise SemblanceError(f"the text {text!r} names no concept that was learned: there are {some}, ...")
                z = direction(self.network.head, torch.from_numpy(flags).to(choose_device(self.device)))
        return self.geometry.prepare(z.float().cpu().numpy())

    def agreement(self, data: Any, rows: np.ndarray | None = None) -> np.ndarray:
        """[n] cosines of images with their own captions, -1 where there is none: how far each pair belongs together."""
        dataset = self.read(data)
        captions = getattr(dataset, "captions", None)
        if captions is None:
            raise SemblanceError("agreement is of images with captions, and the data has none: give captions=")
        every = np.arange(len(dataset)) if rows is None else np.asarray(rows)
        written = getattr(captions, "texts", captions)
        texts = [str(text) for text in written[every]]
        found = np.full(len(every), -1.0)
        there = np.flatnonzero([bool(text) for text in texts])
        for start in range(0, len(there), BLOCK):
            part = there[start : start + BLOCK]
            z, words = self.embed(dataset, every[part]), self.embed_words([texts[i] for i in part])
            norms = np.linalg.norm(z, axis=1) * np.linalg.norm(words, axis=1)
            found[part] = (z * words).sum(1) / np.maximum(norms, np.finfo(np.float32).tiny)
        return found

    def drawn_views(self, dataset: ArrayDataset, rows: np.ndarray) -> Iterator[tuple[Tensor, Tensor]]:
        """Two drawn views of the images at these rows, prepared, `block` at a time. The same views for every model."""
        draw = default_views(self.shape)
        channels = self.shape.item[0]
        plain = Prepare(replace(self.shape, mean=(0.0,) * channels, std=(1.0,) * channels), True)
        between: bool | None = None  # whether the user's transform takes values between bytes
        for start in range(0, len(rows), self.block):
            x = conform(torch.from_numpy(np.array(dataset.x[rows[start : start + self.block]])), self.shape)
            chances = (torch_chance(0, VIEWS, 0, start, number) for number in range(2))
            if isinstance(self.prepare, Prepare):
                first, second = (draw(x, draws, self.prepare) for draws in chances)
            else:
                # A transform of the user's takes stored pixels, so the views are brought back to their scale.
                pixels = [(draw(x, draws, plain) * 255).clamp(0, 255) for draws in chances]
                if between is None:
                    between = self._takes_values_between(x[:2])
                first, second = (self.prepare(p if between else p.round().to(torch.uint8)) for p in pixels)
            yield first, second

    def _takes_values_between(self, x: Tensor) -> bool:
        """Whether the transform answers 0..255 as float32 as it answers the same as bytes. Where it does not (it divides
        bytes by 255 and floats by nothing, it looks values up), drawn views are rounded to bytes first."""
        try:
            return torch.allclose(self.prepare(x.float()).float(), self.prepare(x).float(), rtol=1e-4, atol=1e-4)
        except Exception:  # the user's code, which may raise anything about a type it was not written for
            return False

    def on_pixels(self, item: tuple[int, ...]) -> Model:
        """This model for drawing views of images of this shape that stay pixels: itself where its own are no more than
        standardised, since these compare as well."""
        if isinstance(self.prepare, Prepare) and tuple(item) == tuple(self.shape.item):
            return self
        own = Shape("images", tuple(item), 0, 0, mean=(0.0,) * item[0], std=(1.0,) * item[0])
        return replace(self, shape=own, prepare=Prepare(own, True))

    def embed_views(self, dataset: ArrayDataset, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The embeddings [n, dim] of two drawn views."""
        pairs = [tuple(map(self.embed_prepared, pair)) for pair in self.drawn_views(dataset, rows)]
        first, second = (np.concatenate(part) for part in zip(*pairs, strict=True))
        return first, second

    def predict(self, data: Any) -> list[Any]:
        """What the head answers for every item, decoded: a class's name, a list of names where an item has several, a
        number; of a head that scores pairs, the id of the likeliest unit to be linked next (None: linked to all). An error
        for models without a head."""
        if self.network.head is None:
            raise SemblanceError(
                f"recipe {self.recipe!r} has no head to predict with: use Space.classify, which asks the neighbours"
            )
        answers: list[Any] = []
        self.network.eval()
        device = choose_device(self.device)
        with torch.inference_mode(), autocast(device, precision_for(device, self.precision)):
            dataset = self.read(data)
            for batch in self.batches(dataset):
                scores = self.network(batch)
                if self.scores_pairs:
                    best = self.network.head.decode(scores)
                    answers.extend(None if unit is None else dataset.ids[unit] for unit in best)
                    continue
                if self.shape.facts.get("several"):
                    answers.extend([self.classes[k] for k in np.flatnonzero(row)] for row in (scores > 0).cpu().numpy())
                    continue
                decoded = self.network.head.decode(scores)
                answers.extend(decoded.tolist() if hasattr(decoded, "tolist") else decoded)
        return [self.classes[a] if isinstance(a, int) and a < len(self.classes) else a for a in answers]

    @property
    def scores_pairs(self) -> bool:
        """Whether the head answers about pairs of units: `pair_scores` asks it."""
        return getattr(self.network.head, "answers", "") == "units"

    def pair_scores(self, data: Any, pairs: np.ndarray) -> np.ndarray:
        """Units at positions [2, m] -> logits [m]: whether the two of a pair are linked, by the model's own head, which
        reads the edges of `data`."""
        if not self.scores_pairs:
            raise SemblanceError(f"recipe {self.recipe!r} has no head that scores pairs: ncn and ncnc do")
        self.network.eval()
        device = choose_device(self.device)
        one, two = (torch.from_numpy(np.asarray(end, np.int64)) for end in pairs)
        with torch.inference_mode(), autocast(device, precision_for(device, self.precision)):
            (batch,) = self.batches(self.read(data))
            states = self.network.encoder(batch)
            found: np.ndarray = self.network.head.pairs(states, batch["graph"], one, two).float().cpu().numpy()
        return found

    def header(self) -> dict[str, Any]:
        """What, beside the tensors, makes this model again."""
        wraps = {
            "origin": dict(self.origin),
            "transform": not (isinstance(self.prepare, Prepare) or self.prepare is as_stored),
        }
        return {
            "format": FORMAT,
            "recipe": stored_name(self.recipe),
            "settings": dict(self.settings),
            "shape": asdict(self.shape),
            "classes": list(self.classes),
            "precision": self.precision,
            **({} if self.pieces is None else {"pieces": asdict(self.pieces)}),
            **({} if self.captions is None else {"captions": asdict(self.captions)}),
            **({} if self.recipe else wraps),
        }

    def tensors(self) -> dict[str, Tensor]:
        """The network's weights and buffers, on the CPU, contiguous."""
        return {k: v.detach().cpu().clone().contiguous() for k, v in self.network.state_dict().items()}

    def save(self, path: str | Path) -> None:
        """Write one safetensors file."""
        save_file(self.tensors(), path, metadata={"semblance": json.dumps(self.header())})

    def export(self, path: str | Path) -> None:
        """Write the model as .pt2 (torch.export) or .onnx, compared with this one first; see export.py."""
        from semblance.space.export import export_model

        export_model(self, path)

    @classmethod
    def load(cls, path: str | Path, module: nn.Module | Model | None = None) -> Model:
        """Read a model; `module` (or `sb.wrap(module, transform)`) is needed for one whose code lies outside Semblance."""
        try:
            with safe_open(path, framework="pt") as file:
                header = (file.metadata() or {}).get("semblance")
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        except FileNotFoundError:
            raise SemblanceError(f"there is no model at {path}") from None
        except (OSError, SafetensorError) as error:
            raise SemblanceError(f"{path} cannot be read as a model ({error}): fit again or restore a copy") from error
        if header is None:
            raise SemblanceError(f"{path} holds tensors but no Semblance header: load it with sb.wrap(module)")
        return cls.from_tensors(tensors, json.loads(header), module)

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, Tensor], header: Mapping[str, Any], module: nn.Module | Model | None = None
    ) -> Model:
        """The model of this header, filled with these tensors."""
        if int(header["format"]) > FORMAT:
            raise SemblanceError(
                f"the model has format {header['format']} and this version reads up to {FORMAT}: update Semblance"
            )
        stored = header["shape"]
        kept: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()}
        shape = Shape(**kept)
        called, origin = told_name(header["recipe"]), header.get("origin") or {}
        prepare: Callable[[Tensor], Tensor] = Prepare(shape, True)
        if called:
            if called.partition("@")[0] not in table():
                raise SemblanceError(
                    f"the model was made by the recipe {called!r}, which is not here: install the package that brings it "
                    "(the space's recipe.json names it), or the version of Semblance that had it"
                )
            recipe = build(called, **header["settings"])
            network, prepare = assemble(recipe, shape, seed=0), Prepare(shape, recipe.standardise)
        elif isinstance(module, Model):
            network, prepare = module.network, module.prepare
        elif header.get("transform"):
            raise SemblanceError(
                "this model was wrapped with a transform of yours: give it again too, as load(path, sb.wrap(module, "
                "transform))"
            )
        elif module is not None:
            network = Network(encoder_of(module))
        elif origin:
            network = Network(encoder_of(module_of(origin, tensors)))
            prepare = as_stored if origin.get("onnx") == "uint8" else prepare
        else:
            raise SemblanceError("this model wraps a module of yours: give it again, as load(path, module=...)")
        try:
            # Solved heads hold buffers whose size is known only after solving.
            for name, buffer in dict(network.named_buffers()).items():
                if name in tensors and buffer.shape != tensors[name].shape:
                    owner, _, leaf = name.rpartition(".")
                    setattr(network.get_submodule(owner), leaf, torch.empty_like(tensors[name]))
            network.load_state_dict(dict(tensors))
            # The layout of training: another one would add in another order, and differ in the last digit.
            layout: Any = {"memory_format": precision_for(choose_device("cpu"), header["precision"]).memory_format}
            network.to(**layout)
        except RuntimeError as error:
            what = f"recipe {called!r}" if called else "the module"
            raise SemblanceError(
                f"the weights do not fit {what} ({str(error).splitlines()[-1].strip()}): "
                "they come from another recipe or version"
            ) from error
        return cls(
            network=network.eval(),
            shape=shape,
            prepare=prepare,
            recipe=called,
            origin=origin,
            settings=header["settings"],
            classes=tuple(header["classes"]),
            precision=header["precision"],
            pieces=Pieces(**header["pieces"]) if "pieces" in header else None,
            captions=_reader(header.get("captions")),
        )


def assemble(recipe: Recipe, shape: Shape, seed: int) -> Network:
    """The recipe's encoder and head for data of this shape, initialised from the seed; the global generator is given
    back as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(chance(seed, INIT).integers(2**63)))
        return Network(recipe.encoder(shape), None if recipe.head is None else recipe.head(shape))


def _readers() -> str:
    """The recipes that learn from captions."""
    return ", ".join(sorted(row.name for row in table().values() if "captions" in row.needs))


def _reader(stored: Mapping[str, Any] | None) -> Pieces | Vocabulary | None:
    """What a model's captions were read by."""
    if stored is None:
        return None
    if "content" in stored:
        return Pieces(**stored)
    return Vocabulary(tuple(stored["concepts"]), stored["lexicon"])


def told_item(item: tuple[int, ...]) -> str:
    """Numbers of features as people read them: 1,433, or 3, 3 and 1 for several kinds of units."""
    *first, last = (f"{width:,}" for width in item)
    return f"{', '.join(first)} and {last}" if first else last


def as_stored(x: Tensor) -> Tensor:
    """The preparation of a network that takes the stored items themselves."""
    return x


def conform(x: Tensor, shape: Shape) -> Tensor:
    """Images [n, C, H, W] uint8 brought to the channels and size of `shape`: grey to colour by repeating, colour to
    grey by luminance (ITU-R 601), size by antialiased bilinear resampling. Other domains pass through."""
    if shape.domain != "images" or tuple(x.shape[1:]) == tuple(shape.item):
        return x
    channels, *size = shape.item
    y = x.float()
    if y.shape[1] == 1 and channels == 3:
        y = y.expand(-1, 3, -1, -1)
    elif y.shape[1] == 3 and channels == 1:
        y = (y * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    elif y.shape[1] != channels:
        raise SemblanceError(
            f"images of {y.shape[1]} channels do not fit a model of {channels}: give grey or RGB images"
        )
    if tuple(y.shape[2:]) != tuple(size):
        y = F.interpolate(y, size=tuple(size), mode="bilinear", antialias=True, align_corners=False)
    return y.round().clamp(0, 255).to(torch.uint8)
