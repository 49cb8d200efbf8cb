"""What is logged: nothing by a library that is imported, lines on stderr by the command line, as its flags say."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import warnings

import pytest
import typer

from semblance.app import cli
from semblance.app.flags import run, verb
from semblance.app.logs import told
from semblance.plugins import PluginWarning


@pytest.fixture
def talker():
    """A command line whose one verb logs at every level."""
    app = typer.Typer()

    @app.callback()
    def root() -> None:
        pass

    @verb(app)
    def talk(face) -> None:
        """Talks."""
        log = logging.getLogger("semblance.some.room")
        log.debug("a debug line")
        log.info("an info\nline")
        log.warning("a warning %s", "line")
        log.error("an error line")
        warnings.warn("a package is broken", PluginWarning, stacklevel=2)

    return app


@pytest.mark.parametrize(
    ("flag", "heard"),
    [
        ("-q", ["error: an error line"]),
        ("", ["warning: a warning line", "error: an error line", "warning: a package is broken"]),
        (
            "--verbose",
            [
                *("debug: a debug line", "an info line", "warning: a warning line", "error: an error line"),
                "warning: a package is broken",
            ],
        ),
    ],
)
def test_the_flags_say_what_is_heard(talker, capsys, flag, heard):
    capsys.readouterr()
    assert run(talker, ["talk", *([flag] if flag else [])]) == 0
    out, err = capsys.readouterr()
    assert out == "" and err.splitlines() == [f"semblance: {line}" for line in heard]


def test_afterwards_everything_is_as_before(talker, capsys):
    logger = logging.getLogger("semblance")
    before = logger.level, list(logger.handlers), warnings.showwarning
    run(talker, ["talk"])
    assert (logger.level, list(logger.handlers), warnings.showwarning) == before


def test_a_library_that_is_imported_prints_nothing():
    code = "import logging, semblance; logging.getLogger('semblance.memory').error('who hears this?')"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == found.stderr == ""


def test_other_warnings_are_shown_as_ever():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with told(print):
            warnings.warn("of another library", UserWarning, stacklevel=1)
    assert [str(w.message) for w in caught] == ["of another library"]


# --- what every command line has --------------------------------------------------------------------------------------


MAIN = "from semblance.app.cli import main; main()"


def semblance(*arguments, **environment):
    """What the command prints in a process of its own."""
    command = [sys.executable, "-c", MAIN, *arguments]
    found = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, check=True)
    return found.stdout


@pytest.mark.parametrize(("shell", "holds"), [("bash", "complete "), ("zsh", "#compdef"), ("fish", "complete ")])
def test_completion_is_shown_for_each_shell(shell, holds):
    out = semblance("--show-completion", shell, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert holds in out and "semblance" in out


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("semblance re", {"recipes", "reproduce", "report"}),
        ("semblance fit digits --recipe sims", {"simsiam"}),
        ("semblance fit digi", {"digits"}),
        ("semblance reproduce resn", {"resnet"}),
    ],
)
def test_the_shell_is_offered_verbs_recipes_sets_and_entries(words, offered):
    count = str(len(words.split()) - 1)
    out = semblance(_SEMBLANCE_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=count)
    assert offered <= set(out.split()) and all(word.startswith(words.split()[-1]) for word in out.split())


def test_completion_is_installed_into_the_home_folder_only(tmp_path):
    semblance("--install-completion", "bash", HOME=str(tmp_path), _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert "semblance" in (tmp_path / ".bashrc").read_text()


def test_help_names_both_ways_to_complete(capsys):
    assert run(cli.app, ["--help"]) == 0
    out = capsys.readouterr().out
    assert "--install-completion" in out and "--show-completion" in out


def test_the_version_is_printed(capsys):
    capsys.readouterr()
    assert run(cli.app, ["--version"]) == 0
    assert capsys.readouterr().out == "semblance 0.1.0\n"
