# SPDX-License-Identifier: GPL-2.0-or-later
"""What libvirt says of a domain through libvirt-python: state with reason, XML, events in order."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

from avocado.core.exceptions import TestError

import libvirt
from provider.hvqual import marks

STATES = {
    "running": (libvirt.VIR_DOMAIN_RUNNING, "VIR_DOMAIN_RUNNING_"),
    "paused": (libvirt.VIR_DOMAIN_PAUSED, "VIR_DOMAIN_PAUSED_"),
    "shutdown": (libvirt.VIR_DOMAIN_SHUTDOWN, "VIR_DOMAIN_SHUTDOWN_"),
    "shut off": (libvirt.VIR_DOMAIN_SHUTOFF, "VIR_DOMAIN_SHUTOFF_"),
    "crashed": (libvirt.VIR_DOMAIN_CRASHED, "VIR_DOMAIN_CRASHED_"),
    "pmsuspended": (libvirt.VIR_DOMAIN_PMSUSPENDED, "VIR_DOMAIN_PMSUSPENDED_"),
}
REBOOTED = "Rebooted"
# What libvirt tells by events of their own; the detail is the alias of a device, for a size with what it is now (KiB) behind it.
ADDED, REMOVED, REMOVAL_FAILED = "Device added", "Device removed", "Device removal failed"
BALLOONED, RESIZED = "Balloon changed", "Memory device resized"
AGENT_CHANNEL = "org.qemu.guest_agent.0"
EVENTS = ("Defined", "Undefined", "Started", "Suspended", "Resumed", "Stopped", "Shutdown", "PMSuspended", "Crashed")


def _names(prefix: str) -> dict[int, str]:
    """Return the names of libvirt's constants with *prefix* by their number."""
    return {value: name[len(prefix) :].lower() for name, value in vars(libvirt).items() if name.startswith(prefix)}


@dataclass(frozen=True)
class Event:
    """One lifecycle event of a domain: when it was received (monotonic seconds), and e.g. 'Started', 'booted'."""

    at: float
    domain: str
    event: str
    detail: str


class Libvirt:
    """A connection to the node's libvirtd that hears its events; a with-block."""

    _loop_ready = False

    def __init__(self, uri: str) -> None:
        """Connect to *uri*; TestError with the command that mends it when libvirtd does not answer."""
        if not Libvirt._loop_ready:
            libvirt.virEventRegisterDefaultImpl()
            libvirt.registerErrorHandler(lambda *_: None, None)
            Libvirt._loop_ready = True
        self.uri = uri
        self.connection = self._open()
        self._events: list[Event] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="hvqual-events", daemon=True)

    def __enter__(self) -> Libvirt:
        self._timer = libvirt.virEventAddTimeout(100, lambda *_: None, None)
        self._listen()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(5)
        libvirt.virEventRemoveTimeout(self._timer)
        try:
            for number in self._ids:
                self.connection.domainEventDeregisterAny(number)
            self.connection.close()
        except libvirt.libvirtError as error:
            # libvirtd may have died under the test; the cases that need it have already said so.
            self.lost = str(error)

    def reconnect(self) -> None:
        """Connect anew after libvirtd was restarted; what happened while there was no connection was heard by nobody."""
        with contextlib.suppress(libvirt.libvirtError):
            self.connection.close()
        self.connection = self._open()
        self._listen()

    def _open(self) -> Any:
        try:
            return libvirt.open(self.uri)
        except libvirt.libvirtError as error:
            message = f"libvirtd does not answer at '{self.uri}': {error}. Start it: systemctl start libvirtd"
            raise TestError(message) from None

    def _listen(self) -> None:
        listen = self.connection.domainEventRegisterAny
        self._ids = [
            listen(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self._keep, None),
            listen(None, libvirt.VIR_DOMAIN_EVENT_ID_REBOOT, self._keep_reboot, None),
            listen(None, libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, self._keep_device, ADDED),
            listen(None, libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, self._keep_device, REMOVED),
            listen(None, libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED, self._keep_device, REMOVAL_FAILED),
            listen(None, libvirt.VIR_DOMAIN_EVENT_ID_BALLOON_CHANGE, self._keep_device, BALLOONED),
            listen(None, libvirt.VIR_DOMAIN_EVENT_ID_MEMORY_DEVICE_SIZE_CHANGE, self._keep_size, RESIZED),
        ]

    def ours(self, domain: Any) -> bool:
        """Whether the domain carries our mark."""
        return marks.owner_in(domain.XMLDesc(0)) is not None

    def state(self, name: str) -> tuple[str, str]:
        """Return state and reason of the domain, for instance ('running', 'booted'); ('absent', '') when there is none."""
        domain = self.lookup(name)
        if domain is None:
            return "absent", ""
        number, reason = domain.state()
        for state, (value, prefix) in STATES.items():
            if value == number:
                return state, _names(prefix).get(reason, f"reason {reason}")
        return f"state {number}", f"reason {reason}"

    def lookup(self, name: str) -> Any:
        """Return the domain object of libvirt-python, None when libvirtd knows no such domain."""
        try:
            return self.connection.lookupByName(name)
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                return None
            raise

    def xml(self, name: str, *, inactive: bool = False) -> ET.Element:
        """Return the live XML of the domain, or the one of its next start."""
        return ET.fromstring(self.text(name, inactive=inactive))  # noqa: S314 - from libvirtd

    def text(self, name: str, *, inactive: bool = False) -> str:
        """Return the same as libvirt writes it."""
        flags = libvirt.VIR_DOMAIN_XML_INACTIVE if inactive else 0
        return str(self.connection.lookupByName(name).XMLDesc(flags))

    def agent_connected(self, name: str) -> bool:
        """Return whether a guest agent holds its end of the domain's agent channel open, by the live XML."""
        targets = self.xml(name).iterfind(f"devices/channel/target[@name='{AGENT_CHANNEL}']")
        return any(target.get("state") == "connected" for target in targets)

    def events(self, name: str, since: float = 0.0) -> list[Event]:
        """Return the lifecycle events of the domain received after *since*, in order."""
        with self._lock:
            return [event for event in self._events if event.domain == name and event.at > since]

    def network_address(self, name: str) -> str:
        """Return the host's own address in the virtual network *name*; TestError with the mend when it is not active."""
        try:
            network = self.connection.networkLookupByName(name)
            active = network.isActive()
        except libvirt.libvirtError as error:
            message = f"libvirt has no network '{name}': {error}. Define and start it (virsh net-define, net-start)."
            raise TestError(message) from None
        address = ET.fromstring(network.XMLDesc()).find("ip")  # noqa: S314 - from libvirtd
        if not active or address is None:
            message = (
                f"The network '{name}' is {'without an address' if active else 'not active'}: virsh net-start {name}"
            )
            raise TestError(message)
        return str(address.get("address"))

    def gateway(self, network: str) -> str:
        """Return the MAC address of the host's end of the virtual network ('' when libvirt tells none): guests remember it."""
        mac = ET.fromstring(self.connection.networkLookupByName(network).XMLDesc()).find("mac")  # noqa: S314 - from libvirtd
        return "" if mac is None else str(mac.get("address"))

    def bridge(self, network: str) -> str:
        """Return the bridge of the virtual network."""
        return str(self.connection.networkLookupByName(network).bridgeName())

    def _loop(self) -> None:
        while not self._stop.is_set():
            libvirt.virEventRunDefaultImpl()

    def _keep_reboot(self, _conn: Any, domain: Any, _opaque: Any) -> None:
        """Keep a reboot, of which libvirt tells by an event of its own: the domain and its process go on."""
        with self._lock:
            self._events.append(Event(time.monotonic(), domain.name(), REBOOTED, "guest"))

    def _keep_device(self, _conn: Any, domain: Any, what: Any, event: str) -> None:
        """Keep what happened to the device with the alias *what*, or what the balloon leaves the guest (KiB)."""
        with self._lock:
            self._events.append(Event(time.monotonic(), domain.name(), event, str(what)))

    def _keep_size(self, conn: Any, domain: Any, alias: str, size: int, event: str) -> None:
        """Keep the size (KiB) that a memory device has now."""
        self._keep_device(conn, domain, f"{alias} {size}", event)

    def _keep(self, _conn: Any, domain: Any, event: int, detail: int, _opaque: Any) -> None:
        at = time.monotonic()
        kind = EVENTS[event] if event < len(EVENTS) else f"event {event}"
        names = _names(f"VIR_DOMAIN_EVENT_{kind.upper()}_")
        with self._lock:
            self._events.append(Event(at, domain.name(), kind, names.get(detail, f"detail {detail}")))
