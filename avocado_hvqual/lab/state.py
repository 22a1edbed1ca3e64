# SPDX-License-Identifier: GPL-2.0-or-later
"""What is known of a lab between two commands: its processes, its QEMU, its accelerator."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import subprocess
from collections.abc import Iterator
from typing import Any

from avocado_hvqual import wait
from avocado_hvqual.errors import LabError
from avocado_hvqual.lab.paths import LabPaths
from avocado_hvqual.lab.processes import Process, boot_id

_VERSION = 1
_LOCK_TIMEOUT = 120.0


@dataclasses.dataclass(frozen=True)
class Node:
    """The two processes that are a host (or the fabric): the launcher outside and the first process inside."""

    launcher: Process
    init: Process

    def alive(self) -> bool:
        """Whether the host's first process runs."""
        return self.init.alive()


@dataclasses.dataclass(frozen=True)
class State:
    """
    The contents of state.json. *nodes* are keyed by host name.

    *qemu* is the custom QEMU under test, None for the distribution's; *qemu_user* is the user that libvirt runs it as.
    """

    boot_id: str
    nodes: dict[str, Node] = dataclasses.field(default_factory=dict)
    qemu: str | None = None
    accelerator: dict[str, Any] = dataclasses.field(default_factory=dict)
    qemu_user: str = "root"

    def living(self) -> dict[str, Node]:
        """The nodes whose first process runs; none after a reboot of the machine."""
        if self.boot_id != boot_id():
            return {}
        return {name: node for name, node in self.nodes.items() if node.alive()}

    def as_dict(self) -> dict[str, Any]:
        """The state as JSON holds it."""
        return {"version": _VERSION, **dataclasses.asdict(self)}


def from_dict(data: dict[str, Any]) -> State:
    """Return the state that `State.as_dict` wrote."""
    nodes = {name: Node(Process(**node["launcher"]), Process(**node["init"])) for name, node in data["nodes"].items()}
    # A lab that an earlier version brought up knows no user: it was root.
    return State(data["boot_id"], nodes, data["qemu"], data["accelerator"], data.get("qemu_user", "root"))


def load(paths: LabPaths) -> State | None:
    """Return the lab's state, None if there is no lab; raise `LabError` if the file is damaged."""
    try:
        data = json.loads(paths.state.read_text(encoding="utf-8"))
        return from_dict(data)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f"{paths.state}:1: the lab's state cannot be read ({error}); end its processes with 'avocado hvqual lab down', then 'lab up'."
        raise LabError(msg) from error


def save(paths: LabPaths, state: State) -> None:
    """Replace the state file as a whole, so that no reader ever sees a half of it."""
    paths.root.mkdir(parents=True, exist_ok=True)
    temporary = paths.state.with_suffix(".new")
    with temporary.open("w", encoding="utf-8") as stream:
        json.dump(state.as_dict(), stream, indent=1, sort_keys=True)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(paths.state)


@contextlib.contextmanager
def locked(paths: LabPaths) -> Iterator[None]:
    """Hold the lab's lock, so that two commands never change it at once; what the machine refuses meanwhile becomes a `LabError`."""
    try:
        paths.home.mkdir(parents=True, exist_ok=True)
        with paths.lock.open("a", encoding="ascii") as stream:
            what = f"another command to release {paths.lock}"
            wait.until(lambda: _try_lock(stream.fileno()), _LOCK_TIMEOUT, what)
            yield
    except (wait.WaitTimeoutError, OSError, subprocess.SubprocessError) as error:
        message = (
            f"The lab in {paths.root} could not be changed: {error} 'avocado hvqual lab down' removes what is left."
        )
        raise LabError(message) from error


def _try_lock(descriptor: int) -> bool:
    """Take the lock if it is free."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
