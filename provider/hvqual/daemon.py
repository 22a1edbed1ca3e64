# SPDX-License-Identifier: GPL-2.0-or-later
"""
Restart the node's libvirt daemon on purpose: announced to whoever watches the node, and undone when the test is killed.

A restarted daemon must still know every domain, and a guest that ran must run on in the same QEMU.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provider.hvqual import capability, host_process, kernel_log, undo_daemon
from provider.hvqual.host_state import daemon_guard
from provider.hvqual.steps import fail
from provider.hvqual.wait import WaitTimeoutError, until

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provider.hvqual.case import Case
    from provider.hvqual.libvirt_truth import Libvirt

    Known = dict[str, tuple[str, bool, tuple[int, ...]]]

ANSWER = 60.0


def restarted_libvirtd(case: Case[Any], truth: Libvirt, *, after_boot: bool = False, by_kill: bool = False) -> None:
    """
    Restart libvirt's daemon and return when the new one answers; *truth* is connected to it again.

    Observed: libvirtd_restart_time (s). With *after_boot* the daemon takes itself for the first one since the host's boot and
    starts the domains that are flagged for it; *by_kill* gives the old one no time to end, as a loss of power does. It fails when
    a domain is not known any more, or one that ran does not run on in the same QEMU.
    """
    found = undo_daemon.running()
    program = undo_daemon.manager()
    told = f"'{program}' manages {found[0]}" if found and program else "no libvirt daemon that a service manager runs"
    capability.require("restart of libvirt's daemon", told, case.record, ok=bool(found and program))
    daemon, old = found or ("", None)
    if after_boot:
        _nobody_elses(case, truth)
    before = _known(truth)
    mark = undo_daemon.AUTOSTARTED if after_boot else ""
    with case.record.step("restart libvirtd"), daemon_guard(daemon, str(truth.uri), mark):
        _announce("restart", old, case.token)
        if mark:
            Path(mark).unlink(missing_ok=True)
        with case.record.timed("libvirtd_restart_time"):
            if by_kill and old:
                os.kill(old.pid, signal.SIGKILL)
            _restart(case, truth, daemon, old)
    _same_domains(case, before, _known(truth))


def _restart(case: Case[Any], truth: Libvirt, daemon: str, old: Any) -> None:
    """Have another process of *daemon* answer than *old*."""
    wrong = undo_daemon.manage("restart", daemon)
    if wrong:
        fail(case.record, "operation-refused", f"{daemon} was not restarted: {wrong}", None)
    try:
        until(lambda: undo_daemon.answers(truth.uri), ANSWER, f"{daemon} to answer after its restart")
    except WaitTimeoutError as error:
        fail(case.record, "wrong-result", str(error), None)
    now = undo_daemon.running()
    if now is None or now[1] == old:
        fail(case.record, "wrong-result", f"{daemon} was restarted, but it is still the process {old.pid}.", None)
    _announce("started", now[1], case.token)
    truth.reconnect()


def account_for(case: Case[Any], before: Any, renewed: Mapping[int, int]) -> None:
    """
    Announce that libvirt's daemon, which was *before*, is another one now, if those who renewed it say so: *renewed* maps process ids.

    A daemon that became another one by any other way is not announced, and is a finding.
    """
    after = undo_daemon.running()
    if not before or not after or before[1] == after[1]:
        return
    pid, left = before[1].pid, dict(renewed)
    while pid in left:
        pid = left.pop(pid)
    if pid == after[1].pid:
        _announce("restart", before[1], case.token)
        _announce("started", after[1], case.token)


def _announce(what: str, process: Any, token: str) -> None:
    """Say in the kernel log which daemon is about to end, and which one took its place."""
    kernel_log.mark(f"hvqual: announce libvirtd-{what}:{process.pid}/{process.start} {token}")


def _nobody_elses(case: Case[Any], truth: Libvirt) -> None:
    """Cancel where the daemon would start domains of somebody else, as it does after a boot of the host."""
    others = [
        domain.name()
        for domain in truth.connection.listAllDomains()
        if domain.isPersistent() and domain.autostart() and not domain.isActive() and not truth.ours(domain)
    ]
    told = f"domains that are not ours would be started too: {', '.join(others)}" if others else "only ours are flagged"
    capability.require("restart of libvirt's daemon as after a boot", told, case.record, ok=not others)


def _known(truth: Libvirt) -> Known:
    """Return each domain by its uuid: name, whether it runs, and its QEMU processes."""
    return {
        domain.UUIDString(): (domain.name(), bool(domain.isActive()), _pids(domain.name()))
        for domain in truth.connection.listAllDomains()
    }


def _pids(name: str) -> tuple[int, ...]:
    return tuple(sorted(process.pid for process in host_process.emulators(name)))


def _same_domains(case: Case[Any], before: Known, after: Known) -> None:
    """Expect every domain of *before* to be known, and each that ran to run on in the same process."""
    for uuid, (name, active, pids) in before.items():
        now = after.get(uuid)
        if now is None or now[0] != name:
            fail(case.record, "vm-lost", f"libvirt forgot the domain '{name}' over its restart.", name)
        if active and now[1:] != (True, pids):
            message = f"'{name}' ran as {list(pids)} before libvirt's restart; now it is (running, pids) {now[1:]}."
            fail(case.record, "vm-lost", message, name)
