# SPDX-License-Identifier: GPL-2.0-or-later
"""
The guest's truth: that it ran without a break, did not reboot, and kept what it held in memory and on disk.

Asked twice over independent ways: heartbeats that are stamped outside the guest, and canaries whose checksums were
told to the host before (DESIGN of the witness: docs/decisions).
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Optional, cast

from avocado.core.exceptions import TestError, TestFail

from provider.hvqual import host_process
from provider.hvqual.asked import Asked
from provider.hvqual.heartbeat import NETWORK, SERIAL, Beat, Observer
from provider.hvqual.record import Record
from provider.hvqual.wait import Absence, WaitTimeoutError, until

ARMED_KEYS = ("boot_id", "ram_sha256", "disk_sha256")
SUMS = ("ram_sha256", "disk_sha256")
SHA256 = re.compile(r"[0-9a-f]{64}")
# A guest whose QEMU is not there for so long (s) does not come up any more. libvirt 9.0 may have one shut down 0.2 s after its start, when
# it hears only then that the QEMU before it had crashed; the wait for its first heartbeat was one of minutes.
GONE = 5.0
# What a guest without a disk tells of it.
NONE = "none"
REPORT_KEYS = (*ARMED_KEYS, "cpus_online", "memory_kib", "disks", "nics", "kernel", "uptime_s", "panics")


@dataclass(frozen=True)
class Armed:
    """What the guest said when the canaries were laid."""

    boot_id: str
    ram_sha256: str
    disk_sha256: str


def facts(text: str, keys: tuple[str, ...]) -> dict[str, str]:
    """Return the key=value lines of *text*; TestError when the guest left one out (no answer is no good answer)."""
    pairs = dict(line.strip().split("=", 1) for line in text.splitlines() if "=" in line)
    missing = [key for key in keys if not pairs.get(key)]
    if missing:
        message = f"The guest's witness did not tell {', '.join(missing)}; it said: {text[-400:]!r}"
        raise TestError(message)
    return pairs


def longest_gap(beats: list[Beat], start: float, end: float) -> float:
    """Return the longest silence in seconds between *start* and *end*, both edges counted: no beat at all is one gap."""
    stamps = [start, *[beat.at for beat in beats if start <= beat.at <= end], end]
    return max(later - earlier for earlier, later in zip(stamps, stamps[1:]))


class Witness:
    """What one guest is held to, from `arm` on."""

    def __init__(self, guest: Asked, observer: Observer, record: Record) -> None:
        """Watch *guest* through *observer* and write what is seen to *record*."""
        self.guest, self.observer, self.record = guest, observer, record
        self.armed: Optional[Armed] = None

    def ready(self, since: float, timeout: float, other_than: str = "") -> Beat:
        """
        Return the first serial beat after *since*, of a boot other than *other_than*: the guest's userspace runs.

        TestFail when there is none in *timeout* seconds, or no QEMU that could send one (`GONE`): a guest that does not come up is the
        product's failure.
        """
        name = self.guest.name
        emulator = Absence(lambda: bool(host_process.emulators(name)))

        def first() -> Optional[Beat]:
            beats = self.observer.beats(name, SERIAL, since)
            beat = next((beat for beat in beats if beat.boot_id != other_than), None)
            if beat is None and emulator.seconds() >= GONE:
                message = f"There was no QEMU of '{name}' for {GONE:g} s."
                raise WaitTimeoutError(message)
            return beat

        try:
            beat = until(first, timeout, f"a heartbeat of '{name}'", interval=0.01)
        except WaitTimeoutError as error:
            message = f"The guest did not become ready. {error} Its console is kept beside the record."
            self.record.problem("vm-lost", message, name)
            raise TestFail(message) from None
        return cast("Beat", beat)

    def arm(self) -> Armed:
        """Lay the canaries and keep their checksums on the host's side; TestError when one cannot be read back."""
        told = facts(self.guest.ask("hv-witness arm"), ARMED_KEYS)
        unread = [f"{key}={told[key]}" for key in SUMS if not SHA256.fullmatch(told[key])]
        if [one for one in unread if one != f"disk_sha256={NONE}"]:
            # The same word twice would be taken for a canary that was kept.
            message = f"The canaries of '{self.guest.name}' cannot be read back: {', '.join(unread)}."
            raise TestError(message)
        self.armed = Armed(*(told[key] for key in ARMED_KEYS))
        return self.armed

    def rearm(self) -> Armed:
        """
        Expect another boot than the one of before, with the disk as it was; observe boots_again and disk_canary.

        The canaries are laid anew: memory does not outlive a boot.
        """
        armed = self.armed
        if armed is None:
            return self.arm()
        told = self.report()
        observe, vm = self.record.observe, self.guest.name
        observe("boots_again", told["boot_id"] != armed.boot_id, "bool", vm)
        observe("disk_canary", told["disk_sha256"] == armed.disk_sha256 != NONE, "bool", vm)
        observe("guest_panics", int(told["panics"]), "count", vm)
        return self.arm()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """
        Hold the guest to a life without break for the length of the block and the check after it.

        Observed at the end: heartbeat_gap, network_gap, observer_absence (s), boot_id_changes, ram_canary, disk_canary, guest_panics.
        The gaps run until after the check, for a guest that freezes at the end of the block answers late, not never.
        """
        start = time.monotonic()
        yield
        self.conclude(start)

    def conclude(self, start: float) -> None:
        """Check the guest now and observe its longest silences since *start* (monotonic seconds), the check included."""
        self.check()
        self._observe_gaps(start, time.monotonic())

    def report(self) -> dict[str, str]:
        """Return what the guest says of itself now, by the keys of REPORT_KEYS."""
        return facts(self.guest.ask("hv-witness report"), REPORT_KEYS)

    def check(self) -> dict[str, str]:
        """Ask the guest for its canaries and observe boot_id_changes, ram_canary, disk_canary and guest_panics."""
        armed = self.armed
        if armed is None:
            message = "The witness was not armed before it was checked; this is a fault of the test."
            raise TestError(message)
        told = self.report()
        observe, vm = self.record.observe, self.guest.name
        observe("boot_id_changes", int(told["boot_id"] != armed.boot_id), "count", vm)
        observe("ram_canary", told["ram_sha256"] == armed.ram_sha256, "bool", vm)
        observe("disk_canary", told["disk_sha256"] == armed.disk_sha256 != NONE, "bool", vm)
        observe("guest_panics", int(told["panics"]), "count", vm)
        return told

    def silence(self) -> Optional[float]:
        """Return the monotonic time of the last beat heard on the serial channel, None when there was none."""
        beats = self.observer.beats(self.guest.name, SERIAL)
        return beats[-1].at if beats else None

    def _observe_gaps(self, start: float, end: float) -> None:
        vm = self.guest.name
        for channel, name in ((SERIAL, "heartbeat_gap"), (NETWORK, "network_gap")):
            beats = self.observer.beats(vm, channel)
            self.record.observe(name, longest_gap(beats, start, end), "s", vm)
            changes = {beat.boot_id for beat in beats if start <= beat.at <= end} - {
                self.armed.boot_id if self.armed else ""
            }
            self.record.observe("boot_id_changes", len(changes), "count", vm)
        self.record.observe("observer_absence", self.observer.absence(start, end), "s", vm)
