# SPDX-License-Identifier: GPL-2.0-or-later
"""
The triangle: a use case acts through ``virttest.virsh`` as users do, and is held against libvirt-python, host and guest.

An exit status proves nothing: virsh has been seen to return 0 over a dead guest (QEMU 7.2, auto-converge under TCG).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Callable, Protocol

from virttest import virsh

from provider.hvqual import host_process, shares, slow_client
from provider.hvqual.domain_xml import Spec
from provider.hvqual.libvirt_truth import Event, Libvirt
from provider.hvqual.record import Record
from provider.hvqual.steps import fail
from provider.hvqual.wait import WaitTimeoutError, until

SETTLE = 10.0


class Named(Protocol):
    """A guest as far as expectations know it."""

    name: str
    spec: Spec


class Expect:
    """Acts and expectations of one case on the domains of one libvirtd."""

    def __init__(self, truth: Libvirt, record: Record, uri: str, timeout: float) -> None:
        """Act at *uri*; an operation that takes over *timeout* seconds hangs."""
        self.truth, self.record, self.uri, self.timeout = truth, record, uri, timeout

    def act(
        self, operation: Callable[..., Any], name: str, *args: str, meanwhile: Callable[[], str] = str, **kwargs: Any
    ) -> float:
        """
        Do *operation* (of virttest.virsh) on the domain *name*; return when it was called (monotonic seconds).

        Refused by the product: TestFail with libvirt's own words and what *meanwhile* then tells of others' part in it, never a cancel.
        """
        called = time.monotonic()
        result = self.answer(operation, name, *args, refused="operation-refused", **kwargs)
        if result.exit_status:
            words = result.stderr_text.strip() or result.stdout_text.strip() or "without a word"
            message = f"'virsh {operation.__name__} {name}' was refused (status {result.exit_status}): {words} {meanwhile()}".rstrip()
            fail(self.record, "operation-refused", message, name)
        return called

    def answer(
        self, operation: Callable[..., Any], name: str, *args: str, refused: str = "missing-message", **kwargs: Any
    ) -> Any:
        """
        Return what virsh answered to *operation* on *name*, whatever it is; TestFail when it did not end in an operation's time.

        A virsh that was refused and waits for nobody any more (`slow_client`) keeps the reason to itself: a problem of the kind
        *refused*, a missing message where a refusal is right.
        """
        with slow_client.Look(self.truth, name, self.timeout) as look:
            result = operation(name, *args, uri=self.uri, ignore_status=True, timeout=self.timeout, **kwargs)
        if result.interrupted:
            said = (result.stderr_text + result.stdout_text).strip() or "nothing"
            words = " ".join(["virsh", operation.__name__, name, *args])
            message = f"'{words}' did not end in {self.timeout:g} s ({result.interrupted}); what it had said: {said}. {look.text}"
            answered = said.startswith("error:") and look.nobody_works
            fail(self.record, refused if answered else "operation-refused", message, name)
        return result

    def state(self, name: str, state: str, reason: str) -> None:
        """Expect the domain in *state* for *reason*, by libvirt-python and by virsh alike."""

        def reached() -> bool:
            return self.truth.state(name) == (state, reason)

        try:
            until(reached, SETTLE, f"'{name}' to be {state} ({reason})")
        except WaitTimeoutError:
            found = " / ".join(self.truth.state(name))
            message = (
                f"'{name}' should be {state} ({reason}) after the operation reported success; libvirt says {found}."
            )
            fail(self.record, "wrong-result", message, name)
        told = virsh.domstate(name, uri=self.uri, ignore_status=True).stdout_text.strip()
        if told != state:
            message = f"virsh says that '{name}' is '{told}', libvirt-python says '{state}'."
            fail(self.record, "wrong-result", message, name)

    def events(self, name: str, since: float, wanted: Sequence[tuple[str, str]]) -> Event:
        """Expect the events *wanted* of the domain in this order after *since*; return the last of them."""

        def seen() -> Event | None:
            left = list(wanted)
            for event in self.truth.events(name, since):
                if (event.event, event.detail) == left[0]:
                    left.pop(0)
                if not left:
                    return event
            return None

        try:
            return until(seen, SETTLE, f"the events {wanted} of '{name}'")  # type: ignore[return-value]
        except WaitTimeoutError:
            found = [(event.event, event.detail) for event in self.truth.events(name, since)]
            message = f"'{name}' should have sent the events {list(wanted)}; it sent {found}."
            fail(self.record, "wrong-result", message, name)

    def one_process(self, guest: Named) -> int:
        """
        Expect exactly one QEMU with the CPUs and the memory asked for, in a cgroup of its own; return its pid.

        What QEMU was told at its start says nothing of vCPUs that may come and go: those are counted by their threads.
        """
        found = host_process.emulators(guest.name)
        wanted = (guest.spec.vcpus, guest.spec.boot_kib // 1024)
        grows = bool(guest.spec.growth.max_vcpus)
        seen = [(one.pid, len(shares.vcpu_threads(one.pid)) if grows else one.vcpus, one.memory_mib) for one in found]
        if len(seen) != 1 or seen[0][1:] != wanted:
            message = (
                f"'{guest.name}' should be one QEMU with (CPUs, MiB) {wanted}; the host has (pid, CPUs, MiB) {seen}."
            )
            fail(self.record, "wrong-result", message, guest.name)
        if not host_process.cgroup_folders(guest.name):
            message = f"'{guest.name}' runs, but libvirt made no cgroup for it."
            fail(self.record, "wrong-result", message, guest.name)
        return found[0].pid

    def no_process(self, guest: Named) -> None:
        """Expect that nothing of the guest is left on the host: no QEMU, no cgroup."""

        def gone() -> bool:
            return not host_process.emulators(guest.name) and not host_process.cgroup_folders(guest.name)

        try:
            until(gone, SETTLE, f"QEMU and cgroups of '{guest.name}' to go")
        except WaitTimeoutError:
            pids = [process.pid for process in host_process.emulators(guest.name)]
            left = f"pids {pids}, cgroups {host_process.cgroup_folders(guest.name)}"
            fail(self.record, "leftover", f"'{guest.name}' is off, but the host still has {left}.", guest.name)

    def defined_as(self, guest: Named) -> None:
        """Expect the inactive XML to say what the model says."""
        if self.truth.lookup(guest.name) is None:
            message = f"'{guest.name}' was defined, virsh reported success; libvirt-python knows no such domain."
            fail(self.record, "wrong-result", message, guest.name)
        xml = self.truth.xml(guest.name, inactive=True)
        spec = guest.spec
        macs = tuple(mac.get("address") for mac in xml.iterfind("devices/interface/mac"))
        disks = tuple(source.get("file") for source in xml.iterfind("devices/disk/source"))
        vcpu = xml.find("vcpu")
        vcpus = "" if vcpu is None else f"{vcpu.get('current') or vcpu.text} of {vcpu.text}"
        found = (vcpus, xml.findtext("memory"), xml.findtext("iothreads", "0"), macs, disks)
        files = tuple(disk.path for disk in spec.disks)
        most = f"{spec.vcpus} of {spec.most_vcpus}"
        wanted = (most, str(spec.memory_kib), str(spec.iothreads), spec.macs, files)
        if found != wanted:
            message = (
                f"'{guest.name}' was defined with (vcpu, memory, iothreads, macs, disks) {wanted}; its XML has {found}."
            )
            fail(self.record, "wrong-result", message, guest.name)
