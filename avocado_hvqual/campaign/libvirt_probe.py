# SPDX-License-Identifier: GPL-2.0-or-later
"""Does libvirtd answer? Asked before a job, because avocado-vt would make an ERROR of each case, one by one."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any, Optional

from avocado_hvqual.errors import HvqualError

URI = "qemu:///system"
SECONDS = 15
MISSING = "'virsh' is not installed"


def failure(uri: str = URI) -> Optional[str]:
    """Return why libvirtd does not answer, None when it does."""
    try:
        done = subprocess.run(
            ["virsh", "-c", uri, "version", "--daemon"], capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except FileNotFoundError:
        return MISSING
    except subprocess.TimeoutExpired:
        return f"no answer in {SECONDS} s"
    if done.returncode == 0:
        return None
    said = [line for line in done.stderr.strip().splitlines() if line.strip()]
    return said[-1].removeprefix("error: ") if said else f"virsh ended with {done.returncode}"


def remedy() -> str:
    """Return the command that mends it on this host."""
    if os.environ.get("HVQUAL_HOST_ID"):
        return "avocado hvqual lab up"
    if Path("/run/systemd/system").is_dir():
        return "systemctl start libvirtd"
    return "libvirtd --daemon   (or run inside the lab: avocado hvqual run --lab --profile smoke)"


def uris(job: Any) -> set[str]:
    """Return the libvirt URIs that the libvirt cases of ours in a job connect to."""
    found = set()
    for suite in job.test_suites:
        for runnable in suite.tests or ():
            if runnable.kwargs.get("hv_id") and runnable.kwargs.get("vm_type") == "libvirt":
                uri = str(runnable.kwargs.get("connect_uri") or "default")
                found.add(URI if uri == "default" else uri)
    return found


def demand(job: Any) -> None:
    """Return when every libvirt that the job needs answers; HvqualError with the command that mends it otherwise."""
    demand_uris(uris(job))


def demand_uris(wanted: set[str]) -> None:
    """Return when libvirtd answers at each URI; HvqualError with the command that mends it otherwise."""
    for uri in sorted(wanted):
        why = failure(uri)
        if why == MISSING:
            message = f"{MISSING}, so no case can run. Install it with:  apt-get install -y libvirt-clients"
            raise HvqualError(message)
        if why is not None:
            message = f"libvirtd does not answer at '{uri}' ({why}), so no case can run. Start it with:  {remedy()}"
            raise HvqualError(message)
