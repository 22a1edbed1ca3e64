# SPDX-License-Identifier: GPL-2.0-or-later
"""
Heartbeats of guests, stamped on receipt outside the guests (decision 12: a guest's clock stops with the guest).

Each guest sends a line each 0.1 s on two independent channels: a virtio-serial port (the guest runs) and UDP to its
default gateway (the guest's network works). A line is ``HB<channel> <vm> <boot_id> <seq> <uptime in centiseconds>``.
"""

from __future__ import annotations

import contextlib
import errno
import re
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

PORT_NAME = "org.avocado-hvqual.witness.0"
SERIAL, NETWORK = "HB1", "HB2"
LINE = re.compile(rb"(HB[12]) (\S{1,64}) ([0-9a-f-]{36}) (\d{1,18}) (\d{1,18})")
RECONNECT = 0.02
LONGEST = 65536
# The observer looks at least each RECONNECT seconds; what it took longer for by this much (s) is kept.
_LATE = 0.1


@dataclass(frozen=True)
class Beat:
    """One heartbeat: when it was received (monotonic seconds of this host), and what the guest said of itself."""

    at: float
    boot_id: str
    seq: int
    uptime: float
    address: str = ""


@dataclass
class Heard:
    """All beats of one VM by channel, and the unix socket of its serial channel."""

    path: str
    beats: dict[str, list[Beat]] = field(default_factory=lambda: {SERIAL: [], NETWORK: []})
    socket: Optional[socket.socket] = None
    rest: bytes = b""


class Observer:
    """One thread that listens to every guest of a test; a with-block, at whose end nothing listens any more."""

    def __init__(self, address: str, port: int) -> None:
        """Listen for UDP on *address* (the host's end of the guests' network) and *port*."""
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.settimeout(0)
        self._udp.bind((address, port))
        self._vms: dict[str, Heard] = {}
        self._names: dict[str, str] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._udp, selectors.EVENT_READ)
        self._error: Optional[BaseException] = None
        self._absences: list[tuple[float, float]] = []
        self._thread = threading.Thread(target=self._run, name="hvqual-observer", daemon=True)

    def __enter__(self) -> Observer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)
        for heard in self._vms.values():
            self._hang_up(heard)
        self._selector.close()
        self._udp.close()

    def watch(self, vm: str, path: str) -> None:
        """Hear the serial channel of *vm* at the unix socket *path* from now on, whenever it is there."""
        with self._lock:
            self._vms[vm] = Heard(path)

    def known_as(self, name: str, vm: str) -> None:
        """Take beats on the network that carry *name* for those of *vm*: a guest of its own boot loader was told no name by the host."""
        with self._lock:
            self._names[name] = vm

    def beats(self, vm: str, channel: str, since: float = 0.0) -> list[Beat]:
        """Return the beats of *vm* on *channel* received after *since*; RuntimeError when the observer itself is dead."""
        if self._error or not self._thread.is_alive():
            message = f"The observer of heartbeats is dead ({self._error}); nothing can be said of '{vm}'."
            raise RuntimeError(message)
        with self._lock:
            return [beat for beat in self._vms[vm].beats[channel] if beat.at > since]

    def address(self, vm: str) -> str:
        """
        Return the address from which the present boot of *vm* speaks, "" before it does: the boot heard last on the serial channel.

        A guest that was started anew may be given another address than before (seen with dnsmasq 2.89 that had lost its leases), and until
        it has one its newest beats on the network are those of the boot before.
        """
        boots = {beat.boot_id for beat in self.beats(vm, SERIAL)[-1:]}
        heard = [beat.address for beat in self.beats(vm, NETWORK) if not boots or beat.boot_id in boots]
        return heard[-1] if heard else ""

    def absence(self, start: float, end: float) -> float:
        """
        Return the longest time (s) between *start* and *end* (monotonic) in which the observer itself did not look; 0 when it always did.

        A silence of the guests in it says more of the host, or of the test, than of the guests.
        """
        with self._lock:
            return max(
                (min(back, end) - max(gone, start) for gone, back in self._absences if gone < end and back > start),
                default=0.0,
            )

    def _run(self) -> None:
        looked = time.monotonic()
        try:
            while not self._stop.is_set():
                gone, looked = looked, time.monotonic()
                if looked - gone > _LATE:
                    with self._lock:
                        self._absences.append((gone, looked))
                self._connect()
                for key, _ in self._selector.select(RECONNECT):
                    if key.fileobj is self._udp:
                        self._hear_udp()
                    else:
                        self._hear_serial(self._vms[key.data])
        except Exception as error:  # noqa: BLE001 - a dead observer must be told by `beats`, not by a silent thread
            self._error = error

    def _connect(self) -> None:
        with self._lock:
            waiting = [(vm, heard) for vm, heard in self._vms.items() if heard.socket is None]
        for vm, heard in waiting:
            channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            channel.settimeout(0)
            if channel.connect_ex(heard.path):
                channel.close()
                continue
            heard.socket, heard.rest = channel, b""
            self._selector.register(channel, selectors.EVENT_READ, vm)

    def _hang_up(self, heard: Heard) -> None:
        if heard.socket is not None:
            with contextlib.suppress(KeyError):
                self._selector.unregister(heard.socket)
            heard.socket.close()
            heard.socket = None

    def _hear_udp(self) -> None:
        for data, (address, _) in self._datagrams():
            self._store(data, NETWORK, address)

    def _datagrams(self) -> Iterator[tuple[bytes, tuple[str, int]]]:
        while True:
            try:
                yield self._udp.recvfrom(LONGEST)
            except OSError as error:
                if error.errno in (errno.EAGAIN, errno.EWOULDBLOCK):
                    return
                raise

    def _hear_serial(self, heard: Heard) -> None:
        try:
            data = heard.socket.recv(LONGEST) if heard.socket else b""
        except OSError:
            data = b""
        if not data:
            self._hang_up(heard)
            return
        *lines, heard.rest = (heard.rest + data)[-LONGEST:].split(b"\n")
        for line in lines:
            self._store(line, SERIAL, "", heard)

    def _store(self, line: bytes, channel: str, address: str, owner: Optional[Heard] = None) -> None:
        """Keep *line* if it is a heartbeat; on a serial channel only its owner's beats count, whatever name they carry."""
        found = LINE.search(line)
        if not found or found[1].decode() != channel:
            return
        with self._lock:
            name = found[2].decode(errors="replace")
            heard = owner or self._vms.get(self._names.get(name, name))
            if heard:
                beat = Beat(time.monotonic(), found[3].decode(), int(found[4]), int(found[5]) / 100, address)
                heard.beats[channel].append(beat)


def free_socket_path(folder: str, vm: str) -> str:
    """Return a path for the serial channel of *vm*; unix socket names are limited to 107 bytes."""
    path = str(Path(folder) / f"{vm}.hb")
    if len(path.encode()) > 107:  # noqa: PLR2004 - sizeof(sockaddr_un.sun_path) - 1
        message = f"The socket path '{path}' is longer than the 107 bytes that Linux allows; use a shorter folder."
        raise ValueError(message)
    return path
