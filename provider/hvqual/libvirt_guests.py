# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests under libvirt: the domains of a case, defined, checked against the model, and removed without a trace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from virttest import virsh

from provider.hvqual import capability, images, marks
from provider.hvqual.case import Case
from provider.hvqual.domain_xml import Place, Spec, domain_xml
from provider.hvqual.expect import Expect
from provider.hvqual.guests import Guest, make_disk, specs
from provider.hvqual.heartbeat import Observer, free_socket_path
from provider.hvqual.host_state import domain_guard, temporary_path
from provider.hvqual.libvirt_truth import Libvirt
from provider.hvqual.post_mortem import examine

SOCKETS = "/run"
QEMU_LOGS = Path("/var/log/libvirt/qemu")


@dataclass(frozen=True)
class Stand:
    """The guests of a case on their node, and what the case asks of them."""

    guests: list[Guest]
    expect: Expect
    truth: Libvirt
    observer: Observer


@contextmanager
def defined(case: Case[Any]) -> Iterator[Stand]:
    """Hold the case's guests defined (and off) for the length of the block, whatever the block does to them."""
    wanted, record = case.wanted, case.record
    image = images.load(wanted.image_home, wanted.image)
    accelerator = capability.accelerator_of(wanted.qemu_binary, record)
    room = capability.capacity(wanted.reserve_cpus, wanted.reserve_memory_mib, wanted.max_memory_mib)
    names = [f"{marks.PREFIX}{case.token}-{number}" for number in range(1, wanted.vm_count + 1)]
    uri = "qemu:///system" if case.params["connect_uri"] == "default" else str(case.params["connect_uri"])
    with ExitStack() as stack:
        truth = stack.enter_context(Libvirt(uri))
        observer = stack.enter_context(Observer(truth.network_address(wanted.network), wanted.witness_port))
        expect = Expect(truth, record, uri, wanted.operation_timeout)
        guests = []
        for spec in specs(names, room.cpus, room.memory_kib, wanted.disk_folder, wanted.disk_mib):
            place = _place(case, spec, accelerator)
            guest = Guest(spec, image, place, wanted)
            stack.enter_context(_domain(case, guest, expect, uri))
            guest.join(_vm(case, spec, truth.bridge(wanted.network)), observer, record)
            stack.callback(case.env.unregister_vm, spec.name)
            stack.callback(guest.hang_up)
            stack.callback(examine, guest, record, QEMU_LOGS / f"{spec.name}.log")
            guests.append(guest)
        yield Stand(guests, expect, truth, observer)


def _place(case: Case[Any], spec: Spec, accelerator: str) -> Place:
    """Return where the guest stands; its console goes straight into the evidence, so it is there after a kill too."""
    evidence = Path(case.test.logdir) / "evidence"
    evidence.mkdir(exist_ok=True)
    return Place(
        accelerator=accelerator,
        emulator=case.wanted.qemu_binary,
        network=case.wanted.network,
        console_log=str(evidence / f"console-{spec.name}.log"),
        heartbeat=free_socket_path(SOCKETS, spec.name),
        heartbeat_port=case.wanted.witness_port,
        owner=case.token,
    )


@contextmanager
def _domain(case: Case[Any], guest: Guest, expect: Expect, uri: str) -> Iterator[None]:
    """Hold one domain defined with a fresh sparse disk; the undo log knows of both before they exist."""
    spec = guest.spec
    xml = Path(case.test.logdir) / f"{spec.name}.xml"
    ours = [temporary_path(path) for path in (QEMU_LOGS / f"{spec.name}.log", spec.disk, guest.place.heartbeat)]
    with ours[0], ours[1], ours[2], domain_guard(uri, spec.name):
        make_disk(spec)
        xml.write_text(domain_xml(spec, guest.image, guest.place), encoding="utf-8")
        expect.act(virsh.define, str(xml))
        expect.defined_as(guest)
        yield


def _vm(case: Case[Any], spec: Spec, bridge: str) -> Any:
    """Return the avocado-vt VM object of the domain, registered in the test's env."""
    params = case.params.copy()
    params["nics"], params["nettype"], params["netdst"] = "nic1", "bridge", bridge
    params["mac_nic1"] = spec.mac
    params["shell_prompt"] = images.load(case.wanted.image_home, case.wanted.image).prompt
    return case.env.create_vm(params["vm_type"], params.get("target"), spec.name, params, case.test.bindir)


@contextmanager
def save_file(guest: Guest) -> Iterator[Path]:
    """Hold a place for the guest's save file beside its disk; nothing is there before and after the block."""
    path = Path(f"{guest.spec.disk}.save")
    with temporary_path(path):
        yield path
