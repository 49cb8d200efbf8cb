"""The documentation as one site that reads offline: guides, executed notebooks, and the API from the docstrings.

    python docs/build.py [FOLDER]        # default: site/

Pages have no outside script, font or picture, and their links are relative, so that they work from a folder as from a
server. A warning, a link that leads nowhere and a heading that is missed are errors.
"""

from __future__ import annotations

import html
import importlib
import json
import pkgutil
import re
import shutil
import sys
import warnings
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pdoc.doc
import pdoc.render
from pdoc.render_helpers import to_html

DOCS = Path(__file__).parent
ROOT = DOCS.parent
PAGES = {
    "index.md": "Start",
    "run-one-thing.md": "Run one thing",
    "change-one-thing.md": "Change one thing",
    "write-one-thing.md": "Write one thing",
    "which-recipe.md": "Which recipe for my data",
    "learning.md": "Ways of learning, and what they need",
    "graphs.md": "Graphs, hypergraphs, complexes",
    "text.md": "Text",
    "captions.md": "Captions, and what to learn from",
    "pretexts.md": "Pretexts: tasks that pictures set themselves",
    "geometry.md": "What a network holds",
    "filtered-search.md": "Filtered search, changing spaces",
    "scale.md": "From one machine to many",
    "align.md": "Two spaces, one query",
    "compare.md": "Compare: what two models share",
    "explain.md": "Explain: why two things are near",
    "explorer.md": "The explorer",
    "installing.md": "Installing",
    "support.md": "What is supported",
    "notebooks/images.ipynb": "Notebook: images",
    "notebooks/vectors.ipynb": "Notebook: vectors and tables",
    "json.md": "What --json prints",
    "EVIDENCE.md": "Evidence",
    "CONTRIBUTING.md": "Contributing",
    "CHANGELOG.md": "Changelog",
}
OUTSIDE = ("CONTRIBUTING.md", "CHANGELOG.md")  # pages that stand in the root of the repository
LINK = re.compile(r'(?<=[\s"])(href|src)="([^"]*)"')
NUMBERS = re.compile(r"<!-- numbers: ([a-z, ]+) -->")


def build(site: Path) -> list[str]:
    """Write the site; returns what is wrong with its links."""
    shutil.rmtree(site, ignore_errors=True)
    site.mkdir(parents=True)
    pdoc.render.configure(
        docformat="markdown", show_source=False, search=True, template_directory=DOCS / "templates", footer_text=""
    )
    for page in PAGES:
        source = (ROOT if page in OUTSIDE else DOCS) / page
        text = notebook(source) if source.suffix == ".ipynb" else source.read_text()
        write_guide(site, page, NUMBERS.sub(lambda found: numbers(found[1].split(", ")), text), source.parent)
    write_api(site / "api")
    return broken_links(site)


def write_guide(site: Path, page: str, text: str, folder: Path) -> None:
    """One page: Markdown with links to other sources, which become links to their pages or copies."""
    target = site / place(page)
    target.parent.mkdir(parents=True, exist_ok=True)
    content = to_html(text)
    root = "../" * page.count("/")

    def moved(found: re.Match[str]) -> str:
        kind, link = found.groups()
        there, _, heading = link.partition("#")
        if not there or ":" in there or there.startswith("api/"):
            return found[0]
        source = (folder / unquote(there)).resolve()
        inside = source.relative_to(DOCS if source.is_relative_to(DOCS) else ROOT).as_posix()
        if inside not in PAGES:
            # A file of the repository that is no page stands beside the pages, for reading.
            inside = f"files/{inside}"
            (site / inside).parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                inside += ".txt"
                (site / inside).write_text("\n".join(sorted(str(f.relative_to(ROOT)) for f in source.rglob("*.*"))))
            else:
                shutil.copyfile(source, site / inside)
        return f'{kind}="{root}{place(inside)}{"#" + heading if heading else ""}"'

    body = LINK.sub(moved, str(content))
    title = re.search(r"^# (.+)$", text, re.MULTILINE)
    shown = pdoc.render.env.get_template("guide.html.jinja2").render(
        title=title[1] if title else PAGES[page],
        body=body,
        toc=content.toc_html,
        root=root,
        here=place(page),
        pages=[*((place(p), name) for p, name in PAGES.items()), ("api/semblance.html", "API, room by room")],
    )
    target.write_text(shown, encoding="utf-8")


def place(page: str) -> str:
    """Where a source's page stands in the site."""
    return re.sub(r"\.(md|ipynb)$", ".html", page) if page in PAGES else page


def notebook(path: Path) -> str:
    """An executed notebook as Markdown with its outputs in HTML."""
    parts = []
    for cell in json.loads(path.read_text())["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(text)
            continue
        parts.append(f"```python\n{text}\n```")
        parts += [f'<div class="output">{_output(output)}</div>' for output in cell["outputs"]]
    return "\n\n".join(parts)


def _output(output: dict[str, Any]) -> str:
    data = output.get("data", {"text/plain": output.get("text", "")})
    if "image/png" in data:
        return f'<img alt="the cell\'s picture" src="data:image/png;base64,{"".join(data["image/png"]).strip()}">'
    if "text/html" in data:
        return re.sub(r"\n\s*\n", "\n", "".join(data["text/html"]))
    # Empty lines would end the block of HTML.
    return "<pre>" + html.escape("".join(data["text/plain"])).replace("\n\n", "\n&nbsp;\n") + "</pre>"


def numbers(names: list[str]) -> str:
    """What benchmarks measured against what was set for them, from bench/results and nothing else."""
    rows = ["| benchmark | set | measured (low to high) | reached |", "| --- | --- | --- | --- |"]
    for name in names:
        found = json.loads((ROOT / "bench" / "results" / f"{name}.json").read_text())
        for said, goal in found["targets"].items():
            figure = f"{goal['cpu']:.3g}" + (f" ({goal['low']:.3g} to {goal['high']:.3g})" if "low" in goal else "")
            pair = f", {goal['pair']}" if "pair" in goal else ""
            rows.append(f"| {name} | {said} | {figure}{pair} | {'yes' if goal['reached'] else 'no'} |")
    return "\n".join(rows)


def write_api(folder: Path) -> None:
    """A page a module, from its docstrings; a room's list of files leads to them."""
    names = [
        "semblance",
        *(m.name for m in pkgutil.walk_packages(importlib.import_module("semblance").__path__, "semblance.")),
    ]
    modules = {}
    for name in names:
        module = importlib.import_module(name)
        for public in getattr(module, "__all__", ()):
            vars(module).setdefault(public, None)
            vars(module)[public] = (
                module.__getattr__(public) if hasattr(module, "__getattr__") else vars(module)[public]
            )
        modules[name] = pdoc.doc.Module(module)
    for name, module in modules.items():
        target = folder / f"{name.replace('.', '/')}.html"
        target.parent.mkdir(parents=True, exist_ok=True)
        if module.is_package:
            module.docstring = _listed(name, module.docstring, set(names))
        target.write_text(pdoc.render.html_module(module, modules), encoding="utf-8")
    (folder / "search.js").write_text(pdoc.render.search_index(modules), encoding="utf-8")


def _listed(package: str, text: str, names: set[str]) -> str:
    """`name.py   what it holds` as a list of links."""
    here = package.rpartition(".")[2]
    lines, told = [], set()
    for line in text.splitlines():
        found = re.fullmatch(r"(\w+)(?:\.py|/)\s+(\S.*)", line)
        if found and f"{package}.{found[1]}" in names:
            told.add(f"{package}.{found[1]}")
            line = f"- [`{found[1]}`]({here}/{found[1]}.html): {found[2]}"
        lines.append(line)
    rest = sorted(n for n in names - told if n.rpartition(".")[0] == package)
    lines += ["", *(f"- [`{n.rpartition('.')[2]}`]({here}/{n.rpartition('.')[2]}.html)" for n in rest)]
    return "\n".join(lines)


def broken_links(site: Path) -> list[str]:
    """Relative links of the site's pages that lead to no file, or to no heading of it, and whatever is fetched from
    outside."""
    pages = {file: file.read_text(encoding="utf-8") for file in site.rglob("*.html")}
    ids = {file: set(re.findall(r'\b(?:id|name)="([^"]+)"', text)) for file, text in pages.items()}
    wrong = []
    for file, text in pages.items():
        for kind, link in LINK.findall(re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)):
            there, _, heading = html.unescape(link).partition("#")
            if ":" in there or there.startswith("//"):
                if kind == "src" and not there.startswith("data:"):
                    wrong.append(f"{file.relative_to(site)} fetches {link}")
                continue
            target = (file.parent / unquote(there)).resolve() if there else file
            if not target.is_file():
                wrong.append(f"{file.relative_to(site)} leads to {link}, which is not there")
            elif heading and file.parent in (site, site / "notebooks") and unquote(heading) not in ids[target]:
                wrong.append(f"{file.relative_to(site)} leads to {link}, a heading that is not there")
    return wrong


if __name__ == "__main__":
    warnings.simplefilter("error")
    # Names under TYPE_CHECKING are shown as they are written.
    warnings.filterwarnings("ignore", "Error parsing type annotation")
    out = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "site").resolve()
    wrong = build(out)
    print("\n".join(wrong) or f"{out}: {len(list(out.rglob('*.html')))} pages")
    sys.exit(1 if wrong else 0)
