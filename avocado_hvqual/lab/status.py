# SPDX-License-Identifier: GPL-2.0-or-later
"""What the lab looks like now."""

from __future__ import annotations

import dataclasses
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from avocado_hvqual.lab import inside
from avocado_hvqual.lab import state as lab_state
from avocado_hvqual.lab.daemons import OOM_SCORE_ADJ
from avocado_hvqual.lab.paths import FABRIC, FABRIC_ADDRESSES, HOSTS, LabPaths, home
from avocado_hvqual.lab.state import Node
from avocado_hvqual.lab.tools import require_root

_ANSWER_TIMEOUT = 10.0


@dataclasses.dataclass(frozen=True)
class HostStatus:
    """One host: *pid* is its first process seen from outside, *domains* and *networks* are None when libvirtd does not answer."""

    name: str
    running: bool
    pid: int | None = None
    address: str = ""
    socket: str = ""
    libvirtd: bool = False
    networks: tuple[str, ...] | None = None
    domains: tuple[str, ...] | None = None
    oom_score_adj: int | None = None

    @property
    def protected(self) -> bool:
        """Whether the OOM killer leaves libvirtd to the last (decision 10)."""
        return self.oom_score_adj == OOM_SCORE_ADJ

    @property
    def sound(self) -> bool:
        """Whether the host can be worked with."""
        return self.running and self.libvirtd and "default" in (self.networks or ())


@dataclasses.dataclass(frozen=True)
class LabStatus:
    """The lab: *home* is its state home, *qemu* the custom QEMU under test (None: the distribution's), *qemu_user* whom it runs as."""

    home: str
    lab_id: str
    shared: str
    fabric: bool
    hosts: tuple[HostStatus, ...]
    qemu: str | None = None
    accelerator: str = ""
    accelerator_reasons: dict[str, Any] = dataclasses.field(default_factory=dict)
    qemu_user: str = "root"

    @property
    def up(self) -> bool:
        """Whether everything is as `up` leaves it."""
        return self.fabric and all(host.sound for host in self.hosts)

    def as_dict(self) -> dict[str, Any]:
        """The status as JSON."""
        return {"up": self.up, **dataclasses.asdict(self)}


def status() -> LabStatus:
    """Return the lab as it is; a lab that was never brought up is one whose hosts do not run."""
    inside.refuse_inside()
    require_root("The lab")
    paths = LabPaths(home())
    state = lab_state.load(paths)
    living = state.living() if state else {}
    with ThreadPoolExecutor(max_workers=len(HOSTS)) as pool:
        found = tuple(pool.map(lambda name: host_status(name, living.get(name), paths), HOSTS))
    probe = state.accelerator if state else {}
    reasons: dict[str, Any] = {name: probe[name]["reason"] for name in ("kvm", "tcg") if name in probe}
    return LabStatus(
        home=str(paths.home),
        lab_id=paths.lab_id,
        shared=str(paths.shared),
        fabric=FABRIC in living,
        hosts=found,
        qemu=state.qemu if state else None,
        accelerator=str(probe.get("accelerator", "")),
        accelerator_reasons=reasons,
        qemu_user=state.qemu_user if state else "root",
    )


def host_status(name: str, node: Node | None, paths: LabPaths) -> HostStatus:
    """Ask one host."""
    if node is None:
        return HostStatus(name, running=False)
    networks = _names(name, node, paths, "net-list", "--name")
    domains = _names(name, node, paths, "list", "--name") if networks is not None else None
    return HostStatus(
        name,
        running=True,
        pid=node.init.pid,
        address=FABRIC_ADDRESSES[name],
        socket=str(paths.libvirt_socket(name)),
        libvirtd=networks is not None,
        networks=networks,
        domains=domains,
        oom_score_adj=_oom_score_adj(node),
    )


def _oom_score_adj(node: Node) -> int | None:
    """Return the score of the host's libvirtd, None if it does not run."""
    try:
        pid = int(inside.inner(node, "/run/libvirtd.pid").read_text(encoding="ascii"))
        return int(inside.inner(node, f"/proc/{pid}/oom_score_adj").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _names(name: str, node: Node, paths: LabPaths, *question: str) -> tuple[str, ...] | None:
    """Return the names that virsh lists in the host, None if libvirtd does not answer."""
    line = inside.enter_command(node, name, ["virsh", "-q", "-c", "qemu:///system", *question], paths)
    try:
        run = inside.run(line, capture=True, timeout=_ANSWER_TIMEOUT)
    except subprocess.TimeoutExpired:
        return None
    return tuple(run.stdout.split()) if run.returncode == 0 else None
