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
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from avocado.core.exceptions import TestError, TestFail

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

    def bring_up(self, stand: Stand) -> str:
        """
        Have the guests of *stand* running from their save files, made now when there are none; return which it was.

        New ones take the room of those that were not used for longest (`warm_room`).
        """
        with warm_room.held(self.folder):
            told, made = self._bring_up(stand)
        if made:
            warm_room.bound(self.home)
        return told

    def _bring_up(self, stand: Stand) -> tuple[str, bool]:
        made = not all(self._file(guest).is_file() for guest in stand.guests)
        if made:
            self._make(stand)
        since = time.monotonic()
        try:
            together.each(stand.guests, lambda guest: self._restore(guest, stand))
            _heard(stand, since)
        except (libvirt.libvirtError, TestError) as error:
            message = f"libvirt does not take the save files: {error}"
            raise WarmError(message) from None
        except (WaitTimeoutError, TestFail) as error:
            message = f"the restored guests are not all there: {error}"
            raise WarmError(message) from None
        return "booted, saved and restored" if made else "restored", made

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
            _heard(stand, since)
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
        connection.restoreFlags(file, _xml(connection.saveImageGetXMLDesc(file, 0), guest), 0)
        guest.on = True
        until(lambda: stand.observer.beats(guest.name, SERIAL, since), READY, f"a heartbeat of '{guest.name}'")


def key_of(shapes: Sequence[Shape], wanted: Guests, facts: Sequence[str]) -> str:
    """Return the key of the save files: a digest of all that a saved guest depends on."""
    given = {
        "format": FORMAT,
        "shapes": [repr(shape) for shape in shapes],
        "guests": [wanted.disk_format, wanted.disk_folder, wanted.network, wanted.qemu_binary, wanted.witness_port],
        "facts": list(facts),
    }
    return hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()[:16]


def _heard(stand: Stand, since: float) -> None:
    """Wait until every guest was heard over the network after *since*, each from an address of its own."""

    def all_there() -> bool:
        heard = [stand.observer.beats(guest.name, NETWORK, since) for guest in stand.guests]
        addresses = [beats[-1].address for beats in heard if beats]
        return len(addresses) == len(stand.guests) == len(set(addresses))

    until(all_there, READY, "a network heartbeat of each guest from an address of its own")


def _xml(saved: str, guest: Guest) -> str:
    """Return the XML of a saved guest with the files of this case: its console's log and its mark."""
    tree = ET.fromstring(saved)  # noqa: S314 - from libvirtd
    for log in tree.iter("log"):
        log.set("file", guest.place.console_log)
    metadata = tree.find("metadata")
    if metadata is not None:
        metadata.clear()
        metadata.append(ET.fromstring(marks.owner_element(guest.place.owner, os.getpid())))  # noqa: S314 - our own
    return ET.tostring(tree, encoding="unicode")
