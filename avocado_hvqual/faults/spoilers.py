# SPDX-License-Identifier: GPL-2.0-or-later
"""
Files that are not what they were made as: altered copies, which the command sees in the place of the real ones.

The real ones are not touched: a copy is mounted over its original in a mount namespace of the command's own.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Callable

from avocado_hvqual.errors import HvqualError
from avocado_hvqual.images.golden.disk import file_system
from avocado_hvqual.lab.paths import home

Cover = tuple[Path, Path]
"""An altered copy, and the file that it is mounted over."""
KEY = "ssh-ed25519 AAAA one-machines-own\n"
FLIPPED_AT = 64


def _golden(name: str) -> Path:
    path = home() / "images/golden" / name
    if not path.is_file():
        message = f"There is no '{path}' to spoil; make it with 'avocado hvqual image build golden'."
        raise HvqualError(message)
    return path


def _with_file(folder: Path, inside: str, text: str) -> list[Cover]:
    """Put a file with *text* into a copy of the golden image's disk, in the place of one that is there."""
    disk, copy, written = _golden("golden.raw"), folder / "golden.raw", folder / "written"
    subprocess.run(["cp", "--reflink=auto", "--sparse=always", str(disk), str(copy)], check=True)
    written.write_text(text, encoding="ascii")
    where, _, name = inside.rpartition("/")
    orders = folder / "orders"
    orders.write_text(f"cd {where}\nrm {name}\nwrite {written} {name}\n", encoding="ascii")
    subprocess.run(["debugfs", "-w", "-f", str(orders), file_system(copy)], capture_output=True, check=True)
    return [(copy, disk)]


def _machine_id(folder: Path) -> list[Cover]:
    """Let the template keep a machine id."""
    return _with_file(folder, "/etc/machine-id", f"{'0123456789abcdef' * 2}\n")


def _host_key(folder: Path) -> list[Cover]:
    """Let the template keep a host key."""
    return _with_file(folder, "/etc/ssh/ssh_host_ed25519_key.pub", KEY)


def _proof(folder: Path) -> list[Cover]:
    """Let the proof tell of a guest with another kernel."""
    path, copy = _golden("proof.json"), folder / "proof.json"
    told = json.loads(path.read_text(encoding="utf-8"))
    told["booted"]["facts"]["kernel"] += "-other"
    copy.write_text(json.dumps(told), encoding="utf-8")
    return [(copy, path)]


def _package(folder: Path) -> list[Cover]:
    """Let the list of packages name one that the image has not got."""
    path, copy = _golden("packages.json"), folder / "packages.json"
    copy.write_text(re.sub(r"\{", '{"hvq-never-installed": "1", ', path.read_text(encoding="utf-8"), count=1), "utf-8")
    return [(copy, path)]


def _build(folder: Path, name: str) -> list[Cover]:
    """Flip a byte of the main file of the own build *name* that was made here."""
    place = home() / "builds" / name
    try:
        main = json.loads((place / "record.json").read_text(encoding="utf-8"))["main"]
    except (OSError, ValueError, KeyError) as error:
        message = f"'{place}' holds no build to spoil ({error}); make it with scripts/build-{name}."
        raise HvqualError(message) from error
    path, copy = place / "tree" / main.lstrip("/"), folder / "patched"
    data = bytearray(path.read_bytes())
    # In the file's padding or its last lines of text, so that it still runs.
    data[-FLIPPED_AT] ^= 1
    copy.write_bytes(data)
    copy.chmod(path.stat().st_mode & 0o777)
    folder.chmod(0o755)
    return [(copy, path)]


SPOILERS: dict[str, Callable[[Path], list[Cover]]] = {
    "template-machine-id": _machine_id,
    "template-host-key": _host_key,
    "proof-of-another": _proof,
    "package-too-many": _package,
    "patched-qemu": lambda folder: _build(folder, "qemu"),
    "patched-kernel": lambda folder: _build(folder, "kernel"),
}
