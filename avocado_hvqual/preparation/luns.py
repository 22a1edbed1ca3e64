# SPDX-License-Identifier: GPL-2.0-or-later
"""The LUNs that an operator lists by WWID, and what the kernel says of the block devices that lead to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional

from avocado_hvqual.preparation.model import Node
from avocado_hvqual.preparation.virsh import virsh

_MULTIPATH = "mpath-"
#: What the kernel's SCSI drivers are, for whom a LUN's transport matters.
_SCSI = {
    "ib_srp": "rdma",
    "iser": "rdma",
    "iscsi_iser": "rdma",
    "iscsi_tcp": "iscsi",
    "virtio_scsi": "virtio",
    "qla2xxx": "fc",
    "lpfc": "fc",
}
_NVME = {"rdma": "rdma", "tcp": "tcp", "fc": "fc", "pcie": "pcie", "loop": "loop"}


@dataclass(frozen=True)
class Lun:
    """One LUN: the device to write to, and the paths that lead to it (the device itself, or those below a multipath device)."""

    wwid: str
    device: str
    paths: tuple[str, ...]

    @property
    def node(self) -> str:
        """The device's file."""
        return f"/dev/{self.device}"


def find(node: Node, wwid: str) -> Optional[Lun]:
    """Return the LUN of this WWID; None when no block device of the node has it."""
    devices = node.names("/sys/block") or ()
    paths = tuple(name for name in devices if wwid in wwids(node, name))
    if not paths:
        return None
    gathered = next((name for name in devices if _setting(node, f"{name}/dm/uuid") == f"{_MULTIPATH}{wwid}"), None)
    below = tuple(name for name in paths if name != gathered)
    return Lun(wwid, gathered or paths[0], below or paths)


def wwids(node: Node, device: str) -> set[str]:
    """
    Return the names by which a block device is known for good.

    SCSI and NVMe devices have a WWID (with or without its kind in front), a multipath device that of its paths, a virtio disk its serial
    number, and a loop device, which has nothing of the kind, its file: 'loop:/path'.
    """
    found = set()
    for place in ("device/wwid", "wwid", "uuid", "serial"):
        text = _setting(node, f"{device}/{place}")
        if text:
            found |= {text, text.partition(".")[2]} if text.startswith(("naa.", "eui.", "uuid.", "t10.")) else {text}
            if text.startswith("naa."):
                found.add(f"3{text[len('naa.') :]}")  # as udev and multipath write it
    multipath = _setting(node, f"{device}/dm/uuid")
    if multipath.startswith(_MULTIPATH):
        found.add(multipath[len(_MULTIPATH) :])
    backing = _setting(node, f"{device}/loop/backing_file")
    return (found | {f"loop:{backing}"} if backing else found) - {""}


def transport(node: Node, device: str) -> str:
    """Return what carries a path: rdma, fc, iscsi, tcp, pcie, virtio or loop; empty when the kernel does not tell."""
    if _setting(node, f"{device}/loop/backing_file"):
        return "loop"
    if device.startswith("vd"):
        return "virtio"
    if device.startswith("nvme"):
        return _NVME.get(_setting(node, f"{device}/device/transport"), "")
    where = node.run(["readlink", "-f", f"/sys/block/{device}/device"])
    host = next((part for part in where.stdout.split("/") if part[:4] == "host" and part[4:].isdigit()), "")
    driver = (node.read(f"/sys/class/scsi_host/{host}/proc_name") or "").strip() if host else ""
    return _SCSI.get(driver, "")


def state(node: Node, device: str) -> str:
    """Return what the kernel says of a path: 'running' for SCSI, 'live' for NVMe; empty where it says nothing."""
    return _setting(node, f"{device}/device/state")


def used_by(node: Node, lun: Lun, owners: dict[str, list[str]]) -> list[str]:
    """Return what holds a LUN or lies upon it: a mapping, a RAID, partitions, a domain of *owners* (see of_domains)."""
    device = lun.device
    held = [f"disk of the domain {name}" for path in {device, *lun.paths} for name in owners.get(path, ())]
    held += [f"held by {name}" for name in node.names(f"/sys/block/{device}/holders") or ()]
    inside = node.names(f"/sys/block/{device}") or ()
    return held + [f"partition {name}" for name in inside if name.startswith(device)]


def of_domains(node: Node) -> Optional[dict[str, list[str]]]:
    """
    Return the devices that are disks of domains, running or not, with the domains' names; None when libvirt does not answer.

    A raw disk of a domain that is shut off has no signature, no holder and no opener, and yet is somebody's.
    """
    every = virsh(node, "list", "--all", "--name")
    if not every.ok:
        return None
    owners: dict[str, list[str]] = {}
    for name in filter(None, (line.strip() for line in every.stdout.splitlines())):
        disks = virsh(node, "domblklist", "--", name)
        rows = [line.split(None, 1) for line in disks.stdout.splitlines() if line.strip()]
        if not disks.ok or any(len(row) < len(("target", "source")) for row in rows):
            return None
        for _target, source in rows:
            if source.startswith("/dev/"):
                owners.setdefault(source.strip(), []).append(name)
    resolved: dict[str, list[str]] = {}
    for source, names in owners.items():
        real = node.run(["readlink", "-f", "--", source])
        if not real.ok or not real.stdout.startswith("/dev/"):
            return None
        resolved.setdefault(real.stdout.strip().rpartition("/")[2], []).extend(names)
    return resolved


def rdma_ports(node: Node) -> dict[str, str]:
    """Return the ports of the RDMA adapters, 'mlx5_0/1', with their state, '4: ACTIVE'."""
    folder = "/sys/class/infiniband"
    return {
        f"{adapter}/{port}": (node.read(f"{folder}/{adapter}/ports/{port}/state") or "").strip()
        for adapter in node.names(folder) or ()
        for port in node.names(f"{folder}/{adapter}/ports") or ()
    }


def listed(node: Node) -> list[dict[str, Any]]:
    """Return what the operator says of each LUN."""
    return list(node.expected["storage"]["luns"])


def _setting(node: Node, place: str) -> str:
    return (node.read(f"/sys/block/{place}") or "").strip()
