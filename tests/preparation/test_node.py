# SPDX-License-Identifier: GPL-2.0-or-later
"""The door to this machine: nothing raises, nothing hangs, and what a command started ends with it."""

import gzip
import os
import time
from pathlib import Path

import pytest

from avocado_hvqual.errors import DefinitionError, PlanError
from avocado_hvqual.load import schema
from avocado_hvqual.preparation import expectations, registry
from avocado_hvqual.preparation.model import Answer, Check, Fact, looked, not_applicable
from avocado_hvqual.preparation.node import ThisNode
from avocado_hvqual.preparation.running import ask, ask_all

NODE = ThisNode(expectations.load())


def test_files_and_folders(tmp_path):
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"text\n"))
    (tmp_path / "broken.gz").write_bytes(b"no gzip")
    (tmp_path / "b").write_bytes(b"\xff")
    assert NODE.read(str(tmp_path / "a.gz")) == "text\n"
    assert [NODE.read(str(tmp_path / name)) for name in ("broken.gz", "none", ".")] == [None] * 3
    assert NODE.read(str(tmp_path / "b")) == "\ufffd"
    assert NODE.names(str(tmp_path)) == ("a.gz", "b", "broken.gz")
    assert NODE.names(str(tmp_path / "none")) is None


def test_the_kernels_own_files_are_read():
    """The kernel refuses to fill a large buffer from /proc/sys."""
    assert NODE.read("/proc/sys/kernel/osrelease").strip() == os.uname().release


def test_commands(tmp_path):
    assert NODE.run(["sh", "-c", "echo $LC_ALL; cat; echo no >&2; exit 3"]).__dict__ == {
        "status": 3,
        "stdout": "C\n",
        "stderr": "no\n",
    }
    assert NODE.run(["no-such-command"]).why == "'no-such-command' is not installed"
    assert NODE.run([str(tmp_path)]).status is None


def test_what_takes_too_long_ends_with_all_that_it_started(tmp_path):
    began = time.monotonic()
    ran = NODE.run(["sh", "-c", f"sleep 60 & echo $! > {tmp_path}/pid; wait"], timeout=0.5)
    assert (ran.status, ran.ok) == (None, False)
    assert "did not end within 0.5 s" in ran.why
    assert time.monotonic() - began < 10
    state = Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}/stat")
    assert not state.exists() or state.read_text().split()[2] == "Z"


def test_the_description_is_whole_and_the_operators_sections_count(tmp_path):
    assert set(expectations.load().sections) == set(schema("node-expect.schema")["properties"])
    (tmp_path / "mine.yaml").write_text("name: mine\nkdump: {armed: false, minimum_mib: 0}\n")
    mine = expectations.load(str(tmp_path / "mine.yaml"))
    assert (mine.sections["kdump"]["armed"], mine.sections["qemu"]) == (False, expectations.load().sections["qemu"])


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("name: x\nkdmup: {}\n", 1),
        ("name: x\nkdump: {armed: yes please, minimum_mib: 0}\n", 2),
        ("name: x\nnot_required: [kvmm]\n", 2),
        ("name: x\nversions:\n  - {tool: a, command: [a], pattern: '('}\n", 3),
        ("name: [\n", 2),
    ],
)
def test_a_wrong_description_is_told_with_its_line(tmp_path, text, line):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(DefinitionError, match=rf"mine\.yaml:{line}: "):
        expectations.load(str(tmp_path / "mine.yaml"))


def test_shipped_descriptions_fit_the_schema():
    for name in expectations.names():
        assert expectations.load(name).sections["name"] == name


def test_distributions():
    table = expectations.table()
    assert {row.id: row.executed for row in table} == {"debian-12": True, "ubuntu-24.04": False}
    assert {frozenset(row.names["packages"]) for row in table[:1]} <= {
        frozenset(set(row.names["packages"]) - {"apport"}) for row in table
    }
    row = expectations.distribution('ID=ubuntu\nVERSION_ID="24.04"\n')
    assert (row.id, row.called("packages", "qemu"), row.called("packages", "htop")) == (
        "ubuntu-24.04",
        "qemu-system-x86",
        "htop",
    )
    assert expectations.distribution(None).executed is False
    assert expectations.distribution("ID=arch\n").id == "arch"


def test_what_a_check_says_of_what_it_saw():
    assert looked().answer is Answer.UNKNOWN
    assert looked([Fact("a", 1, "b")]).answer is Answer.MET
    assert looked([Fact("a", 1, "b")], unseen=["No."]).answer is Answer.UNKNOWN
    assert not_applicable("So.").answer is Answer.NOT_APPLICABLE


def test_a_check_that_breaks_is_unknown_and_hides_no_other():
    good = Check("good", "", "", lambda _node: looked([Fact("a", 1, "b")]))
    bad = Check("bad", "", "", lambda _node: 1 / 0)
    touching = Check("touching", "", "", good.look, touches=("It.",))
    results = ask_all(NODE, [touching, bad, good])
    assert [(result.check.name, result.answer) for result in results] == [
        ("touching", Answer.MET),
        ("bad", Answer.UNKNOWN),
        ("good", Answer.MET),
    ]
    assert "ZeroDivisionError" in ask(NODE, bad).looked.reason


def test_the_registry():
    names = [check.name for check in registry.CHECKS]
    assert len(set(names)) == len(names)
    run, left = registry.chosen()
    assert all(not check.touches for check in run)
    assert all(check.touches for check in left)
    assert {check.name for check in registry.chosen(["hotplug"])[0]} == {"hotplug.modules", "hotplug.kconfig"}
    with pytest.raises(PlanError, match="No check is called 'hot'"):
        registry.chosen(["kdump", "hot"])
    for check in left:
        with pytest.raises(PlanError, match="--deep"):
            registry.chosen([check.name])
