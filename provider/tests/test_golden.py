# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests of the golden image: what tells one machine from another, what a build said of it, and what nobody said is not taken for good."""

import json
import struct
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree as ET

import pytest
from avocado.core.exceptions import TestCancel, TestError, TestFail

from provider.hvqual import golden_guests
from provider.hvqual.domain_xml import Disk, Place, Spec
from provider.hvqual.golden_guests import Identity
from provider.hvqual.images import Image
from provider.hvqual.operations import golden
from provider.hvqual.record import Record

pytestmark = pytest.mark.contract
SPEC = Spec("hvq-1", "uuid-1", 2, 192 * 1024, ("52:54:00:00:00:01",), (Disk("/i/hvq-1.raw", 2048),))
PLACE = Place("tcg", "/usr/bin/qemu", "default", "/log/console", "/run/hvq.sock", 5610, "token")
IMAGE = Image(
    "golden", Path("/g/k"), Path("/g/i"), "root=LABEL=x console=ttyS0", "#", "root", 1, "p", "d", Path("/g/d.raw")
)
TOLD = {
    "kernel": "6.1.0-9",
    "cmdline": "BOOT_IMAGE=/boot/vmlinuz-6.1.0-9 root=LABEL=x",
    "hostname": "golden-1234",
    "boot_id": "b-1",
    "machine_id": "0123456789abcdef" * 2,
    "host_key": "AAAA",
    "mac": "52:54:00:00:00:01",
    "crash_kernel": "1",
    "failed": "-",
}
PACKAGES = "fio 3.33 installed\niperf3 3.12 installed\nold 1 config-files\n"


class Guest:
    """A guest that says what it is told to."""

    def __init__(self, told=TOLD, packages=PACKAGES, name="hvq-1"):
        self.name, self.told, self.packages = name, told, packages
        self.spec, self.image, self.place = SPEC, IMAGE, PLACE
        self.vm = SimpleNamespace(address_cache={SPEC.mac: "192.168.122.7"})
        self.files = set()

    def ask(self, command):
        if command == golden.PACKAGES:
            return self.packages
        if command.startswith("echo mark"):
            self.files.add(golden.MARK)
            return ""
        if command.startswith("test -e"):
            return "yes\n" if golden.MARK in self.files else "no\n"
        return "".join(f"{name}={value}\n" for name, value in self.told.items())


@pytest.fixture
def record(tmp_path):
    return Record(tmp_path)


def seen(record):
    """Return the last value of each observation."""
    return {name: samples[-1][0] for name, samples in record.samples.items()}


def test_a_guest_of_its_own_loader_is_told_nothing_by_the_host():
    xml = ET.fromstring(golden_guests.own_loader_xml(Guest()))
    assert [child.tag for child in xml.find("os")] == ["type", "boot"]
    assert "hv.vm" not in ET.tostring(xml, encoding="unicode")
    assert xml.find("devices/disk/source").get("file") == SPEC.disk


def test_a_guest_that_is_as_it_was_built(record):
    golden.as_built(Guest(), record, "6.1.0-9", {"fio": "3.33", "iperf3": "3.12"})
    assert seen(record) == {
        "own_loader": True,
        "kernel_as_built": True,
        "packages_as_built": True,
        "crash_kernel_loaded": True,
        "failed_units": 0,
    }
    assert record.problems == []


@pytest.mark.parametrize(
    ("told", "name", "value", "sentence"),
    [
        ({"cmdline": "root=LABEL=x hv.vm=1"}, "own_loader", False, "was not started by its own boot loader"),
        ({"kernel": "6.1.0-8"}, "kernel_as_built", False, "runs the kernel '6.1.0-8', its build tells '6.1.0-9'"),
        ({"crash_kernel": "0"}, "crash_kernel_loaded", False, "No crash kernel"),
        ({"crash_kernel": "-"}, "crash_kernel_loaded", False, "No crash kernel"),
        ({"failed": "a.service b.service"}, "failed_units", 2, "Units failed in 'hvq-1': a.service, b.service."),
    ],
)
def test_each_thing_that_is_not_as_built_is_told(record, told, name, value, sentence):
    golden.as_built(Guest({**TOLD, **told}), record, "6.1.0-9", {"fio": "3.33", "iperf3": "3.12"})
    assert seen(record)[name] == value
    assert len(record.problems) == 1
    assert sentence in record.problems[0]


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ({"fio": "3.33", "iperf3": "3.13"}, "iperf3 3.12 (3.13)"),
        ({"fio": "3.33"}, "iperf3 3.12 (not of the build)"),
        ({"fio": "3.33", "iperf3": "3.12", "old": "1"}, "old is missing (1)"),
    ],
)
def test_packages_differ_by_version_and_by_being_there(wanted, sentence):
    assert sentence in golden.package_problem(golden.installed(PACKAGES), wanted)


def test_an_answer_that_leaves_something_out_is_an_error():
    with pytest.raises(TestError, match="did not tell machine_id"):
        golden.seen(Guest({name: value for name, value in TOLD.items() if name != "machine_id"}))


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ({"machine_id": "uninitialized"}, "machine_id_made"),
        ({"machine_id": "-"}, "machine_id_made"),
        ({"host_key": "-"}, "host_key_made"),
        ({"hostname": "golden"}, "name_of_its_own"),
    ],
)
def test_a_first_boot_makes_what_the_image_lacks(record, told, name):
    golden.first_boot(Guest(), record)
    assert all(seen(record).values())
    golden.first_boot(Guest({**TOLD, **told}), record)
    assert [key for key, value in seen(record).items() if not value] == [name]


def other(**changes):
    """Return what another machine says of itself."""
    own = {name: f"other-{name}" for name in golden.OWN}
    return {**own, **changes}


@pytest.mark.parametrize("name", golden.OWN)
def test_each_thing_that_two_machines_share_or_lack_is_one_sentence(record, name):
    one = golden.identity(Guest())
    assert golden.common([one, other()]) == []
    assert golden.common([one, other(**{name: one[name]})]) == [
        f"Clones have the same {name}: {one[name]}, {one[name]}."
    ]
    golden.differ([one, other(**{name: "-"})], record)
    assert (seen(record)["identities_alike"], seen(record)["identities_seen"]) == (1, 2 * len(golden.OWN) - 1)
    assert record.problems == [f"A clone has no {name}."]


@pytest.mark.parametrize(("shared", "apart"), [(False, True), (True, False)])
def test_what_one_clone_writes_is_in_no_other(record, shared, apart):
    guests = [Guest(), Guest()]
    if shared:
        guests[1].files = guests[0].files
    golden.written_apart(guests, record)
    assert seen(record)["writes_apart"] is apart


def test_a_write_that_is_lost_is_no_write_apart(record):
    guests = [Guest(), Guest()]
    guests[0].ask = lambda _command: "no"
    golden.written_apart(guests, record)
    assert seen(record)["writes_apart"] is False


def test_an_image_that_was_changed_is_data_loss(record, tmp_path):
    image = tmp_path / "image"
    image.write_bytes(b"a" * 8192)
    before = golden.content(image)
    golden.unchanged(image, before, record)
    assert record.problems == []
    image.write_bytes(b"a" * 8191 + b"b")
    golden.unchanged(image, before, record)
    assert seen(record)["image_unchanged"] is False
    assert "was changed meanwhile" in record.problems[0]


def test_the_partition_is_where_the_table_says(tmp_path):
    first = bytearray(512)
    first[454:458] = struct.pack("<I", 8192)
    (tmp_path / "disk").write_bytes(first)
    assert golden.partition(tmp_path / "disk") == 4 * 1024 * 1024


SOURCE = Identity("uuid-0", ("52:54:00:00:00:09",), ("/g/d.raw",))


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({}, []),
        ({"uuid": "uuid-0"}, ["the UUID uuid-0"]),
        ({"macs": ("52:54:00:00:00:09",)}, ["the MAC address 52:54:00:00:00:09"]),
        ({"files": ("/g/d.raw",)}, ["the disk /g/d.raw"]),
        ({"macs": ()}, ["0 of 1 interfaces"]),
        ({"files": ()}, ["0 of 1 disks"]),
    ],
)
def test_a_clone_shares_nothing_and_lacks_nothing(changes, wrong):
    clone = Identity("uuid-1", ("52:54:00:00:00:01",), ("/i/hvq-1.raw",))
    assert replace(clone, **changes).shared(SOURCE) == wrong


class Expect:
    """A libvirt that knows of one clone, or of none."""

    def __init__(self, record, disk, uuid="uuid-7"):
        self.record = record
        self.truth = SimpleNamespace(lookup=lambda _name: uuid or None, xml=lambda _name, inactive: ET.fromstring(xml))
        xml = (
            f"<domain><uuid>{uuid}</uuid><devices><interface><mac address='52:54:00:00:00:07'/></interface>"
            f"<disk><source file='{disk}'/></disk></devices></domain>"
        )


@pytest.fixture
def clone(tmp_path):
    """A guest whose disk is a clone of the source's, and the source."""
    for name in ("source.raw", "clone.raw"):
        (tmp_path / name).write_bytes(b"system" * 1024)
    guest = Guest()
    guest.spec = replace(SPEC, disks=(Disk(str(tmp_path / "clone.raw"), 1),))
    return guest, golden_guests.Source("hvq-golden", replace(SOURCE, files=(str(tmp_path / "source.raw"),)))


def test_a_clone_brings_its_identity_into_the_model(record, clone):
    guest, source = clone
    golden_guests._take(guest, Expect(record, guest.spec.disk), source)
    assert (guest.spec.uuid, guest.spec.macs) == ("uuid-7", ("52:54:00:00:00:07",))
    assert seen(record) == {"own_identity": True, "clone_identical": True}


@pytest.mark.parametrize(
    ("uuid", "disk", "told"),
    [
        ("", "own", r"virt-clone reported success; there is no 'hvq-1'"),
        ("uuid-0", "own", r"has the UUID uuid-0 of 'hvq-golden'"),
        ("uuid-7", "/elsewhere.raw", r"has the disks /elsewhere\.raw instead of"),
    ],
)
def test_a_clone_that_is_none_fails(record, clone, uuid, disk, told):
    guest, source = clone
    expect = Expect(record, guest.spec.disk if disk == "own" else disk, uuid)
    with pytest.raises(TestFail, match=told):
        golden_guests._take(guest, expect, source)


def test_a_clone_of_other_content_fails(record, clone):
    guest, source = clone
    Path(guest.spec.disk).write_bytes(b"System" * 1024)
    with pytest.raises(TestFail, match="is not the image's"):
        golden_guests._take(guest, Expect(record, guest.spec.disk), source)
    assert seen(record)["clone_identical"] is False


def test_without_an_image_a_case_is_cancelled_and_names_the_command(record, tmp_path):
    case = SimpleNamespace(wanted=SimpleNamespace(image_home=str(tmp_path), image="golden"), record=record)
    with pytest.raises(TestCancel, match="holds none; make it with: avocado hvqual image build golden"):
        golden_guests.load(case)
    (tmp_path / "golden").mkdir()
    (tmp_path / "golden/manifest.json").write_text(json.dumps({"kernel_release": "6.1"}))
    (tmp_path / "golden/packages.json").write_text(json.dumps({"fio": "3.33"}))
    assert golden_guests.built(case) == ("6.1", {"fio": "3.33"})
