# SPDX-License-Identifier: GPL-2.0-or-later
"""What can happen behind a test's back to guests whose agents are asked, and to LUNs that a node is lent."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Callable

from avocado_hvqual.errors import HvqualError
from avocado_hvqual.faults.acts import guests, virsh
from avocado_hvqual.wait import until

ONE_ID = "0123456789abcdef" * 2
LUN = "/hvq-lun-"
KEYS = "/etc/ssh/ssh_host_*"
LONGEST = 20


def _in_each(command: str) -> None:
    """Run *command* in every running guest of ours, and see it end well."""
    for name in guests():
        arguments = {"path": "/bin/sh", "arg": ["-c", command], "capture-output": True}
        started = virsh("qemu-agent-command", name, json.dumps({"execute": "guest-exec", "arguments": arguments}))
        asked = {"execute": "guest-exec-status", "arguments": {"pid": json.loads(started)["return"]["pid"]}}
        ended = until(lambda name=name, asked=asked: _ended(name, asked), LONGEST, f"'{command}' in '{name}'")  # type: ignore[misc]
        if ended.get("exitcode") != 0:
            message = f"'{command}' failed in '{name}': {ended}"
            raise HvqualError(message)


def _ended(name: str, asked: dict[str, object]) -> dict[str, object]:
    status: dict[str, object] = json.loads(virsh("qemu-agent-command", name, json.dumps(asked)))["return"]
    return status if status.get("exited") else {}


def _on_each_lun(*command: str) -> None:
    """Run *command* with each loop device before a LUN file of ours."""
    found = [one.parents[1] for one in Path("/sys/block").glob("loop*/loop/backing_file") if LUN in one.read_text()]
    if not found:
        message = "No loop device stands before a LUN file of ours."
        raise HvqualError(message)
    for folder in found:
        done = subprocess.run([*command, f"/dev/{folder.name}"], capture_output=True, text=True, check=False)
        if done.returncode:
            message = f"'{command[0]}' failed on {folder.name}: {done.stderr.strip()}"
            raise HvqualError(message)


PREP_ACTS: dict[str, Callable[[], None]] = {
    "machine-ids-alike": lambda: _in_each(f"echo {ONE_ID} > /etc/machine-id"),
    "host-keys-gone": lambda: _in_each(f"rm {KEYS}"),
    "option-is-gone": lambda: _in_each("sed -i /^CONFIG_HOTPLUG_PCI=/d /boot/config-*"),
    "lun-is-signed": lambda: _on_each_lun("mkswap"),
    "lun-is-detached": lambda: _on_each_lun("losetup", "-d"),
    "unit-fails": lambda: _in_each("systemd-run --unit hvq-seeded /bin/false; sleep 1"),
    "package-is-gone": lambda: _in_each("sed -i 's/^Package: iperf3$/Package: iperf4/' /var/lib/dpkg/status"),
}
