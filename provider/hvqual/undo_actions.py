# SPDX-License-Identifier: GPL-2.0-or-later
"""
Every way in which a change of a node is put back: a closed registry, one function an action.

Each may be run again, on a node where the change was never made, is already put back, or a reboot took it away. Each answers
(status, message) with status restored, gone (nothing there any more), moot (the reboot did it) or failed; an exception is a failure.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

from provider.hvqual import marks
from provider.hvqual.settings_file import is_kernel_file, read_setting, write_setting
from provider.hvqual.undo_block import detach_loop, refuse_loop
from provider.hvqual.undo_daemon import refuse_daemon, start_daemon
from provider.hvqual.undo_libvirt import (
    destroy_domain,
    destroy_network,
    domain_exists,
    undefine_domain,
    undefine_network,
)
from provider.hvqual.undo_limit import lift_memory_limit
from provider.hvqual.undo_links import link_del, link_up
from provider.hvqual.undo_owner import give_back
from provider.hvqual.undo_pool import destroy_pool
from provider.hvqual.undo_processes import kill_matching, kill_process, resume_process
from provider.hvqual.undo_swap import refuse_swap, swap_off
from provider.hvqual.wait import WaitTimeoutError, until

_TIMEOUT_S = 10.0
# What a setting of the kernel has until it holds what was written (s).
SETTLE = 5.0


@dataclass(frozen=True)
class Action:
    """How one kind of change is put back, which details it needs, and whether a reboot already did it."""

    run: Callable[[dict[str, Any], Path], tuple[str, str]]
    needs: frozenset[str]
    moot_after_reboot: bool
    may: frozenset[str] = frozenset()
    refuse: Callable[[dict[str, Any], Path], str | None] = lambda _details, _home: None


def check(action: str, details: dict[str, Any], home: Path) -> None:
    """Raise ValueError unless *action* is known and *details* are what it needs and allowed by decision 7."""
    known = ACTIONS.get(action)
    if known is None:
        message = f"'{action}' is no action of the undo log; known are {', '.join(sorted(ACTIONS))}"
        raise ValueError(message)
    names = set(details)
    if not known.needs <= names or not names <= known.needs | known.may:
        message = f"'{action}' was given {sorted(names)}, it needs {sorted(known.needs)} and takes {sorted(known.may)}"
        raise ValueError(message)
    refusal = known.refuse(details, home)
    if refusal is not None:
        raise ValueError(refusal)


def run(action: str, details: dict[str, Any], home: Path, *, same_boot: bool) -> tuple[str, str]:
    """Put one change back; ValueError when the entry asks for what we never do."""
    check(action, details, home)
    if ACTIONS[action].moot_after_reboot and not same_boot:
        return "moot", "the host was rebooted since, which undid it"
    return ACTIONS[action].run(details, home)


def _write_kernel_file(details: dict[str, Any], _home: Path) -> tuple[str, str]:
    """Write a kernel setting's old value and read it back."""
    path, old = Path(details["path"]), str(details["old"])
    if not path.exists():
        return "gone", f"'{path}' is not there any more"
    found = read_setting(path)
    if found == old:
        return "restored", f"'{path}' holds {old!r} already"
    write_setting(path, old)
    # A huge page that a process still holds as it dies stays in the pool and leaves it by itself (Linux 6.1, 6.18).
    with contextlib.suppress(WaitTimeoutError):
        until(lambda: read_setting(path) == old, SETTLE, f"'{path}' to hold what was written back")
    now = read_setting(path)
    if now != old:
        return "failed", f"'{path}' holds {now!r} after {old!r} was written back"
    return "restored", f"'{path}' {found!r} -> {old!r}"


def _write_file(details: dict[str, Any], _home: Path) -> tuple[str, str]:
    """Give a file its old content back, but only over what we wrote ourselves; old None means there was no file."""
    path, old, new = Path(details["path"]), details["old"], details["new"]
    found = path.read_text(encoding="utf-8") if path.exists() else None
    if found == old:
        return "restored", f"'{path}' is as it was already"
    if found != new:
        return (
            "failed",
            f"'{path}' holds neither what we found nor what we wrote: somebody else changed it, compare by hand",
        )
    if old is None:
        path.unlink()
        return "restored", f"'{path}' removed, it did not exist before"
    temporary = path.with_name(f"{marks.PREFIX}{path.name}")
    temporary.write_text(old, encoding="utf-8")
    shutil.copystat(path, temporary)
    status = path.stat()
    os.chown(temporary, status.st_uid, status.st_gid)
    temporary.replace(path)
    return "restored", f"'{path}' has its old content again"


def _mounts_beneath(path: Path) -> list[str]:
    """The mount points at or beneath *path*."""
    points = [
        line.split()[4].encode().decode("unicode_escape")
        for line in Path("/proc/self/mountinfo").read_text().splitlines()
    ]
    return [point for point in points if point == str(path) or point.startswith(f"{path}/")]


def _remove_path(details: dict[str, Any], _home: Path) -> tuple[str, str]:
    """Remove a file or folder of ours; links are removed, not followed; nothing beneath which something is mounted."""
    path = Path(details["path"])
    if not os.path.lexists(path):
        return "gone", f"'{path}' is not there any more"
    inode = details.get("inode")
    if inode is not None and path.lstat().st_ino != inode:
        return "gone", f"'{path}' is another file than the one we made: left alone"
    mounted = _mounts_beneath(Path(os.path.realpath(path.parent)) / path.name)
    if mounted:
        return "failed", f"'{path}' was not removed: {', '.join(mounted)} is mounted there; unmount it first"
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
    return "restored", f"'{path}' removed"


def _remove_overlays(details: dict[str, Any], _home: Path) -> tuple[str, str]:
    """Remove the overlays that libvirt itself made over a disk of ours when it reverted: the disk's name, a time instead of its suffix."""
    disk = Path(details["path"])
    made = [it for it in disk.parent.glob(f"{disk.stem}.*") if it.suffix[1:].isdigit() and it.is_file()]
    for overlay in made:
        overlay.unlink()
    return ("restored", f"{', '.join(map(str, made))} removed") if made else ("gone", f"no overlay lies over '{disk}'")


def _refuse_path(details: dict[str, Any], home: Path) -> str | None:
    if marks.path_is_ours(details["path"], home):
        return None
    has = f"neither the prefix '{marks.PREFIX}' nor a '{marks.MARKER}' marker"
    return f"'{details['path']}' is not ours: it has {has}, nor lies beneath '{home}'"


def _refuse_temporary(details: dict[str, Any], _home: Path) -> str | None:
    path = Path(details["path"])
    if str(path.parent) in {"/var/tmp", "/tmp"} and path.name.startswith("avocado_"):  # noqa: S108 - where avocado makes them
        return None
    return f"'{path}' is not one of avocado's temporary folders (/var/tmp/avocado_*)"


def _refuse_kernel(details: dict[str, Any], _home: Path) -> str | None:
    return (
        None
        if is_kernel_file(Path(details["path"]))
        else f"'{details['path']}' is no file of the kernel beneath /proc or /sys"
    )


def _refuse_link(details: dict[str, Any], _home: Path) -> str | None:
    if str(details["link"]).startswith(("hvq", "vhvq")):
        return None
    return f"link '{details['link']}' is not ours: it must be named hvq* to be deleted"


def _refuse_words(details: dict[str, Any], _home: Path) -> str | None:
    words = details["words"]
    if isinstance(words, list) and len(words) > 1 and any(str(word).startswith(marks.PREFIX) for word in words):
        return None
    return f"{words!r} does not tell our processes from others: two words or more, one of them beginning with '{marks.PREFIX}'"


def _umount(details: dict[str, Any], _home: Path) -> tuple[str, str]:
    """Unmount what we mounted, every layer of it."""
    point = str(details["path"])
    if point not in _mounts_beneath(Path(point)):
        return "gone", f"nothing is mounted on '{point}'"
    done = subprocess.run(["umount", point], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    if done.returncode != 0:
        return "failed", f"'umount {point}' ended with {done.returncode}: {done.stderr.strip()}"
    return "restored", f"'{point}' unmounted"


def _action(
    run_it: Callable[[dict[str, Any], Path], tuple[str, str]],
    needs: str,
    *,
    moot: bool = False,
    may: str = "",
    refuse: Any = None,
) -> Action:
    extra = {"refuse": refuse} if refuse is not None else {}
    return Action(run_it, frozenset(needs.split()), moot, frozenset(may.split()), **extra)


__all__ = ["ACTIONS", "Action", "check", "domain_exists", "run"]

ACTIONS: dict[str, Action] = {
    "write_kernel_file": _action(_write_kernel_file, "path old", moot=True, refuse=_refuse_kernel),
    "write_file": _action(_write_file, "path old new"),
    "remove_path": _action(_remove_path, "path", may="inode", refuse=_refuse_path),
    "give_back": _action(give_back, "path uid gid inode"),
    "remove_overlays": _action(_remove_overlays, "path", refuse=_refuse_path),
    "remove_temporary_folder": _action(_remove_path, "path inode", refuse=_refuse_temporary),
    "destroy_domain": _action(destroy_domain, "name", may="uuid uri"),
    "undefine_domain": _action(undefine_domain, "name", may="uuid uri"),
    "destroy_network": _action(destroy_network, "name uuid", may="uri"),
    "undefine_network": _action(undefine_network, "name uuid", may="uri"),
    "destroy_pool": _action(destroy_pool, "name uuid", moot=True, may="uri"),
    "start_daemon": _action(start_daemon, "daemon", moot=True, may="uri autostarted", refuse=refuse_daemon),
    "link_up": _action(link_up, "link", moot=True, may="addresses routes"),
    "link_del": _action(link_del, "link", moot=True, refuse=_refuse_link),
    "resume_process": _action(resume_process, "process", moot=True),
    "kill_process": _action(kill_process, "process", moot=True),
    "kill_matching": _action(kill_matching, "words", moot=True, refuse=_refuse_words),
    "lift_memory_limit": _action(lift_memory_limit, "name", moot=True, may="uri"),
    "swap_off": _action(swap_off, "path", moot=True, refuse=refuse_swap),
    "detach_loop": _action(detach_loop, "path", moot=True, refuse=refuse_loop),
    "umount": _action(_umount, "path", moot=True, refuse=_refuse_path),
}
