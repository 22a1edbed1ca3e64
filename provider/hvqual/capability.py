# SPDX-License-Identifier: GPL-2.0-or-later
"""
What the node can do, found by trying or reading: each probe answers (ok, reason), and a cancelled case cites one.

No probe asks whether this is a lab; the same code gives other answers on other nodes.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from avocado.core.exceptions import TestCancel, TestError

from provider.hvqual import accelerator, marks
from provider.hvqual.record import Record

CGROUP = Path("/sys/fs/cgroup")
HUGEPAGES = Path("/sys/kernel/mm/hugepages")
UNLIMITED = 1 << 60


@dataclass(frozen=True)
class Capacity:
    """What the node has for guests: whole CPUs and KiB of memory, the reserve already taken off."""

    cpus: int
    memory_kib: int


def accelerator_of(qemu: str, record: Record) -> str:
    """Return 'kvm' or 'tcg', whichever booted a few bytes of guest code under *qemu*; TestError when neither did."""
    probe = _probed(qemu)
    for name, answer in (("kvm", probe.kvm), ("tcg", probe.tcg)):
        record.capability(f"accelerator {name}", answer.reason, ok=answer.ok)
    record.capability("component kvm", f"guests run under {probe.accelerator}", ok=probe.accelerator == "kvm")
    if probe.accelerator == "none":
        message = f"'{qemu}' boots no guest code, neither by KVM ({probe.kvm.reason}) nor by TCG ({probe.tcg.reason})."
        raise TestError(message)
    return probe.accelerator


def _probed(qemu: str) -> accelerator.Probe:
    """
    Return the probe of *qemu* of this boot, from the file that remembers it or made now.

    A KVM that opens and boots nothing is found out by waiting (4 s), which each case would pay. The answer holds as long as
    this kernel runs and the binary is the same.
    """
    binary = Path(qemu).stat()
    asked = [
        Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip(),
        qemu,
        binary.st_mtime_ns,
        binary.st_size,
    ]
    file = marks.home() / f"accelerator-{marks.host_id()}.json"
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        if told["asked"] == asked:
            kvm, tcg = accelerator.Answer(**told["kvm"]), accelerator.Answer(**told["tcg"])
            return accelerator.Probe(qemu, told["version"], kvm, tcg)
    except (OSError, ValueError, KeyError, TypeError):
        # Never asked on this host, or the file is damaged: asked anew, and written anew.
        file.parent.mkdir(parents=True, exist_ok=True)
    probe = accelerator.probe(qemu)
    fresh = file.with_suffix(f".{os.getpid()}.tmp")
    fresh.write_text(json.dumps({"asked": asked, **probe.as_dict()}), encoding="utf-8")
    fresh.replace(file)
    return probe


def require(name: str, reason: str, record: Record, *, ok: bool) -> None:
    """Cancel the case unless the probe *name* said yes; the answer and its reason are recorded either way."""
    record.capability(name, reason, ok=ok)
    if not ok:
        message = f"This node cannot: {name} ({reason})."
        raise TestCancel(message)


def huge_pages(size_kib: int, root: Path = HUGEPAGES) -> str:
    """Return '' when the kernel has huge pages of this size, else why not."""
    if (root / f"hugepages-{size_kib}kB").is_dir():
        return ""
    sizes = sorted(int(found[1]) for path in root.glob("hugepages-*kB") if (found := re.search(r"(\d+)kB", path.name)))
    return f"the kernel's sizes are {sizes} KiB" if sizes else "the kernel has none of any size"


def capacity(reserve_cpus: int, reserve_memory_mib: int, max_memory_mib: int) -> Capacity:
    """
    Return what guests may have: the CPUs and the memory that this process may use, less the stated reserve (decision 10).

    Limits of the cgroups above this process count, so that a lab host offers its budget and not the machine. A host that uses more
    than its reserve leaves less: only what is available. *max_memory_mib* scales guests down (0 = no cap). TestError when the
    reserve leaves less than a guest needs.
    """
    cpus = len(os.sched_getaffinity(0)) - reserve_cpus
    whole = min([_meminfo_kib("MemTotal"), *_cgroup_limits_kib()])
    memory_kib = min(whole - reserve_memory_mib * 1024, _meminfo_kib("MemAvailable"))
    if max_memory_mib:
        memory_kib = min(memory_kib, max_memory_mib * 1024)
    if cpus < 1 or memory_kib < 128 * 1024:
        message = f"The node leaves {cpus} CPUs and {memory_kib // 1024} MiB for guests after the reserve; lower hv_reserve_*."
        raise TestError(message)
    return Capacity(cpus, memory_kib // 2048 * 2048)


def _meminfo_kib(name: str) -> int:
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    message = f"/proc/meminfo has no '{name}'."
    raise TestError(message)


def _cgroup_limits_kib() -> list[int]:
    """Return the memory limits of the cgroups that hold this process."""
    return memory_limits_kib(Path("/proc/self/cgroup").read_text(encoding="ascii"), CGROUP)


def memory_limits_kib(cgroups: str, root: Path) -> list[int]:
    """Return the memory limits over a process, from its own cgroup up to the root, v1 and v2; *cgroups* is its /proc/PID/cgroup."""
    texts = [
        *_over(cgroups, root, "memory", "memory.limit_in_bytes"),
        *_over(cgroups, root, "", "memory.max"),
    ]
    return [int(text) // 1024 for text in texts if text != "max" and int(text) < UNLIMITED]


def cpu_limits(cgroups: str, root: Path) -> list[float]:
    """Return how many CPUs' time the cgroups over a process give it, v1 and v2; nothing for those that do not limit it."""
    found = []
    quotas, periods = (_over(cgroups, root, "cpu", f"cpu.cfs_{name}_us") for name in ("quota", "period"))
    for quota, period in [*zip(quotas, periods), *(text.split() for text in _over(cgroups, root, "", "cpu.max"))]:
        if quota.isdigit() and int(period):
            found.append(int(quota) / int(period))
    return found


def _over(cgroups: str, root: Path, controller: str, name: str) -> list[str]:
    """Return the contents of the file *name* in the cgroups of one hierarchy over a process ('' is version 2), its own first."""
    found = []
    for line in cgroups.splitlines():
        _, controllers, path = line.split(":", 2)
        if controller not in controllers.split(","):
            continue
        base = next((place for place in _mounts(root, controller) if place.is_dir()), root)
        folder = base / path.lstrip("/")
        for place in [folder, *folder.parents]:
            file = place / name
            if file.is_file():
                found.append(file.read_text(encoding="ascii").strip())
            if place == base:
                break
    return found


def _mounts(root: Path, controller: str) -> list[Path]:
    """Return where a hierarchy may be mounted: by the name of its controller, or version 2, alone or beside version 1."""
    if controller == "cpu":
        return [root / "cpu", root / "cpu,cpuacct", root / "cpuacct,cpu"]
    return [root / controller] if controller else [root / "unified", root]
