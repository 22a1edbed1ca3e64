# SPDX-License-Identifier: GPL-2.0-or-later
"""Copies of an image, one for each VM: by reference, without holes, as an overlay, or by virt-clone; each way measured."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from avocado_hvqual.errors import ImageError
from avocado_hvqual.images.golden.command import Programs

WAYS = ("reflink", "sparse", "overlay", "virt-clone")


@dataclass(frozen=True)
class Clone:
    """One copy: how it was made, how long it took, what it takes on the disk and what it seems to."""

    way: str
    path: str
    format: str
    seconds: float
    allocated_kib: int
    apparent_kib: int


def best(source: Path, folder: Path, programs: Programs) -> str:
    """Return the cheapest way to whole copies of *source* in *folder*: by reference where the file system can, else sparse."""
    probe = folder / "hvq-probe"
    try:
        clone(source, probe, "reflink", programs)
    except ImageError:
        return "sparse"
    finally:
        probe.unlink(missing_ok=True)
    return "reflink"


def clone(source: Path, target: Path, way: str, programs: Programs) -> Clone:
    """Copy the raw image *source* to *target*; `ImageError` where this way does not work here, and no half copy stays."""
    began = time.monotonic()
    try:
        programs.run(_command(source, target, way), f"copy the image ({way})")
    except ImageError:
        target.unlink(missing_ok=True)
        raise
    seconds = time.monotonic() - began
    about = target.stat()
    held = "qcow2" if way == "overlay" else "raw"
    return Clone(way, str(target), held, round(seconds, 3), about.st_blocks // 2, about.st_size // 1024)


def _command(source: Path, target: Path, way: str) -> list[str]:
    """Return the command that copies *source* to *target*."""
    if way == "overlay":
        return ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(source), str(target)]
    how = {"reflink": ["--reflink=always"], "sparse": ["--reflink=never", "--sparse=always"]}
    if way not in how:
        msg = f"There is no way '{way}' to copy an image; the ways are {', '.join(WAYS)}."
        raise ImageError(msg)
    return ["cp", *how[way], str(source), str(target)]


def virt_clone(uri: str, domain: str, name: str, target: Path, programs: Programs) -> Clone:
    """Clone the *domain*, which is shut off, to the new domain *name* with the disk *target*, by virt-clone."""
    began = time.monotonic()
    line = ["virt-clone", "--connect", uri, "--original", domain, "--name", name, "--file", str(target)]
    programs.run(line, "clone the domain")
    seconds = time.monotonic() - began
    about = target.stat()
    return Clone("virt-clone", str(target), "raw", round(seconds, 3), about.st_blocks // 2, about.st_size // 1024)
