from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from semblance.errors import SemblanceError
from semblance.learning.checkpoint import Place, restore, save


def stepped() -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    net = nn.Linear(3, 2)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.1)
    net(torch.ones(4, 3)).square().sum().backward()
    optimizer.step()
    return net, optimizer


def test_what_was_saved_comes_back_and_the_next_step_is_the_same(tmp_path: Path) -> None:
    net, optimizer = stepped()
    place = Place(epoch=2, step=3, done=11, seconds=1.25, sums={"loss": 0.1}, history=[{"epoch": 1.0}])
    save(tmp_path / "a.safetensors", net, optimizer, place, "run")
    other = nn.Linear(3, 2)
    fresh = torch.optim.Adam(other.parameters(), lr=0.1)
    assert restore(tmp_path / "a.safetensors", other, fresh, "run") == place
    for module, stepper in ((net, optimizer), (other, fresh)):
        stepper.zero_grad()
        module(torch.ones(4, 3)).square().sum().backward()
        stepper.step()
    assert torch.equal(net.weight, other.weight)


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam])
def test_the_optimiser_s_state_comes_back_in_the_layout_of_its_parameters(kind: type, tmp_path: Path) -> None:
    def made() -> tuple[nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(0)
        net = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
        return net, kind(net.parameters(), lr=0.1, fused=True, **({"momentum": 0.9} if kind is torch.optim.SGD else {}))

    def step(net: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad()
        net(torch.arange(300.0).view(1, 3, 10, 10).sin()).square().sum().backward()
        optimizer.step()

    net, optimizer = made()
    step(net, optimizer)
    save(tmp_path / "a.safetensors", net, optimizer, Place(), "run")
    other, fresh = made()
    restore(tmp_path / "a.safetensors", other, fresh, "run")
    step(net, optimizer)
    step(other, fresh)
    assert torch.equal(net.weight, other.weight)


def test_another_runs_checkpoint_is_refused(tmp_path: Path) -> None:
    net, optimizer = stepped()
    save(tmp_path / "a.safetensors", net, optimizer, Place(), "run")
    with pytest.raises(SemblanceError, match="another run"):
        restore(tmp_path / "a.safetensors", net, optimizer, "other")


def test_a_truncated_checkpoint_is_refused_with_its_name(tmp_path: Path) -> None:
    net, optimizer = stepped()
    file = tmp_path / "a.safetensors"
    save(file, net, optimizer, Place(), "run")
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(SemblanceError, match=r"a\.safetensors"):
        restore(file, net, optimizer, "run")


def test_no_half_written_file_stays_when_the_folder_cannot_be_written(tmp_path: Path) -> None:
    net, optimizer = stepped()
    (tmp_path / "a.safetensors").mkdir()
    with pytest.raises(SemblanceError, match="another --out"):
        save(tmp_path / "a.safetensors", net, optimizer, Place(), "run")
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]
