# SPDX-License-Identifier: GPL-2.0-or-later
"""What several tests of the provider share: good parameters of a case, the reader of its record, a record that is only kept."""

import contextlib
import json
from pathlib import Path

from provider.hvqual.record import FILE

PARAMS = {
    "vm_type": "libvirt",
    "hv_id": "hvqual.lifecycle.start",
    "hv_category": "lifecycle",
    "hv_phase": "hypervisor",
    "hv_host_config": "single_big",
    "hv_impact": "guest",
    "hv_components": "qemu libvirt",
    "hv_observations": "guest_ready",
    "hv_limit_guest_ready": "max < 10 s",
    "hv_profile": "smoke",
    "hv_maturity": "lab-proven",
    "hv_timeout": "60",
    "hv_image": "micro",
    "hv_image_home": "/nowhere",
    "hv_vm_count": "1",
    "hv_job_share": "100",
    "hv_at_once": "0",
    "hv_least_memory_mib": "128",
    "hv_flavors": "flavors_lab.ini",
    "hv_flavors_only": "",
    "hv_warm": "no",
    "hv_disk_format": "raw",
    "hv_reserve_cpus": "0",
    "hv_reserve_memory_mib": "0",
    "hv_max_memory_mib": "256",
    "hv_disk_mib": "64",
    "hv_disk_folder": "/nowhere",
    "hv_ready_timeout": "5",
    "hv_login_timeout": "5",
    "hv_shutdown_timeout": "5",
    "hv_operation_timeout": "5",
    "hv_ipi_timeout": "1",
    "hv_ipi_slow": "0.01",
    "hv_hold": "0",
    "hv_witness_port": "5610",
    "hv_network": "default",
    "hv_qemu_binary": "/usr/bin/qemu-system-x86_64",
}


def lines(folder):
    """Return the parsed lines of the record in *folder*."""
    return [json.loads(line) for line in (Path(folder) / FILE).read_text().splitlines()]


class Record:
    """What a test told, kept instead of written."""

    def __init__(self, folder=None):
        self.seen, self.problems, self.answers, self.folder = {}, [], [], folder

    def step(self, *_):
        return contextlib.nullcontext()

    def observe(self, name, value, unit, vm=None):
        self.seen.setdefault(name, []).append(value)

    def problem(self, what, message, vm=None):
        self.problems.append((what, message))

    def capability(self, name, reason, *, ok):
        self.answers.append((name, reason, ok))


def by_the_dead(entry, **owner):
    """Rewrite an entry of the undo log as that of a process which is dead, or as *owner* says."""
    data = json.loads(entry.path.read_text())
    data["owner"] = {**data["owner"], "start": 1, **owner}
    entry.path.write_text(json.dumps(data))
    return entry


def statuses(outcomes):
    return [(outcome.action, outcome.status) for outcome in outcomes]
