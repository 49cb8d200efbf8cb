"""Model file: tensors and what they are, in one safetensors file named by the hash of its content."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from semblance.errors import Failed
from semblance.memory.atomic import write_file


def write_model(folder: Path, tensors: Mapping[str, Any], meta: Mapping[str, str]) -> str:
    """Writes numpy or torch tensors and the text entries of the header, synced -> the hash that names the file."""
    content = packed(tensors, dict(meta))
    name = hashlib.sha256(content).hexdigest()[:32]
    if not model_file(folder, name).exists():
        write_file(model_file(folder, name), content)
    return name


def packed(tensors: Mapping[str, Any], meta: dict[str, str]) -> bytes:
    if all(isinstance(tensor, np.ndarray) for tensor in tensors.values()):
        from safetensors.numpy import save as save_arrays

        return save_arrays({name: np.ascontiguousarray(array) for name, array in tensors.items()}, metadata=meta)
    import torch
    from safetensors.torch import save

    # Cloned, since safetensors refuses tensors that share memory, as tied weights do.
    own = {name: torch.as_tensor(tensor).detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    return save(own, metadata=meta)


def model_file(folder: Path, name: str) -> Path:
    return folder / f"{name}.safetensors"


def read_model(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Tensors by name (torch, on the CPU) and the text entries of the header."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
            return tensors, dict(file.metadata() or {})
    except (SafetensorError, OSError, RuntimeError) as error:  # the last: gone between its being found and opened
        raise Failed(f"{path}: is damaged or missing ({error}): bring it back from a copy or fit again") from None
