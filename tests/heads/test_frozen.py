"""Frozen features: the linear machine, its samples, retrieval by parts and the sweep over layers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.svm import LinearSVC

from semblance.encoders.vectors import Flat
from semblance.encoders.vision.stagenet import stage_net
from semblance.errors import SemblanceError
from semblance.heads.frozen import FrozenSVM, OffTheShelf, choose_cost, features, samples
from semblance.heads.layer_sweep import layer_sweep
from semblance.heads.patches import PatchRetrieval, patches


def clouds(n=20, classes=3, dim=6, seed=0):
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(9).normal(size=(classes, dim)) * 2
    labels = np.repeat(np.arange(classes), n)
    return torch.from_numpy(centres[labels] + rng.normal(size=(len(labels), dim))).float(), torch.from_numpy(labels)


def bars(n=12, seed=0, size=12):
    """Pictures of an upright or a lying bar at a random place: no pixel tells them apart, every edge does."""
    rng = np.random.default_rng(seed)
    x, labels = np.zeros((2 * n, 1, size, size), np.float32), np.repeat([0, 1], n)
    for i, label in enumerate(labels):
        place = rng.integers(size)
        (x[i, 0, place] if label else x[i, 0, :, place])[:] = 1
    return torch.from_numpy(x), torch.from_numpy(labels)


def net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return stage_net("small", channels=1, width=8).eval()


def test_scores_are_those_of_scikit_learns_machine():
    z, labels = clouds()
    head = FrozenSVM(6, 3, costs=(1.0,))
    head.solve(z, labels)
    machine = LinearSVC(C=1.0, random_state=0, max_iter=5000).fit(F.normalize(z).numpy(), labels.numpy())
    np.testing.assert_allclose(head(z, {}).numpy(), machine.decision_function(F.normalize(z).numpy()), atol=1e-4)


def test_two_classes_are_scored_as_two():
    z, labels = clouds(classes=2)
    head = FrozenSVM(6, 2)
    metrics = head.solve(z, labels)
    scores = head(z, {})
    torch.testing.assert_close(scores[:, 0], -scores[:, 1])
    assert (scores.argmax(1) == labels).float().mean() > 0.9
    assert metrics["C"] in (0.1, 1.0, 10.0)


def test_only_the_direction_of_features_counts():
    z, labels = clouds()
    head = FrozenSVM(6, 3, power=0.5)
    head.solve(z, labels)
    torch.testing.assert_close(head(z, {}), head(z * 7, {}), rtol=1e-4, atol=1e-5)


def test_a_power_of_one_is_no_transform_and_another_one_keeps_signs():
    z, _ = clouds()
    torch.testing.assert_close(FrozenSVM(6, 3).features(z), F.normalize(z))
    halved = FrozenSVM(6, 3, power=0.5).features(z)
    torch.testing.assert_close(halved, F.normalize(z.sign() * z.abs().sqrt()))
    assert (halved.sign() == z.sign()).all()


def test_the_cost_is_the_best_of_a_cross_validation():
    z, labels = clouds(n=8)
    x, y = F.normalize(z).numpy(), np.random.default_rng(0).permutation(labels.numpy())
    each = {c: choose_cost(x, y, (c,))[1] for c in (0.01, 1.0, 100.0)}
    cost, accuracy = choose_cost(x, y, (100.0, 0.01, 1.0))
    assert accuracy == max(each.values()) == each[cost]


def test_with_a_class_of_one_item_the_middle_cost_is_taken():
    z, labels = clouds(n=1)
    cost, accuracy = choose_cost(z.numpy(), labels.numpy(), (0.1, 1.0, 10.0))
    assert cost == 1.0 and math.isnan(accuracy)


def test_a_class_that_was_never_shown_is_never_answered():
    z, labels = clouds()
    head = FrozenSVM(6, 5, names=("a", "b", "c", "d", "e"))
    head.solve(z, labels + (labels == 2))  # classes 0, 1 and 3
    answers = torch.randn(200, 6, generator=torch.Generator().manual_seed(0))
    assert set(head.decode(head(answers, {}))) == {"a", "b", "d"}


def test_what_was_solved_survives_saving():
    z, labels = clouds()
    head, other = FrozenSVM(6, 3), FrozenSVM(6, 3)
    head.solve(z, labels)
    other.load_state_dict(head.state_dict())
    assert torch.equal(head(z, {}), other(z, {}))


def test_solving_again_forgets_the_first_task():
    z, labels = clouds()
    head, fresh = FrozenSVM(6, 3), FrozenSVM(6, 3)
    head.solve(z, labels)
    head.solve(z[:40], labels[:40])
    fresh.solve(z[:40], labels[:40])
    assert torch.equal(head(z, {}), fresh(z, {}))


def test_one_class_alone_is_refused():
    with pytest.raises(SemblanceError, match="show 1 class"):
        FrozenSVM(6, 3).solve(clouds()[0], torch.zeros(60, dtype=torch.long))


@pytest.mark.parametrize("wrong", [{"costs": ()}, {"costs": (0.0,)}, {"power": 0.0}])
def test_settings_without_meaning_are_refused(wrong):
    with pytest.raises(SemblanceError, match="positive number"):
        FrozenSVM(6, 3, **wrong)


def test_features_of_a_stage_are_its_mean_map_and_the_encoder_is_left_alone():
    encoder = net()
    x, _ = bars()
    before = {k: v.clone() for k, v in encoder.state_dict().items()}
    torch.testing.assert_close(features(encoder, x, 1, block=5), encoder({"x": x})[1].mean((2, 3)).detach())
    torch.testing.assert_close(features(encoder, x, block=5), encoder.embed({"x": x}).detach())
    assert all(torch.equal(v, before[k]) for k, v in encoder.state_dict().items())


def test_samples_are_the_whole_five_crops_two_turns_and_their_mirrors():
    x = torch.randn(2, 1, 9, 9, generator=torch.Generator().manual_seed(0))
    shown = list(samples(x))
    assert len(shown) == 16 and all(s.shape == x.shape for s in shown)
    torch.testing.assert_close(shown[0], x)
    assert all(torch.equal(a.flip(3), b) for a, b in zip(shown[::2], shown[1::2], strict=True))
    assert len(list(samples(x, mirror=False))) == 8


def test_a_crop_sees_its_corner_and_nothing_else():
    x = torch.zeros(1, 1, 9, 9)
    x[0, 0, 0, 0] = 1  # seen by the whole picture, the first corner's crop, and by no other crop
    seen = [bool(s.sum() > 0.1) for s in samples(x, mirror=False)]
    assert seen[:6] == [True, True, False, False, False, False]


def test_a_turn_of_ninety_degrees_is_exact():
    x = torch.randn(2, 1, 7, 7, generator=torch.Generator().manual_seed(0))
    turned = list(samples(x, degrees=90, mirror=False))[-2:]
    exact = torch.stack([x.rot90(1, (2, 3)), x.rot90(-1, (2, 3))])
    torch.testing.assert_close(torch.stack(turned), exact, atol=1e-5, rtol=0)


def test_frozen_features_tell_what_pixels_do_not():
    (x, y), (test_x, test_y) = bars(), bars(n=30, seed=1)
    on_features = OffTheShelf(net(), classes=2, stage=1).fit(x, y).accuracy(test_x, test_y)
    on_pixels = OffTheShelf(Flat(144), classes=2).fit(x, y).accuracy(test_x, test_y)
    assert on_features > 0.85
    assert on_pixels < 0.7


def test_scores_of_an_augmented_pipeline_are_averaged_over_samples():
    x, y = bars()
    encoder = net()
    pipeline = OffTheShelf(encoder, classes=2, power=0.5, augment=samples).fit(x, y)
    each = [pipeline.head(features(encoder, s), {}) for s in samples(x)]
    torch.testing.assert_close(pipeline.scores(x), sum(each) / 16)


def test_a_pipeline_that_learned_nothing_says_so():
    with pytest.raises(SemblanceError, match="call fit first"):
        OffTheShelf(net(), classes=2).predict(bars()[0])


def test_patches_of_level_one_are_the_picture_and_others_cover_it():
    x, _ = bars()
    assert torch.equal(next(iter(patches(x, 1))), x)
    marked = torch.zeros(12, 12)
    for level in (2, 3):
        shown = list(patches(torch.ones(1, 1, 12, 12), level))
        assert len(shown) == level**2
    # Every pixel is in a patch: a picture of one bright pixel leaves a trace in some patch.
    for place in ((0, 0), (5, 6), (11, 11), (0, 11)):
        marked.zero_()
        marked[place] = 1
        assert sum(float(p.sum()) for p in patches(marked[None, None], 3)) > 0


def test_patch_distances_are_the_sum_over_queries_of_the_nearest_reference_patch():
    encoder = net()
    x, _ = bars(n=4)
    queries = bars(n=2, seed=1)[0]
    retrieval = PatchRetrieval(lambda p: encoder.embed({"x": p}), levels=2, dims=10).fit(x)
    query = retrieval._transform(retrieval._features(queries))
    plain = torch.tensor(
        [[sum(min(float((a - b).norm()) for b in ref) for a in q) for ref in retrieval.references] for q in query]
    )
    torch.testing.assert_close(retrieval.distances(queries), plain, rtol=1e-3, atol=1e-3)


def test_every_picture_is_nearest_to_itself():
    x = torch.rand(12, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    retrieval = PatchRetrieval(lambda p: p.flatten(1), levels=2, dims=20).fit(x)
    assert retrieval.distances(x).argmin(1).tolist() == list(range(12))


def test_whitened_patches_have_unit_variance_in_every_direction():
    x = torch.rand(30, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    retrieval = PatchRetrieval(lambda p: p.flatten(1), levels=1, dims=8).fit(x)
    white = (retrieval._features(x).flatten(0, 1) - retrieval.mean) @ retrieval.components.T
    torch.testing.assert_close(white.T @ white / 29, torch.eye(8), atol=1e-3, rtol=0)


def test_the_sweep_reports_every_stage_and_names_the_best(tmp_path):
    train, test = bars(), bars(n=30, seed=1)
    report = layer_sweep(net(), train, test)
    table = report.table()
    assert table.column("layer").to_pylist() == ["stage 0", "stage 1", "stage 2", "stage 3", "embedding"]
    assert table.column("dim").to_pylist() == [8, 16, 32, 32, 32]
    best = max(table.to_pylist(), key=lambda row: row["accuracy"])
    assert str(report).startswith(best["layer"])
    assert all(row["low"] <= row["accuracy"] <= row["high"] for row in table.to_pylist())
    expected = OffTheShelf(net(), classes=2, stage=1).fit(*train).accuracy(*test)
    assert table.to_pylist()[1]["accuracy"] == pytest.approx(expected)
    report.save(tmp_path / "sweep.html")
    page = (tmp_path / "sweep.html").read_text()
    assert "data:image/png;base64," in page and best["layer"] in page
