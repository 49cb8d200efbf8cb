"""What the page's tests share: spaces, a server over them, the system's Chromium, and a reader who looks at pictures.

    apt-get install -y chromium        pip install 'semblance[serve]' playwright

SEMBLANCE_SCREENSHOTS=1 puts the screenshots into docs/explorer; else they go to a temporary folder.
SEMBLANCE_PAGE_SLOWDOWN=8:3 finds races: the browser has an eighth of its speed, and each of the page's requests and answers
waits for up to 0.4 s, drawn with seed 3 (8 alone: seed 0), so that answers overtake one another.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import semblance as sb
from semblance.memory.store import Store

ROOT = Path(__file__).resolve().parents[3]
FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-quic", "--no-first-run"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
AUDIT = Path(__file__).with_name("audit.js").read_text().rstrip().removesuffix(";").split("\n", 1)[1]
FLIPPED = 6  # items whose label is wrong, for the suspects to be found
PATIENCE = 120.0
SLOWDOWN = os.environ.get("SEMBLANCE_PAGE_SLOWDOWN", "")
LATE = """(() => {
  let seed = SEED;
  const wait = () => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return new Promise((done) => setTimeout(done, (400 * seed) / 2 ** 32));
  };
  const real = window.fetch;
  window.fetch = async (...asked) => {
    await wait();
    const answer = await real(...asked);
    await wait();
    return answer;
  };
})()"""


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("spaces")


@pytest.fixture(scope="session")
def digits(folder: Path) -> Path:
    """A space of pictures with a label, two numbers and a split; six labels are wrong."""
    path = folder / "digits.space"
    with sb.fit("digits", recipe="supcon", epochs=2, width=8, out=path) as space:
        images = load_digits().images[[int(row) for row in space.attributes(["row"])["row"].to_pylist()]]
        x = np.arange(8) - 3.5
        balance = (images.sum(1) * x).sum(1) / images.sum((1, 2))
        ink = images.mean((1, 2)) / 16
        space.update(space.ids, pa.table({"ink": ink.round(3), "balance": balance.round(3)}))
        wrong = space.ids[5 : 5 + FLIPPED * 40 : 40]
        labels = [space.attributes(["label"])["label"][space.ids.index(name)].as_py() for name in wrong]
        space.relabel(wrong, [str((int(label) + 4) % 10) for label in labels])
    return path


@pytest.fixture(scope="session")
def second(folder: Path) -> Path:
    path = folder / "simclr.space"
    sb.fit("digits", recipe="simclr", epochs=1, width=8, out=path).close()
    return path


@pytest.fixture(scope="session")
def small(folder: Path) -> dict[str, Path]:
    """Vectors of which none, one, or all of three are left, the last for a test that deletes them."""
    spaces = {}
    for name, left in (("none", 0), ("one", 1), ("three", 3), ("gone", 3)):
        spaces[name] = folder / f"{name}.space"
        rng = np.random.default_rng(left)
        with sb.fit(rng.normal(size=(3, 4)).astype(np.float32), recipe="as-is", out=spaces[name]) as space:
            space.remove(space.ids[left:])
    return spaces


@pytest.fixture(scope="session")
def crowd(folder: Path) -> Path:
    """200,000 vectors in twelve heaps."""
    rng = np.random.default_rng(0)
    heap = rng.integers(0, 12, 200_000)
    x = (rng.normal(size=(12, 8))[heap] * 2 + rng.normal(size=(200_000, 8))).astype(np.float32)
    columns = {"heap": [f"heap {h:02d}" for h in heap], "height": x[:, 0].astype(float).round(3)}
    path = folder / "crowd.space"
    with Store.create(path, dim=8, geometry="euclidean", domain="vectors", manifest={}) as store:
        store.commit_space(ids=[str(i) for i in range(200_000)], vectors=x, attributes=pa.table(columns), manifest={})
    return path


class Server:
    """`semblance serve` in a process of its own, on a free port."""

    def __init__(self, *spaces: Path, cwd: Path):
        command = [sys.executable, "-m", "semblance.app.cli", "serve", *map(str, spaces), "--port", "0"]
        # What it logs goes to a file: a pipe that nobody reads is full one day, and then the server waits.
        log = cwd / f"{spaces[0].stem}.log"
        with log.open("w") as file:
            self.process = subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=file, text=True)
        assert self.process.stdout is not None
        line = next((line for line in self.process.stdout if " at http" in line), None)
        if line is None:  # it has ended
            self.process.wait()
            pytest.fail(f"the server did not start: {log.read_text()}")
        self.address = line.split(" at ")[1].split("/ ")[0].rstrip("/")

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.communicate(timeout=PATIENCE)
        finally:
            self.process.kill()


@pytest.fixture(scope="session")
def server(digits: Path, second: Path, small: dict[str, Path], folder: Path):
    for module in ("fastapi", "uvicorn", "multipart"):
        pytest.importorskip(module, reason="the server is absent: pip install 'semblance[serve]'")
    running = Server(digits, second, *small.values(), cwd=folder)
    yield running
    running.stop()


@pytest.fixture(scope="session")
def crowded(crowd: Path, folder: Path):
    running = Server(crowd, cwd=folder)
    yield running
    running.stop()


def system_browser() -> str:
    """Where the system's Chromium lies; without one the test skips, with the command that installs it."""
    found = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
    if found is None:
        pytest.skip("Chromium is absent: apt-get install -y chromium")
    return found


@pytest.fixture(scope="session")
def chromium():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is absent: pip install playwright")
    found = system_browser()
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=found, args=FLAGS, timeout=1000 * PATIENCE)
        yield browser
        browser.close()


class Reader:
    """Opens pages as a person would, and keeps what went wrong on them."""

    def __init__(self, browser: Any, address: str, pictures: Path, **context: Any):
        context = {"viewport": {"width": 1280, "height": 800}, **context}
        self.context = browser.new_context(**context)
        self.address, self.pictures = address, pictures
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE * 1000)
        if SLOWDOWN:
            rate, _, seed = SLOWDOWN.partition(":")
            self.context.new_cdp_session(self.page).send("Emulation.setCPUThrottlingRate", {"rate": float(rate)})
            self.context.add_init_script(LATE.replace("SEED", seed or "0"))
        self.wrong: list[str] = []  # what the console complains of, less answers of the server that say no
        self.asked: list[str] = []
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", self._heard)
        self.page.on("request", lambda request: self.asked.append(request.url))

    def _heard(self, message: Any) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.wrong.append(message.text)

    def open(self, path: str = "/s/digits", ready: bool = True) -> Any:
        self.page.goto(self.address + path)
        if ready:
            self.until("window.semblance?.state.get('ids') && window.semblance.state.get('facets')")
            self.settled()
        return self.page

    def until(self, expression: str, patience: float = PATIENCE) -> Any:
        """Wait until an expression is true. (Playwright's own wait evaluates text, which the page's policy forbids.)"""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            found = self.page.evaluate(f"() => {expression}")
            if found:
                return found
            time.sleep(0.03)
        shown = self.shot("failed")
        raise AssertionError(f"never true: {expression}; toast: {self.toast()!r}; see {shown}")

    def reads(self, selector: str, text: str, exactly: bool = False) -> None:
        """Wait until an element's words hold a text, or are it."""
        found = f"document.querySelector({json.dumps(selector)})?.innerText ?? ''"
        self.until(f"({found}).trim() === {json.dumps(text)}" if exactly else f"({found}).includes({json.dumps(text)})")

    def comes(self, read: Callable[[], Any], wanted: Any) -> None:
        """Wait until what a function reads is what is wanted."""
        end = time.monotonic() + PATIENCE
        while (found := read()) != wanted and time.monotonic() < end:
            self.page.wait_for_timeout(30)  # not time.sleep: the browser's requests are heard of meanwhile
        assert found == wanted

    def settled(self) -> None:
        """Wait until everything that was asked for is drawn, two frames later, and nothing moves."""
        self.page.evaluate(
            """async () => {
              const frame = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
              const moving = () => document.getAnimations().filter((a) => a.effect.getComputedTiming().endTime < 10_000);
              const camera = () => JSON.stringify(window.semblance?.map.camera);
              let before;
              do {
                before = camera();
                await frame();
                await Promise.allSettled(moving().map((a) => a.finished));
              } while (camera() !== before);
            }"""
        )

    @property
    def url(self) -> str:
        """The address as the page has it now. (Playwright's own is told of a change a moment later.)"""
        return str(self.page.evaluate("() => location.href"))

    def state(self, expression: str) -> Any:
        return self.page.evaluate(f"() => (({{state, map}}) => {expression})(window.semblance)")

    def data(self, name: str, where: str = ".explore .map") -> str:
        return self.page.locator(where).get_attribute(f"data-{name}")

    def toast(self) -> str:
        return self.page.evaluate("() => document.getElementById('toast')?.textContent ?? ''")

    def look(self, selector: str | None = None) -> np.ndarray:
        """[H, W, 3], what is seen."""
        self.settled()
        taken = self.page.locator(selector).screenshot() if selector else self.page.screenshot()
        return np.asarray(Image.open(io.BytesIO(taken)).convert("RGB")).astype(int)

    def shot(self, name: str) -> Path:
        """The picture of the page, for people. Fewer colours make a small file."""
        if name != "failed":
            self.pictured("img")
            self.settled()
        kept = (
            ROOT / "docs" / "explorer"
            if os.environ.get("SEMBLANCE_SCREENSHOTS") and name != "failed"
            else self.pictures
        )
        kept.mkdir(parents=True, exist_ok=True)
        picture = Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")
        few_colours(picture).save(kept / f"{name}.png", optimize=True)
        return kept / f"{name}.png"

    def audit(self, question: str, argument: str | None = None) -> list[str]:
        """What is wrong with the page, by a function of audit.js."""
        return self.page.evaluate(f"(argument) => {AUDIT}.{question}(argument)", argument)

    def pictured(self, selector: str) -> None:
        """Wait until all pictures in the window are there."""
        end = time.monotonic() + PATIENCE
        while missing := self.audit("missing", selector):
            assert time.monotonic() < end, f"never came: {missing}"
            time.sleep(0.03)

    def check(self) -> None:
        """Nothing complained, nothing was asked of another address, nothing is cut off or hangs over the edge."""
        assert self.wrong == []
        outside = [url for url in self.asked if not url.startswith((self.address, "data:", "blob:"))]
        assert outside == []
        assert self.audit("overhanging") == []


def few_colours(picture: Image.Image) -> Image.Image:
    """In 256 colours: the 160 most frequent as they are, so that paper stays paper; the rest shared out among the others,
    a rare one (the dot in a legend) weighing more than its share."""
    colours, times = np.unique(np.asarray(picture).reshape(-1, 3), axis=0, return_counts=True)
    order = times.argsort()[::-1]
    rest = order[160:]
    palette = colours[order[:160]].tolist()
    if len(rest):
        weighed = np.repeat(colours[rest], np.ceil(np.sqrt(times[rest])).astype(int), axis=0).astype(np.uint8)
        shared = Image.fromarray(weighed[None]).quantize(256 - len(palette)).getpalette()
        palette += np.reshape(shared, (-1, 3))[: 256 - len(palette)].tolist()
    given = np.array(palette, int)
    every = colours.astype(int)
    nearest = np.concatenate(
        [np.abs(part[:, None] - given).sum(-1).argmin(1) for part in np.array_split(every, 1 + len(every) // 4096)]
    )
    places = nearest[np.unique(np.asarray(picture).reshape(-1, 3), axis=0, return_inverse=True)[1]]
    small = Image.fromarray(places.reshape(picture.height, picture.width).astype(np.uint8), "P")
    small.putpalette(given.ravel().tolist())
    return small


@pytest.fixture
def reader(chromium: Any, server: Server, tmp_path: Path):
    """reader(**context) makes a reader; all are closed, and held to `check`, at the end."""
    made: list[Reader] = []

    def make(address: str | None = None, **context: Any) -> Reader:
        made.append(Reader(chromium, address or server.address, tmp_path, **context))
        return made[-1]

    yield make
    for one in made:
        one.context.close()


def background(pixels: np.ndarray) -> np.ndarray:
    """[3] the most frequent colour."""
    colours, times = np.unique(pixels.reshape(-1, 3), axis=0, return_counts=True)
    return colours[times.argmax()]


@pytest.fixture(scope="session")
def painted():
    """painted(pixels) -> how many differ clearly from the background."""

    def count(pixels: np.ndarray) -> int:
        return int((np.abs(pixels - background(pixels)).max(-1) > 40).sum())

    return count


@pytest.fixture(scope="session")
def vivid():
    """vivid(pixels) -> how many hues (of twelve) a hundred or more strongly coloured pixels have."""

    def hues(pixels: np.ndarray) -> int:
        high, low = pixels.max(-1), pixels.min(-1)
        strong = pixels[(high - low) > 70].astype(float)
        r, g, b = strong.T
        hue = np.degrees(np.arctan2(np.sqrt(3) * (g - b), 2 * r - g - b)) % 360
        return int((np.bincount((hue // 30).astype(int), minlength=12) >= 100).sum())

    return hues
