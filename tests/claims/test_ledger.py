"""The ledger: what makes a verdict, what becomes of an error, when evidence is stale, and what is generated from it."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semblance.claims import evidence, ledger, states
from semblance.errors import SemblanceError

figures = st.floats(allow_nan=False, allow_infinity=False, width=32)


def declare(measure, entry="simsiam", **more):
    """A claim under an entry's name, declared for one test."""
    measure.__doc__ = measure.__doc__ or "What the paper says."
    before = ledger._DECLARED.get(entry)
    ledger.claim(entry, **{"parts": {"a": ledger.at_least(1)}, "broken": "nothing is learned", **more})(measure)
    declared = ledger._DECLARED.pop(entry)
    if before is not None:
        ledger._DECLARED[entry] = before
    return declared


@pytest.fixture
def run_claim(monkeypatch, tmp_path):
    """Runs a claim function and returns its evidence, written below tmp_path."""

    def run(measure, broken=False, **more):
        declared = declare(measure, **more)
        monkeypatch.setattr(ledger, "load_claim", lambda entry: declared)
        return ledger.reproduce("simsiam", broken, results=tmp_path, quiet=True)

    return run


@given(figures, figures)
def test_rules_are_the_comparisons_they_say(value, threshold):
    assert ledger.at_least(threshold).check(value) == (value >= threshold)
    assert ledger.at_most(threshold).check(value) == (value <= threshold)
    assert ledger.below(threshold).check(value) == (value < threshold)
    assert ledger.above(threshold).check(value) == (value > threshold)
    assert ledger.exactly(threshold).check(value) == (value == threshold)
    assert ledger.within(threshold, 0.5).check(value) == (abs(value - threshold) <= 0.5)


@pytest.mark.parametrize(
    "rule", [ledger.at_least(0), ledger.at_most(0), ledger.below(0), ledger.within(0, 9), ledger.exactly(math.nan)]
)
def test_nan_keeps_no_rule(rule):
    assert not rule.check(math.nan)


def test_a_claim_is_shown_when_every_part_passes(run_claim, tmp_path):
    def measure(run):
        run.report("a", [1.0, 3.0])
        run.baseline("chance", 0.5)

    found = run_claim(measure, seeds=(0, 1), data=("digits",))
    assert found["verdict"] == "shown" and found["reason"] == ""
    part = found["parts"][0]
    assert (part["value"], part["low"], part["high"], part["values"]) == (2.0, 1.0, 3.0, [1.0, 3.0])
    assert part["rule"] == "at least 1" and part["pass"] is True
    assert found["baselines"][0]["name"] == "chance"
    assert json.loads((tmp_path / "simsiam.json").read_text()) == found


def test_one_part_that_fails_is_enough_and_is_named(run_claim):
    def measure(run):
        run.report("a", 1.0)
        run.report("b", 0.25)

    found = run_claim(measure, parts={"a": ledger.at_least(1), "b": ledger.below(0.2)})
    assert found["verdict"] == "not shown"
    assert found["reason"] == "b is 0.25, not below 0.2"


def test_a_part_that_is_not_reported_has_not_passed(run_claim):
    found = run_claim(lambda run: run.report("a", 2), parts={"a": ledger.at_least(1), "b": ledger.below(1)})
    assert found["verdict"] == "not shown" and found["reason"] == "b was not reported"
    assert found["parts"][1]["value"] is None and found["parts"][1]["pass"] is False


def test_a_value_that_is_not_a_number_has_not_passed_and_is_valid_json(run_claim, tmp_path):
    found = run_claim(lambda run: run.report("a", [math.nan, math.inf]))
    assert found["verdict"] == "not shown" and found["parts"][0]["values"] == ["nan", "inf"]
    json.loads((tmp_path / "simsiam.json").read_text(), parse_constant=lambda c: pytest.fail(f"{c} is no JSON"))


def test_an_exception_is_an_error_and_leaves_the_old_evidence(run_claim, tmp_path):
    run_claim(lambda run: run.report("a", 2))
    before = (tmp_path / "simsiam.json").read_bytes()

    def measure(run):
        run.report("a", 0)
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError):
        run_claim(measure)
    assert (tmp_path / "simsiam.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["simsiam.json"]


def test_an_exception_in_a_claim_exits_with_1(monkeypatch, capsys):
    def fail(*_, **__):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(ledger, "reproduce", fail)
    assert ledger.main(["simsiam"]) == 1
    assert "no evidence was written" in capsys.readouterr().err


def test_the_broken_twin_is_as_it_should_be_when_it_is_not_shown(run_claim, tmp_path):
    found = run_claim(lambda run: run.report("a", 0 if run.broken else 1), broken=True)
    assert found["verdict"] == "not shown" and ledger.as_it_should_be(found)
    assert found["sabotage"] == "nothing is learned"
    assert (tmp_path / "broken" / "simsiam.json").exists() and not (tmp_path / "simsiam.json").exists()
    blind = run_claim(lambda run: run.report("a", 1), broken=True)
    assert not ledger.as_it_should_be(blind)


def test_other_seeds_leave_no_evidence(monkeypatch, tmp_path):
    declared = declare(lambda run: run.report("a", list(run.seeds)))
    monkeypatch.setattr(ledger, "load_claim", lambda entry: declared)
    found = ledger.reproduce("simsiam", seeds=(7,), results=tmp_path, quiet=True)
    assert found["seeds"] == [7] and not list(tmp_path.iterdir())


def test_only_declared_parts_are_reported_and_each_once(run_claim):
    with pytest.raises(SemblanceError, match="did you mean accuracy"):
        run_claim(lambda run: run.report("acuracy", 1), parts={"accuracy": ledger.at_least(1)})

    def twice(run):
        run.report("a", 1)
        run.report("a", 2)

    with pytest.raises(SemblanceError, match="twice"):
        run_claim(twice)
    with pytest.raises(SemblanceError, match="without a value"):
        run_claim(lambda run: run.report("a", []))


def test_a_calibration_names_a_part_and_holds_both_figures():
    good = {"a": {"catalogue": "at least 2", "used": "at least 1", "why": "untested; tried on seeds 100 to 102"}}
    assert declare(lambda run: None, calibrated=good).calibrated == good
    for bad in ({"b": good["a"]}, {"a": {"used": 1}}):
        with pytest.raises(AssertionError):
            declare(lambda run: None, calibrated=bad)


def test_a_claim_names_files_that_exist():
    with pytest.raises(AssertionError, match="no_such"):
        declare(lambda run: None, files=("objectives/no_such.py",))


# --- staleness --------------------------------------------------------------------------------------------------------

SOURCE = '"""Docstring."""\n\nx = 1  # why\n\n\ndef f(y):\n    """What."""\n    return "# kept" + y\n'


def test_comments_docstrings_and_blank_lines_are_not_code():
    other = '"""Another,\nlonger."""\n# a comment\nx = 1\ndef f(y):\n    """Else."""\n\n    return "# kept" + y\n'
    assert evidence.code_of(SOURCE) == evidence.code_of(other)
    assert '"# kept"' in evidence.code_of(SOURCE)


@pytest.mark.parametrize("old, new", [("x = 1", "x = 2"), ("# kept", "# changed"), ("+ y", "- y")])
def test_a_change_of_code_is_a_change(old, new):
    assert evidence.code_of(SOURCE) != evidence.code_of(SOURCE.replace(old, new))


def test_non_ascii_text_before_a_comment_does_not_shift_the_cut():
    assert evidence.code_of('x = "\u00e9\u4e16"  # why\ny = 1\n') == 'x = "\u00e9\u4e16"\ny = 1'


def test_evidence_goes_stale_when_a_named_file_changes(run_claim, monkeypatch, tmp_path):
    named = tmp_path / "package" / "mechanism.py"
    named.parent.mkdir()
    named.write_text("rate = 1\n")
    monkeypatch.setattr(evidence, "PACKAGE", named.parent)
    found = run_claim(lambda run: run.report("a", 1), files=("mechanism.py",))
    assert not evidence.is_stale(found)
    named.write_text("rate = 1  # per step\n")
    assert not evidence.is_stale(found)
    named.write_text("rate = 10\n")
    assert evidence.is_stale(found)
    named.unlink()
    assert evidence.is_stale(found)


def test_broken_or_foreign_evidence_is_refused_in_one_line(tmp_path):
    (tmp_path / "simsiam.json").write_text("{")
    with pytest.raises(SemblanceError, match="broken JSON"):
        evidence.read("simsiam", results=tmp_path)
    (tmp_path / "simsiam.json").write_text('{"schema": 99}')
    with pytest.raises(SemblanceError, match="schema 99"):
        evidence.read("simsiam", results=tmp_path)


# --- the page and the table -------------------------------------------------------------------------------------------


def test_the_page_holds_every_figure_of_the_evidence(run_claim, tmp_path):
    def measure(run):
        run.report("a", [0.5, 1.7])
        run.baseline("raw pixels", 0.123)

    calibrated = {"a": {"catalogue": "at least 2", "used": "at least 1", "why": "untested"}}
    run_claim(measure, calibrated=calibrated, substituted="MNIST for ImageNet")
    run_claim(lambda run: run.report("a", 0), broken=True)
    page = evidence.page(tmp_path)
    for text in ("1.1 [0.5, 1.7]", "at least 1", "raw pixels", "0.123", "MNIST for ImageNet", "catalogue at least 2"):
        assert text in page
    assert "| [simsiam](#simsiam) | Exploring Simple Siamese Representation Learning | **shown** | 1 of 1 |" in page
    assert "not shown; a is 0, not at least 1" in page


def test_the_page_in_docs_is_the_one_the_results_make():
    root = evidence.checkout()
    assert root is not None
    assert (root / "docs" / "EVIDENCE.md").read_text() == evidence.page(), "run python -m semblance.claims.evidence"
    assert evidence.STATES.read_text() == evidence.states_text(), "run python -m semblance.claims.evidence"


def test_every_catalogue_entry_is_listed_with_a_state():
    rows = states.rows()
    listed = [row["entry"] for row in rows if row["entry"]]
    assert len(set(listed)) == 356
    assert {row["state"] for row in rows} <= set(states.STATES)
    assert {row["family"] for row in states.rows("objectives")} == {"objectives"}
    free = [row for row in rows if row["entry"] is None]
    assert {row["name"] for row in free} >= {"as-is", "simclr", "supcon"}
    assert all(row["state"] == "built" for row in free)


def test_states_follow_the_evidence(monkeypatch):
    for verdict in ("shown", "not shown", "stale"):
        monkeypatch.setattr(states, "verdicts", lambda verdict=verdict: {"simsiam": verdict})
        assert {r["state"] for r in states.rows() if r["entry"] == "simsiam"} == {verdict}


def test_listing_claims_and_their_staleness_imports_neither_a_claim_nor_torch():
    code = (
        "import sys; from semblance.claims import evidence, states; evidence.claimed(); states.rows();"
        "bad = [m for m in sys.modules if m in ('torch', 'scipy', 'semblance.claims.settings')"
        " or m.removeprefix('semblance.claims.').replace('_', '-') in evidence.claimed()]; print(bad)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


class Commands:
    """Stands in for subprocess.run: notes what is run and answers with given exit codes and verdicts."""

    PIPE = subprocess.PIPE

    def __init__(self, code=0, verdict="shown", twin="not shown"):
        self.code, self.verdicts, self.seen = code, {False: verdict, True: twin}, []

    def run(self, command, **_):
        self.seen.append(command[3:])
        answer = json.dumps({"verdict": self.verdicts["--broken" in command]})
        return subprocess.CompletedProcess(command, self.code, answer)


@pytest.mark.parametrize(
    "recorded, verdict, twin, code, last",
    [
        ("shown", "shown", "not shown", 0, "4 passed, 0 failed"),
        ("not shown", "not shown", "not shown", 0, "4 passed, 0 failed"),
        ("not shown", "shown", "not shown", 1, "2 passed, 2 failed"),
        ("shown", "shown", "shown", 1, "2 passed, 2 failed"),
    ],
)
def test_the_sample_holds_a_tenth_of_the_quick_claims_to_their_record(
    monkeypatch, capsys, recorded, verdict, twin, code, last
):
    found = {f"e{i}": {"seconds": 20.0, "verdict": recorded} for i in range(20)} | {"slow": {"seconds": 400.0}}
    monkeypatch.setattr(evidence, "recorded", lambda: found)
    commands = Commands(code=0 if verdict == "shown" else 1, verdict=verdict, twin=twin)
    monkeypatch.setattr(ledger, "subprocess", commands)
    assert ledger.main(["sample", "abc"]) == code
    assert capsys.readouterr().out.splitlines()[-1] == last
    chosen = {command[0] for command in commands.seen}
    assert len(chosen) == 2 and "slow" not in chosen and all("--dry" in command for command in commands.seen)
    commands.seen.clear()
    ledger.main(["sample", "abc"])
    assert {command[0] for command in commands.seen} == chosen


def test_an_unknown_entry_is_answered_with_the_nearest(capsys):
    assert ledger.main(["simsia"]) == 2
    assert "did you mean simsiam" in capsys.readouterr().err


def test_an_entry_without_a_claim_is_said_to_have_none():
    bare = next(row["id"] for row in evidence.registry.catalogue() if not evidence.claim_file(row["id"]).exists())
    with pytest.raises(SemblanceError, match="no claim yet"):
        ledger.load_claim(bare)


@pytest.mark.parametrize("entry", evidence.claimed())
def test_every_claim_file_declares_its_entry(entry):
    declared = ledger.load_claim(entry)
    assert declared.entry == entry and declared.parts and declared.broken and declared.minutes <= 5


def test_a_clock_may_decide_otherwise_on_another_machine_and_nothing_else_may():
    def run(**passes):
        names = {"fast": "time of an epoch over the other's", "right": "accuracy", "cheap": "cost over windows'"}
        return {"parts": [{"name": names[k], "pass": p} for k, p in passes.items()]}

    recorded = run(fast=False, right=True, cheap=False)
    assert ledger.differs_by_clock(run(fast=True, right=True, cheap=True), recorded)
    assert not ledger.differs_by_clock(run(fast=True, right=False, cheap=True), recorded)
    assert not ledger.differs_by_clock({"verdict": "an error"}, recorded)
    assert not ledger.differs_by_clock(run(fast=True), run(fast=False))  # nothing else to agree on
