# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel log never says "clean" when it is not, or when nobody can know."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any, Callable

import pytest

from avocado_hvqual.health import events, identity, kmsg, marker, patterns, watcher

LINES = {
    "Kernel panic - not syncing: sysrq triggered crash": "host-panic",
    "watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [qemu-system-x86:4711]": "host-lockup",
    "NMI watchdog: Watchdog detected hard LOCKUP on cpu 3": "host-lockup",
    "rcu: INFO: rcu_sched self-detected stall on CPU": "host-lockup",
    "INFO: task kworker/0:1:17 blocked for more than 120 seconds.": "host-lockup",
    "Oops: 0000 [#1] SMP PTI": "host-panic",
    "BUG: kernel NULL pointer dereference, address: 0000000000000010": "host-panic",
    "mce: [Hardware Error]: Machine check events logged": "host-mce",
    "EDAC MC0: 1 CE memory read error on CPU_SrcID#0": "host-mce",
    "Out of memory: Killed process 812 (qemu-system-x86) total-vm:1kB": "host-log",
    "oom-kill:constraint=CONSTRAINT_MEMCG,oom_memcg=/a,task_memcg=/a/b,task=dd,pid=9,uid=0": "host-log",
    "Buffer I/O error on dev sda1, logical block 7, lost async page write": "data-loss",
    "I/O error, dev sdb, sector 2048 op 0x1:(WRITE)": "host-log",
    "qemu-system-x86[812]: segfault at 0 ip 00005581 sp 00007ffe error 4": "qemu-crash",
    "libvirtd[99]: segfault at 8 ip 00007f11 sp 00007ffd error 4": "host-log",
    "WARNING: CPU: 0 PID: 1 at kernel/workqueue.c:1 foo+0x1/0x2": "host-log",
}


def record(text: str, seq: int = 1, facility: int = 0, level: int = 6) -> kmsg.Record:
    return kmsg.Record(seq, seq * 1_000_000, level, facility, text)


def log(*texts: str) -> list[kmsg.Record]:
    return [record(text, number) for number, text in enumerate(texts)]


@pytest.mark.parametrize(("text", "kind"), LINES.items())
@pytest.mark.parametrize("facility", [0, 1])
def test_each_bad_line_has_its_kind_whoever_wrote_it(text: str, kind: str, facility: int) -> None:
    found = patterns.classify(record(text, facility=facility))
    assert found is not None
    assert found.kind == kind


def test_every_pattern_is_seeded_by_a_line() -> None:
    named = {pattern.name for text in LINES if (pattern := patterns.classify(record(text)))}
    assert named == {pattern.name for pattern in patterns.PATTERNS}


@pytest.mark.parametrize(
    "text",
    [
        "br0: port 1(vnet0) entered forwarding state",
        "hvqual: begin a b",
        "usb 1-1: new device",
        "rcu: Hierarchical RCU implementation.",
    ],
)
def test_ordinary_lines_are_no_events(text: str) -> None:
    assert patterns.classify(record(text)) is None


def test_a_critical_line_that_no_pattern_knows_counts_when_the_kernel_wrote_it() -> None:
    assert patterns.classify(record("CPU0: Core temperature above threshold", level=2)) is not None
    assert patterns.classify(record("systemd said something", level=2, facility=3)) is None


def test_an_event_belongs_to_the_case_whose_markers_stand_around_it() -> None:
    bad = "watchdog: BUG: soft lockup - CPU#1 stuck for 22s!"
    health = events.read(
        log("hvqual: begin one t1", "hvqual: end one t1", bad, "hvqual: begin two t2", bad, bad),
        (events.Owed("one", end=True), events.Owed("two", end=False)),
    )
    assert [(event.case, event.count, event.kind) for event in health.events] == [
        (None, 1, "host-lockup"),
        ("two", 2, "host-lockup"),
    ]
    assert health.state == "bad"


def test_markers_of_another_campaign_change_nothing() -> None:
    health = events.read(
        log(
            "hvqual: begin one mine",
            "hvqual: begin two theirs",
            "hvqual: end one theirs",
            "WARNING: x",
            "hvqual: end one mine",
        ),
        (events.Owed("one", end=True, token="mine"),),
    )
    assert [event.case for event in health.events] == ["one"]
    assert health.state == "bad"


@pytest.mark.parametrize(
    ("texts", "missing"),
    [
        (("hvqual: end one t",), "began"),
        (("hvqual: begin one t",), "ended"),
        (("hvqual: begin one x", "hvqual: end one x"), "began"),
    ],
)
def test_a_marker_that_was_not_read_back_makes_health_unknown(texts: tuple[str, ...], missing: str) -> None:
    health = events.read(log(*texts), (events.Owed("one", end=True, token="t"),))
    assert health.state == "unknown"
    assert missing in health.doubts[0]


def test_a_killed_case_owes_no_end_marker() -> None:
    assert events.read(log("hvqual: begin one t"), (events.Owed("one", end=False),)).state == "clean"


@pytest.mark.parametrize(
    "text",
    [
        "net_ratelimit: 14 callbacks suppressed",
        "printk: init: 30 output lines suppressed due to ratelimiting; callbacks suppressed",
        "** 96 printk messages dropped **",
    ],
)
def test_suppressed_lines_make_health_unknown(text: str) -> None:
    assert events.read(log(text)).state == "unknown"


def test_an_oom_kill_in_a_foreign_cgroup_is_told_but_is_not_the_nodes() -> None:
    lines = (
        "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/other,task_memcg=/other/x,task=dd,pid=77,uid=0",
        "Memory cgroup out of memory: Killed process 77 (dd) total-vm:1kB",
    )
    foreign = events.read(log(*lines), own_cgroups=("/hv-a",))
    assert foreign.state == "clean"
    assert [(event.elsewhere, event.count) for event in foreign.events] == [(True, 2)]
    assert events.read(log(*lines), own_cgroups=("/other",)).state == "bad"
    assert events.read(log(*lines)).state == "bad"


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[list[Any]], kmsg.Reader]:
    """Give a reader whose device answers the given records or errors in turn."""
    path = tmp_path / "kmsg"
    path.touch()

    def make(answers: list[Any], after: int = 0) -> kmsg.Reader:
        reader = kmsg.Reader(after, str(path))

        def read(_descriptor: int, _size: int) -> bytes:
            if not answers:
                raise BlockingIOError
            answer = answers.pop(0)
            if isinstance(answer, OSError):
                raise answer
            return bytes(answer)

        monkeypatch.setattr(kmsg.os, "read", read)
        return reader

    return make


def test_records_are_read_once_and_in_order(device: Any) -> None:
    seen = device([b"6,1,10,-;one\n", b"12,2,20,c;two\n SUBSYSTEM=x\n"]).read_new()
    assert [(entry.seq, entry.level, entry.facility, entry.text) for entry in seen.records] == [
        (1, 6, 0, "one"),
        (2, 4, 1, "two"),
    ]
    assert not seen.doubts


def test_an_overrun_a_gap_a_broken_record_and_a_dead_device_are_doubts(device: Any) -> None:
    assert "EPIPE" in device([OSError(errno.EPIPE, "Broken pipe"), b"6,1,10,-;one\n"]).read_new().doubts[0]
    assert "3 records are missing" in device([b"6,4,10,-;four\n"]).read_new().doubts[0]
    assert "no" in device([b"nonsense"]).read_new().doubts[0]
    assert "cannot be read" in device([OSError(errno.EIO, "Input/output error")]).read_new().doubts[0]


def test_an_unreadable_log_makes_a_doubt_and_no_exception(tmp_path: Path) -> None:
    follower = watcher.Watcher(tmp_path / "kernel.log", "c1", device=str(tmp_path / "absent"))
    follower.start()
    follower.stop()
    assert "cannot be opened" in follower.doubts[0]


class Pipe:
    """A stand-in for the device: what is written comes out as records, unless the watcher is made deaf."""

    def __init__(self, path: Path) -> None:
        path.touch()
        self.queue: list[bytes] = []
        self.seq = 0

    def write(self, text: str, device: str = "") -> None:
        self.queue.append(f"14,{self.seq},{self.seq},-;{text}\n".encode())
        self.seq += 1

    def read(self, _descriptor: int, _size: int) -> bytes:
        if not self.queue:
            raise BlockingIOError
        return self.queue.pop(0)


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Pipe:
    made = Pipe(tmp_path / "dev")
    monkeypatch.setattr(kmsg, "write", made.write)
    monkeypatch.setattr(kmsg.os, "read", made.read)
    monkeypatch.setattr(watcher, "MARKER_SECONDS", 1.0)
    return made


def test_the_watcher_copies_every_line_and_proves_that_it_followed_to_the_end(pipe: Pipe, tmp_path: Path) -> None:
    follower = watcher.Watcher(tmp_path / "kernel.log", "c1", device=str(tmp_path / "dev"))
    follower.start()
    pipe.write("WARNING: something")
    follower.stop()
    assert not follower.doubts
    assert [entry.text for entry in watcher.read_copy(tmp_path / "kernel.log")] == [
        entry.text for entry in follower.records
    ]
    assert marker.of(follower.records[-1]) is not None


def test_a_watcher_that_died_is_a_doubt(pipe: Pipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(_reader: kmsg.Reader) -> kmsg.Slice:
        message = "seeded"
        raise RuntimeError(message)

    follower = watcher.Watcher(tmp_path / "kernel.log", "c1", device=str(tmp_path / "dev"))
    follower.start()
    monkeypatch.setattr(kmsg.Reader, "read_new", die)
    pipe.write("wake up")
    follower.stop()
    assert any("died" in doubt for doubt in follower.doubts)


def test_a_copy_that_cannot_be_written_is_a_doubt(pipe: Pipe, tmp_path: Path) -> None:
    follower = watcher.Watcher(tmp_path / "no such folder" / "kernel.log", "c1", device=str(tmp_path / "dev"))
    follower.start()
    pipe.write("a line")
    follower.stop()
    assert any("cannot be written" in doubt for doubt in follower.doubts)


def test_a_torn_last_line_of_a_copy_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "kernel.log").write_bytes(b"6,1,10,-;one\n6,2,20,-;tw")
    assert [entry.text for entry in watcher.read_copy(tmp_path / "kernel.log")] == ["one"]


@pytest.mark.skipif(os.geteuid() != 0 or not Path(kmsg.DEVICE).exists(), reason="needs root and /dev/kmsg")
def test_the_real_kernel_log_gives_markers_back(tmp_path: Path) -> None:
    follower = watcher.Watcher(tmp_path / "kernel.log", "selftest")
    follower.start()
    kmsg.write("hvqual: begin selftest:hvqual.none:none t0")
    kmsg.write("hvqual: end selftest:hvqual.none:none t0")
    follower.stop()
    assert not follower.doubts
    assert not events.read(follower.records, (events.Owed("selftest:hvqual.none:none", end=True, token="t0"),)).doubts


def test_a_reboot_and_another_libvirtd_are_noticed() -> None:
    before = identity.Identity("boot-1", 10, 100)
    assert not identity.changes(before, before)
    assert identity.changes(before, identity.Identity("boot-2", 10, 100))[0][0] == "host-reboot"
    for after in (
        identity.Identity("boot-1", 11, 100),
        identity.Identity("boot-1", 10, 101),
        identity.Identity("boot-1", None, None),
    ):
        assert identity.changes(before, after)[0][0] == "libvirtd-restart"
    assert identity.now().boot_id


def test_a_cgroup_with_a_longer_name_is_another_one_and_a_global_oom_is_ours() -> None:
    line = "oom-kill:constraint=CONSTRAINT_MEMCG,oom_memcg=/lab/hv-a2,task_memcg=/lab/hv-a2,task=dd,pid=77,uid=0"
    assert events.read(log(line), own_cgroups=("/lab/hv-a",)).state == "clean"
    everywhere = (
        "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,global_oom,task_memcg=/x,task=dd,pid=7,uid=0"
    )
    assert events.read(log(everywhere), own_cgroups=("/lab/hv-a",)).state == "bad"
