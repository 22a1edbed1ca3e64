# SPDX-License-Identifier: GPL-2.0-or-later
"""
A QEMU that tells of a vCPU that went, for builds that forget to: a program that libvirt runs in the place of QEMU.

Without KVM, QEMU 7.2 to 11.1 keep a reference to an unplugged vCPU of x86, so its DEVICE_DELETED is never sent and libvirt waits in vain.
Here that one event is put into the stream of the monitor once the guest has let the vCPU go, to show that what fails on such a build passes
on one that tells. All else is QEMU's own. Use: a wrapper that runs `mended_qemu.py QEMU`, named by `avocado hvqual lab up --qemu`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import selectors
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

MONITOR = re.compile(r"socket,id=charmonitor,fd=(\d+),")
PIECE, MOST_FDS = 65536, 16
EJECTED = (3, 0x103)


def mended(line: bytes) -> bytes:
    """Return *line* of the monitor, followed by the event that is missing when it tells that a vCPU was let go."""
    if b"ACPI_DEVICE_OST" not in line:
        return line
    event = json.loads(line)
    info = event.get("data", {}).get("info", {})
    if (info.get("slot-type"), info.get("status"), info.get("source") in EJECTED) != ("CPU", 0, True):
        return line
    device = f"vcpu{info['slot']}"
    data = {"device": device, "path": f"/machine/peripheral/{device}"}
    told = {"timestamp": event["timestamp"], "event": "DEVICE_DELETED", "data": data}
    return line + json.dumps(told).encode() + b"\r\n"


def pump(libvirt: socket.socket, qemu: socket.socket) -> None:
    """Pass on what each says to the other, descriptors too, until one has ended."""
    waiting = selectors.DefaultSelector()
    waiting.register(libvirt, selectors.EVENT_READ)
    waiting.register(qemu, selectors.EVENT_READ)
    left = b""
    while True:
        for key, _ in waiting.select():
            source = key.fileobj
            data, fds, _, _ = socket.recv_fds(source, PIECE, MOST_FDS)
            if not data:
                return
            if source is libvirt:
                socket.send_fds(qemu, [data], fds)
                for number in fds:
                    os.close(number)
                continue
            *lines, left = (left + data).split(b"\n")
            libvirt.sendall(b"".join(mended(line + b"\n") for line in lines))


def between(listening: int, path: str) -> None:
    """Be between libvirt, which connects to the socket *listening*, and QEMU, which listens at *path*."""
    with socket.socket(fileno=listening) as door:
        libvirt, _ = door.accept()
    qemu = socket.socket(socket.AF_UNIX)
    qemu.connect(path)
    Path(path).unlink()
    Path(path).parent.rmdir()
    with contextlib.suppress(OSError):
        pump(libvirt, qemu)


def main() -> None:
    """Become QEMU, with a helper between its monitor and libvirt where there is such a monitor."""
    if sys.argv[1] == "--between":
        between(int(sys.argv[2]), sys.argv[3])
        return
    qemu, *argv = sys.argv[1:]
    for place, word in enumerate(argv):
        found = MONITOR.match(word)
        if not found:
            continue
        asked = int(found[1])
        path = f"{tempfile.mkdtemp(prefix='hvq-monitor-')}/socket"
        own = socket.socket(socket.AF_UNIX)
        own.bind(path)
        own.listen(1)
        os.set_inheritable(own.fileno(), True)
        argv[place] = word.replace(f"fd={asked},", f"fd={own.fileno()},")
        # Of QEMU's descriptors the helper has but the one: it must not hold a disk or a tap of a guest that has ended.
        subprocess.Popen([sys.executable, __file__, "--between", str(asked), path], pass_fds=[asked])
        os.close(asked)
    os.execv(qemu, [qemu, *argv])  # noqa: S606 - this process is to be QEMU, under the same pid


if __name__ == "__main__":
    main()
