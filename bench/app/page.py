"""The page of `semblance serve` in headless Chromium with software rendering: how soon the map is there, and how it moves.

    first paint   from the navigation to the first frame with points (the mark "semblance:painted"), of spaces of 10,000
                  and of 200,000 items whose map is stored; a browser context of its own each time, so nothing is cached
    frame         what lies between two frames while the map is dragged, then zoomed by the wheel; the median and the p95
                  of sixty, with the renderer that the page chooses, with WebGL (SwiftShader) and with the plain canvas

    python bench/app/page.py [--items 10000 200000] [--rounds 7]

Chromium and the server share the machine's cores.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.app.serve import make
from bench.harness import RESULTS, ROOT, machine

FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-quic", "--no-first-run"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
TARGETS = {"first paint of 10000": 1.5, "first paint of 200000": 4.0, "median frame at 10000": 0.050}
PAINTED = "() => performance.getEntriesByName('semblance:painted')[0]?.startTime"
# The time between frames while something moves the map at every frame.
MOVE = """async (kind) => {
  const map = window.semblance.map, times = [];
  const next = () => new Promise(done => requestAnimationFrame(done));
  await next();
  let last = performance.now();
  for (let i = 0; i < 60; i++) {
    if (kind === 'pan') map.camera.pan(i < 30 ? 4 : -4, i % 2 ? 2 : -2);
    else map.camera.zoomAt(300, 300, i < 30 ? 1.06 : 1 / 1.06);
    map.redraw();
    await next();
    const now = performance.now();
    times.push(now - last);
    last = now;
  }
  return times.slice(5);
}"""


def opened(browser: Any, address: str) -> tuple[Any, Any, float]:
    """A fresh context with the page, and the seconds to the first paint."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.goto(address, wait_until="commit")
    end = time.monotonic() + 120
    while not (found := page.evaluate(PAINTED)):
        if time.monotonic() > end:
            sys.exit(f"{address} painted nothing in two minutes")
        time.sleep(0.02)
    return context, page, found / 1000


def measured(browser: Any, address: str, rounds: int) -> dict[str, Any]:
    paints = []
    for _ in range(rounds):
        context, _, seconds = opened(browser, address)
        paints.append(seconds)
        context.close()
    result: dict[str, Any] = {"first paint": {"median": median(paints), "runs": paints}}
    for renderer in ("", "webgl", "canvas"):
        context, page, _ = opened(browser, f"{address}?renderer={renderer}")
        page.wait_for_timeout(2000)
        drawn = page.locator(".explore .map")
        renderer = renderer or "chosen"
        result[renderer] = {k: drawn.get_attribute(f"data-{k}") for k in ("renderer", "drawn")}
        for kind in ("pan", "zoom"):
            times = sorted(t / 1000 for t in page.evaluate(MOVE, kind))
            result[renderer][kind] = {"median": median(times), "p95": times[int(0.95 * len(times))]}
        context.close()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, nargs="*", default=[10_000, 200_000])
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or sys.exit("Chromium is absent: apt-get install -y chromium")
    with tempfile.TemporaryDirectory() as folder:
        spaces = {n: Path(folder) / f"n{n}.space" for n in given.items}
        for n, path in spaces.items():
            make(path, n)
        command = [sys.executable, "-m", "semblance.app.cli", "serve", *map(str, spaces.values()), "--port", "0"]
        server = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
        try:
            assert server.stdout is not None
            address = server.stdout.readline().split(" at ")[1].split("/ ")[0].rstrip("/")
            with sync_playwright() as started:
                browser = started.chromium.launch(executable_path=chromium, args=FLAGS)
                for n in spaces:  # the first opening computes the map and stores it
                    opened(browser, f"{address}/s/n{n}")[0].close()
                results = {str(n): measured(browser, f"{address}/s/n{n}", given.rounds) for n in spaces}
                browser.close()
        finally:
            server.terminate()
            server.wait(timeout=20)
    told = {
        "benchmark": "page",
        "machine": machine(2),
        "rounds": given.rounds,
        "items": results,
        "targets": judged(results),
    }
    print(json.dumps(told, indent=1))
    if set(given.items) == {10_000, 200_000}:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "page.json").write_text(json.dumps(told, indent=1) + "\n")


def judged(results: dict[str, Any]) -> dict[str, Any]:
    got = {f"first paint of {n}": r["first paint"]["median"] for n, r in results.items()}
    got |= {f"median frame at {n}": max(r["chosen"][k]["median"] for k in ("pan", "zoom")) for n, r in results.items()}
    return {
        name: {"most": most, "seconds": got[name], "reached": got[name] <= most}
        for name, most in TARGETS.items()
        if name in got
    }


if __name__ == "__main__":
    main()
