# SPDX-License-Identifier: GPL-2.0-or-later
"""
Warm guests: what a boot ends in, kept as save files, so that a case that is not about booting need not boot (decision 16).

The files lie below the images' home, by a key of everything that they depend on: shapes, image, QEMU, libvirt, network.
They serve a lab; on a production node every case boots its guests. No domain lives between two cases, only files do.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Callable
from xml.etree import ElementTree as ET

from avocado.core.exceptions import TestBaseException, TestError, TestFail

import libvirt
from provider.hvqual import marks, together, warm_room
from provider.hvqual.heartbeat import NETWORK, SERIAL
from provider.hvqual.operations import power
from provider.hvqual.wait import WaitTimeoutError, until

if TYPE_CHECKING:
    from provider.hvqual.guests import Guest
    from provider.hvqual.host_config import Shape
    from provider.hvqual.params import Guests
    from provider.hvqual.stand import Stand

READY = 30.0
FORMAT = 4


class WarmError(Exception):
    """Raised when guests cannot go on from their save files; the message says why."""


class Warm:
    """The save files of the guests of one stand."""

    def __init__(self, key: str) -> None:
        """Use the files of *key* (see `key_of`)."""
        self.home = marks.home() / "images" / "warm"
        self.folder = self.home / key
        self.stem = f"{marks.PREFIX}w{key[:8]}"

    def bring_up(self, stand: Stand, then: Callable[[Guest], None]) -> str:
        """
        Have the guests of *stand* running from their save files, made now when there are none; return which it was.

        *then* is done with each guest as soon as it is there. New files take the room of those that were not used for longest
        (`warm_room`).
        """
        with warm_room.held(self.folder):
            made = not all(self._file(guest).is_file() for guest in stand.guests)
            if made:
                self._make(stand)
            self._go_on(stand, then)
        if made:
            warm_room.bound(self.home)
        return "booted, saved and restored" if made else "restored"

    def _go_on(self, stand: Stand, then: Callable[[Guest], None]) -> None:
        """Restore the guests and do *then* with each that is there: a login is half waiting, in which another guest is restored."""
        since = time.monotonic()
        reasons: list[str] = []

        def up(guest: Guest) -> None:
            try:
                self._restore(guest, stand)
                _spoke(guest, stand, since)
            except (libvirt.libvirtError, WaitTimeoutError, TestError, TestFail) as error:
                reasons.append(f"'{guest.name}' does not go on from its save file: {error}")
                return
            then(guest)

        try:
            together.each(stand.guests, up)
        except TestBaseException:
            if not reasons and _apart(stand, since):
                raise
        if reasons or not _apart(stand, since):
            raise WarmError("; ".join(reasons) or "Two of the restored guests have one address.")

    def forget(self) -> None:
        """Remove the save files: they are made anew by the next case that wants them."""
        for file in self.folder.glob("*.save*"):
            file.unlink()

    def _file(self, guest: Guest) -> Path:
        return self.folder / f"{guest.name}.save"

    def _make(self, stand: Stand) -> None:
        """Boot the guests and save them; a file gets its name when it is whole."""
        since = time.monotonic()
        stand.each(power.start)
        try:
            together.each(stand.guests, lambda guest: _spoke(guest, stand, since))
            # Saved before its agent had connected a guest is without one for ever: seen with libvirt 9.0.
            until(lambda: all(stand.truth.agent_connected(guest.name) for guest in stand.guests), READY, "their agents")
            together.each(stand.guests, lambda guest: self._save(guest, stand))
        except (libvirt.libvirtError, WaitTimeoutError, OSError) as error:
            message = f"the guests could not be saved: {error}"
            raise WarmError(message) from None

    def _save(self, guest: Guest, stand: Stand) -> None:
        fresh = self._file(guest).with_suffix(".save.new")
        guest.hang_up()
        guest.on = False
        stand.truth.lookup(guest.name).save(str(fresh))
        fresh.replace(self._file(guest))

    def _restore(self, guest: Guest, stand: Stand) -> None:
        """Let the guest go on; through libvirt-python, as this is no step of the use case."""
        connection, file = stand.truth.connection, str(self._file(guest))
        since = time.monotonic()
        defined = stand.truth.xml(guest.name, inactive=True)
        connection.restoreFlags(file, _xml(connection.saveImageGetXMLDesc(file, 0), defined, guest), 0)
        guest.on = True
        until(lambda: stand.observer.beats(guest.name, SERIAL, since), READY, f"a heartbeat of '{guest.name}'")


def key_of(shapes: Sequence[Shape], wanted: Guests, facts: Sequence[str]) -> str:
    """Return the key of the save files: a digest of all that a saved guest depends on; not where on its host it runs."""
    given = {
        "format": FORMAT,
        "shapes": [repr(_anywhere(shape)) for shape in shapes],
        "guests": [wanted.disk_format, wanted.disk_folder, wanted.network, wanted.qemu_binary, wanted.witness_port],
        "facts": list(facts),
    }
    return hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()[:16]


def _anywhere(shape: Shape) -> Shape:
    """Return the shape of a guest of which nothing is said where its threads run."""
    return replace(shape, pins=(), tuning=replace(shape.tuning, emulator_cpus=(), vcpu_cpus=()))


def _heard(guest: Guest, stand: Stand, since: float) -> str:
    """Return from which address the guest was heard over the network after *since*, "" before it was."""
    beats = stand.observer.beats(guest.name, NETWORK, since)
    return beats[-1].address if beats else ""


def _spoke(guest: Guest, stand: Stand, since: float) -> None:
    until(lambda: _heard(guest, stand, since), READY, f"a heartbeat of '{guest.name}' over the network")


def _apart(stand: Stand, since: float) -> bool:
    """Whether each guest that was heard after *since* has an address of its own."""
    heard = [address for guest in stand.guests if (address := _heard(guest, stand, since))]
    return len(heard) == len(set(heard))


def _xml(saved: str, defined: ET.Element, guest: Guest) -> str:
    """Return the XML of a saved guest with what is this case's: its console's log, its mark, and where it runs by its definition."""
    tree = ET.fromstring(saved)  # noqa: S314 - from libvirtd
    for log in tree.iter("log"):
        log.set("file", guest.place.console_log)
    metadata = tree.find("metadata")
    if metadata is not None:
        metadata.clear()
        metadata.append(ET.fromstring(marks.owner_element(guest.place.owner, os.getpid())))  # noqa: S314 - our own
    _placed(tree, defined)
    return ET.tostring(tree, encoding="unicode")


def _placed(tree: ET.Element, defined: ET.Element) -> None:
    """Give *tree* the host CPUs of the definition: of vCPUs, emulator and IOThreads (cputune), and of vCPUs that are not named there."""
    for pins in tree.findall("cputune"):
        tree.remove(pins)
    tree.extend(defined.findall("cputune"))
    for vcpu, own in zip(tree.findall("vcpu"), defined.findall("vcpu")):
        vcpu.attrib.pop("cpuset", None)
        vcpu.attrib.update({name: value for name, value in own.attrib.items() if name == "cpuset"})
