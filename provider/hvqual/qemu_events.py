# SPDX-License-Identifier: GPL-2.0-or-later
"""What QEMU itself told meanwhile, heard through libvirt: its own events, of which libvirt makes something else or nothing."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import libvirt_qemu  # type: ignore[import-untyped]

import libvirt
from provider.hvqual.libvirt_truth import Libvirt

DELETED, CONFIRMED = "DEVICE_DELETED", "ACPI_DEVICE_OST"


@dataclass(frozen=True)
class QemuEvent:
    """One event of a QEMU: when it was heard (monotonic seconds), its name, and what it says."""

    at: float
    name: str
    data: dict[str, Any]


class Heard:
    """The events of one QEMU since it was first listened to."""

    def __init__(self) -> None:
        """Nothing was heard yet."""
        self._events: list[QemuEvent] = []
        self._lock = threading.Lock()

    def keep(self, name: str, data: dict[str, Any]) -> None:
        """Keep an event that came now."""
        with self._lock:
            self._events.append(QemuEvent(time.monotonic(), name, data))

    def of(self, name: str) -> list[QemuEvent]:
        """Return the events called *name*."""
        with self._lock:
            return [event for event in self._events if event.name == name]

    def text(self) -> str:
        """Return all events, a line each."""
        with self._lock:
            return "".join(f"{event.at:.3f} {event.name} {json.dumps(event.data)}\n" for event in self._events)


@contextmanager
def heard(truth: Libvirt, name: str) -> Iterator[Heard]:
    """
    Hear the events of the domain's QEMU for the length of the block, over a connection of their own.

    Of several domains that are listened to over one connection, libvirt's client asks its daemon for the first one only (seen with
    9.0), and of the others nothing is ever heard; all domains can be listened to once a connection.
    """
    found, connection = Heard(), libvirt.open(truth.uri)

    def keep(_conn: Any, _domain: Any, event: str, _s: int, _us: int, details: str, _opaque: Any) -> None:
        found.keep(event, json.loads(details) if details else {})

    try:
        domain = connection.lookupByUUID(truth.lookup(name).UUID())
        number = libvirt_qemu.qemuMonitorEventRegister(connection, domain, None, keep, None)
        try:
            yield found
        finally:
            # A libvirtd that died meanwhile has forgotten who listens.
            with suppress(libvirt.libvirtError):
                libvirt_qemu.qemuMonitorEventDeregister(connection, number)
    finally:
        with suppress(libvirt.libvirtError):
            connection.close()


def asked(truth: Libvirt, name: str, command: str) -> Any:
    """Return what the domain's QEMU answers to the *command* of its monitor, by way of libvirt."""
    text = libvirt_qemu.qemuMonitorCommand(truth.lookup(name), json.dumps({"execute": command}), 0)
    return json.loads(text)["return"]
