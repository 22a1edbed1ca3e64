# SPDX-License-Identifier: GPL-2.0-or-later
"""What cases of node preparation must find in guests, images and builds; what is wrong with a node is seeded in tests/preparation."""

from __future__ import annotations

from avocado_hvqual.faults.fault import Fault
from avocado_hvqual.lab.paths import home

HOTPLUG_IN_GUEST = "hvqual.prep.hotplug.modules"
GOLDEN = "hvqual.prep.image.golden"
SYSPREP = "hvqual.prep.image.sysprep"
CLONE = "hvqual.prep.image.clone"
OWN_QEMU = "hvqual.prep.qemu.custom_build"
OWN_KERNEL = "hvqual.prep.kernel.custom_build:half=guest"
HW_VIRT = "hvqual.prep.hw_virt:half=guest"
KCONFIG = "hvqual.prep.hotplug.kconfig:half=guest"
RAW_LUN = "hvqual.prep.storage.raw_lun"
IMAGES = (GOLDEN, SYSPREP, CLONE)
PREP_FILTERS = {
    HOTPLUG_IN_GUEST: "prep.in_guest.hotplug.devices",
    HW_VIRT: "prep.in_guest.hw_virt",
    KCONFIG: "prep.in_guest.hotplug.kconfig",
    RAW_LUN: "hvqual.prep.storage.raw_lun",
    GOLDEN: "prep.image.golden",
    SYSPREP: "prep.image.sysprep",
    CLONE: "prep.image.clone",
    OWN_QEMU: "prep.build.own_qemu",
    OWN_KERNEL: "prep.build.own_kernel.of_a_guest",
}
"""Which variants are run for a use case that a fault names."""
DISTRIBUTIONS_QEMU = "/usr/bin/qemu-system-x86_64"
ON_OWN_QEMU = f"hv_qemu_binary={home() / 'builds/qemu/tree/opt/hvq-qemu/bin/qemu-system-x86_64'}"
"""Guests run on the build where it was made; it need not be installed."""

PREPARATION = (
    Fault(
        "device-plug-does-nothing",
        (HOTPLUG_IN_GUEST,),
        r"should have told 'Device added' for 'ua-hvq-rng'",
        "major",
        lie="attach-device",
    ),
    Fault(
        "device-unplug-does-nothing",
        (HOTPLUG_IN_GUEST,),
        r"should have told 'Device removed' for 'ua-hvq-rng'",
        "major",
        lie="detach-device",
    ),
    Fault(
        "image-is-not-the-proven-one",
        (GOLDEN,),
        r"proof of the image, 1: found .*: It runs the kernel '\S+-other'",
        "major",
        spoils="proof-of-another",
    ),
    Fault(
        "image-lists-another-package",
        (GOLDEN,),
        r"'packages.json' of the image: found",
        "major",
        spoils="package-too-many",
    ),
    Fault(
        "unit-fails", (GOLDEN,), r"Units failed in .*: hvq-seeded\.service", "major", act="unit-fails", step="settle"
    ),
    Fault("package-is-gone", (GOLDEN,), r"iperf3 is missing", "major", act="package-is-gone"),
    Fault(
        "power-button-does-nothing",
        (GOLDEN,),
        r"The shutdown was accepted, but the guest is running",
        "major",
        lie="shutdown",
    ),
    Fault(
        "template-keeps-its-machine-id",
        (SYSPREP,),
        r"/etc/machine-id has 33 bytes, an empty file is expected",
        "major",
        spoils="template-machine-id",
    ),
    Fault(
        "template-keeps-a-host-key",
        (SYSPREP,),
        r"/etc/ssh/ssh_host_ed25519_key\.pub is there",
        "major",
        spoils="template-host-key",
    ),
    Fault(
        "host-keys-are-gone", (SYSPREP,), r"It has no /etc/ssh/ssh_host", "major", act="host-keys-gone", step="settle"
    ),
    Fault(
        "machine-ids-are-alike",
        (CLONE,),
        r"Clones have the same machine_id",
        "major",
        act="machine-ids-alike",
    ),
    Fault("virt-clone-does-nothing", (CLONE,), r"virt-clone reported success; there is no", "major", lie="virt-clone"),
    Fault("test-is-killed-cloning", (CLONE,), r"died without a result", "major", act="kill-test", step="clone"),
    Fault(
        "golden-guest-is-killed",
        IMAGES,
        r"The QEMU of .* is gone though nobody stopped it",
        "critical",
        act="kill-qemu",
    ),
    Fault(
        "libvirt-runs-another-qemu",
        (OWN_QEMU,),
        r"runs on '.*', which is not qemu",
        "major",
        lie="define",
        rewrites=f"s,<emulator>.*</emulator>,<emulator>{DISTRIBUTIONS_QEMU}</emulator>,",
        given=ON_OWN_QEMU,
    ),
    Fault(
        "qemu-is-patched",
        (OWN_QEMU,),
        r"files of qemu .* are not what was built",
        "major",
        spoils="patched-qemu",
        given=ON_OWN_QEMU,
    ),
    Fault(
        "another-kernel-boots",
        (OWN_KERNEL,),
        r"The kernel '.*' runs, built was '.*'",
        "major",
        lie="define",
        rewrites=f"s,<kernel>.*</kernel>,<kernel>{home() / 'images/micro/vmlinuz'}</kernel>,",
    ),
    Fault(
        "kernel-is-patched",
        (OWN_KERNEL,),
        r"files of kernel .* are not what was built",
        "major",
        spoils="patched-kernel",
    ),
    Fault(
        "guest-sees-no-hypervisor",
        (HW_VIRT,),
        r"the guest tells 'no hypervisor'",
        "major",
        lie="define",
        rewrites="s,</cpu>,<feature policy='disable' name='hypervisor'/></cpu>,",
    ),
    Fault(
        "guest-loses-an-option", (KCONFIG,), r"was built without CONFIG_HOTPLUG_PCI\.", "major", act="option-is-gone"
    ),
    Fault("guest-reboots-when-asked", (HW_VIRT, KCONFIG), r"boot_id_changes", "critical", act="reboot"),
    Fault(
        "lun-is-somebodys",
        (RAW_LUN,),
        r"LUN loop:\S+: free: found .*swap",
        "major",
        act="lun-is-signed",
        step="node check",
    ),
    Fault(
        "lun-is-gone",
        (RAW_LUN,),
        r"LUN loop:\S+: found no block device has this WWID",
        "major",
        act="lun-is-detached",
        step="node check",
    ),
)
