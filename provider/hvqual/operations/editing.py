# SPDX-License-Identifier: GPL-2.0-or-later
"""
``virsh edit`` with an editor that is a script: what it changes is there after the next start, and not before.

A broken edit is rejected as a whole and asks nobody.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Callable, NoReturn
from xml.etree import ElementTree as ET

import aexpect
from avocado.core.exceptions import TestError

from provider.hvqual.domain_xml import Spec
from provider.hvqual.expect import Expect
from provider.hvqual.guests import Guest
from provider.hvqual.operations import definition
from provider.hvqual.steps import fail, matches
from provider.hvqual.wait import WaitTimeoutError, until

STEP_KIB = 32 * 1024
LEAST_KIB = 160 * 1024
EDITED_URI = "https://avocado-hvqual.example/edited"
# What virsh asks over an edit that libvirt does not take.
PROMPT = r"\[y,n,i,f,\?\]:\s*$"
WORDS = "edited while the suite looked on"
#: An edit that no domain survives, and what it does to the XML.
BROKEN: dict[str, Callable[[str], str]] = {
    "not well-formed": lambda text: text.replace("</domain>", ""),
    "no number": lambda text: text.replace("</vcpu>", " and a half</vcpu>"),
    "no such element": lambda text: text.replace("<devices>", "<devices><perpetuum mobile='yes'/>"),
}


@dataclass
class Defined:
    """A domain as its definition is to be, whatever runs."""

    name: str
    spec: Spec


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
        guest.take_up()
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
        new = guest.spec
        for field in fields:
            new = CHANGES[field].spec(new)
        expect.defined_as(Defined(guest.name, new))
        guest.edited = new
        guest.take_up()


def broken_edits(guest: Guest, expect: Expect) -> None:
    """
    Edit the definition into what is none: each is rejected in time and nothing changes; observe rejection_time (s).

    At a terminal virsh asks what to do, and is told to throw the edit away. Without one it has to give up by itself; observe
    rejection_told (bool): whether its exit status says so, which libvirt 9.0's does not.
    """
    before = expect.truth.text(guest.name, inactive=True)
    live = expect.truth.text(guest.name) if guest.on else ""
    for what, spoil in BROKEN.items():
        with expect.record.step("broken edit", guest.name):
            called = time.monotonic()
            status, said = _thrown_away(guest, expect, spoil(before))
            expect.record.observe("rejection_time", time.monotonic() - called, "s", guest.name)
            if not status or "error:" not in said:
                message = f"'virsh edit {guest.name}' took a definition with an error ({what}): status {status}, {said[-300:]!r}"
                fail(expect.record, "wrong-result", message, guest.name)
            _unchanged(guest, expect, before, live)
    with expect.record.step("broken edit without a terminal", guest.name):
        done = _edit(guest, expect, before.replace("</domain>", ""), before)
        expect.record.observe("rejection_told", done.returncode != 0, "bool", guest.name)
        told = f"virsh ends with {done.returncode} and says {(done.stdout + done.stderr).split()[:8]}"
        expect.record.capability("a rejected edit without a terminal is told", told, ok=done.returncode != 0)
        if "error:" not in done.stderr:
            message = f"'virsh edit {guest.name}' says no word of an error in the definition that it was given."
            fail(expect.record, "missing-message", message, guest.name)
        _unchanged(guest, expect, before, live)


def _unchanged(guest: Guest, expect: Expect, before: str, live: str) -> None:
    """Expect that a rejected edit changed neither the definition nor what runs."""
    definition.same_definition(guest, expect, before)
    if guest.on and expect.truth.text(guest.name) != live:
        fail(expect.record, "wrong-result", f"A rejected edit changed '{guest.name}', which runs.", guest.name)


def runs_unedited(guest: Guest, expect: Expect) -> None:
    """Expect the guest to run as it was started, by its process and its own word; observe unedited_until_restart (bool)."""
    expect.one_process(guest)
    difference = matches(guest.spec, guest.witness.report())
    expect.record.observe("unedited_until_restart", not difference, "bool", guest.name)


def boots_edited(guest: Guest, expect: Expect, fields: Sequence[str]) -> None:
    """Expect the guest, which was started again, to have what its kernel's command line was edited to; observe edit_in_guest."""
    seen = "hv.edited=yes" in guest.ask("cat /proc/cmdline").split()
    expect.record.observe("edit_in_guest", seen == ("boot" in fields), "bool", guest.name)


def _editor(guest: Guest, text: str) -> tuple[dict[str, str], Path]:
    """Return the environment of an editor that puts *text* in place of what it is given, and where it keeps that."""
    new, given = (Path(definition.xml_file(guest, part, tag)) for part, tag in ((text, "edit-new"), ("", "edit-given")))
    editor = new.with_suffix(".sh")
    editor.write_text('#!/bin/sh\ncp "$1" "$HV_GIVEN" && cp "$HV_NEW" "$1"\n', encoding="utf-8")
    editor.chmod(0o755)
    return {"EDITOR": str(editor), "VISUAL": str(editor), "HV_GIVEN": str(given), "HV_NEW": str(new)}, given


def _command(guest: Guest, expect: Expect) -> list[str]:
    return [shutil.which("virsh") or "virsh", "-c", expect.uri, "edit", guest.name]


def _edit(guest: Guest, expect: Expect, text: str, before: str) -> subprocess.CompletedProcess[str]:
    """Have virsh edit the domain into *text*, where nobody can answer what it asks; its editor must be given *before*."""
    told, given = _editor(guest, text)
    try:
        done = subprocess.run(
            _command(guest, expect),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env={**os.environ, **told},
            timeout=expect.timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        _hangs(guest, expect)
    shown = given.read_text(encoding="utf-8")
    if shown and shown.strip() != before.strip():
        message = f"'virsh edit {guest.name}' gives the editor something else than the domain's definition."
        fail(expect.record, "wrong-result", message, guest.name)
    return done


def _thrown_away(guest: Guest, expect: Expect, text: str) -> tuple[int, str]:
    """Have virsh edit the domain into *text* at a terminal, and answer that the edit be thrown away; return status and words."""
    told, _ = _editor(guest, text)
    words = ["env", *(f"{name}={value}" for name, value in told.items()), *_command(guest, expect)]
    session = aexpect.Expect(shlex.join(words))
    try:
        said = session.read_until_last_line_matches([PROMPT], timeout=expect.timeout)[1]
        session.send("n")
        until(lambda: not session.is_alive(), expect.timeout, "virsh to end")
    except aexpect.ExpectProcessTerminatedError as error:
        said = error.output
    except (aexpect.ExpectTimeoutError, WaitTimeoutError):
        session.close()
        _hangs(guest, expect)
    status = session.get_status()
    session.close()
    return status, str(said)


def _hangs(guest: Guest, expect: Expect) -> NoReturn:
    message = f"'virsh edit {guest.name}' did not end in {expect.timeout:g} s: it waits for an answer."
    fail(expect.record, "wrong-result", message, guest.name)


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
