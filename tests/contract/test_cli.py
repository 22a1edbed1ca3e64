# SPDX-License-Identifier: GPL-2.0-or-later
"""`avocado hvqual <verb>`: arguments arrive as typed, errors are one sentence and a documented exit status."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import types

import pytest

cli = pytest.importorskip("avocado_hvqual.plugins.cli")
errors = importlib.import_module("avocado_hvqual.errors")

# avocado parses its own options wherever they stand on the command line, before any subcommand sees them.
TAKEN_BY_AVOCADO = {"-v", "--version", "-V", "--verbose", "--config", "--show", "--enable-paginator"}


class Verb(types.ModuleType):
    """A verb module made up for a test: takes any words and does what it is told."""

    def __init__(self, action):
        super().__init__("made_up_verb")
        self.action = action

    def add_parser(self, subparsers):
        parser = subparsers.add_parser("made-up")
        parser.add_argument("words", nargs=argparse.REMAINDER)

    def run(self, args):
        return self.action(args)


@pytest.fixture
def made_up(monkeypatch):
    """Install a verb `made-up` whose run is the given function."""

    def install(action):
        monkeypatch.setitem(sys.modules, "made_up_verb", Verb(action))
        monkeypatch.setitem(cli.VERBS, "made-up", cli.Verb("made_up_verb", "for a test"))

    return install


def raiser(failure):
    def run(_):
        raise failure

    return run


@pytest.mark.parametrize("status", [0, 3, 70])
def test_the_exit_status_is_the_verbs(made_up, status):
    made_up(lambda _: status)
    assert cli.dispatch(["made-up"]) == status


def test_an_error_is_one_sentence_and_status_2(made_up, capsys):
    made_up(raiser(errors.LabError("The lab needs root. Run it with sudo.")))
    assert cli.dispatch(["made-up"]) == 2
    assert capsys.readouterr().err == "The lab needs root. Run it with sudo.\n"


def test_an_interrupt_is_status_8(made_up, capsys):
    made_up(raiser(KeyboardInterrupt()))
    assert cli.dispatch(["made-up"]) == 8
    assert capsys.readouterr().err == "Interrupted.\n"


def test_a_programming_error_is_not_hidden(made_up):
    made_up(raiser(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        cli.dispatch(["made-up"])


def test_an_import_error_inside_a_verb_is_not_taken_for_a_missing_verb(made_up):
    made_up(raiser(ImportError("deep inside")))
    with pytest.raises(ImportError, match="deep inside"):
        cli.dispatch(["made-up"])


def test_a_broken_verb_breaks_no_other(made_up, monkeypatch, capsys):
    monkeypatch.setitem(cli.VERBS, "lab", cli.Verb("avocado_hvqual.no_such_module", "broken"))
    made_up(lambda _: 0)
    assert cli.dispatch(["made-up"]) == 0
    assert cli.dispatch(["lab", "up"]) == 2
    assert "'lab' cannot be loaded: No module named 'avocado_hvqual.no_such_module'" in capsys.readouterr().err


def test_an_unknown_verb_names_the_known_ones(capsys):
    assert cli.dispatch(["labb"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("avocado hvqual has no verb 'labb'.")
    assert all(verb in told for verb in cli.VERBS)


def test_help_goes_to_stdout_and_no_verb_is_wrong_usage(capsys):
    assert cli.dispatch(["--help"]) == 0
    helped = capsys.readouterr()
    assert cli.dispatch([]) == 2
    assert capsys.readouterr().err == helped.out
    assert all(f"  {verb} " in helped.out for verb in cli.VERBS)


def test_wrong_usage_of_a_verb_is_status_2_and_its_help_0(made_up, capsys):
    made_up(lambda _: 0)
    assert cli.dispatch(["register", "--nonsense"]) == 2
    assert cli.dispatch(["register", "--help"]) == 0
    assert "usage: avocado hvqual register" in capsys.readouterr().out


@pytest.mark.parametrize("verb", sorted(cli.VERBS))
def test_every_verb_loads_and_parses(verb):
    module = importlib.import_module(cli.VERBS[verb].module)
    subparsers = argparse.ArgumentParser().add_subparsers(dest="verb")
    module.add_parser(subparsers)
    assert verb in subparsers.choices
    assert callable(module.run)


def options(parser):
    for action in parser._actions:
        yield from action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from options(below)


@pytest.mark.parametrize("verb", sorted(cli.VERBS))
def test_no_verb_has_an_option_that_avocado_would_take(verb):
    module = importlib.import_module(cli.VERBS[verb].module)
    subparsers = argparse.ArgumentParser().add_subparsers(dest="verb")
    module.add_parser(subparsers)
    assert TAKEN_BY_AVOCADO & set(options(subparsers.choices[verb])) == set()


ECHO = (
    "import sys, json; from avocado_hvqual.plugins import cli; cli.dispatch = lambda a: print(json.dumps(a)) or 0\n"
    "sys.argv = ['avocado', 'hvqual', *json.loads(sys.argv[1])]\nfrom avocado.core.main import main\nsys.exit(main())"
)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--help"],
        ["lab", "exec", "hv-a", "--", "avocado", "run", "--version", "-v"],
        ["run", "--profile", "smoke", "--only", "lifecycle,cpu", "--output", "a b"],
        ["lab", "exec", "hv-a", "--", "sh", "-c", "echo -- $HOME"],
        ["plan", "-h"],
    ],
    ids=lambda words: " ".join(words) or "nothing",
)
def test_arguments_arrive_as_they_were_typed(installed, words):
    done = installed.run("python", "-c", ECHO, json.dumps(words))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == words


def test_other_commands_import_no_verb(installed):
    code = (
        "import sys; sys.argv = ['avocado', 'list', '/bin/true']\nfrom avocado.core.main import main\nstatus = main()\n"
        "print(sorted(m for m in sys.modules if m.startswith('avocado_hvqual')), file=sys.stderr)\nsys.exit(status)"
    )
    done = installed.run("python", "-c", code)
    assert done.returncode == 0
    loaded = done.stderr.splitlines()[-1]
    assert "avocado_hvqual.plugins.cli" in loaded
    for verb in cli.VERBS.values():
        assert f"'{verb.module}'" not in loaded


def test_a_reader_that_goes_away_is_no_crash(installed):
    done = installed.run("avocado", "hvqual", "--help", prefix=["sh", "-c", '"$@" | true', "sh"])
    assert "Traceback" not in done.stderr
    assert "crash" not in done.stderr
