# SPDX-License-Identifier: GPL-2.0-or-later
"""The cgroup of one thread, whichever version its host has: libvirt keeps pins and quotas there, one folder a vCPU."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from avocado.core.exceptions import TestError

from provider.hvqual.shares import Thread, cpus

CGROUP = Path("/sys/fs/cgroup")
UNLIMITED = -1


@dataclass(frozen=True)
class Quota:
    """So many microseconds of CPU time in each period of so many; a quota of -1 is no limit."""

    quota: int
    period: int

    @property
    def share(self) -> float:
        """How many CPUs' time that is."""
        return float("inf") if self.quota < 0 else self.quota / self.period


@dataclass(frozen=True)
class Group:
    """The folder of one controller, and the version of cgroups that it is of."""

    version: int
    folder: Path

    @property
    def name(self) -> str:
        """What libvirt calls it: vcpu0, emulator, iothread1."""
        return self.folder.name

    @property
    def above(self) -> Group:
        """The group that holds it: the whole guest's."""
        return Group(self.version, self.folder.parent)

    def cpus(self) -> frozenset[int]:
        """Return the host CPUs on which those within may run, by 'cpuset.cpus' (none under version 2 where nothing is limited)."""
        return frozenset(cpus(self._read("cpuset.cpus")))

    def quota(self) -> Quota:
        """Return the bandwidth limit."""
        if self.version == 1:
            return Quota(int(self._read("cpu.cfs_quota_us")), int(self._read("cpu.cfs_period_us")))
        quota, period = self._read("cpu.max").split()
        return Quota(UNLIMITED if quota == "max" else int(quota), int(period))

    def throttled(self) -> int:
        """Return in how many periods those within were held back because their quota was used up."""
        stat = dict(line.split() for line in self._read("cpu.stat").splitlines())
        return int(stat.get("nr_throttled", 0))

    def _read(self, name: str) -> str:
        try:
            return (self.folder / name).read_text(encoding="ascii").strip()
        except OSError as error:
            message = f"The cgroup '{self.folder}' does not tell '{name}': {error}"
            raise TestError(message) from None


def of(thread: Thread, controller: str, root: Path = CGROUP) -> Group:
    """Return the thread's group of *controller* (cpu, cpuset); TestError when the host does not show one."""
    lines = (thread.folder / "cgroup").read_text(encoding="utf-8").splitlines()
    found: Group | None = None
    for line in lines:
        _, controllers, path = line.split(":", 2)
        names = controllers.split(",")
        if controller in names:
            places = [root / controllers, root / controller]
            base = next((place for place in places if place.is_dir()), root / controller)
            return Group(1, base / path.lstrip("/"))
        if not controllers:
            base = root / "unified" if (root / "unified").is_dir() else root
            found = Group(2, base / path.lstrip("/"))
    if found is None or not found.folder.is_dir():
        message = f"The thread '{thread.name}' ({thread.tid}) is in no cgroup of '{controller}': {lines}"
        raise TestError(message)
    return found
