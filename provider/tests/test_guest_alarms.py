# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest's kernel complains of: what is new, and which lines are complaints."""

import contextlib
import subprocess

import pytest
from avocado.core.exceptions import TestFail

from provider.hvqual import guest_alarms
from provider.tests.test_pinning import Expect


class Talking:
    """A guest whose kernel says *logs* one after the other and goes by *clocks*."""

    name = "hvq-1"

    def __init__(self, logs, clocks):
        self.logs, self.clocks = iter(logs), iter(clocks)

    def ask(self, command):
        if command == guest_alarms.ASKED:
            return f"alarms={next(self.logs)}\nclock={next(self.clocks)}\n"
        return "rcu: INFO: rcu_sched self-detected stall on CPU"


@pytest.mark.parametrize(
    ("logs", "clocks", "told"),
    [
        ((1, 1), ("hpet", "hpet"), ""),
        ((1, 2), ("hpet", "hpet"), "raised 1 alarms"),
        ((0, 0), ("hpet", "acpi_pm"), "its clock was 'hpet' and is 'acpi_pm'"),
    ],
)
def test_a_kernel_that_complains_is_told(logs, clocks, told):
    """What it had said before does not count."""
    expect = Expect()
    with contextlib.ExitStack() as stack:
        if told:
            stack.enter_context(pytest.raises(TestFail, match=told))
        with guest_alarms.unalarmed([Talking(logs, clocks)], expect):
            assert expect.seen == {}
    assert expect.seen == {"kernel_alarms": logs[1] - logs[0], "clock_kept": clocks[0] == clocks[1]}


@pytest.mark.parametrize(
    ("line", "counts"),
    [
        ("watchdog: BUG: soft lockup - CPU#0 stuck for 23s!", True),
        ("rcu: INFO: rcu_sched self-detected stall on CPU", True),
        ("clocksource: timekeeping watchdog on CPU1: hpet wd-wd read-back delay", True),
        ("INFO: task sh:123 blocked for more than 120 seconds.", True),
        ("virtio_blk virtio2: [vda] 131072 512-byte logical blocks", False),
    ],
)
def test_what_a_kernel_complains_of(line, counts):
    """By the expression that the guest's grep gets."""
    done = subprocess.run(
        ["grep", "-c", "-E", guest_alarms.ALARMS], input=line, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == str(int(counts))
