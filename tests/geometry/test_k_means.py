"""k-means against scikit-learn's, and what its variants promise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans

from semblance.errors import SemblanceError
from semblance.geometry.k_means import by_label, by_link, k_means, means, nearest_centre, spread_out, sums


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def blobs(each: int = 40, k: int = 5, seed: int = 0, apart: float = 12.0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = chance(seed)
    middle = apart * torch.randn(k, 4, generator=generator)
    owner = torch.arange(k).repeat_interleave(each)
    return (middle[owner] + torch.randn(k * each, 4, generator=generator)).double(), owner


def same_partition(a: torch.Tensor, b: torch.Tensor) -> bool:
    return bool(torch.equal(a[:, None] == a, b[:, None] == b))


@pytest.mark.parametrize("seed", range(4))
def test_from_the_same_start_it_ends_where_scikit_learns_ends(seed):
    z = torch.randn(300, 6, generator=chance(seed)).double()
    start = z[:7]
    found = k_means(z, 7, chance(), start=start, rounds=300)
    known = KMeans(7, init=start.numpy(), n_init=1, max_iter=300, tol=0, algorithm="lloyd").fit(z.numpy())
    assert np.array_equal(found.owner.numpy(), known.labels_)
    np.testing.assert_allclose(found.centres.numpy(), known.cluster_centers_, atol=1e-9)
    assert found.within * len(z) == pytest.approx(known.inertia_)


def test_clusters_far_apart_are_found_from_any_start():
    z, owner = blobs()
    for seed in range(10):
        assert same_partition(k_means(z, 5, chance(seed), starts=3).owner, owner)


def test_sums_and_counts_of_shards_add_up_to_those_of_the_whole():
    z, _ = blobs()
    centres = spread_out(z, 6, chance())
    whole = sums(z, nearest_centre(z, centres), 6)
    parts = [sums(part, nearest_centre(part, centres), 6) for part in z[torch.randperm(len(z))].split(33)]
    for i in range(2):
        torch.testing.assert_close(whole[i], sum(part[i] for part in parts))


def test_no_cluster_stays_empty_while_another_can_be_split():
    z = torch.zeros(50, 3).double()
    z[:2] += 1
    for k in (3, 20, 50):
        owner = k_means(z, k, chance()).owner
        assert len(owner.unique()) == k
    assert len(k_means(z, 60, chance()).owner.unique()) == 50  # more than points there cannot be


def test_labelled_points_stay_with_their_centre_and_draw_the_others():
    z, owner = blobs(apart=2.0)
    labels = torch.full_like(owner, -1)
    labels[::8] = owner[::8]
    start = torch.stack([z[labels == k].mean(0) for k in range(5)])
    found = k_means(z, 5, chance(), start=start, held=by_label(labels))
    assert torch.equal(found.owner[labels >= 0], labels[labels >= 0])
    free = labels < 0
    assert torch.equal(found.owner[free], nearest_centre(z[free], found.centres))
    torch.testing.assert_close(means(z, found.owner, found.centres), found.centres)
    with pytest.raises(SemblanceError, match="label 4"):
        k_means(z, 3, chance(), held=by_label(labels))


def test_points_that_are_linked_go_together_and_groups_apart_go_apart():
    z, owner = blobs(apart=0.5)
    group = torch.full_like(owner, -1)
    for g in range(5):
        group[torch.randperm(len(z), generator=chance(g))[:10]] = g
    apart = ~torch.eye(5, dtype=torch.bool)
    found = k_means(z, 5, chance(), held=by_link(z, group, apart)).owner
    chosen = [found[group == g].unique() for g in range(5)]
    assert all(len(c) == 1 for c in chosen)
    assert len(torch.cat(chosen).unique()) == 5


def test_labels_said_as_links_give_the_same_clusters():
    z, owner = blobs(apart=3.0)
    labels = torch.full_like(owner, -1)
    labels[::5] = owner[::5]
    start = torch.stack([z[labels == k].mean(0) for k in range(5)])
    one = k_means(z, 5, chance(), start=start, held=by_label(labels)).owner
    renamed = torch.where(labels >= 0, (labels + 2) % 5, labels)
    two = k_means(z, 5, chance(), start=start, held=by_link(z, renamed, ~torch.eye(5, dtype=torch.bool))).owner
    assert same_partition(one, two)


def test_mini_batches_come_near_the_whole():
    z, _ = blobs(each=200, apart=3.0)
    whole = k_means(z, 5, chance(), starts=4).within
    assert k_means(z, 5, chance(), batch=100, rounds=60, starts=4).within < 1.1 * whole


def test_seeds_of_k_means_plus_plus_are_far_apart():
    z, owner = blobs()
    hits = [len(owner[nearest_centre(spread_out(z, 5, chance(s)), z)].unique()) for s in range(20)]
    assert np.mean(hits) > 4.5


@pytest.mark.parametrize(("points", "k"), [(0, 2), (4, 0)])
def test_nothing_to_cluster_is_refused(points, k):
    with pytest.raises(SemblanceError, match="1 or more"):
        k_means(torch.zeros(points, 2), k, chance())
