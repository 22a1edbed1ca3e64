# SPDX-License-Identifier: GPL-2.0-or-later
"""What runs is the build that is recorded: a QEMU by its process and its monitor, a kernel by its release and its build id."""

from __future__ import annotations

import json
import platform
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional, cast
from xml.etree import ElementTree as ET

import libvirt_qemu  # type: ignore[import-untyped]

import libvirt
from provider.hvqual import builds, capability
from provider.hvqual.builds import Build
from provider.hvqual.case import Case
from provider.hvqual.domain_xml import domain_xml
from provider.hvqual.expect import Expect
from provider.hvqual.guests import Guest
from provider.hvqual.libvirt_guests import FRESH, Making
from provider.hvqual.record import Record
from provider.hvqual.stand import Stand
from provider.hvqual.steps import fail

VERSION = re.compile(r"^QEMU emulator version (\S+)", re.MULTILINE)
GUEST_NOTES = "od -An -v -tx1 /sys/kernel/notes"


def qemu_under_test(case: Case[Any], home: str) -> Build:
    """Return the recorded build that is the case's QEMU; the case is cancelled where none is recorded, or guests run on another QEMU."""
    made = builds.made(home, "qemu")
    known = [*builds.installed("qemu"), *([made] if made else [])]
    make = f"neither '{builds.INSTALLED}' nor '{builds.folder(home)}' holds a record of one; make it with: scripts/build-qemu"
    reason = ", ".join(f"{one.told} at '{one.path}'" for one in known) or make
    capability.require("own build of QEMU", reason, case.record, ok=bool(known))
    binary = case.wanted.qemu_binary
    found = builds.of_program(binary, known)
    told = found.told if found else f"guests run on '{binary}', recorded is {reason}; name it by hv_qemu_binary"
    return _required("own build of QEMU under test", found, told, case.record)


def _required(name: str, found: Optional[Build], told: str, record: Record) -> Build:
    """Return what was *found*, and cancel the case where nothing was; what is *told* of it is recorded either way."""
    capability.require(name, told, record, ok=found is not None)
    return cast("Build", found)


def tells_its_version(build: Build, record: Record) -> None:
    """Observe version_as_built: the program itself says which version it is."""
    done = subprocess.run([build.path, "--version"], capture_output=True, text=True, timeout=30, check=False)
    said = VERSION.search(done.stdout)
    same = said is not None and said[1] == build.version
    record.observe("version_as_built", same, "bool")
    if not same:
        message = (
            f"'{build.path} --version' says '{(done.stdout or done.stderr).strip()[:200]}', built was {build.version}."
        )
        fail(record, "wrong-result", message, None)


def taken_by_libvirt(stand: Stand, binary: str) -> None:
    """Observe libvirt_takes_it: libvirt tells what guests may have on this very program."""
    record = stand.case.record
    try:
        text = stand.truth.connection.getDomainCapabilities(binary, "x86_64", "q35", None, 0)
    except libvirt.libvirtError as error:
        record.observe("libvirt_takes_it", False, "bool")  # noqa: FBT003 - it is the value
        fail(record, "operation-refused", f"libvirt does not take '{binary}' for an emulator: {error}", None)
    path = ET.fromstring(text).findtext("path")  # noqa: S314 - from libvirtd
    record.observe("libvirt_takes_it", path == binary, "bool")
    if path != binary:
        fail(record, "wrong-result", f"libvirt was asked about '{binary}' and tells of '{path}'.", None)


def runs_on(guest: Guest, expect: Expect, build: Build) -> None:
    """Observe program_as_built and monitor_as_built: the process of the guest is that file, and its monitor tells that version."""
    record, vm = expect.record, guest.name
    exe = Path(f"/proc/{expect.one_process(guest)}/exe")
    same = exe.exists() and exe.samefile(build.path) and builds.digest(exe) == build.files[build.main]
    record.observe("program_as_built", same, "bool", vm)
    if not same:
        fail(record, "wrong-result", f"'{vm}' runs on '{exe.readlink()}', which is not {build.told}.", vm)
    answer = libvirt_qemu.qemuMonitorCommand(expect.truth.lookup(vm), json.dumps({"execute": "query-version"}), 0)
    number = json.loads(answer)["return"]["qemu"]
    said = f"{number['major']}.{number['minor']}.{number['micro']}"
    record.observe("monitor_as_built", said == build.version, "bool", vm)
    if said != build.version:
        fail(
            record, "wrong-result", f"The monitor of '{vm}' says that it is QEMU {said}, built was {build.version}.", vm
        )


def kernel_made(case: Case[Any], home: str) -> Build:
    """Return the kernel that was built on this node; the case is cancelled where none was."""
    found = builds.made(home, "kernel")
    make = f"'{builds.folder(home)}' holds no record of one; make it with: scripts/build-kernel"
    return _required("own build of a kernel", found, found.told if found else make, case.record)


def kernel_running(case: Case[Any]) -> Build:
    """Return the installed build that is the node's running kernel; the case is cancelled where none is installed, or another one runs."""
    known, release = builds.installed("kernel"), platform.release()
    make = f"'{builds.INSTALLED}' holds no record of one; make it with: scripts/build-kernel --install --reboot"
    reason = ", ".join(one.told for one in known) or make
    capability.require("own build of a kernel, installed", reason, case.record, ok=bool(known))
    found = next((one for one in known if one.version == release), None)
    told = found.told if found else f"'{release}' runs, installed is {reason}; boot it: grub-reboot, then reboot"
    return _required("own build of a kernel, running", found, told, case.record)


def booted_by(build: Build) -> Making:
    """Return what starts guests with the kernel of *build* in place of their image's."""

    def xml(guest: Guest) -> str:
        return domain_xml(guest.spec, replace(guest.image, kernel=build.path), guest.place)

    return replace(FRESH, xml=xml, boots=(build.path,))


def runs_in(guest: Guest, expect: Expect, build: Build) -> None:
    """Observe release_as_built and build_id_as_built: the guest's kernel calls itself so, and holds the note of the linker."""
    notes = bytes.fromhex("".join(guest.ask(GUEST_NOTES).split()))
    _is_the_build(build, guest.witness.report()["kernel"], notes, expect.record, guest.name)


def runs_here(build: Build, record: Record) -> None:
    """Observe the same of the node's own kernel, and other_kernels (count): those that GRUB's menu still has beside it."""
    _is_the_build(build, platform.release(), builds.NOTES.read_bytes(), record, None)
    menu = builds.MENU.read_text(encoding="utf-8") if builds.MENU.is_file() else ""
    others = builds.kernels_of(menu) - {build.version}
    record.observe("other_kernels", len(others), "count")
    if not others:
        message = f"'{builds.MENU}' starts no kernel beside {build.version}: there is no way back from one that fails."
        record.problem("wrong-result", message)


def _is_the_build(build: Build, release: str, notes: bytes, record: Record, vm: str | None) -> None:
    record.observe("release_as_built", release == build.version, "bool", vm)
    if release != build.version:
        fail(record, "wrong-result", f"The kernel '{release}' runs, built was '{build.version}'.", vm)
    found = builds.build_id_of(notes)
    record.observe("build_id_as_built", found == build.build_id != "", "bool", vm)
    if found != build.build_id:
        fail(
            record,
            "wrong-result",
            f"The kernel that runs has the build id '{found}', built was '{build.build_id}'.",
            vm,
        )
