# SPDX-License-Identifier: GPL-2.0-or-later
"""vCPUs that are plugged and unplugged each by its id, so that a guest has not the first ones alone (`virsh setvcpu`)."""

from __future__ import annotations

from dataclasses import replace

from virttest import virsh

from provider.hvqual import vcpu_map
from provider.hvqual.expect import Expect
from provider.hvqual.guests import Guest
from provider.hvqual.operations import cpu_agent, cpu_hotplug, cpu_work
from provider.hvqual.operations.cpu_hotplug import CONFIG, LIVE
from provider.hvqual.vcpu_ids import Ids


def gapped(guest: Guest) -> Ids:
    """Return the vCPUs of a guest of whose definition the first are there, then one is not, and the two after it are."""
    first = len(cpu_hotplug.config(guest))
    return frozenset([*range(first), first + 1, first + 2])


def leaving_a_gap(guest: Guest, expect: Expect) -> None:
    """
    Plug two vCPUs by their ids and leave out the one before them; observe what `cpu_work.called` does after each.

    With a CPU that is not reached each later step of a guest takes its kernel seconds (QEMU 7.2: 5 to 10 s for the next vCPU to come).
    """
    had = cpu_hotplug.live(guest)
    for vcpu in sorted(gapped(guest) - had):
        told = cpu_hotplug.enable(guest, expect, vcpu, had)
        had |= {vcpu}
        with expect.record.step("call the others", guest.name):
            cpu_work.called(guest, expect, told)


def offline_and_online(guest: Guest, expect: Expect) -> None:
    """Have the agent take the last vCPU of the guest offline, which then does nothing, and online again."""
    had = gapped(guest)
    cpu_agent.offline(guest, expect, frozenset([max(had)]), had)
    cpu_agent.online(guest, expect, had)


def defined_alone(guest: Guest, expect: Expect) -> None:
    """Give the definition the vCPU that was left out, by its id; what runs is as it was."""
    with expect.record.step("define by id", guest.name):
        live, config = gapped(guest), cpu_hotplug.config(guest)
        new = len(config)
        expect.act(virsh.setvcpu, guest.name, str(new), f"--enable {CONFIG}")
        guest.edited = replace(guest.edited or guest.spec, vcpus=new + 1)
        vcpu_map.held(guest, expect, live, config | {new})


def unknown(guest: Guest, expect: Expect) -> None:
    """Ask for a vCPU beyond the last that the guest may have, live and defined: refused."""
    with expect.record.step("ask for an unknown one", guest.name):
        for where in (LIVE, CONFIG):
            beyond = str(guest.spec.most_vcpus)
            cpu_hotplug.refused(guest, expect, virsh.setvcpu, beyond, f"--enable {where}")


def out_and_in(guest: Guest, expect: Expect, plugged: int) -> None:
    """Unplug the first of so many that were *plugged*, and plug it again, by its id."""
    had = cpu_hotplug.live(guest)
    one = len(had) - plugged
    cpu_hotplug.disable(guest, expect, [one], had)
    cpu_hotplug.enable(guest, expect, one, had - {one})


def all_out(guest: Guest, expect: Expect, plugged: int) -> None:
    """Unplug all that were *plugged*, each by its id, the first one first."""
    had = cpu_hotplug.live(guest)
    cpu_hotplug.disable(guest, expect, frozenset(sorted(had)[-plugged:]), had)
