"""Recurrent: one layer applied again and again, with the same weights, until states settle or a number of steps has passed.

    fixed-point     h = tanh( mean over u of A h_u + B x_v ),  |A| < 1: one state that all steps lead to     GNN*
    gated           h <- GRU( sum over u of W h_u, h ),  h_0 = x                                             GGNN
    steady-state    h_v <- (1 - a) h_v + a W_1 relu( W_2 [x_v | mean of x_u | mean of h_u] )                 SSE

The state of fixed-point does not depend on where it starts, and its gradient is that of the equation rather than of the
steps, found as a fixed point too, so that nothing of the steps is kept. In training steady-state renews a random share of
the nodes a step. References: Scarselli et al. 2009, IEEE TNN 20; Li et al. 2016, arXiv:1511.05493; Dai et al. 2018, PMLR
80."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from semblance.encoders.graphs.message import linear
from semblance.encoders.graphs.operators import operator_of
from semblance.errors import SemblanceError
from semblance.geometry.graph import Graph
from semblance.geometry.products import spread

STEPS = 100  # of the search for a fixed point, which a bound of 0.9 brings to a ten-thousandth


class FixedPoint(nn.Module):
    """bound: of the norm of A, below 1; tolerance: the largest change of a state at which the search ends."""

    def __init__(self, inputs: int, dim: int, bound: float = 0.9, tolerance: float = 1e-5):
        super().__init__()
        if not 0 < bound < 1:
            raise SemblanceError(f"bound is {bound}, and steps lead to one state where it is below 1: give 0 to 1")
        self.around, self.itself = linear(dim, dim, bias=False), linear(inputs, dim)
        self.bound, self.tolerance, self.dim = bound, tolerance, dim

    def forward(self, x: Tensor, graph: Graph) -> Tensor:
        """[V, f] -> [V, dim]."""
        mean = operator_of(graph.without_weights(), "row")
        weight = self.weight()
        drive = self.itself(x)
        with torch.no_grad():
            state = torch.zeros_like(drive)
            for _ in range(STEPS):
                after = torch.tanh(mean(state @ weight.T) + drive)
                change = (after - state).abs().max() if len(state) else after.new_zeros(())
                state = after
                if change < self.tolerance:
                    break
        if not torch.is_grad_enabled():
            return state
        start = state.detach().requires_grad_()
        settled = torch.tanh(mean(start @ weight.T) + drive)
        bend = 1 - state * state
        fixed = weight.detach()

        def of_equation(given: Tensor) -> Tensor:
            """g = given + J^T g, whose step is that of the transposed layer."""
            total = given
            for _ in range(STEPS):
                after = given + mean.T(total * bend) @ fixed
                change = (after - total).abs().max() if len(total) else after.new_zeros(())
                total = after
                if change <= self.tolerance * given.abs().max():
                    break
            return total

        if settled.requires_grad:
            settled.register_hook(of_equation)
        return settled

    def weight(self) -> Tensor:
        """A: the map, shortened where its norm is above the bound."""
        norm = torch.linalg.matrix_norm(self.around.weight, 2)
        return self.around.weight * (self.bound / norm).clamp(max=1.0)


class Gated(nn.Module):
    """steps of a gated recurrent unit that hears the sum of its neighbours; x is of the states' width."""

    def __init__(self, dim: int, steps: int = 5):
        super().__init__()
        if steps < 1:
            raise SemblanceError(f"{steps} steps: give 1 or more")
        self.message, self.cell = linear(dim, dim, bias=False), nn.GRUCell(dim, dim)
        self.steps, self.dim = steps, dim

    def forward(self, x: Tensor, graph: Graph) -> Tensor:
        """[V, dim] -> [V, dim]."""
        for _ in range(self.steps):
            x = self.cell(spread(graph.rows(), graph.columns(), self.message(x)), x)
        return x


class SteadyState(nn.Module):
    """rate: a; share: of the nodes that a step renews in training."""

    def __init__(self, inputs: int, dim: int, steps: int = 8, rate: float = 0.5, share: float = 0.5):
        super().__init__()
        if not 0 < rate <= 1 or not 0 < share <= 1 or steps < 1:
            raise SemblanceError(f"{steps} steps of rate {rate} over a share {share}: give 1 or more, and above 0 to 1")
        self.inner, self.outer = linear(2 * inputs + dim, dim), linear(dim, dim)
        self.steps, self.rate, self.share, self.dim = steps, rate, share, dim

    def forward(self, x: Tensor, graph: Graph) -> Tensor:
        """[V, f] -> [V, dim]."""
        mean = operator_of(graph.without_weights(), "row")
        own = torch.cat([x, mean(x)], 1)
        state = x.new_zeros(len(x), self.dim)
        for _ in range(self.steps):
            found = self.outer(torch.relu(self.inner(torch.cat([own, mean(state)], 1))))
            rate = self.rate
            if self.training and self.share < 1:
                rate = self.rate * (torch.rand(len(x), 1) < self.share).to(x)
            state = state + rate * (found - state)
        return state
