# SPDX-License-Identifier: GPL-2.0-or-later
"""
Which vCPUs a guest has, told by each who can know: libvirt (both ways), QEMU, the host's threads and cgroups, the guest's kernel.

vCPUs are called by libvirt's ids, which are QEMU's indexes; a guest's kernel numbers its CPUs otherwise, so its APIC ids are compared.
"""

from __future__ import annotations

import re
from typing import Any, Callable
from xml.etree import ElementTree as ET

from virttest import virsh

import libvirt
from provider.hvqual import guest_cpus, host_process, qemu_events
from provider.hvqual.domain_xml import Spec
from provider.hvqual.expect import Expect
from provider.hvqual.guest_cpus import GuestCpus
from provider.hvqual.guests import Guest
from provider.hvqual.steps import fail
from provider.hvqual.vcpu_ids import Ids, apic_ids, threads_of
from provider.hvqual.wait import WaitTimeoutError, until

COUNT = re.compile(r"^(maximum|current)\s+(config|live)\s+(\d+)", re.MULTILINE)
INFO = re.compile(r"^VCPU:\s+(\d+)", re.MULTILINE)
SETTLE = 20.0


def cgroups_of(name: str) -> Ids:
    """Return the vCPUs for which libvirt holds a cgroup of their own."""
    folders = [each.name for top in host_process.cgroup_folders(name) for each in top.rglob("vcpu[0-9]*")]
    return frozenset(int(folder[4:]) for folder in folders if folder[4:].isdigit())


def enabled(xml: ET.Element) -> Ids:
    """Return the vCPUs that an XML of libvirt enables, one by one or by their number."""
    each = xml.findall("vcpus/vcpu")
    if each:
        return frozenset(int(str(vcpu.get("id"))) for vcpu in each if vcpu.get("enabled") == "yes")
    vcpu = xml.find("vcpu")
    return frozenset(range(int(vcpu.get("current") or str(vcpu.text)))) if vcpu is not None else frozenset()


def of_model(spec: Spec, live: Ids, config: Ids) -> dict[str, Any]:
    """Return what all of `told` must say of a guest that runs with the vCPUs *live* and is defined with *config*."""
    return {**_of_definition(spec, config), **_of_run(spec, live)}


def _of_definition(spec: Spec, config: Ids) -> dict[str, Any]:
    return {"the definition": config, "virsh (config)": (len(config), spec.most_vcpus)}


def _of_run(spec: Spec, live: Ids) -> dict[str, Any]:
    return {**dict.fromkeys(OF_RUN, live), "virsh (live)": (len(live), spec.most_vcpus)}


def _counts(guest: Guest, expect: Expect, where: str) -> tuple[int, int]:
    """Return how many vCPUs virsh counts, and how many there may be at the most."""
    text = virsh.vcpucount(guest.name, uri=expect.uri, ignore_status=True).stdout_text
    found = {what: int(count) for what, at, count in COUNT.findall(text) if at == where}
    return found.get("current", 0), found.get("maximum", 0)


def _info(guest: Guest, expect: Expect) -> Ids:
    text = virsh.vcpuinfo(guest.name, uri=expect.uri, ignore_status=True).stdout_text
    return frozenset(map(int, INFO.findall(text)))


def _of_qemu(guest: Guest, expect: Expect) -> Ids:
    cpus = qemu_events.asked(expect.truth, guest.name, "query-cpus-fast")
    return frozenset(int(cpu["cpu-index"]) for cpu in cpus)


Telling = Callable[[Guest, Expect], Any]
OF_DEFINITION: dict[str, Telling] = {
    "the definition": lambda guest, expect: enabled(expect.truth.xml(guest.name, inactive=True)),
    "virsh (config)": lambda guest, expect: _counts(guest, expect, "config"),
}
OF_RUN: dict[str, Telling] = {
    "the live XML": lambda guest, expect: enabled(expect.truth.xml(guest.name)),
    "libvirt-python": lambda guest, expect: frozenset(vcpu[0] for vcpu in expect.truth.lookup(guest.name).vcpus()[0]),
    "virsh (live)": lambda guest, expect: _counts(guest, expect, "live"),
    "virsh vcpuinfo": _info,
    "QEMU": _of_qemu,
    "the host's threads": lambda guest, _: frozenset(threads_of(guest.name)),
    "the host's cgroups": lambda guest, _: cgroups_of(guest.name),
}


def told(guest: Guest, expect: Expect, *, runs: bool) -> dict[str, Any]:
    """Return what libvirt says of the guest's definition, and when it *runs* what libvirt, QEMU and host say of its vCPUs."""
    asked = {**OF_DEFINITION, **OF_RUN} if runs else OF_DEFINITION
    return {who: tell(guest, expect) for who, tell in asked.items()}


def differences(wanted: dict[str, Any], said: dict[str, Any]) -> list[str]:
    """Return a sentence's part for each who says something else than *wanted*."""
    return [
        f"{who}: {_words(said.get(who))} instead of {_words(right)}"
        for who, right in wanted.items()
        if said.get(who) != right
    ]


def _words(value: Any) -> str:
    return str(sorted(value)) if isinstance(value, frozenset) else str(value)


def held(guest: Guest, expect: Expect, live: Ids, config: Ids, offline: Ids = frozenset()) -> GuestCpus:
    """
    Expect a running guest to have the vCPUs *live* and its definition *config*, by all who can tell; return what the guest says.

    Those of *offline* are there, but its kernel uses them not. Observe vcpus_as_asked (bool). The guest has a while, as its kernel takes
    CPUs in and out by itself.
    """
    wanted, apic = of_model(guest.spec, live, config), apic_ids(live - offline, guest.spec)
    seen: list[GuestCpus] = []

    def there() -> bool:
        seen.append(guest_cpus.told(guest))
        return frozenset(seen[-1].apic.values()) == apic and len(seen[-1].present) == len(live)

    wrong = []
    try:
        until(there, SETTLE, f"the CPUs of '{guest.name}'", interval=0.1)
    except WaitTimeoutError:
        now = seen[-1]
        wrong.append(
            f"its kernel: online with the APIC ids {sorted(now.apic.values())} instead of {sorted(apic)}, "
            f"{len(now.present)} present instead of {len(live)}"
        )
    judged(guest, expect, [*differences(wanted, told(guest, expect, runs=True)), *wrong])
    return seen[-1]


def judged(guest: Guest, expect: Expect, wrong: list[str]) -> None:
    """Observe vcpus_as_asked; a guest of which somebody says something *wrong* is a failure of the product."""
    expect.record.observe("vcpus_as_asked", not wrong, "bool", guest.name)
    if wrong:
        message = f"'{guest.name}' has not the vCPUs that were asked for; {'; '.join(wrong)}."
        fail(expect.record, "wrong-result", message, guest.name)


def as_modelled(guest: Guest, expect: Expect) -> None:
    """
    Expect the vCPUs that the guest's model has, in whatever state the guest is; observe vcpus_as_asked (bool).

    A guest that is off has those of its definition only; one that is paused is not asked itself.
    """
    live = frozenset(range(guest.spec.vcpus))
    config = frozenset(range((guest.edited or guest.spec).vcpus))
    state = expect.truth.state(guest.name)[0]
    if state == "running":
        held(guest, expect, live, config)
        return
    runs = state == "paused"
    wanted = of_model(guest.spec, live, config) if runs else _of_definition(guest.spec, config)
    judged(guest, expect, differences(wanted, told(guest, expect, runs=runs)))


def witnesses(guest: Guest, expect: Expect) -> str:
    """Return what each says of the guest's vCPUs, a line each, for a person who looks for what went wrong; who is silent is told too."""
    lines = []
    for who, tell in {**OF_DEFINITION, **OF_RUN}.items():
        try:
            lines.append(f"{who}: {_words(tell(guest, expect))}")
        except (libvirt.libvirtError, OSError) as error:
            lines.append(f"{who}: silent, {error}")
    return "\n".join(lines) + "\n"
