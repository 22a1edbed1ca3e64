# SPDX-License-Identifier: GPL-2.0-or-later
"""
With-blocks that change a node, put it back and verify that.

Each writes to the undo log before it changes anything. What cannot be put back taints the node and is an ERROR, which
outranks the failure of the case; that failure stays in the error's cause and in its text (decisions 9 and 17).
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Optional, Union

from avocado.core.exceptions import TestError

from provider.hvqual import marks, processes, undo_actions, undo_links, wait
from provider.hvqual.settings_file import read_setting, write_setting
from provider.hvqual.undo import UndoError, UndoLog
from provider.hvqual.undo_store import Entry

HUGEPAGES = "/sys/kernel/mm/hugepages"
_TIMEOUT_S = 10.0
PathLike = Union[str, Path]


class HostStateError(TestError):
    """Raised when a node cannot be given the state that a test asks for, or not the state back that it had."""


def _record(log: UndoLog, action: str, **details: Any) -> Entry:
    """Write to the undo log; HostStateError when it does not take it."""
    try:
        return log.record(action, **details)
    except UndoError as error:
        raise HostStateError(str(error)) from error


@contextmanager
def _change(log: Optional[UndoLog], *undos: tuple[str, dict[str, Any]]) -> Iterator[UndoLog]:
    """Hold *undos* in the log while the block changes the node and uses the change; then do them, newest first, and verify."""
    to = log or UndoLog.of_environment()
    entries: list[Entry] = []
    try:
        for action, details in undos:
            entries.append(_record(to, action, **details))
        yield to
    except BaseException as error:
        _restore(to, entries, error)
        raise
    else:
        _restore(to, entries, None)


def _restore(log: UndoLog, entries: list[Entry], earlier: BaseException | None) -> None:
    """Put entries back, newest first, all of them; HostStateError naming each failure and the earlier one, which it keeps as its cause."""
    failed = []
    for entry in reversed(entries):
        try:
            status, message = undo_actions.run(entry.action, entry.details, log.home, same_boot=True)
        except Exception as error:  # noqa: BLE001 - the other changes must be put back too
            status, message = "failed", f"{type(error).__name__}: {error}"
        if status == "failed":
            failed.append(f"{entry.action}: {message}")
            continue
        log.done(entry)
    if not failed:
        return
    told = (
        f"The node was not put back as it was found: {'; '.join(failed)}. Look at it, then run: avocado hvqual clean."
    )
    try:
        log.taint("; ".join(failed))
    except OSError as error:
        told += f" It could not be marked as tainted either: {error}."
    if earlier is not None:
        told += f" Before that: {type(earlier).__name__}: {earlier}"
    raise HostStateError(told) from earlier


@contextmanager
def undone(action: str, *, log: Optional[UndoLog] = None, **details: Any) -> Iterator[None]:
    """Hold one *action* of the undo log while the block makes and uses what it undoes; done and verified at its end."""
    with _change(log, (action, details)):
        yield


@contextmanager
def kernel_setting(path: PathLike, value: Union[str, int], *, log: Optional[UndoLog] = None) -> Iterator[str]:
    """Hold a file beneath /proc or /sys at *value*; yields the value found before. HostStateError when the kernel takes another one."""
    wanted, file = str(value), Path(path)
    try:
        before = read_setting(file)
    except OSError as error:
        message = f"'{file}' cannot be read: {error}. It was to hold {wanted!r}."
        raise HostStateError(message) from error
    with _change(log, ("write_kernel_file", {"path": str(file), "old": before})):
        _set(file, wanted)
        yield before


def _set(file: Path, wanted: str) -> None:
    """Write a setting and read it back."""
    try:
        write_setting(file, wanted)
        found = read_setting(file)
    except OSError as error:
        message = (
            f"'{file}' does not take {wanted!r}: {error}. Does this kernel have the setting, and is it writable here?"
        )
        raise HostStateError(message) from error
    if found != wanted:
        message = f"'{file}' holds {found!r} after {wanted!r} was written. Is the node short of what it counts?"
        raise HostStateError(message)


@contextmanager
def huge_pages(
    size_kib: int, count: int, *, log: Optional[UndoLog] = None, root: PathLike = HUGEPAGES
) -> Iterator[None]:
    """Hold at least *count* free huge pages of *size_kib* KiB beside those that the node already uses."""
    folder = Path(root) / f"hugepages-{size_kib}kB"
    try:
        total, free = (int(read_setting(folder / name)) for name in ("nr_hugepages", "free_hugepages"))
    except (OSError, ValueError) as error:
        message = f"This node has no huge pages of {size_kib} KiB ('{folder}': {error})."
        raise HostStateError(message) from error
    with kernel_setting(folder / "nr_hugepages", total + max(0, count - free), log=log):
        yield


@contextmanager
def link_down(link: str, *, log: Optional[UndoLog] = None) -> Iterator[None]:
    """
    Hold a link administratively down; its routes come back with it.

    Refused for the link of a default route and of the controlling session (decision 7), and for one that is down already.
    """
    refusal = undo_links.refuse_down(link)
    if refusal:
        raise HostStateError(refusal)
    with _change(
        log, ("link_up", {"link": link, "addresses": undo_links.addresses(link), "routes": undo_links.routes(link)})
    ):
        done = subprocess.run(
            ["ip", "link", "set", "dev", link, "down"], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
        if done.returncode != 0 or undo_links.is_up(link):
            message = f"Link '{link}' did not go down: {done.stderr.strip() or 'ip said nothing'}"
            raise HostStateError(message)
        yield


@contextmanager
def domain_guard(uri: str, name: str, *, uuid: str = "", log: Optional[UndoLog] = None) -> Iterator[None]:
    """
    Destroy and undefine the domain *name* at the block's end, if it exists and carries our owner element.

    With *uuid* it is known by that and its name alone, for a program that makes the domain and puts no mark into it. Enter it
    before the domain is defined. HostStateError when a domain of this name is there already, or ours is left.
    """
    if not name.startswith(marks.PREFIX):
        message = f"The domain '{name}' does not begin with '{marks.PREFIX}': we destroy only what is ours."
        raise HostStateError(message)
    try:
        taken = undo_actions.domain_exists(uri, name)
    except Exception as error:
        message = f"libvirt cannot tell whether there is a domain '{name}': {error}"
        raise HostStateError(message) from error
    if taken:
        message = f"There is a domain '{name}' at '{uri}' already. Run: avocado hvqual clean"
        raise HostStateError(message)
    details = {"name": name, "uri": uri, **({"uuid": uuid} if uuid else {})}
    with _change(log, ("undefine_domain", details), ("destroy_domain", details)):
        yield


@contextmanager
def daemon_guard(daemon: str, uri: str, mark: str = "", *, log: Optional[UndoLog] = None) -> Iterator[None]:
    """
    Have libvirt's *daemon* running and answering at the block's end, whatever the block does to it.

    *mark* is the file by which it knows that it is not the first one since the host's boot, where the block removes it.
    """
    details = {"daemon": daemon, "uri": uri, **({"autostarted": mark} if mark else {})}
    with _change(log, ("start_daemon", details)):
        yield


@contextmanager
def temporary_path(path: PathLike, *, log: Optional[UndoLog] = None) -> Iterator[Path]:
    """Remove whatever lies at *path* (of ours by name or place) at the block's end; nothing may be there before."""
    place = Path(path)
    if os.path.lexists(place):
        message = f"'{place}' is there already: it would be removed. Run: avocado hvqual clean"
        raise HostStateError(message)
    with _change(log, ("remove_path", {"path": str(place)})):
        yield place


@contextmanager
def same_owner(path: PathLike, *, log: Optional[UndoLog] = None) -> Iterator[None]:
    """Have the file belong at the block's end to whom it belongs now, whomever libvirt gives it meanwhile."""
    try:
        found = Path(path).stat()
    except OSError as error:
        message = f"'{path}', which a guest is to read, cannot be looked at: {error}."
        raise HostStateError(message) from error
    details = {"path": os.path.realpath(path), "uid": found.st_uid, "gid": found.st_gid, "inode": found.st_ino}
    with _change(log, ("give_back", details)):
        yield


@contextmanager
def removed_overlays(disk: PathLike, *, log: Optional[UndoLog] = None) -> Iterator[None]:
    """Remove at the block's end the overlays that libvirt makes over *disk* under names of its own when it reverts to a snapshot."""
    with _change(log, ("remove_overlays", {"path": str(disk)})):
        yield


@contextmanager
def stopped_process(pid: int, *, log: Optional[UndoLog] = None) -> Iterator[None]:
    """Hold a process stopped (SIGSTOP), as a hang seen from outside; SIGCONT at the end. A process that ended meanwhile is fine."""
    try:
        wanted = processes.identity(pid)
    except OSError as error:
        message = f"There is no process {pid} to stop."
        raise HostStateError(message) from error
    with _change(log, ("resume_process", {"process": wanted.as_json()})):
        try:
            os.kill(pid, signal.SIGSTOP)
            wait.until(lambda: processes.stat_fields(pid)[0] in {"T", "t"}, _TIMEOUT_S, f"process {pid} to stop")
        except (OSError, wait.WaitTimeoutError) as error:
            message = f"Process {pid} was not stopped: {error}"
            raise HostStateError(message) from error
        yield


@contextmanager
def temporary_process(words: str, find: Callable[[], list[int]], *, log: Optional[UndoLog] = None) -> Iterator[None]:
    """
    End every process at the block's end whose command line holds *words* in a row, such as '-name hvq-1a2b-1'.

    One of the words must begin with our prefix. *find* is the caller's own way to see the processes: when it still sees one
    after they were ended, that is a failed restore.
    """
    with _change(log, ("kill_matching", {"words": words.split()})) as to:
        yield
    left = find()
    if left:
        to.taint(f"processes {left} live on after every '{words}' was ended")
        message = (
            f"Processes {left} live on after every '{words}' was ended. Look at them, then run: avocado hvqual clean."
        )
        raise HostStateError(message)
