"""Networks of the user's own: modules, ONNX graphs, checkpoints, folders; and what a space keeps of them."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import semblance as sb
from semblance.data.load import load as load_data
from semblance.encoders.files import module_of, read_module
from semblance.encoders.onnx_graph import OnnxGraph
from semblance.encoders.vision.stagenet import stage_net
from semblance.errors import SemblanceError
from semblance.space.model import Model


def scans(n: int = 24):
    return load_data("digits").subset(np.arange(n))


def seeded(make):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make()


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX graph of floats [N, 1, 8, 8], and one of a fixed batch of 4."""
    folder = tmp_path_factory.mktemp("graphs")
    net = seeded(lambda: nn.Sequential(nn.Conv2d(1, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(180, 6))).eval()
    x = torch.zeros(4, 1, 8, 8)
    for name, shapes in (("open.onnx", ({0: torch.export.Dim("n")},)), ("four.onnx", None)):
        torch.onnx.export(net, (x,), folder / name, dynamo=True, dynamic_shapes=shapes, verbose=False)
    save_file(net.state_dict(), folder / "net.safetensors")
    return folder


def reference(folder: Path) -> nn.Module:
    from safetensors.torch import load_file

    net = nn.Sequential(nn.Conv2d(1, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(180, 6)).eval()
    net.load_state_dict(load_file(folder / "net.safetensors"))
    return net


def test_an_onnx_graph_embeds_as_the_network_it_was_made_of(graph: Path) -> None:
    model = sb.wrap(graph / "open.onnx")
    expected = sb.wrap(reference(graph), item=(1, 8, 8)).embed(scans())
    assert model.shape.item == (1, 8, 8)  # the graph says so
    np.testing.assert_allclose(model.embed(scans()), expected, atol=1e-5)


def test_a_graph_of_a_fixed_batch_gets_batches_of_that_size(graph: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Model, "block", 10)  # 24 items come as 10, 10 and 4
        found = sb.wrap(graph / "four.onnx").embed(scans())
    np.testing.assert_allclose(found, sb.wrap(graph / "open.onnx").embed(scans()), atol=1e-5)


def test_a_space_made_from_a_graph_opens_without_its_file(graph: Path, tmp_path: Path) -> None:
    for part in ("open.onnx", "open.onnx.data"):  # torch puts the weights beside the graph
        shutil.copy(graph / part, tmp_path / part)
    copy = tmp_path / "open.onnx"
    model = sb.wrap(copy, mean=[0.3], std=[0.5])
    with sb.fit(scans(), model, out=tmp_path / "a.space") as space:
        first = space.vectors.copy()
        assert 0 <= space.evaluate(scans())["metrics"]["view_recall1"]["value"] <= 1
    copy.unlink()
    copy.with_suffix(".onnx.data").unlink()
    with sb.load(tmp_path / "a.space") as again:
        np.testing.assert_allclose(again.model.embed(scans()), first, atol=1e-6)
        assert again.recipe == "" and again.model.shape.std == (0.5,)


def test_an_exported_model_of_ours_comes_back_with_the_same_answers(tmp_path: Path) -> None:
    """A graph that takes bytes gets the stored items: its preparation is inside."""
    model = sb.wrap(seeded(lambda: stage_net("small", channels=1, width=4)), item=(1, 8, 8), mean=[0.2], std=[0.4])
    model.export(tmp_path / "m.onnx")
    back = sb.wrap(tmp_path / "m.onnx")
    np.testing.assert_allclose(back.embed(scans()), model.embed(scans()), atol=1e-4)
    for one, two in zip(back.embed_views(scans(), np.arange(9)), model.embed_views(scans(), np.arange(9)), strict=True):
        assert (one * two).sum(1).min() > 0.999  # bytes against unrounded views
    back.save(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(sb.wrap(tmp_path / "m.safetensors").embed(scans()), back.embed(scans()))


def test_a_checkpoint_fills_the_backbone_that_is_named_and_the_space_opens_by_itself(tmp_path: Path) -> None:
    net = seeded(lambda: stage_net("resnet18", stride_in_first=False)).eval()
    save_file(net.state_dict(), tmp_path / "weights.safetensors")
    model = sb.wrap(tmp_path / "weights.safetensors", backbone="resnet18", item=(3, 32, 32))
    assert model.shape.mean == (0.485, 0.456, 0.406)  # what such weights expect
    x = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    with sb.fit(x, model, out=tmp_path / "a.space") as space:
        prepared = (torch.from_numpy(x).permute(0, 3, 1, 2) / 255 - torch.tensor(model.shape.mean)[:, None, None]) / (
            torch.tensor(model.shape.std)[:, None, None]
        )
        with torch.inference_mode():
            expected = nn.functional.normalize(net.embed({"x": prepared})).numpy()
        np.testing.assert_allclose(space.vectors, expected, atol=1e-5)
    (tmp_path / "weights.safetensors").unlink()
    with sb.load(tmp_path / "a.space") as again:
        np.testing.assert_allclose(again.model.embed(x), expected, atol=1e-5)


def test_a_model_that_semblance_saved_is_wrapped_as_it_is(tmp_path: Path) -> None:
    with sb.fit(scans(), "supervised", out=tmp_path / "a.space", epochs=1, least=1) as space:
        space.model.save(tmp_path / "model.safetensors")
        again = sb.wrap(tmp_path / "model.safetensors")
        assert again.recipe == "supervised"
        np.testing.assert_array_equal(again.embed(scans()), space.model.embed(scans()))


def test_an_encoder_of_ones_own_is_not_wrapped_twice() -> None:
    net = seeded(lambda: stage_net("small", channels=1, width=4))
    assert sb.wrap(net, item=(1, 8, 8)).network.encoder is net


class Seen(nn.Module):
    """Keeps what it was fed."""

    def __init__(self):
        super().__init__()
        self.fed: list[torch.Tensor] = []

    def forward(self, x):
        self.fed.append(x.detach().clone())
        return x.flatten(1)[:, :4]


def test_views_of_a_wrapped_model_are_not_rounded_to_bytes() -> None:
    module = Seen()
    model = sb.wrap(module, lambda x: x.float() / 255, item=(1, 8, 8))
    plain = sb.wrap(nn.Flatten(), item=(1, 8, 8))
    first, _ = next(model.drawn_views(scans(), np.arange(8)))
    expected, _ = next(plain.drawn_views(scans(), np.arange(8)))
    torch.testing.assert_close(first, expected)
    assert (first * 255 - (first * 255).round()).abs().max() > 0.1


@pytest.mark.parametrize(
    "transform",
    [
        lambda x: x / 255 if x.dtype == torch.uint8 else x,  # as torchvision's ToDtype(scale=True)
        lambda x: torch.linspace(0, 1, 256)[x.long() if x.dtype == torch.uint8 else x],
    ],
)
def test_a_transform_that_only_knows_bytes_gets_bytes(transform) -> None:
    model = sb.wrap(nn.Flatten(), transform, item=(1, 8, 8))
    first, _ = next(model.drawn_views(scans(), np.arange(8)))
    assert (first * 255 - (first * 255).round()).abs().max() < 1e-4 and first.max() <= 1 + 1e-6


def test_files_are_read_at_the_size_of_the_wrapped_model_and_judged_beside_their_own_pixels(tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / "pictures").mkdir()
    for i, picture in enumerate(np.asarray(scans().x)):
        Image.fromarray(picture[0]).resize((30, 20)).save(tmp_path / "pictures" / f"{i:02}.png")
    model = sb.wrap(seeded(lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())), item=(3, 12, 12))
    with sb.fit(tmp_path / "pictures", model, out=tmp_path / "a.space") as space:
        np.testing.assert_allclose(model.embed(tmp_path / "pictures"), space.vectors, atol=1e-6)
        found = space.evaluate()["metrics"]["view_recall1"]  # grey pictures, a model of colours
        assert 0 <= found["value"] <= 1 and 0 <= found["baseline"] <= 1
    with sb.fit(
        scans(), sb.wrap(nn.Flatten(), lambda x: x[:, :, :6].float(), item=(1, 8, 8)), out=tmp_path / "b"
    ) as space:
        assert space.evaluate(scans())["metrics"]["view_recall1"]["baseline"] is not None


def images_folder(tmp_path: Path, **config) -> Path:
    folder = tmp_path / "vit"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    save_file({"w": torch.ones(1)}, folder / "model.safetensors")
    return folder


class Library:
    """What `transformers` answers, as far as it is asked: a model of images with tokens and a configuration."""

    class Vit(nn.Module):
        main_input_name = "pixel_values"

        def __init__(self, width=5, image_size=8):
            super().__init__()
            self.tokens = nn.Conv2d(3, width, 4, 4)
            self.config = SimpleNamespace(image_size=image_size, num_channels=3, model_type="vit")
            self.config.to_diff_dict = lambda: {"width": width}

        def forward(self, pixel_values):
            return SimpleNamespace(last_hidden_state=self.tokens(pixel_values).flatten(2).mT)

    AutoModel = SimpleNamespace(
        from_pretrained=lambda folder, local_files_only, use_safetensors: seeded(Library.Vit),
        from_config=lambda config: Library.Vit(config.width),
    )
    AutoConfig = SimpleNamespace(for_model=lambda model_type, **rest: SimpleNamespace(**rest))


def test_a_transformers_folder_gives_its_pooled_tokens_and_the_space_opens_by_itself(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", Library)
    folder = images_folder(tmp_path, model_type="vit")
    moments = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25]}
    (folder / "preprocessor_config.json").write_text(json.dumps(moments))
    model = sb.wrap(folder)
    assert model.shape.item == (3, 8, 8) and model.shape.mean == (0.5,) * 3 and model.dim == 5
    x = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    net = seeded(Library.Vit)
    with torch.inference_mode():
        tokens = net.tokens((torch.from_numpy(x).permute(0, 3, 1, 2) / 255 - 0.5) / 0.25)
    expected = nn.functional.normalize(tokens.mean((2, 3))).numpy()
    np.testing.assert_allclose(model.embed(x), expected, atol=1e-5)
    model.save(tmp_path / "m.safetensors")
    np.testing.assert_allclose(Model.load(tmp_path / "m.safetensors").embed(x), expected, atol=1e-5)


def test_a_hub_name_is_fetched_only_when_it_is_asked_for(tmp_path: Path, monkeypatch) -> None:
    asked: list[tuple] = []

    def snapshot_download(name, revision, allow_patterns):
        asked.append((name, revision, allow_patterns))
        return str(images_folder(tmp_path))

    monkeypatch.setitem(sys.modules, "transformers", Library)
    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(snapshot_download=snapshot_download))
    assert sb.wrap("hf://owner/name@v2").dim == 5
    assert asked == [("owner/name", "v2", ["*.json", "*.safetensors"])]  # no pickles


def broken_graph(folder: Path) -> Path:
    (folder / "broken.onnx").write_bytes(b"not a graph")
    return folder / "broken.onnx"


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda p: sb.wrap(p / "nothing.onnx"), "give an .onnx graph, a .safetensors checkpoint"),
        (lambda p: sb.wrap(p / "weights.pth"), "is a pickle, and these are never read"),
        (lambda p: sb.wrap(p / "w.safetensors"), "name the row, as wrap(path, backbone='resnet18')"),
        (lambda p: sb.wrap(p / "w.safetensors", backbone="resnet81"), "did you mean resnet8 or resnet18"),
        (lambda p: sb.wrap(p / "w.safetensors", backbone="resnet18"), "plain ResNet"),
        (lambda p: sb.wrap(p / "cut.safetensors", backbone="resnet18"), "cannot be read as safetensors"),
        (lambda p: sb.wrap(p / "cut.safetensors"), "name the row"),
        (lambda p: sb.wrap(p / "notes.txt"), "is no network"),
        (lambda p: sb.wrap(p), "holds no config.json"),
        (lambda p: sb.wrap(broken_graph(p)), "is no whole ONNX graph"),
        (lambda p: OnnxGraph(b"not a graph"), "is no ONNX graph"),
        (lambda p: sb.wrap(broken_graph(p), backbone="resnet18"), "belongs to a .safetensors checkpoint"),
        (lambda p: sb.wrap(nn.Flatten(), backbone="resnet18"), "names the network of a checkpoint"),
        (lambda p: sb.wrap(nn.Flatten(), mean=[0.5]), "mean has 1 numbers for 3 channels"),
        (lambda p: sb.wrap("hf://owner"), "write hf://OWNER/NAME"),
        (lambda p: module_of({"tflite": 1}, {}), "update Semblance"),
    ],
)  # fmt: skip
def test_what_cannot_be_wrapped_is_answered_in_one_line(tmp_path: Path, ask, says: str) -> None:
    save_file({"w": torch.ones(1)}, tmp_path / "w.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(b"\x10")
    (tmp_path / "notes.txt").write_text("no network")
    with pytest.raises(SemblanceError, match=re.escape(says)) as caught:
        ask(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("library", "ask", "extra"),
    [
        ("onnxruntime", lambda p, g: sb.wrap(g / "open.onnx"), "onnx"),
        ("onnx", lambda p, g: sb.wrap(g / "open.onnx"), "onnx"),
        ("transformers", lambda p, g: sb.wrap(images_folder(p)), "text"),
        ("huggingface_hub", lambda p, g: sb.wrap("hf://owner/name"), "hub"),
    ],
)
def test_a_missing_library_names_the_extra(tmp_path: Path, graph: Path, monkeypatch, library, ask, extra) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(SemblanceError, match=rf"pip install 'semblance\[{extra}\]'"):
        ask(tmp_path, graph)


def test_folders_without_safe_weights_or_of_other_inputs_are_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", Library)
    folder = images_folder(tmp_path)
    monkeypatch.setattr(Library.Vit, "main_input_name", "input_ids")
    with pytest.raises(SemblanceError, match="a model of input_ids: models of images"):
        read_module(folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(SemblanceError, match="pickled ones are never read"):
        read_module(folder)


def test_items_that_a_graph_does_not_take_are_named(graph: Path) -> None:
    with pytest.raises(SemblanceError, match=r"does not take items of shape \[1, 9, 9\]"):
        sb.wrap(graph / "open.onnx", item=(1, 9, 9))


def test_a_space_wrapped_with_a_transform_asks_for_it_again(tmp_path: Path) -> None:
    module, transform = nn.Flatten(), lambda x: 1 - x.float() / 255
    with sb.fit(scans(), sb.wrap(module, transform, item=(1, 8, 8)), out=tmp_path / "a.space") as space:
        first = space.vectors.copy()
    with sb.load(tmp_path / "a.space", module) as alone, pytest.raises(SemblanceError, match="transform of yours"):
        _ = alone.model
    with sb.load(tmp_path / "a.space", sb.wrap(module, transform, item=(1, 8, 8))) as again:
        np.testing.assert_allclose(again.model.embed(scans()), first, atol=1e-6)


def test_a_module_that_cannot_take_the_item_is_told_with_the_shape_and_the_remedy() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 8))
    with pytest.raises(SemblanceError, match=r"\(3, 224, 224\) \(taken.*give item="):
        sb.wrap(module)
    with pytest.raises(SemblanceError, match=r"\(3, 8, 8\) \(given"):
        sb.wrap(module, item=(3, 8, 8))
    assert sb.wrap(module, item=(3, 16, 16)).dim == 8
