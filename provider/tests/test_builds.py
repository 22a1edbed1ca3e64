# SPDX-License-Identifier: GPL-2.0-or-later
"""A build is believed while its files are what its record tells; without a record a case is cancelled, and says what makes one."""

import dataclasses
import hashlib
import json
import os
import platform
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from avocado.core.exceptions import TestCancel, TestError, TestFail

from provider.hvqual import builds
from provider.hvqual.operations import own_build
from provider.hvqual.record import Record
from provider.tests.test_host_config import WANTED

pytestmark = pytest.mark.contract
MAIN = "/opt/hvq-qemu/bin/qemu-system-x86_64"
# As Linux shows it: the note of the linker among others.
NOTE = bytes.fromhex("040000000600000001000000") + b"Xen\0" + bytes(6) + bytes(2)
GNU = bytes.fromhex("040000001400000003000000") + b"GNU\0" + bytes(range(20))


@dataclasses.dataclass(frozen=True)
class Case:
    """What `own_build` asks of a case."""

    wanted: object
    record: Record


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A function that makes a build's folder with its record and tree; nothing is installed."""
    monkeypatch.setattr(builds, "INSTALLED", tmp_path / "installed")

    def make(name="qemu", main=MAIN, program="#!/bin/sh\necho 'QEMU emulator version 9.2.0 (own)'\n", **changes):
        tree = tmp_path / "builds" / name / "tree"
        path = tree / main.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(program)
        path.chmod(0o755)
        told = {
            "format": 1,
            "name": name,
            "version": "9.2.0",
            "source": {"kind": "git", "place": "/src/qemu", "ref": "c0ffee", "sha256": "0" * 40},
            "configure": ["--enable-kvm"],
            "build_id": "",
            "main": main,
            "files": {main: hashlib.sha256(program.encode()).hexdigest()},
            **changes,
        }
        (tree.parent / "record.json").write_text(json.dumps(told))
        return str(tmp_path / "builds")

    return make


@pytest.fixture
def case(tmp_path):
    """A function that returns a case whose guests run on a QEMU."""

    def make(binary="/usr/bin/qemu-system-x86_64"):
        return Case(dataclasses.replace(WANTED, qemu_binary=binary), Record(tmp_path))

    return make


def test_the_qemu_under_test_is_found_by_its_file(home, case, tmp_path):
    place = home()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "builds/qemu/tree" / MAIN.lstrip("/"))
    it = case(str(link))
    found = own_build.qemu_under_test(it, place)
    assert (found.version, found.told) == ("9.2.0", "qemu 9.2.0 of git /src/qemu at c0ffee")
    builds.as_recorded(found, it.record)
    own_build.tells_its_version(found, it.record)
    assert it.record.samples["files_changed"] == [(0, "count")]
    assert it.record.samples["version_as_built"] == [(True, "bool")]
    assert it.record.problems == []


def test_without_a_record_a_case_is_cancelled_and_names_the_command(home, case, tmp_path):
    with pytest.raises(TestCancel, match=r"own build of QEMU \(neither .* make it with: scripts/build-qemu\)"):
        own_build.qemu_under_test(case(), str(tmp_path / "builds"))


def test_a_record_of_another_qemu_than_the_one_under_test_is_a_cancel(home, case):
    with pytest.raises(
        TestCancel, match=r"guests run on '/usr/bin/qemu-system-x86_64', recorded is .*; name it by hv_qemu"
    ):
        own_build.qemu_under_test(case(), home())


@pytest.mark.parametrize(
    ("name", "told"), [("kernel", r"make it with: scripts/build-kernel\)"), ("running", "--reboot")]
)
def test_without_a_kernel_a_case_is_cancelled_and_names_the_command(home, case, tmp_path, name, told):
    ask = own_build.kernel_running if name == "running" else lambda it: own_build.kernel_made(it, str(tmp_path))
    with pytest.raises(TestCancel, match=told):
        ask(case())


def test_a_kernel_that_is_installed_and_does_not_run_is_a_cancel(home, case, tmp_path):
    home("kernel", "/boot/vmlinuz-9.9", version="9.9-hvq")
    (tmp_path / "installed").mkdir()
    (tmp_path / "builds/kernel/record.json").rename(tmp_path / "installed/linux.json")
    with pytest.raises(TestCancel, match=rf"'{platform.release()}' runs, installed is kernel 9\.9-hvq"):
        own_build.kernel_running(case())


@pytest.mark.parametrize("change", ["patch", "remove"])
def test_a_file_that_is_not_what_was_built_is_told(home, case, tmp_path, change):
    place = home()
    path = tmp_path / "builds/qemu/tree" / MAIN.lstrip("/")
    it = case(str(path))
    found = own_build.qemu_under_test(it, place)
    if change == "patch":
        path.write_text("#!/bin/sh\n")
    else:
        path.unlink()
    builds.as_recorded(found, it.record)
    assert it.record.samples["files_changed"] == [(1, "count")]
    assert "1 files of qemu 9.2.0" in it.record.problems[0]


def test_a_program_of_another_version_fails(home, case, tmp_path):
    place = home(version="9.2.1")
    it = case(str(tmp_path / "builds/qemu/tree" / MAIN.lstrip("/")))
    with pytest.raises(TestFail, match=r"says 'QEMU emulator version 9\.2\.0 \(own\)', built was 9\.2\.1"):
        own_build.tells_its_version(own_build.qemu_under_test(it, place), it.record)


@pytest.mark.parametrize(
    "lack", [{"version": ""}, {"configure": []}, {"main": "/other"}, {"source": {"kind": "git"}}, {"files": None}]
)
def test_a_record_that_names_no_build_is_an_error(home, lack):
    place = home(**lack) if "main" not in lack else home()
    if "main" in lack:
        path = builds.folder(place) / "qemu/record.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **lack}))
    with pytest.raises(TestError, match="Build it again"):
        builds.made(place, "qemu")


def test_the_build_id_is_found_among_other_notes():
    assert builds.build_id_of(NOTE + GNU) == bytes(range(20)).hex()
    assert builds.build_id_of(NOTE) == ""
    assert builds.build_id_of(b"") == ""


@pytest.mark.parametrize(
    ("release", "notes", "told"),
    [
        ("6.1-hvq", GNU, ""),
        ("6.1-other", GNU, r"The kernel '6\.1-other' runs, built was '6\.1-hvq'"),
        ("6.1-hvq", NOTE, "has the build id ''"),
    ],
)
def test_a_kernel_is_the_build_by_its_release_and_its_note(home, case, release, notes, told):
    build = builds.made(home("kernel", "/boot/vmlinuz", version="6.1-hvq", build_id=bytes(range(20)).hex()), "kernel")
    it = case()
    if told:
        with pytest.raises(TestFail, match=told):
            own_build._is_the_build(build, release, notes, it.record, None)
    else:
        own_build._is_the_build(build, release, notes, it.record, None)
        assert it.record.samples["build_id_as_built"] == [(True, "bool")]


class Expect:
    """A host on which a guest is this process."""

    def __init__(self, record):
        self.record, self.truth = record, SimpleNamespace(lookup=lambda name: name)

    def one_process(self, _guest):
        return os.getpid()


@pytest.mark.parametrize(
    ("digest", "place", "micro", "told"),
    [
        ("", sys.executable, 0, ""),
        ("0" * 64, sys.executable, 0, r"'hvq-1' runs on '/.*', which is not qemu 9\.2\.0 of"),
        ("", "a copy", 0, r"'hvq-1' runs on '/.*', which is not qemu 9\.2\.0 of"),
        ("", sys.executable, 1, r"The monitor of 'hvq-1' says that it is QEMU 9\.2\.1, built was 9\.2\.0"),
    ],
)
def test_a_guest_runs_on_the_build_by_its_process_and_its_monitor(
    home, case, tmp_path, monkeypatch, digest, place, micro, told
):
    """What the kernel has loaded counts: this very process is the program, and a copy of it elsewhere is another one."""
    if place == "a copy":
        place = str(tmp_path / "copy")
        Path(place).write_bytes(Path(sys.executable).read_bytes())
    files = {place: digest or builds.digest(Path(sys.executable))}
    build = dataclasses.replace(builds.made(home(), "qemu"), main=place, files=files, root=Path("/"))
    version = {"return": {"qemu": {"major": 9, "minor": 2, "micro": micro}}}
    monkeypatch.setattr(own_build.libvirt_qemu, "qemuMonitorCommand", lambda *_: json.dumps(version))
    it, guest = case(), SimpleNamespace(name="hvq-1")
    if told:
        with pytest.raises(TestFail, match=told):
            own_build.runs_on(guest, Expect(it.record), build)
    else:
        own_build.runs_on(guest, Expect(it.record), build)
        assert it.record.samples["program_as_built"] == it.record.samples["monitor_as_built"] == [(True, "bool")]


@pytest.mark.parametrize("said", ["/opt/qemu", "/usr/bin/qemu-system-x86_64", None])
def test_libvirt_must_tell_of_the_very_program(case, said):
    """A refusal and an answer about another program both fail."""

    def asked(*_):
        if said is None:
            message = "no"
            raise own_build.libvirt.libvirtError(message)
        return f"<domainCapabilities><path>{said}</path></domainCapabilities>"

    it = case()
    connection = SimpleNamespace(getDomainCapabilities=asked)
    stand = SimpleNamespace(case=it, truth=SimpleNamespace(connection=connection))
    if said == "/opt/qemu":
        own_build.taken_by_libvirt(stand, "/opt/qemu")
    else:
        with pytest.raises(TestFail, match=r"does not take|tells of"):
            own_build.taken_by_libvirt(stand, "/opt/qemu")
    assert it.record.samples["libvirt_takes_it"] == [(said == "/opt/qemu", "bool")]


@pytest.mark.parametrize(("menu", "others"), [("linux /vmlinuz-6.1-hvq\nlinux /vmlinuz-6.0\n", 1), ("", 0)])
def test_a_node_must_be_able_to_start_another_kernel(home, case, tmp_path, monkeypatch, menu, others):
    (tmp_path / "grub.cfg").write_text(menu)
    (tmp_path / "notes").write_bytes(GNU)
    monkeypatch.setattr(builds, "MENU", tmp_path / "grub.cfg")
    monkeypatch.setattr(builds, "NOTES", tmp_path / "notes")
    version, note = platform.release(), bytes(range(20)).hex()
    build = builds.made(home("kernel", "/boot/vmlinuz", version=version, build_id=note), "kernel")
    it = case()
    own_build.runs_here(build, it.record)
    seen = len(builds.kernels_of(menu) - {version})
    assert it.record.samples["other_kernels"] == [(seen, "count")]
    assert bool(it.record.problems) is (others == 0)


def test_the_kernels_of_a_menu():
    menu = "menuentry 'a' {\n\tlinux /boot/vmlinuz-6.1-hvq root=x\n}\n  linux\t/vmlinuz-6.1.0-9-amd64 ro\n# linux /vmlinuz-no\n"
    assert builds.kernels_of(menu) == {"6.1-hvq", "6.1.0-9-amd64"}
