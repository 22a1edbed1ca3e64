# SPDX-License-Identifier: GPL-2.0-or-later
"""
One block device that a test may write to: ``python lun.py look DEVICE`` and ``python lun.py pattern DEVICE [PATH...]``, JSON on stdout.

`look` proves it free or says what is upon it: a signature, a mount, swap, whoever has it open. `pattern` looks again, keeps the device for
itself (O_EXCL: no mount, mapping or RAID can take it meanwhile), writes blocks of which each says where it belongs, past the page cache,
reads them back by every path, and puts back what was there.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import mmap
import os
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

_BLKGETSIZE64 = 0x80081272
PIECE = 1 << 20
_PAGE = 4096
_TIMEOUT_S = 30.0


class LunError(Exception):
    """Raised when a device cannot be looked at or is not free; the text is the reason."""


def size(descriptor: int) -> int:
    """Return the bytes of an open block device (or of a file that stands for one)."""
    if not stat.S_ISBLK(os.fstat(descriptor).st_mode):
        return os.fstat(descriptor).st_size
    return int(struct.unpack("Q", fcntl.ioctl(descriptor, _BLKGETSIZE64, b"\0" * 8))[0])


def signatures(device: str) -> list[str]:
    """Return the types of all signatures upon a device, as wipefs knows them; LunError when that cannot be asked."""
    command = ["wipefs", "--no-act", "--noheadings", "--output", "TYPE,OFFSET", device]
    try:
        run = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        message = f"wipefs could not be asked for signatures: {error}"
        raise LunError(message) from error
    if run.returncode != 0:
        message = f"wipefs could not be asked for signatures: {run.stderr.strip()}"
        raise LunError(message)
    return [" at ".join(line.split()) for line in run.stdout.splitlines() if line.strip()]


def mounts(number: int) -> list[str]:
    """Return where a device is mounted in any namespace that can be seen, and whether it is swap."""
    wanted, found = f"{os.major(number)}:{os.minor(number)}", set()
    for table in Path("/proc").glob("[0-9]*/mountinfo"):
        try:
            lines = table.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        found |= {f"mounted on {line.split()[4]}" for line in lines if line.split()[2] == wanted}
    for line in Path("/proc/swaps").read_text(encoding="utf-8").splitlines()[1:]:
        path = Path(line.split()[0])
        if path.is_block_device() and path.stat().st_rdev == number:
            found.add("swap")
    return sorted(found)


def openers(number: int, inode: tuple[int, int]) -> list[str]:
    """Return the processes that can be seen from here and have a device (or a file that stands for one) open, ourselves aside."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        if folder.name != str(os.getpid()) and any(_same(entry, number, inode) for entry in _entries(folder / "fd")):
            with suppress(OSError):
                name = (folder / "comm").read_text(encoding="utf-8", errors="replace").strip()
                found.add(f"open by {name} ({folder.name})")
    return sorted(found)


def _entries(folder: Path) -> list[Path]:
    """Return a folder's entries; none when its process has ended."""
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _same(entry: Path, number: int, inode: tuple[int, int]) -> bool:
    """Whether an open file is the device *number*, or the file *inode* when there is no number."""
    try:
        told = entry.stat()
    except OSError:
        return False
    if number:
        return stat.S_ISBLK(told.st_mode) and told.st_rdev == number
    return (told.st_dev, told.st_ino) == inode


def trouble(device: str) -> tuple[list[str], dict[str, Any]]:
    """Return why a device is not free, and what it is like."""
    try:
        told = Path(device).stat()
        descriptor = os.open(device, os.O_RDONLY)
    except OSError as error:
        raise LunError(str(error.strerror)) from error
    with os.fdopen(descriptor, "rb", buffering=0):
        like = {"bytes": size(descriptor)}
    number = told.st_rdev if stat.S_ISBLK(told.st_mode) else 0
    reasons = [f"signature {it}" for it in signatures(device)] + openers(number, (told.st_dev, told.st_ino))
    if number:
        reasons += mounts(number)
        try:
            os.close(os.open(device, os.O_RDONLY | os.O_EXCL))
        except OSError as error:
            reasons.append(f"the kernel keeps it for somebody ({error.strerror})")
    return reasons, like


def block(seed: bytes, offset: int) -> bytes:
    """Return one page that says where it belongs and to which run: none equals another, and an old one is not this run's."""
    head = b"hvq-pattern" + struct.pack("<Q", offset) + seed
    body = hashlib.sha256(head).digest()
    return (head + body * (_PAGE // len(body)))[: _PAGE - 32] + hashlib.sha256(head + body).digest()


def places(length: int) -> list[int]:
    """Return where pieces are written: first, in the middle, and last, since only that shows that the size is true."""
    last = (length - PIECE) // PIECE * PIECE
    return sorted({0, last // 2 // PIECE * PIECE, last})


@contextmanager
def _buffer() -> Iterator[mmap.mmap]:
    """Lend memory that is aligned as O_DIRECT wants it."""
    with mmap.mmap(-1, PIECE) as memory:
        yield memory


def read(descriptor: int, offset: int) -> bytes:
    """Return one piece, past the page cache."""
    with _buffer() as memory:
        got = os.preadv(descriptor, [memory], offset)
        return bytes(memory[:got])


def write(descriptor: int, offset: int, content: bytes) -> None:
    """Write one piece, past the page cache; LunError when not all of it is taken."""
    with _buffer() as memory:
        memory[:] = content
        if os.pwritev(descriptor, [memory], offset) != PIECE:
            message = f"the device took less than {PIECE} bytes at {offset}"
            raise LunError(message)


def pattern(device: str, paths: Sequence[str]) -> dict[str, Any]:
    """Write, read back by each path, put back; the answer names each piece that came back otherwise."""
    reasons, _like = trouble(device)
    if reasons:
        raise LunError("it is not free: " + "; ".join(reasons))
    exclusive = os.O_EXCL if Path(device).is_block_device() else 0
    descriptor = os.open(device, os.O_RDWR | os.O_DIRECT | os.O_SYNC | exclusive)
    try:
        return _written(descriptor, [device, *paths], os.urandom(16))
    finally:
        os.close(descriptor)


def _written(descriptor: int, paths: Sequence[str], seed: bytes) -> dict[str, Any]:
    """Return what came of the pattern on an open device; what was there before is there again."""
    length = size(descriptor)
    if length < 3 * PIECE:
        message = f"it has {length} bytes, less than {3 * PIECE}"
        raise LunError(message)
    where = places(length)
    pieces = {at: b"".join(block(seed, at + page) for page in range(0, PIECE, _PAGE)) for at in where}
    before = {at: read(descriptor, at) for at in where}
    begin = time.monotonic()
    try:
        for at, content in pieces.items():
            write(descriptor, at, content)
        seconds = time.monotonic() - begin
        wrong = [f"{path} at {at}" for path in paths for at in _differing(path, pieces)]
    finally:
        for at, content in before.items():
            write(descriptor, at, content)
    os.fsync(descriptor)
    lost = [at for at, content in before.items() if read(descriptor, at) != content]
    return {
        "bytes": length,
        "places": where,
        "wrong": wrong,
        "not_put_back": lost,
        "write_s": round(seconds, 4),
        "sha256": hashlib.sha256(b"".join(pieces[at] for at in where)).hexdigest(),
    }


def _differing(path: str, pieces: dict[int, bytes]) -> list[int]:
    """Return the offsets at which a path reads something else than was written; opened afresh, past the page cache."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECT)
    try:
        return [at for at, content in pieces.items() if read(descriptor, at) != content]
    finally:
        os.close(descriptor)


def main(arguments: Sequence[str]) -> int:
    """Write {"trouble": [...], "bytes": n} or what `pattern` came to; {"error": reason} with status 1."""
    verb, device, *paths = arguments
    try:
        if verb == "look":
            reasons, like = trouble(device)
            answer: dict[str, Any] = {"trouble": reasons, **like}
        else:
            answer = pattern(device, paths)
    except (LunError, OSError) as error:
        answer = {"error": str(error)}
    sys.stdout.write(json.dumps(answer) + "\n")
    return 1 if "error" in answer else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
