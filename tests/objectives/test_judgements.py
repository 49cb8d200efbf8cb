from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from semblance.encoders.sequences.text import TextEncoder, joined
from semblance.errors import SemblanceError
from semblance.heads.match_text import CrossEncoder, PairSoftmax, rerank
from semblance.objectives.judgements import Classes, Joined, Scores


class Given(nn.Module):
    """A model whose embeddings are the batch's x."""

    def embed(self, batch):
        return batch["x"]


U, V = torch.randn(2, 6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
SAID = torch.tensor([0.0, 5.0, 2.5, float("nan"), 1.0, 4.0], dtype=torch.float64)


def test_scores_are_the_squared_error_of_the_cosine_over_the_pairs_that_were_judged():
    loss, metrics = Scores(0.0, 5.0)(Given(), {"x": torch.cat([U, V]), "said": SAID})
    wanted = [
        (float(u @ v) / (float(u.norm()) * float(v.norm())) - float(s) / 5) ** 2
        for u, v, s in zip(U, V, SAID, strict=True)
        if not torch.isnan(s)
    ]
    assert float(loss) == pytest.approx(np.mean(wanted), abs=1e-6) and metrics["judged"] == pytest.approx(5 / 6)
    assert float(Scores()(Given(), {"x": torch.cat([U, V]), "said": SAID * float("nan")})[0]) == 0
    with pytest.raises(SemblanceError, match=r"scores go from 1\.0 to 1\.0"):
        Scores(1.0, 1.0)


def test_a_pair_that_is_as_near_as_it_was_judged_has_no_gradient():
    u = U.clone().requires_grad_()
    same = torch.cat([u, u.detach()])
    Scores()(Given(), {"x": same, "said": torch.ones(6)})[0].backward()
    assert u.grad.abs().max() < 1e-6


@pytest.mark.parametrize(
    ("combine", "parts"),
    [
        ("u,v", lambda u, v: [u, v]),
        ("|u-v|", lambda u, v: [abs(u - v)]),
        ("u*v", lambda u, v: [u * v]),
        ("|u-v|,u*v", lambda u, v: [abs(u - v), u * v]),
        ("u,v,u*v", lambda u, v: [u, v, u * v]),
        ("u,v,|u-v|", lambda u, v: [u, v, abs(u - v)]),
        ("all", lambda u, v: [u, v, abs(u - v), u * v]),
    ],
)
def test_classes_of_pairs_are_read_off_the_parts_that_are_named(combine, parts):
    head = PairSoftmax(4, 3, combine).double()
    wanted = torch.cat(parts(U, V), dim=1) @ head.map.weight.T + head.map.bias
    torch.testing.assert_close(head(U, V), wanted)
    said = torch.tensor([0, 1, 2, -1, 1, 0])
    loss, metrics = Classes(head.float())(Given(), {"x": torch.cat([U, V]), "said": said})
    entropy = [-float(row.log_softmax(0)[c]) for row, c in zip(wanted, said, strict=True) if c >= 0]
    assert float(loss) == pytest.approx(np.mean(entropy), abs=1e-5) and 0 <= metrics["accuracy"] <= 1


def test_parts_that_do_not_exist_and_single_classes_are_refused():
    with pytest.raises(SemblanceError, match="part of a pair"):
        PairSoftmax(4, 3, "u,w")
    with pytest.raises(SemblanceError, match="two or more"):
        PairSoftmax(4, 1)


def reader(outputs=1):
    torch.manual_seed(0)
    return CrossEncoder(TextEncoder(30, 8, 1, 2, 12, gate=0.5, segments=2), outputs).eval()


ONE, TWO = torch.randint(5, 30, (2, 4, 5), generator=torch.Generator().manual_seed(0))


def test_a_reader_of_pairs_sees_both_texts_and_their_sides():
    made = reader()
    tokens, segment = joined(ONE, TWO)
    wanted = made.map(made.encoder.embed({"x": tokens, "segment": segment}))[:, 0]
    torch.testing.assert_close(made(ONE, TWO), wanted)
    assert not torch.allclose(made(ONE, TWO), made(TWO, ONE))
    with pytest.raises(SemblanceError, match="segments=2"):
        CrossEncoder(TextEncoder(30, 8, 1, 2, 12))


def test_a_reader_of_pairs_learns_what_was_said_of_them():
    made = reader(2)
    objective, said = Joined(made), torch.tensor([0, 1, 0, 1])
    batch = {"x": torch.cat([ONE, TWO]), "said": said}
    step = torch.optim.Adam(objective.parameters(), 0.05)
    losses = []
    for _ in range(30):
        loss, metrics = objective(Given(), batch)
        step.zero_grad()
        loss.backward()
        step.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.1 * losses[0] and metrics["accuracy"] == 1
    scored, _ = Joined(reader(), 0.0, 5.0)(Given(), {**batch, "said": torch.tensor([0.0, 5.0, float("nan"), 1.0])})
    assert scored.isfinite() and scored.requires_grad


def test_the_nearest_come_in_the_order_of_the_reader():
    made = reader()
    order, scores = rerank(made, ONE[0], TWO)
    each = torch.stack([made(ONE[:1], row[None])[0] for row in TWO]).detach()
    assert torch.equal(order, each.argsort(descending=True)) and torch.allclose(scores, each[order], atol=1e-6)
