# SPDX-License-Identifier: GPL-2.0-or-later
"""What can happen behind a test's back to the memory of a guest that grows and shrinks, and to what lies in it."""

from __future__ import annotations

import json
import re
from typing import Callable

from avocado_hvqual.errors import HvqualError
from avocado_hvqual.faults.acts import guests, virsh
from avocado_hvqual.wait import until

PATTERN = "/run/hvq-pattern/pattern"
# Four bytes of what is random: no chance has them as they are.
FLIP = f"test -s {PATTERN} && printf flip | dd of={PATTERN} bs=1 seek=6000 conv=notrunc 2>/dev/null"


def in_guests(command: str) -> None:
    """Run *command* in each guest of ours, by its agent: the test's own session is not involved."""
    for name in guests():
        arguments = {"path": "/bin/sh", "arg": ["-c", command]}
        told = virsh("qemu-agent-command", name, json.dumps({"execute": "guest-exec", "arguments": arguments}))
        asked = {"execute": "guest-exec-status", "arguments": {"pid": json.loads(told)["return"]["pid"]}}
        status = until(lambda name=name, asked=asked: _ended(name, json.dumps(asked)), 20, f"'{command}' in '{name}'")  # type: ignore[misc]
        if status.get("exitcode") != 0:
            message = f"'{command}' failed in '{name}': {status}"
            raise HvqualError(message)


def _ended(name: str, asked: str) -> dict[str, object]:
    """Return the status of a process in the guest once it has ended, else an empty one."""
    status: dict[str, object] = json.loads(virsh("qemu-agent-command", name, asked))["return"]
    return status if status.get("exited") else {}


def balloon_back() -> None:
    """Give each guest all its memory back, by its monitor: of it libvirt is not asked."""
    for name in guests():
        found = re.search(r"Max memory:\s+(\d+) KiB", virsh("dominfo", name))
        if not found:
            message = f"libvirt does not tell the memory of '{name}'."
            raise HvqualError(message)
        order = {"execute": "balloon", "arguments": {"value": int(found[1]) * 1024}}
        virsh("qemu-monitor-command", name, json.dumps(order))


MEMORY_ACTS: dict[str, Callable[[], None]] = {
    "flip-pattern": lambda: in_guests(FLIP),
    "lose-pattern": lambda: in_guests(f"rm {PATTERN}"),
    "balloon-back": balloon_back,
}
