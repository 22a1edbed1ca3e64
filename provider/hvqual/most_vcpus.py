# SPDX-License-Identifier: GPL-2.0-or-later
"""
As many vCPUs as can be had: what the machine type and the node give, each of them there and at work, and one more refused.

Requirement section 6.2: "assigning max vcpus to a virtual machine".
"""

from __future__ import annotations

import dataclasses
import re
import uuid
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from avocado.core.exceptions import TestError
from virttest import virsh

import libvirt
from provider.hvqual import capability, host_process, shares
from provider.hvqual.case import Case
from provider.hvqual.domain_xml import Spec, domain_xml
from provider.hvqual.expect import Expect
from provider.hvqual.guests import Guest
from provider.hvqual.host_config import Shape
from provider.hvqual.host_state import domain_guard, temporary_path
from provider.hvqual.libvirt_guests import uri_of
from provider.hvqual.steps import fail

MACHINE, ARCH = "q35", "x86_64"
LOCAL_TIMER = re.compile(r"^\s*LOC:((?:\s+\d+)+)", re.MULTILINE)


def limit(case: Case[Any]) -> int:
    """Return the vCPUs that libvirt says the case's QEMU can give a guest of this machine type; TestError when it cannot tell."""
    qemu = case.wanted.qemu_binary
    accelerator = capability.accelerator_of(qemu, case.record)
    try:
        connection = libvirt.open(uri_of(case))
        text = connection.getDomainCapabilities(qemu, ARCH, MACHINE, "kvm" if accelerator == "kvm" else "qemu", 0)
    except libvirt.libvirtError as error:
        message = f"libvirt does not tell what '{qemu}' can give a guest: {error}"
        raise TestError(message) from None
    most = ET.fromstring(text).find("vcpu")  # noqa: S314 - from libvirtd
    if most is None:
        message = f"libvirt tells no greatest number of vCPUs for '{qemu}' and {MACHINE}."
        raise TestError(message)
    return int(str(most.get("max")))


def wanted(case: Case[Any], word: str, machine: int) -> int:
    """Return how many vCPUs *word* asks for: 'machine' (as many as its type has), 'node' (as many as are for guests), or a number."""
    if word == "machine":
        return machine
    if word == "node":
        keep = case.wanted
        node = capability.capacity(keep.reserve_cpus, keep.reserve_memory_mib, keep.max_memory_mib)
        return min(machine, node.cpus)
    if not word.isdigit() or not 1 <= int(word) <= machine:
        message = f"hv_vcpus is '{word}'; expected 'machine' ({machine} here), 'node', or a number from 1 to {machine}."
        raise TestError(message)
    return int(word)


def given(shape: Shape, vcpus: int) -> Shape:
    """Return the shape with so many vCPUs; pinned ones take the shape's host CPUs in turn."""
    pins = tuple(shape.pins[number % len(shape.pins)] for number in range(vcpus)) if shape.pins else ()
    return dataclasses.replace(shape, vcpus=vcpus, pins=pins)


def told(guest: Guest, expect: Expect, machine: int) -> None:
    """
    Expect that virsh, the host's threads and the guest's own lists all count the vCPUs that were asked for.

    Observe vcpus (count), and vcpus_of_machine (ratio): how much of the machine type's limit that is.
    """
    with expect.record.step("count vCPUs", guest.name):
        count = guest.spec.vcpus
        said = virsh.vcpucount(guest.name, "--live --current", uri=expect.uri, ignore_status=True).stdout_text.strip()
        found = host_process.emulators(guest.name)
        threads = len(shares.vcpu_threads(found[0].pid)) if len(found) == 1 else 0
        lists = [guest.ask(f"cat /sys/devices/system/cpu/{name}").strip() for name in ("present", "online")]
        seen = {"virsh": said, "the host's threads": str(threads)}
        seen.update(zip(("CPUs present", "CPUs online"), (str(len(shares.told_cpus(text))) for text in lists)))
        wrong = [f"{who}: {number or 'nothing'}" for who, number in seen.items() if number != str(count)]
        if wrong:
            fail(
                expect.record,
                "wrong-result",
                f"'{guest.name}' should have {count} vCPUs; {', '.join(wrong)}.",
                guest.name,
            )
        expect.record.observe("vcpus", count, "count", guest.name)
        expect.record.observe("vcpus_of_machine", count / machine, "ratio", guest.name)


def each_works(guest: Guest, expect: Expect) -> None:
    """
    Run a task on each vCPU of the guest, bound to it: it runs there, and timer interrupts reach it; observe vcpus_idle (count).

    By the host each vCPU's thread used CPU time meanwhile.
    """
    with expect.record.step("work on each vCPU", guest.name):
        threads = shares.vcpu_threads(host_process.emulators(guest.name)[0].pid)
        ticks, spent = _ticks(guest), [shares.cpu_seconds(thread) for thread in threads]
        ran = {int(word) for word in guest.ask(_each_once(guest.spec)).split() if word.isascii() and word.isdigit()}
        after, later = _ticks(guest), [shares.cpu_seconds(thread) for thread in threads]
        idle = {
            number
            for number in range(guest.spec.vcpus)
            if number not in ran
            or len(after) <= number
            or after[number] <= ticks[number]
            or later[number] <= spent[number]
        }
        expect.record.observe("vcpus_idle", len(idle), "count", guest.name)
        if idle:
            fail(expect.record, "wrong-result", f"The vCPUs {sorted(idle)} of '{guest.name}' do not work.", guest.name)


def _each_once(spec: Spec) -> str:
    """Return the command that does a little work bound to each CPU, and tells on which one it was (field 39 of its stat)."""
    work = 'n=0; while [ $n -lt 2000 ]; do n=$((n+1)); done; cut -d")" -f2- /proc/$$/stat | cut -d" " -f38'
    return f"for cpu in $(seq 0 {spec.vcpus - 1}); do taskset -c $cpu sh -c '{work}'; done"


def _ticks(guest: Guest) -> list[int]:
    """Return the local timer's interrupts of each CPU of the guest."""
    found = LOCAL_TIMER.search(guest.ask("cat /proc/interrupts"))
    return [int(word) for word in found[1].split()] if found else []


def one_more_is_refused(guest: Guest, expect: Expect, machine: int, folder: Path) -> None:
    """
    Define a guest of one vCPU more than the machine type has: refused at once or at its start, in words that name the limit.

    Observe refusal_told (bool). Nothing of it is left.
    """
    with expect.record.step("ask for one vCPU more", guest.name):
        name = f"{guest.name}-more"
        spec = Spec(name, str(uuid.uuid4()), machine + 1, guest.spec.memory_kib, (), ())
        # Files of its own: one that is started though it must not be shall take nothing from the guest beside it.
        place = dataclasses.replace(
            guest.place, heartbeat=f"{guest.place.heartbeat}-more", console_log=f"{guest.place.console_log}-more"
        )
        path = folder / f"{name}.xml"
        path.write_text(domain_xml(spec, guest.image, place), encoding="utf-8")
        with temporary_path(place.heartbeat), domain_guard(expect.uri, name):
            done = virsh.define(str(path), uri=expect.uri, ignore_status=True)
            if not done.exit_status:
                done = virsh.start(name, "--paused", uri=expect.uri, ignore_status=True)
            said = done.stderr_text.strip()
            if not done.exit_status:
                message = (
                    f"A guest of {machine + 1} vCPUs was started, though the machine type has {machine} at the most."
                )
                fail(expect.record, "wrong-result", message, guest.name)
            # The number by itself: a guest's name is of digits and letters too.
            named = re.search(rf"(?<![\w-]){machine}(?![\w-])", said)
            expect.record.observe("refusal_told", bool(named), "bool", guest.name)
