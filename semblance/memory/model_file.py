"""Model file: tensors and what they are, in one safetensors file named by the hash of its content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from semblance.errors import Failed
from semblance.memory.atomic import write_file


def write_model(folder: Path, tensors: Mapping[str, Any], meta: Mapping[str, Any]) -> str:
    """Writes numpy or torch tensors with their description, synced -> the hash that names the file."""
    import torch
    from safetensors.torch import save

    # Cloned, since safetensors refuses tensors that share memory, as tied weights do.
    own = {name: torch.as_tensor(tensor).detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    content = save(own, metadata={"semblance": json.dumps(dict(meta), sort_keys=True)})
    name = hashlib.sha256(content).hexdigest()[:32]
    if not model_file(folder, name).exists():
        write_file(model_file(folder, name), content)
    return name


def model_file(folder: Path, name: str) -> Path:
    return folder / f"{name}.safetensors"


def read_model(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Tensors by name (torch, on the CPU) and the description they were written with."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            meta = json.loads((file.metadata() or {}).get("semblance", "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, meta  # noqa: SIM118 - it is no mapping
    except (SafetensorError, OSError, ValueError) as error:
        raise Failed(f"{path}: is damaged or missing ({error}): bring it back from a copy or fit again") from None
