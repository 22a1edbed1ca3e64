# SPDX-License-Identifier: GPL-2.0-or-later
"""Boot what was built: a kernel in a guest, or a guest on a QEMU; the guest itself and the host must both name the build."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from avocado_hvqual.errors import BuildError
from avocado_hvqual.images.golden.guest import Direct, Guest, Wanted, accelerator, running, user_network

_FACTS = (
    "uname -r; cat /proc/version; cat /proc/sys/kernel/random/boot_id; hv-witness arm >/dev/null && hv-witness report"
)


@dataclass(frozen=True)
class Booted:
    """What a guest told: its kernel, how long it took to a prompt and to end, and the program that ran it."""

    release: str
    version: str
    boot_id: str
    disk_sha256: str
    login_seconds: float
    shutdown_seconds: float
    program: str
    accelerator: str


def boot(image: Path, log: Path, *, kernel: Path | None = None, qemu: str = "qemu-system-x86_64") -> Booted:
    """Boot the micro guest in the folder *image*, with another *kernel* or on another *qemu*, and return what was seen of it."""
    manifest = json.loads((image / "manifest.json").read_text(encoding="utf-8"))
    password = (image / "password").read_text(encoding="ascii").strip()
    with tempfile.TemporaryDirectory(prefix="hvq-boot-") as folder:
        disk = Path(folder) / "disk.raw"
        with disk.open("wb") as stream:
            stream.truncate(8 << 20)
        direct = Direct(
            kernel or image / manifest["kernel"], image / manifest["initrd"], f"{manifest['cmdline']} hv.vm=hvq-build"
        )
        kind = accelerator()
        wanted = Wanted("hvq-build", disk, "raw", "52:54:00:00:48:51", user_network(), direct, qemu, kind, 256)
        with running(wanted, log) as guest:
            return _seen(guest, password, manifest["prompt"], kind)


def _seen(guest: Guest, password: str, prompt: str, kind: str) -> Booted:
    _, seconds = guest.login(password, prompt)
    guest.agent.ready(60)
    status, text = guest.agent.run(_FACTS)
    lines = text.splitlines()
    told = dict(line.partition("=")[::2] for line in lines[3:])
    if status != 0 or told.get("boot_id") != lines[2]:
        msg = f"The guest could not tell of itself (status {status}): {text.strip()[-300:]}"
        raise BuildError(msg)
    # Who runs it, as the kernel of this machine says: not what was asked for.
    program = str(Path(f"/proc/{guest.process.pid}/exe").readlink())
    return Booted(lines[0], lines[1], lines[2], told["disk_sha256"], seconds, guest.shut_down(), program, kind)


def same_program(told: str, wanted: Path) -> bool:
    """Whether the program *told* by the kernel is the file *wanted*."""
    return os.path.realpath(told) == os.path.realpath(wanted)
