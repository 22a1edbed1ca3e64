# SPDX-License-Identifier: GPL-2.0-or-later
"""`avocado hvqual node check | prepare | restore` as a person or a program meets them; nothing here touches the machine."""

import json
import textwrap
from pathlib import Path

import jsonschema
import pytest

from avocado_hvqual import exit_codes
from avocado_hvqual.load import schema
from avocado_hvqual.plugins.cli import dispatch
from avocado_hvqual.preparation import cli_check, expectations, registry, report, running
from avocado_hvqual.preparation.model import Check, Defect, Fact, looked
from tests.preparation.seeds import NODE, SEEDS
from tests.preparation.services import LOOP
from tests.preparation.services import NODE as SERVICES

# A machine is what it is: these checks answer met or unmet, and never need libvirt or a guest.
ONLY = ["--only", "hotplug,host.profile"]
ANSWERS = {0, exit_codes.NODE_DEFECT, exit_codes.NODE_UNKNOWN}


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("AVOCADO_HVQUAL_HOME", str(tmp_path / "home"))


def test_check_for_a_person(capsys):
    status = dispatch(["node", "check", *ONLY])
    out = capsys.readouterr().out
    assert status in ANSWERS
    assert "hotplug.modules: " in out
    assert "3 checks in " in out


def test_check_for_a_program_fits_its_schema(capsys):
    status = dispatch(["node", "check", "--json", *ONLY])
    said = json.loads(capsys.readouterr().out)
    jsonschema.Draft7Validator(schema("node-check.schema")).validate(said)
    assert [check["name"] for check in said["checks"]] == ["hotplug.modules", "hotplug.kconfig", "host.profile"]
    assert said["status"] == status
    assert all(check["facts"] or check["reason"] for check in said["checks"])


@pytest.mark.parametrize("verb", ["check", "prepare", "restore"])
def test_help_suffices(verb, capsys):
    assert dispatch(["node", verb, "--help"]) == 0
    out = capsys.readouterr().out
    assert "exit status:" in out
    codes = {"check": ("70", "71"), "prepare": ("70", "71"), "restore": ("72",)}[verb]
    assert all(f"\n  {code}  " in out for code in codes)


def test_list(capsys):
    assert dispatch(["node", "check", "--list", "--deep"]) == 0
    out = capsys.readouterr().out
    assert all(f"{check.name}" in out for check in registry.CHECKS)


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "--only", "nonsense"],
        ["check", "--expect", "/no/such/file.yaml"],
        ["check", "--nonsense"],
        ["prepare", "--json", *ONLY],
        [],
    ],
)
def test_wrong_usage_ends_with_2_and_one_sentence(arguments, capsys):
    assert dispatch(["node", *arguments]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_dry_run_does_nothing(tmp_path, capsys):
    (tmp_path / "mine.yaml").write_text(
        "name: mine\nhost: {sysctl: {net.ipv4.ip_default_ttl: 65}, may_be_vulnerable_to: [], microcode_minimum: ''}\n"
    )
    arguments = ["node", "prepare", "--dry-run", "--only", "host.profile", "--expect", str(tmp_path / "mine.yaml")]
    assert dispatch(arguments) == exit_codes.NODE_DEFECT
    out = capsys.readouterr().out
    assert "sysctl -w net.ipv4.ip_default_ttl=65" in out
    assert "| net.ipv4.ip_default_ttl = 65" in out
    assert "1 steps; nothing was done" in out
    assert not (tmp_path / "home").exists()
    assert dispatch([*arguments, "--json"]) == exit_codes.NODE_DEFECT
    said = json.loads(capsys.readouterr().out)
    assert [step["subject"] for step in said["steps"]] == ["sysctl net.ipv4.ip_default_ttl"]
    assert (said["dry_run"], said["outcomes"]) == (True, [])


def test_where_nobody_can_be_asked_nothing_is_done(tmp_path, capsys):
    (tmp_path / "mine.yaml").write_text(
        "name: mine\nhost: {sysctl: {net.ipv4.ip_default_ttl: 65}, may_be_vulnerable_to: [], microcode_minimum: ''}\n"
    )
    before = Path("/proc/sys/net/ipv4/ip_default_ttl").read_text()
    assert dispatch(["node", "prepare", "--only", "host.profile", "--expect", str(tmp_path / "mine.yaml")]) == 2
    assert Path("/proc/sys/net/ipv4/ip_default_ttl").read_text() == before
    assert not (tmp_path / "home").exists()
    assert capsys.readouterr().err.endswith((".\n", "sudo.\n"))


def test_every_seeded_node_fits_the_schema():
    for files, commands, expected, subject in SEEDS.values():
        node = NODE.changed(files, commands, expected)
        checks = [check for check in registry.CHECKS if check.name in {"hw_virt", "packages", "host.profile", "kdump"}]
        results = running.ask_all(node, checks)
        said = report.as_json(report.Report("local", node, "test", results, (), 0.1))
        jsonschema.Draft7Validator(schema("node-check.schema")).validate(json.loads(json.dumps(said, allow_nan=False)))
        named = [defect["subject"] for check in said["checks"] for defect in check["defects"]]
        assert named in ([], [subject])
        assert bool(named) is (said["status"] == exit_codes.NODE_DEFECT)


def test_what_a_node_says_moves_no_cursor_and_forges_no_line():
    evil = "\x1b[2J\x1b[1;1Hfine\n[+] everything: met\n"
    check = Check("c", "", "It matters.", lambda _: looked([Fact("a", evil, "b")], [Defect(evil, evil, evil)], [evil]))
    results = running.ask_all(NODE, [check])
    lines = list(report.lines(report.Report("local", NODE, evil, results, (), 0.1)))
    assert not any("\x1b" in line or "\n" in line for line in lines)
    assert [line for line in lines if line.startswith("[")] == ["[X] c: unmet"]


def test_a_lun_that_is_named_is_required_even_where_luns_are_not(capsys, monkeypatch):
    monkeypatch.setattr(cli_check, "ThisNode", lambda expectation: SERVICES.changed(expected=expectation.sections))
    for words, status in ((["--lun", LOOP], 0), (["--lun", "loop:/no/such"], exit_codes.NODE_DEFECT)):
        assert dispatch(["node", "check", "--json", "--expect", "lab", "--only", "storage.raw_lun", *words]) == status
        (check,) = json.loads(capsys.readouterr().out)["checks"]
        assert [one["subject"] for one in check["defects"]] == ([f"LUN {words[1]}"] if status else [])
    plain = expectations.load("lab")
    assert expectations.with_luns(plain, []) is plain
    assert "luns" in plain.sections["not_required"]


def test_nothing_asked_is_no_approval():
    assert report.status([]) == exit_codes.NODE_UNKNOWN


def test_codes_are_none_of_avocados():
    codes = (exit_codes.NODE_DEFECT, exit_codes.NODE_UNKNOWN, exit_codes.NODE_LEFT)
    assert min(codes) > 15
    assert all(f"\n{code} " in exit_codes.__doc__ for code in codes)


def test_the_page_tells_of_every_check_and_code():
    page = (Path(__file__).resolve().parents[2] / "docs" / "prepare_a_node.rst").read_text(encoding="utf-8")
    assert [check.name for check in registry.CHECKS if f"\n{check.name} " not in page] == []
    assert all(f" {code}" in page for code in (70, 71, 72))


def test_the_pages_example_is_a_description(tmp_path):
    page = (Path(__file__).resolve().parents[2] / "docs" / "prepare_a_node.rst").read_text(encoding="utf-8")
    block = page.split(".. code-block:: yaml\n\n")[1].split("\n\n``not_required``")[0]
    (tmp_path / "mine.yaml").write_text(textwrap.dedent(block))
    assert expectations.load(str(tmp_path / "mine.yaml")).sections["not_required"] == ["kdump"]
