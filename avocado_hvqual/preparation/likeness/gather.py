# SPDX-License-Identifier: GPL-2.0-or-later
"""What a node is made of, read from the kernel, the firmware and libvirt; nothing is changed, no guest is started."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Optional

from avocado_hvqual.preparation.likeness import gather_libvirt
from avocado_hvqual.preparation.likeness.profile import Fact, Profile
from avocado_hvqual.preparation.model import Node

Facts = dict[str, Fact]
Unseen = dict[str, str]
NONE = "none"
"""What a node is said to have of a thing that is not there: a fact, unlike what could not be seen."""
#: Words of the kernel's command line that are one boot's or one disk's.
_OWN_WORDS = re.compile(r"^(BOOT_IMAGE|root|initrd|resume|rootflags|ip|systemd\.machine_id|hostname)=")
SYSCTLS = (
    "fs.aio-max-nr",
    "fs.file-max",
    "kernel.numa_balancing",
    "kernel.pid_max",
    "kernel.sched_rt_runtime_us",
    "kernel.sysrq",
    "kernel.panic",
    "kernel.watchdog",
    "net.bridge.bridge-nf-call-iptables",
    "net.core.rmem_max",
    "net.core.wmem_max",
    "net.core.somaxconn",
    "net.ipv4.conf.all.rp_filter",
    "net.ipv6.conf.all.forwarding",
    "vm.dirty_background_ratio",
    "vm.dirty_ratio",
    "vm.max_map_count",
    "vm.min_free_kbytes",
    "vm.overcommit_memory",
    "vm.swappiness",
    "vm.zone_reclaim_mode",
)
_FIRMWARE = {
    "vendor": "sys_vendor",
    "product": "product_name",
    "bios_vendor": "bios_vendor",
    "bios_version": "bios_version",
    "bios_date": "bios_date",
    "serial": "product_serial",
}


def profile(node: Node, name: str, taken: int) -> Profile:
    """Return the profile of a node; what cannot be seen is in it with the reason."""
    facts: Facts = {}
    unseen: Unseen = {}
    sources: tuple[Callable[[Node, Facts, Unseen], None], ...] = (_system, _cpu, _memory, _kernel_settings, _cards)
    for source in sources:
        source(node, facts, unseen)
    uri = str(node.expected["libvirt"]["uri"])
    cpus = gather_libvirt.gather(node, uri, facts, unseen)
    gather_libvirt.programs(node, facts, unseen)
    return Profile(name, taken, facts, unseen, cpus)


def setting(node: Node, path: str) -> Optional[str]:
    """Return a file's text without its ends; None when it cannot be read."""
    text = node.read(path)
    return None if text is None else text.strip().strip("\0")


def _put(facts: Facts, unseen: Unseen, name: str, value: Optional[Fact], source: str) -> None:
    if value is None:
        unseen[name] = f"{source} cannot be read"
    else:
        facts[name] = value


def _system(node: Node, facts: Facts, unseen: Unseen) -> None:
    """Put the host's names, the distribution, the kernel and the firmware."""
    name = setting(node, "/proc/sys/kernel/hostname")
    _put(facts, unseen, "host.name", name, "/proc/sys/kernel/hostname")
    _put(facts, unseen, "host.machine_id", setting(node, "/etc/machine-id"), "/etc/machine-id")
    release = dict(re.findall(r'^([A-Z_]+)="?([^"\n]*)"?$', node.read("/etc/os-release") or "", re.MULTILINE))
    for key, word in {"id": "ID", "version": "VERSION_ID"}.items():
        facts[f"os.{key}"] = release.get(word, NONE)
    for key, path in {
        "release": "/proc/sys/kernel/osrelease",
        "build": "/proc/sys/kernel/version",
        "taint": "/proc/sys/kernel/tainted",
    }.items():
        _put(facts, unseen, f"kernel.{key}", setting(node, path), path)
    words = setting(node, "/proc/cmdline")
    kept = None if words is None else tuple(sorted(it for it in words.split() if not _OWN_WORDS.match(it)))
    _put(facts, unseen, "kernel.cmdline", kept, "/proc/cmdline")
    present = node.names("/sys/class/dmi/id") is not None
    for key, file in _FIRMWARE.items():
        value = setting(node, f"/sys/class/dmi/id/{file}") if present else NONE
        _put(facts, unseen, f"firmware.{key}", value, f"/sys/class/dmi/id/{file}")


def _cpu(node: Node, facts: Facts, unseen: Unseen) -> None:
    """Put what the kernel tells of the CPUs; what is not the same on each of them is told of each kind."""
    text = node.read("/proc/cpuinfo")
    if not text:
        unseen["cpu"] = "/proc/cpuinfo cannot be read"
        return
    each = [dict(re.findall(r"^([^:\t]+?)\s*: ?(.*)$", part, re.MULTILINE)) for part in text.strip().split("\n\n")]
    facts["cpu.count"] = len(each)
    names = {"model": "model name", "vendor": "vendor_id", "family": "cpu family", "number": "model"}
    for key, word in {**names, "stepping": "stepping", "microcode": "microcode"}.items():
        facts[f"cpu.{key}"] = ", ".join(sorted({cpu.get(word, NONE) for cpu in each}))
    kinds = {tuple(sorted(cpu.get("flags", "").split())) for cpu in each}
    facts["cpu.flags"] = min(kinds)
    facts["cpu.kinds"] = len(kinds)
    facts["cpu.sockets"] = len({cpu.get("physical id", "0") for cpu in each})
    facts["cpu.threads"] = setting(node, "/sys/devices/system/cpu/smt/active") or NONE
    folder = "/sys/devices/system/cpu/vulnerabilities"
    for name in node.names(folder) or ():
        _put(facts, unseen, f"cpu.mitigation.{name}", setting(node, f"{folder}/{name}"), f"{folder}/{name}")


def _memory(node: Node, facts: Facts, unseen: Unseen) -> None:
    """Put memory, its NUMA nodes, huge pages and how pages are merged."""
    _put(facts, unseen, "memory.kib", _kib(node.read("/proc/meminfo")), "/proc/meminfo")
    folder = "/sys/devices/system/node"
    cells = [name for name in node.names(folder) or () if re.match(r"node\d+$", name)]
    facts["numa.nodes"] = len(cells)
    for cell in cells:
        for key, file in {"cpus": "cpulist", "distance": "distance"}.items():
            _put(
                facts, unseen, f"numa.{cell}.{key}", setting(node, f"{folder}/{cell}/{file}"), f"{folder}/{cell}/{file}"
            )
        _put(facts, unseen, f"numa.{cell}.kib", _kib(node.read(f"{folder}/{cell}/meminfo")), f"{folder}/{cell}/meminfo")
    pages = "/sys/kernel/mm/hugepages"
    for size in node.names(pages) or ():
        count = setting(node, f"{pages}/{size}/nr_hugepages") or ""
        value = int(count) if count.isdigit() else None
        _put(facts, unseen, f"hugepages.{size.partition('-')[2]}", value, f"{pages}/{size}/nr_hugepages")
    chosen = re.search(r"\[(\w+)\]", node.read("/sys/kernel/mm/transparent_hugepage/enabled") or "")
    facts["thp.enabled"] = chosen.group(1) if chosen else NONE
    facts["ksm.run"] = setting(node, "/sys/kernel/mm/ksm/run") or NONE


def _kib(text: Optional[str]) -> Optional[int]:
    found = re.search(r"MemTotal:\s*(\d+) kB", text or "")
    return int(found.group(1)) if found else None


def _kernel_settings(node: Node, facts: Facts, _unseen: Unseen) -> None:
    """Put the kernel parameters that matter for guests, and the parameters of KVM's modules."""
    for name in SYSCTLS:
        value = setting(node, f"/proc/sys/{name.replace('.', '/')}")
        facts[f"sysctl.{name}"] = NONE if value is None else " ".join(value.split())
    for module in ("kvm", "kvm_intel", "kvm_amd"):
        folder = f"/sys/module/{module}/parameters"
        for parameter in node.names(folder) or ():
            value = setting(node, f"{folder}/{parameter}")
            if value is not None:
                facts[f"kvm.{module}.{parameter}"] = value


def _cards(node: Node, facts: Facts, unseen: Unseen) -> None:
    """Put the network cards: devices that stand for hardware, not bridges and guests' ends."""
    folder = "/sys/class/net"
    every = node.names(folder)
    if every is None:
        unseen["nic"] = f"{folder} cannot be read"
    cards = [name for name in every or () if node.names(f"{folder}/{name}/device") is not None]
    facts["nic.count"] = len(cards)
    for card in cards:
        events = dict(re.findall(r"^(\w+)=(.*)$", node.read(f"{folder}/{card}/device/uevent") or "", re.MULTILINE))
        facts[f"nic.{card}.driver"] = events.get("DRIVER", NONE)
        for key, file in {"mac": "address", "mtu": "mtu"}.items():
            _put(
                facts, unseen, f"nic.{card}.{key}", setting(node, f"{folder}/{card}/{file}"), f"{folder}/{card}/{file}"
            )
        speed = setting(node, f"{folder}/{card}/speed") or ""
        facts[f"nic.{card}.speed"] = int(speed) if speed.isdigit() else 0
