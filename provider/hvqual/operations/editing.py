# SPDX-License-Identifier: GPL-2.0-or-later
"""
``virsh edit`` with an editor that is a script: what it changes is there after the next start, and not before.

A broken edit is rejected as a whole and asks nobody.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Callable
from xml.etree import ElementTree as ET

from avocado.core.exceptions import TestError

from provider.hvqual.domain_xml import Spec
from provider.hvqual.expect import Expect
from provider.hvqual.guests import Guest
from provider.hvqual.operations import definition
from provider.hvqual.stand import Stand
from provider.hvqual.steps import fail, matches

STEP_KIB = 32 * 1024
LEAST_KIB = 160 * 1024
EDITED_URI = "https://avocado-hvqual.example/edited"
WORDS = "edited while the suite looked on"
#: An edit that no domain survives, and what it does to the XML.
BROKEN: dict[str, Callable[[str], str]] = {
    "not well-formed": lambda text: text.replace("</domain>", ""),
    "no number": lambda text: text.replace("</vcpu>", " and a half</vcpu>"),
    "no such element": lambda text: text.replace("<devices>", "<devices><perpetuum mobile='yes'/>"),
}


@dataclass(frozen=True)
class Change:
    """What an edit makes of a guest: of its XML, and of what the guest is to see."""

    xml: Callable[[ET.Element, Guest], None]
    spec: Callable[[Spec], Spec]


def _vcpus(spec: Spec) -> int:
    return spec.vcpus - 1 if spec.vcpus > 1 else 2


def _memory(spec: Spec) -> int:
    """Return another size, in whole huge pages: less where enough is left for a guest, so that it fits the node."""
    step = max(STEP_KIB, spec.hugepage_kib)
    return spec.memory_kib - step if spec.memory_kib - step >= LEAST_KIB else spec.memory_kib + step


def _mac(spec: Spec) -> str:
    """Return a MAC address that none of the guest's own is."""
    head, last = spec.macs[0].rsplit(":", 1)
    return f"{head}:{(int(last, 16) + 0x80) % 0x100:02x}"


def _set_vcpus(domain: ET.Element, guest: Guest) -> None:
    count = _vcpus(guest.spec)
    _child(domain, "vcpu").text = str(count)
    _child(domain, "cpu/topology").set("cores", str(count))
    tune = domain.find("cputune")
    for pin in [] if tune is None else tune.findall("vcpupin"):
        if int(pin.get("vcpu", "0")) >= count and tune is not None:
            tune.remove(pin)


def _set_memory(domain: ET.Element, guest: Guest) -> None:
    for name in ("memory", "currentMemory"):
        _child(domain, name).text = str(_memory(guest.spec))


def _add_interface(domain: ET.Element, guest: Guest) -> None:
    interface = ET.SubElement(_child(domain, "devices"), "interface", {"type": "network"})
    ET.SubElement(interface, "mac", {"address": _mac(guest.spec)})
    ET.SubElement(interface, "source", {"network": guest.place.network})
    ET.SubElement(interface, "model", {"type": "virtio"})
    ET.SubElement(interface, "rom", {"enabled": "no"})


def _set_boot(domain: ET.Element, _guest: Guest) -> None:
    line = _child(domain, "os/cmdline")
    line.text = f"{line.text} hv.edited=yes"


def _set_desc(domain: ET.Element, _guest: Guest) -> None:
    for name in ("title", "description"):
        ET.SubElement(domain, name).text = WORDS


def _set_metadata(domain: ET.Element, _guest: Guest) -> None:
    ET.register_namespace("edited", EDITED_URI)
    ET.SubElement(_child(domain, "metadata"), f"{{{EDITED_URI}}}note").text = WORDS


def _same(spec: Spec) -> Spec:
    return spec


CHANGES = {
    "vcpu": Change(_set_vcpus, lambda spec: replace(spec, vcpus=_vcpus(spec), pins=spec.pins[: _vcpus(spec)])),
    "memory": Change(_set_memory, lambda spec: replace(spec, memory_kib=_memory(spec))),
    "iface": Change(_add_interface, lambda spec: replace(spec, macs=(*spec.macs, _mac(spec)))),
    "boot": Change(_set_boot, _same),
    "desc": Change(_set_desc, _same),
    "metadata": Change(_set_metadata, _same),
}


def known(fields: Sequence[str]) -> tuple[str, ...]:
    """Return *fields*; TestError when one is none of those that can be edited."""
    wrong = [field for field in fields if field not in CHANGES]
    if wrong or not fields:
        message = f"hv_edit_fields: '{' '.join(wrong) or 'nothing'}' cannot be edited; known are {' '.join(CHANGES)}."
        raise TestError(message)
    return tuple(fields)


def edited(guest: Guest, expect: Expect, fields: Sequence[str]) -> None:
    """Edit *fields* of the guest's definition: the definition has them at once, what runs has not; the model changes with it."""
    with expect.record.step("edit", guest.name):
        before = expect.truth.text(guest.name, inactive=True)
        live = expect.truth.text(guest.name) if guest.on else ""
        domain = ET.fromstring(before)  # noqa: S314 - from libvirtd
        for field in fields:
            CHANGES[field].xml(domain, guest)
        done = _edit(guest, expect, ET.tostring(domain, encoding="unicode"), before)
        if done.returncode:
            message = f"'virsh edit {guest.name}' was refused (status {done.returncode}): {done.stderr.strip()}"
            fail(expect.record, "operation-refused", message, guest.name)
        _is_edited(guest, expect, fields, domain)
        if guest.on and expect.truth.text(guest.name) != live:
            fail(expect.record, "wrong-result", f"The edit of '{guest.name}' changed what runs.", guest.name)
        for field in fields:
            guest.spec = CHANGES[field].spec(guest.spec)
        expect.defined_as(guest)


def broken_edits(guest: Guest, expect: Expect) -> None:
    """Edit the definition into what is none: each is rejected in time, nothing changes; observe rejection_time (s)."""
    before = expect.truth.text(guest.name, inactive=True)
    live = expect.truth.text(guest.name) if guest.on else ""
    for what, spoil in BROKEN.items():
        with expect.record.step("broken edit", guest.name):
            called = time.monotonic()
            done = _edit(guest, expect, spoil(before), before)
            expect.record.observe("rejection_time", time.monotonic() - called, "s", guest.name)
            if not done.returncode:
                message = f"'virsh edit {guest.name}' reported success over a definition with an error ({what})."
                fail(expect.record, "wrong-result", message, guest.name)
            definition.same_definition(guest, expect, before)
            if guest.on and expect.truth.text(guest.name) != live:
                fail(expect.record, "wrong-result", f"A rejected edit changed '{guest.name}', which runs.", guest.name)


@contextmanager
def running_as_before(stand: Stand) -> Iterator[None]:
    """Expect at the block's end that every guest still runs as the model was at its begin, by its process and by its own word."""
    specs = {guest.name: guest.spec for guest in stand.guests}
    yield
    stand.each(_runs_as, specs)


def _runs_as(guest: Guest, expect: Expect, specs: Mapping[str, Spec]) -> None:
    """Hold the guest against its old model; observe unedited_until_restart (bool)."""
    new, guest.spec = guest.spec, specs[guest.name]
    try:
        expect.one_process(guest)
        difference = matches(guest.spec, guest.witness.report())
    finally:
        guest.spec = new
    expect.record.observe("unedited_until_restart", not difference, "bool", guest.name)


def boots_edited(guest: Guest, expect: Expect, fields: Sequence[str]) -> None:
    """Expect the guest, which was started again, to have what its kernel's command line was edited to; observe edit_in_guest."""
    seen = "hv.edited=yes" in guest.ask("cat /proc/cmdline").split()
    expect.record.observe("edit_in_guest", seen == ("boot" in fields), "bool", guest.name)


def _edit(guest: Guest, expect: Expect, text: str, before: str) -> subprocess.CompletedProcess[str]:
    """Have virsh edit the domain with an editor that puts *text* in place of what it is given, which must be *before*."""
    new, given = (Path(definition.xml_file(guest, part, tag)) for part, tag in ((text, "edit-new"), ("", "edit-given")))
    editor = new.with_suffix(".sh")
    editor.write_text('#!/bin/sh\ncp "$1" "$HV_GIVEN" && cp "$HV_NEW" "$1"\n', encoding="utf-8")
    editor.chmod(0o755)
    told = {"EDITOR": str(editor), "VISUAL": str(editor), "HV_GIVEN": str(given), "HV_NEW": str(new)}
    command = [shutil.which("virsh") or "virsh", "-c", expect.uri, "edit", guest.name]
    try:
        # Whatever virsh asks ("Try again?"), nobody is there to answer.
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env={**os.environ, **told},
            timeout=expect.timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        message = f"'virsh edit {guest.name}' did not end in {expect.timeout:g} s: it waits for an answer."
        fail(expect.record, "wrong-result", message, guest.name)
    shown = given.read_text(encoding="utf-8")
    if shown and shown.strip() != before.strip():
        message = f"'virsh edit {guest.name}' gives the editor something else than the domain's definition."
        fail(expect.record, "wrong-result", message, guest.name)
    return done


def _is_edited(guest: Guest, expect: Expect, fields: Sequence[str], wanted: ET.Element) -> None:
    """Expect the inactive XML to have what was edited and is not in the model: description, metadata, kernel command line."""
    found = expect.truth.xml(guest.name, inactive=True)
    paths = {
        "desc": ("title", "description"),
        "metadata": (f"metadata/{{{EDITED_URI}}}note",),
        "boot": ("os/cmdline",),
        "vcpu": ("vcpu",),
        "memory": ("memory", "currentMemory"),
    }
    for path in [path for field in fields for path in paths.get(field, ())]:
        if found.findtext(path) != wanted.findtext(path):
            message = (
                f"'{path}' of '{guest.name}' should be '{wanted.findtext(path)}' after virsh reported success; "
                f"its definition has '{found.findtext(path)}'."
            )
            fail(expect.record, "wrong-result", message, guest.name)


def _child(domain: ET.Element, path: str) -> ET.Element:
    found = domain.find(path)
    if found is None:
        message = f"The domain's XML has no '{path}' to edit."
        raise TestError(message)
    return found
