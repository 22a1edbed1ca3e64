# SPDX-License-Identifier: GPL-2.0-or-later
"""Which node this is and which builds are under test, as the journal's first line says it."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any, Optional

from avocado_hvqual import __version__
from avocado_hvqual.builds import record
from avocado_hvqual.campaign import build_files
from avocado_hvqual.campaign.folder import host_id
from avocado_hvqual.health import identity

QEMU = "/usr/bin/qemu-system-x86_64"
COMMAND_SECONDS = 20


def _first_line(*command: str) -> str:
    """Return the first line that a command prints, empty when it cannot be asked: a missing version is told as missing."""
    if shutil.which(command[0]) is None:
        return ""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip().splitlines()[0] if done.stdout.strip() else ""


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def node_id() -> str:
    """Return what names this node in journals and verdicts."""
    return host_id() if in_lab() else platform.node()


def node() -> dict[str, Any]:
    """Return the node's id and hostname and what it is made of."""
    cpu = re.search(r"^model name\s*:\s*(.+)$", _text("/proc/cpuinfo"), re.MULTILINE)
    memory = re.search(r"^MemTotal:\s*(\d+) kB", _text("/proc/meminfo"), re.MULTILINE)
    return {
        "id": node_id(),
        "hostname": platform.node(),
        "machine_id": _text("/etc/machine-id"),
        "product": _text("/sys/class/dmi/id/product_name"),
        "cpu": cpu.group(1) if cpu else "",
        "cpus": len(os.sched_getaffinity(0)),
        "memory_kib": int(memory.group(1)) if memory else 0,
        "libvirtd_oom_score_adj": _oom_score_adj(),
    }


def _oom_score_adj() -> Optional[int]:
    """Return libvirtd's score for the OOM killer (libvirt's own unit asks for -999), None when it does not run."""
    text = _text(f"/proc/{identity.now().daemon_pid}/oom_score_adj")
    return int(text) if text else None


def in_lab() -> bool:
    """Return whether this is a host of the lab."""
    return host_id() != "local"


def _distribution(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def versions(qemu: str = QEMU) -> dict[str, str]:
    """Return the versions of the builds under test and of the suite."""
    return {
        "kernel": platform.release(),
        "kernel-build": f"{platform.version()} {build_files.of_kernel()}".strip(),
        "qemu": _first_line(qemu, "--version"),
        "qemu-build": build_files.of_qemu(qemu),
        "libvirt": _first_line("virsh", "--version"),
        "libvirt-build": build_files.of_libvirt(),
        "avocado": _distribution("avocado-framework"),
        "avocado-vt": _distribution("avocado-framework-plugin-vt"),
        "avocado-hvqual": __version__,
        "python": platform.python_version(),
        **record.origins(qemu, platform.release()),
    }
