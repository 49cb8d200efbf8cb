from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from PIL import Image

from semblance.data import decoded
from semblance.data.images import from_folder
from semblance.data.load import load, shape_of
from semblance.errors import Failed, SemblanceError


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("SEMBLANCE_CACHE", str(folder))
    return folder / "images"


def put(path, value=0, shape=(10, 12, 3), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full(shape, value, np.uint8)).save(path, **options)
    return path


@pytest.fixture
def photos(tmp_path):
    root = tmp_path / "photos"
    for i in range(5):
        put(root / "cat" / f"{i}.png", i)
        put(root / "dog" / f"{i}.png", 100 + i)
    return root


def entries(cache):
    return sorted(p.name for p in cache.iterdir()) if cache.exists() else []


def test_a_folder_gives_pictures_ids_classes_and_attributes(photos):
    data = load(photos)
    assert data.domain == "images" and data.x.shape == (10, 3, 10, 12) and data.x.dtype == np.uint8
    assert data.ids == [f"{c}/{i}.png" for c in ("cat", "dog") for i in range(5)]
    assert data.x[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4, 100, 101, 102, 103, 104]
    assert data.classes == ("cat", "dog") and data.targets["labels"].tolist() == [0] * 5 + [1] * 5
    first = data.attributes.to_pylist()[0]
    assert (first["file"], first["width"], first["height"], first["class"], first["taken"]) == (
        "0.png",
        12,
        10,
        "cat",
        None,
    )
    assert first["bytes"] == (photos / "cat" / "0.png").stat().st_size
    assert data.notes == ("domain: images (folder of 10 files)",) and data.name == "photos"
    assert [len(data.splits[s]) for s in ("train", "test")] == [8, 2]


def test_the_pictures_stay_on_disk_and_are_found_again(photos, cache, monkeypatch):
    data = load(photos)
    assert isinstance(data.x, np.memmap) and len(entries(cache)) == 1
    monkeypatch.setattr(decoded, "decode", lambda *_: pytest.fail("decoded again"))
    again = load(str(photos))
    assert again.fingerprint == data.fingerprint
    np.testing.assert_array_equal(again.x, data.x)


def test_a_changed_file_is_read_again_and_takes_the_place_of_the_old_entry(photos, cache):
    before = load(photos)
    put(photos / "cat" / "0.png", 200)
    os.utime(photos / "cat" / "0.png", ns=(1, 1))
    after = load(photos)
    assert after.x[0, 0, 0, 0] == 200 and after.fingerprint != before.fingerprint
    assert len(entries(cache)) == 1


def test_two_folders_of_the_same_files_do_not_share_an_entry(tmp_path):
    for name, value in (("a", 3), ("b", 4)):
        put(tmp_path / name / "x.bmp", value)
        os.utime(tmp_path / name / "x.bmp", ns=(1, 1))
    assert load(tmp_path / "a").x[0, 0, 0, 0] == 3 and load(tmp_path / "b").x[0, 0, 0, 0] == 4


def test_the_cache_keeps_what_was_used_last_and_always_what_was_just_added(photos, cache, monkeypatch):
    held = {}
    for number, size in enumerate((4, 5, 6)):
        before = set(entries(cache))
        load(photos, size=size)
        (held[size],) = set(entries(cache)) - before
        os.utime(cache / held[size] / "facts.json", (number, number))
    kept = load(photos, size=4)  # the oldest is used again
    monkeypatch.setattr(decoded, "MOST", sum(f.stat().st_size for f in cache.glob("*/*")) + 1000)
    load(photos, size=7)
    assert held[4] in entries(cache) and held[6] in entries(cache) and held[5] not in entries(cache)
    monkeypatch.setattr(decoded, "MOST", 1)
    data = load(photos, size=8)
    assert len(entries(cache)) == 1 and data.x.shape == (10, 3, 8, 8)
    assert kept.x[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4, 100, 101, 102, 103, 104]  # still readable to who has it


def test_sizes_have_entries_of_their_own(photos, cache):
    assert load(photos, size=4).x.shape == (10, 3, 4, 4)
    assert load(photos, size=(4, 4)).x.shape == (10, 3, 4, 4)
    assert load(photos, size=(6, 5)).x.shape == (10, 3, 6, 5)
    assert len(entries(cache)) == 2


def test_the_size_is_the_common_one_up_to_64_and_else_64(tmp_path):
    put(tmp_path / "small" / "a.png", shape=(64, 30))
    assert load(tmp_path / "small").x.shape == (1, 1, 64, 30)
    put(tmp_path / "small" / "b.png", shape=(63, 30))
    assert load(tmp_path / "small").x.shape == (2, 1, 64, 64)
    put(tmp_path / "large" / "a.png", shape=(65, 65, 3))
    assert load(tmp_path / "large").x.shape == (1, 3, 64, 64)


def test_one_coloured_picture_makes_the_folder_coloured(tmp_path):
    put(tmp_path / "d" / "a.png", 7, shape=(9, 9))
    assert load(tmp_path / "d").x.shape == (1, 1, 9, 9)
    put(tmp_path / "d" / "b.png", 8)
    assert load(tmp_path / "d").x.shape[1] == 3


def test_pictures_of_one_pixel_are_pictures(tmp_path):
    put(tmp_path / "d" / "a.png", 7, shape=(1, 1))
    put(tmp_path / "d" / "b.png", 8, shape=(1, 1))
    data = load(tmp_path / "d")
    assert data.x.tolist() == [[[[7]]], [[[8]]]] and shape_of(data).std == (1e-6,)


def test_broken_pictures_are_left_out_and_counted(photos):
    whole = (photos / "dog" / "0.png").read_bytes()
    (photos / "dog" / "5.png").write_bytes(b"")
    (photos / "cat" / "0.png").write_bytes(whole[: len(whole) // 2])  # its head is whole, so only decoding tells
    (photos / "dog" / "6.jpg").write_bytes(b"no picture at all")
    data = load(photos)
    assert [name for name, _ in data.skipped] == ["cat/0.png", "dog/5.png", "dog/6.jpg"]
    assert all(why for _, why in data.skipped)
    assert data.ids[0] == "cat/1.png" and data.x[:, 0, 0, 0].tolist() == [1, 2, 3, 4, 100, 101, 102, 103, 104]
    assert data.attributes.num_rows == len(data) == 9 and "3 images" in data.notes[-1]
    assert load(photos).skipped == data.skipped  # from the cache


def test_more_broken_pictures_than_good_ones_are_a_failure_that_leaves_nothing(tmp_path, cache):
    put(tmp_path / "d" / "a.png")
    (tmp_path / "d" / "b.png").write_bytes(b"")
    assert len(load(tmp_path / "d")) == 1
    (tmp_path / "d" / "c.png").write_bytes(b"")
    before = entries(cache)
    with pytest.raises(SemblanceError, match=r"2 of 3 images cannot be read, the first of them 'b.png'"):
        load(tmp_path / "d")
    assert entries(cache) == before


def test_files_that_are_no_images_and_hidden_ones_are_passed_over(photos):
    (photos / "notes.txt").write_text("none")
    put(photos / ".hidden" / "x.png")
    put(photos / "cat" / "._0.png")
    assert len(load(photos)) == 10 and load(photos).skipped == ()


def test_a_folder_that_holds_itself_is_read_once(photos):
    (photos / "cat" / "loop").symlink_to(photos)
    assert len(load(photos)) == 10


def test_pictures_beside_class_folders_are_unlabelled(photos):
    put(photos / "loose.png", 9)
    data = load(photos)
    assert dict(zip(data.ids, data.targets["labels"].tolist(), strict=True))["loose.png"] == -1
    assert np.bincount(data.targets["labels"] + 1).tolist() == [1, 5, 5]


def test_one_folder_alone_is_no_class(tmp_path):
    put(tmp_path / "d" / "all" / "a.png")
    data = load(tmp_path / "d")
    assert "labels" not in data.targets and "one class folder only (all)" in data.notes[-1]


def test_folders_named_train_and_test_are_the_splits(photos, tmp_path):
    (tmp_path / "apart").mkdir()
    for part in ("train", "test"):
        for c in ("cat", "dog"):
            put(tmp_path / "apart" / part / c / "a.png")
    data = load(tmp_path / "apart")
    assert data.classes == ("cat", "dog") and data.ids[0] == "test/cat/a.png"
    assert data.splits["test"].tolist() == [0, 1] and data.splits["train"].tolist() == [2, 3]


def test_a_table_beside_the_images_adds_its_columns_labels_and_splits(photos):
    (photos / "metadata.csv").write_text("file_name,year,label,split\ncat/0.png,1999,x,train\ndog/4.png,2005,y,test\n")
    data = load(photos)
    assert data.attributes.column("year").to_pylist() == [1999] + [None] * 8 + [2005]
    assert data.classes == ("x", "y") and data.targets["labels"].tolist() == [0] + [-1] * 8 + [1]
    assert {name: rows.tolist() for name, rows in data.splits.items()} == {"train": [0], "test": [9]}
    assert "metadata.csv, joined by 'file_name'; 8 images are not in it" in data.notes[-1]
    assert load(photos, label="class").classes == ("cat", "dog")
    assert load(photos, label="year").targets["labels"].tolist() == [0] + [-1] * 8 + [1]


def test_a_table_may_name_files_without_their_folder_or_suffix(tmp_path):
    put(tmp_path / "d" / "in" / "a.png")
    (tmp_path / "d" / "labels.csv").write_text("id,year\na,1999\n")
    assert load(tmp_path / "d").attributes.column("year").to_pylist() == [1999]


@pytest.mark.parametrize(
    ("table", "options", "told"),
    [
        ("year\n1999\n", {}, "names none of the images"),
        ("file,year\nnone.png,1\n", {}, "names none of the images"),
        ("file,year\ncat/0.png,1\ncat/0.png,2\n", {}, "'cat/0.png' 2 times"),
        ("file,year\ncat/0.png,1\n", {"label": "yaer"}, "did you mean year"),
        ("file,year\ncat/0.png,1\n", {"id_column": "fiel"}, "did you mean file"),
    ],
)
def test_a_table_that_cannot_be_joined_is_refused(photos, table, options, told):
    (photos / "metadata.csv").write_text(table)
    with pytest.raises(SemblanceError, match=told):
        load(photos, **options)


def test_a_file_name_of_any_bytes_becomes_an_id(tmp_path):
    (tmp_path / "d").mkdir()
    odd = os.path.join(os.fsencode(tmp_path / "d"), b"caf\xe9.png")
    os.rename(put(tmp_path / "d" / "a.png"), odd)
    assert load(tmp_path / "d").ids == ["caf\\xe9.png"]


def test_single_files_and_lists_need_no_cache_and_every_one_has_to_be_good(photos, cache):
    files = [photos / "dog" / "0.png", photos / "cat" / "1.png"]
    assert load(files).x[:, 0, 0, 0].tolist() == [100, 1]
    assert load(str(files[0]), size=3).x.shape == (1, 3, 3, 3)
    assert entries(cache) == []
    files[1].write_bytes(b"")
    with pytest.raises(SemblanceError, match=r"1\.png.* cannot be read"):
        load(files)
    with pytest.raises(SemblanceError, match=r"no image .*none\.png"):
        load([photos / "none.png"])


def test_arrays_of_bytes_are_images_too(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (6, 5, 4, 3), dtype=np.uint8)
    np.savez(tmp_path / "x.npz", train_x=x[:4], train_y=[0, 1, 0, 1], test_x=x[4:], test_y=[1, 0])
    np.save(tmp_path / "x.npy", x)
    data = load(tmp_path / "x.npz")
    np.testing.assert_array_equal(data.x, np.moveaxis(x, 3, 1))
    assert data.splits["test"].tolist() == [4, 5] and data.classes == ("0", "1")
    mapped = load(tmp_path / "x.npy")
    assert isinstance(mapped.x, np.memmap) and mapped.x.shape == (6, 3, 5, 4)
    assert load(x, size=2).x.shape == (6, 3, 2, 2)
    shape = shape_of(mapped)
    train = np.moveaxis(x, 3, 1)[mapped.splits["train"]] / 255
    np.testing.assert_allclose(shape.mean, train.mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(shape.std, train.std((0, 2, 3)), rtol=1e-12)


def test_progress_ends_at_the_last_picture(photos):
    seen = []
    load(photos, progress=lambda *told: seen.append(told))
    assert seen[-1] == (10, 10, "reading images")


def test_a_cache_that_cannot_be_written_is_named(photos, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SEMBLANCE_CACHE", str(tmp_path / "file"))
    with pytest.raises(Failed, match="SEMBLANCE_CACHE") as error:
        load(photos)
    assert error.value.code == 1


@pytest.mark.skipif(sys.platform == "win32", reason="no limits on files there")
def test_a_disk_that_is_full_is_named_and_nothing_half_written_remains(photos, cache):
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(Failed, match="make room, or name another folder by SEMBLANCE_CACHE"):
            load(photos)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert entries(cache) == []


def test_a_reader_that_dies_leaves_nothing_half_written(photos, cache, monkeypatch):
    class Killed(BaseException):
        pass

    def die(*_):
        raise Killed

    monkeypatch.setattr(decoded, "decode", die)
    with pytest.raises(Killed):
        load(photos)
    assert entries(cache) == []


def test_two_processes_may_read_one_folder_at_once(photos, cache):
    code = f"from semblance.data.load import load; print(load({str(photos)!r}).fingerprint)"
    running = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    told = {process.communicate()[0].strip() for process in running}
    assert told == {load(photos).fingerprint} and len(entries(cache)) == 1


def test_an_entry_that_appears_meanwhile_is_taken(photos, cache, monkeypatch):
    first = load(photos)
    (entry,) = cache.iterdir()
    monkeypatch.setattr("semblance.data.decoded.Path.is_file", _absent_once(entry / "facts.json"))
    assert load(photos).fingerprint == first.fingerprint and entries(cache) == [entry.name]


def _absent_once(path):
    from pathlib import Path

    real, asked = Path.is_file, []

    def is_file(self):
        if self == path and not asked:
            asked.append(self)
            return False
        return real(self)

    return is_file


MEMORY = textwrap.dedent(
    """
    import resource, sys
    import numpy as np
    from semblance.data.load import load, shape_of
    load({warm!r})  # what the libraries need themselves
    limit = int(open("/proc/self/statm").read().split()[5]) * resource.getpagesize() + {room} * 2**20
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    data = load({folder!r}, size=256)
    if {copy}:
        np.array(data.x)
    shape_of(data)
    print(data.x.nbytes // 2**20)
    """
)


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA holds private memory on Linux only")
def test_loading_takes_less_memory_than_the_data_has(tmp_path):
    put(tmp_path / "warm" / "a.jpg", shape=(200, 200, 3))
    first = put(tmp_path / "d" / "0.jpg", 5, shape=(64, 64, 3))
    for i in range(1, 700):
        os.link(first, tmp_path / "d" / f"{i}.jpg")

    def run(room, copy):
        code = MEMORY.format(warm=str(tmp_path / "warm"), folder=str(tmp_path / "d"), room=room, copy=copy)
        env = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)

    assert int(run(100, False).stdout) == 131  # MiB of pictures, in 100 MiB for everything that comes and goes
    copied = run(100, True)
    assert copied.returncode != 0 and "MemoryError" in copied.stderr


def test_a_folder_read_by_itself_is_the_folder_that_load_reads(photos):
    assert from_folder(photos).fingerprint == load(photos).fingerprint
