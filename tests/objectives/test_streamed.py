"""The streamed contrast against the one that keeps its matrix, for every p, kernel and candidates of the core."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from semblance.errors import SemblanceError
from semblance.objectives import contrast, kernels, neighbours, streamed
from semblance.objectives.bank import Queue, stored
from semblance.objectives.contrast import Contrast, Points, everyone, other_views
from semblance.objectives.divergences import jensen_shannon
from semblance.objectives.kernels import Cosine, Dot, Harmonic, SharedCluster, StudentT
from semblance.objectives.neighbours import Walks, itself, nearest_graph, other_view, own_point, same_class, same_label

GRAPH = nearest_graph(np.random.default_rng(0).normal(size=(40, 3)), 5)
LOSSES = {
    "simclr": lambda: Contrast(other_view, Cosine(0.2)),
    "a very low temperature": lambda: Contrast(other_view, Cosine(0.001)),
    "supcon": lambda: Contrast(same_label, Cosine(0.1)),
    "clip": lambda: Contrast(other_view, Cosine(0.05), candidates=other_views),
    "cross-entropy": lambda: Contrast(same_class, Dot(), candidates=Points(4, 6).double()),
    "harmonic": lambda: Contrast(same_class, Harmonic(2.0), candidates=Points(4, 6).double()),
    "instance discrimination": lambda: Contrast(own_point, Cosine(0.07), candidates=stored),
    "moco": lambda: Contrast(itself, Cosine(0.07), candidates=Queue(30, 6)),
    "look": lambda: Contrast(same_label, nearest=9, restrict=True),
    "sne": lambda: Contrast(neighbours.Gaussian(perplexity=4.0), kernels.Gaussian()),
    "t-sne": lambda: Contrast(neighbours.Gaussian(perplexity=4.0, joint=True), StudentT(), joint=True),
    "pca": lambda: Contrast(itself, kernels.Gaussian(100.0), candidates=everyone),
    "k-means": lambda: Contrast(neighbours.Gaussian(width=1.0, with_self=True), SharedCluster(), candidates=everyone),
    "graph embedding": lambda: Contrast(Walks(GRAPH), Dot(), candidates=everyone),
    "walks among others": lambda: Contrast(Walks(GRAPH), Cosine(0.3)),
    "debiased": lambda: Contrast(other_view, debias=0.4, debias_q=0.2),
    "another divergence": lambda: Contrast(same_label, divergence=jensen_shannon),
    "a matrix of one's own": lambda: Contrast(lambda batch: torch.full((24, 24), 1 / 24), Cosine(0.5)),
}


def a_batch(views: int = 2, unlabelled: int = 0) -> tuple[torch.Tensor, dict]:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(24, 6, generator=generator, dtype=torch.float64, requires_grad=True)
    items = 24 // views
    labels = torch.arange(items) % 4
    labels[:unlabelled] = -1
    return z, {
        "item": torch.arange(items).repeat(views),
        "view": torch.arange(views).repeat_interleave(items),
        "labels": labels.repeat(views),
        "index": torch.randperm(40, generator=generator)[:24],
        "x": torch.randn(24, 3, generator=generator, dtype=torch.float64),
        "bank": torch.randn(40, 6, generator=generator, dtype=torch.float64),
        "keys": torch.randn(24, 6, generator=generator, dtype=torch.float64),
    }


def both(loss: Contrast, monkeypatch, **kind) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Value and gradient with the matrix, and in blocks of two rows."""
    monkeypatch.setattr(streamed, "ENTRIES", 48)
    found = []
    for many in (2048, 1):
        monkeypatch.setattr(contrast, "MANY", many)
        z, batch = a_batch(**kind)
        value = loss(z, batch)
        value.backward()
        found.append((value.detach(), z.grad))
    return found


@pytest.mark.parametrize("name", LOSSES)
def test_streaming_changes_neither_value_nor_gradient(name, monkeypatch):
    plain, ours = both(LOSSES[name](), monkeypatch)
    # p of labels is float32 in the matrix; in tiles it is as precise as z.
    near = {"rtol": 2e-7, "atol": 2e-7} if name == "supcon" else {"rtol": 1e-12, "atol": 1e-12}
    for one, other in zip(ours, plain, strict=True):
        torch.testing.assert_close(one, other, **near)


@pytest.mark.parametrize(
    ("name", "kind"), [("simclr", {"views": 3}), ("clip", {"views": 3}), ("supcon", {"unlabelled": 5})]
)
def test_more_views_and_missing_labels_are_streamed_alike(name, kind, monkeypatch):
    plain, ours = both(LOSSES[name](), monkeypatch, **kind)
    for one, other in zip(ours, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)


def test_a_row_without_a_neighbour_is_left_out(monkeypatch):
    monkeypatch.setattr(contrast, "MANY", 1)
    z, batch = a_batch(unlabelled=5)
    for key in ("item", "view"):
        del batch[key]
    loss = Contrast(same_label)(z, batch)
    known = batch["labels"] >= 0
    monkeypatch.setattr(contrast, "MANY", 2048)
    torch.testing.assert_close(loss, Contrast(same_label)(z, batch), rtol=1e-6, atol=1e-6)
    assert int((~known).sum()) == 10


@pytest.mark.parametrize(
    ("change", "name", "words"),
    [
        ({"labels": torch.arange(24)}, "supcon", "24 of 24 rows are the only one of their label"),
        ({"view": torch.zeros(24)}, "clip", "one view only"),
        ({"labels": torch.full((24,), -1)}, "cross-entropy", "none of the 24 rows has a neighbour"),
    ],
)
def test_a_batch_that_teaches_nothing_is_refused_in_the_same_words(change, name, words, monkeypatch):
    for many in (2048, 1):
        monkeypatch.setattr(contrast, "MANY", many)
        z, batch = a_batch()
        batch |= change
        batch.pop("item" if name == "supcon" else "keys")
        with pytest.raises(SemblanceError, match=words):
            LOSSES[name]()(z, batch)


class Largest(TorchDispatchMode):
    """The largest number of entries that any operation gave."""

    def __init__(self):
        super().__init__()
        self.entries = 0

    def __torch_dispatch__(self, function, types, given=(), named=None):
        answer = function(*given, **(named or {}))
        for each in answer if isinstance(answer, tuple | list) else [answer]:
            if isinstance(each, torch.Tensor):
                self.entries = max(self.entries, each.untyped_storage().nbytes() // each.element_size())
        return answer


@pytest.mark.parametrize("name", ["simclr", "supcon", "clip", "t-sne"])
def test_nothing_of_rows_by_candidates_is_ever_made(name, monkeypatch):
    monkeypatch.setattr(streamed, "ENTRIES", 2**18)
    n = 2304
    z = torch.randn(n, 8, generator=torch.Generator().manual_seed(0), requires_grad=True)
    batch = {
        "item": torch.arange(n // 2).repeat(2),
        "view": torch.arange(2).repeat_interleave(n // 2),
        "labels": torch.arange(n // 2).repeat(2) % 7,
        "x": torch.randn(n, 2, generator=torch.Generator().manual_seed(1)),
    }
    with Largest() as most:
        LOSSES[name]()(z, batch).backward()
    assert 0 < most.entries < n * n / 8


def test_products_in_bfloat16_come_near_and_others_are_refused():
    n = 2048
    z = torch.randn(n, 32, generator=torch.Generator().manual_seed(0))
    batch = {"item": torch.arange(n // 2).repeat(2)}
    full, low = (Contrast(other_view, products=kind)(z, batch) for kind in ("float32", "bfloat16"))
    assert 0 < abs(float(full - low)) < 5e-3
    with pytest.raises(SemblanceError, match="bfloat16"):
        Contrast(other_view, products="bfloat")
