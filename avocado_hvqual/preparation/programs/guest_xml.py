# SPDX-License-Identifier: GPL-2.0-or-later
"""The XML of guests that a deep check starts: transient, with our mark, and gone with the connection that made them."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

_URI = "https://avocado-hvqual.example/1"
PREFIX = "hvq-prep-"
_LOGS = Path("/var/log/libvirt/qemu")
_EMPTY_KIB = 64 * 1024
#: The model with which a guest's kernel boots fastest under TCG, and its clock where CPUs are shared.
_TCG_CPU = "<cpu mode='custom' match='exact' check='none'><model fallback='forbid'>Nehalem</model></cpu>"
_TCG_CLOCK = " tsc=unstable nohz=off highres=off"


def forget_logs() -> None:
    """Remove what libvirt wrote down of the guests of this process: they are gone, and were of no use to anybody else."""
    for path in _LOGS.glob(f"{PREFIX}*-{os.getpid()}.log"):
        path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Image:
    """A guest's kernel, initial file system and command line, and the memory that it needs."""

    kernel: str
    initrd: str
    cmdline: str
    memory_kib: int

    @classmethod
    def of(cls, folder: Path) -> Image:
        """Read an image's manifest; OSError, KeyError or ValueError when it is none."""
        told = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        kernel, initrd = folder / told["kernel"], folder / told["initrd"]
        return cls(str(kernel), str(initrd), str(told["cmdline"]), int(told["min_memory_kib"]))


def empty_guest(name: str, accelerator: str) -> str:
    """Return a guest without disk, network and system: enough to be started and ended."""
    return _domain(name, accelerator, _EMPTY_KIB, "<os><type arch='x86_64' machine='q35'>hvm</type></os>", "")


def networked_guest(name: str, accelerator: str, image: Image, interfaces: list[tuple[str, str]]) -> str:
    """Return a guest with its agent and one network card a (kind, source) of *interfaces*: ('network' | 'bridge', name)."""
    clock = _TCG_CLOCK if accelerator == "tcg" else ""
    cmdline = escape(f"{image.cmdline}{clock} hv.vm={name}")
    system = f"""<os><type arch='x86_64' machine='q35'>hvm</type>
    <kernel>{escape(image.kernel)}</kernel><initrd>{escape(image.initrd)}</initrd><cmdline>{cmdline}</cmdline></os>"""
    cards = "".join(
        f"<interface type='{kind}'><source {kind}={quoteattr(source)}/><model type='virtio'/><rom enabled='no'/></interface>"
        for kind, source in interfaces
    )
    agent = "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"
    serial = "<serial type='pty'/><console type='pty'/><controller type='virtio-serial'/>"
    return _domain(name, accelerator, image.memory_kib, system, f"{cards}{agent}{serial}")


def _domain(name: str, accelerator: str, memory_kib: int, system: str, devices: str) -> str:
    """Return the whole XML."""
    kind, cpu = ("kvm", "<cpu mode='host-model'/>") if accelerator == "kvm" else ("qemu", _TCG_CPU)
    return f"""<domain type='{kind}'>
  <name>{escape(name)}</name>
  <metadata><hvqual:owner xmlns:hvqual="{_URI}" campaign="node-check" pid="{os.getpid()}"/></metadata>
  <memory unit='KiB'>{memory_kib}</memory><vcpu>1</vcpu>
  {system}
  <features><acpi/><apic/></features>{cpu}
  <on_poweroff>destroy</on_poweroff><on_reboot>destroy</on_reboot><on_crash>destroy</on_crash>
  <devices><controller type='usb' model='none'/><memballoon model='none'/>{devices}</devices>
</domain>
"""
