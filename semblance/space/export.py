"""Export: what a space holds, as files that other programs read. The suffix chooses.

    .parquet .arrow   ids, vectors (fixed-size lists) and attributes;   .arrow can be memory-mapped
    .npy              vectors [N, d] alone, in the space's order;   .safetensors   the same as tensor `vectors`
    .pt2              the model for torch.export.load;   .onnx   for onnxruntime (extra `onnx`)

An exported model takes items as they are stored (images uint8 [N, C, H, W] of the model's size, vectors float32 [N, d])
and answers embeddings [N, dim] as the space holds them: preparation and geometry are inside. Before it is written, its
answers are compared with ours on drawn items, of several batch sizes.
"""

from __future__ import annotations

import io
import json
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from semblance.errors import Failed, SemblanceError, unknown

if TYPE_CHECKING:
    from semblance.space.model import Model
    from semblance.space.space import Space

TOLERANCE = 1e-4
VECTORS = (".parquet", ".arrow", ".npy", ".safetensors")
MODELS = (".pt2", ".onnx")
BROUGHT: Mapping[str, Callable[[Tensor], Tensor]] = {
    "euclidean": lambda z: z,
    "cosine": lambda z: F.normalize(z, dim=1, eps=torch.finfo(torch.float32).tiny),
}
"""What `Geometry.prepare` does, in torch."""


def check_suffix(path: Path, where: str | None = None) -> str:
    """The suffix, if something can be written under it, before any work is done."""
    suffix = path.suffix.lower()
    if suffix not in VECTORS + MODELS:
        raise unknown("export format", suffix or path.name, VECTORS + MODELS)
    if where is not None and suffix in MODELS:
        raise SemblanceError(f"{path.name} is the model, which --where does not change: leave it out")
    if not path.parent.is_dir():
        raise SemblanceError(f"{path} cannot be written: there is no folder {path.parent}")
    if path.is_dir():
        raise SemblanceError(f"{path} is a folder: name a file in it")
    return suffix


def export(space: Space, path: str | Path, where: str | None = None) -> dict[str, Any]:
    """Write the space's items (that satisfy `where`) or its model -> {"out", "units", "dim", "bytes"}."""
    target = Path(path)
    suffix = check_suffix(target, where)
    if suffix in MODELS:
        export_model(space.model, target)
        units, dim = 0, space.model.dim
    else:
        table = space.to_arrow(where=where)
        units, dim = table.num_rows, table.schema.field("vector").type.list_size
        about = {"semblance": json.dumps({"recipe": space.manifest.get("recipe", ""), "geometry": space.geometry.name})}
        with _replacing(target) as partial:
            _write_vectors(suffix, partial, table, about)
    return {"out": str(target), "units": units, "dim": dim, "bytes": target.stat().st_size}


def _write_vectors(suffix: str, partial: Path, table: pa.Table, about: dict[str, str]) -> None:
    table = table.replace_schema_metadata(about)
    column = table.column("vector")
    if suffix == ".parquet":
        import pyarrow.parquet as pq

        pq.write_table(table, partial)
    elif suffix == ".arrow":
        with pa.OSFile(str(partial), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
    elif suffix == ".npy":
        shape = (len(column), column.type.list_size)
        if not len(column):
            np.save(partial, np.empty(shape, np.float32))
            return
        out = np.lib.format.open_memmap(partial, "w+", np.float32, shape)
        done = 0
        for chunk in column.chunks:
            out[done : done + len(chunk)] = _matrix(chunk)
            done += len(chunk)
        out.flush()
    else:
        from safetensors.numpy import save_file

        whole = [_matrix(chunk) for chunk in column.chunks]
        held = (
            whole[0] if len(whole) == 1 else np.concatenate([*whole, np.empty((0, column.type.list_size), np.float32)])
        )
        save_file({"vectors": np.ascontiguousarray(held)}, partial, metadata=about)


def _matrix(chunk: pa.FixedSizeListArray) -> np.ndarray:
    """[n, d], a view of the chunk."""
    return chunk.flatten().to_numpy().reshape(len(chunk), chunk.type.list_size)


class Served(nn.Module):
    """Stored items -> embeddings as a space holds them: preparation, network and geometry in one module."""

    def __init__(self, model: Model):
        super().__init__()
        if model.geometry.name not in BROUGHT:
            raise SemblanceError(
                f"embeddings in the geometry {model.geometry.name!r} are not exported: there are {', '.join(BROUGHT)}"
            )
        self.network, self.prepare, self.bring = model.network, model.prepare, BROUGHT[model.geometry.name]

    def forward(self, x: Tensor) -> Tensor:
        """x as stored [N, ...] -> [N, dim] float32."""
        return self.bring(self.network.embed({"x": self.prepare(x)}).float())


def export_model(model: Model, path: str | Path) -> None:
    """Write the model as .pt2 or .onnx, if its answers are those of this process to 1e-4."""
    target = Path(path)
    suffix = check_suffix(target)
    if suffix not in MODELS:
        raise unknown("model format", suffix, MODELS)
    if suffix == ".onnx":
        _onnx_libraries()
    if model.pieces is not None:
        raise SemblanceError(
            f"a model of texts reads the pieces of its own tokenizer, which {suffix} cannot hold: serve it by Model.embed"
        )
    model.network.eval().cpu()
    served = Served(model).eval()
    program = _traced(model, served)
    header = json.dumps(model.header())
    content, answer = (_as_onnx if suffix == ".onnx" else _as_pt2)(program, header)
    for count in (1, 2, 5):
        x = drawn_items(model, count)
        with torch.no_grad():
            ours = served(x)
        apart = float((ours - answer(x)).abs().max())
        if not apart <= TOLERANCE:
            raise Failed(f"{target} was not written: on {count} items its answers are {apart:.2g} from the model's")
    with _replacing(target) as partial:
        partial.write_bytes(content)


def drawn_items(model: Model, count: int) -> Tensor:
    """Items of noise as they would be stored, [count, ...]."""
    chance = torch.Generator().manual_seed(count)
    if model.shape.domain == "images":
        return torch.randint(0, 256, (count, *model.shape.item), generator=chance, dtype=torch.uint8)
    return torch.randn(count, *model.shape.item, generator=chance)


def _traced(model: Model, served: Served) -> torch.export.ExportedProgram:
    try:
        with _silent(), torch.no_grad():
            sizes = ({0: torch.export.Dim("items")},)
            return torch.export.export(served, (drawn_items(model, 2),), dynamic_shapes=sizes)
    except Exception as error:  # whatever a module does that cannot be traced, told by torch in many ways
        what = f"recipe {model.recipe!r}" if model.recipe else "the wrapped module"
        raise SemblanceError(
            f"the model of {what} cannot be traced for export ({_first_line(error)}): serve it by Model.embed"
        ) from error


def _as_pt2(program: torch.export.ExportedProgram, header: str) -> tuple[bytes, Callable[[Tensor], Tensor]]:
    # Example inputs are the one thing in a .pt2 that would be pickled.
    program._example_inputs = None
    held = io.BytesIO()
    with _silent():
        torch.export.save(program, held, extra_files={"semblance.json": header})
        content = held.getvalue()
        again = torch.export.load(io.BytesIO(content)).module()

    def answer(x: Tensor) -> Tensor:
        with torch.no_grad():
            z: Tensor = again(x)
        return z

    return content, answer


def _as_onnx(program: torch.export.ExportedProgram, header: str) -> tuple[bytes, Callable[[Tensor], Tensor]]:
    onnxruntime = _onnx_libraries()
    with _silent():
        made: Any = torch.onnx.export(program, dynamo=True, verbose=False, input_names=["x"], output_names=["z"])
    proto = made.model_proto
    proto.metadata_props.add(key="semblance", value=header)
    content = proto.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return content, lambda x: torch.from_numpy(session.run(None, {"x": x.numpy()})[0])


def _onnx_libraries() -> Any:
    try:
        import onnx  # noqa: F401 - torch's exporter asks for both when it is too late for one line
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise SemblanceError(f"ONNX needs {error.name}: pip install 'semblance[onnx]'") from None
    return onnxruntime


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


@contextmanager
def _silent() -> Iterator[None]:
    """Without the exporters' remarks on stderr (torchvision is not installed, ...)."""
    logger = logging.getLogger("torch.onnx")
    before, logger.disabled = logger.disabled, True
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
        logger.disabled = before


@contextmanager
def _replacing(target: Path) -> Iterator[Path]:
    """A file beside the target that takes its place when it is whole."""
    partial = target.with_name(f".{target.stem}.{os.getpid()}.partial{target.suffix}")
    try:
        yield partial
        os.replace(partial, target)
    except OSError as error:
        raise Failed(f"{target} could not be written ({error.strerror or error})") from error
    finally:
        with suppress(FileNotFoundError):
            partial.unlink()
