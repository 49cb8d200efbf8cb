"""What skip-gram with negative sampling tends to: the matrix that it factorises, and the same training with everything
counted where it would be drawn.

    loss  = - sum_ij [ m_ij log s(u_i . c_j) + K r_i N_j log s(-u_i . c_j) ],   r_i = sum_j m_ij,   N the noise, of sum 1
    least   u_i . c_j = log m_ij - log r_i - log N_j - log K

m says how often column j is met by row i: edges (LINE), places within the window of a walk, features r steps away (MUSAE).
With tables as wide as m has columns the least is reached wherever m_ij > 0; where nothing is met it lies at minus infinity.

Levy & Goldberg 2014, Neural word embedding as implicit matrix factorization.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
RIDGE = 1e-12
"""Of the trace: where products run off to minus infinity, curvature vanishes."""
MOST = 4.0


def noise_of(frequency: Array, power: float) -> Array:
    """N: frequency^power, of sum 1; what never occurs has none."""
    raised = np.where(frequency > 0, np.maximum(frequency, 1e-300) ** power, 0)
    return np.asarray(raised / raised.sum())


def implied(met: Array, noise: Array, negatives: int) -> Array:
    """met [R, C], noise [C] of sum 1 -> the products u_i . c_j of the least loss, [R, C]; -inf where nothing is met."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.log(met / met.sum(1, keepdims=True)) - np.log(noise) - np.log(negatives))


def expected_loss(products: Array, met: Array, noise: Array, negatives: int) -> float:
    """The loss above at these products u_i . c_j [R, C], where what is met is counted as shares of all."""
    away = negatives * met.sum(1, keepdims=True) * noise
    return float((met * np.logaddexp(0, -products) + away * np.logaddexp(0, products)).sum() / met.sum())


def least(met: Array, noise: Array, negatives: int, dim: int, seed: int, rounds: int = 15) -> tuple[Array, Array]:
    """Vectors [R, dim] and contexts [C, dim], float64, of the least expected loss: in every round each vector, given all
    contexts, takes a Newton step, then each context."""
    rng = np.random.default_rng(seed)
    u, c = (rng.normal(size=(size, dim)) / dim for size in met.shape)
    away = negatives * met.sum(1, keepdims=True) * noise
    for _ in range(rounds):
        u = _newton(u, c, met, away)
        c = _newton(c, u, met.T, away.T)
    return u, c


def _newton(u: Array, c: Array, met: Array, away: Array) -> Array:
    """One step of all rows of u at once; each is a logistic regression on c. No product moves by more than MOST."""
    s = 1 / (1 + np.exp(-u @ c.T))
    slope = ((met + away) * s - met) @ c
    bend = np.einsum("ij,ja,jb->iab", (met + away) * s * (1 - s), c, c)
    bend += RIDGE * np.trace(bend, axis1=1, axis2=2)[:, None, None] * np.eye(u.shape[1])
    step = np.linalg.solve(bend, slope[:, :, None])[:, :, 0]
    largest = np.abs(step @ c.T).max(1, keepdims=True)
    return np.asarray(u - step * np.minimum(1, MOST / np.maximum(largest, MOST)))
