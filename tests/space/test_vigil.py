"""What is waited for ends with the cluster: a Ray that is only pretended, whose head answers or does not."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from semblance.space import vigil
from semblance.space.vigil import Gone, Vigil


class RayError(Exception):
    pass


class RayTaskError(RayError):
    pass


class Pretended:
    """A cluster of one node, whose head answers while it is told to."""

    exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)

    def __init__(self) -> None:
        self.answers, self.alive, self.left, self.asked = True, True, threading.Event(), 0

    def get_runtime_context(self) -> Any:
        return SimpleNamespace(gcs_address="head:6379", get_node_id=lambda: "a")

    def nodes(self) -> list[dict[str, Any]]:
        self.asked += 1
        if not self.answers:
            raise RayError("nobody answers")
        return [{"NodeID": "a", "Alive": self.alive}]

    def shutdown(self) -> None:
        self.left.set()


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Pretended:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(vigil, "OFTEN", 0.02)
    monkeypatch.setattr(vigil, "ASKED", 0.02)
    return Pretended()


def raised(error: BaseException) -> None:
    raise error


def test_work_that_ends_is_answered_and_nobody_asks_any_longer(ray: Pretended) -> None:
    heard: list[int] = []
    with Vigil(ray, "ray") as watch:
        assert watch.until(lambda: time.sleep(0.2) or 7, lambda: heard.append(1)) == 7
    asked = ray.asked
    time.sleep(0.1)
    assert heard and ray.asked == asked > 0 and not ray.left.is_set()


@pytest.mark.parametrize(
    ("what", "words"),
    [("answers", "its head does not answer"), ("alive", "the node that this process was joined to died")],
)
def test_work_that_would_never_end_ends_with_the_cluster(ray: Pretended, what: str, words: str) -> None:
    with pytest.raises(Gone, match=f"the cluster at head:6379 is gone: {words}"), Vigil(ray, "ray", lost=0.3) as watch:
        setattr(ray, what, False)
        watch.until(lambda: time.sleep(60), lambda: None)
    assert ray.left.wait(5)


def test_who_was_lost_with_the_head_is_not_named_in_its_place(ray: Pretended) -> None:
    with pytest.raises(Gone, match="its head does not answer"), Vigil(ray, "ray", lost=0.3) as watch:
        ray.answers = False
        watch.until(lambda: raised(RayError("the actor is unavailable")), lambda: None)
    with pytest.raises(RayError, match="unavailable"), Vigil(Pretended(), "ray") as watch:
        watch.until(lambda: raised(RayError("the actor is unavailable")), lambda: None)


def test_a_cluster_is_named_as_the_user_named_it(ray: Pretended, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Vigil(ray, "ray").name == "head:6379" and Vigil(ray, "ray://there:10001").name == "ray://there:10001"
    monkeypatch.setenv("RAY_ADDRESS", "there:6379")
    assert Vigil(ray, "ray").name == "there:6379"


def test_errors_of_the_work_itself_come_at_once(ray: Pretended) -> None:
    with Vigil(ray, "ray", lost=60) as watch:
        ray.answers = False
        for error in (RayTaskError("3 is not doubled"), ValueError("3")):
            with pytest.raises(type(error), match="3"):
                watch.until(lambda error=error: raised(error), lambda: None)
    with pytest.raises(Gone, match=r"Ray ended \(1\)"), Vigil(ray, "ray", lost=60) as watch:
        watch.until(lambda: raised(SystemExit(1)), lambda: None)
