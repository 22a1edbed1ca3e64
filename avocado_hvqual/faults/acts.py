# SPDX-License-Identifier: GPL-2.0-or-later
"""
What can happen to a guest or its host behind a test's back; each act undoes itself or is undone with the guest.

Only guests with our name prefix are touched.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Callable

from avocado_hvqual.errors import HvqualError
from avocado_hvqual.wait import until

PREFIX = "hvq-"
FREEZE = 3.0
KMSG = Path("/dev/kmsg")
MANAGED = Path("/var/lib/libvirt/qemu/save")


def virsh(*arguments: str) -> str:
    """Return what the real virsh answers (the one that a lie stands before is told by HVQUAL_REAL_VIRSH)."""
    program = os.environ.get("HVQUAL_REAL_VIRSH") or shutil.which("virsh") or "virsh"
    done = subprocess.run([program, "-q", *arguments], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        message = f"'virsh {' '.join(arguments)}' failed while a fault was seeded: {done.stderr.strip()}"
        raise HvqualError(message)
    return done.stdout


def guests() -> list[str]:
    """Return the running guests of ours."""
    found = [name for name in virsh("list", "--name").split() if name.startswith(PREFIX)]
    if not found:
        message = "There is no running guest of ours to seed a fault in."
        raise HvqualError(message)
    return found


def pids_of(name: str) -> list[int]:
    """Return the processes that run the guest *name*."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                argv = (folder / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if any(part.startswith(f"guest={name},".encode()) for part in argv):
                found.append(int(folder.name))
    return found


def _pass(seconds: float) -> None:
    """Let the time pass that the fault lasts."""
    import time

    end = time.monotonic() + seconds
    until(lambda: time.monotonic() >= end, seconds + 1, "the fault to last")


def freeze() -> None:
    """Stop the QEMU process for 3 s: the guest's virtual CPUs do not run, its clocks may."""
    pids = [pid for name in guests() for pid in pids_of(name)]
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        _pass(FREEZE)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def stop_cont() -> None:
    """Stop the guest through its monitor for 3 s, which libvirt is not asked for."""
    for name in guests():
        virsh("qemu-monitor-command", name, json.dumps({"execute": "stop"}))
    _pass(FREEZE)
    for name in guests():
        virsh("qemu-monitor-command", name, json.dumps({"execute": "cont"}))


def reboot() -> None:
    """Reset the guest through its monitor."""
    for name in guests():
        virsh("qemu-monitor-command", name, json.dumps({"execute": "system_reset"}))


def link_down() -> None:
    """Pull the guest's network cable for 3 s, in QEMU."""
    for up in (False, True):
        for name in guests():
            order = {"execute": "set_link", "arguments": {"name": "net0", "up": up}}
            virsh("qemu-monitor-command", name, json.dumps(order))
        if not up:
            _pass(FREEZE)


def _order(name: str) -> None:
    """Give an order to the monitor of each guest, of which libvirt is not asked."""
    for guest in guests():
        virsh("qemu-monitor-command", guest, json.dumps({"execute": name}))


def _flip(what: str) -> None:
    """Flip one byte of a canary, by the guest agent: the test's own session is not involved."""
    for name in guests():
        arguments = {"path": "/usr/sbin/hv-witness", "arg": ["flip", what], "capture-output": True}
        started = virsh("qemu-agent-command", name, json.dumps({"execute": "guest-exec", "arguments": arguments}))
        pid = json.loads(started)["return"]["pid"]
        asked = json.dumps({"execute": "guest-exec-status", "arguments": {"pid": pid}})
        ended = until(lambda name=name, asked=asked: _ended(name, asked), 20, f"'hv-witness flip {what}' in '{name}'")  # type: ignore[misc]
        if ended.get("exitcode") != 0:
            message = f"'hv-witness flip {what}' failed in '{name}': {ended}"
            raise HvqualError(message)


def _ended(name: str, asked: str) -> dict[str, object]:
    """Return the status of a process in the guest once it has ended, else an empty one."""
    status: dict[str, object] = json.loads(virsh("qemu-agent-command", name, asked))["return"]
    return status if status.get("exited") else {}


def kill_qemu() -> None:
    """Kill QEMU as a crash or the OOM killer would."""
    for name in guests():
        for pid in pids_of(name):
            os.kill(pid, signal.SIGKILL)


def panic() -> None:
    """Make the guest's kernel panic, by the guest agent."""
    for name in guests():
        arguments = {"path": "/bin/sh", "arg": ["-c", "echo 1 > /proc/sys/kernel/sysrq; echo c > /proc/sysrq-trigger"]}
        virsh("qemu-agent-command", name, json.dumps({"execute": "guest-exec", "arguments": arguments}))


def drop_managed_save() -> None:
    """Throw away what libvirt holds of the guests that it saved itself; the files, as libvirt may not answer just then."""
    for file in MANAGED.glob(f"{PREFIX}*.save"):
        file.unlink()


def kill_test() -> None:
    """Kill the process of the test that runs: avocado-vt's runner and the test that it forked."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                argv = (folder / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if "avocado-runner-avocado-vt" in argv and "task-run" in argv and "hv_id=" in argv:
                os.kill(int(folder.name), signal.SIGKILL)


def soft_lockup() -> None:
    """Write the line of a soft lockup to the host's kernel log."""
    with KMSG.open("w", encoding="ascii") as log:
        log.write("<0>watchdog: BUG: soft lockup - CPU#0 stuck for 23s! [hvqual-seeded:1]\n")


ACTS: dict[str, Callable[[], None]] = {
    "cont": lambda: _order("cont"),
    "wake-up": lambda: _order("system_wakeup"),
    "freeze": freeze,
    "stop-cont": stop_cont,
    "reboot": reboot,
    "flip-ram": lambda: _flip("ram"),
    "flip-disk": lambda: _flip("disk"),
    "link-down": link_down,
    "kill-qemu": kill_qemu,
    "panic": panic,
    "drop-managed-save": drop_managed_save,
    "kill-test": kill_test,
    "soft-lockup": soft_lockup,
}
