# SPDX-License-Identifier: GPL-2.0-or-later
"""Bring the lab up, from nothing or from whatever is left of it."""

from __future__ import annotations

import dataclasses
import json
import pwd
import shutil
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from avocado_hvqual import wait
from avocado_hvqual.errors import LabError
from avocado_hvqual.lab import budget, hosts, inside, wiring
from avocado_hvqual.lab import state as lab_state
from avocado_hvqual.lab.paths import FABRIC, FABRIC_ADDRESSES, HOSTS, LabPaths, home
from avocado_hvqual.lab.processes import boot_id, same_pid_namespace
from avocado_hvqual.lab.state import Node, State
from avocado_hvqual.lab.status import LabStatus, status
from avocado_hvqual.lab.tools import LAB_PROGRAMS, require, require_root

_PROBE_TIMEOUT = 60.0
_DAEMONS_TIMEOUT = 90.0


def up(qemu: str | None = None, qemu_user: str | None = None) -> LabStatus:
    """
    Return the lab with both hosts up: what runs and answers is left alone, the rest is started.

    *qemu* is the path of a custom QEMU to put under test in both hosts, *qemu_user* the user that libvirt runs it as (by default root);
    without them a lab that is up keeps those that it has.
    """
    inside.refuse_inside()
    require_root("The lab")
    require(LAB_PROGRAMS, "The lab")
    paths = LabPaths(home())
    with lab_state.locked(paths):
        state = _found(paths, _checked_qemu(qemu), _checked_user(qemu_user))
        with ThreadPoolExecutor(max_workers=len(HOSTS) + 1) as pool:
            missing = [name for name in (FABRIC, *HOSTS) if name not in state.nodes]
            probe = pool.submit(probe_accelerator, state.qemu) if missing or not state.accelerator else None
            state = _power_on(missing, state, paths, pool)
            _connect(state, paths)
            for done in [pool.submit(ensure_daemons, name, state.nodes[name], paths) for name in HOSTS]:
                done.result()
            if probe is not None:
                state = dataclasses.replace(state, accelerator=probe.result())
                lab_state.save(paths, state)
    return status()


def _checked_qemu(qemu: str | None) -> str | None:
    """Return the absolute path of a custom QEMU; raise `LabError` if it is no program."""
    if qemu is None:
        return None
    found = shutil.which(qemu)
    if found is None:
        msg = f"'{qemu}' is not an executable file; give the path of a qemu-system-x86_64."
        raise LabError(msg)
    return str(Path(found).resolve())


def _checked_user(user: str | None) -> str | None:
    """Return *user*; raise `LabError` if this machine, whose users the hosts have, does not know him."""
    if user is not None:
        try:
            pwd.getpwnam(user)
        except KeyError as error:
            msg = f"There is no user '{user}' to run QEMU as; libvirt's own is 'libvirt-qemu', which its package makes."
            raise LabError(msg) from error
    return user


def _found(paths: LabPaths, qemu: str | None, user: str | None) -> State:
    """Return what still lives of the lab, with everything dead cleared away."""
    try:
        known = lab_state.load(paths)
    except LabError:
        known = None
    living = known.living() if known else {}
    if known and living and qemu and known.qemu != qemu:
        has = known.qemu or "the QEMU of the distribution"
        msg = f"The lab is up with {has}; take it down ('avocado hvqual lab down') to test {qemu}."
        raise LabError(msg)
    if known and living and user and known.qemu_user != user:
        msg = f"The lab is up with QEMU as {known.qemu_user}; take it down ('avocado hvqual lab down') to run it as {user}."
        raise LabError(msg)
    for name in (FABRIC, *HOSTS):
        if name not in living:
            hosts.cut_power(name, known.nodes.get(name) if known and known.boot_id == boot_id() else None, paths)
    kept = known if known and living else None
    return dataclasses.replace(kept, nodes=living) if kept else State(boot_id(), living, qemu, qemu_user=user or "root")


def _power_on(missing: list[str], state: State, paths: LabPaths, pool: ThreadPoolExecutor) -> State:
    """Start the *missing* hosts at the same time and write each down."""
    paths.shared.mkdir(parents=True, exist_ok=True)
    (paths.shared / ".hvqual").touch()
    budgets = budget.share_out(*budget.machine())
    budgets[FABRIC] = budget.Budget(
        cpus=max(1.0, sum(item.cpus for item in budgets.values()) / 2), memory_bytes=1 << 29, processes=512
    )
    started: dict[str, Future[Node]] = {}
    for name in missing:
        started[name] = pool.submit(hosts.power_on, name, paths, budgets[name], state.qemu, state.qemu_user)
    nodes = dict(state.nodes)
    failures = []
    for name, future in started.items():
        try:
            nodes[name] = future.result()
        except (LabError, OSError, wait.WaitTimeoutError) as error:
            failures.append(str(error))
    state = dataclasses.replace(state, nodes=nodes)
    lab_state.save(paths, state)
    _no_failures(failures)
    return state


def _no_failures(failures: list[str]) -> None:
    """Raise `LabError` with all *failures*, if there are any."""
    if failures:
        raise LabError(" ".join(failures))


def _connect(state: State, paths: LabPaths) -> None:
    """Put both hosts on the fabric and serve leases there."""
    fabric = state.nodes[FABRIC]
    wiring.bridge(fabric, FABRIC, FABRIC_ADDRESSES[FABRIC])
    for name in HOSTS:
        wiring.join(fabric, name, state.nodes[name])
    if not any(_comm(pid) == "dnsmasq" for pid in same_pid_namespace(fabric.init.pid)):
        line = inside.enter_command(fabric, FABRIC, wiring.leases_command(), paths)
        run = inside.run(line, capture=True, timeout=_PROBE_TIMEOUT)
        _no_failures([f"The fabric's DHCP server did not start: {run.stderr.strip()}"] if run.returncode else [])


def _comm(pid: int) -> str:
    """Return the name of process *pid*, "" if it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def ensure_daemons(name: str, node: Node, paths: LabPaths) -> None:
    """Have the daemons and networks of host *name* running and answering."""
    line = inside.enter_command(node, name, [*hosts.DAEMONS_COMMAND, "ensure"], paths)
    try:
        run = inside.run(line, capture=True, timeout=_DAEMONS_TIMEOUT)
    except subprocess.TimeoutExpired as error:
        late = f"The daemons of host '{name}' did not start within {_DAEMONS_TIMEOUT:g} s"
        msg = f"{late}; see {paths.host(name)}/var-log-libvirt."
        raise LabError(msg) from error
    if run.returncode != 0:
        log = paths.host(name) / "var-log-libvirt" / "libvirtd.log"
        msg = f"The daemons of host '{name}' did not start: {run.stderr.strip()} In {log}, {hosts.last_line(log)}"
        raise LabError(msg)


def probe_accelerator(qemu: str | None) -> dict[str, Any]:
    """Return what the provider's probe finds: {"accelerator": "kvm" | "tcg" | "none", ...}."""
    script = provider_root() / "provider" / "hvqual" / "accelerator.py"
    line = [sys.executable, "-I", str(script), "--qemu", qemu or "qemu-system-x86_64"]
    run = subprocess.run(
        line, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_PROBE_TIMEOUT, check=False
    )
    try:
        found = json.loads(run.stdout)
    except ValueError as error:
        msg = f"The accelerator could not be found: {script} said '{run.stderr.strip()[-300:]}'."
        raise LabError(msg) from error
    if found["accelerator"] == "none":
        msg = f"No guest runs under {found['qemu']}: kvm: {found['kvm']['reason']} tcg: {found['tcg']['reason']}"
        raise LabError(msg)
    return dict(found)


def provider_root() -> Path:
    """Return the folder above the provider's trees: the checkout, else what the package installed."""
    checkout = inside.PACKAGE_ROOT
    if (checkout / "provider" / "hvqual").is_dir():
        return checkout
    return Path(sys.prefix) / "share" / "avocado-hvqual"
