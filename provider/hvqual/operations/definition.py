# SPDX-License-Identifier: GPL-2.0-or-later
"""
What libvirt keeps of a guest: made persistent and transient again, renamed, and removed with all that belongs to it.

Each is held against libvirt-python and against the host's files; what must be refused is refused in words that say why.
"""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import Any, Callable
from xml.etree import ElementTree as ET

from virttest import virsh

from provider.hvqual.expect import Expect
from provider.hvqual.guests import Guest
from provider.hvqual.host_state import domain_guard
from provider.hvqual.steps import fail

CONFIG = Path("/etc/libvirt/qemu")
MANAGED = Path("/var/lib/libvirt/qemu/save")
SNAPSHOTS = Path("/var/lib/libvirt/qemu/snapshot")
SNAPSHOT = "hvq-before"


def xml_file(guest: Guest, text: str, tag: str) -> str:
    """Return the path of a file with *text* beside the guest's console in the evidence."""
    path = Path(guest.place.console_log).with_name(f"{guest.name}-{tag}.xml")
    path.write_text(text, encoding="utf-8")
    return str(path)


def refused(guest: Guest, expect: Expect, words: str, operation: Callable[..., Any], *args: str) -> None:
    """Expect that libvirt refuses *operation* with a message that matches *words*; observe refusal_told (bool)."""
    done = expect.answer(operation, *args)
    said, verb = done.stderr_text.strip(), f"virsh {operation.__name__} {' '.join(args)}"
    if not done.exit_status:
        fail(expect.record, "wrong-result", f"'{verb}' should be refused ({words}); it reported success.", guest.name)
    told = re.search(words, said, re.IGNORECASE) is not None
    expect.record.observe("refusal_told", told, "bool", guest.name)
    if not told:
        fail(expect.record, "wrong-text", f"'{verb}' was refused without saying why ({words}): {said!r}", guest.name)


def same_definition(guest: Guest, expect: Expect, wanted: str) -> None:
    """Expect that the inactive XML is *wanted*, to the letter; observe definition_kept (bool)."""
    found = expect.truth.text(guest.name, inactive=True)
    expect.record.observe("definition_kept", found == wanted, "bool", guest.name)
    if found != wanted:
        lines = sorted(set(found.splitlines()) ^ set(wanted.splitlines()))
        message = f"The definition of '{guest.name}' is not what it was; the lines that differ: {' '.join(lines)[:600]}"
        fail(expect.record, "wrong-result", message, guest.name)


def persistent(guest: Guest, expect: Expect, *, is_so: bool) -> None:
    """Expect that libvirt-python and the host's files agree whether the domain is persistent."""
    domain = expect.truth.lookup(guest.name)
    found = (bool(domain and domain.isPersistent()), (CONFIG / f"{guest.name}.xml").is_file())
    if found != (is_so, is_so):
        message = (
            f"'{guest.name}' should be {'persistent' if is_so else 'transient or gone'}; "
            f"(libvirt says persistent, its file is there) are {found}."
        )
        fail(expect.record, "wrong-result", message, guest.name)


def gone(guest: Guest, expect: Expect, name: str = "") -> None:
    """Expect that nothing is left of the domain: unknown to libvirt, no process, no file of its definition or of its state."""
    name = name or guest.name
    files = [CONFIG / f"{name}.xml", CONFIG / "autostart" / f"{name}.xml", MANAGED / f"{name}.save", SNAPSHOTS / name]
    left = [
        str(file) for file in files if file.is_symlink() or (any(file.iterdir()) if file.is_dir() else file.exists())
    ]
    if expect.truth.lookup(name) is not None or left:
        known = "knows" if expect.truth.lookup(name) is not None else "does not know"
        message = f"'{name}' should be gone; libvirt {known} it, and these are left: {', '.join(left) or 'no files'}."
        fail(expect.record, "leftover", message, guest.name)
    if name == guest.name:
        expect.no_process(guest)


def define(guest: Guest, expect: Expect, text: str) -> None:
    """Define the domain of *text*; it is persistent then, with this definition."""
    with expect.record.step("define", guest.name):
        expect.act(virsh.define, xml_file(guest, text, "defined"))
        persistent(guest, expect, is_so=True)
        same_definition(guest, expect, text)


def undefine(guest: Guest, expect: Expect, options: str = "") -> None:
    """Undefine the domain, which is off: nothing is left of it."""
    with expect.record.step("undefine", guest.name):
        expect.act(virsh.undefine, guest.name, options)
        persistent(guest, expect, is_so=False)
        gone(guest, expect)


def transient_and_back(guest: Guest, expect: Expect) -> None:
    """Undefine the guest while it runs and define it again: the same process runs on, transient and then persistent."""
    text, pid = expect.truth.text(guest.name, inactive=True), expect.one_process(guest)
    with expect.record.step("undefine while it runs", guest.name):
        called = expect.act(virsh.undefine, guest.name)
        expect.events(guest.name, called, [("Undefined", "removed")])
        persistent(guest, expect, is_so=False)
        refused(guest, expect, r"transient", virsh.managedsave, guest.name)
        refused(guest, expect, r"transient", virsh.autostart, guest.name, "")
    define(guest, expect, text)
    if expect.one_process(guest) != pid or expect.truth.state(guest.name)[0] != "running":
        message = f"'{guest.name}' should run on as process {pid} while its definition came and went."
        fail(expect.record, "vm-lost", message, guest.name)


def undefined_with_saved_state(guest: Guest, expect: Expect) -> None:
    """Undefine a guest that has a managed save: refused, and with the flag both are gone. It is defined again then."""
    text = expect.truth.text(guest.name, inactive=True)
    with expect.record.step("managed save", guest.name):
        guest.hang_up()
        expect.act(virsh.managedsave, guest.name)
        guest.on = False
        expect.state(guest.name, "shut off", "saved")
        if not (MANAGED / f"{guest.name}.save").is_file():
            fail(expect.record, "wrong-result", f"'{guest.name}' was saved, but there is no image of it.", guest.name)
    refused(guest, expect, r"managed save", virsh.undefine, guest.name)
    persistent(guest, expect, is_so=True)
    undefine(guest, expect, "--managed-save")
    define(guest, expect, text)


def undefined_with_snapshot(guest: Guest, expect: Expect) -> None:
    """Undefine a guest of which libvirt keeps a snapshot: refused, and with the flag its metadata goes too. It is defined again."""
    text = expect.truth.text(guest.name, inactive=True)
    snapshot = (
        f"<domainsnapshot><name>{SNAPSHOT}</name><state>shutoff</state><creationTime>1</creationTime>"
        f"{re.sub(r'<[?]xml.*?[?]>', '', text)}</domainsnapshot>"
    )
    with expect.record.step("snapshot metadata", guest.name):
        options = f"--redefine {xml_file(guest, snapshot, 'snapshot')}"
        expect.act(virsh.snapshot_create, guest.name, options)
        kept = SNAPSHOTS / guest.name / f"{SNAPSHOT}.xml"
        if expect.truth.lookup(guest.name).snapshotNum() != 1 or not kept.is_file():
            fail(expect.record, "wrong-result", f"libvirt keeps no snapshot of '{guest.name}' in '{kept}'.", guest.name)
    refused(guest, expect, r"snapshot", virsh.undefine, guest.name)
    persistent(guest, expect, is_so=True)
    undefine(guest, expect, "--snapshots-metadata")
    define(guest, expect, text)


def transient_from_the_start(guest: Guest, expect: Expect) -> None:
    """Create the guest from its XML without defining it (paused): it is transient, and gone once its power is pulled."""
    text = expect.truth.text(guest.name, inactive=True)
    undefine(guest, expect)
    with expect.record.step("create", guest.name):
        expect.act(virsh.create, xml_file(guest, text, "created"), "--paused")
        expect.state(guest.name, "paused", "user")
        persistent(guest, expect, is_so=False)
        expect.one_process(guest)
        expect.act(virsh.destroy, guest.name)
        gone(guest, expect)
    define(guest, expect, text)


def renamed_and_back(guest: Guest, expect: Expect) -> None:
    """Rename the domain and give it its name back: the same uuid and definition, and no file under a name that it has no more."""
    text, other = expect.truth.text(guest.name, inactive=True), f"{guest.name}-renamed"
    with domain_guard(expect.uri, other):
        for name, new in ((guest.name, other), (other, guest.name)):
            with expect.record.step("rename", guest.name):
                expect.act(virsh.domrename, name, new)
                domain = expect.truth.lookup(new)
                if domain is None or domain.UUIDString() != guest.spec.uuid or not (CONFIG / f"{new}.xml").is_file():
                    message = f"'{name}' should be called '{new}' after virsh reported success; libvirt has it not."
                    fail(expect.record, "wrong-result", message, guest.name)
                gone(guest, expect, name)
    same_definition(guest, expect, text)


def twins_are_refused(guest: Guest, expect: Expect) -> None:
    """Define another domain with the same uuid, and another one with the same name: both are refused, nothing is changed."""
    text, other = expect.truth.text(guest.name, inactive=True), f"{guest.name}-twin"
    twins = {
        "uuid": (f"<name>{other}</name>", guest.spec.uuid),
        "name": (f"<name>{guest.name}</name>", str(uuid.uuid4())),
    }
    with expect.record.step("define twins", guest.name), domain_guard(expect.uri, other):
        for what, (name, identity) in twins.items():
            twin = text.replace(f"<name>{guest.name}</name>", name).replace(guest.spec.uuid, identity)
            file = xml_file(guest, twin, f"same-{what}")
            refused(guest, expect, r"already (exists|defined)", virsh.define, file)
        gone(guest, expect, other)
        same_definition(guest, expect, text)


def round_trip(guest: Guest, expect: Expect) -> None:
    """Define the guest by the XML that libvirt gives of it: nothing changes."""
    text = expect.truth.text(guest.name, inactive=True)
    if ET.fromstring(text).findtext("uuid") != guest.spec.uuid:  # noqa: S314 - from libvirtd
        fail(
            expect.record, "wrong-result", f"libvirt's XML of '{guest.name}' is not of the uuid asked for.", guest.name
        )
    define(guest, expect, text)
