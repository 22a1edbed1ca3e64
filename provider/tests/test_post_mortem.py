# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest's console tells after its case: panics and stalls are written down, and nothing that only looks like one."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from provider.hvqual import post_mortem


class Record:
    """Keeps what is written down."""

    def __init__(self):
        self.problems, self.files = [], []

    def problem(self, what, message, vm):
        self.problems.append((what, message, vm))

    def evidence_file(self, path, about):
        self.files.append((path.name, about))


def examined(folder, console):
    """Return what is written down of a guest that was shut down with this *console*."""
    (folder / "console.log").write_text(console, encoding="utf-8")
    place = SimpleNamespace(console_log=str(folder / "console.log"))
    record = Record()
    post_mortem.examine(SimpleNamespace(name="hvq-1", place=place, on=False), record)
    return record


QUIET = """[    0.000000] Linux version 6.1.0 (bug@example) #1 SMP
[    0.100000] rcu: Hierarchical RCU implementation.
[    0.200000] watchdog: Delayed init of the lockup detector failed: -19
hvq-1 login: """


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("[   36.480713] watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [ksoftirqd/0:12]", "guest-freeze"),
        ("[   36.48] NMI watchdog: Watchdog detected hard LOCKUP on cpu 1", "guest-freeze"),
        ("[   60.00] rcu: INFO: rcu_preempt self-detected stall on CPU", "guest-freeze"),
        ("[   60.00] rcu: INFO: rcu_sched detected stalls on CPUs/tasks:", "guest-freeze"),
        ("[   60.00] rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: { 0-... }", "guest-freeze"),
        ("[  242.1] INFO: task kworker/0:1:9 blocked for more than 120 seconds.", "guest-freeze"),
        ("[   10.1] Kernel panic - not syncing: Attempted to kill init!", "guest-panic"),
    ],
)
def test_what_a_kernel_says_of_its_end_or_its_stall_is_a_problem(tmp_path, line, what):
    record = examined(tmp_path, f"{QUIET}\r\n{line}\r\nlast words")
    ((kind, message, vm),) = record.problems
    assert (kind, vm) == (what, "hvq-1")
    assert line.rpartition(": ")[2] in message or line.rpartition("INFO: ")[2] in message
    assert "last words" not in message
    assert record.files == [("console.log", "console of hvq-1")]


def test_stalls_are_counted_and_the_first_is_told(tmp_path):
    lines = "\n".join(f"watchdog: BUG: soft lockup - CPU#{cpu} stuck for {20 + cpu}s! [x:1]" for cpu in range(3))
    ((_, message, _),) = examined(tmp_path, lines).problems
    assert "3 lines" in message
    assert "CPU#0 stuck for 20s!" in message
    assert "CPU#1" not in message


@pytest.mark.parametrize("console", [QUIET, "", "\x1b[2J\0\xff soft lock up, panic, BUG"])
def test_a_quiet_console_is_none(tmp_path, console):
    assert examined(tmp_path, console).problems == []
