# SPDX-License-Identifier: GPL-2.0-or-later
"""What befell the node, as the journal holds it: by case, and when the kernel said it."""

import time

from avocado_hvqual import journal_kinds
from avocado_hvqual.campaign import host_watch
from avocado_hvqual.health.events import Event, Health


def event(case, seconds, **more):
    """Return an event of the kernel's log."""
    return Event("host-lockup", "a soft lockup", case, "watchdog: BUG: soft lockup", 1, seconds, **more)


def test_an_event_has_the_time_of_the_kernels_log():
    """Seconds since boot become the time of day, so that a timeline can draw it beside the operations."""
    (found,) = host_watch.by_case(Health([event("a case", time.monotonic() - 5)]))["a case"]
    assert abs(time.time() - 5 - found["wall"]) < 1
    assert journal_kinds.wrong_with("health", {"case": "a case", "events": [found]}) == []


def test_what_befell_another_node_is_not_ours():
    """An OOM kill in a foreign cgroup is in the log and not in the journal."""
    assert host_watch.by_case(Health([event(None, 1.0, elsewhere=True)])) == {}


def test_a_time_that_is_no_number_is_damage():
    """The journal's own grammar refuses it."""
    one = {"kind": "host-lockup", "message": "m", "evidence": "", "wall": "noon"}
    assert journal_kinds.wrong_with("health", {"case": None, "events": [one]})
