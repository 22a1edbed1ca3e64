# SPDX-License-Identifier: GPL-2.0-or-later
"""
What was changed on this node and is not yet put back, on disk before the change is made (decision 9).

A with-block does not survive SIGKILL; this log does, and a reboot too. Run as a script it replays:
``python undo.py replay --home H --host ID [--force]`` and ``python undo.py status --home H --host ID``, both with JSON on stdout.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import sys
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Callable

# Run as a script, our own folder must not shadow modules, and the provider's root must be found.
if __package__ in {None, ""}:
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from provider.hvqual import marks, processes, undo_actions
from provider.hvqual.undo_store import (
    FORMAT,
    TAINTED,
    Entry,
    Status,
    fsync_folder,
    make_folder,
    number,
    parse,
    write_durable,
)

_OWNER_LOCKS: dict[Path, tuple[int, IO[str]]] = {}


class UndoError(Exception):
    """Raised when a change may not be recorded or the log cannot be written: the change must then not be made."""


@dataclass(frozen=True)
class Outcome:
    """What replaying one entry came to; status is one of restored, gone, moot, skipped, failed."""

    entry: str
    action: str
    status: str
    message: str


class UndoLog:
    """The undo log of one host: a folder with one file for each change that is not yet put back."""

    def __init__(self, home: str | Path, host_id: str) -> None:
        """Name the log; nothing is made on disk until something is recorded."""
        if not host_id or "/" in host_id or host_id.startswith("."):
            message = f"'{host_id}' cannot be the name of a host in the undo log: give a plain name such as 'local' or 'hv-a'."
            raise UndoError(message)
        self.home = Path(home)
        self.folder = self.home / "undo" / host_id

    @classmethod
    def of_environment(cls) -> UndoLog:
        """The log of the host that we run on, from AVOCADO_HVQUAL_HOME and HVQUAL_HOST_ID."""
        return cls(marks.home(), marks.host_id())

    def record(self, action: str, **details: Any) -> Entry:
        """
        Write down how to put a change back, durable on disk when this returns; make the change only after that.

        UndoError when the action is unknown, the details are not enough to do it, or the log cannot be written.
        """
        try:
            undo_actions.check(action, details, self.home)
            make_folder(self.folder)
            owner = self._own()
            entry = Entry(self._next_path(), action, details, owner, time.time())
            text = {
                "format": FORMAT,
                "action": action,
                "details": details,
                "owner": owner.as_json(),
                "wall": entry.wall,
            }
            write_durable(entry.path, json.dumps(text, indent=1, sort_keys=True) + "\n")
        except (OSError, TypeError, ValueError) as error:
            message = f"The undo log in '{self.folder}' does not take '{action}': {error}. The change was not made."
            raise UndoError(message) from error
        return entry

    def done(self, entry: Entry) -> None:
        """Forget an entry whose change is put back and verified; a missing one is fine (somebody replayed it)."""
        try:
            entry.path.unlink()
        except FileNotFoundError:
            return
        fsync_folder(self.folder)

    def taint(self, reason: str) -> None:
        """Mark the node as not as it was found: the campaign stops until `avocado hvqual clean` succeeds."""
        make_folder(self.folder)
        write_durable(self.folder / TAINTED, "\n".join([*self.status().tainted, " ".join(reason.split())]) + "\n")

    def clear_taint(self) -> None:
        """Take the mark off, after the node was shown to be as it was found."""
        (self.folder / TAINTED).unlink(missing_ok=True)
        if self.folder.is_dir():
            fsync_folder(self.folder)

    def status(self) -> Status:
        """
        What the log holds now, oldest first; half-written entries are told with the reason, never dropped.

        OSError when its folder is there and cannot be read: that is no empty log.
        """
        status, files = Status(), self._files()
        for path in sorted((file for file in files if file.match("*.json")), key=number):
            try:
                status.entries.append(parse(path))
            except (OSError, KeyError, TypeError, ValueError) as error:
                status.broken[str(path)] = f"{type(error).__name__}: {error}"
        for path in sorted(file for file in files if file.match(".*.json.tmp")):
            # Its writer died before the rename, so before the change: nothing to put back, but it is told.
            status.broken[str(path)] = "its writer died before it was complete, so its change was not made"
        mark = self.folder / TAINTED
        if mark.exists():
            status.tainted = mark.read_text(encoding="utf-8", errors="replace").splitlines() or [
                "no reason is written down"
            ]
        return status

    def replay(
        self, report: Callable[[str], None] | None = None, *, force: bool = False, forget_torn: bool = False
    ) -> list[Outcome]:
        """
        Put back what dead processes left changed, newest first; go on after a failure; taint the node if one failed.

        *force* replays entries of living processes too. *forget_torn* deletes temporary files of writers that died before
        their change (they are told in any case).
        """
        status = self.status()
        outcomes = [
            self._torn(Path(path), why, forget=forget_torn) for path, why in sorted(status.broken.items(), reverse=True)
        ]
        outcomes += [self._replay_one(entry, force=force) for entry in reversed(status.entries)]
        self.tidy()
        for outcome in outcomes:
            if outcome.status == "failed":
                self.taint(f"{outcome.action} ({outcome.entry}): {outcome.message}")
            if report is not None:
                report(f"{outcome.status}: {outcome.action}: {outcome.message}")
        return outcomes

    def alive(self, entry: Entry) -> bool:
        """Whether the process that recorded *entry* still lives, also when it lives in a pid namespace that we cannot see."""
        owner = entry.owner
        if owner.boot_id != processes.boot_id():
            return False
        if processes.find(owner) is not None:
            return True
        return owner.pid_ns != processes.namespace_inode() and self._lock_is_held(owner)

    def owners(self) -> list[processes.Identity]:
        """The living processes that have entries in the log."""
        return list(dict.fromkeys(entry.owner for entry in self.status().entries if self.alive(entry)))

    def tidy(self) -> None:
        """Remove the locks of dead processes."""
        for path in self.folder.glob(".owner-*.lock"):
            numbers = path.name[len(".owner-") : -len(".lock")].split("-")
            owner = processes.Identity(int(numbers[1]), int(numbers[2]), processes.boot_id(), int(numbers[0]))
            if processes.find(owner) is None and not self._lock_is_held(owner):
                path.unlink(missing_ok=True)

    def _replay_one(self, entry: Entry, *, force: bool) -> Outcome:
        """Put one change back and forget it."""
        name = entry.path.name
        if not force and self.alive(entry):
            return Outcome(
                name, entry.action, "skipped", f"its process {entry.owner.pid} still lives and will put it back itself"
            )
        try:
            status, message = undo_actions.run(
                entry.action, entry.details, self.home, same_boot=entry.owner.boot_id == processes.boot_id()
            )
        except Exception as error:  # noqa: BLE001 - one entry must not keep the others from being put back
            return Outcome(name, entry.action, "failed", f"{type(error).__name__}: {error}")
        if status != "failed":
            self.done(entry)
        return Outcome(name, entry.action, status, message)

    def _torn(self, path: Path, why: str, *, forget: bool) -> Outcome:
        """Tell a file that is no entry: harmless if its writer died before the rename, else the change behind it is unknown."""
        if path.suffix == ".tmp":
            if forget and not self.owners():
                path.unlink(missing_ok=True)
            return Outcome(path.name, "unreadable entry", "moot", why)
        return Outcome(
            path.name,
            "unreadable entry",
            "failed",
            f"'{path}' cannot be read ({why}): look what it was about, then delete it",
        )

    def _files(self) -> list[Path]:
        # Not Path.glob, which finds nothing in what is no folder or may not be read (Python 3.11).
        try:
            return list(self.folder.iterdir())
        except FileNotFoundError:
            return []

    def _next_path(self) -> Path:
        """A name that sorts after every present one."""
        newest = max((number(path)[0] for path in self.folder.glob("*.json")), default=0) + 1
        return self.folder / f"{newest:04d}-{uuid.uuid4()}.json"

    def _own(self) -> processes.Identity:
        """This process's identity, with a lock held until it dies: the sign of life across pid namespaces."""
        me = processes.identity()
        path = self._lock_path(me)
        if _OWNER_LOCKS.get(path, (0,))[0] != me.pid:
            stream = path.open("a", encoding="utf-8")
            # POSIX locks are not inherited by a forked child and end with the process, unlike flock's.
            fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _OWNER_LOCKS[path] = (me.pid, stream)
        return me

    def _lock_path(self, owner: processes.Identity) -> Path:
        return self.folder / f".owner-{owner.pid_ns}-{owner.pid}-{owner.start}.lock"

    def _lock_is_held(self, owner: processes.Identity) -> bool:
        """Whether some process holds the owner's lock."""
        try:
            with self._lock_path(owner).open("r+", encoding="utf-8") as stream:
                fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return False


def main(arguments: list[str] | None = None) -> int:
    """Exit 0 when nothing of the log is left to put back and the node is not tainted, else 1."""
    parser = argparse.ArgumentParser(
        prog="undo.py", description="Put back what dead processes of ours changed on this node."
    )
    parser.add_argument("verb", choices=["replay", "status"])
    parser.add_argument("--home", default=str(marks.home()))
    parser.add_argument("--host", default=marks.host_id())
    parser.add_argument("--force", action="store_true", help="also replay entries whose process still lives")
    given = parser.parse_args(arguments)
    try:
        log = UndoLog(given.home, given.host)
        outcomes = log.replay(force=given.force, forget_torn=True) if given.verb == "replay" else []
        status = log.status()
    except (OSError, UndoError) as error:
        sys.stderr.write(f"The undo log of '{given.host}' in '{given.home}' cannot be used: {error}\n")
        return 1
    left = [
        {"entry": e.path.name, "action": e.action, "details": e.details, "alive": log.alive(e)} for e in status.entries
    ]
    answer = {
        "outcomes": [asdict(o) for o in outcomes],
        "left": left,
        "broken": status.broken,
        "tainted": status.tainted,
    }
    sys.stdout.write(json.dumps(answer, indent=1) + "\n")
    return 1 if left or status.broken or status.tainted else 0


if __name__ == "__main__":
    sys.exit(main())
