# SPDX-License-Identifier: GPL-2.0-or-later
"""
Limits on the CPU time of guests (quota in a period), as they are set: told by libvirt, virsh, XML and the host's cgroups.

What they do to the guests is `held_back`'s business.
"""

from __future__ import annotations

from avocado.core.exceptions import TestError
from virttest import virsh

import libvirt
from provider.hvqual import cpu_use, shares, thread_cgroup
from provider.hvqual.expect import Expect
from provider.hvqual.guests import Guest
from provider.hvqual.steps import fail
from provider.hvqual.thread_cgroup import UNLIMITED, Group, Quota

LIVE, CONFIG = libvirt.VIR_DOMAIN_AFFECT_LIVE, libvirt.VIR_DOMAIN_AFFECT_CONFIG
OPTIONS = {LIVE: "--live", CONFIG: "--config"}
# libvirt takes no quota below, and calls what is above it under version 2 of cgroups no limit.
LEAST_US, MOST_US = 1000, 17592186044415
PERIOD = 100_000
NO_LIMIT = Quota(UNLIMITED, PERIOD)


def part_of(rate: float, percent: float, period: int = PERIOD) -> Quota:
    """Return *percent* of *rate* CPUs as a quota of whole microseconds, not less than libvirt takes."""
    return Quota(max(LEAST_US, int(rate * percent / 100 * period)), period)


def limit(guest: Guest, expect: Expect, what: str, quota: Quota, flag: int = LIVE) -> None:
    """Limit *what* of the guest (vcpu: each of its vCPUs, emulator, iothread: each, global: its whole QEMU) to *quota*."""
    each = " ".join(
        f"--set {what}_{name}={value}" for name, value in (("quota", quota.quota), ("period", quota.period))
    )
    with expect.record.step(f"limit {what}", guest.name):
        expect.act(virsh.schedinfo, guest.name, f"{OPTIONS[flag]} {each}")


def told(guest: Guest, expect: Expect, what: str, wanted: Quota, flag: int = LIVE) -> None:
    """Expect libvirt-python, virsh, the XML and, of what runs, the cgroups to tell the limit on *what*; observe quota_as_asked."""
    found = by_libvirt(guest, expect, what, flag)
    if flag == LIVE:
        found.update({f"the cgroup {group.name}": group.quota() for group in groups(guest, what)})
    wrong = [f"{who} tells {quota.quota} in {quota.period}" for who, quota in found.items() if not same(quota, wanted)]
    expect.record.observe("quota_as_asked", not wrong, "bool", guest.name)
    if wrong:
        message = f"{what} of '{guest.name}' was limited to {wanted.quota} us in {wanted.period} ({OPTIONS[flag]}); {', '.join(wrong)}."
        fail(expect.record, "wrong-result", message, guest.name)


def same(found: Quota, wanted: Quota) -> bool:
    """Whether both are the same limit; without a quota the period says nothing."""
    return found == wanted or (_unlimited(found) and _unlimited(wanted))


def _unlimited(quota: Quota) -> bool:
    return quota.quota < 0 or quota.quota >= MOST_US


def by_libvirt(guest: Guest, expect: Expect, what: str, flag: int) -> dict[str, Quota]:
    """Return what libvirt-python, virsh and the XML tell of the limit on *what*; a quota of 0 where virsh tells none."""
    names = (f"{what}_quota", f"{what}_period")
    option = OPTIONS[flag]
    python = expect.truth.lookup(guest.name).schedulerParametersFlags(flag)
    said = pairs(virsh.schedinfo(guest.name, option, uri=expect.uri, ignore_status=True).stdout_text)
    xml = expect.truth.xml(guest.name, inactive=flag == CONFIG)
    tags = ("quota", "period") if what == "vcpu" else names
    quota, period = (xml.findtext(f"cputune/{tag}") for tag in tags)
    return {
        f"libvirt ({option})": Quota(*(int(python[name]) for name in names)),
        f"virsh ({option})": Quota(*(int(said.get(name, 0)) for name in names)),
        f"the XML ({option})": Quota(int(quota or UNLIMITED), int(period or PERIOD)),
    }


def pairs(output: str) -> dict[str, str]:
    """Return virsh's table of names and numbers."""
    rows = [line.partition(":") for line in output.splitlines()]
    return {name.strip(): value.strip() for name, _, value in rows if value.strip().lstrip("-").isdigit()}


def groups(guest: Guest, what: str) -> list[Group]:
    """Return the cgroups in which libvirt limits *what* of the guest; TestError when there is none."""
    vcpus = cpu_use.threads_of(guest)
    if what == "vcpu":
        return [thread_cgroup.of(thread, "cpu") for thread in vcpus]
    if what == "global":
        return [thread_cgroup.of(vcpus[0], "cpu").above]
    pid = cpu_use.pid_of(guest)
    threads = shares.iothreads(pid) if what == "iothread" else [one for one in shares.threads(pid) if one.tid == pid]
    found = {thread_cgroup.of(thread, "cpu") for thread in threads}
    mine = sorted((group for group in found if group.name.startswith(what)), key=_name)
    if not mine:
        message = f"No thread of '{guest.name}' is in a cgroup of its '{what}', but in {sorted(map(_name, found))}."
        raise TestError(message)
    return mine


def _name(group: Group) -> str:
    return group.name
