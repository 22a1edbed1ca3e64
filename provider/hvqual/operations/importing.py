# SPDX-License-Identifier: GPL-2.0-or-later
"""
A guest whose disk is there already becomes a domain, by its XML or by ``virt-install --import``.

The image is the user's: it is not written before the guest writes, and it is the user's own again when the guest is off.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shlex
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from avocado.core.exceptions import TestError
from avocado.utils import process
from virttest import virsh

import libvirt
from provider.hvqual import capability, marks
from provider.hvqual.domain_xml import domain_xml
from provider.hvqual.expect import Expect
from provider.hvqual.guests import Guest
from provider.hvqual.host_state import domain_guard
from provider.hvqual.operations import definition, power
from provider.hvqual.record import Record
from provider.hvqual.steps import fail, hold, matches_model
from provider.hvqual.virt_install import arguments as virt_install_words

# What is known of the image: so many bytes from there on, behind the disk canary.
KNOWN, KNOWN_AT = 262144, 4 * 1024 * 1024


@dataclass(frozen=True)
class Image:
    """The images of a guest before it is imported."""

    known: str
    contents: tuple[str, ...]
    owners: tuple[tuple[int, int, int], ...]


def prepare(guest: Guest, expect: Expect) -> Image:
    """Take the domain away, leave its disks, and put something known on the first one; return what they hold and whose they are."""
    with expect.record.step("prepare the image", guest.name):
        if expect.truth.lookup(guest.name) is not None:
            definition.undefine(guest, expect)
        block = secrets.token_bytes(KNOWN)
        source = Path(guest.place.console_log).with_name(f"{guest.name}.known")
        source.write_bytes(block)
        disk = guest.spec.disks[0]
        process.run(f"qemu-io -f {disk.format} -c 'write -s {source} {KNOWN_AT} {KNOWN}' {disk.path}", timeout=60)
        source.unlink()
        return Image(hashlib.sha256(block).hexdigest(), _contents(guest), _owners(guest))


def define_xml(guest: Guest, expect: Expect) -> None:
    """Define the domain by its XML and start it."""
    with expect.record.step("import by XML", guest.name):
        file = definition.xml_file(guest, domain_xml(guest.spec, guest.image, guest.place), "import")
        expect.act(virsh.define, file)
        expect.defined_as(guest)
        definition.round_trip(guest, expect)
    power.start(guest, expect)


def virt_install(guest: Guest, expect: Expect) -> None:
    """Have virt-install make the domain of the image and start it; it gets our mark at once."""
    with expect.record.step("import by virt-install", guest.name):
        words = ["virt-install", "--connect", expect.uri, *virt_install_words(guest.spec, guest.image, guest.place)]
        called = time.monotonic()
        done = process.run(shlex.join(words), timeout=expect.timeout, ignore_status=True)
        if done.exit_status:
            message = f"virt-install refused to import '{guest.name}': {done.stderr_text.strip()[-600:]}"
            fail(expect.record, "operation-refused", message, guest.name)
        expect.defined_as(guest)
        _mark(guest, expect)
        guest.on = True
        definition.persistent(guest, expect, is_so=True)
        expect.state(guest.name, "running", "booted")
        beat = guest.witness.ready(called, guest.wanted.ready_timeout)
        expect.record.observe("guest_ready", beat.at - called, "s", guest.name)
        expect.one_process(guest)


def _mark(guest: Guest, expect: Expect) -> None:
    """Put our mark into the domain, so that it is known for ours also without the undo log."""
    element = f"<owner campaign='{guest.place.owner}' pid='{os.getpid()}'/>"
    flags = libvirt.VIR_DOMAIN_AFFECT_LIVE | libvirt.VIR_DOMAIN_AFFECT_CONFIG
    domain = expect.truth.lookup(guest.name)
    domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, element, "hvqual", marks.METADATA_URI, flags)


METHODS: dict[str, Callable[[Guest, Expect], None]] = {"define_xml": define_xml, "virt_install": virt_install}


def methods(wanted: Sequence[str], record: Record) -> tuple[str, ...]:
    """Return the ways of importing that this node can; TestError for one that nobody knows, a cancel when none is left."""
    wrong = [name for name in wanted if name not in METHODS]
    if wrong or not wanted:
        message = (
            f"hv_import_methods: '{' '.join(wrong) or 'nothing'}' is no way to import; known are {' '.join(METHODS)}."
        )
        raise TestError(message)
    there = shutil.which("virt-install")
    record.capability("virt-install", there or "it is not installed (package virtinst)", ok=bool(there))
    able = tuple(name for name in wanted if name != "virt_install" or there)
    capability.require("import of an image", f"by {' '.join(able) or 'nothing'}", record, ok=bool(able))
    return able


def turns(names: Sequence[str], able: Sequence[str]) -> list[dict[str, str]]:
    """Return for each round which guest is imported how: every method is used, by several guests in turn."""
    rounds = -(-len(able) // len(names))
    return [{name: able[(place + number) % len(able)] for place, name in enumerate(names)} for number in range(rounds)]


def imported(guest: Guest, expect: Expect, by: Mapping[str, str]) -> None:
    """
    Import the guest by the method that *by* has for it, run it, and forget the domain again.

    Observed (bool): image_unwritten, image_as_known, address_as_leased, guest_matches, and when it is off owner_as_before.
    """
    method = by[guest.name]
    image = prepare(guest, expect)
    with domain_guard(expect.uri, guest.name, uuid=guest.spec.uuid):
        METHODS[method](guest, expect)
        _as_imported(guest, expect, image)
        guest.witness.arm()
        with guest.witness.watching():
            hold(guest, expect.record)
        power.destroy(guest, expect)
        expect.record.observe("owner_as_before", _owners(guest) == image.owners, "bool", guest.name)


def _as_imported(guest: Guest, expect: Expect, image: Image) -> None:
    """Hold the running guest, which has not written yet, against the image and the model."""
    observe, vm = expect.record.observe, guest.name
    with expect.record.step("look at the imported", vm):
        skip, count = KNOWN_AT // 65536, KNOWN // 65536
        seen = guest.ask(f"dd if=/dev/vda bs=65536 skip={skip} count={count} iflag=direct 2>/dev/null | sha256sum")
        observe("image_as_known", seen.split()[0] == image.known, "bool", vm)
        observe("image_unwritten", _contents(guest) == image.contents, "bool", vm)
        addresses = _addresses(guest)
        observe("address_as_leased", bool(addresses) and addresses <= _leases(guest, expect), "bool", vm)
        matches_model(guest, expect.record)


def _contents(guest: Guest) -> tuple[str, ...]:
    """Return a digest of each disk's file: where it has data, and what."""
    return tuple(content(Path(disk.path)) for disk in guest.spec.disks)


def content(path: Path) -> str:
    """Return a digest of the file's data and their places, holes left out: a sparse file of any size takes no longer than its data."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        size, at = path.stat().st_size, 0
        while at < size:
            try:
                at = os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError:
                break  # nothing but a hole to the end
            end = os.lseek(file.fileno(), at, os.SEEK_HOLE)
            digest.update(f"{at}-{end}:".encode())
            os.lseek(file.fileno(), at, os.SEEK_SET)
            while at < end:
                part = os.read(file.fileno(), min(1 << 20, end - at))
                digest.update(part)
                at += len(part)
    return digest.hexdigest()


def _owners(guest: Guest) -> tuple[tuple[int, int, int], ...]:
    states = [Path(disk.path).stat() for disk in guest.spec.disks]
    return tuple((state.st_uid, state.st_gid, state.st_mode) for state in states)


def _addresses(guest: Guest) -> set[tuple[str, str]]:
    """Return (MAC, IPv4) of each network interface that has an address, by the guest's word."""
    nics = [nic.split(":", 1)[1].rsplit(":", 1) for nic in guest.witness.report()["nics"].split() if ":" in nic]
    return {(mac.lower(), address) for mac, address in nics if address != "none"}


def _leases(guest: Guest, expect: Expect) -> set[tuple[str, str]]:
    """Return (MAC, IPv4) of what libvirt's network gave to the guest's MAC addresses."""
    network = expect.truth.connection.networkLookupByName(guest.place.network)
    given = {(str(lease["mac"]).lower(), str(lease["ipaddr"])) for lease in network.DHCPLeases()}
    return {(mac, address) for mac, address in given if mac in guest.spec.macs}
