"""Relative codes: what leaves them as they are, what does not, and how anchors are chosen."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from semblance.errors import SemblanceError
from semblance.memory.anchors import SIMILARITIES, WAYS, Relative, choose_anchors

CHANCE = torch.Generator().manual_seed(0)
Z, ANCHORS = (torch.randn(n, 6, generator=CHANCE, dtype=torch.float64) for n in (20, 9))
MAPS = {
    "turn": lambda z, q, shift: z @ q,
    "mirror": lambda z, q, shift: z * torch.tensor([-1.0, 1, 1, 1, 1, 1], dtype=z.dtype),
    "scale": lambda z, q, shift: 3.7 * z,
    "shift": lambda z, q, shift: z + shift,
}
INDIFFERENT = {
    ("cosine", False): {"turn", "mirror", "scale"},
    ("cosine", True): {"turn", "mirror", "scale", "shift"},
    ("inner", False): {"turn", "mirror"},
    ("inner", True): {"turn", "mirror", "shift"},
    ("closeness", False): {"turn", "mirror", "shift"},
    ("closeness", True): {"turn", "mirror", "shift"},
}


@pytest.mark.parametrize("kind", INDIFFERENT, ids=str)
@given(seed=st.integers(0, 2**20))
def test_codes_are_indifferent_to_exactly_the_maps_that_their_similarity_forgets(
    kind: tuple[str, bool], seed: int
) -> None:
    draw = torch.Generator().manual_seed(seed)
    turn = torch.linalg.qr(torch.randn(6, 6, generator=draw, dtype=torch.float64))[0]
    shift = torch.randn(6, generator=draw, dtype=torch.float64)
    before = Relative(ANCHORS, *kind)(Z)
    for name, move in MAPS.items():
        after = Relative(move(ANCHORS, turn, shift), *kind)(move(Z, turn, shift))
        change = float((after - before).abs().max())
        assert (change < 1e-8) == (name in INDIFFERENT[kind]), (name, change)


def test_a_shear_changes_the_codes() -> None:
    shear = torch.eye(6, dtype=torch.float64)
    shear[0, 1] = 1.0
    assert (Relative(ANCHORS @ shear)(Z @ shear) - Relative(ANCHORS)(Z)).abs().max() > 0.01


def test_a_code_is_the_cosine_with_each_anchor() -> None:
    slow = torch.tensor([[float(z @ a / (z.norm() * a.norm())) for a in ANCHORS] for z in Z])
    torch.testing.assert_close(Relative(ANCHORS)(Z).float(), slow)


def test_anchors_encoded_just_now_stand_in_for_those_kept_and_pass_a_gradient() -> None:
    live = ANCHORS.clone().requires_grad_()
    code = Relative(torch.zeros_like(ANCHORS))(Z, live)
    torch.testing.assert_close(code, Relative(ANCHORS)(Z))
    code.sum().backward()
    assert live.grad is not None and live.grad.abs().sum() > 0


def test_rounded_codes_lie_on_steps_and_keep_the_gradient() -> None:
    z = Z.clone().requires_grad_()
    code = Relative(ANCHORS, steps=8)(z)
    torch.testing.assert_close(code * 8, (code * 8).round())
    assert (code - Relative(ANCHORS)(Z)).abs().max() <= 0.5 / 8 + 1e-9
    code.sum().backward()
    plain = Z.clone().requires_grad_()
    Relative(ANCHORS)(plain).sum().backward()
    torch.testing.assert_close(z.grad, plain.grad)


@pytest.mark.parametrize("how", WAYS)
def test_anchors_are_different_items_and_the_same_for_a_seed(how: str) -> None:
    z = np.random.default_rng(1).normal(size=(60, 5))
    for count in (1, 7, 60):
        found = choose_anchors(z, count, np.random.default_rng(3), how)
        assert len(set(found.tolist())) == count and (np.diff(found) > 0).all()
        assert (found == choose_anchors(z, count, np.random.default_rng(3), how)).all()


def test_farthest_anchors_find_every_cluster_before_a_second_item_of_one() -> None:
    rng = np.random.default_rng(0)
    centres = np.eye(6)
    z = np.repeat(centres, [50, 50, 50, 2, 2, 2], axis=0) + 0.01 * rng.normal(size=(156, 6))
    cluster = F.normalize(torch.from_numpy(z), dim=1).argmax(1).numpy()
    found = choose_anchors(z, 6, np.random.default_rng(0), "farthest")
    assert set(cluster[found]) == set(range(6))
    assert set(cluster[choose_anchors(z, 6, np.random.default_rng(0), "kmeans")]) == set(range(6))


def test_copies_of_an_item_are_chosen_last() -> None:
    z = np.concatenate([np.ones((5, 3)), np.eye(3)])
    assert set(choose_anchors(z, 4, np.random.default_rng(0), "farthest")) >= {5, 6, 7}


def test_what_cannot_be_said_is_refused() -> None:
    with pytest.raises(SemblanceError, match="did you mean cosine"):
        Relative(ANCHORS, "cosin")
    with pytest.raises(SemblanceError, match="give vectors"):
        Relative(torch.zeros(0, 3))
    with pytest.raises(SemblanceError, match="-1 steps"):
        Relative(ANCHORS, steps=-1)
    with pytest.raises(SemblanceError, match="61 anchors of 60"):
        choose_anchors(np.zeros((60, 2)), 61, np.random.default_rng(0))
    with pytest.raises(SemblanceError, match="way to choose"):
        choose_anchors(np.zeros((60, 2)), 6, np.random.default_rng(0), "best")
    assert set(SIMILARITIES) == {"cosine", "inner", "closeness"}
