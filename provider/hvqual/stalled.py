# SPDX-License-Identifier: GPL-2.0-or-later
"""
What the virtual CPUs of a guest that shows no life are at, by its QEMU's human monitor: evidence, kept before the guest is gone.

A console tells that a CPU stands; not whether it is stopped, halted, waits for an interrupt that never came, or runs in a circle.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Callable

from avocado.core.exceptions import TestError
from avocado.utils import process
from virttest import qemu_monitor, virsh

from provider.hvqual.heartbeat import NETWORK, SERIAL
from provider.hvqual.record import EVIDENCE

if TYPE_CHECKING:
    from provider.hvqual.guests import Guest
    from provider.hvqual.record import Record

Monitor = Callable[[str], str]
"""Asks a guest's QEMU one question of its human monitor; raises what `ERRORS` names when there is no answer."""

ERRORS = (process.CmdError, qemu_monitor.MonitorError, TestError)
# A beat comes each 0.1 s. So long a silence (s) is more than a wait for the host's CPU.
SILENT = 3.0
# More than one, so that what goes on is told from what stands; the local APIC tells which interrupts wait.
LOOKS = 3
ANSWER_S = 5
MOST_CPUS = 16


def under_libvirt(name: str, uri: str) -> Monitor:
    """Return who asks the QEMU of the running domain *name*."""

    def ask(question: str) -> str:
        done = virsh.qemu_monitor_command(name, question, "--hmp", uri=uri, ignore_status=True, timeout=ANSWER_S)
        return str(done.stdout_text if not done.exit_status else done.stderr_text)

    return ask


def below(vm: Any) -> Monitor:
    """Return who asks the QEMU of avocado-vt's *vm*."""
    return lambda question: str(vm.monitor.human_monitor_cmd(question, timeout=ANSWER_S))


def keep(guest: Guest, record: Record) -> None:
    """Keep what the monitor tells of the guest's vCPUs, where the guest should be running and was not heard for `SILENT` seconds."""
    silence = _silence(guest)
    if silence is None or silence < SILENT or guest.monitor is None:
        return
    text = "\n".join(_look(guest) for _ in range(LOOKS))
    about = f"what the vCPUs of {guest.name} are at, which was not heard for {silence:.1f} s"
    # A walk that failed is told before it is done again, and the guest once more when it goes.
    number = 1 + sum(1 for _ in (record.folder / EVIDENCE).glob(f"vcpus-{guest.name}-*.txt"))
    record.evidence(f"vcpus-{guest.name}-{number}.txt", text, about)


def _silence(guest: Guest) -> float | None:
    """Return for how long (s) the guest was not heard on any channel; None when it is off, never was heard, or nobody can tell."""
    if not guest.on or guest.observer is None:
        return None
    try:
        heard = [beat.at for way in (SERIAL, NETWORK) for beat in guest.observer.beats(guest.name, way)[-1:]]
    except RuntimeError:
        return None
    return time.monotonic() - max(heard) if heard else None


def _look(guest: Guest) -> str:
    """Return question and answer of one look; a QEMU that does not answer is asked no more."""
    vcpus = min(guest.spec.vcpus, MOST_CPUS)
    told = []
    for question in ("info status", "info cpus", "info registers -a", *(f"info lapic {cpu}" for cpu in range(vcpus))):
        told.append(f"{time.monotonic():.3f} {question}")
        try:
            told.append(_asked(guest, question))
        except ERRORS as error:
            told.append(f"No answer: {type(error).__name__}: {error}")
            break
    return "\n".join(told) + "\n"


def _asked(guest: Guest, question: str) -> str:
    return guest.monitor(question).replace("\r\n", "\n").strip() if guest.monitor else ""
