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
APIC_CPUS = 255
# Of the CPU models that TCG can give without a warning, this one boots a Debian kernel fastest (QEMU 7.2).
TCG_MODEL = "Nehalem"
# Where guests boot side by side on few CPUs the kernel measures the TSC wrong (seen: 536 of 2595 MHz) and its clock gets stuck: the
# HPET's is right. While a vCPU maps a device's memory, a write of another to a device goes astray (QEMU 7.2, tcg_commit; seen in some
# of 500 boots: a timer lost for ever, SIGSEGV in memory_region_dispatch_write): ticks are periodic, other CPUs come after the devices.
TCG_BOOT = " tsc=unstable nohz=off highres=off maxcpus=1"


@dataclass(frozen=True)
class Disk:
    """One disk of a guest: a file on the host."""

    path: str
    mib: int
    format: str = "raw"


@dataclass(frozen=True)
class Cell:
    """One NUMA node of a guest: its CPUs and its memory at start."""

    cpus: tuple[int, ...]
    memory_kib: int
    distances: tuple[int, ...] = ()
    """How far each node is from this one (10: itself); empty: not said."""


@dataclass(frozen=True)
class Growth:
    """What a guest may grow by while it runs (hotplug), and where its parts lie; nothing of it by default."""

    max_vcpus: int = 0
    """vCPUs that it may have at the most, 0 when it has all from its start."""
    max_memory_kib: int = 0
    """Memory that it may have at the most with all its DIMMs, 0 when no DIMM can be plugged."""
    slots: int = 0
    """For so many DIMMs."""


@dataclass(frozen=True)
class Tuning:
    """Where a guest's parts run and lie on the host; nothing of it by default."""

    emulator_cpus: tuple[int, ...] = ()
    """The host CPUs of QEMU's threads that are neither vCPUs nor IOThreads."""
    numa_mode: str = ""
    """strict, preferred, interleave or restrictive; empty: not said."""
    numa_nodes: str = ""
    """The host's NUMA nodes of the memory, as libvirt writes them ('0-1,3')."""
    vcpu_cpus: tuple[int, ...] = ()
    """The host CPUs of each vCPU that may grow and is not pinned, so also of one that is plugged later."""


NO_GROWTH, NO_TUNING = Growth(), Tuning()


@dataclass(frozen=True)
class Spec:
    """One guest as the case asks for it: the model that host, libvirt and guest are held against."""

    name: str
    uuid: str
    vcpus: int
    memory_kib: int
    macs: tuple[str, ...]
    disks: tuple[Disk, ...]
    flavor: str = ""
    iothreads: int = 0
    pins: tuple[int, ...] = ()
    """The host CPU of each vCPU, empty when it may run anywhere."""
    hugepage_kib: int = 0
    cells: tuple[Cell, ...] = ()
    """Its NUMA nodes; empty: one, of which nothing is said."""
    growth: Growth = NO_GROWTH
    tuning: Tuning = NO_TUNING
    plugged_kib: tuple[int, ...] = ()
    """The DIMMs that were plugged; `memory_kib` counts them."""
    ballooned_kib: int = 0
    """What its balloon has taken of `memory_kib`."""

    @property
    def most_vcpus(self) -> int:
        """The vCPUs that it may have at the most."""
        return max(self.vcpus, self.growth.max_vcpus)

    @property
    def boot_kib(self) -> int:
        """The memory that it has without its DIMMs."""
        return self.memory_kib - sum(self.plugged_kib)

    @property
    def pieces_kib(self) -> tuple[int, ...]:
        """The sizes of the pieces in which QEMU maps its memory: one a NUMA node and one a DIMM."""
        own = tuple(cell.memory_kib for cell in self.cells) or (self.boot_kib,)
        return own + self.plugged_kib

    @property
    def mac(self) -> str:
        """The MAC address of its first network interface, over which it is logged in to."""
        return self.macs[0]

    @property
    def disk(self) -> str:
        """The path of its first disk, which carries the disk canary."""
        return self.disks[0].path


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
    """Return the guest kernel's command line: the image's own, its clock, and whom its witness talks to."""
    boot = TCG_BOOT if place.accelerator == "tcg" else ""
    return f"{image.cmdline}{boot} hv.vm={spec.name} hv.udp={place.heartbeat_port}"


def domain_xml(spec: Spec, image: Image, place: Place) -> str:
    """Return the XML with which the domain of *spec* is defined."""
    return f"""<domain type='{"kvm" if place.accelerator == "kvm" else "qemu"}'>
  <name>{escape(spec.name)}</name>
  <uuid>{spec.uuid}</uuid>
  <metadata>{marks.owner_element(place.owner, os.getpid())}</metadata>
{_memory(spec)}\
{_vcpus(spec)}\
{_threads(spec)}\
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>{escape(str(image.kernel))}</kernel>
    <initrd>{escape(str(image.initrd))}</initrd>
    <cmdline>{escape(kernel_cmdline(image, spec, place))}</cmdline>
  </os>
  <features><acpi/><apic/>{_interrupts(spec)}</features>
  {_cpu(spec, place)}
  <clock offset='utc'/>
  <on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot><on_crash>destroy</on_crash>
  <pm><suspend-to-mem enabled='yes'/><suspend-to-disk enabled='yes'/></pm>
  <devices>
    <emulator>{escape(place.emulator)}</emulator>
{_devices(spec, place)}
  </devices>
</domain>
"""


def _memory(spec: Spec) -> str:
    """Return the guest's memory, what it may grow to, what backs it (nothing said, or huge pages of one size), and where."""
    growth, tuning = spec.growth, spec.tuning
    told = (
        f"  <maxMemory slots='{growth.slots}' unit='KiB'>{growth.max_memory_kib}</maxMemory>\n" if growth.slots else ""
    )
    told += f"  <memory unit='KiB'>{spec.memory_kib}</memory>\n"
    told += f"  <currentMemory unit='KiB'>{spec.memory_kib}</currentMemory>\n"
    if spec.hugepage_kib:
        page = f"<page size='{spec.hugepage_kib}' unit='KiB'/>"
        told += f"  <memoryBacking><hugepages>{page}</hugepages></memoryBacking>\n"
    if tuning.numa_mode:
        told += f"  <numatune><memory mode='{tuning.numa_mode}' nodeset='{tuning.numa_nodes}'/></numatune>\n"
    return told


def _vcpus(spec: Spec) -> str:
    """Return the guest's vCPUs; of those that it may grow by each can be unplugged again, as the first one cannot."""
    if not spec.growth.max_vcpus:
        return f"  <vcpu placement='static'>{spec.vcpus}</vcpu>\n"
    each = "".join(
        f"<vcpu id='{number}' enabled='{'yes' if number < spec.vcpus else 'no'}' "
        f"hotpluggable='{'yes' if number else 'no'}'/>"
        for number in range(spec.most_vcpus)
    )
    where = f" cpuset='{','.join(map(str, spec.tuning.vcpu_cpus))}'" if spec.tuning.vcpu_cpus else ""
    count = f"<vcpu placement='static'{where} current='{spec.vcpus}'>{spec.most_vcpus}</vcpu>"
    return f"  {count}\n  <vcpus>{each}</vcpus>\n"


def _threads(spec: Spec) -> str:
    """Return the IOThreads of the guest, and the host CPUs of its vCPUs and its emulator."""
    told = f"  <iothreads>{spec.iothreads}</iothreads>\n" if spec.iothreads else ""
    pins = "".join(f"<vcpupin vcpu='{vcpu}' cpuset='{cpu}'/>" for vcpu, cpu in enumerate(spec.pins))
    if spec.tuning.emulator_cpus:
        pins += f"<emulatorpin cpuset='{','.join(map(str, spec.tuning.emulator_cpus))}'/>"
    return told + (f"  <cputune>{pins}</cputune>\n" if pins else "")


def _interrupts(spec: Spec) -> str:
    """Return the interrupt controller that the remapping of more CPUs than an APIC of 8 bits can address needs."""
    return "<ioapic driver='qemu'/>" if spec.most_vcpus > APIC_CPUS else ""


def _remapping(spec: Spec) -> str:
    """Return the IOMMU without which QEMU starts no guest of more CPUs than an APIC of 8 bits can address (libvirt demands it)."""
    driver = "<driver intremap='on' eim='on'/>"
    return f"\n    <iommu model='intel'>{driver}</iommu>" if spec.most_vcpus > APIC_CPUS else ""


def _cpu(spec: Spec, place: Place) -> str:
    """
    Return the CPU: the host's own under KVM; one socket, as a second one makes Linux distrust the guest's TSC.

    A guest with NUMA nodes of its own has a socket for each, where its CPUs can be told apart so: Linux warns of a socket in two nodes.
    """
    nodes = sum(1 for cell in spec.cells if cell.cpus)
    sockets = nodes if nodes and spec.most_vcpus % nodes == 0 else 1
    inside = f"<topology sockets='{sockets}' dies='1' cores='{spec.most_vcpus // sockets}' threads='1'/>{_cells(spec)}"
    if place.accelerator == "kvm":
        return f"<cpu mode='host-model'>{inside}</cpu>"
    model = f"<model fallback='forbid'>{TCG_MODEL}</model>"
    return f"<cpu mode='custom' match='exact' check='none'>{model}{inside}</cpu>"


def _cells(spec: Spec) -> str:
    """Return the guest's NUMA nodes; a guest into which DIMMs can be plugged has at least one (libvirt demands it)."""
    cells = spec.cells
    if not cells and spec.growth.slots:
        cells = (Cell(tuple(range(spec.most_vcpus)), spec.boot_kib),)
    each = "".join(
        f"<cell id='{number}'{_of(cell.cpus)} memory='{cell.memory_kib}' unit='KiB'>{_distances(cell)}</cell>"
        for number, cell in enumerate(cells)
    )
    return f"<numa>{each}</numa>" if each else ""


def _distances(cell: Cell) -> str:
    """Return how far the other NUMA nodes are, when that is said."""
    each = "".join(f"<sibling id='{number}' value='{far}'/>" for number, far in enumerate(cell.distances))
    return f"<distances>{each}</distances>" if each else ""


def _of(cpus: tuple[int, ...]) -> str:
    """Return the CPUs of a NUMA node as an attribute; a node may have none."""
    return f" cpus='{','.join(map(str, cpus))}'" if cpus else ""


def _devices(spec: Spec, place: Place) -> str:
    """Return the devices beside the emulator: root ports for hotplug, disk, network, console, agent, witness, balloon, rng."""
    ports = "<controller type='pci' model='pcie-root-port'/>" * ROOT_PORTS
    return f"""\
    <controller type='pci' model='pcie-root'/>{ports}
    <controller type='usb' model='none'/>
    <controller type='virtio-serial'/>
{_disks(spec)}
{_interfaces(spec, place)}
    <serial type='pty'><log file={quoteattr(place.console_log)} append='on'/><target port='0'/></serial>
    <console type='pty'><target type='serial' port='0'/></console>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <channel type='unix'>
      <source mode='bind' path={quoteattr(place.heartbeat)}/><target type='virtio' name='{PORT_NAME}'/>
    </channel>
    <memballoon model='virtio'/>{_remapping(spec)}
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>"""


def _disks(spec: Spec) -> str:
    """Return the disks, which take the IOThreads in turn."""
    return "\n".join(
        f"    <disk type='file' device='disk'>"
        f"<driver name='qemu' type='{disk.format}' cache='none'"
        f"{f' iothread={quoteattr(str(number % spec.iothreads + 1))}' if spec.iothreads else ''}/>"
        f"<source file={quoteattr(disk.path)}/><target dev='{target(number)}' bus='virtio'/></disk>"
        for number, disk in enumerate(spec.disks)
    )


def target(number: int) -> str:
    """Return the name of the disk *number* (0, 1, ...) in libvirt and in the guest."""
    return f"vd{'abcdefghijklmnopqrstuvwxyz'[number]}"


def _interfaces(spec: Spec, place: Place) -> str:
    """Return the network interfaces, all in the one network."""
    return "\n".join(
        f"    <interface type='network'><mac address='{mac}'/><source network={quoteattr(place.network)}/>"
        f"<model type='virtio'/><rom enabled='no'/></interface>"
        for mac in spec.macs
    )
