# SPDX-License-Identifier: GPL-2.0-or-later
"""
Which builds of kernel, QEMU and libvirt this node has: two builds of one version are told apart by what their files hold.

A fix that is patched on top of a version often leaves the version as it was. What cannot be read is told as an empty text, which is
another build than any and is known of none.
"""

from __future__ import annotations

import hashlib
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

KVM = ("kvm", "kvm_intel", "kvm_amd")
DAEMONS = ("libvirtd", "virtqemud")
LIBRARY = re.compile(r"libvirt\.so\.\d+ => (/\S+)")
DRIVERS = "libvirt/connection-driver/*.so"
SHOWN = 12
"""So many hexadecimal digits tell two builds apart well enough."""
SECONDS = 20
SCRIPT = 65536
"""A wrapper around QEMU is no longer than this."""


def of_qemu(program: str) -> str:
    """Return what names the build of QEMU; a script that stands in its place counts with the programs that it names."""
    path = Path(program)
    return _digest([path, *_named_by(path)])


def _named_by(script: Path) -> Iterator[Path]:
    try:
        with script.open("rb") as stream:
            if stream.read(2) != b"#!":
                return
            text = stream.read(SCRIPT).decode("utf-8", "replace")
        words = shlex.split(text, comments=True)
    except (OSError, ValueError):
        return
    yield from (Path(word) for word in words if word.startswith("/") and Path(word).is_file())


def of_kernel(sys: Path = Path("/sys")) -> str:
    """Return what names the build of the running kernel and of its KVM: the build ids that the linker wrote into them."""
    notes = [sys / "module" / name / "notes" / ".note.gnu.build-id" for name in KVM]
    return _digest([sys / "kernel" / "notes", *filter(Path.is_file, notes)])


def of_libvirt() -> str:
    """Return what names the build of libvirt: its daemon, its library and its drivers."""
    daemon = next(filter(None, map(shutil.which, DAEMONS)), None)
    if daemon is None:
        return ""
    files = [Path(daemon)]
    for library in map(Path, LIBRARY.findall(_libraries(daemon))):
        files += [library, *sorted(library.parent.glob(DRIVERS))]
    return _digest(files)


def _libraries(program: str) -> str:
    try:
        done = subprocess.run(["ldd", program], capture_output=True, text=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


def _digest(files: Iterable[Path]) -> str:
    whole = hashlib.sha256()
    try:
        for file in files:
            whole.update(hashlib.sha256(file.read_bytes()).digest())
    except OSError:
        return ""
    return whole.hexdigest()[:SHOWN]
