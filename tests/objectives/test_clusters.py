"""Episodes: support and queries are told apart rightly, and the loss falls on tasks that can be learned."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from semblance.data.samplers import Episodes
from semblance.errors import SemblanceError
from semblance.objectives.clusters import Episode, occurrence, task
from semblance.recipes.neighbours import Without
from semblance.recipes.prototypes import Tasks


class Map(nn.Module):
    """A linear encoder of flattened items."""

    def __init__(self, d=16, out=4):
        super().__init__()
        torch.manual_seed(0)
        self.map = nn.Linear(d, out)

    def embed(self, batch):
        return self.map(batch["x"].flatten(1))


def batch(n=24, classes=4, side=4):
    g = torch.Generator().manual_seed(0)
    y = torch.arange(n) % classes
    return {"x": torch.randn(n, 1, side, side, generator=g) + y[:, None, None, None], "labels": y}


def test_occurrence_counts_those_before():
    y = torch.tensor([3, 1, 3, 3, 1, 0])
    assert occurrence(y).tolist() == [0, 0, 1, 2, 1, 0]


def test_the_loss_is_that_of_loops_over_queries():
    model, b = Map(), batch()
    loss, metrics = Episode(shots=2)(model, b)
    z, y = model.embed(b), b["labels"]
    support = {k: [i for i in range(24) if y[i] == k][:2] for k in range(4)}
    means = torch.stack([z[support[k]].mean(0) for k in range(4)])
    each = []
    for i in range(24):
        if i not in support[int(y[i])]:
            each.append(-(-((z[i] - means) ** 2).sum(1)).log_softmax(0)[y[i]])
    torch.testing.assert_close(loss, torch.stack(each).mean())
    assert metrics["loss"] == pytest.approx(float(loss.detach()))


def test_the_order_of_labels_and_their_names_do_not_matter():
    model, b = Map(), batch()
    renamed = {"x": b["x"], "labels": torch.tensor([70, 5, 900, 31])[b["labels"]]}
    torch.testing.assert_close(Episode(2)(model, b)[0], Episode(2)(model, renamed)[0])


def test_turns_make_classes_of_quarter_turns():
    seen = []

    class Watching(Map):
        def embed(self, b):
            seen.append(b["x"])
            return super().embed(b)

    b = batch()
    Episode(2, turns=4)(Watching(), b)
    assert len(seen[0]) == 4 * 24
    torch.testing.assert_close(seen[0][24:48], b["x"].rot90(1, (2, 3)))
    Episode(2, turns=2)(Watching(), b)
    torch.testing.assert_close(seen[1][24:], b["x"].rot90(2, (2, 3)))


def test_training_on_episodes_lowers_the_loss_and_shuffled_support_does_not():
    """Classes are one-hot in 4 of 16 coordinates; the others are loud noise that the map has to learn to leave out."""

    def run(shuffle):
        model, rng = Map(out=4), np.random.default_rng(0)
        optimiser = torch.optim.Adam(model.parameters(), 0.02)
        y = np.arange(200) % 4
        x = rng.normal(size=(200, 16)).astype(np.float32)
        x[:, :4] += 3 * np.eye(4)[y]
        losses = []
        for rows in Episodes(4, 2, 5, 60).epoch(200, y, rng):
            labels = torch.from_numpy(y[rows])
            if shuffle:
                labels = labels[torch.from_numpy(rng.permutation(len(labels)))]
            loss, _ = Episode(2)(model, {"x": torch.from_numpy(x[rows]), "labels": labels})
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(float(loss.detach()))
        return np.mean(losses[-10:])

    assert run(False) < 0.6
    assert run(True) > 1.0


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Episode(turns=3), "turns is 3"),
        (lambda: Episode(distance="euclid"), "euclidean"),
        (lambda: Episode(2, turns=4)(Map(12), {"x": torch.ones(8, 1, 3, 4), "labels": torch.arange(8) % 2}), "turned"),
        (lambda: task(torch.ones(4, 2), torch.arange(4) % 2, 2), "no queries"),
    ],
)
def test_a_wrong_episode_is_answered_with_its_remedy(make, text):
    with pytest.raises(SemblanceError, match=text):
        make()


def test_tasks_shrink_to_what_the_data_has():
    y = np.r_[np.repeat(np.arange(3), [20, 20, 4]), 3]  # the last class has one item and no query
    batches = Tasks(60, 5, 5, 7).epoch(len(y), y, np.random.default_rng(0))
    assert len(batches) == 7
    assert all(set(y[b].tolist()) <= {0, 1, 2} and len(set(y[b].tolist())) >= 2 for b in batches)
    full = np.repeat(np.arange(80), 12)
    (one,) = Tasks(60, 5, 5, 1).epoch(len(full), full, np.random.default_rng(0))
    assert np.bincount(full[one]).tolist().count(10) == 60


def test_held_out_units_are_never_trained_on():
    from semblance.data.samplers import Shuffled
    from semblance.heads.neighbours import held_out

    y = np.random.default_rng(0).integers(-1, 4, size=300)
    drawn = np.concatenate(Without(Shuffled(16, drop_last=False), 0.2).epoch(300, y, np.random.default_rng(1)))
    known = np.flatnonzero(y >= 0)
    assert set(drawn.tolist()) == set(known[~held_out(y[known], 0.2)].tolist())
