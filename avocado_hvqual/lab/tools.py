# SPDX-License-Identifier: GPL-2.0-or-later
"""The programs that the lab and the images need, and the packages that bring them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping

from avocado_hvqual.errors import HvqualError, LabError

#: Program -> package of Debian and Ubuntu.
LAB_PROGRAMS: Mapping[str, str] = {
    "qemu-system-x86_64": "qemu-system-x86",
    "libvirtd": "libvirt-daemon-system",
    "virtlogd": "libvirt-daemon-system",
    "virtlockd": "libvirt-daemon-system",
    "virsh": "libvirt-clients",
    "dnsmasq": "dnsmasq-base",
    "ip": "iproute2",
    "iptables": "iptables",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "mount": "mount",
}
#: Where programs of the superuser lie; missing from the PATH of some shells.
_SYSTEM_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin"


def find(program: str) -> str | None:
    """Return the path of *program*, also when only the superuser's PATH has it."""
    return shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:{_SYSTEM_FOLDERS}")


def require(programs: Mapping[str, str], purpose: str, error: type[HvqualError] = LabError) -> None:
    """Raise *error* with one sentence that names the missing programs and the packages to install."""
    missing = [program for program in programs if find(program) is None]
    if missing:
        packages = " ".join(sorted({programs[program] for program in missing}))
        msg = f"{purpose} needs {', '.join(missing)}, not found; install with 'apt-get install -y {packages}'."
        raise error(msg)


def require_root(purpose: str, error: type[HvqualError] = LabError) -> None:
    """Raise *error* unless this process is the superuser's."""
    if os.geteuid() != 0:
        msg = f"{purpose} needs root (namespaces, mounts, cgroups), found user id {os.geteuid()}; run it with sudo."
        raise error(msg)
