"""Progress: shown where a person looks on and only when it takes long, and never on a pipe."""

from __future__ import annotations

import sys
import time
import types

import numpy as np
import pytest

import semblance as sb
from semblance.space import progress
from semblance.space.progress import NotebookBar, Progress, watched


class Drawn:
    """A bar that remembers what it was told."""

    def __init__(self, log: list[object]):
        self.log = log

    def update(self, done: int, total: int, text: str) -> None:
        self.log.append((done, total, text))

    def say(self, line: str) -> None:
        self.log.append(line)

    def stop(self) -> None:
        self.log.append("stopped")


@pytest.fixture
def log(monkeypatch) -> list[object]:
    """What is drawn, as if a person looked on and had a tenth of a second's patience."""
    seen: list[object] = []
    monkeypatch.setattr(progress, "_kind", lambda: lambda: Drawn(seen))
    monkeypatch.setattr(progress, "PATIENCE", 0.1)
    return seen


@watched
def work(seconds: float, steps: int = 1, progress=None) -> str:
    for step in range(steps):
        progress(step, steps, "working")
        time.sleep(seconds / steps)
    return "done"


def test_what_is_soon_done_shows_nothing(log):
    assert work(0) == "done"
    time.sleep(0.2)
    assert log == []


def test_one_long_step_is_shown_while_it_lasts_and_goes(log):
    assert work(0.4) == "done"
    assert log == [(0, 1, "working"), "stopped"]


def test_the_bar_goes_when_the_work_fails(log):
    @watched
    def broken(progress=None):
        progress(0, 2, "a")
        time.sleep(0.3)
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError):
        broken()
    assert log == [(0, 2, "a"), "stopped"]


def test_a_function_of_ones_own_is_told_instead(log):
    told = []
    work(0.3, 3, progress=lambda *said: told.append(said))
    assert told == [(0, 3, "working"), (1, 3, "working"), (2, 3, "working")] and log == []


def test_fit_draws_without_being_asked(log, monkeypatch, tmp_path):
    monkeypatch.setattr(progress, "PATIENCE", 1e-9)
    sb.fit(np.random.default_rng(0).normal(size=(40, 3)), out=tmp_path / "v.space").close()
    assert ("embedding" in str(log)) and log[-1] == "stopped"


def test_a_pipe_gets_no_bar(capsys, tmp_path):
    with Progress() as bar:
        bar(1, 2, "x")
        bar.say("a line")
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err == "a line\n"
    with Progress(quiet=True) as silent:
        silent.say("a line")
    assert capsys.readouterr().err == ""


def test_a_notebook_gets_html_that_is_escaped_and_empty_in_the_end(monkeypatch):
    shown = []
    handle = types.SimpleNamespace(update=shown.append)
    module = types.SimpleNamespace(HTML=str, display=lambda content, display_id: shown.append(content) or handle)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    bar = NotebookBar()
    bar.update(1, 4, "<b>")
    bar.update(2, 4, "too soon")
    bar.stop()
    assert shown == ["", '<progress value="1" max="4"></progress> &lt;b&gt; 1/4', ""]


def test_a_kernel_is_told_from_a_shell(monkeypatch):
    for shell, expected in ((None, False), (object(), False), (types.SimpleNamespace(kernel=1), True)):
        monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda shell=shell: shell))
        assert progress.in_notebook() is expected
    monkeypatch.delitem(sys.modules, "IPython")
    assert not progress.in_notebook()
