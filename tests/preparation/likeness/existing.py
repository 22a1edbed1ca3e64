# SPDX-License-Identifier: GPL-2.0-or-later
"""A node as `node facts` sees it, and an existing one that is like it."""

import dataclasses
import json

from avocado_hvqual.preparation.likeness import gather
from avocado_hvqual.preparation.model import Ran
from tests.preparation.captured import load

V = "virsh -q -c qemu:///system"
QEMU = "/usr/bin/qemu-system-x86_64"
CPU = '<cpu><model fallback="forbid">Icelake-Server</model><vendor>Intel</vendor><feature policy="require" name="vmx" /></cpu>'
CAPABILITIES = """<capabilities><host><uuid>4c4c4544-0050-4310-8035-c7c04f4e3732</uuid>
  <cpu><arch>x86_64</arch></cpu>
  <migration_features><live/><uri_transports><uri_transport>tcp</uri_transport></uri_transports></migration_features>
  <secmodel><model>apparmor</model></secmodel></host>
  <guest><arch name='i686'><machine>isapc</machine></arch></guest>
  <guest><arch name='x86_64'><machine>pc</machine><machine>q35</machine><domain type='qemu'/><domain type='kvm'/></arch></guest>
</capabilities>"""
DOMAIN = f"""<domainCapabilities><cpu><mode name='host-passthrough' supported='yes'/>
<mode name='host-model' supported='yes'>{CPU[5:-6]}</mode></cpu></domainCapabilities>"""
COMMANDS = {
    f"{V} capabilities": CAPABILITIES,
    f"{V} version --daemon": (
        "Compiled against library: libvirt 9.0.0\nUsing library: libvirt 9.0.0\nUsing API: QEMU 9.0.0\n"
        "Running hypervisor: QEMU 7.2.22\nRunning against daemon: 9.0.0\n"
    ),
    f"{V} pool-list --all --name": "images\n\n",
    f"{V} pool-dumpxml images": (
        "<pool type='dir'><name>images</name><capacity unit='bytes'>2199023255552</capacity>"
        "<target><path>/var/lib/libvirt/images</path></target></pool>"
    ),
    f"{V} net-list --all --name": "default\n\n",
    f"{V} net-dumpxml default": "<network><name>default</name><forward mode='nat'/><bridge name='virbr0'/></network>",
    f"{V} domcapabilities --virttype kvm": DOMAIN,
    f"{V} domcapabilities --virttype qemu": DOMAIN,
    f"sha256sum -- {QEMU}": f"{'5a' * 32}  {QEMU}\n",
}
FILES = {
    "/etc/machine-id": "3d1219c7c4c5404aaa1f6d2a48adfda4\n",
    "/proc/sys/kernel/hostname": "new-1\n",
    "/proc/sys/vm/swappiness": "60\n",
    "/proc/meminfo": "MemTotal:       263857340 kB\nMemFree: 1 kB\n",
    "/sys/class/dmi/id/sys_vendor": "Maker\n",
    "/sys/class/dmi/id/product_serial": "CZ1234\n",
    "/sys/devices/system/cpu/smt/active": "1\n",
    "/sys/kernel/mm/ksm/run": "0\n",
    "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages": "1024\n",
    "/sys/class/net/lo/address": "00:00:00:00:00:00\n",
    "/sys/class/net/virbr0/address": "52:54:00:00:00:01\n",
    "/sys/class/net/eno1/device/uevent": "DRIVER=mlx5_core\nPCI_ID=15B3:1017\n",
    "/sys/class/net/eno1/address": "b8:ce:f6:00:00:01\n",
    "/sys/class/net/eno1/mtu": "9000\n",
    "/sys/class/net/eno1/speed": "25000\n",
}
for number in (0, 1):
    FILES |= {
        f"/sys/devices/system/node/node{number}/cpulist": f"{number}\n",
        f"/sys/devices/system/node/node{number}/distance": "10 21\n",
        f"/sys/devices/system/node/node{number}/meminfo": f"Node {number} MemTotal:       131928670 kB\n",
    }
_CAPTURED = load("debian-12")
NODE = _CAPTURED.changed(
    FILES,
    {words: Ran(0, said) for words, said in COMMANDS.items()},
    {"identity": {"profiles": [], "peer": "", "may_differ": []}, "qemu": [{"path": QEMU}]},
)
HERE = gather.profile(NODE, "new-1", 1000)
THERE = dataclasses.replace(
    HERE,
    node="old-1",
    facts={
        **HERE.facts,
        "host.name": "old-1",
        "host.machine_id": "00112233445566778899aabbccddeeff",
        "libvirt.host_uuid": "4c4c4544-0050-4310-8035-000000000000",
        "nic.eno1.mac": "b8:ce:f6:00:00:99",
        "firmware.serial": "CZ9999",
    },
)


def asked(answer, ours=None):
    """The node, whose libvirt answers *answer* when it is asked for the existing node's CPU."""
    words = ["ask", "cpu_between", "qemu:///system", "kvm", THERE.cpus["kvm"], ours or HERE.cpus["kvm"]]
    node = NODE.changed()
    asks = node.ask

    def ask(program, *arguments, timeout=20.0):
        if ["ask", program, *arguments] == words:
            return Ran(0, json.dumps(answer))
        return asks(program, *arguments)

    node.ask = ask
    node.changed = lambda files=(), commands=(), expected=(): _again(NODE.changed(files, commands, expected), ask)
    return node


def _again(node, ask):
    node.ask = ask
    return node
