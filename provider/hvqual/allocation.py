# SPDX-License-Identifier: GPL-2.0-or-later
"""
What a VM was given, told by each of the three who can know: libvirt, the host, the guest.

Not the XML of the definition: live XML and libvirt's queries, QEMU's process and threads, files and links of the host.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from avocado.utils import process

from provider.hvqual import host_process, shares
from provider.hvqual.domain_xml import Spec, target
from provider.hvqual.expect import Expect
from provider.hvqual.guests import MIB, Guest
from provider.hvqual.libvirt_truth import Libvirt
from provider.hvqual.steps import fail, matches

BASE_PAGE_KIB = 4
LINKS = Path("/sys/class/net")
Facts = dict[str, Any]


def exact(guest: Guest, expect: Expect) -> None:
    """Expect that libvirt, host and guest each tell exactly what the model says; observe allocation_exact."""
    with expect.record.step("compare allocation", guest.name):
        seen = matches(guest.spec, guest.witness.report())
        wrong = [
            *differences("libvirt", of_model(guest.spec), by_libvirt(guest.spec, expect.truth)),
            *differences("the host", of_model(guest.spec), by_host(guest.spec, expect.truth)),
            *([seen] if seen else []),
        ]
        expect.record.observe("allocation_exact", not wrong, "bool", guest.name)
        if wrong:
            message = (
                f"'{guest.name}' ({guest.spec.flavor or 'no flavor'}) is not what was asked for: {' '.join(wrong)}"
            )
            fail(expect.record, "wrong-result", message, guest.name)


def differences(who: str, wanted: Facts, told: Facts) -> list[str]:
    """Return one sentence for each fact that *who* tells otherwise; a fact that is not told is one too."""
    return [
        f"{who} gives {name} {told.get(name)} instead of {wanted[name]}."
        for name in wanted
        if told.get(name) != wanted[name]
    ]


def of_model(spec: Spec) -> Facts:
    """Return what the model says, in the words of the others."""
    return {
        "vCPUs": spec.vcpus,
        "memory (KiB)": spec.memory_kib,
        "disks (bytes)": {target(number): disk.mib * MIB for number, disk in enumerate(spec.disks)},
        "network interfaces": sorted(spec.macs),
        "IOThreads": spec.iothreads,
        "pins": [{cpu} for cpu in spec.pins],
        "huge pages (KiB)": spec.hugepage_kib,
    }


def by_libvirt(spec: Spec, truth: Libvirt) -> Facts:
    """Return what libvirt says of the running domain."""
    domain, xml = truth.lookup(spec.name), truth.xml(spec.name)
    _, most, memory, vcpus, _ = domain.info()
    page = xml.find("memoryBacking/hugepages/page")
    pins = [{cpu for cpu, may in enumerate(row) if may} for row in domain.vcpus()[1][: len(spec.pins)]]
    return {
        "vCPUs": vcpus,
        "memory (KiB)": memory if memory == most else f"{memory} of at most {most}",
        "disks (bytes)": {
            str(at.get("dev")): domain.blockInfo(str(at.get("dev")))[0] for at in xml.iterfind("devices/disk/target")
        },
        "network interfaces": sorted(str(mac.get("address")) for mac in xml.iterfind("devices/interface/mac")),
        "IOThreads": len(domain.ioThreadInfo()),
        "pins": pins,
        "huge pages (KiB)": 0 if page is None else int(str(page.get("size"))),
    }


def by_host(spec: Spec, truth: Libvirt) -> Facts:
    """Return what the host's kernel shows: QEMU's threads and mappings, the disks' files, the taps in their bridge."""
    found = host_process.emulators(spec.name)
    if len(found) != 1:
        return {"vCPUs": f"{len(found)} QEMUs"}
    pid, xml = found[0].pid, truth.xml(spec.name)
    vcpus = shares.vcpu_threads(pid)
    ram = shares.ram(pid, spec.pieces_kib)
    page = min(piece.page_kib for piece in ram) if ram else 0
    memory_kib = found[0].memory_mib * 1024 + sum(spec.plugged_kib)
    taps = [
        (str(mac.get("address")), str(at.get("dev")))
        for one in xml.iterfind("devices/interface")
        if (mac := one.find("mac")) is not None and (at := one.find("target")) is not None
    ]
    return {
        "vCPUs": len(vcpus),
        "memory (KiB)": memory_kib if ram else f"{memory_kib}, not with the mappings {spec.pieces_kib}",
        "disks (bytes)": {target(number): _size(disk.path) for number, disk in enumerate(spec.disks)},
        "network interfaces": sorted(mac for mac, tap in taps if (LINKS / tap / "master").exists()),
        "IOThreads": len(shares.iothreads(pid)),
        "pins": [shares.allowed(thread) for thread in vcpus[: len(spec.pins)]],
        "huge pages (KiB)": page if page > BASE_PAGE_KIB else 0,
    }


def _size(path: str) -> int:
    """Return the size that a guest sees of a disk's image, as qemu-img reads it beside the running QEMU."""
    told = process.run(f"qemu-img info -U --output=json '{path}'", timeout=60).stdout_text
    return int(json.loads(told)["virtual-size"])
