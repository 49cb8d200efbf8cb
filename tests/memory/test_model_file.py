"""The model file: tensors of either library come back, and its name is its content's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from semblance.memory.model_file import model_file, read_model, write_model


def test_torch_and_numpy_tensors_come_back_with_their_types_even_when_they_share_memory(tmp_path: Path) -> None:
    weight = torch.arange(6.0).view(2, 3)
    tensors = {
        "weight": weight,
        "tied": weight,
        "turned": weight.T,
        "half": torch.ones(3, dtype=torch.bfloat16),
        "steps": torch.tensor(7),
        "array": np.arange(3),
    }
    name = write_model(tmp_path, tensors, {"semblance": "{}", "seed": "0"})
    back, meta = read_model(model_file(tmp_path, name))
    assert meta == {"semblance": "{}", "seed": "0"}
    assert back.keys() == tensors.keys()
    for key, tensor in tensors.items():
        wanted = torch.as_tensor(tensor)
        assert back[key].dtype == wanted.dtype
        torch.testing.assert_close(back[key], wanted, rtol=0, atol=0)


def test_the_name_changes_with_the_content_and_with_nothing_else(tmp_path: Path) -> None:
    one = write_model(tmp_path, {"w": np.zeros(3)}, {"a": "1"})
    assert write_model(tmp_path, {"w": np.zeros(3)}, {"a": "1"}) == one
    assert write_model(tmp_path, {"w": np.ones(3)}, {"a": "1"}) != one
    assert write_model(tmp_path, {"w": np.zeros(3)}, {"a": "2"}) != one
    assert len(list(tmp_path.iterdir())) == 3
