# SPDX-License-Identifier: GPL-2.0-or-later
"""A node's users, networks, LUNs and daemons in order, and what is broken of them, one thing at a time, with the name to tell."""

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
LISTEN = "ss -Hltnp"
# What is broken: changed files, changed commands, another description; the check that must tell it, and the one defect.
SEEDS = {
    "network undefined": ({}, edited(f"{V} net-list --all --name", "default\n", ""), {}, "network default"),
    "network inactive": (
        {},
        edited(f"{V} net-info default", "Active:         yes", "Active:         no"),
        {},
        "network default: active",
    ),
    "network not autostarted": (
        {},
        edited(f"{V} net-info default", "Autostart:      yes", "Autostart:      no"),
        {},
        "network default: autostart",
    ),
    "autostart only in memory": (
        {"/etc/libvirt/qemu/networks/autostart/default.xml": None},
        {},
        {},
        "network default: autostart link",
    ),
    "network transient": (
        {},
        edited(f"{V} net-info default", "Persistent:     yes", "Persistent:     no"),
        {},
        "network default: persistence",
    ),
    "network without DHCP": (
        {},
        {f"{V} net-dumpxml default": Ran(0, NODE.commands[f"{V} net-dumpxml default"].stdout.replace("dhcp>", "d>"))},
        {},
        "network default: DHCP",
    ),
    "dnsmasq dead": ({"/proc/90/comm": None, "/proc/90/cmdline": None}, {}, {}, "dnsmasq of default"),
    "its number is another program's": ({"/proc/90/comm": "bash\n"}, {}, {}, "dnsmasq of default"),
    "dnsmasq of another network": (
        {"/proc/90/cmdline": NODE.files["/proc/92/cmdline"]},
        {},
        {},
        "dnsmasq of default",
    ),
    "no masquerading": (
        {},
        edited(NAT, "192.168.122.0/24 ! -d 192.168.122.0/24 -j MASQUERADE\n", "10.9.0.0/24 -j MASQUERADE\n"),
        {},
        "NAT rules of default",
    ),
    "nobody jumps to the rules": ({}, edited(NAT, "-A POSTROUTING -j LIBVIRT_PRT\n", ""), {}, "NAT rules of default"),
    "nothing is forwarded": (
        {},
        edited(FILTER, "-A LIBVIRT_FWO -s 192.168.122.0/24 -i virbr0 -j ACCEPT\n", ""),
        {},
        "NAT rules of default",
    ),
    "bridge gone": ({}, {"ip -json addr show dev virbr0": Ran(1, "", "no such device")}, {}, "bridge virbr0"),
    "bridge down": ({}, edited("ip -json addr show dev virbr0", ',"UP"]', "]"), {}, "bridge virbr0"),
    "bridge of another address": (
        {},
        edited("ip -json addr show dev virbr0", '"192.168.122.1"', '"192.168.123.1"'),
        {},
        "bridge virbr0: address",
    ),
    "forwarding off": ({"/proc/sys/net/ipv4/ip_forward": "0\n"}, {}, {}, "net.ipv4.ip_forward"),
    "own network undefined": ({}, edited(f"{V} net-list --all --name", "quarantine\n", ""), {}, "network quarantine"),
    "isolated network forwards": (
        {},
        edited(f"{V} net-dumpxml quarantine", "  <bridge", "  <forward mode='nat'/>\n  <bridge"),
        {"networks": [NETWORKS[0], NETWORKS[2]]},
        "network quarantine: forward mode",
    ),
    "network on another bridge": (
        {},
        edited(f"{V} net-dumpxml fabric", "br0", "br9"),
        {},
        "network fabric: bridge",
    ),
    "network of another address": (
        {},
        {
            **edited(f"{V} net-dumpxml customers", "10.88.2.1", "10.88.3.1"),
            **edited("ip -json addr show dev virbr11", "10.88.2.1", "10.88.3.1"),
        },
        {},
        "network customers: address",
    ),
    "bridge without a way out": (
        {"/sys/class/net/br0/brif/fab0/port_no": None, "/sys/class/net/br0/brif/vnet3/port_no": "1"},
        {},
        {},
        "bridge br0: way out",
    ),
    "no VLAN": (
        {},
        {"ip -d -json link show dev fab0": Ran(0, '[{"linkinfo": {"info_kind": "veth"}}]')},
        {"networks": [NETWORKS[0], {**NETWORKS[3], "kind": "vlan", "vlan": 120}]},
        "bridge br0: VLAN",
    ),
    "another VLAN": (
        {"/proc/net/vlan/fab0": "fab0  VID: 121\t REORDER_HDR: 1\n"},
        {},
        {"networks": [NETWORKS[0], {**NETWORKS[3], "kind": "vlan", "vlan": 120}]},
        "bridge br0: VLAN",
    ),
    "group missing": (
        {},
        {"getent group libvirt": Ran(2), "getent group libvirtd": Ran(2)},
        {},
        "group libvirt",
    ),
    "user missing": ({}, {"getent passwd hvqual": Ran(2)}, {}, "user hvqual"),
    "user is root": ({}, edited("getent passwd hvqual", ":1001:", ":0:"), {}, "user hvqual"),
    "user outside the group": ({}, edited("id -nG hvqual", " libvirt", ""), {}, "user hvqual: groups"),
    "user refused": (
        {},
        {AS.format("hvqual"): NODE.commands[AS.format("nobody")]},
        {},
        "user hvqual: connection",
    ),
    "user sees other domains": ({}, edited(AS.format("hvqual"), "web-1\n", ""), {}, "user hvqual: domains"),
    "outsider let in": ({}, {AS.format("nobody"): Ran(0, "web-1\nold\n")}, {}, "outsider nobody: connection"),
    "outsider in the group": ({}, {"id -nG nobody": Ran(0, "nogroup libvirt\n")}, {}, "outsider nobody: groups"),
    "LUN missing": (
        {f"/sys/block/{name}/device/wwid": "naa.5\n" for name in ("sdb", "sdc")} | {"/sys/block/dm-0/dm/uuid": "LVM-1"},
        {},
        {},
        f"LUN {LUN}",
    ),
    "path failed": ({"/sys/block/sdc/device/state": "offline\n"}, {}, {}, f"LUN {LUN}: paths"),
    "path lost": ({"/sys/block/sdc/device/wwid": "naa.5\n"}, {}, {}, f"LUN {LUN}: paths"),
    "LUN by TCP": (
        {"/sys/class/scsi_host/host3/proc_name": "iscsi_tcp\n"},
        {},
        {},
        f"LUN {LUN}: transport of sdc",
    ),
    "LUN too small": ({}, lun("dm-0", '{"trouble": [], "bytes": 536870912}'), {}, f"LUN {LUN}: size"),
    "LUN with a file system": (
        {},
        lun("loop0", '{"trouble": ["signature ext4 at 0x438"], "bytes": 67108864}'),
        {},
        f"LUN {LOOP}: free",
    ),
    "LUN held": ({"/sys/block/dm-0/holders/dm-1": ""}, {}, {}, f"LUN {LUN}: free"),
    "LUN partitioned": ({"/sys/block/loop0/loop0p1/size": "1"}, {}, {}, f"LUN {LOOP}: free"),
    "LUN is a domain's disk": (
        {},
        {
            f"{V} domblklist -- old": Ran(0, " vdb      /dev/mapper/lun\n"),
            "readlink -f -- /dev/mapper/lun": Ran(0, "/dev/dm-0\n"),
        },
        {},
        f"LUN {LUN}: free",
    ),
    "RDMA link down": (
        {"/sys/class/infiniband/mlx5_0/ports/1/state": "1: DOWN\n"},
        {},
        {},
        "RDMA link mlx5_0/1",
    ),
    "RDMA adapter gone": ({"/sys/class/infiniband/mlx5_0/ports/1/state": None}, {}, {}, "RDMA link mlx5_0/1"),
    "daemon dead": (
        {},
        {
            **edited(PS, "    120 Ssl  prometheus-node /usr/bin/prometheus-node-exporter\n", ""),
            "service prometheus-node-exporter status": Ran(3),
        },
        {},
        "daemon node exporter",
    ),
    "daemon is a zombie": (
        {},
        {
            **edited(PS, "120 Ssl  prometheus-node /usr/bin/prometheus-node-exporter", "120 Z    prometheus-node [p]"),
            "service prometheus-node-exporter status": Ran(1),
        },
        {},
        "daemon node exporter",
    ),
    "port closed": ({}, edited(LISTEN, "*:9100", "*:9101"), {}, "daemon node exporter: port 9100"),
    "port of another program": (
        {},
        edited(LISTEN, '(("prometheus-node",pid=120', '(("nc",pid=7'),
        {},
        "daemon node exporter: port 9100",
    ),
    "socket closed": (
        {},
        edited("ss -Hlx", "/run/libvirt/libvirt-sock ", "/run/libvirt/other-sock "),
        {},
        "daemon libvirt: socket",
    ),
    "API refuses": ({}, {ANSWER: Ran(0, '{"status": 503, "text": ""}')}, {}, "daemon node exporter: answer"),
    "API silent": ({}, {ANSWER: Ran(0, '{"error": "timed out"}')}, {}, "daemon node exporter: answer"),
    "API says something else": (
        {},
        edited(ANSWER, "\\nnode_cpu", "\\nother_cpu"),
        {},
        "daemon node exporter: answer",
    ),
    "exporter without libvirt": (
        {},
        edited(LIBVIRT_ANSWER, "libvirt_up 1", "libvirt_up 0"),
        {},
        "daemon libvirt exporter: answer",
    ),
    "exporter misses a domain": (
        {},
        edited(LIBVIRT_ANSWER, 'libvirt_domain_info_virtual_cpus{domain=\\"web-1\\"} 1\\n', ""),
        {},
        "daemon libvirt exporter: domains",
    ),
    "exporter names one that is gone": ({}, {f"{V} list --name": Ran(0, "\n")}, {}, "daemon libvirt exporter: domains"),
    "unit dead": (BOOTED, systemd("libvirtd.service", ActiveState="failed", MainPID="0"), ONE_DAEMON, "daemon libvirt"),
    "unit unknown": (BOOTED, systemd("libvirtd.service", LoadState="not-found"), ONE_DAEMON, "daemon libvirt"),
    "unit disabled": (
        BOOTED,
        systemd("libvirtd.service", UnitFileState="disabled"),
        ONE_DAEMON,
        "daemon libvirt: start with the host",
    ),
    "unit stays down": (BOOTED, systemd("libvirtd.service", Restart="no"), ONE_DAEMON, "daemon libvirt: after a crash"),
}
