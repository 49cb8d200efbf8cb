"""Filters: what is kept, how it is told, and that scoring goes on where it stopped."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

import semblance as sb
from semblance.app import cli
from semblance.data.curation.filter import filter_pool, kept, scored, threshold_of
from semblance.data.curation.report import auc, repeated
from semblance.data.curation.rules import Drawn, Mean, Rules
from semblance.data.curation.weighing import Shown, Weighed, Widening
from semblance.data.load import load
from semblance.errors import SemblanceError
from semblance.testing.report import check_report


def brightness(dataset) -> np.ndarray:
    """A score: how bright a picture is."""
    return dataset.x.reshape(len(dataset), -1).mean(1)


def pool(units: int = 50):
    """Pictures that get brighter, every tenth bad, of two classes."""
    x = np.random.default_rng(0).integers(0, 20, (units, 8, 8)) + 4 * np.arange(units)[:, None, None]
    data = load(
        x.astype(np.uint8), labels=["a", "b"] * (units // 2), captions=[f"picture number {i}" for i in range(units)]
    )
    table = data.attributes.append_column("good", pa.array(np.arange(units) % 10 != 0))
    table = table.append_column("mean", pa.array(brightness(data)))
    return type(data)(**{**vars(data), "attributes": table})


def test_the_top_share_and_a_threshold_keep_what_they_say():
    scores = np.array([3.0, 1, 2, 2, 5])
    assert kept(scores, top=0.4).tolist() == [0, 4] and kept(scores, top=0.6).tolist() == [0, 2, 4]
    assert kept(scores, top=0.01).tolist() == [4] and kept(scores, threshold=2).tolist() == [0, 2, 3, 4]
    assert threshold_of(np.arange(10.0), 0.9) == 1.0 and threshold_of(np.arange(10.0), 1.0) == 0.0
    for wrong in ({"top": 0.0}, {"top": 1.5}, {}):
        with pytest.raises(SemblanceError, match=r"what is kept|share of the pool"):
            kept(scores, **wrong)
    with pytest.raises(SemblanceError, match="give one of top"):
        filter_pool(pool(), brightness, top=0.5, threshold=3.0)


def test_a_column_an_array_and_a_function_keep_the_same():
    data = pool()
    ways = [filter_pool(data, by, top=0.3, truth="good") for by in ("mean", brightness(data), brightness)]
    assert [way.dataset.ids for way in ways] == [[str(i) for i in range(35, 50)]] * 3
    found = ways[0].dataset
    assert found.attributes.column("score").to_pylist() == pytest.approx(brightness(data)[35:].tolist())
    assert list(found.captions) == [f"picture number {i}" for i in range(35, 50)]
    train = [data.ids[i] for i in data.splits["train"] if i >= 35]
    assert [found.ids[i] for i in found.splits["train"]] == train
    with pytest.raises(SemblanceError, match="did you mean mean"):
        filter_pool(data, "meen", top=0.3)
    with pytest.raises(SemblanceError, match=r"shape \[2\] for 50 units"):
        filter_pool(data, [1.0, 2.0], top=0.3)
    with pytest.raises(SemblanceError, match=r"unit 0 has no score \(NaN\)"):
        filter_pool(data, np.full(50, np.nan), top=0.3)
    with pytest.raises(SemblanceError, match="no unit scores 1e"):
        filter_pool(data, "mean", threshold=1e9)


def test_a_clean_set_sets_the_threshold():
    data = pool()
    clean = data.subset(np.arange(20, 40))
    found = filter_pool(data, brightness, clean=clean, clean_share=0.8)
    assert found.report.least >= threshold_of(brightness(clean), 0.8) and found.dataset.ids[0] == "24"
    with pytest.raises(SemblanceError, match="say nothing of the clean set"):
        filter_pool(data, brightness(data), clean=clean)


def test_the_report_counts_what_is_right_and_who_is_preferred():
    data = pool()
    report = filter_pool(data, brightness, top=0.5, truth="good").report
    good = np.arange(50) % 10 != 0
    assert report.precision == pytest.approx(good[25:].mean()) and report.recall == pytest.approx(good[25:].sum() / 45)
    assert report.auc == pytest.approx(roc_auc_score(good, brightness(data)))
    rows = {(row["kind"], row["value"]): row for row in report.rows()}
    assert rows[("class", "a")]["units"] == 25 and rows[("class", "a")]["kept"] == 12
    assert rows[("good", "False")]["kept"] == 2 and rows[("all", "")]["share"] == 0.5
    check_report(report)
    assert "25 of 50 units (50%) are kept" in str(report) and json.dumps(report.to_dict())
    assert filter_pool(data, brightness, top=0.5).report.auc is None
    uneven = filter_pool(data, np.arange(50) % 2, top=0.5).report
    assert str(uneven).endswith("class a is kept 0 times as often as all") or "class b is kept 2 times" in str(uneven)


def test_auc_counts_equal_scores_half():
    chance = np.random.default_rng(0)
    scores, good = chance.integers(0, 5, 200).astype(float), chance.random(200) < 0.3
    assert auc(scores, good) == pytest.approx(roc_auc_score(good, scores), abs=1e-12)


def test_what_stood_before_is_a_duplicate_and_other_words_make_another():
    x = np.zeros((4, 8, 8), np.uint8)
    x[3] = 7
    data = load(x, captions=["a", "a", "b", "a"])
    assert repeated(data).tolist() == [False, True, False, False]
    report = filter_pool(data, [1.0, 1.0, 0.0, 1.0], top=0.75).report
    assert (report.duplicates, report.kept_duplicates) == (1, 1)
    assert repeated(load(np.ones((3, 2), np.float32))).tolist() == [False, True, True]


def test_scoring_goes_on_where_it_stopped_and_does_not_take_others_scores(tmp_path):
    data, asked = pool(), []

    class Failing:
        def __init__(self, after):
            self.after = after

        def __repr__(self):
            return "a scorer"

        def __call__(self, dataset):
            if len(asked) == self.after:
                raise KeyboardInterrupt
            asked.append(dataset.ids[0])
            return brightness(dataset)

    with pytest.raises(KeyboardInterrupt):
        scored(data, Failing(3), tmp_path / "s", shard=10)
    assert asked == ["0", "10", "20"] and len(list((tmp_path / "s").glob("*.npy"))) == 3
    found = scored(data, Failing(-1), tmp_path / "s", shard=10)
    assert asked == ["0", "10", "20", "30", "40"] and np.array_equal(found, brightness(data))
    with pytest.raises(SemblanceError, match="holds other scores \\(by 'a scorer', not 'brightness'\\)"):
        scored(data, brightness, tmp_path / "s", shard=10)
    with pytest.raises(SemblanceError, match="holds other scores \\(pool"):
        scored(data.subset(np.arange(20)), Failing(-1), tmp_path / "s", shard=10)


def test_rules_chance_and_means_score_units_alone():
    data = pool()
    assert Rules(words=(2, 3))(data).all() and not Rules(words=(4, 9))(data).any()
    assert Rules(side=8)(data).all() and not Rules(side=9)(data).any()
    plain = load(np.full((2, 8, 8), 9, np.uint8))
    assert not Rules(contrast=0.01)(plain).any() and Rules(contrast=0.01)(data).all()
    with pytest.raises(SemblanceError, match="keep everything"):
        Rules()
    with pytest.raises(SemblanceError, match="the data has none"):
        Rules(words=(1, 2))(plain)
    whole = Drawn(3)(data)
    assert np.array_equal(Drawn(3)(data.subset(np.array([7, 2]))), whole[[7, 2]]) and len(set(whole)) == 50
    assert np.allclose(Mean(brightness, Drawn(3))(data), (brightness(data) + whole) / 2)


def test_scores_may_weigh_or_order_instead_of_keeping():
    data = filter_pool(pool(), brightness, top=1.0).dataset
    rng, rows = np.random.default_rng(0), np.arange(50)
    drawn = np.concatenate([np.concatenate(Weighed(10, 0.5).bind(data, rows).epoch(50, None, rng)) for _ in range(40)])
    s = (brightness(data) - brightness(data).mean()) / brightness(data).std() / 0.5
    expected = np.exp(s) / np.exp(s).sum()
    assert np.abs(np.bincount(drawn, minlength=50) / len(drawn) - expected).max() < 0.03
    batches = Widening(10, 0.2).bind(data, rows).epoch(50, None, rng)
    assert len(batches) == 5 and sorted(batches[0]) == list(range(40, 50))
    assert all(len(set(batch)) == 10 for batch in batches) and min(batches[-1]) < 30
    with pytest.raises(SemblanceError, match="column of scores"):
        Weighed(column="scor").bind(data, rows)


@pytest.mark.parametrize("units", [5, 37, 500])
def test_so_many_are_shown_whatever_there_is(units):
    batches = Shown(16, 160).epoch(units, None, np.random.default_rng(0))
    assert len(batches) == 10 and {len(batch) for batch in batches} == {min(16, units)}
    counts = np.bincount(np.concatenate(batches), minlength=units)
    assert counts.max() - counts.min() <= (2 if units == 37 else 1)


def test_the_kept_table_is_read_again_with_captions_labels_and_scores(tmp_path):
    folder = tmp_path / "photos"
    for i in range(12):
        file = folder / "ab"[i % 2] / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8), 20 * i, np.uint8)).save(file)
    lines = [f"{i}.png,number {i},{i / 10},{'true' if i > 5 else 'false'}" for i in range(12)]
    (folder / "captions.csv").write_text("\n".join(["file_name,caption,alike,right", *lines]))
    found = sb.data.filter(folder, brightness, top=0.5, truth="right", out=tmp_path / "kept.csv")
    assert found.report.precision == 1.0 and len(found.dataset) == 6
    again = load(tmp_path / "kept.csv")
    assert again.attributes.column("score").to_pylist() == sorted(brightness(load(folder)), reverse=True)[:6]
    assert again.classes == ("a", "b") and again.captions[0] == "number 11" and again.domain == "images"
    asked = ["data", "filter", str(folder), "--scores", "alike", "--top", "0.25", "--truth", "right"]
    out = tmp_path / "best.csv"
    assert cli.run(cli.app, [*asked, "-o", str(out), "--report", str(tmp_path / "r.html")]) == 0
    assert len(load(out)) == 3 and (tmp_path / "r.html").exists()


@pytest.mark.parametrize("scores", ["random", "words=2-3,side=8", "quality", "autoencoder", "labels"])
def test_the_command_line_knows_all_kinds_of_scores(tmp_path, scores):
    x = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    np.savez(tmp_path / "pool.npz", x=x, labels=(x[:, 0] > 0).astype(int))
    np.savez(tmp_path / "clean.npz", x=x[:20], labels=(x[:20, 0] > 0).astype(int))
    if scores.startswith("words"):
        (tmp_path / "pool.txt").write_text("\n".join(["one two", "one two three", "one", "a b c d"]))
    source = "pool.txt" if scores.startswith("words") else "pool.npz"
    asked = ["data", "filter", str(tmp_path / source), "--scores", scores.split(",")[0], "--top", "0.5"]
    fitted = ["--clean", str(tmp_path / "clean.npz")] if scores in ("quality", "autoencoder", "labels") else []
    assert cli.run(cli.app, [*asked, *fitted, "-o", str(tmp_path / "kept.parquet")]) == 0
    assert len(load(tmp_path / "kept.parquet")) == (2 if source == "pool.txt" else 30)
    if fitted:
        assert cli.run(cli.app, [*asked, "-o", str(tmp_path / "kept.parquet")]) == 2


def test_bounds_that_cannot_be_read_and_related_units_are_refused(tmp_path, capsys):
    np.save(tmp_path / "pool.npy", np.zeros((4, 2), np.float32))
    asked = ["data", "filter", str(tmp_path / "pool.npy"), "-o", str(tmp_path / "k.csv"), "--top", "0.5", "--scores"]
    assert cli.run(cli.app, [*asked, "words=few"]) == 2
    assert "write words=3-40" in capsys.readouterr().err
    (tmp_path / "edges.csv").write_text("source,target\n0,1\n1,2\n")
    with pytest.raises(SemblanceError, match="its units are related"):
        sb.data.filter(tmp_path / "edges.csv", "x", top=0.5)
