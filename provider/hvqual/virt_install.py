# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line with which ``virt-install --import`` makes the same guest that `domain_xml` describes."""

from __future__ import annotations

from provider.hvqual.domain_xml import TCG_MODEL, Place, Spec, kernel_cmdline
from provider.hvqual.heartbeat import PORT_NAME
from provider.hvqual.images import Image

Option = tuple[str, str]


def arguments(spec: Spec, image: Image, place: Place) -> list[str]:
    """Return the words after ``virt-install --connect URI``: import the guest's disks and start it, and wait for no console."""
    options: list[Option] = [
        ("--name", spec.name),
        ("--uuid", spec.uuid),
        ("--virt-type", "kvm" if place.accelerator == "kvm" else "qemu"),
        ("--machine", "q35"),
        ("--memory", str(spec.memory_kib // 1024)),
        ("--vcpus", f"{spec.vcpus},sockets=1,cores={spec.vcpus},threads=1"),
        ("--cpu", "host-model" if place.accelerator == "kvm" else f"{TCG_MODEL},model.fallback=forbid,check=none"),
        ("--boot", f'kernel={image.kernel},initrd={image.initrd},kernel_args="{kernel_cmdline(image, spec, place)}"'),
        *_tuning(spec),
        *_disks(spec),
        *(("--network", f"network={place.network},model=virtio,mac={mac}") for mac in spec.macs),
        ("--serial", f"pty,log.file={place.console_log},log.append=on"),
        (
            "--channel",
            f"unix,source.mode=bind,source.path={place.heartbeat},target.type=virtio,target.name={PORT_NAME}",
        ),
        ("--channel", "unix,target.type=virtio,target.name=org.qemu.guest_agent.0"),
        ("--rng", "/dev/urandom"),
        ("--memballoon", "virtio"),
        *((f"--{kind}", "none") for kind in ("graphics", "video", "sound", "tpm")),
        ("--controller", "usb,model=none"),
        ("--osinfo", "detect=off,require=off"),
        ("--xml", f"./devices/emulator={place.emulator}"),
    ]
    return ["--import", *(word for option in options for word in option), "--noautoconsole"]


def _tuning(spec: Spec) -> list[Option]:
    """Return IOThreads, the host CPUs of the vCPUs, and huge pages, where the guest has them."""
    options: list[Option] = []
    if spec.iothreads:
        options.append(("--iothreads", str(spec.iothreads)))
    if spec.pins:
        pins = [f"vcpupin{vcpu}.vcpu={vcpu},vcpupin{vcpu}.cpuset={cpu}" for vcpu, cpu in enumerate(spec.pins)]
        options.append(("--cputune", ",".join(pins)))
    if spec.hugepage_kib:
        options.append(("--memorybacking", f"hugepages.page0.size={spec.hugepage_kib},hugepages.page0.unit=KiB"))
    return options


def _disks(spec: Spec) -> list[Option]:
    """Return the disks, which take the IOThreads in turn."""
    return [
        (
            "--disk",
            f"path={disk.path},format={disk.format},bus=virtio,driver.cache=none"
            + (f",driver.iothread={number % spec.iothreads + 1}" if spec.iothreads else ""),
        )
        for number, disk in enumerate(spec.disks)
    ]
