# SPDX-License-Identifier: GPL-2.0-or-later
"""What is broken on the captured node, one thing at a time, and the name under which a check must tell it."""

from avocado_hvqual.preparation.model import Ran
from tests.preparation.captured import load

QUERY = r"dpkg-query -W '-f=${binary:Package}\t${db:Status-Status}\t${Version}\n'"
QEMU = "/usr/bin/qemu-system-x86_64"
PROBE = f"ask accelerator --qemu {QEMU}"
IMAGE = "ask boot_image /boot/vmlinuz-6.1.0-25-amd64"
VIRSH = "virsh -c qemu:///system"
LIST = f"{VIRSH} list --all"
NODE = load()
GONE = Ran(None, "", "is not installed")


def edited(words, old, new):
    """What a command said, with one text in it exchanged."""
    said = NODE.commands[words].stdout
    assert said.count(old) >= 1
    return {words: Ran(0, said.replace(old, new, 1))}


def file(path, old, new):
    assert old in NODE.files[path]
    return {path: NODE.files[path].replace(old, new, 1)}


def section(name, **keys):
    return {name: {**NODE.expected[name], **keys}}


VERIFY = next(words for words in NODE.commands if words.startswith("dpkg --verify"))
# What is broken: changed files, changed commands, another description; and the one defect that must be told.
SEEDS = {
    "no vmx": (file("/proc/cpuinfo", " vmx", ""), {}, {}, "hardware virtualization"),
    "kvm refuses": ({}, {"ask kvm_api": Ran(0, '{"error": "Permission denied"}')}, {}, "hardware virtualization"),
    "kvm of another interface": ({}, {"ask kvm_api": Ran(0, '{"api": 13}')}, {}, "hardware virtualization"),
    "kvm runs nothing": (
        {},
        edited(PROBE, '"kvm": {"ok": true, "reason": "It ran."}', '"kvm": {"ok": false, "reason": "Too late."}'),
        {},
        "hardware virtualization",
    ),
    "libvirt without kvm": (
        {},
        edited("virsh -r -c qemu:///system capabilities", "<domain type='kvm'/>", ""),
        {},
        "hardware virtualization",
    ),
    "vhost_net not loaded, no device": (
        {"/sys/module/vhost_net/initstate": None, "/dev/vhost-net": None},
        {},
        {},
        "driver vhost_net",
    ),
    "a device without its driver": (
        {"/sys/module/tun/initstate": None, **file("/lib/modules/6.1.0-25-amd64/modules.dep", "net/tun.ko:\n", "")},
        {},
        {},
        "driver tun",
    ),
    **{
        f"tun kept from being loaded by '{line}'": (
            {"/sys/module/tun/initstate": None, "/etc/modprobe.d/hardening.conf": f"{line}\n"},
            {},
            {},
            "driver tun",
        )
        for line in ("blacklist tun", "install tun /bin/false")
    },
    "bridge not loaded": ({"/sys/module/bridge/initstate": None}, {}, {}, "driver bridge"),
    "no memory cgroup": (
        {},
        edited(
            "virt-host-validate qemu",
            "'memory' controller support                      : PASS",
            "'memory' controller support : FAIL (no)",
        ),
        {},
        "virt-host-validate: cgroup 'memory' controller support",
    ),
    "old kernel wanted newer": ({}, {}, section("kernel", minimum="6.8"), "kernel release"),
    "kernel of another flavour": ({}, {}, section("kernel", release="-cloud-amd64$"), "kernel release"),
    "argument missing": (
        {},
        {},
        section("kernel", cmdline=["quiet", "intel_iommu=on"]),
        "kernel argument intel_iommu=on",
    ),
    "argument only begins so": (
        {},
        {},
        section("kernel", cmdline=["crashkernel=25"]),
        "kernel argument crashkernel=25",
    ),
    "tainted": ({"/proc/sys/kernel/tainted": "4096\n"}, {}, {}, "kernel taint"),
    "tainted by more than accepted": (
        {"/proc/sys/kernel/tainted": "4608\n"},
        {},
        section("kernel", allowed_taint="O"),
        "kernel taint",
    ),
    "tainted by a bit that nobody knows": ({"/proc/sys/kernel/tainted": str(1 << 30)}, {}, {}, "kernel taint"),
    "another build": ({}, {}, section("kernel", build_id="00ff"), "kernel build id"),
    "kernel of no package": (
        {},
        {"dpkg -S /boot/vmlinuz-6.1.0-25-amd64": Ran(1, "", "dpkg-query: no path found")},
        {},
        "kernel package",
    ),
    "upgraded, not rebooted": ({}, edited(IMAGE, "6.1.106-3", "6.1.112-1"), {}, "kernel package"),
    "boots another kernel next": (
        file("/boot/grub/grub.cfg", "linux	/boot/vmlinuz-6.1.0-25-amd64", "linux	/boot/vmlinuz-6.1.0-18-amd64"),
        {},
        {},
        "default boot entry",
    ),
    "another entry saved": (
        {
            **file("/boot/grub/grub.cfg", 'set default="0"', 'set default="${saved_entry}"'),
            "/boot/grub/grubenv": "saved_entry=gnulinux-advanced-5b2d0d36>gnulinux-6.1.0-18-amd64-advanced-5b2d0d36\n",
        },
        {},
        {},
        "default boot entry",
    ),
    "package missing": (
        {},
        {**edited(QUERY, "ethtool\tinstalled\t1:6.1-1\n", ""), VERIFY.replace(" ethtool", ""): Ran(0, "")},
        {},
        "package ethtool",
    ),
    "package removed, settings kept": (
        {},
        edited(QUERY, "numactl\tinstalled", "numactl\tconfig-files"),
        {},
        "package numactl",
    ),
    "package half installed": (
        {},
        edited(QUERY, "virtinst\tinstalled", "virtinst\thalf-configured"),
        {},
        "package virtinst",
    ),
    "package too old": (
        {},
        {"dpkg --compare-versions 9.0.0-4+deb12u2 ge 8.0": Ran(1)},
        section("packages", installed=[{"name": "libvirt daemon", "minimum": "8.0"}], verify=False),
        "package libvirt-daemon-system",
    ),
    "program exchanged": (
        {},
        {
            **edited(VERIFY, "??5?????? c", "??5??????   /usr/bin/virsh\n??5?????? c"),
            "dpkg -S /usr/bin/virsh": Ran(0, "libvirt-clients: /usr/bin/virsh"),
        },
        {},
        "file /usr/bin/virsh",
    ),
    "library missing": (
        {},
        {**edited(VERIFY, "??5?????? c", "missing     /usr/lib/a.so\n??5?????? c"), "dpkg -S /usr/lib/a.so": Ran(1)},
        {},
        "file /usr/lib/a.so",
    ),
    "command not found": ({}, {"which qemu-img": Ran(1)}, {}, "command qemu-img"),
    "qemu does not run": (
        {},
        {f"{QEMU} --version": Ran(127, "", "error while loading shared libraries")},
        {},
        f"qemu {QEMU}",
    ),
    "qemu too old": ({}, {}, {"qemu": [{"path": QEMU, "minimum": "8.2"}]}, f"qemu {QEMU}"),
    "qemu of another version": ({}, {}, {"qemu": [{"path": QEMU, "exactly": "7.2.21"}]}, f"qemu {QEMU}"),
    "qemu of another build": ({}, {}, {"qemu": [{"path": QEMU, "build_id": "00ff"}]}, f"qemu {QEMU} build id"),
    "machine type missing": (
        {},
        edited(f"{QEMU} -machine help", "\nq35 ", "\nq36 "),
        {},
        f"machine type q35 of {QEMU}",
    ),
    "libvirt cannot use it": (
        {},
        {f"virsh -q -c qemu:///system domcapabilities --emulatorbin {QEMU}": Ran(1, "", "error: failed to probe")},
        {},
        f"qemu {QEMU} under libvirt",
    ),
    "ssh too old": ({}, {"ssh -V": Ran(0, "", "OpenSSH_8.4p1 Debian-5, OpenSSL 1.1.1")}, {}, "version of ssh"),
    "tool not there": ({}, {"nft --version": GONE}, {}, "version of nft"),
    "daemon not restarted": (
        {},
        edited(f"{VIRSH} version --daemon", "daemon: 9.0.0", "daemon: 8.0.0"),
        {},
        "libvirt versions",
    ),
    "library exchanged": (
        {},
        edited(f"{VIRSH} version --daemon", "Using library: libvirt 9.0.0", "Using library: libvirt 9.4.0"),
        {},
        "libvirt versions",
    ),
    "acpiphp left out": (
        {
            **file("/boot/config-6.1.0-25-amd64", "CONFIG_HOTPLUG_PCI_ACPI=y\n", ""),
            **file("/lib/modules/6.1.0-25-amd64/modules.builtin", "hotplug/acpiphp.ko", "hotplug/acpiphp_ibm.ko"),
        },
        {},
        {},
        "module acpiphp",
    ),
    "memory hotplug left out": (
        file("/boot/config-6.1.0-25-amd64", "CONFIG_MEMORY_HOTPLUG=y\n", "# CONFIG_MEMORY_HOTPLUG is not set\n"),
        {},
        {},
        "CONFIG_MEMORY_HOTPLUG",
    ),
    "libvirt is dead": ({}, {LIST: Ran(1, "", "error: failed to connect")}, {}, "libvirt"),
    "table torn": ({}, edited(LIST, " Id   Name      State\n", ""), {}, "virsh list --all"),
    "the two lists differ": (
        {},
        {"ask libvirt_domains qemu:///system": Ran(0, '{"domains": {"web-1": true}}')},
        {},
        "lists of domains",
    ),
    "one says active, one off": (
        {},
        edited("ask libvirt_domains qemu:///system", '"old one": false', '"old one": true'),
        {},
        "lists of domains",
    ),
    "a domain nobody knows of": ({}, {}, section("libvirt", domains=["web-1"]), "domain old one"),
    "no crash kernel": (
        {"/sys/kernel/kexec_crash_loaded": "0\n"},
        {"systemctl is-active kdump-tools.service": Ran(3, "inactive\n")},
        {},
        "kdump",
    ),
    "too little kept": ({"/sys/kernel/kexec_crash_size": "33554432\n"}, {}, {}, "kdump"),
    "kernel without kexec": (
        {"/sys/kernel/kexec_crash_size": None, "/sys/kernel/kexec_crash_loaded": None},
        {},
        {},
        "kdump",
    ),
    "clock free": (
        {},
        {
            "ask clock": Ran(0, '{"synchronized": false, "most_error_s": 16.0}'),
            "timedatectl show --property=CanNTP --property=NTP": Ran(0, "CanNTP=yes\nNTP=no\n"),
        },
        {},
        "clock",
    ),
    "clock far off": ({}, {"ask clock": Ran(0, '{"synchronized": true, "most_error_s": 4.0}')}, {}, "clock"),
    "a CPU of other microcode": (file("/proc/cpuinfo", "0xd0003d1", "0xd000390"), {}, {}, "microcode"),
    "old microcode": ({}, {}, section("host", microcode_minimum="0xd0003e0"), "microcode"),
    "vulnerable": (
        {"/sys/devices/system/cpu/vulnerabilities/meltdown": "Vulnerable\n"},
        {},
        {},
        "vulnerability meltdown",
    ),
    "sysctl": ({}, {}, section("host", sysctl={"net.ipv4.ip_forward": 0}), "sysctl net.ipv4.ip_forward"),
}
