# SPDX-License-Identifier: GPL-2.0-or-later
"""
Everything of ours that dead campaigns left on this node, removed, and whether anything is left.

As a script, for ``avocado hvqual clean``: ``python sweep.py --home H --host ID [--uri U] [--force]`` with JSON on stdout.
Only what carries our mark is touched: a domain by its owner element, whatever its name (decision 7).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

# Run as a script, our own folder must not shadow modules, and the provider's root must be found.
if __package__ in {None, ""}:
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from provider.hvqual import marks, processes, undo_libvirt, undo_processes
from provider.hvqual.undo import UndoError, UndoLog

WITNESS_PORT = "org.avocado-hvqual."
IMAGES = Path("/var/lib/libvirt/images")
QEMU_LOGS = Path("/var/log/libvirt/qemu")


@dataclass
class Swept:
    """What was done, and what of ours is still there with the reason; clean when nothing is."""

    did: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    tainted: list[str] = field(default_factory=list)


def sweep(log: UndoLog, uri: str, *, force: bool = False) -> Swept:
    """Replay the log, then remove our domains, processes and images; lift the taint only when nothing of ours is left."""
    swept = Swept()
    if force:
        _end_owners(log, swept)
    for outcome in log.replay(force=force, forget_torn=True):
        (swept.left if outcome.status in {"failed", "skipped"} else swept.did).append(
            f"{outcome.action}: {outcome.message}"
        )
    kept = _named_by_the_living(log)
    known = _domains(uri, kept, swept)
    _emulators(kept, swept, known)
    _files(IMAGES, kept, swept)
    # libvirt 9.0 begins the log anew when it destroys a domain whose test had removed it: a libvirtd that died and came back.
    if known is not None:
        _files(QEMU_LOGS, kept | {f"{QEMU_LOGS}/{name}.log" for name in known}, swept)
    _verdict(log, swept)
    return swept


def _verdict(log: UndoLog, swept: Swept) -> None:
    """Tell what the log still holds; lift the taint when all is put back."""
    status = log.status()
    swept.left += [f"undo entry '{entry.path.name}' ({entry.action})" for entry in status.entries]
    swept.left += [f"unreadable undo entry '{path}': {why}" for path, why in status.broken.items()]
    if status.tainted and not swept.left:
        log.clear_taint()
        swept.did.append(f"the node is no longer tainted (it was: {'; '.join(status.tainted)})")
    swept.tainted = log.status().tainted


def _end_owners(log: UndoLog, swept: Swept) -> None:
    """End the living processes that have changes in the log, but those that we descend from."""
    ancestors = set(_ancestors())
    for owner in log.owners():
        pid = processes.find(owner)
        if pid is None or pid in ancestors:
            continue
        status, message = undo_processes.kill_process({"process": owner.as_json()}, log.home)
        (swept.left if status == "failed" else swept.did).append(f"test process: {message}")


def _ancestors() -> Iterator[int]:
    """This process and those above it."""
    pid = os.getpid()
    while pid > 0:
        yield pid
        try:
            text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return
        pid = int(text[text.rindex(")") + 2 :].split()[1])


def _named_by_the_living(log: UndoLog) -> set[str]:
    """The names and paths that living processes have recorded: theirs to remove."""
    kept: set[str] = set()
    for entry in log.status().entries:
        if log.alive(entry):
            kept.update(str(value) for value in (entry.details.get("name"), entry.details.get("path")) if value)
            kept.update(str(word) for word in entry.details.get("words", []))
    return kept


def _domains(uri: str, kept: set[str], swept: Swept) -> set[str] | None:
    """Destroy and undefine the domains with our owner element; the names of all that are left, None if libvirt does not answer."""
    try:
        with undo_libvirt.connection(uri) as conn:
            for domain in conn.listAllDomains():
                if domain.name() not in kept and undo_libvirt.is_ours(domain):
                    _remove_domain(domain.name(), uri, swept)
            return {domain.name() for domain in conn.listAllDomains()}
    except (ConnectionError, ImportError) as error:
        swept.left.append(f"domains of ours could not be looked for: {error}")
        return None


def _remove_domain(name: str, uri: str, swept: Swept) -> None:
    """Destroy and undefine one domain of ours."""
    for act in (undo_libvirt.destroy_domain, undo_libvirt.undefine_domain):
        try:
            status, message = act({"name": name, "uri": uri}, Path("/"))
        except Exception as error:  # noqa: BLE001 - one domain must not keep the others from being removed
            status, message = "failed", f"domain '{name}': {type(error).__name__}: {error}"
        if status != "gone":
            (swept.left if status == "failed" else swept.did).append(message)


def _emulators(kept: set[str], swept: Swept, known: set[str] | None) -> None:
    """
    End emulators of ours that nobody manages: named with our prefix and holding our witness port.

    One that libvirt started and still knows is libvirt's: its owner element decided. *known* None: libvirt could not be asked.
    """
    for pid, name, managed in _our_emulators():
        if name in kept or (managed and name in (known or ())):
            continue
        if managed and known is None:
            swept.left.append(f"process {pid} ('{name}') belongs to a libvirtd that does not answer")
            continue
        try:
            identity = processes.identity(pid)
        except OSError:
            continue  # it ended with its domain
        status, message = undo_processes.kill_process({"process": identity.as_json()}, Path("/"))
        if status != "gone":
            (swept.left if status == "failed" else swept.did).append(f"emulator '{name}': {message}")


def _our_emulators() -> Iterator[tuple[int, str, bool]]:
    """Number, guest's name, and whether libvirt started it, of each emulator with our prefix and our witness port."""
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            words = (folder / "cmdline").read_text(errors="replace").split("\0")
        except OSError:
            continue
        name = next((words[at + 1] for at, word in enumerate(words[:-1]) if word == "-name"), "")
        managed = name.startswith("guest=")
        plain = name[len("guest=") if managed else 0 :].split(",")[0]
        if plain.startswith(marks.PREFIX) and any(WITNESS_PORT in word for word in words) and "qemu" in words[0]:
            yield int(folder.name), plain, managed


def _files(folder: Path, kept: set[str], swept: Swept) -> None:
    """Remove files with our prefix from a folder of libvirt's, but those that a living process has recorded or holds open."""
    for path in sorted(folder.glob(f"{marks.PREFIX}*")):
        if str(path) in kept or not path.is_file():
            continue
        if _is_open(path):
            swept.left.append(f"'{path}' is held open by a process")
            continue
        path.unlink(missing_ok=True)
        swept.did.append(f"'{path}' removed")


def _is_open(path: Path) -> bool:
    """Whether some process holds a file open."""
    wanted = path.stat()
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            facts = descriptor.stat()
        except OSError:
            continue
        if (facts.st_dev, facts.st_ino) == (wanted.st_dev, wanted.st_ino):
            return True
    return False


def main(arguments: list[str] | None = None) -> int:
    """Exit 0 only when nothing of ours is left and the node is not tainted."""
    parser = argparse.ArgumentParser(prog="sweep.py", description="Remove what dead campaigns left on this node.")
    parser.add_argument("--home", default=str(marks.home()))
    parser.add_argument("--host", default=marks.host_id())
    parser.add_argument("--uri", default=undo_libvirt.DEFAULT_URI)
    parser.add_argument("--force", action="store_true", help="end living test processes first")
    given = parser.parse_args(arguments)
    _quiet_libvirt()
    try:
        swept = sweep(UndoLog(given.home, given.host), given.uri, force=given.force)
    except (OSError, UndoError) as error:
        swept = Swept(left=[f"the undo log of '{given.host}' in '{given.home}' cannot be used: {error}"])
    sys.stdout.write(json.dumps(asdict(swept), indent=1) + "\n")
    return 1 if swept.left or swept.tainted else 0


def _quiet_libvirt() -> None:
    """Keep libvirt's own lines off stderr: its errors come as exceptions."""
    try:
        module: Any = marks.libvirt_module()
    except ImportError:
        return
    module.registerErrorHandler(lambda *_: None, None)


if __name__ == "__main__":
    sys.exit(main())
