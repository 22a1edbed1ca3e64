# SPDX-License-Identifier: GPL-2.0-or-later
"""
The node's state, its undo log and its sweep, asked of the provider's own programs.

This package never imports the provider: it runs those modules as programs, which answer with JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from avocado_hvqual.errors import HvqualError
from avocado_hvqual.trees import provider_root

LIBVIRT_URI = "qemu:///system"
TIMEOUT_S = 120.0


class NodeError(HvqualError):
    """Raised when the node cannot be asked for its state or its undo log."""


@dataclass(frozen=True)
class State:
    """A node's state: the digest that tells two apart, and the whole as the provider's program wrote it."""

    digest: str
    whole: dict[str, Any]

    @property
    def unreachable(self) -> list[str]:
        """The items that could not be read, with the reason: nothing is known of them."""
        items: dict[str, list[str]] = self.whole["items"]
        return [
            f"{name}: {line}" for name, lines in items.items() for line in lines if line.startswith("unreachable = ")
        ]


def run_program(module: str, *arguments: str, statuses: tuple[int, ...] = (0,)) -> Any:
    """Return the JSON that a program of the provider writes; NodeError when it fails, hangs or writes something else."""
    program = provider_root() / "provider" / "hvqual" / f"{module}.py"
    command = [sys.executable, str(program), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        message = f"'{module} {' '.join(arguments)}' could not be run: {error}"
        raise NodeError(message) from error
    if done.returncode in statuses:
        try:
            return json.loads(done.stdout)
        except ValueError:
            pass  # told below, with what it wrote
    said = (done.stderr.strip().splitlines() or done.stdout.strip().splitlines() or ["nothing"])[-1]
    message = f"'{module} {' '.join(arguments)}' ended with status {done.returncode} and said: {said}"
    raise NodeError(message)


def capture(libvirt_uri: str = LIBVIRT_URI, *, folders: tuple[str, ...] = ()) -> State:
    """Return the state of the node that this process runs on; *folders* are image folders beside libvirt's."""
    extra = [word for folder in folders for word in ("--folder", folder)]
    whole = run_program("node_state", "capture", "--uri", libvirt_uri, *extra)
    return State(str(whole["digest"]), whole)


def digest(libvirt_uri: str = LIBVIRT_URI) -> str:
    """Return the digest of the node's state."""
    return capture(libvirt_uri).digest


def diff(before: State, after: State) -> list[str]:
    """Return what changed, as 'links: +vnet3'; empty exactly when the digests are equal."""
    with tempfile.TemporaryDirectory(prefix="hvq-") as folder:
        files = [Path(folder) / name for name in ("before.json", "after.json")]
        for file, state in zip(files, (before, after)):
            file.write_text(json.dumps(state.whole), encoding="utf-8")
        changes: list[str] = run_program("node_state", "diff", *map(str, files), statuses=(0, 1))
        return changes


def replay(home: Path, host_id: str, *, force: bool = False) -> dict[str, Any]:
    """Put back what dead processes left changed; 'outcomes', 'left', 'broken' and 'tainted' as the undo log tells them."""
    extra = ["--force"] if force else []
    answer: dict[str, Any] = run_program(
        "undo", "replay", "--home", str(home), "--host", host_id, *extra, statuses=(0, 1)
    )
    return answer


def undo_status(home: Path, host_id: str) -> dict[str, Any]:
    """Return what the undo log holds now: 'left', 'broken' and 'tainted'; nothing is changed."""
    answer: dict[str, Any] = run_program("undo", "status", "--home", str(home), "--host", host_id, statuses=(0, 1))
    return answer


def tainted(home: Path, host_id: str) -> Optional[str]:
    """Return why the node is not as it was found, None when it is."""
    reasons: list[str] = undo_status(home, host_id)["tainted"]
    return "; ".join(reasons) or None
