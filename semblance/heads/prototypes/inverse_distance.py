"""Stored keys that answer by how near they are: attention whose keys become prototypes, and classifiers mended by hand.

    a_i = softmax over i of score(q, k_i),   logits = sum_i a_i v_i;   score = -log(eps + |q - k|^p): a_i = w_i / sum w

with w_i = 1 / (eps + |q - k_i|^p), Shepard's interpolation: near a key its value alone is the answer, so keys go where
the data are. The other scores of `similarities.py` stand behind the same call, as does a layer of ReLUs.

`augment` puts a special case in by hand: a key at x0 with the value eta onehot(c), eta = (1 + eps A)(max_j l_j - l_c),
A the sum of the weights at x0, l the logits there; class c then leads at x0 by (max_j l_j - l_c) / (1 + eps A), and
everything else there is scaled alike. What was put in can be taken out. Reference: McCarter 2023, Inverse distance
weighting attention, arXiv:2310.18805.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from semblance.contracts import Batch
from semblance.errors import SemblanceError
from semblance.heads.classify import named
from semblance.heads.prototypes.similarities import score_named

EPS = 1e-3
NOISE = 0.1  # of the data's deviation, around its mean, where keys start
MARGIN = 1e-3  # by which a new value is larger than what makes its class and the best one equal


class StoredKeys(nn.Module):
    """Keys [n, dim] and values [n, classes], which are all there is to learn. score: inverse, plain, squared, gaussian,
    dot,
    cosine, or relu for a hidden layer of ReLUs instead of attention."""

    added: Tensor

    def __init__(
        self,
        dim: int,
        classes: int,
        keys: int = 20,
        score: str = "inverse",
        eps: float = EPS,
        power: float = 2,
        names: Sequence[str] = (),
    ):
        super().__init__()
        if min(classes, keys) < 1:
            raise SemblanceError(f"{keys} keys for {classes} classes: give 1 or more of each")
        self.kind, self.eps, self.power, self.names = score, eps, power, tuple(names)
        self.score = (lambda q, k: q @ k.mT) if score == "relu" else score_named(score, eps, power)
        self.keys = nn.Parameter(NOISE * torch.randn(keys, dim))
        self.values = nn.Parameter(torch.zeros(keys, classes))
        if score == "relu":  # zero on both sides would be a point where nothing moves
            nn.init.normal_(self.keys, std=dim**-0.5)
            nn.init.normal_(self.values, std=keys**-0.5)
        self.register_buffer("added", torch.zeros(keys, dtype=torch.bool))
        self.register_load_state_dict_pre_hook(_room_for_loaded)

    @torch.no_grad()
    def solve(self, z: Tensor, labels: Tensor) -> dict[str, float]:
        """Where the keys start: the mean of [N, dim] with a tenth of its deviation of the noise they were drawn
        with."""
        if self.kind != "relu":
            self.keys.mul_(z.std(0)).add_(z.mean(0))
        return {"keys": float(len(self.keys))}

    def shares(self, z: Tensor) -> Tensor:
        """[N, dim] -> [N, n]: how much of each answer comes from each key (of ReLUs, how strongly each is on)."""
        found = self.score(z, self.keys)
        return found.relu() if self.kind == "relu" else found.softmax(1)

    def forward(self, z: Tensor, batch: Batch) -> Tensor:
        """-> logits [N, K]."""
        return self.shares(z.flatten(1)) @ self.values

    def decode(self, logits: Tensor) -> list[str] | list[int]:
        """[N, K] -> the best class of each item."""
        return named(logits.argmax(1).tolist(), self.names)

    def weights(self, z: Tensor) -> Tensor:
        """[N, dim] -> w [N, n], before they are divided by their sum."""
        return self.score(z.flatten(1), self.keys).exp()

    @torch.no_grad()
    def augment(self, z: Tensor, c: int) -> bool:
        """One vector [dim] that is to be class c. Whether anything had to be put in: not where c wins already."""
        if self.kind != "inverse":
            raise SemblanceError(f"keys scored by {self.kind} cannot be mended one by one: take score='inverse'")
        z = z.reshape(1, -1)
        logits = self.forward(z, {})[0]
        best = int(logits.argmax())
        if best == c:
            return False
        total = self.weights(z).sum()
        gap = logits[best] - logits[c]
        # Where they were equal, nothing would lead: a little more than the formula has.
        eta = (1 + self.eps * total) * gap.clamp_min(MARGIN)
        value = torch.zeros_like(self.values[:1])
        value[0, c] = eta
        self.keys = nn.Parameter(torch.cat([self.keys, z.to(self.keys)]))
        self.values = nn.Parameter(torch.cat([self.values, value]))
        self.added = torch.cat([self.added, torch.ones(1, dtype=torch.bool)])
        return True

    @torch.no_grad()
    def remove(self, key: int = -1) -> None:
        """Take out a key that was put in by hand (the last one by default)."""
        if not bool(self.added[key]):
            raise SemblanceError(
                f"key {key} was learned, not put in by hand: remove one of {self.added.nonzero()[:, 0].tolist()}"
            )
        keep = torch.ones(len(self.keys), dtype=torch.bool)
        keep[key] = False
        self.keys, self.values = nn.Parameter(self.keys[keep]), nn.Parameter(self.values[keep])
        self.added = self.added[keep]


class InverseDistanceAttention(nn.Module):
    """Attention of several heads with any of the scores, as a layer: queries [N, S, dim], keys and values [N, T,
    dim]."""

    def __init__(self, dim: int, heads: int = 1, score: str = "inverse", eps: float = EPS, power: float = 2):
        super().__init__()
        if heads < 1 or dim % heads:
            raise SemblanceError(f"{heads} heads do not divide a width of {dim}: give a divisor")
        self.heads, self.score = heads, score_named(score, eps, power)
        self.query, self.key, self.value, self.out = (nn.Linear(dim, dim) for _ in range(4))

    def forward(self, x: Tensor, memory: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """memory: what is attended to, x itself where None. mask: bool [N, T], true where a token may be seen."""
        memory = x if memory is None else memory
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in (self.query(x), self.key(memory), self.value(memory))
        )  # [N, heads, S or T, dim / heads]
        found = self.score(q, k)
        if mask is not None:
            # finfo.min rather than -inf: a row that may see nothing stays finite.
            found = found.masked_fill(~mask[:, None, None], torch.finfo(found.dtype).min)
        answer: Tensor = self.out((found.softmax(-1) @ v).transpose(1, 2).flatten(2))
        return answer


def _room_for_loaded(module: StoredKeys, state: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Keys are as many as were learned and put in."""
    if prefix + "added" in state:
        module.added = torch.empty_like(state[prefix + "added"])
    for name in ("keys", "values"):
        if prefix + name in state:
            setattr(module, name, nn.Parameter(torch.empty_like(state[prefix + name])))
