# SPDX-License-Identifier: GPL-2.0-or-later
"""What befell the node, as the journal holds it: by case, and when the kernel said it."""

import hashlib
import time

from avocado_hvqual import journal_kinds
from avocado_hvqual.campaign import host_watch
from avocado_hvqual.campaign.journal import Journal
from avocado_hvqual.health import copies
from avocado_hvqual.health.events import Event, Health
from avocado_hvqual.health.kmsg import Record
from avocado_hvqual.loader import load_campaign
from tests.strategies import START, write_campaign


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


def lines(*texts):
    """Return records of a kernel log with these texts."""
    return [Record(number, number * 1_000_000, 6, 0, text) for number, text in enumerate(texts)]


def test_what_is_new_is_told_once_with_its_case(tmp_path):
    """For whoever must know at once; the report at the end of the phase tells it again, and writes it down."""
    watch = host_watch.HostWatch(tmp_path, "c-1")
    assert watch.fresh([START]) == {}
    watch._watcher.records += lines("all is well", f"hvqual: begin {START} t1")
    assert watch.fresh([START]) == {}
    watch._watcher.records += lines("watchdog: BUG: soft lockup - CPU#1 stuck for 23s!")
    found = watch.fresh([START])
    assert [(case, one["kind"]) for case, events in found.items() for one in events] == [(START, "host-lockup")]
    assert watch.fresh([START]) == {}


def test_the_journal_vouches_for_the_copy_of_the_kernel_log(tmp_path):
    """What is added behind its back is not what it vouched for."""
    folder = write_campaign(tmp_path / "c")
    watch = host_watch.HostWatch(folder, "c-1")
    with Journal.open(folder) as journal:
        watch._vouch(journal)
        (folder / copies.FIRST).write_bytes(b"one\n")
        watch._vouch(journal)
        (folder / copies.FIRST).write_bytes(b"one\ntwo\n")
        watch._vouch(journal)
    (vouched,) = load_campaign(folder).vouched
    assert (vouched.path, vouched.size) == ("kernel.log", 8)
    assert vouched.sha256 == hashlib.sha256(b"one\ntwo\n").hexdigest()
