# SPDX-License-Identifier: GPL-2.0-or-later
"""vCPUs by their ids, which are libvirt's and QEMU's: their threads on the host, and the APIC ids by which a guest's kernel knows them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from provider.hvqual import host_process
from provider.hvqual.domain_xml import Spec
from provider.hvqual.shares import Thread, threads

Ids = frozenset[int]
THREAD = re.compile(r"CPU (\d+)/(?:KVM|TCG)")


def threads_of(name: str) -> dict[int, Thread]:
    """Return the host's thread of each vCPU of the guest *name*, none when it has not exactly one QEMU."""
    found = host_process.emulators(name)
    named = [(THREAD.fullmatch(thread.name), thread) for thread in (threads(found[0].pid) if len(found) == 1 else [])]
    return {int(match[1]): thread for match, thread in named if match}


def apic_ids(ids: Iterable[int], spec: Spec) -> Ids:
    """Return the APIC ids of vCPUs of the model: sockets and cores each have as many bits as they need (one thread a core)."""
    sockets = len(spec.cells) if spec.cells and spec.most_vcpus % len(spec.cells) == 0 else 1
    cores = spec.most_vcpus // sockets
    width = max(0, cores - 1).bit_length()
    return frozenset((vcpu // cores << width) | vcpu % cores for vcpu in ids)
