# SPDX-License-Identifier: GPL-2.0-or-later
"""What can still be told of a campaign whose process is gone: by the kernel that still runs, by the copy of its log, or by nobody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from avocado_hvqual.campaign import last_words, parts
from avocado_hvqual.campaign.journal import Journal, read
from avocado_hvqual.health import crash, identity, kmsg
from avocado_hvqual.loader import load_campaign
from tests import strategies as make
from tests.strategies import START, STOP

BOOT = "boot-1"


class Kernel:
    """The kernel's log as a device gives it; `after` is where somebody reads on."""

    def __init__(self) -> None:
        self.records: list[kmsg.Record] = []
        self.doubts: list[str] = []
        self.asked: list[int] = []

    def say(self, text: str) -> None:
        number = len(self.records) + 1
        self.records.append(kmsg.Record(number, number * 1_000_000, 6, 1, text))

    def read(self, after: int) -> kmsg.Slice:
        self.asked.append(after)
        return kmsg.Slice([one for one in self.records if one.seq > after], list(self.doubts))


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    it = Kernel()
    monkeypatch.setattr(last_words, "_from_kernel", it.read)
    monkeypatch.setattr(identity, "boot", lambda: BOOT)
    monkeypatch.setattr(crash, "collect", lambda *_: crash.Collected())
    return it


def copy(folder: Path, kernel: Kernel, upto: int = 1000, name: str = "kernel.log") -> None:
    text = "".join(
        f"{one.facility * 8 + one.level},{one.seq},{one.usec},-;{one.text}\n"
        for one in kernel.records
        if one.seq <= upto
    )
    (folder / name).write_text(text, encoding="utf-8")


def begin(folder: Path) -> Journal:
    fields = ("id", "profile", "selection", "lab", "node", "command", "versions")
    head = make.header()
    journal = Journal.create(folder, {name: getattr(head, name) for name in fields})
    cases = [make.planned(key).to_json() for key in (START, STOP)]
    journal.append("plan", {"profile": "production", "cases": cases, "required": []})
    journal.append("job-begin", {"phase": "hypervisor", "vt_type": "libvirt", "job_dir": "job"})
    return journal


def run(journal: Journal, kernel: Kernel, key: str, *, end: bool = True, job: str = "job") -> None:
    folder = f"{job}/test-results/{key.rsplit('.', maxsplit=1)[-1].replace(':', '-')}"
    journal.append("case-begin", {"case": key, "logdir": folder})
    kernel.say(f"hvqual: begin {key} 0001")
    status = "pass" if end else None
    made = make.trace(key, status=status, digest_after="aa" if end else None)
    make.write_trace(journal.folder / folder, made)
    if end:
        kernel.say(f"hvqual: end {key} 0001")
        line = {"case": key, "status": "PASS", "fail_reason": "", "fail_class": "", "logdir": folder, "time": 1.0}
        journal.append("case-end", line)


def told(folder: Path) -> Any:
    words = last_words.collect(folder, read(folder).lines)
    found = {case: [event["kind"] for event in events] for case, events in words.events.items()}
    return found, words.watched


@pytest.fixture
def folder(tmp_path: Path, kernel: Kernel) -> Path:
    """Two cases, the second one killed in its middle."""
    with begin(tmp_path) as journal:
        run(journal, kernel, START)
        run(journal, kernel, STOP, end=False)
    copy(tmp_path, kernel)
    return tmp_path


LOCKUP = "watchdog: BUG: soft lockup - CPU#0 stuck for 23s! [x]"


def test_a_case_that_ended_is_known_and_the_one_that_was_cut_off_is_not(folder: Path) -> None:
    assert told(folder) == ({}, (START,))


def test_the_kernel_is_read_on_where_the_copy_ends(folder: Path, kernel: Kernel) -> None:
    kernel.say(LOCKUP)
    assert told(folder) == ({STOP: ["host-lockup"]}, (START,))
    assert kernel.asked == [3]


def test_a_log_with_a_gap_proves_nothing_and_still_tells_what_it_has(folder: Path, kernel: Kernel) -> None:
    kernel.say(LOCKUP)
    kernel.doubts = ["The kernel log jumps."]
    assert told(folder) == ({STOP: ["host-lockup"]}, ())
    kernel.doubts = []
    text = (folder / "kernel.log").read_text(encoding="utf-8").splitlines(keepends=True)
    (folder / "kernel.log").write_text("".join([text[0], *text[2:]]), encoding="utf-8")
    assert told(folder)[1] == ()


def test_lines_that_the_kernel_held_back_prove_nothing(folder: Path, kernel: Kernel) -> None:
    kernel.say("printk: 3 messages suppressed, callbacks suppressed")
    assert told(folder)[1] == ()


def test_without_a_copy_nothing_is_known(folder: Path) -> None:
    (folder / "kernel.log").unlink()
    assert told(folder) == ({}, ())


def test_after_another_boot_the_copy_alone_speaks(
    folder: Path, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Journal.open(folder) as journal:
        boot = journal._boot_id
    assert boot == BOOT
    monkeypatch.setattr(identity, "boot", lambda: "boot-2")
    kernel.say(LOCKUP)
    assert told(folder) == ({}, (START,))
    assert kernel.asked == []


def test_a_case_whose_end_the_copy_lost_in_the_power_cut_is_not_known(
    folder: Path, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "boot", lambda: "boot-2")
    copy(folder, kernel, upto=1)
    assert told(folder) == ({}, ())


def test_what_a_dead_kernel_left_is_collected_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = crash.Collected(
        {None: [{"kind": "host-panic", "message": "pstore", "evidence": "evidence/host/0001/x"}]}, ["x"], ["a note"]
    )
    asked = []

    def collect(where: Path, boot: str, context: crash.Context) -> crash.Collected:
        asked.append((where, boot, sorted(one.case for one in context.owed), context.copies))
        return left

    monkeypatch.setattr(crash, "collect", collect)
    assert told(folder)[0] == {}
    monkeypatch.setattr(identity, "boot", lambda: "boot-2")
    assert told(folder)[0] == {None: ["host-panic"]}
    assert asked == [(folder, BOOT, sorted([START, STOP]), ("kernel.log",))]


def test_a_host_of_the_lab_that_lost_its_power_has_the_kernel_still(
    tmp_path: Path, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "boot", lambda: "machine/hv-a-1")
    with begin(tmp_path) as journal:
        run(journal, kernel, START)
    copy(tmp_path, kernel, upto=1)
    monkeypatch.setattr(identity, "boot", lambda: "machine/hv-a-2")
    assert told(tmp_path) == ({}, (START,))


def test_a_part_that_was_closed_says_nothing_more(folder: Path, kernel: Kernel) -> None:
    with Journal.open(folder) as journal:
        journal.append("campaign-end", {"status": "interrupted"})
    kernel.say(LOCKUP)
    assert told(folder) == ({}, ())


def test_the_second_part_has_its_own_copy_and_its_own_clock(folder: Path, kernel: Kernel) -> None:
    """What was told of the first part, on a boot that had run for longer, hides nothing of the second."""
    first = last_words.collect(folder, read(folder).lines)
    with Journal.open(folder) as journal:
        last_words.write(journal, first)
        journal.append("health-state", {"case": None, "state": "known", "reason": ""})
        journal.append("continued", {"verb": "resume", "command": "x", "cases": [STOP]})
        journal.append("job-begin", {"phase": "hypervisor", "vt_type": "libvirt", "job_dir": "job-2"})
        kernel.records.clear()
        run(journal, kernel, STOP, job="job-2")
        kernel.say(LOCKUP)
    part = parts.last(read(folder).lines)
    assert (part.number, part.kernel_log) == (1, "kernel-2.log")
    assert told(folder)[1] == (), "it has no copy yet"
    copy(folder, kernel, upto=2, name="kernel-2.log")
    words = last_words.collect(folder, read(folder).lines)
    assert words.watched == (STOP,)
    assert [(case, event["evidence"]) for case, found in words.events.items() for event in found] == [
        (None, "kernel-2.log")
    ]


def test_a_boot_that_died_is_known_by_the_copies_of_its_own_parts(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    for boot in ("boot-2", "boot-2/hv-a-7"):
        monkeypatch.setattr(identity, "boot", lambda boot=boot: boot)
        with Journal.open(folder) as journal:
            journal.append("continued", {"verb": "resume", "command": "x", "cases": [STOP]})
    monkeypatch.setattr(identity, "boot", lambda: "boot-3")

    def collect(_where: Path, boot: str, context: crash.Context) -> crash.Collected:
        asked.append((boot, context.copies))
        return crash.Collected()

    monkeypatch.setattr(crash, "collect", collect)
    last_words.collect(folder, read(folder).lines)
    assert asked == [("boot-2/hv-a-7", ("kernel-2.log", "kernel-3.log"))]


def test_what_is_written_makes_the_record(folder: Path) -> None:
    assert load_campaign(folder).known == frozenset()
    with Journal.open(folder) as journal:
        last_words.write(journal, last_words.collect(folder, read(folder).lines))
    assert load_campaign(folder).known == {START}
    with Journal.open(folder) as journal:
        journal.append("continued", {"verb": "resume", "command": "x", "cases": [STOP]})
        journal.append("health-state", {"case": None, "state": "known", "reason": ""})
    assert load_campaign(folder).known == {START}, "the new process did not watch the old one's cases"
