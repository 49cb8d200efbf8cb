"""Numbers from embeddings."""

import pytest
import torch

from semblance.errors import SemblanceError
from semblance.heads.regress import Regress


def test_the_answer_is_the_mean_where_the_map_says_nothing():
    head = Regress(3, mean=5.0, deviation=2.0)
    torch.nn.init.zeros_(head.map.weight)
    torch.nn.init.zeros_(head.map.bias)
    assert head.decode(head(torch.randn(4, 3), {})) == [5.0] * 4


def test_the_map_works_in_units_of_the_deviation():
    head, z = Regress(3, mean=5.0, deviation=2.0), torch.randn(4, 3)
    torch.testing.assert_close(head(z, {}), 5 + 2 * (z @ head.map.weight[0] + head.map.bias))


def test_a_constant_target_is_answered_and_an_unknown_one_refused():
    assert Regress(3, mean=1.0, deviation=0.0).deviation == 1
    for mean, deviation in ((float("nan"), 1.0), (0.0, float("nan")), (0.0, float("inf"))):
        with pytest.raises(SemblanceError, match="give numbers as labels"):
            Regress(3, mean, deviation)
