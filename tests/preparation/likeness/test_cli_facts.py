# SPDX-License-Identifier: GPL-2.0-or-later
"""`avocado hvqual node facts` and `node compare` on this machine, as a person or a program meets them."""

import json

import jsonschema
import pytest

from avocado_hvqual import exit_codes
from avocado_hvqual.load import schema
from avocado_hvqual.plugins.cli import dispatch
from avocado_hvqual.preparation.likeness import fields, profile


@pytest.fixture
def file(tmp_path):
    """This machine's own profile, changed so that it is another's: what must differ does."""
    path = tmp_path / "facts.json"
    assert dispatch(["node", "facts", "--output", str(path)]) == 0
    said = json.loads(path.read_text())
    said["node"] = "old-1"
    own = [name for name in said["facts"] if fields.of(name).rule is fields.Rule.OTHER]
    said["facts"].update(dict.fromkeys(own, "somebody else's"))
    path.write_text(json.dumps(said))
    return path


def seeded(file, **facts):
    said = json.loads(file.read_text())
    said["facts"].update(facts)
    file.write_text(json.dumps(said))
    return ["node", "compare", str(file)]


def test_facts_go_to_stdout_and_fit_their_schema(capsys):
    assert dispatch(["node", "facts"]) == 0
    told = capsys.readouterr()
    said = json.loads(told.out)
    jsonschema.Draft7Validator(schema("node-profile")).validate(said)
    assert f"{len(said['facts'])} facts of" in told.err
    assert [name for name in said["facts"] if fields.of(name) is None] == []


def test_a_machine_is_like_itself_but_for_what_cannot_be_seen(file, capsys):
    status = dispatch(["node", "compare", str(file)])
    out = capsys.readouterr().out
    assert "DIFFERS" not in out
    assert status == (exit_codes.NODE_UNKNOWN if "UNKNOWN" in out else 0)


def test_a_difference_is_named_alone_and_decides_the_status(file, capsys):
    arguments = seeded(file, **{"kernel.release": "5.10.0-9-amd64"})
    assert dispatch(arguments) == exit_codes.NODE_DEFECT
    out = capsys.readouterr().out
    assert [line.split()[1] for line in out.splitlines() if "DIFFERS" in line] == ["kernel.release:"]
    assert dispatch([*arguments, "--json"]) == exit_codes.NODE_DEFECT
    (said,) = json.loads(capsys.readouterr().out)
    jsonschema.Draft7Validator(schema("node-compare")).validate([said])
    assert [it["name"] for it in said["differences"]] == ["kernel.release"]


def test_a_declared_difference_is_told_and_does_not_count(file, tmp_path, capsys):
    expect = tmp_path / "mine.yaml"
    expect.write_text("name: mine\nidentity: {profiles: [], peer: '', may_differ: [kernel.release]}\n")
    dispatch([*seeded(file, **{"kernel.release": "5.10.0-9-amd64"}), "--expect", str(expect)])
    out = capsys.readouterr().out
    assert "declared kernel.release" in out
    assert "DIFFERS" not in out


def test_what_a_profile_says_moves_no_cursor(file, capsys):
    dispatch(seeded(file, **{"kernel.release": "\x1b[2J\nalike in all"}))
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert not any(line.startswith("alike") for line in out.splitlines())


def test_wrong_usage_is_one_sentence(tmp_path, capsys):
    broken = tmp_path / "broken.json"
    broken.write_text('{"format": 1}')
    for arguments, said in (
        ([], "Nothing was named to compare with"),
        ([str(tmp_path / "none.json")], "none.json:1: cannot be read"),
        ([str(broken)], "broken.json:1: "),
    ):
        assert dispatch(["node", "compare", *arguments]) == exit_codes.USAGE
        assert said in capsys.readouterr().err
    assert dispatch(["node", "facts", "--output", str(tmp_path / "no" / "where")]) == exit_codes.USAGE


def test_the_rules_are_listed(capsys):
    assert dispatch(["node", "compare", "--rules"]) == 0
    out = capsys.readouterr().out
    assert all(field.names in out and field.why[:30] in out for field in fields.FIELDS)


@pytest.mark.parametrize("verb", ["facts", "compare"])
def test_help_suffices(verb, capsys):
    assert dispatch(["node", verb, "--help"]) == 0
    out = capsys.readouterr().out
    assert "examples:" in out
    assert "exit status: 0" in out


def test_a_profile_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "facts.json"
    assert dispatch(["node", "facts", "--output", str(path)]) == 0
    assert profile.load(path).facts
    assert [it.name for it in tmp_path.iterdir()] == ["facts.json"]
