# SPDX-License-Identifier: GPL-2.0-or-later
"""
The other end of a mirror: takes orders on its standard input, keeps what it is sent, answers each order with one line.

It stands alone (standard library, Python 3.7) and is sent as text to where it runs. A file only ever grows: what no longer fits is put
aside under another name, never removed. A path that leads out of the folder, over a link, or to a file of the watcher is refused.

An order is one line of JSON with ``op`` and, with ``size``, so many bytes after it:
``open`` folder, campaign; ``have`` path; ``append`` path, offset, size; ``aside`` path; ``beat`` (whatever else it holds is kept).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Callable

MARKER = ".hvqual-mirror"
HEARTBEAT = "heartbeat.json"
NOTES = "watch.jsonl"
OWN = (MARKER, HEARTBEAT, f"{HEARTBEAT}.new", NOTES)
LONGEST = 1 << 20
LARGEST = 1 << 24
DURABLE = "journal.jsonl"
Act = Callable[..., Any]
"""Takes an order and the bytes that came with it, and gives the answer."""


class RefusedError(ValueError):
    """Raised for an order that is not carried out."""


class Keeper:
    """The folder that is kept."""

    def __init__(self) -> None:
        self.folder = ""

    def open(self, order: dict[str, Any], _body: bytes) -> dict[str, Any]:
        """Take or make the folder; it is empty, or this campaign's."""
        folder, campaign = Path(order["folder"]), str(order["campaign"])
        if not folder.is_absolute():
            message = f"the folder '{folder}' is not absolute"
            raise RefusedError(message)
        folder.mkdir(parents=True, exist_ok=True)
        marker = folder / MARKER
        if marker.exists():
            other = marker.read_text(encoding="utf-8").strip()
            if other != campaign:
                message = f"'{folder}' holds the mirror of another campaign, '{other}'"
                raise RefusedError(message)
        elif {path.name for path in folder.iterdir()} - {NOTES}:
            message = f"'{folder}' is not empty and no mirror"
            raise RefusedError(message)
        else:
            marker.write_text(f"{campaign}\n", encoding="utf-8")
        self.folder = str(folder)
        return {"time": time.time()}

    @contextlib.contextmanager
    def _place(self, path: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
        """Give (descriptor of its folder, name) of a path for the block; no link is followed."""
        parts = path.split("/")
        if not self.folder or parts[0] in OWN or any(part in {"", ".", ".."} or "\0" in part for part in parts):
            message = f"the path '{path}' is refused"
            raise RefusedError(message)
        where = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for part in parts[:-1]:
                if make:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(part, dir_fd=where)
                inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=where)
                os.close(where)
                where = inner
            yield where, parts[-1]
        finally:
            os.close(where)

    def have(self, order: dict[str, Any], _body: bytes) -> dict[str, Any]:
        """Return size and digest of a file; of one that is not there those of nothing."""
        digest, size = hashlib.sha256(), 0
        with contextlib.suppress(FileNotFoundError), self._place(order["path"]) as (where, name):
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=where)
            with os.fdopen(descriptor, "rb") as file:
                for part in iter(lambda: file.read(1 << 18), b""):
                    digest.update(part)
                    size += len(part)
        return {"size": size, "sha256": digest.hexdigest()}

    def append(self, order: dict[str, Any], body: bytes) -> dict[str, Any]:
        """Add to the end of a file, which is where the sender believes it to be."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        with self._place(order["path"], make=True) as (where, name):
            with os.fdopen(os.open(name, flags, 0o644, dir_fd=where), "ab", 0) as file:
                size = os.fstat(file.fileno()).st_size
                if size != order["offset"]:
                    message = f"'{order['path']}' has {size} bytes, not {order['offset']}"
                    raise RefusedError(message)
                rest = memoryview(body)
                while rest:
                    rest = rest[file.write(rest) :]
                if order["path"] == DURABLE:
                    os.fsync(file.fileno())
        return {"size": size + len(body)}

    def aside(self, order: dict[str, Any], _body: bytes) -> dict[str, Any]:
        """Give a file that no longer fits another name; return it."""
        with self._place(order["path"]) as (where, name):
            names = set(os.listdir(where))  # noqa: PTH208 - by descriptor
            number = 1
            while f"{name}.before-{number}" in names:
                number += 1
            os.rename(name, f"{name}.before-{number}", src_dir_fd=where, dst_dir_fd=where)
        return {"name": f"{name}.before-{number}"}

    def beat(self, order: dict[str, Any], _body: bytes) -> dict[str, Any]:
        """Write the heartbeat with this clock's time, whole or not at all."""
        if not self.folder:
            message = "no folder was opened"
            raise RefusedError(message)
        received = time.time()
        partial = Path(self.folder, f"{HEARTBEAT}.new")
        partial.write_text(json.dumps({**order, "received": received}), encoding="utf-8")
        partial.replace(Path(self.folder, HEARTBEAT))
        return {"received": received}


def answer_one(acts: Mapping[str, Act], head: bytes) -> bytes:
    """Return the answer to one order; empty when what comes is none, so that nothing after it can be told apart."""
    try:
        order = json.loads(head.decode("utf-8", "surrogatepass"))
        size = int(order.get("size", 0))
        body = sys.stdin.buffer.read(size) if 0 <= size <= LARGEST else b""
        if len(body) != size:
            return b""
        answer = acts[order["op"]](order, body)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        answer = {"error": str(error) or type(error).__name__}
    return json.dumps(answer).encode() + b"\n"


def main() -> None:
    """Answer orders until there are no more."""
    keeper = Keeper()
    acts = {
        "open": keeper.open,
        "have": keeper.have,
        "append": keeper.append,
        "aside": keeper.aside,
        "beat": keeper.beat,
    }
    while True:
        head = sys.stdin.buffer.readline(LONGEST)
        answer = answer_one(acts, head) if head.endswith(b"\n") else b""
        if not answer:
            return
        sys.stdout.buffer.write(answer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
