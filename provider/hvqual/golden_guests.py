# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests whose disk is a copy of the golden image's: copied by the case, or cloned with their domain by ``virt-clone``."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast
from xml.etree import ElementTree as ET

from avocado.core.exceptions import TestError
from avocado.utils import process
from virttest import virsh

from provider.hvqual import capability, image_disks, images, libvirt_guests, marks, node_check, pools, undo_processes
from provider.hvqual.case import Case
from provider.hvqual.domain_xml import Disk, domain_xml
from provider.hvqual.expect import Expect
from provider.hvqual.guests import Guest
from provider.hvqual.host_config import specs
from provider.hvqual.host_state import domain_guard, temporary_process
from provider.hvqual.libvirt_guests import Making, uri_of
from provider.hvqual.libvirt_truth import Libvirt
from provider.hvqual.steps import fail

KERNEL = re.compile(r"    <kernel>.*?</cmdline>\n", re.DOTALL)
MAKE = "avocado hvqual image build golden"


def folder(case: Case[Any]) -> Path:
    """Return where the case's image is; the case is cancelled on a node that has none."""
    place = images.folder_of(case.wanted.image_home, case.wanted.image)
    there = (place / "manifest.json").is_file()
    told = f"it is in '{place}'" if there else f"'{place}' holds none; make it with: {MAKE}"
    capability.require(f"{case.wanted.image} image", told, case.record, ok=there)
    return place


def load(case: Case[Any]) -> images.Image:
    """Return the case's image, which has a disk; cancelled where there is none (`folder`)."""
    folder(case)
    image = images.load(case.wanted.image_home, case.wanted.image)
    if image.disk is None:
        message = f"The image '{image.name}' has no disk of its own, so there is nothing to copy. Give one by hv_image."
        raise TestError(message)
    return image


def look(case: Case[Any], checks: Sequence[str], timeout: float) -> None:
    """Ask *checks* of the image (`avocado hvqual image check`), observe the answers, and end the case where they are not as expected."""
    place = folder(case)
    with case.record.step("image check"):
        found = node_check.told_by(("image", "check"), checks, ["--image", str(place)], timeout)
        node_check.observe(found, case.record, "image check")


def built(case: Case[Any]) -> tuple[str, dict[str, str]]:
    """Return the kernel's release and the packages with their versions that the image's build tells of."""
    place = images.folder_of(case.wanted.image_home, case.wanted.image)
    manifest = json.loads((place / "manifest.json").read_text(encoding="utf-8"))
    packages = json.loads((place / "packages.json").read_text(encoding="utf-8"))
    return str(manifest["kernel_release"]), cast("dict[str, str]", packages)


def own_loader_xml(guest: Guest) -> str:
    """Return the XML of a guest whose disk's own boot loader starts it; the host tells its kernel nothing."""
    whole = domain_xml(guest.spec, guest.image, guest.place)
    text, count = KERNEL.subn("    <boot dev='hd'/>\n", whole)
    if count != 1:
        message = "The XML of a guest names no kernel in the way that was looked for; this is a fault of the test."
        raise TestError(message)
    return text


OWN_LOADER = Making(xml=own_loader_xml)


@dataclass(frozen=True)
class Identity:
    """What makes a domain one certain machine to its host."""

    uuid: str
    macs: tuple[str, ...]
    files: tuple[str, ...]

    @classmethod
    def of(cls, xml: ET.Element) -> Identity:
        """Return the identity that a domain's XML tells."""
        macs = tuple(str(mac.get("address")) for mac in xml.iterfind("devices/interface/mac"))
        files = tuple(str(source.get("file")) for source in xml.iterfind("devices/disk/source"))
        return cls(str(xml.findtext("uuid")), macs, files)

    def shared(self, other: Identity) -> list[str]:
        """Return what both have in common, and what this one lacks."""
        wrong = [f"the UUID {self.uuid}"] if self.uuid == other.uuid else []
        wrong += [f"the MAC address {mac}" for mac in self.macs if mac in other.macs]
        wrong += [f"the disk {file}" for file in self.files if file in other.files]
        wrong += [] if len(self.macs) == len(other.macs) else [f"{len(self.macs)} of {len(other.macs)} interfaces"]
        return wrong + (
            [] if len(self.files) == len(other.files) else [f"{len(self.files)} of {len(other.files)} disks"]
        )


@dataclass(frozen=True)
class Source:
    """The domain of the image itself, which is never started."""

    name: str
    identity: Identity


@contextmanager
def source(case: Case[Any], image: images.Image) -> Iterator[Source]:
    """Hold a domain defined over the image's own disk, to be cloned; the storage pools that virt-clone would else leave are held too."""
    there = shutil.which("virt-clone")
    capability.require("virt-clone", there or "install the package virtinst", case.record, ok=bool(there))
    disk, uri = cast("Path", image.disk), uri_of(case)
    (shape,) = libvirt_guests.shapes_of(replace(case, wanted=replace(case.wanted, vm_count=1)))
    (spec,) = specs([image_disks.sized(shape, image)], f"{marks.PREFIX}{case.token}-golden", case.wanted)
    spec = replace(spec, disks=(Disk(str(disk), spec.disks[0].mib, "raw"),))
    accelerator = capability.accelerator_of(case.wanted.qemu_binary, case.record)
    xml = Path(case.test.logdir) / f"{spec.name}.xml"
    place = libvirt_guests.place_of(case, spec, accelerator)
    xml.write_text(domain_xml(spec, image, place), encoding="utf-8")
    with ExitStack() as stack:
        truth = stack.enter_context(Libvirt(uri))
        for number, path in enumerate((case.wanted.disk_folder, str(disk.parent))):
            stack.enter_context(pools.covering(truth.connection, uri, path, f"{case.token}-{number}"))
        stack.enter_context(domain_guard(uri, spec.name))
        done = virsh.define(str(xml), uri=uri, ignore_status=True)
        if done.exit_status or truth.lookup(spec.name) is None:
            fail(case.record, "operation-refused", f"The image's domain was not defined: {done.stderr_text}", spec.name)
        yield Source(spec.name, Identity.of(truth.xml(spec.name, inactive=True)))


def cloned(case: Case[Any], of: Source) -> Making:
    """Return what makes each guest by virt-clone of the domain *of*; its UUID, addresses and disk are then the clone's."""

    def make(guest: Guest, expect: Expect) -> None:
        with expect.record.step("clone", guest.name):
            with expect.record.timed("clone_time", guest.name):
                _virt_clone(guest, expect, of, case.own.clone_timeout)
            _take(guest, expect, of)

    return Making(make)


def _virt_clone(guest: Guest, expect: Expect, of: Source, timeout: float) -> None:
    own = f"--name {guest.name} --file"
    words = ["virt-clone", "--connect", expect.uri, "--original", of.name, *own.split(), guest.spec.disk]
    # One that outlived the test would define its domain after the test's traces were removed.
    with temporary_process(own, lambda: [it.pid for it in undo_processes.matching(own.split())]):
        done = process.run(shlex.join(words), timeout=timeout, ignore_status=True)
    if done.exit_status:
        message = f"virt-clone refused to make '{guest.name}': {done.stderr_text.strip()[-600:]}"
        fail(expect.record, "operation-refused", message, guest.name)


def _take(guest: Guest, expect: Expect, of: Source) -> None:
    """Expect a domain and a disk of its own that holds what the image's holds, and make them the guest's model; observe both."""
    observe, vm, spec = expect.record.observe, guest.name, guest.spec
    if expect.truth.lookup(vm) is None or not Path(spec.disk).is_file():
        fail(expect.record, "wrong-result", f"virt-clone reported success; there is no '{vm}' with '{spec.disk}'.", vm)
    found = Identity.of(expect.truth.xml(vm, inactive=True))
    wrong = found.shared(of.identity)
    if found.files != (spec.disk,):
        wrong.append(f"the disks {', '.join(found.files)} instead of {spec.disk}")
    observe("own_identity", not wrong, "bool", vm)
    if wrong:
        fail(expect.record, "wrong-result", f"The clone '{vm}' has {', '.join(wrong)} of '{of.name}'.", vm)
    compare = f"qemu-img compare -U -f raw -F raw {shlex.quote(of.identity.files[0])} {shlex.quote(spec.disk)}"
    same = process.run(compare, timeout=300, ignore_status=True)
    observe("clone_identical", same.exit_status == 0, "bool", vm)
    if same.exit_status:
        fail(expect.record, "wrong-result", f"The disk of '{vm}' is not the image's: {same.stdout_text.strip()}", vm)
    guest.spec = replace(spec, uuid=found.uuid, macs=found.macs)
