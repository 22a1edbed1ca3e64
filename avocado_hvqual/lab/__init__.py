# SPDX-License-Identifier: GPL-2.0-or-later
"""Two hosts on one machine: the node under test and its peer, in namespaces, each with its own libvirtd."""

from avocado_hvqual.lab.bring_up import up
from avocado_hvqual.lab.foreground import PowerLostError, attend
from avocado_hvqual.lab.inside import command, execute, replace, show_folder
from avocado_hvqual.lab.paths import FABRIC, HOSTS, NODE, PEER, LabPaths, home
from avocado_hvqual.lab.status import HostStatus, LabStatus, status
from avocado_hvqual.lab.take_down import down, power_off

__all__ = [
    "FABRIC",
    "HOSTS",
    "NODE",
    "PEER",
    "HostStatus",
    "LabPaths",
    "LabStatus",
    "PowerLostError",
    "attend",
    "command",
    "down",
    "execute",
    "home",
    "power_off",
    "replace",
    "show_folder",
    "status",
    "up",
]
