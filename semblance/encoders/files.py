"""Networks that come as files: which module a file holds, and what a model has to keep so that it can be built again.

.onnx          an ONNX graph (extra `onnx`)
.safetensors   a state dict, filled into a backbone that is named: `vision/convert.py` knows the usual names
a folder       a transformers model: config.json and model.safetensors (extra `text`)
hf://OWNER/NAME    the same, fetched into the hub's cache first (extra `hub`); the only form that opens a connection

`origin` is what a model's header keeps beside the tensors: {"onnx": ...}, {"backbone": ...} or {"transformers": ...}.
Pickled checkpoints (.pt, .pth, .bin) are never read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from semblance.encoders.onnx_graph import OnnxGraph, read_graph
from semblance.encoders.vision.convert import IMAGENET, pretrained
from semblance.encoders.vision.rows import row_named
from semblance.encoders.vision.stagenet import StageNet
from semblance.errors import SemblanceError

HUB = "hf://"
PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl")
KINDS = "an .onnx graph, a .safetensors checkpoint (with backbone=...), or the folder of a transformers model"


class LastHidden(nn.Module):
    """A transformers model as an encoder of images: its pooled output, or the mean of its last tokens."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """x [N, C, H, W] -> [N, d]."""
        answer = self.model(pixel_values=x)
        pooled = getattr(answer, "pooler_output", None)
        found: Tensor = answer.last_hidden_state if pooled is None else pooled
        # Convolutional models pool to [N, d, 1, 1]; tokens are [N, T, d].
        return found.flatten(1) if pooled is not None else found.mean(1) if found.ndim == 3 else found.mean((2, 3))


def read_module(path: str | Path, backbone: str | None = None) -> tuple[nn.Module, dict[str, Any], dict[str, Any]]:
    """The module in a file or folder, its origin, and what it expects of images: `item`, `mean`, `std`, where known."""
    place = from_hub(str(path)) if str(path).startswith(HUB) else Path(path).expanduser()
    suffix = place.suffix.lower()
    if suffix in PICKLES:
        raise SemblanceError(
            f"{place} is a pickle, and these are never read: load it yourself and give the module, or save its "
            "state_dict by safetensors.torch.save_file"
        )
    if not place.exists():
        raise SemblanceError(f"there is no {place}: give {KINDS}")
    if backbone is not None and suffix != ".safetensors":
        raise SemblanceError(f"backbone={backbone!r} belongs to a .safetensors checkpoint, and {place} is none")
    if place.is_dir():
        return _transformers(place)
    if suffix == ".onnx":
        graph = OnnxGraph(read_graph(place), str(place))
        given = {"item": graph.item} if graph.item and None not in graph.item else {}
        return graph, {"onnx": str(graph.kind).removeprefix("torch.")}, given
    if suffix == ".safetensors":
        if backbone is None:
            raise SemblanceError(
                f"{place} holds weights and no network: name the row, as wrap(path, backbone='resnet18')"
            )
        row_named(backbone)  # a mistyped row is said before the file is read
        net = pretrained(read_tensors(place), backbone, str(place))
        return net, {"backbone": backbone, "channels": _channels(net)}, dict(IMAGENET) if _channels(net) == 3 else {}
    raise SemblanceError(f"{place} is no network: give {KINDS}")


def module_of(origin: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> nn.Module:
    """The module of this origin, for a model whose tensors (named as in its network) are filled in afterwards."""
    if "onnx" in origin:
        return OnnxGraph(tensors["encoder.module.graph"].numpy().tobytes())
    if "backbone" in origin:
        return StageNet(row_named(origin["backbone"], stride_in_first=False), channels=int(origin["channels"]))
    if "transformers" in origin:
        config = dict(origin["transformers"])
        library = transformers()
        return LastHidden(library.AutoModel.from_config(library.AutoConfig.for_model(**config)))
    raise SemblanceError(
        f"the model comes from {', '.join(origin)}, which this version does not know: update Semblance"
    )


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise SemblanceError(f"{path} cannot be read as safetensors ({error}): fetch or save it again") from error


def transformers() -> Any:
    """The library, or an error that names the extra."""
    try:
        import transformers as library
    except ImportError:
        raise SemblanceError("transformers models need transformers: pip install 'semblance[text]'") from None
    return library


def from_hub(name: str) -> Path:
    """`hf://OWNER/NAME[@REVISION]` -> the folder it was fetched to. HF_HUB_OFFLINE and HF_HOME are honoured."""
    owner, _, rest = name.removeprefix(HUB).partition("/")
    repository, _, revision = rest.partition("@")
    if not owner or not repository or "/" in repository:
        raise SemblanceError(f"{name} is no hub name: write {HUB}OWNER/NAME, or {HUB}OWNER/NAME@REVISION")
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise SemblanceError(f"{name} needs huggingface_hub: pip install 'semblance[hub]'") from None
    try:
        # Weights as safetensors only: the other formats of the hub are pickles.
        wanted = ["*.json", "*.safetensors"]
        return Path(snapshot_download(f"{owner}/{repository}", revision=revision or None, allow_patterns=wanted))
    except Exception as error:  # the hub's errors come from its HTTP library, and change with it
        raise SemblanceError(f"{name} could not be fetched ({str(error).splitlines()[0]})") from error


def _transformers(folder: Path) -> tuple[nn.Module, dict[str, Any], dict[str, Any]]:
    config = folder / "config.json"
    if not config.is_file():
        raise SemblanceError(f"{folder} holds no config.json, so it is no transformers model: give {KINDS}")
    if not list(folder.glob("*.safetensors")):
        raise SemblanceError(f"{folder} holds no .safetensors weights: pickled ones are never read")
    library = transformers()
    try:
        model = library.AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
    except (OSError, ValueError, KeyError) as error:
        raise SemblanceError(f"{folder} cannot be read as a model ({str(error).splitlines()[0]})") from error
    if getattr(model, "main_input_name", "") != "pixel_values":
        raise SemblanceError(
            f"{folder} holds a model of {model.main_input_name}: models of images can be wrapped today"
        )
    kept = json.loads(json.dumps(model.config.to_diff_dict(), default=str))
    kept["model_type"] = model.config.model_type
    return LastHidden(model.eval()), {"transformers": kept}, _expected(folder, model)


def _expected(folder: Path, model: nn.Module) -> dict[str, Any]:
    """Item and moments, by the model's configuration and its image processor's, where they are stated."""
    found: dict[str, Any] = {}
    size, channels = getattr(model.config, "image_size", None), getattr(model.config, "num_channels", 3)
    if isinstance(size, int):
        found["item"] = (channels, size, size)
    processor = folder / "preprocessor_config.json"
    if processor.is_file():
        said = json.loads(processor.read_text())
        if said.get("do_normalize", True) and "image_mean" in said and "image_std" in said:
            found |= {"mean": tuple(said["image_mean"]), "std": tuple(said["image_std"])}
    return found


def _channels(net: StageNet) -> int:
    first = next(net.parameters())
    return int(first.shape[1])
