# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests under libvirt: the domains of a case, defined, checked against the model, and removed without a trace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Optional

from virttest import virsh

import libvirt
from provider.hvqual import capability, host_config, image_disks, images, marks, stalled, together, warm
from provider.hvqual.case import Case
from provider.hvqual.domain_xml import Place, Spec, domain_xml
from provider.hvqual.expect import Expect
from provider.hvqual.guests import Guest
from provider.hvqual.heartbeat import Observer, free_socket_path
from provider.hvqual.host_config import Shape
from provider.hvqual.host_state import domain_guard, huge_pages, same_owner, temporary_path
from provider.hvqual.libvirt_truth import Libvirt
from provider.hvqual.post_mortem import examine
from provider.hvqual.stand import Stand
from provider.hvqual.undo_libvirt import destroy_domain
from provider.hvqual.warm import Warm

SOCKETS = "/run"
QEMU_LOGS = Path("/var/log/libvirt/qemu")


def uri_of(case: Case[Any]) -> str:
    """Return at which libvirtd the case's guests are."""
    return "qemu:///system" if case.params["connect_uri"] == "default" else str(case.params["connect_uri"])


def _as_it_is(shape: Shape) -> Shape:
    return shape


def _own_xml(guest: Guest) -> str:
    return domain_xml(guest.spec, guest.image, guest.place)


@dataclass(frozen=True)
class Making:
    """How a case's guests come to be: who makes their disks (and may make the domain: its identity is the model's then), and their XML."""

    disks: Callable[[Guest, Expect], None] = image_disks.made
    xml: Callable[[Guest], str] = _own_xml
    boots: tuple[Path, ...] = ()
    """What they boot from beside kernel and initrd of their image."""


FRESH = Making()


@contextmanager
def defined(
    case: Case[Any], otherwise: Callable[[Shape], Shape] = _as_it_is, making: Making = FRESH
) -> Iterator[Stand]:
    """
    Hold the case's guests defined (and off) for the length of the block, whatever the block does to them.

    *otherwise* makes of what the host configuration gives a VM what this case needs of it: room to grow, NUMA nodes, huge pages.
    """
    wanted = case.wanted
    image = images.load(wanted.image_home, wanted.image)
    accelerator = capability.accelerator_of(wanted.qemu_binary, case.record)
    uri = uri_of(case)
    with ExitStack() as stack:
        truth = stack.enter_context(Libvirt(uri))
        address = truth.network_address(wanted.network)
        observer = stack.enter_context(Observer(address, wanted.witness_port))
        expect = Expect(truth, case.record, uri, wanted.operation_timeout)
        found = [image_disks.sized(otherwise(shape), image) for shape in shapes_of(case)]
        stack.enter_context(_reserved(case, found, (image.kernel, image.initrd, *making.boots)))
        network = [address, truth.gateway(wanted.network)]
        warm = _warm(case, found, [image.digest, accelerator, *network, *_builds(truth, wanted.qemu_binary)])
        stem = warm.stem if warm else f"{marks.PREFIX}{case.token}"
        guests: list[Guest] = []
        try:
            for spec in host_config.specs(found, stem, wanted):
                guest = Guest(spec, image, place_of(case, spec, accelerator), wanted)
                stack.enter_context(_domain(case, guest, expect, making))
                vm = _vm(case, guest, truth.bridge(wanted.network))
                guest.join(vm, observer, case.record, stalled.under_libvirt(spec.name, uri))
                stack.callback(case.env.unregister_vm, spec.name)
                guests.append(guest)
            yield Stand(guests, expect, case, truth, observer, warm)
        finally:
            together.each(guests, lambda guest: _put_down(case, guest, uri))


def _put_down(case: Case[Any], guest: Guest, uri: str) -> None:
    """Look what became of the guest, then end it; what is left of it is removed, and missed, by its guards."""
    examine(guest, case.record, QEMU_LOGS / f"{guest.name}.log")
    guest.hang_up()
    # All guests at once, which saves a third of a second each. Who cannot be ended is told by its guard, which tries again.
    with suppress(ConnectionError, libvirt.libvirtError):
        destroy_domain({"name": guest.name, "uri": uri}, case.undo.home)


@contextmanager
def _reserved(case: Case[Any], found: list[Shape], boots: tuple[Path, ...]) -> Iterator[None]:
    """
    Hold what guests of these flavors have of the node: huge pages, and for QEMU's user the files *boots*, which are given back.

    The case is cancelled on a node whose kernel has no such pages.
    """
    with ExitStack() as stack:
        for path in boots:
            stack.enter_context(same_owner(path))
        for size, count in host_config.huge_pages(found).items():
            reason = capability.huge_pages(size)
            capability.require(f"huge pages of {size} KiB", reason or f"{count} of them", case.record, ok=not reason)
            stack.enter_context(huge_pages(size, count))
        yield


def shapes_of(case: Case[Any]) -> list[Shape]:
    """Return what each VM of the case's host configuration gets of this node."""
    wanted = case.wanted
    room = capability.capacity(wanted.reserve_cpus, wanted.reserve_memory_mib, wanted.max_memory_mib)
    return host_config.shapes(case.identity.host_config, wanted, room)


def _warm(case: Case[Any], found: list[Shape], facts: list[str]) -> Optional[Warm]:
    """Return the save files of such guests when the case takes warm ones."""
    return Warm(warm.key_of(found, case.wanted, facts)) if case.wanted.warm else None


def _builds(truth: Libvirt, qemu: str) -> list[str]:
    """Return what tells this QEMU and this libvirt from others."""
    binary = Path(qemu).stat()
    return [f"{binary.st_size} {binary.st_mtime_ns}", str(truth.connection.getLibVersion())]


def place_of(case: Case[Any], spec: Spec, accelerator: str) -> Place:
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
def _domain(case: Case[Any], guest: Guest, expect: Expect, making: Making) -> Iterator[None]:
    """Hold one domain defined with a fresh sparse disk; the undo log knows of both before they exist."""
    spec = guest.spec
    xml = Path(case.test.logdir) / f"{spec.name}.xml"
    case.record.labels[spec.name] = spec.flavor
    files = [f"{QEMU_LOGS}/{spec.name}.log", guest.place.heartbeat, *(disk.path for disk in spec.disks)]
    with ExitStack() as stack:
        for path in files:
            stack.enter_context(temporary_path(path))
        stack.enter_context(domain_guard(expect.uri, spec.name))
        making.disks(guest, expect)
        xml.write_text(making.xml(guest), encoding="utf-8")
        expect.act(virsh.define, str(xml))
        expect.defined_as(guest)
        yield


def _vm(case: Case[Any], guest: Guest, bridge: str) -> Any:
    """Return the avocado-vt VM object of the domain, registered in the test's env."""
    params = case.params.copy()
    params["nics"], params["nettype"], params["netdst"] = "nic1", "bridge", bridge
    params["mac_nic1"] = guest.spec.mac
    params["shell_prompt"] = guest.image.prompt
    return case.env.create_vm(params["vm_type"], params.get("target"), guest.name, params, case.test.bindir)
