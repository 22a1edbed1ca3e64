# SPDX-License-Identifier: GPL-2.0-or-later
"""
How a daemon of a node is found, by systemd or, where none runs, by the list of processes; where it listens and what it answers.

Read-only but for `restart` and `kill`, which only the deep check calls.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NamedTuple, Optional

from avocado_hvqual.preparation.answers import error_of, of_program
from avocado_hvqual.preparation.model import Node, Ran

Entry = Mapping[str, Any]
LIST_SOCKETS = ("env", "PROC_ROOT=/proc", "ss")
"""ss as it reads /proc: asked by netlink (iproute2 6.1), the kernel loads inet_diag, tcp_diag and unix_diag for it, and keeps them."""
_COMM = 15
"""Letters of a process's name that the kernel keeps."""
_PROPERTIES = ("LoadState", "ActiveState", "UnitFileState", "MainPID", "Restart")
_STARTS_WITH_HOST = {"enabled", "enabled-runtime", "static", "alias", "indirect", "generated", "linked"}
_INTERPRETER = re.compile(r"(python|perl|ruby|node|bash|sh)[0-9.]*$")
_USER = re.compile(r'\("([^"]+)",pid=(\d+)')


@dataclass(frozen=True)
class Seen:
    """A daemon as it was found; *pid* 0: it does not run. *how* is the command or file that said so."""

    how: str
    pid: int
    found: str
    known: bool = True
    enabled: bool = True
    comes_back: Optional[bool] = None


def systemd(node: Node) -> bool:
    """Whether systemd is this node's first process: its own test for that (sd_booted)."""
    return node.names("/run/systemd/system") is not None


def unit(entry: Entry) -> str:
    """Return the daemon's unit with its kind."""
    name = str(entry["unit"])
    return name if "." in name else f"{name}.service"


def process(entry: Entry) -> str:
    """Return the daemon's name in the list of processes."""
    return str(entry.get("process") or unit(entry).rpartition(".")[0])


def seen(node: Node, entry: Entry) -> Optional[Seen]:
    """Return how a daemon is; None when neither systemd nor the list of processes could be asked."""
    return _by_systemd(node, entry) if systemd(node) else _by_process(node, entry)


def _by_systemd(node: Node, entry: Entry) -> Optional[Seen]:
    how = f"systemctl show {unit(entry)}"
    run = node.run(["systemctl", "show", unit(entry), *(f"--property={name}" for name in _PROPERTIES)])
    told = dict(line.split("=", 1) for line in run.stdout.splitlines() if "=" in line)
    if not run.ok or "ActiveState" not in told:
        return None
    if told.get("LoadState") != "loaded":
        return Seen(how, 0, f"systemd knows no such unit ({told.get('LoadState')})", known=False)
    active = told["ActiveState"] == "active"
    number = told.get("MainPID", "0")
    return Seen(
        how,
        int(number) if active and number.isdigit() else 0,
        told["ActiveState"],
        enabled=told.get("UnitFileState", "") in _STARTS_WITH_HOST,
        comes_back=told.get("Restart", "no") != "no",
    )


def _by_process(node: Node, entry: Entry) -> Optional[Seen]:
    """A node without systemd: whether the daemon starts with the host is then unknown to us, and not claimed."""
    run = node.run(["ps", "-e", "-o", "pid=,stat=,comm=,args="])
    if not run.ok:
        return None
    wanted = process(entry)
    for line in run.stdout.splitlines():
        pid, state, comm, args = [*line.split(None, 3), "", "", ""][:4]
        if not state.startswith("Z") and _is(wanted, comm, args):
            return Seen("ps -e (no systemd here)", int(pid), f"process {pid}")
    return Seen("ps -e (no systemd here)", 0, f"no process '{wanted}'")


def _is(wanted: str, comm: str, args: str) -> bool:
    """Whether a process is the daemon: the program of that name, or an interpreter with the script of that name."""
    program, script = ([word.rpartition("/")[2] for word in args.split()[:2]] + ["", ""])[:2]
    if comm == wanted[:_COMM]:
        return program in {wanted, ""} or script == wanted
    return script == wanted and bool(_INTERPRETER.match(comm))


class Outside(NamedTuple):
    """The user that a daemon runs as, and the group that lets into libvirt, in which that user is not."""

    name: str
    group: str


def outside(node: Node, entry: Entry, groups: Sequence[str]) -> Optional[Outside]:
    """Return as whom a daemon is kept out of libvirt, None for root, for one who is in the group, and where it cannot be told."""
    told = node.run(["systemctl", "show", unit(entry), "--property=User", "--value"]) if systemd(node) else Ran(None)
    name = told.stdout.strip()
    group = next((it for it in groups if node.run(["getent", "group", it]).ok), None)
    held = node.run(["id", "-nG", name]) if name and name != "root" and group else Ran(None)
    return Outside(name, group) if group and held.ok and group not in held.stdout.split() else None


def listeners(node: Node) -> Optional[dict[int, list[tuple[str, set[tuple[str, int]]]]]]:
    """Return port -> (address, {(process, pid)}) of all TCP listeners; None when ss cannot be asked."""
    run = node.run([*LIST_SOCKETS, "-Hltnp"])
    if not run.ok:
        return None
    found: dict[int, list[tuple[str, set[tuple[str, int]]]]] = {}
    for line in run.stdout.splitlines():
        words = line.split()
        address, _, port = words[3].rpartition(":") if len(words) > 3 else ("", "", "")  # noqa: PLR2004 - ss's columns
        if port.isdigit():
            users = {(name, int(pid)) for name, pid in _USER.findall(line)}
            found.setdefault(int(port), []).append((address.partition("%")[0], users))
    return found


def sockets(node: Node) -> Optional[set[str]]:
    """Return the paths of the Unix sockets that somebody listens on; None when ss cannot be asked."""
    run = node.run([*LIST_SOCKETS, "-Hlx"])
    return (
        {word for line in run.stdout.splitlines() for word in line.split() if word.startswith("/")} if run.ok else None
    )


def url(entry: Entry) -> str:
    """Return what is asked of a daemon; empty when its API is not described."""
    port, path = entry.get("port"), entry.get("path")
    return f"http://{entry.get('address', '127.0.0.1')}:{port}{path}" if port and path else ""


def answer(node: Node, entry: Entry) -> tuple[str, str]:
    """Return a daemon's answer, and why there is none."""
    run = node.ask("answer", url(entry))
    told = of_program(run, "status", "text")
    if told is None:
        return "", error_of(run)
    return (str(told["text"]), "") if told["status"] == HTTPStatus.OK else ("", f"status {told['status']}")


def restart(node: Node, entry: Entry) -> Ran:
    """Restart a daemon the way of the node."""
    if systemd(node):
        return node.run(["systemctl", "restart", unit(entry)], timeout=90.0)
    return node.run(["service", process(entry), "restart"], timeout=90.0)


def kill(node: Node, entry: Entry) -> Ran:
    """Kill a daemon's main process, as a crash would; systemd has to start it again."""
    return node.run(["systemctl", "kill", "--kill-who=main", "--signal=SIGKILL", unit(entry)])
