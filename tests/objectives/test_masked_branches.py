"""Masked branches: what is hidden is not seen, what is seen is not rebuilt, and branches may change places."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from semblance.data.dataset import Shape
from semblance.encoders.vision.patches import Patches
from semblance.errors import SemblanceError
from semblance.objectives.batch_and_queue import QueuedBeside
from semblance.objectives.branches import Copied
from semblance.objectives.codes import Queued
from semblance.objectives.masked_branches import Decoder, MaskedBranches
from semblance.objectives.masks import places
from semblance.recipes.registry import build


def encoder(seed: int = 0) -> Patches:
    torch.manual_seed(seed)
    return Patches(1, patch=4, width=16, blocks=2, heads=2)


def decoder(cross: bool = False) -> Decoder:
    torch.manual_seed(5)
    return Decoder(16, 16, width=16, blocks=1, heads=2, cross=cross)


def batch(views: int = 2, n: int = 6) -> dict:
    generator = torch.Generator().manual_seed(1)
    return {"views": [{"x": torch.randn(n, 1, 16, 16, generator=generator)} for _ in range(views)]}


def loss_of(objective, model, given, seed: int = 0):
    torch.manual_seed(seed)
    return objective(model, given)


def test_the_loss_of_a_masked_autoencoder_is_the_squared_error_where_it_is_hidden():
    model, head, given = encoder(), decoder(), batch(1)
    objective = MaskedBranches((0.75,), decoder=head, normalised=False)
    loss, told = loss_of(objective, model, given)
    torch.manual_seed(0)
    x = given["views"][0]["x"]
    seen, gone = places(6, (4, 4), 0.75)
    guess = head(model.visible(x, seen), seen, (4, 4))
    wanted = model.cut(x)
    expected = torch.stack([(guess[i, gone[i]] - wanted[i, gone[i]]).square().mean() for i in range(6)]).mean()
    torch.testing.assert_close(loss, expected)
    assert told["pixels"] == pytest.approx(float(loss))


@pytest.mark.parametrize("cross", [False, True])
def test_neither_hidden_pixels_reach_the_guess_nor_seen_ones_the_error(cross):
    model, head = encoder(), decoder(cross)
    x = torch.randn(3, 1, 16, 16)
    torch.manual_seed(0)
    seen, gone = places(3, (4, 4), 0.5)
    other = x.clone()
    for i in range(3):
        for place in gone[i].tolist():
            row, column = divmod(place, 4)
            other[i, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] += 100
    assert torch.equal(model.visible(x, seen), model.visible(other, seen)), "hidden patches are not computed"
    objective = MaskedBranches((0.5,), decoder=head, normalised=False)
    loss, _ = loss_of(objective, model, {"views": [{"x": x}]})
    # Seen pixels are no target: only through the guess do they count.
    guess = head(model.visible(x, seen), seen, (4, 4))
    wanted = model.cut(x)
    wanted = wanted.scatter_add(1, seen[..., None].expand(-1, -1, 16), torch.full((3, 8, 16), 50.0))
    error = guess.gather(1, gone[..., None].expand(-1, -1, 16)) - wanted.gather(1, gone[..., None].expand(-1, -1, 16))
    torch.testing.assert_close(loss, error.square().mean())


def joint(ratios=(0.5, 0.5), **how) -> MaskedBranches:
    torch.manual_seed(7)
    return MaskedBranches(
        ratios,
        decoder=decoder(),
        projector=nn.Linear(16, 8),
        contrast=1.0,
        bank=Queued(8, 32, 0.2),
        error="l1",
        **how,
    )


def test_swapping_equal_branches_of_shared_weights_leaves_the_loss_unchanged(monkeypatch):
    model, objective, given = encoder(), joint(), batch()
    masks = [places(6, (4, 4), 0.5) for _ in range(2)]

    def of(order):
        drawn = iter([masks[k] for k in order])
        monkeypatch.setattr("semblance.objectives.masked_branches.places", lambda *a: next(drawn))
        return objective(model, {"views": [given["views"][k] for k in order]})[0]

    torch.testing.assert_close(of([0, 1]), of([1, 0]), rtol=1e-6, atol=1e-6)


def test_with_nothing_hidden_and_no_pixels_it_is_momentum_contrast():
    model, given = encoder(), batch()
    torch.manual_seed(3)
    project, bank = nn.Linear(16, 8), Queued(8, 32, 0.2)
    copied = Copied(encoder(1), nn.Linear(16, 8), 0.9)
    objective = MaskedBranches((0.0, 0.0), projector=project, contrast=1.0, pixels=0.0, bank=bank, teacher=copied)
    loss, _ = objective(model, given)
    a, b = (project(model.embed(view)) for view in given["views"])  # the copy is the network at the first batch
    torch.testing.assert_close(loss, bank(a, b))
    loss.backward()
    assert copied.encoder.embedding.weight.grad is None and project.weight.grad.abs().sum() > 0
    keys = bank.loss.candidates.keys.clone()
    objective.after_step(model, given)
    assert not torch.equal(bank.loss.candidates.keys, keys)


def test_a_reference_reaches_the_last_view_and_only_through_the_decoder_that_looks():
    model, given = encoder(), batch()
    given["views"][0]["x"].requires_grad_()
    for cross in (True, False):
        objective = MaskedBranches((0.0, 0.9), decoder=decoder(cross), normalised=False)
        loss, _ = loss_of(objective, model, given)
        gradient = torch.autograd.grad(loss, given["views"][0]["x"], allow_unused=True)[0]
        reached = 0.0 if gradient is None else float(gradient.abs().sum())
        assert (reached > 0) == cross


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"error": "l3", "decoder": decoder()}, "error of pixels"),
        ({"contrast": 1.0, "decoder": decoder()}, "two views, projector and bank"),
        ({}, "pixels are rebuilt by a decoder"),
        ({"pixels": 0.0}, "both 0"),
    ],
)
def test_settings_that_contradict_are_refused(how, words):
    with pytest.raises(SemblanceError, match=words):
        MaskedBranches(**how)


def test_as_many_ratios_as_views_and_something_hidden_are_asked_for():
    with pytest.raises(SemblanceError, match="2 views and 1 mask"):
        MaskedBranches((0.5,), decoder=decoder())(encoder(), batch())
    with pytest.raises(SemblanceError, match="hide nothing"):
        MaskedBranches((0.0,), decoder=decoder())(encoder(), batch(1))


@pytest.mark.parametrize(("cross", "seen"), [(True, [16, 4]), (False, [4])])
def test_a_view_that_is_seen_whole_and_looked_at_by_nobody_is_not_encoded(cross, seen):
    model, read = encoder(), []
    plain = model.visible
    model.visible = lambda x, places=None: read.append(plain(x, places)) or read[-1]
    loss, _ = loss_of(MaskedBranches((0.0, 0.75), decoder=decoder(cross), normalised=False), model, batch())
    assert [tokens.shape[1] for tokens in read] == seen
    loss.backward()


def test_a_network_without_a_slow_copy_is_told_from_its_batch_as_well_as_from_its_past() -> None:
    torch.manual_seed(0)
    bank = QueuedBeside(8, 32, 0.2)
    a, b = (F.normalize(torch.randn(5, 8).double(), dim=1).requires_grad_() for _ in range(2))
    past = bank.loss.candidates.keys.double()
    plain = F.cross_entropy(torch.cat([a @ b.T, a @ past.T], 1) / 0.2, torch.arange(5))
    torch.testing.assert_close(bank.double()(a, b), plain)
    ours, theirs = (torch.autograd.grad(loss, (a, b)) for loss in (bank(a, b), plain))
    # Of unit vectors only what turns them: the plain formula does not normalise.
    for x, g, h in zip((a, b), ours, theirs, strict=True):
        torch.testing.assert_close(g, h - (h * x).sum(1, keepdim=True) * x)
    shape = Shape("images", (1, 16, 16), 2, 40)
    for momentum, kind in ((0.0, QueuedBeside), (0.99, Queued)):
        assert type(build("macrl", momentum=momentum).stages[0].objective(shape).bank) is kind
