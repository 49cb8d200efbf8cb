"""Probes: what a linear map reads from frozen embeddings.

    logistic   min over W of mean CE(softmax(z W + b), y) + l2/2 |W|^2      one class per unit
               the same with a sigmoid per class, summed                     several classes per unit
    ridge      min over w of mean (z w + b - y)^2 + l2 |w|^2                 numbers

Several strengths l2 are fitted at once by L-BFGS, each with its own step lengths: every pass over z serves all of them, so
six cost less than two alone. Columns are standardised first, so inputs as they are and standardised are one. The strength
is chosen on a fifth of the training units, then the map is fitted again on all.

References: Liu & Nocedal 1989 (L-BFGS).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

STRENGTHS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
ROWS = 2048  # of z at a time: what a pass computes from them stays in the cache
MEMORY = 10
ARMIJO = 1e-4


@dataclass(frozen=True)
class Fitted:
    """weights [s, d, K], bias [s, K], loss [s] (with the penalty), passes over the data."""

    weights: Tensor
    bias: Tensor
    loss: Tensor
    passes: int

    def scores(self, z: Tensor, strength: int = 0) -> Tensor:
        """[N, d] -> [N, K] of one strength."""
        return z @ self.weights[strength] + self.bias[strength]


class _Loss:
    """Mean loss and its gradient for some of the strengths, reading z once per call, block by block. W is [s, K, d + 1]."""

    def __init__(self, z: Tensor, target: Tensor, strengths: Tensor, several: bool):
        self.z, self.target, self.several, self.passes = z, target, several, 0
        self.l2 = torch.cat([strengths[:, None].expand(-1, z.shape[1] - 1), torch.zeros(len(strengths), 1)], 1)[:, None]

    def __call__(self, w: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
        """W of the strengths at these positions [s] -> loss [s], gradient [s, K, d + 1]."""
        self.passes += 1
        s, classes, d = w.shape
        l2 = self.l2[which]
        flat = w.reshape(s * classes, d)
        gradient, loss = torch.zeros_like(flat), torch.zeros(s, dtype=torch.float64)
        for row in range(0, len(self.z), ROWS):
            z, y = self.z[row : row + ROWS], self.target[row : row + ROWS].T
            # Units stand last: sums over classes then run over whole rows, and residual z is several times faster
            # than z' residual, which has few columns.
            logits = (flat @ z.T).view(s, classes, -1)
            loss += self._into_residual(logits, y)
            gradient.addmm_(logits.view(s * classes, -1), z)
        n = len(self.z)
        return loss / n + (l2 * w * w).sum((1, 2)).double() / 2, gradient.view_as(w) / n + l2 * w

    def _into_residual(self, logits: Tensor, y: Tensor) -> Tensor:
        """[s, K, r] becomes p - y in place -> loss [s]."""
        if self.several:
            loss = (torch.nn.functional.softplus(logits) - logits * y).sum((1, 2))
            logits.sigmoid_().sub_(y)
            return loss
        right = (logits * y).sum(1)
        top = logits.amax(1, keepdim=True)
        total = logits.sub_(top).exp_().sum(1, keepdim=True)
        loss = (total.log() + top)[:, 0] - right
        logits.div_(total).sub_(y)
        return loss.sum(1)


def fit_logistic(
    z: Tensor,
    target: Tensor,
    strengths: Sequence[float] = STRENGTHS,
    *,
    several: bool = False,
    start: Fitted | None = None,
    most: int = 140,
    tolerance: float = 1e-6,
) -> Fitted:
    """z [N, d], target [N, K] of 0 and 1 (one 1 per row unless `several`) -> all strengths fitted.

    Stops when |gradient|^2 has fallen to `tolerance`^2 of its first value for every strength, or the loss no longer falls,
    or after `most` steps; a strength that is done stays.
    """
    z = torch.cat([z, torch.ones(len(z), 1)], 1)
    f = _Loss(z, target.float(), torch.tensor(list(strengths)), several)
    w = torch.zeros(len(strengths), target.shape[1], z.shape[1])
    if start is not None:
        w = torch.cat([start.weights.transpose(1, 2), start.bias[:, :, None]], 2)
    active = torch.arange(len(strengths))
    loss, g = f(w, active)
    enough = tolerance**2 * _dot(g, g).clamp_min(1e-30)[:, 0, 0]
    history: list[tuple[Tensor, Tensor, Tensor]] = []
    for _ in range(most):
        direction = _direction(g, history)
        slope = _dot(g, direction)[:, 0, 0]
        length = torch.zeros(len(strengths))
        length[active] = 1.0 if history else 1 / _dot(g, g)[active, 0, 0].sqrt().clamp_min(1.0)
        ahead, loss_ahead, g_ahead = w.clone(), loss.clone(), g.clone()
        trying = active
        for _ in range(20):
            # Only strengths whose step was too long are tried again: the others would pay for every shorter step.
            ahead[trying] = w[trying] + length[trying, None, None] * direction[trying]
            loss_ahead[trying], g_ahead[trying] = f(ahead[trying], trying)
            trying = trying[loss_ahead[trying] > loss[trying] + ARMIJO * (length * slope)[trying] + 1e-9]
            if not len(trying):
                break
            length[trying] /= 2
        ahead[trying], loss_ahead[trying], g_ahead[trying] = w[trying], loss[trying], g[trying]
        step, change = ahead - w, g_ahead - g
        curvature = _dot(step, change)
        history.append((step, change, torch.where(curvature > 1e-12, 1 / curvature, torch.zeros(()))))
        history = history[-MEMORY:]
        ended = (_dot(g_ahead, g_ahead)[:, 0, 0] <= enough) | ((loss - loss_ahead).abs() < 1e-8 * loss.abs())
        w, g, loss = ahead, g_ahead, loss_ahead
        active = active[~ended[active]]
        if not len(active):
            break
    return Fitted(w[:, :, :-1].transpose(1, 2).contiguous(), w[:, :, -1].contiguous(), loss, f.passes)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum((1, 2), keepdim=True)


def _direction(g: Tensor, history: list[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
    """The two-loop recursion for every strength at once."""
    q, used = g, []
    for step, change, scale in reversed(history):
        a = scale * _dot(step, q)
        q = q - a * change
        used.append(a)
    if history:
        step, change, scale = history[-1]
        size = _dot(change, change)
        q = q * torch.where((scale > 0) & (size > 0), 1 / (scale * size).clamp_min(1e-30), torch.ones(()))
    for (step, change, scale), a in zip(history, reversed(used), strict=True):
        q = q + step * (a - scale * _dot(change, q))
    return -q


@dataclass(frozen=True)
class Standard:
    """Columns to mean 0 and deviation 1, constant ones to 0."""

    mean: Tensor
    scale: Tensor

    @classmethod
    def of(cls, z: np.ndarray) -> Standard:
        x = torch.as_tensor(z).float()
        deviation = x.std(0, correction=0)
        flat = deviation <= 1e-6 * deviation.max()
        return cls(x.mean(0), torch.where(flat, 0.0, 1 / deviation.clamp_min(torch.finfo(x.dtype).tiny)))

    def __call__(self, z: np.ndarray) -> Tensor:
        return (torch.as_tensor(z).float() - self.mean) * self.scale


def class_scores(
    train_z: np.ndarray, train_y: np.ndarray, test_z: np.ndarray, seed: int = 0, strengths: Sequence[float] = STRENGTHS
) -> tuple[np.ndarray, float]:
    """Labels [N] int or [N, K] bool, all known -> logits of the test units [Q, K] and the strength chosen."""
    several = np.ndim(train_y) == 2
    y = torch.as_tensor(np.asarray(train_y))
    target = y.float() if several else torch.nn.functional.one_hot(y.long()).float()
    standard = Standard.of(train_z)
    z = standard(train_z)
    fit, held = _parts(train_y, seed)
    first = fit_logistic(z[fit], target[fit], strengths, several=several)
    quality = []
    for i in range(len(strengths)):
        logits = first.scores(z[held], i)
        if several:
            right = ((logits > 0) == (target[held] > 0)).float().mean()
        else:
            right = (logits.argmax(1) == y[held]).float().mean()
        quality.append(float(right))
    best = int(np.argmax(quality))  # the first of equals: the strongest
    start = Fitted(first.weights[best : best + 1], first.bias[best : best + 1], first.loss[best : best + 1], 0)
    final = fit_logistic(z, target, strengths[best : best + 1], several=several, start=start)
    return final.scores(standard(test_z)).numpy(), float(strengths[best])


def ridge_values(
    train_z: np.ndarray, train_y: np.ndarray, test_z: np.ndarray, seed: int = 0
) -> tuple[np.ndarray, float]:
    """Numbers [N] -> predictions [Q] and the strength chosen, from one eigendecomposition per fit for all strengths."""
    standard = Standard.of(train_z)
    z, y = standard(train_z).double(), torch.as_tensor(np.asarray(train_y)).double()
    strengths = torch.tensor([10.0 ** (e / 2) for e in range(-12, 7)], dtype=torch.float64)
    fit, held = _parts(train_y, seed)
    weights, bias = _ridge(z[fit], y[fit], strengths)
    error = ((z[held] @ weights + bias - y[held, None]) ** 2).mean(0)
    best = int(error.argmin())
    weights, bias = _ridge(z, y, strengths[best : best + 1])
    return (standard(test_z).double() @ weights + bias)[:, 0].numpy(), float(strengths[best])


def _ridge(z: Tensor, y: Tensor, strengths: Tensor) -> tuple[Tensor, Tensor]:
    """-> weights [d, s], bias [s]."""
    mean, middle = z.mean(0), y.mean()
    centred = z - mean
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(z))
    along = vectors.T @ (centred.T @ (y - middle) / len(z))
    weights = vectors @ (along[:, None] / (values.clamp_min(0)[:, None] + strengths))
    return weights, middle - mean @ weights


def _parts(y: np.ndarray, seed: int, share: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    """Positions to fit on and to choose on: a random fifth, of each class where there is one per unit."""
    y = np.asarray(y)
    order = np.random.default_rng([seed, 1]).permutation(len(y))
    if y.ndim == 1 and y.dtype.kind in "iu":
        order = order[np.argsort(y[order], kind="stable")]
    held = order[:: round(1 / share)] if len(order) > round(1 / share) else order
    fit = np.setdiff1d(order, held) if len(held) < len(order) else order
    return np.sort(fit), np.sort(held)
