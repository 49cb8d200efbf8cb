"""Neural snowflakes: learned functions of a distance."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semblance.errors import SemblanceError
from semblance.geometry.snowflake import Snowflake, Snowflaked


def flake(seed=0, **settings):
    generator = torch.Generator().manual_seed(seed)
    made = Snowflake(**{"p": 0.0, "generator": generator, **settings}).double()
    with torch.no_grad():
        made.exponents.copy_(torch.randn(made.exponents.shape, generator=generator, dtype=torch.float64))
    return made


@settings(max_examples=20)
@given(seed=st.integers(0, 999), layers=st.integers(1, 3), psi=st.sampled_from(["smooth", "stable"]))
def test_f_is_zero_at_zero_and_never_falls(seed, layers, psi):
    for p in (0.0, 0.7):
        made = flake(seed, layers=layers, psi=psi, p=p)
        with torch.no_grad():
            value = made(torch.linspace(0, 30, 500, dtype=torch.float64))
        assert float(value[0]) == 0 and float(value[1]) > 0 and float(value.diff().min()) > -1e-12 * float(value[-1])


@settings(max_examples=20)
@given(seed=st.integers(0, 999), psi=st.sampled_from(["smooth", "stable"]))
def test_without_an_outer_power_the_triangle_inequality_holds(seed, psi):
    made = Snowflaked(3, flake(seed, psi=psi))
    x, y, z = torch.randn(3, 2000, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        assert float((made(x, z) - made(x, y) - made(y, z)).max()) < 1e-9


def test_an_outer_power_breaks_it():
    x = torch.arange(3, dtype=torch.float64)[:, None] * 2
    metric = Snowflaked(1, flake(p=9.0))
    with torch.no_grad():
        assert float(metric(x[0], x[2])) > float(metric(x[0], x[1]) + metric(x[1], x[2]))


def test_one_layer_is_the_formula():
    made = flake(3, layers=1, width=2, p=0.5)
    a, b = made.exponents[0].sigmoid().tolist()
    t, total = 1.7, 0.0
    for unit in range(2):
        u = made.a[0][unit, 0].abs().item() * t
        parts = (1 - math.exp(-u), u**a, math.log(1 + u) ** b)
        total += made.b[0][0, unit].abs().item() * sum(
            c * v for c, v in zip(made.c[0][0].abs().tolist(), parts, strict=True)
        )
    assert made(torch.tensor(t, dtype=torch.float64)).item() == pytest.approx(total**1.5)


@pytest.mark.parametrize("psi", ["smooth", "stable"])
def test_gradients_are_right_and_finite_where_points_meet(psi):
    made = flake(1, psi=psi, p=0.3)
    t = torch.tensor([0.3, 1.4, 6.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(made, t)
    x = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    Snowflaked(3, made)(x, torch.tensor([[0.0, 0, 0], [1, 2, 2]], dtype=torch.float64)).sum().backward()
    assert bool(x.grad.isfinite().all()) and not x.grad[0].any() and bool(x.grad[1].any())
    assert all(bool(p.grad.isfinite().all()) for p in made.parameters())


def test_p_of_zero_has_no_gradient_to_leave_it_by():
    made = flake(p=0.0)
    made(torch.tensor([2.0], dtype=torch.float64)).sum().backward()
    assert float(made.p.grad) == 0
    assert not Snowflake(learn_p=False).p.requires_grad


def test_what_is_no_snowflake_is_refused():
    with pytest.raises(SemblanceError, match="smooth"):
        Snowflake(psi="smoth")
    with pytest.raises(SemblanceError, match="0 layers"):
        Snowflake(layers=0)
