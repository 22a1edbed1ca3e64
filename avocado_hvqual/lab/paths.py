# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the lab keeps its things, and its closed set of hosts."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from pathlib import Path

from avocado_hvqual.errors import LabError

DEFAULT_HOME = Path("/var/lib/avocado-hvqual")
HOME_VARIABLE = "AVOCADO_HVQUAL_HOME"
HOST_ID_VARIABLE = "HVQUAL_HOST_ID"
#: The node under test and its peer.
NODE, PEER = "hv-a", "hv-b"
HOSTS = (NODE, PEER)
#: The network between the hosts: a namespace of its own, where observers outside both hosts stand.
FABRIC = "fabric"
#: Addresses on the fabric. Guests on it get .100 to .200 and the fabric's own address as gateway.
FABRIC_PREFIX = 24
FABRIC_ADDRESSES = {NODE: "10.77.0.1", PEER: "10.77.0.2", FABRIC: "10.77.0.254"}
FABRIC_NETWORK = "10.77.0.0/24"
FABRIC_LEASES = ("10.77.0.100", "10.77.0.200")


def home() -> Path:
    """Return the state home: $AVOCADO_HVQUAL_HOME, else /var/lib/avocado-hvqual."""
    return Path(os.environ.get(HOME_VARIABLE) or DEFAULT_HOME).absolute()


def known_host(name: str, *, fabric: bool = False) -> str:
    """Return *name* if it is a host of the lab (or, on request, the fabric); raise `LabError` naming the hosts otherwise."""
    names = (*HOSTS, FABRIC) if fabric else HOSTS
    if name not in names:
        msg = f"The lab has no host '{name}'; its hosts are {', '.join(names)}."
        raise LabError(msg)
    return name


@dataclasses.dataclass(frozen=True)
class LabPaths:
    """All paths of the lab of one state home."""

    home: Path

    @property
    def root(self) -> Path:
        """The folder that holds everything of the lab; `down` removes it."""
        return self.home / "lab"

    @property
    def lock(self) -> Path:
        """Held by whoever changes the lab; outlives it."""
        return self.home / "lab.lock"

    @property
    def state(self) -> Path:
        """The processes of the lab, with their start times."""
        return self.root / "state.json"

    @property
    def shared(self) -> Path:
        """The storage that both hosts see under the same path."""
        return self.root / "shared"

    @property
    def lab_id(self) -> str:
        """Eight digits that tell the labs of one machine apart."""
        return hashlib.sha256(os.fsencode(self.home)).hexdigest()[:8]

    @property
    def cgroup(self) -> str:
        """The lab's cgroup, relative to the one that the machine's first process is in."""
        return f"avocado-hvqual/{self.lab_id}"

    def host(self, name: str) -> Path:
        """The folder of one host: its disks, so to speak."""
        return self.root / name

    def libvirt_socket(self, name: str) -> Path:
        """Where libvirtd of host *name* is reached from outside the host."""
        return self.host(name) / "run" / "libvirt" / "libvirt-sock"
