# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest shows of its node: by what it is run, and with which options its kernel was built."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from avocado.core.exceptions import TestError

from provider.hvqual import cpu_use, qemu_events
from provider.hvqual.host_process import PROC
from provider.hvqual.steps import fail

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from provider.hvqual.expect import Expect
    from provider.hvqual.guests import Guest

KVM, TCG, NONE = "kvm", "tcg", "no hypervisor"
#: What a process holds open that runs guest code in the kernel (Linux 6.1).
KVM_VM = "anon_inode:kvm-vm"
#: A guest's kernel sees that it is one by a CPU flag, and that it is KVM's by the clock that only KVM gives.
INSIDE = "grep -m1 ^flags /proc/cpuinfo; cat /sys/devices/system/clocksource/clocksource0/available_clocksource"
OPTION = re.compile(r"CONFIG_[A-Z0-9_]+")
#: Where a kernel's configuration is told, by the kernel itself or beside it.
CONFIGURATION = '{ zcat /proc/config.gz || cat "/boot/config-$(uname -r)"; } 2>/dev/null'


def accelerated(guest: Guest, expect: Expect) -> None:
    """
    Observe accelerator_agreed (bool): libvirt, QEMU, the host's kernel and the guest's tell the one that the node was found to have.

    Upstream's tests compare libvirt's text with QEMU's; whether a guest really runs under KVM, its QEMU's open files tell.
    """
    record, wanted = expect.record, guest.place.accelerator
    with record.step("ask who runs it", guest.name):
        kvm = qemu_events.asked(expect.truth, guest.name, "query-kvm")
        told = {
            "libvirt": KVM if expect.truth.xml(guest.name).get("type") == "kvm" else TCG,
            "QEMU": KVM if kvm["enabled"] else TCG,
            "the host's kernel": KVM if _runs_in_kernel(cpu_use.pid_of(guest)) else TCG,
            "the guest": inside(guest.ask(INSIDE)),
        }
    wrong = [f"{who} tells '{what}'" for who, what in told.items() if what != wanted]
    record.observe("accelerator_agreed", not wrong, "bool", guest.name)
    if wrong:
        message = f"The node runs guests under '{wanted}', but of '{guest.name}' {', '.join(wrong)}."
        fail(record, "wrong-result", message, guest.name)


def inside(text: str) -> str:
    """Return the hypervisor of a guest by its CPU's flags and its clocks."""
    words = text.split()
    if "hypervisor" not in words:
        return NONE
    return KVM if "kvm-clock" in words else TCG


def demanded(guest: Guest, expect: Expect, accelerator: str) -> None:
    """Expect the guest to be run under *accelerator*, whatever the node was found to have; '' demands none."""
    if accelerator and guest.place.accelerator != accelerator:
        message = f"Guests must run under '{accelerator}' here; '{guest.name}' runs under '{guest.place.accelerator}'."
        fail(expect.record, "wrong-result", message, guest.name)


def _runs_in_kernel(pid: int) -> bool:
    return KVM_VM in {_opened(link) for link in (PROC / str(pid) / "fd").iterdir()}


def _opened(link: Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:
        # QEMU opens and closes files while it runs; the machine itself stays open.
        return ""


def options_on(guest: Guest, expect: Expect, wanted: Sequence[str], gone: Sequence[str]) -> None:
    """
    Observe options_on (bool): the guest's kernel was built with each option *wanted*.

    *gone* names options that kernels do without, as OPTION:VERSION: from that version on what they switched is always there.
    TestError where the guest's kernel does not tell its configuration: nothing is known then.
    """
    record = expect.record
    if not wanted:
        message = "hv_kconfig_required names no option, so nothing would be asked of the guest's kernel."
        raise TestError(message)
    since = dict(_since(one) for one in gone)
    names = "|".join(_name(one, "hv_kconfig_required") for one in wanted)
    with record.step("read kernel configuration", guest.name):
        said = guest.ask(f"uname -r; {CONFIGURATION} | grep -E '^({names})=|^CONFIG_64BIT='; true")
    release, on = read(said)
    if not on:
        message = f"The kernel '{release}' of '{guest.name}' tells its configuration neither in /proc nor in /boot; build its image anew."
        raise TestError(message)
    missing = [one for one in wanted if one not in on and not (one in since and version(release) >= since[one])]
    record.observe("options_on", not missing, "bool", guest.name)
    if missing:
        message = f"The kernel '{release}' of '{guest.name}' was built without {', '.join(missing)}."
        fail(record, "wrong-result", message, guest.name)


def read(said: str) -> tuple[str, set[str]]:
    """Return a kernel's release and the options that are on, built in or as modules; a guest's text is read, never believed to be whole."""
    lines = said.split()
    rows = (line.partition("=") for line in lines[1:])
    return (lines[0] if lines else ""), {name for name, _, value in rows if value in {"y", "m"}}


def version(release: str) -> tuple[int, ...]:
    """Return the first two numbers of a kernel's release; (0, 0) where it has none."""
    found = re.match(r"(\d+)\.(\d+)", release)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _name(option: str, param: str) -> str:
    if not OPTION.fullmatch(option):
        message = f"{param} has '{option}'; an option of a kernel is CONFIG_ with capitals, digits and underscores."
        raise TestError(message)
    return option


def _since(text: str) -> tuple[str, tuple[int, ...]]:
    option, _, since = text.partition(":")
    if version(since) == (0, 0):
        message = f"hv_kconfig_gone has '{text}'; expected is OPTION:VERSION, as in CONFIG_HOTPLUG:3.11."
        raise TestError(message)
    return _name(option, "hv_kconfig_gone"), version(since)
