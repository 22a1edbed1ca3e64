# SPDX-License-Identifier: GPL-2.0-or-later
"""
Start 24 micro guests at once on this machine, without libvirt, and say how many came up and when.

``python benchmarks/boot_24.py [--guests 24] [--accelerator tcg]``. The status is 0 only when each guest sent heartbeats and reached its
login prompt. Needs the micro image ('avocado hvqual image build micro'), some 300 MiB of memory a guest, and no network: guests stand on
QEMU's own user network, which is closed to the outside.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import re
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HOME = Path(os.environ.get("AVOCADO_HVQUAL_HOME") or "/var/lib/avocado-hvqual")
BEAT = re.compile(rb"^HB1 (\S+) (\S+) (\d+) (\d+)$", re.MULTILINE)


@dataclasses.dataclass
class Guest:
    """One QEMU: when its login prompt and its first heartbeat came, in seconds after the first start."""

    name: str
    process: subprocess.Popen[bytes]
    beats: socket.socket
    console: bytes = b""
    said: bytes = b""
    login: float | None = None
    first_beat: float | None = None

    @property
    def up(self) -> bool:
        """Whether it came up by both signs."""
        return self.login is not None and self.first_beat is not None


def start(name: str, image: Path, folder: Path, accelerator: str) -> Guest:
    """Start one guest with its heartbeat channel connected to us."""
    manifest = json.loads((image / "manifest.json").read_text(encoding="utf-8"))
    ours, theirs = socket.socketpair()
    line = [
        "qemu-system-x86_64",
        "-machine",
        "q35",
        "-accel",
        accelerator,
        "-m",
        str(manifest["min_memory_kib"] // 1024),
    ]
    line += ["-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio", "-device", "virtio-rng-pci"]
    line += ["-kernel", str(image / manifest["kernel"]), "-initrd", str(image / manifest["initrd"])]
    line += [
        "-append",
        f"{manifest['cmdline']} hv.vm={name}",
        "-netdev",
        "user,id=n,restrict=on",
        "-device",
        "virtio-net-pci,netdev=n",
    ]
    line += ["-device", "virtio-serial-pci", "-chardev", f"socket,id=w,fd={theirs.fileno()}"]
    line += ["-device", "virtserialport,chardev=w,name=org.avocado-hvqual.witness.0"]
    with (folder / f"{name}.err").open("wb") as errors:
        process = subprocess.Popen(
            line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, pass_fds=[theirs.fileno()]
        )
    theirs.close()
    return Guest(name, process, ours)


def watch(guests: list[Guest], began: float, timeout: float) -> None:
    """Read all consoles and heartbeats until every guest is up or *timeout* seconds are over."""
    selector = selectors.DefaultSelector()
    for guest in guests:
        if guest.process.stdout is not None:
            selector.register(guest.process.stdout, selectors.EVENT_READ, (guest, "console"))
        selector.register(guest.beats, selectors.EVENT_READ, (guest, "said"))
    while not all(guest.up for guest in guests) and time.monotonic() - began < timeout:
        for key, _events in selector.select(0.5):
            guest, channel = key.data
            data = os.read(key.fd, 65536)
            if not data:
                selector.unregister(key.fileobj)
                continue
            setattr(guest, channel, getattr(guest, channel) + data)
            note(guest, time.monotonic() - began)
    selector.close()


def note(guest: Guest, now: float) -> None:
    """Write down what *guest* has shown for the first time."""
    if guest.login is None and guest.console.rstrip().endswith(b"login:"):
        guest.login = now
    if guest.first_beat is None and any(found[0].decode() == guest.name for found in BEAT.findall(guest.said)):
        guest.first_beat = now


def report(guests: list[Guest]) -> dict[str, object]:
    """Return the figures as one JSON object."""
    found: dict[str, object] = {"guests": len(guests), "up": sum(guest.up for guest in guests)}
    for key in ("login", "first_beat"):
        times = [value for guest in guests if (value := getattr(guest, key)) is not None]
        if times:
            found[key] = {
                "min_s": round(min(times), 1),
                "median_s": round(statistics.median(times), 1),
                "max_s": round(max(times), 1),
            }
    found["missing"] = {
        guest.name: guest.console.decode(errors="replace").splitlines()[-1:] for guest in guests if not guest.up
    }
    return found


def main() -> int:
    """Start, watch, end; write the figures."""
    parser = argparse.ArgumentParser(description="Start many micro guests at once.")
    parser.add_argument("--guests", type=int, default=24)
    parser.add_argument("--accelerator", default="tcg")
    parser.add_argument("--timeout", type=float, default=180.0)
    options = parser.parse_args()
    image = HOME / "images" / "micro"
    if not (image / "manifest.json").is_file():
        sys.stderr.write(f"There is no image in {image}; build it with 'avocado hvqual image build micro'.\n")
        return 2
    guests: list[Guest] = []
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hvq-boot-") as folder:
        try:
            names = (f"hvq-boot-{number}" for number in range(options.guests))
            guests.extend(start(name, image, Path(folder), options.accelerator) for name in names)
            watch(guests, began, options.timeout)
        finally:
            for guest in guests:
                guest.process.kill()
                with contextlib.suppress(OSError):
                    guest.beats.close()
                guest.process.communicate()
    found = report(guests)
    print(json.dumps(found, indent=1))
    return 0 if found["up"] == options.guests else 1


if __name__ == "__main__":
    sys.exit(main())
