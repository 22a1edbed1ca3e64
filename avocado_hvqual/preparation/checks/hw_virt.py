# SPDX-License-Identifier: GPL-2.0-or-later
"""Can this node run guests by hardware: flags, /dev/kvm, devices, libvirt's own opinion, and a guest that really ran."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from avocado_hvqual.preparation import answers, kernel, remedies
from avocado_hvqual.preparation.model import Check, Defect, Fact, Looked, Node, Remedy, Value, looked

KVM_API = 12
"""KVM_GET_API_VERSION since Linux 2.6.22; the kernel promises that it never changes."""
# vhost_net and tun are devices, the bridge is none.
DEVICES = {"vhost_net": ("/dev", "vhost-net"), "tun": ("/dev/net", "tun")}
_VALIDATE = re.compile(r"^\s*QEMU: Checking (?:for |if )?(.+?)\s+: (PASS|WARN|FAIL)(?: \((.*)\))?$", re.MULTILINE)
# What virt-host-validate's lines are about and a question of our own answers better.
_OURS = ("hardware virtualization", "/dev/kvm", "/dev/vhost-net", "/dev/net/tun")


@dataclass
class _Seen:
    """What was gathered on the way; *against* is what speaks against guests by hardware."""

    facts: list[Fact] = field(default_factory=list)
    defects: list[Defect] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)
    against: list[str] = field(default_factory=list)

    def fact(self, name: str, value: Value, source: str) -> None:
        self.facts.append(Fact(name, value, source))


def look(node: Node) -> Looked:
    """Ask the CPU, /dev/kvm, a guest, libvirt and the devices, in this order."""
    seen = _Seen()
    _flags(node, seen)
    _device(node, seen)
    _guest(node, seen)
    _libvirt(node, seen)
    if seen.against and node.expected["virtualization"]["accelerator"] == "kvm":
        found = "; ".join(seen.against)
        expected = "a CPU with vmx or svm, /dev/kvm with interface version 12, libvirt offering kvm, a guest that ran"
        seen.defects.append(Defect("hardware virtualization", found, expected, _enable(node), "kvm"))
    for name in node.expected["virtualization"]["devices"]:
        _driver(node, name, seen)
    _validate(node, seen)
    return looked(seen.facts, seen.defects, seen.unseen)


def _flags(node: Node, seen: _Seen) -> None:
    text = node.read("/proc/cpuinfo")
    flags = re.search(r"^flags\s*:(.*)$", text or "", re.MULTILINE)
    if flags is None:
        seen.unseen.append("'/proc/cpuinfo' tells no flags of the CPU.")
        return
    held = sorted({"vmx", "svm"} & set(flags.group(1).split()))
    seen.fact("virtualization flag", held[0] if held else "none", "/proc/cpuinfo")
    if not held:
        seen.against.append("neither vmx nor svm is among the CPU's flags")


def _device(node: Node, seen: _Seen) -> None:
    said = answers.of_program(node.ask("kvm_api"))
    if said is None:
        seen.unseen.append("/dev/kvm could not be asked.")
    elif str(said.get("api", "")).isdigit():
        seen.fact("kvm interface version", int(said["api"]), "/dev/kvm, KVM_GET_API_VERSION")
        if said["api"] != KVM_API:
            seen.against.append(f"/dev/kvm has interface version {said['api']}")
    else:
        seen.fact("kvm interface version", "none", "/dev/kvm, KVM_GET_API_VERSION")
        seen.against.append(f"/dev/kvm cannot be opened: {said.get('error', 'for no reason that it tells')}")


def _guest(node: Node, seen: _Seen) -> None:
    """Boot something: /dev/kvm may answer every question and run nothing."""
    qemu = str(node.expected["qemu"][0]["path"])
    ran = node.ask("accelerator", "--qemu", qemu)
    said = answers.of_program(ran, "accelerator", "kvm", "tcg")
    if said is None:
        seen.unseen.append(f"The probe that boots a guest gave no answer: {answers.error_of(ran)}.")
        return
    seen.fact("accelerator", str(said["accelerator"]), f"a guest under {qemu}")
    if not said["kvm"]["ok"]:
        seen.against.append(f"no guest runs by kvm: {said['kvm']['reason']}")
    if said["accelerator"] == "none":
        found = f"{said['kvm']['reason']} {said['tcg']['reason']}"
        seen.defects.append(Defect("a guest", found, f"{qemu} runs a guest under kvm or at least under tcg"))


def _libvirt(node: Node, seen: _Seen) -> None:
    ran = node.run(("virsh", "-r", "-c", node.expected["libvirt"]["uri"], "capabilities"))
    if not ran.ok:
        seen.unseen.append(f"libvirt could not be asked for its capabilities: {ran.why}.")
        return
    offered = sorted(set(re.findall(r"<domain type='(\w+)'", ran.stdout)))
    seen.fact("domain types", " ".join(offered), "virsh capabilities")
    if "kvm" not in offered:
        seen.against.append(f"libvirt offers {' '.join(offered) or 'no'} domains and none by kvm")


def _driver(node: Node, name: str, seen: _Seen) -> None:
    """A device node may be there for a module that is not; both are asked."""
    evidence = kernel.module(node, name)
    folder, device = DEVICES.get(name, ("", ""))
    there = not folder or device in (node.names(folder) or ())
    seen.fact(name, evidence.state or "not there", evidence.source or f"/sys/module/{name} and the lists of modules")
    if there and evidence.state in {"loaded", "built in"}:
        return
    denied = kernel.denied(node, name)
    if there and evidence.state and folder and not denied:
        return  # opening the device loads the module
    missing = [] if there else [f"no {folder}/{device}"]
    missing += [] if evidence.state else ["neither loaded, nor built in, nor a module of this kernel"]
    missing += [] if missing else ["the module is not loaded"]
    missing += [f"kept so by {denied}"] if denied else []
    remedy = remedies.load_module(node, name) if evidence.state == "can be loaded" else None
    remedy = remedy or remedies.by_hand(f"Boot a kernel that has {name}.")
    seen.defects.append(Defect(f"driver {name}", ", ".join(missing), "the driver is there", remedy, name))


def _validate(node: Node, seen: _Seen) -> None:
    ran = node.run(("virt-host-validate", "qemu"))
    rows = _VALIDATE.findall(ran.stdout)
    if not rows:
        seen.unseen.append(f"virt-host-validate said nothing that can be read: {ran.why}.")
    for about, answer, reason in rows:
        seen.fact(f"virt-host-validate: {about}", answer, "virt-host-validate qemu")
        if answer == "FAIL" and not any(word in about for word in _OURS):
            capability = "cgroups" if "cgroup" in about else "iommu" if "IOMMU" in about else ""
            seen.defects.append(
                Defect(f"virt-host-validate: {about}", f"FAIL ({reason})", "PASS", capability=capability)
            )


def _enable(node: Node) -> Remedy:
    """Return what may bring /dev/kvm: a module that is there and not loaded, else the firmware."""
    vendor = "kvm_amd" if "AuthenticAMD" in (node.read("/proc/cpuinfo") or "") else "kvm_intel"
    if kernel.module(node, vendor).state == "can be loaded":
        return remedies.load_module(node, vendor)
    return remedies.by_hand("Switch virtualization (VT-x, AMD-V) on in the firmware, and boot a kernel with KVM.")


CHECK = Check(
    name="hw_virt",
    use_case="hvqual.prep.hw_virt",
    why="Without hardware virtualization guests are emulated, many times slower, and what is measured says nothing of the node.",
    look=look,
)
