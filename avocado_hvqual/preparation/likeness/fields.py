# SPDX-License-Identifier: GPL-2.0-or-later
"""
The table of what must be equal on two nodes of a cluster, what may differ, what must, and what must be at least as much.

The first row that fits a fact decides. A fact that no row fits is a mistake of this table, and told as one: nothing differs unseen.
"""

from __future__ import annotations

import enum
from fnmatch import fnmatchcase
from typing import NamedTuple, Optional


class Rule(enum.Enum):
    """What is asked of a fact of the new node, held against the same fact of an existing one."""

    EQUAL = "must be equal"
    FREE = "may differ"
    OTHER = "must differ"
    LEAST = "must be at least as much"


class Field(NamedTuple):
    """One row: names of facts (* stands for anything), the rule, and what happens where it is broken."""

    names: str
    rule: Rule
    why: str


#: Part by which memory may be less: the firmware and the kernel keep a little that changes from boot to boot.
SLACK = 0.01

FIELDS: tuple[Field, ...] = (
    Field("host.name", Rule.OTHER, "two nodes of one name are taken for each other"),
    Field("host.machine_id", Rule.OTHER, "DHCP, the journal and D-Bus take two nodes of one machine-id for one"),
    Field(
        "libvirt.host_uuid", Rule.OTHER, "libvirt refuses to migrate between hosts of one UUID: it takes them for one"
    ),
    Field("nic.*.mac", Rule.OTHER, "two cards of one address lose each other's packets"),
    Field("firmware.serial", Rule.FREE, "each machine has its own"),
    Field("firmware.*", Rule.EQUAL, "firmware decides on CPU features, microcode and memory timing"),
    Field("os.*", Rule.EQUAL, "packages of another release are other software"),
    Field("kernel.*", Rule.EQUAL, "another kernel or command line is another hypervisor"),
    Field("cpu.count", Rule.LEAST, "guests placed on the existing nodes must fit"),
    Field(
        "cpu.*",
        Rule.EQUAL,
        "a guest that has seen a CPU feature crashes where it is missing; microcode decides on features",
    ),
    Field("memory.kib", Rule.LEAST, "guests placed on the existing nodes must fit"),
    Field("numa.node*.kib", Rule.LEAST, "guests bound to a node must fit"),
    Field("numa.*", Rule.EQUAL, "bindings of a guest mean something else"),
    Field("hugepages.*", Rule.LEAST, "guests backed by huge pages must fit"),
    Field("thp.*", Rule.EQUAL, "the same guest gets other memory performance"),
    Field("ksm.*", Rule.EQUAL, "memory is shared on one node and not on the other"),
    Field("nic.*.speed", Rule.LEAST, "guests and migrations share it"),
    Field("nic.*", Rule.EQUAL, "another driver, firmware or MTU behaves otherwise under load"),
    Field("kvm.*", Rule.EQUAL, "what KVM offers guests differs (nested, AVIC/APICv, ...)"),
    Field("sysctl.*", Rule.EQUAL, "the same guest meets other limits"),
    Field("qemu.*", Rule.EQUAL, "a migration needs the same machine types and devices on both sides"),
    Field("libvirt.*", Rule.EQUAL, "features of migration are those of both sides"),
    Field("pool.*.capacity_mib", Rule.LEAST, "disks must fit"),
    Field("pool.*", Rule.EQUAL, "a disk is found under another path, or not at all"),
    Field("network.*", Rule.EQUAL, "a guest that arrives finds no network of that name, or another one"),
)


def of(name: str) -> Optional[Field]:
    """Return the row of a fact; None when there is none."""
    return next((field for field in FIELDS if fnmatchcase(name, field.names)), None)
