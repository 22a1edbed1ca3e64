# SPDX-License-Identifier: GPL-2.0-or-later
"""
Each fault of the registry is seeded under a real run by plain ``avocado run``, and must be found for what it is.

HVQUAL_PROVE=all takes every use case of each fault, HVQUAL_PROVE=each one use case a fault, HVQUAL_PROVE=ids one fault a use case,
HVQUAL_PROVE=lies for each use case every operation that reports success and does nothing, and another fault or two; the default,
which fits a build, takes those of FEW.
"""

import json
import os
import re

import pytest

from avocado_hvqual.faults.registry import FAULTS
from avocado_hvqual.faults.registry_cpu import CPU_FILTERS
from avocado_hvqual.faults.registry_pins import PIN_FILTERS
from avocado_hvqual.faults.registry_prep import PREP_FILTERS

FILTERS = {
    "hvqual.lifecycle.start": "lifecycle.start single_big",
    "hvqual.lifecycle.shutdown": "lifecycle.shutdown single_big",
    "hvqual.lifecycle.destroy": "lifecycle.destroy single_big",
    "hvqual.lifecycle.save_restore": "lifecycle.save_restore single_big",
    "hvqual.lifecycle.managedsave": "lifecycle.managedsave single_big",
    "hvqual.lifecycle.snapshot.internal": "lifecycle.snapshot.internal.in_disk single_big",
    "hvqual.lifecycle.snapshot.internal:disk=raw": "lifecycle.snapshot.internal.refused single_big",
    "hvqual.lifecycle.snapshot.external": "lifecycle.snapshot.external single_big",
    "hvqual.lifecycle.snapshot.repeat": "lifecycle.snapshot.repeat single_big",
    "hvqual.lifecycle.restart": "lifecycle.restart single_big",
    "hvqual.lifecycle.suspend_resume": "lifecycle.suspend_resume single_big",
    "hvqual.lifecycle.pm_suspend": "lifecycle.pm_suspend single_big",
    "hvqual.lifecycle.import": "lifecycle.import single_big",
    "hvqual.lifecycle.edit": "lifecycle.edit single_big",
    "hvqual.lifecycle.stats": "lifecycle.stats single_big",
    "hvqual.lifecycle.define_undefine": "lifecycle.define_undefine single_big",
    "hvqual.lifecycle.autostart": "lifecycle.autostart single_big",
    "hvqual.memory.hugepage.lifecycle": "memory.hugepage.lifecycle.of_2m single_big",
    "hvqual.memory.hugepage.hotplug": "memory.hugepage.hotplug single_big",
    "hvqual.memory.hugepage.shortage": "memory.hugepage.shortage single_big",
    "hvqual.memory.no_hugepage.lifecycle": "memory.no_hugepage.lifecycle single_big",
    "hvqual.memory.numa.tune": "memory.numa.tune.each_mode single_big",
    "hvqual.memory.thp.base": "memory.thp.base single_big",
    "hvqual.memory.thp.lifecycle": "memory.thp.lifecycle single_big",
    "hvqual.memory.thp.defrag_swap": "memory.thp.defrag_swap.collapsed single_big",
    "hvqual.memory.thp.defrag_swap:swap=zram": "memory.thp.defrag_swap.swapped.to_zram single_big",
    "qemu:hvqual.lifecycle.start": "lifecycle.boot.witness single_big",
    "qemu:hvqual.lifecycle.shutdown": "lifecycle.boot.power_off single_big",
    "qemu:hvqual.lifecycle.restart": "lifecycle.restart single_big",
    "qemu:hvqual.lifecycle.suspend_resume": "lifecycle.suspend_resume single_big",
    "qemu:hvqual.lifecycle.save_restore": "lifecycle.save_restore single_big",
    "hvqual.memory.hotplug.dimm_plug": "hotplug.dimm_plug single_big",
    "hvqual.memory.hotplug.dimm_unplug": "hotplug.dimm_unplug single_big",
    "hvqual.memory.hotplug.virtio_mem": "hotplug.virtio_mem.resized single_big",
    "hvqual.memory.hotplug.virtio_mem:unplug=device": "hotplug.virtio_mem.unplugged single_big",
    "hvqual.memory.hotplug.balloon": "hotplug.balloon single_big",
    "hvqual.memory.hotplug.lifecycle_mix": "hotplug.lifecycle_mix single_big",
    "qemu:hvqual.memory.hotplug.dimm_plug": "hotplug.dimm_plug single_big",
    "qemu:hvqual.memory.hotplug.dimm_unplug": "hotplug.dimm_unplug single_big",
    "hvqual.cloud.sla.start_time": "cloud.sla.start_time single_big",
    "hvqual.cloud.sla.start_time_concurrent": "cloud.sla.start_time_concurrent n_equal",
    "hvqual.hostcfg.single_big": "hostcfg.single_big_measured",
    "hvqual.hostcfg.n_equal": "hostcfg.n_equal_measured",
    "hvqual.hostcfg.patterns": "hostcfg.patterns_measured",
    "hvqual.cpu.limit.max_vcpus": "cpu.limit.max_vcpus single_big",
    "hvqual.cpu.limit.max_vcpus_lifecycle": "cpu.limit.max_vcpus_lifecycle single_big",
    "hvqual.cpu.numa.tune": "cpu.numa.tune.each_mode n_equal",
    "hvqual.cpu.numa.guest_topology": "cpu.numa.guest_topology n_equal",
    **CPU_FILTERS,
    **PIN_FILTERS,
    **PREP_FILTERS,
}

FEW = (
    ("start-does-nothing", "hvqual.lifecycle.start"),
    ("power-is-cut-instead", "hvqual.lifecycle.shutdown"),
    ("guest-freezes-below", "qemu:hvqual.lifecycle.start"),
    ("memory-of-saved-flips", "hvqual.lifecycle.managedsave"),
    ("test-is-killed-importing", "hvqual.lifecycle.import"),
    ("start-takes-11-s", "hvqual.cloud.sla.start_time"),
    ("plug-into-node-does-nothing", "hvqual.cpu.numa.guest_topology"),
)
"""A lie, and a fault in each layer: libvirt, QEMU, guest, harness; the smoke run beside them is without any."""


def pairs():
    """Return faults with the use cases under which they are seeded, as many as HVQUAL_PROVE asks for."""
    prove = os.environ.get("HVQUAL_PROVE", "few")
    if prove == "all":
        return [(fault, use_case) for fault in FAULTS for use_case in fault.use_cases]
    if prove == "each":
        return [(fault, fault.use_cases[number % len(fault.use_cases)]) for number, fault in enumerate(FAULTS)]
    if prove == "few":
        by_name = {fault.name: fault for fault in FAULTS}
        return [(by_name[name], use_case) for name, use_case in FEW]
    if prove == "lies":
        return [
            (fault, use_case) for number, use_case in enumerate(FILTERS) for fault in lies_and_more(use_case, number)
        ]
    known = [(use_case, [fault for fault in FAULTS if use_case in fault.use_cases]) for use_case in FILTERS]
    return [(faults[number % len(faults)], use_case) for number, (use_case, faults) in enumerate(known)]


def lies_and_more(use_case, number):
    """Return the lies that a use case can be told, and other faults of it, chosen by *number*: one at least, two in all."""
    faults = [fault for fault in FAULTS if use_case in fault.use_cases]
    lies = [fault for fault in faults if fault.name.endswith("-does-nothing")]
    others = [fault for fault in faults if fault not in lies]
    first = number % len(others) if others else 0
    return lies + (others[first:] + others[:first])[: max(1, 2 - len(lies))]


@pytest.mark.parametrize(
    ("fault", "use_case"), pairs(), ids=[f"{fault.name}-{use_case}" for fault, use_case in pairs()]
)
def test_fault_is_found(node, fault, use_case):
    """The run does not end in 0, the finding says what happened with its severity, and the host is as it was."""
    results = node.results()
    before = node.digest()
    # A twin below libvirt is told by its backend.
    backend = "qemu" if use_case.startswith("qemu:") else "libvirt"
    select = ["--vt-type", backend, "--vt-only-filter", FILTERS[use_case]]
    run = ["avocado", "run", "--job-results-dir", str(results), *select]
    # Guests are watched long enough for the fault to come while they are.
    profile = [
        "--vt-extra-params",
        "hv_profile=smoke",
        "--vt-extra-params",
        "hv_ready_timeout=60",
        "--vt-extra-params",
        "hv_hold=5",
        "hvqual",
    ]
    done = node.inside(
        "avocado", "hvqual", "fault", "seed", fault.name, "--results", str(results), "--", *run, *profile
    )
    assert done.returncode not in {0, 2}, done.stdout + done.stderr
    (verdict,) = results.glob("job-*/verdict.json")
    findings = json.loads(verdict.read_text())["findings"]
    caught = [found for found in findings if re.search(fault.caught, found["message"])]
    # In the cloud phase everything is critical (requirement 6.3).
    severity = "critical" if ".cloud." in use_case else fault.severity
    told = [(found["severity"], found["kind"], found["message"]) for found in findings]
    assert severity in {found["severity"] for found in caught}, told
    assert node.digest() == before
