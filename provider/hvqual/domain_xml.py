# SPDX-License-Identifier: GPL-2.0-or-later
"""The XML of a domain of ours: what is asked of libvirt, with our mark in its metadata (decision 7)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from provider.hvqual import marks
from provider.hvqual.heartbeat import PORT_NAME
from provider.hvqual.images import Image

ROOT_PORTS = 8
# Of the CPU models that TCG can give without a warning, this one boots a Debian kernel fastest (QEMU 7.2).
TCG_MODEL = "Nehalem"


@dataclass(frozen=True)
class Spec:
    """One guest as the case asks for it: the model that host, libvirt and guest are held against."""

    name: str
    uuid: str
    vcpus: int
    memory_kib: int
    mac: str
    disk: str
    disk_mib: int


@dataclass(frozen=True)
class Place:
    """Where a guest stands: its accelerator, emulator and network, and the files on the host that belong to it."""

    accelerator: str
    emulator: str
    network: str
    console_log: str
    heartbeat: str
    heartbeat_port: int
    owner: str


def kernel_cmdline(image: Image, spec: Spec, place: Place) -> str:
    """Return the guest kernel's command line: the image's own, and whom its witness talks to."""
    return f"{image.cmdline} hv.vm={spec.name} hv.udp={place.heartbeat_port}"


def domain_xml(spec: Spec, image: Image, place: Place) -> str:
    """Return the XML with which the domain of *spec* is defined."""
    return f"""<domain type='{"kvm" if place.accelerator == "kvm" else "qemu"}'>
  <name>{escape(spec.name)}</name>
  <uuid>{spec.uuid}</uuid>
  <metadata>{marks.owner_element(place.owner, os.getpid())}</metadata>
  <memory unit='KiB'>{spec.memory_kib}</memory>
  <currentMemory unit='KiB'>{spec.memory_kib}</currentMemory>
  <vcpu placement='static'>{spec.vcpus}</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>{escape(str(image.kernel))}</kernel>
    <initrd>{escape(str(image.initrd))}</initrd>
    <cmdline>{escape(kernel_cmdline(image, spec, place))}</cmdline>
  </os>
  <features><acpi/><apic/></features>
  {_cpu(spec, place)}
  <clock offset='utc'/>
  <on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot><on_crash>destroy</on_crash>
  <devices>
    <emulator>{escape(place.emulator)}</emulator>
{_devices(spec, place)}
  </devices>
</domain>
"""


def _cpu(spec: Spec, place: Place) -> str:
    """Return the CPU: the host's own under KVM; one socket, as a second one makes Linux distrust the guest's TSC."""
    topology = f"<topology sockets='1' dies='1' cores='{spec.vcpus}' threads='1'/>"
    if place.accelerator == "kvm":
        return f"<cpu mode='host-model'>{topology}</cpu>"
    model = f"<model fallback='forbid'>{TCG_MODEL}</model>"
    return f"<cpu mode='custom' match='exact' check='none'>{model}{topology}</cpu>"


def _devices(spec: Spec, place: Place) -> str:
    """Return the devices beside the emulator: root ports for hotplug, disk, network, console, agent, witness, balloon, rng."""
    ports = "<controller type='pci' model='pcie-root-port'/>" * ROOT_PORTS
    return f"""\
    <controller type='pci' model='pcie-root'/>{ports}
    <controller type='usb' model='none'/>
    <controller type='virtio-serial'/>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw' cache='none'/><source file={quoteattr(spec.disk)}/><target dev='vda' bus='virtio'/>
    </disk>
    <interface type='network'>
      <mac address='{spec.mac}'/><source network={quoteattr(place.network)}/><model type='virtio'/><rom enabled='no'/>
    </interface>
    <serial type='pty'><log file={quoteattr(place.console_log)} append='on'/><target port='0'/></serial>
    <console type='pty'><target type='serial' port='0'/></console>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <channel type='unix'>
      <source mode='bind' path={quoteattr(place.heartbeat)}/><target type='virtio' name='{PORT_NAME}'/>
    </channel>
    <memballoon model='virtio'/>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>"""
