# SPDX-License-Identifier: GPL-2.0-or-later
"""A node's users, networks, LUNs and daemons in order, and how one of their answers is changed."""

from avocado_hvqual.preparation.model import Ran
from tests.preparation.captured import load

V = "virsh -q -c qemu:///system"
AS = "runuser -u {} -- env HOME=/nonexistent virsh -q -c qemu:///system list --all --name"
NAT, FILTER = "iptables -w 5 -t nat -S", "iptables -w 5 -t filter -S"
PS = "ps -e -o pid=,stat=,comm=,args="
NODE_EXPORTER = {"name": "node exporter", "unit": "prometheus-node-exporter", "port": 9100, "path": "/metrics"}
LUN, LOOP = "36001405deadbeef", "loop:/var/lib/hvq-lun"
NETWORKS = [
    {"name": "default", "kind": "nat"},
    {
        "name": "customers",
        "kind": "routed",
        "bridge": "virbr11",
        "address": "10.88.2.1/24",
        "dhcp": True,
        "reaches": ["customers", "fabric"],
    },
    {
        "name": "quarantine",
        "kind": "isolated",
        "bridge": "virbr10",
        "address": "10.88.1.1/24",
        "dhcp": True,
        "reaches": ["quarantine"],
    },
    {
        "name": "fabric",
        "kind": "bridge",
        "bridge": "br0",
        "guests": ["10.77.0.110/24", "10.77.0.111/24"],
        "gateway": "10.77.0.254",
        "reaches": ["fabric"],
    },
]
EXPECTED = {
    "networks": NETWORKS,
    "storage": {
        "luns": [
            {"wwid": LUN, "minimum_mib": 1024, "transport": "rdma", "paths": 2},
            {"wwid": LOOP, "transport": "loop", "minimum_mib": 64},
        ],
        "rdma_links": ["mlx5_0/1"],
    },
    "daemons": [
        {"name": "libvirt", "unit": "libvirtd.service", "socket": "/run/libvirt/libvirt-sock"},
        {**NODE_EXPORTER, "answers": "^node_cpu_seconds_total"},
        {
            "name": "libvirt exporter",
            "unit": "prometheus-libvirt-exporter.service",
            "port": 9177,
            "path": "/metrics",
            "answers": "^libvirt_up 1",
            "domains": r'^libvirt_domain_info_virtual_cpus\{(?:.*,)?domain="([^"]+)"',
        },
    ],
}
NODE = load("services").changed(expected=EXPECTED)


def edited(words, old, new):
    """What a command said, with one text in it exchanged."""
    said = NODE.commands[words].stdout
    assert old in said, words
    return {words: Ran(0, said.replace(old, new))}


def lun(device, said):
    return {f"ask lun look /dev/{device}": Ran(0, said)}


def systemd(unit, **told):
    """What systemd says of a unit that is in order, but for *told*."""
    whole = {"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled", "MainPID": "11"}
    names = [f"--property={name}" for name in ("LoadState", "ActiveState", "UnitFileState", "MainPID", "Restart")]
    said = "".join(f"{key}={value}\n" for key, value in {**whole, "Restart": "always", **told}.items())
    return {f"systemctl show {unit} {' '.join(names)}": Ran(0, said)}


BOOTED = {"/run/systemd/system/marker": ""}
ONE_DAEMON = {"daemons": [{"name": "libvirt", "unit": "libvirtd.service"}]}
ANSWER, LIBVIRT_ANSWER = (f"ask answer http://127.0.0.1:{port}/metrics" for port in (9100, 9177))
LISTEN = "env PROC_ROOT=/proc ss -Hltnp"
