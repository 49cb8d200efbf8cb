"""The documentation holds: its links lead somewhere, and every example of its guides runs on tiny data."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pyarrow import csv

from semblance.app import cli
from semblance.data.domains import DOMAINS
from semblance.recipes.registry import table

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
GUIDES = sorted(DOCS.glob("*.md"))
TEXTS = [*GUIDES, ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RUNS = [page for page in GUIDES if {kind for kind, _ in BLOCK.findall(page.read_text())} & {"python", "console"}]


@pytest.fixture
def tiny(tmp_path, monkeypatch) -> Path:
    """A folder with the data that the guides speak of: two classes of photos, new ones, a query, a table of vectors."""
    chance = np.random.default_rng(0)
    places = [f"photos/{kind}/{i}.png" for kind in ("cat", "dog") for i in range(20)] + [
        f"new/{i}.png" for i in range(3)
    ]
    for place in [*places, "query.png"]:
        file = tmp_path / place
        file.parent.mkdir(parents=True, exist_ok=True)
        middle = 180 if "cat" in place else 70
        Image.fromarray(chance.normal(middle, 30, (16, 16, 3)).clip(0, 255).astype(np.uint8)).save(file)
    colours = {"red": (200, 40, 40), "blue": (40, 40, 200)}
    lines = ["file_name,caption,checked"]
    for i in range(40):
        name, said = list(colours)[i % 2], list(colours)[(i + (i % 5 == 0)) % 2]
        pixels = chance.normal(30, 10, (12, 12, 3))
        pixels[3:9, 3:9] += colours[name]
        (tmp_path / "pool").mkdir(exist_ok=True)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(tmp_path / f"pool/{i}.png")
        lines.append(f"{i}.png,a {said} square on black,{'true' if i % 5 else 'false'}")
    (tmp_path / "pool/captions.csv").write_text("\n".join(lines))
    vectors = chance.normal(size=(200, 4)).astype(np.float32)
    label = np.where(vectors[:, 0] > 0, "a", "b")
    columns = {f"x{i}": vectors[:, i] for i in range(4)}
    more = {"city": chance.choice(["Oslo", "Rome", "Lima"], 200), "label": label}
    pq.write_table(
        pa.table({"vector": vectors.tolist(), "year": chance.integers(2015, 2026, 200), **more}),
        tmp_path / "vectors.parquet",
    )
    pq.write_table(pa.table({**columns, "label": label}), tmp_path / "numbers.parquet")
    np.save(tmp_path / "vectors.npy", vectors)
    sayings = [
        "a ship on the sea",
        "bread from the oven",
        "rain and wind",
        "the ship sails at night",
        "flour makes bread",
    ]
    lines = [f"{said}, {chance.choice(['today', 'again', 'as ever'])} {i}" for i, said in enumerate(sayings * 8)]
    csv.write_csv(pa.table({"text": lines}), tmp_path / "sentences.csv")
    ends = chance.integers(0, 40, (2, 60))
    judged = {"sentence1": [lines[i] for i in ends[0]], "sentence2": [lines[i] for i in ends[1]]}
    csv.write_csv(pa.table({**judged, "score": 5.0 * (ends[0] % 5 == ends[1] % 5)}), tmp_path / "pairs.csv")
    topic = np.arange(60) % 3
    low, high = np.triu_indices(60, 1)
    cites = chance.random(len(low)) < np.where(topic[low] == topic[high], 0.3, 0.03)
    csv.write_csv(pa.table({"source": low[cites], "target": high[cites]}), tmp_path / "edges.csv")
    words = chance.normal(size=(60, 2)).astype(np.float32) + topic[:, None]
    nodes = {"id": np.arange(60), "words": words[:, 0], "pages": words[:, 1]}
    csv.write_csv(pa.table({**nodes, "topic": np.array(["logic", "optics", "law"])[topic]}), tmp_path / "nodes.csv")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", RUNS, ids=lambda page: page.name)
def test_the_examples_of_a_guide_run(page, tiny, capsys):
    names: dict[str, object] = {"__name__": "guide"}
    text = page.read_text()
    for found in BLOCK.finditer(text):
        kind, code = found.groups()
        line = text[: found.start()].count("\n") + 2
        if kind == "python":
            # Errors are told by the page's own lines.
            exec(compile("\n" * (line - 1) + code, str(page), "exec"), names)
        elif kind == "console":
            for command in code.splitlines():
                words = shlex.split(command, comments=True)
                assert words[0] == "semblance"
                status = cli.run(cli.app, words[1:])
                assert status == 0, f"{page.name}: {command}: {capsys.readouterr().err}"


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"", text)
    for link in filter(None, (a or b for a, b in links)):
        there, _, heading = link.partition("#")
        if ":" in there or (page.parent == DOCS and there.startswith("api/")):
            continue
        target = page.parent / there if there else page
        assert target.exists(), f"{page.name} leads to {link}"
        if heading:
            titles = {
                re.sub(r"[^\w -]", "", t).strip().lower().replace(" ", "-")
                for t in re.findall(r"^#+ (.+)$", target.read_text(), re.M)
            }
            assert heading in titles, f"{page.name} leads to {link}"


def test_the_link_check_can_fail(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("[a](gone.md)")
    with pytest.raises(AssertionError, match=r"gone\.md"):
        test_every_link_leads_somewhere(page)


def test_every_guide_is_a_page_of_the_site_and_of_the_index():
    pages = set(builder().PAGES)
    index = (DOCS / "index.md").read_text()
    for page in [*GUIDES, *(DOCS / "notebooks").glob("*.ipynb")]:
        name = page.relative_to(DOCS).as_posix()
        assert name in pages, f"{name} is not in docs/build.py"
        assert name == "index.md" or f"({name})" in index


def builder():
    """docs/build.py as a module."""
    pytest.importorskip("pdoc")
    spec = importlib.util.spec_from_file_location("build_docs", DOCS / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_guides_become_pages_whose_links_hold_and_fetch_nothing(tmp_path, monkeypatch):
    build = builder()
    monkeypatch.setattr(build, "write_api", lambda folder: None)
    lost = [line for line in build.build(tmp_path / "site") if "api/" not in line]
    assert lost == []
    text = (tmp_path / "site" / "filtered-search.html").read_text()
    assert "<table>" in text and "reached" in text and 'href="files/bench/results/changes.json"' in text


def test_a_lost_link_and_an_outside_script_are_found(tmp_path):
    build = builder()
    page = '<a href="gone.html">a</a><a href="#lost">b</a><img src="https://example.org/x.png"><a href="https://example.org">c</a>'
    (tmp_path / "a.html").write_text(page)
    assert [line.split(" ", 1)[1] for line in build.broken_links(tmp_path)] == [
        "leads to gone.html, which is not there",
        "leads to #lost, a heading that is not there",
        "fetches https://example.org/x.png",
    ]


def test_figures_in_the_guides_are_those_of_the_benchmarks():
    results = ROOT / "bench" / "results"
    ratios = json.loads((results / "changes.json").read_text())["targets"]
    added, beside = ratios.values()
    said = (DOCS / "filtered-search.md").read_text().replace("\n", " ")
    assert (
        f"{1 / added['cpu']:.1f} times the processor time" in said
        and f"{1 / added['clock']:.1f} times the clock" in said
    )
    assert (
        f"{1 / beside['cpu']:.1f} times that at rest" in said
        and f"{1 / beside['clock']:.1f} times by the clock" in said
    )
    runs = json.loads((results / "filtered.json").read_text())["runs"][:2]
    for run, (quick, careful) in zip(runs, (("2.3 times", "1.6 and"), ("3.1 times", "and 2.7 times")), strict=True):
        medians = [goal["median"] for goal in run["goals"][:2]]
        assert quick in said and careful in said
        assert [f"{median:.1f}" in words for median, words in zip(medians, (quick, careful), strict=True)] == [
            True,
            True,
        ]
    worth = json.loads((results / "worth.json").read_text())
    said = (DOCS / "which-recipe.md").read_text()
    for name in ("digits", "mnist", "cifar10-subset"):
        linear = worth[name]["metrics"]["linear"]
        assert (
            f"{linear['value']:.3f}" in said
            and f"{linear['baseline']:.3f}" in said
            and f"{worth[name]['seconds']:.0f} s" in said
        )


def test_the_readme_says_what_works_today():
    rows = re.findall(r"^\| (\w+) \| (.+?) \| (.+?) \| (.+?) \|$", (ROOT / "README.md").read_text(), re.MULTILINE)
    said = {name: (default, methods) for name, _, default, methods in rows if name in DOMAINS}
    assert set(said) == set(DOMAINS)
    built = table()
    for domain, (default, methods) in said.items():
        names = re.findall(r"`([\w-]+)`", default)
        assert names and all(domain in built[name].domains for name in names)
        assert methods == str(
            sum(domain in row.domains for row in built.values() if row.module.startswith("semblance."))
        )


@pytest.mark.parametrize("path", sorted((DOCS / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_runs_and_keeps_small_outputs(path, tmp_path):
    nbclient = pytest.importorskip("nbclient")
    import nbformat

    kept = nbformat.read(path, as_version=4)
    assert path.stat().st_size < 400_000
    code = [cell for cell in kept.cells if cell.cell_type == "code"]
    assert code and all(cell.execution_count == n for n, cell in enumerate(code, start=1)), (
        "run it from the top, and save"
    )
    assert not any(output.output_type == "error" for cell in code for output in cell.outputs)
    assert str(ROOT) not in path.read_text() and "/tmp" not in path.read_text()
    nbclient.NotebookClient(
        kept, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
