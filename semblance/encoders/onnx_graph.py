"""An ONNX graph as a module: [N, ...] in, the graph's first output out. onnxruntime computes, on the CPU.

The file's bytes are a buffer of the module, so that a space made with it holds the graph and opens without the file. No
gradient passes through it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from semblance.errors import SemblanceError

TYPES = {"tensor(float)": torch.float32, "tensor(uint8)": torch.uint8, "tensor(float16)": torch.float16}


def read_graph(path: Path) -> bytes:
    """The graph in a file with its weights, which large graphs keep in a file beside it."""
    try:
        import onnx
    except ImportError:
        raise SemblanceError(f"{path} needs onnx: pip install 'semblance[onnx]'") from None
    try:
        content: bytes = onnx.load(path).SerializeToString()
        return content
    except Exception as error:  # protobuf's, onnx's and the file system's, without a class in common
        raise SemblanceError(
            f"{path} is no whole ONNX graph ({str(error).splitlines()[0]}): export it again"
        ) from error


class OnnxGraph(nn.Module):
    """A graph with one input. `item` is an item's shape without N, with None where the graph leaves a size open."""

    graph: Tensor

    def __init__(self, content: bytes, what: str = "the ONNX graph"):
        super().__init__()
        self.register_buffer("graph", torch.frombuffer(bytearray(content), dtype=torch.uint8))
        self.what = what
        inputs = self._opened().get_inputs()
        if len(inputs) != 1 or inputs[0].type not in TYPES:
            told = ", ".join(f"{i.name} ({i.type})" for i in inputs)
            raise SemblanceError(f"{what} takes {told}: it has to take one input of float or uint8 numbers")
        self.input, self.kind = inputs[0].name, TYPES[inputs[0].type]
        batch, *item = (size if isinstance(size, int) else None for size in inputs[0].shape)
        self.batch, self.item = batch, tuple(item)

    def forward(self, x: Tensor) -> Tensor:
        """[N, ...] -> the first output [N, ...]; a graph of a fixed batch size gets batches of that size."""
        x = x.detach().cpu()
        x = x.round().clamp(0, 255).to(torch.uint8) if self.kind == torch.uint8 else x.to(self.kind)
        step = self.batch or max(len(x), 1)
        try:
            found = [self._run(part, step) for part in x.split(step)]
        except Exception as error:  # onnxruntime's errors have no common class of their own
            raise SemblanceError(
                f"{self.what} does not take items of shape {list(x.shape[1:])} ({str(error).splitlines()[0]}): "
                "name the item's shape, as wrap(path, item=(3, 224, 224))"
            ) from error
        return torch.cat(found)

    def _run(self, x: Tensor, step: int) -> Tensor:
        full = x if len(x) == step else torch.cat([x, x[:1].expand(step - len(x), *x.shape[1:])])
        answer = self._opened().run(None, {self.input: np.ascontiguousarray(full.numpy())})[0]
        return torch.from_numpy(answer)[: len(x)]

    def _opened(self) -> Any:
        if not hasattr(self, "_session"):
            try:
                import onnxruntime
            except ImportError:
                raise SemblanceError(f"{self.what} needs onnxruntime: pip install 'semblance[onnx]'") from None
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = torch.get_num_threads()
            try:
                self._session = onnxruntime.InferenceSession(
                    self.graph.cpu().numpy().tobytes(), options, providers=["CPUExecutionProvider"]
                )
            except Exception as error:  # as above
                raise SemblanceError(f"{self.what} is no ONNX graph ({str(error).splitlines()[0]})") from error
        return self._session

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_session"}
