# SPDX-License-Identifier: GPL-2.0-or-later
"""CPUs that a guest has and does not use: taken offline and online in it by its agent, as libvirt's users ask for (`virsh guestvcpus`)."""

from __future__ import annotations

import re

from virttest import virsh

from provider.hvqual import guest_cpus, shares, vcpu_ids, vcpu_map
from provider.hvqual.expect import Expect
from provider.hvqual.guests import Guest
from provider.hvqual.operations import cpu_hotplug, power
from provider.hvqual.steps import fail, pass_time
from provider.hvqual.vcpu_ids import Ids

ONLINE = re.compile(r"^online\s*:\s*(\S*)", re.MULTILINE)
LOOK = 0.5


def offline(guest: Guest, expect: Expect, vcpus: Ids, had: Ids) -> None:
    """
    Have the agent take *vcpus* offline of a guest that *had* those: they stay there for libvirt, QEMU and the host, and do nothing.

    Observe offline_cpu_time (s): what the host's threads of them used in half a second.
    """
    with expect.record.step("take offline", guest.name):
        power.agent_there(guest, expect)
        cpus = guest_cpus.told(guest).by_apic(vcpu_ids.apic_ids(vcpus, guest.spec))
        expect.act(virsh.guestvcpus, guest.name, cpu_hotplug.listed(cpus), "--disable")
        now = vcpu_map.held(guest, expect, had, cpu_hotplug.config(guest), vcpus)
        _agent_says(guest, expect, now.online)
        threads = [thread for vcpu, thread in vcpu_ids.threads_of(guest.name).items() if vcpu in vcpus]
        before = sum(map(shares.cpu_seconds, threads))
        pass_time(LOOK)
        expect.record.observe("offline_cpu_time", sum(map(shares.cpu_seconds, threads)) - before, "s", guest.name)


def offline_and_unplug(guest: Guest, expect: Expect, count: int) -> None:
    """Take the last *count* vCPUs offline in the guest, then unplug them, of the definition too."""
    had = cpu_hotplug.live(guest)
    offline(guest, expect, frozenset(sorted(had)[-count:]), had)
    cpu_hotplug.unplug(guest, expect, count)


def online(guest: Guest, expect: Expect, had: Ids) -> None:
    """Have the agent take all CPUs online of a guest that *had* those vCPUs, by their number (`virsh setvcpus --guest`)."""
    with expect.record.step("take online", guest.name):
        expect.act(virsh.setvcpus, guest.name, str(len(had)), "--guest")
        _agent_says(guest, expect, vcpu_map.held(guest, expect, had, cpu_hotplug.config(guest)).online)


def _agent_says(guest: Guest, expect: Expect, wanted: Ids) -> None:
    """Expect the agent to list and to count the CPUs that the guest's kernel has online."""
    told = virsh.guestvcpus(guest.name, uri=expect.uri, ignore_status=True).stdout_text
    count = virsh.vcpucount(guest.name, "--guest", uri=expect.uri, ignore_status=True).stdout_text.strip()
    found = ONLINE.search(told)
    listed = frozenset(shares.cpus(found[1])) if found else frozenset()
    if (listed, count) != (wanted, str(len(wanted))):
        message = (
            f"The agent of '{guest.name}' lists the CPUs {sorted(listed)} as online and counts {count}; "
            f"its kernel has {sorted(wanted)}."
        )
        fail(expect.record, "wrong-result", message, guest.name)
