"""An embedding that is the answer already."""

from __future__ import annotations

import torch

from semblance.heads.scores import Scores


def test_scores_pass_through_and_the_best_class_is_named() -> None:
    z = torch.tensor([[0.1, 2.0], [1.0, -1.0]])
    assert Scores()(z, {}) is z
    assert Scores().decode(z) == [1, 0] and Scores(("cat", "dog")).decode(z) == ["dog", "cat"]
