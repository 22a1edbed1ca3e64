# SPDX-License-Identifier: GPL-2.0-or-later
"""A restart of libvirtd is no finding when the case announced it, and one for each that it did not announce."""

from __future__ import annotations

from typing import Any

import pytest

from avocado_hvqual.campaign import host_watch
from avocado_hvqual.health import identity, kmsg, restarts

CASE = "libvirt:hvqual.lifecycle.autostart:single_big"


def daemon(pid: int | None, start: int = 7) -> identity.Identity:
    return identity.Identity("boot", pid, None if pid is None else start)


def lines(*texts: str) -> list[kmsg.Record]:
    return [kmsg.Record(seq, seq, 6, 1, f"hvqual: {text}") for seq, text in enumerate(texts)]


ONE = ["libvirtd-restart:1/7", "libvirtd-started:2/7"]
ACCOUNTED = [
    (daemon(1), daemon(1), [], False, (True, False)),
    (daemon(1), daemon(2), [], False, (False, False)),
    (daemon(1), daemon(2), ONE, False, (True, False)),
    (daemon(1), daemon(3), ONE, False, (False, False)),
    (daemon(1), daemon(3), [*ONE, "libvirtd-restart:2/7", "libvirtd-started:3/7"], False, (True, False)),
    # It died by itself between two announced restarts, or before the first.
    (daemon(1), daemon(4), [*ONE, "libvirtd-restart:3/7", "libvirtd-started:4/7"], False, (False, False)),
    (daemon(9), daemon(2), ONE, False, (False, False)),
    # Killed between stop and start: whoever puts the node back starts the new one, and one only.
    (daemon(1), daemon(None), ONE[:1], False, (True, True)),
    (daemon(None), daemon(2), [], True, (True, False)),
    (daemon(1), daemon(2), ONE[:1], False, (True, False)),
    (daemon(2), daemon(3), [], False, (False, False)),
    (daemon(1), daemon(None), ONE, False, (False, False)),
    # Announcements that fit nothing explain nothing.
    (daemon(1), daemon(2), ONE[1:], False, (False, False)),
    (daemon(1), daemon(2), [ONE[0], ONE[0]], False, (False, False)),
    # The same number given to another process is another daemon.
    (daemon(1), daemon(2, start=8), ONE, False, (False, False)),
]


@pytest.mark.parametrize(("before", "after", "said", "under_way", "wanted"), ACCOUNTED)
def test_each_new_daemon_takes_an_announcement(before, after, said, under_way, wanted) -> None:
    told = restarts.account(before, after, said, under_way=under_way)
    assert (told.explained, told.under_way) == wanted


def test_only_the_running_case_announces_by_its_own_token() -> None:
    log = lines(
        f"begin {CASE} old", "announce stale old", f"begin {CASE} new", "announce mine new", "announce theirs other"
    )
    assert restarts.of_case(log, CASE) == ["mine"]
    assert restarts.of_case(log, "another:case:none") == []


class Journal:
    """Keeps what is appended."""

    def __init__(self) -> None:
        self.kept: list[Any] = []

    def append(self, _kind: str, data: Any) -> None:
        self.kept.append(data)


@pytest.mark.parametrize("case", [CASE, None])
@pytest.mark.parametrize("said", [True, False])
def test_the_watch_of_a_campaign_takes_it_for_what_it_is(tmp_path, monkeypatch, case, said) -> None:
    watch, journal = host_watch.HostWatch(tmp_path, "c"), Journal()
    monkeypatch.setattr(watch._watcher, "sync", lambda: None)
    watch._before = daemon(1)
    announced = [f"announce {subject} t" for subject in ONE] if said else []
    watch._watcher.records = lines(f"begin {CASE} t", *announced)
    monkeypatch.setattr(identity, "now", lambda: daemon(2))
    watch.look(journal, case)
    assert bool(journal.kept) == (not said or case is None)
    # What was announced once covers no second one.
    monkeypatch.setattr(identity, "now", lambda: daemon(3))
    watch.look(journal, CASE)
    assert [event["kind"] for data in journal.kept for event in data["events"]][-1] == "libvirtd-restart"
