# SPDX-License-Identifier: GPL-2.0-or-later
"""The node's libvirt daemon: which it is, how it is started and stopped here, and that it runs again after a test was killed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

from provider.hvqual import processes, undo_libvirt, wait

DAEMONS = ("libvirtd", "virtqemud")
#: Which daemon answers, the first time after the host's boot: libvirt (6.0 and later) starts flagged domains only without it.
AUTOSTARTED = "/run/libvirt/qemu/autostarted"
SYSTEMD = Path("/run/systemd/system")
VERBS = ("start", "stop", "restart")
_MANAGER_TIMEOUT_S = 90.0
_ANSWER_TIMEOUT_S = 30.0
_DEAD = "ZXx"


def running() -> tuple[str, processes.Identity] | None:
    """Name and identity of the libvirt daemon of this node (this pid namespace), None when none runs."""
    ours = processes.namespace_inode()
    for folder in sorted(Path("/proc").iterdir(), key=lambda it: int(it.name) if it.name.isdigit() else 0):
        if not folder.name.isdigit():
            continue
        try:
            name = (folder / "comm").read_text(encoding="utf-8").strip()
            pid = int(folder.name)
            if (
                name in DAEMONS
                and processes.namespace_inode(pid) == ours
                and processes.stat_fields(pid)[0] not in _DEAD
            ):
                return name, processes.identity(pid)
        except (OSError, ValueError):
            continue  # it ended while we looked
    return None


def manager() -> str:
    """The program by which services are managed on this node: systemctl, service, or '' when there is none."""
    if SYSTEMD.is_dir() and shutil.which("systemctl"):
        return "systemctl"
    return "service" if shutil.which("service") else ""


def manage(verb: str, daemon: str) -> str:
    """Have the service manager do *verb* (start, stop, restart) to *daemon*; return what went wrong, '' when it says that it did."""
    if verb not in VERBS or daemon not in DAEMONS:
        message = f"'{verb} {daemon}' is nothing that we do to a service"
        raise ValueError(message)
    program = manager()
    if not program:
        return "this node has neither systemd nor a program 'service'"
    if program == "systemctl":
        # A few restarts in a row are no crash loop, which is what systemd would take them for.
        _run(["systemctl", "reset-failed", f"{daemon}.service"])
        return _run(["systemctl", verb, f"{daemon}.service"])
    return _run(["service", daemon, verb])


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_MANAGER_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"'{' '.join(command)}' did not end in {_MANAGER_TIMEOUT_S:g} s"
    if done.returncode:
        return f"'{' '.join(command)}' ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-400:]}"
    return ""


def answers(uri: str) -> bool:
    """Whether the daemon takes a connection and lists its domains."""
    try:
        with undo_libvirt.connection(uri) as conn:
            conn.listAllDomains()
    except Exception:  # noqa: BLE001 - whatever keeps it from answering, it does not answer yet
        return False
    return True


def start_daemon(details: dict[str, Any], _home: Path) -> tuple[str, str]:
    """Have the daemon running and answering; with its mark of this boot back first, so that it starts nobody's domains."""
    mark = details.get("autostarted")
    if mark and Path(mark).parent.is_dir():
        Path(mark).touch()
    daemon, uri = str(details["daemon"]), details.get("uri") or undo_libvirt.DEFAULT_URI
    was = running() is not None
    if not was:
        wrong = manage("start", daemon)
        if wrong:
            return "failed", f"{daemon} was not started: {wrong}"
    try:
        wait.until(lambda: answers(uri), _ANSWER_TIMEOUT_S, f"{daemon} to answer at '{uri}'")
    except wait.WaitTimeoutError as error:
        return "failed", str(error)
    return ("gone", f"{daemon} runs") if was else ("restored", f"{daemon} started")


def refuse_daemon(details: dict[str, Any], _home: Path) -> str | None:
    """Why we do not do it: another service than libvirt's daemon, another file than its own mark."""
    if details["daemon"] not in DAEMONS:
        return f"'{details['daemon']}' is none of {', '.join(DAEMONS)}"
    if details.get("autostarted", AUTOSTARTED) != AUTOSTARTED:
        return f"'{details['autostarted']}' is not the mark '{AUTOSTARTED}'"
    return None
