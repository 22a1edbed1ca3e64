# SPDX-License-Identifier: GPL-2.0-or-later
"""What a dead node left is found, attributed, kept and not told twice; what is old, foreign or not there tells nothing."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from avocado_hvqual import journal_kinds
from avocado_hvqual.health import copies, left_behind
from avocado_hvqual.health.crash import Context, Roots, collect
from avocado_hvqual.health.events import Owed

CAPTURED = Path(__file__).parents[1] / "captured" / "died"
BEGAN = 1_794_990_000.0
DIED = 1_794_995_620.0
BOOT = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
EMULATOR, VCPU = "libvirt:hvqual.cpu.pin.emulator:n_equal", "libvirt:hvqual.cpu.pin.vcpu:n_equal"
OWED = (Owed(EMULATOR, end=True), Owed(VCPU, end=False))


@pytest.fixture
def node(tmp_path):
    """The captured node, each file written when it died."""
    place = tmp_path / "node"
    shutil.copytree(CAPTURED, place)
    for path in place.rglob("*"):
        os.utime(path, (DIED, DIED))
    return place


def roots(node, *, journal="none", boot="another boot"):
    program = node / "journalctl"
    text = {"none": "exit 1", "some": f"cat {node}/journal.json", "empty": "exit 0", "hangs": "exec sleep 60"}[journal]
    program.write_text(f'#!/bin/sh\necho "$@" >> {node}/asked\n{text}\n', encoding="utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    (node / "boot_id").write_text(f"{boot}\n", encoding="ascii")
    return Roots(
        (node / "pstore", node / "nothing"), node / "crash", (node / "log/kern.log",), (str(program),), node / "boot_id"
    )


def kinds(found):
    return {case: sorted(event["kind"] for event in told) for case, told in found.events.items()}


def nothing_else(node):
    for name in ("pstore", "crash", "log"):
        shutil.rmtree(node / name)


@pytest.mark.parametrize("journal", ["none", "some"])
def test_a_dead_node_is_told_by_case(node, tmp_path, journal):
    found = collect(tmp_path / "c", BOOT, Context(BEGAN, OWED), roots(node, journal=journal))
    assert kinds(found)[EMULATOR] == ["host-mce"]
    more = ["host-log"] if journal == "some" else []
    assert kinds(found)[VCPU] == sorted(["host-lockup", "host-panic", "host-panic", *more])
    assert kinds(found)[None] == ["host-panic"], "the dump, of which nobody knows the case"
    told = " ".join(event["message"] for event in found.events[VCPU])
    assert "Kernel panic - not syncing: softlockup" in told
    assert "of the boot that came after" not in str(found.events)
    assert "systemd" not in str(found.events)
    for events in found.events.values():
        line = {"case": None, "events": events}
        assert journal_kinds.wrong_with("health", line) == []
        for event in events:
            assert (tmp_path / "c" / event["evidence"]).is_file()


def test_the_journal_is_asked_for_the_campaigns_own_boot(node, tmp_path):
    collect(tmp_path / "c", f"{BOOT}/hv-a-77", Context(BEGAN, OWED), roots(node, journal="some"))
    assert "-b 0f1e2d3c4b5a69788796a5b4c3d2e1f0 " in (node / "asked").read_text(encoding="utf-8")


def test_nothing_where_it_lies_is_changed(node, tmp_path):
    given = roots(node)
    before = {path: (path.stat().st_mtime, path.read_bytes()) for path in node.rglob("*") if path.is_file()}
    collect(tmp_path / "c", BOOT, Context(BEGAN, OWED), given)
    (node / "asked").unlink()
    assert before == {path: (path.stat().st_mtime, path.read_bytes()) for path in node.rglob("*") if path.is_file()}


def test_a_second_look_tells_nothing_again(node, tmp_path):
    given = roots(node, journal="some")
    collect(tmp_path / "c", BOOT, Context(BEGAN, OWED), given)
    again = collect(tmp_path / "c", BOOT, Context(BEGAN, OWED), given)
    assert again.events == {}
    (node / "pstore/dmesg-efi_pstore-179499999901001").write_text(
        "Panic#2 Part1\n<0>[   40.500004] Kernel panic - not syncing: Fatal exception\n", encoding="ascii"
    )
    assert kinds(collect(tmp_path / "c", BOOT, Context(BEGAN, OWED), given)) == {None: ["host-panic"]}


MCE = "0,9,4991000002,-;mce: [Hardware Error]: Machine check events logged\n"


@pytest.mark.parametrize("part", [0, 1, 10])
def test_what_the_campaigns_own_copies_have_is_not_told_again(node, tmp_path, part):
    folder = tmp_path / "c"
    folder.mkdir()
    for number in {0, part}:
        (folder / copies.of(number)).write_text("6,1,1000000,-;nothing\n", encoding="utf-8")
    (folder / copies.of(part)).write_text(MCE, encoding="utf-8")
    for journal in ("none", "some"):
        assert EMULATOR not in collect(folder, BOOT, Context(BEGAN, OWED), roots(node, journal=journal)).events


@pytest.mark.parametrize(("of_this_boot", "told"), [(("kernel.log", "kernel-2.log"), False), (("kernel-2.log",), True)])
def test_a_line_without_a_time_is_not_taken_for_that_of_another_boot(node, tmp_path, of_this_boot, told):
    nothing_else(node)
    (node / "log").mkdir()
    line = "Nov 18 07:00:20 node-7 kernel: watchdog: BUG: soft lockup - CPU#3 stuck for 22s! [qemu:1]\n"
    (node / "log/kern.log").write_text(line, encoding="utf-8")
    folder = tmp_path / "c"
    folder.mkdir()
    same = line.partition("kernel: ")[2]
    (folder / copies.of(0)).write_text(f"0,9,4991000002,-;{same}", encoding="utf-8")
    (folder / copies.of(1)).write_text(MCE, encoding="utf-8")
    found = collect(folder, BOOT, Context(BEGAN, copies=of_this_boot), roots(node))
    assert kinds(found) == ({None: ["host-lockup"]} if told else {})


def test_the_copies_are_in_the_order_of_their_parts_and_nothing_else(tmp_path):
    names = [copies.of(number) for number in (10, 1, 0, 9)]
    for name in (*names, "kernel-1.log.txt", "kernel-0.log", "kernel-x.log", "kernel-journal.txt"):
        (tmp_path / name).write_text("", encoding="ascii")
    (tmp_path / "kernel-3.log").symlink_to("/etc/passwd")
    (tmp_path / "kernel-4.log").mkdir()
    assert [path.name for path in copies.every(tmp_path)] == [
        "kernel.log",
        "kernel-2.log",
        "kernel-10.log",
        "kernel-11.log",
    ]


def test_a_record_older_than_the_campaign_tells_nothing(node, tmp_path):
    shutil.rmtree(node / "log")
    found = collect(tmp_path / "c", BOOT, Context(DIED + 60, OWED), roots(node))
    assert found.events == {}
    assert [name for name in found.files if "pstore" in name] == []


def test_a_record_without_a_time_counts(node, tmp_path):
    nothing_else(node)
    (node / "pstore").mkdir()
    record = node / "pstore/dmesg-ramoops-0"
    record.write_text("<0>[   40.500004] Kernel panic - not syncing: Fatal exception\n", encoding="ascii")
    os.utime(record, (0, 0))
    assert kinds(collect(tmp_path / "c", BOOT, Context(BEGAN, OWED), roots(node))) == {None: ["host-panic"]}


def test_a_record_of_a_panic_without_a_known_line_is_told(node, tmp_path):
    nothing_else(node)
    (node / "pstore").mkdir()
    record = node / "pstore/dmesg-erst-1"
    record.write_text("Panic#1 Part1\nRIP: 0010:0xffffffff\n", encoding="ascii")
    given = roots(node)
    found = collect(tmp_path / "c", BOOT, Context(BEGAN, OWED), given)
    assert kinds(found) == {None: ["host-panic"]}
    assert collect(tmp_path / "c", BOOT, Context(BEGAN, OWED), given).events == {}


def test_a_healthy_node_tells_nothing_and_says_what_is_not_there(node, tmp_path):
    nothing_else(node)
    found = collect(tmp_path / "c", BOOT, Context(BEGAN, OWED), roots(node, journal="empty"))
    assert (found.events, found.files) == ({}, [])
    assert found.notes == [f"Nobody kept a kernel log of the boot '{BOOT}': neither the journal nor syslog has one."]


def test_a_journal_that_hangs_is_left(node, tmp_path, monkeypatch):
    monkeypatch.setattr(left_behind, "JOURNAL_SECONDS", 0.2)
    found = collect(tmp_path / "c", BOOT, Context(BEGAN, OWED), roots(node, journal="hangs"))
    assert kinds(found)[EMULATOR] == ["host-mce"], "syslog has it"
    assert "cannot be asked" in found.notes[0]


def test_the_same_boot_goes_on_in_syslogs_last_part(node, tmp_path):
    found = collect(tmp_path / "c", BOOT, Context(BEGAN), roots(node, boot=BOOT))
    assert "of the boot that came after" in str(found.events)


def test_it_is_bounded(node, tmp_path, monkeypatch):
    monkeypatch.setattr(left_behind, "LARGEST", 400)
    monkeypatch.setattr(left_behind, "WHOLE", 900)
    found = collect(tmp_path / "c", BOOT, Context(BEGAN, OWED), roots(node, journal="some"))
    kept = [path for path in (tmp_path / "c").rglob("*") if path.is_file()]
    assert max(path.stat().st_size for path in kept) <= 400
    assert sum(path.stat().st_size for path in kept) <= 900
    assert "was left where it is" in " ".join(found.notes)
    assert "host-panic" in str(kinds(found)), "what could not be kept is told nevertheless"


def test_links_are_not_followed(node, tmp_path):
    nothing_else(node)
    (node / "crash").mkdir()
    (node / "crash/shadow").symlink_to("/etc/shadow")
    (node / "crash/all").symlink_to("/etc")
    assert collect(tmp_path / "c", BOOT, Context(BEGAN), roots(node)).files == []


@pytest.mark.parametrize(
    ("name", "kind"), [("_usr_bin_qemu-system-x86_64.0.crash", "qemu-crash"), ("x_vim.0.crash", None)]
)
def test_apports_reports(node, tmp_path, name, kind):
    nothing_else(node)
    (node / "crash").mkdir()
    (node / "crash" / name).write_text("ProblemType: Crash\n", encoding="ascii")
    found = collect(tmp_path / "c", BOOT, Context(BEGAN), roots(node))
    assert kinds(found) == ({None: [kind]} if kind else {})
    assert len(found.files) == 2


def test_hostile_names_and_bytes_stay_inside(node, tmp_path):
    nothing_else(node)
    (node / "pstore").mkdir()
    (node / "pstore/dmesg-\n..-x").write_bytes(b"\xff\xfe\x00<0>[   40.500004] Kernel panic\n\x1b[2J")
    found = collect(tmp_path / "c", BOOT, Context(BEGAN), roots(node))
    assert all((tmp_path / "c" / name).resolve().is_relative_to(tmp_path / "c") for name in found.files)
