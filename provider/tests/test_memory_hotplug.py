# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest and libvirt tell of memory that comes and goes, read without a VM."""

from __future__ import annotations

import subprocess
import types
from xml.etree import ElementTree as ET

import pytest
from avocado.core.exceptions import TestError, TestFail

from provider.hvqual import guest_memory, memory_devices, memory_seen, pattern, pinned, smaps
from provider.hvqual.guest_memory import Block
from provider.hvqual.host_config import Shape
from provider.hvqual.memory_devices import Device
from provider.hvqual.operations import balloon, memory_hotplug
from provider.hvqual.pattern import Pattern
from provider.hvqual.record import Record

GUEST = """MemTotal:         225888 kB
block_size_bytes:8000000
memory0/state:online
memory32/state:online
memory34/state:offline
memory0/valid_zones:none
memory32/valid_zones:Movable
memory34/valid_zones:Normal Movable
memory0/node0
memory32/node1
memory34/node1
"""
DIMM = """<domain><devices>
    <memory model='dimm'><target><size unit='KiB'>131072</size><node>1</node></target>
      <alias name='dimm0'/><address type='dimm' slot='0' base='0x100000000'/></memory>
    <memory model='virtio-mem'><target><size unit='KiB'>131072</size><node>1</node><block unit='KiB'>2048</block>
      <requested unit='KiB'>65536</requested><current unit='KiB'>32768</current></target>
      <alias name='virtiomem0'/><address type='pci' domain='0x0000' bus='0x05' slot='0x00' function='0x0'/></memory>
  </devices></domain>"""


class Truth:
    """A libvirt that has one domain."""

    def xml(self, _name: str) -> ET.Element:
        return ET.fromstring(DIMM)


class Guest:
    """A guest that gives one answer, and keeps what it was asked."""

    name = "hvq-1"

    def __init__(self, answer: str) -> None:
        self.answer = answer
        self.asked: list[str] = []

    def ask(self, command: str) -> str:
        self.asked.append(command)
        return self.answer


def test_memory_is_read_with_its_blocks_their_zones_and_nodes() -> None:
    memory = guest_memory.parse(GUEST, "hvq-1")
    assert (memory.total_kib, memory.block_kib) == (225888, 131072)
    assert memory.within(0x100000000, 131072) == (Block(32, "online", "Movable", 1),)
    assert [block.number for block in memory.within(0x100000000, 131072 * 3)] == [32, 34]
    assert memory.within(0x108000000, 131072) == ()


def test_a_block_that_comes_just_now_is_not_online_yet() -> None:
    (block,) = guest_memory.parse(GUEST.replace("memory32/state:online\n", ""), "hvq-1").within(0x100000000, 131072)
    assert (block.number, block.state) == (32, "")


def test_a_block_of_which_no_node_is_told_is_in_none() -> None:
    assert guest_memory.parse(GUEST.replace("memory32/node1\n", ""), "hvq-1").blocks[1].node == -1


def test_dimms_are_told_from_other_devices_of_memory() -> None:
    assert [one.model for one in memory_devices.of(Truth(), "hvq-1")] == ["dimm", "virtio-mem"]
    assert [one.alias for one in memory_devices.dimms(Truth(), "hvq-1")] == ["dimm0"]


@pytest.mark.parametrize("gone", ["MemTotal:", "block_size_bytes:", "memory"])
def test_memory_that_is_told_in_part_is_an_error(gone) -> None:
    with pytest.raises(TestError, match="did not tell of its memory"):
        guest_memory.parse(GUEST.replace(gone, "nothing"), "hvq-1")


@pytest.mark.parametrize(("nodes", "zones"), [(True, ["none", "", "Movable"]), (False, ["none", "Movable", "Movable"])])
def test_the_kernels_own_files_are_asked_for_as_they_are(tmp_path, nodes, zones) -> None:
    """
    The question is asked of a folder that looks like the kernel's: what a terminal would be told in colours is not.

    The zones of a block that is in no node yet are not asked for: that kills the kernel. One without nodes has all of them asked for.
    """
    place = tmp_path / "memory"
    for number, zone in ((0, "none"), (31, "Movable"), (32, "Movable")):
        (place / f"memory{number}").mkdir(parents=True)
        (place / f"memory{number}/state").write_text("online\n")
        (place / f"memory{number}/valid_zones").write_text(f"{zone}\n")
    if nodes:
        (tmp_path / "node").mkdir()
        for inside in ("memory0/node0", "memory32/node0", "memory32/node1"):
            (place / inside).mkdir()
    (place / "block_size_bytes").write_text("8000000\n")
    ask = guest_memory.ASK.replace(guest_memory.PLACE, str(place))
    for shell in ("sh", "bash"):
        done = subprocess.run([shell, "-c", ask], capture_output=True, text=True, check=True)
        blocks = guest_memory.parse(done.stdout, "hvq-1").blocks
        assert [block.zones for block in blocks] == zones
        assert [block.node for block in blocks] == ([0, -1, 1] if nodes else [-1, -1, -1])
        assert done.stderr == ""


def test_devices_are_read_from_the_live_xml() -> None:
    dimm, other = memory_devices.of(Truth(), "hvq-1")
    assert (dimm.alias, dimm.size_kib, dimm.node, dimm.base) == ("dimm0", 131072, 1, 0x100000000)
    assert (other.alias, other.requested_kib, other.current_kib, other.base) == ("virtiomem0", 65536, 32768, 0)
    assert dimm.aliases == ("dimm0", "memdimm0")


def test_room_is_a_node_of_its_own_that_is_taken_off_the_first() -> None:
    bare = Shape(2, 262144, (64,))
    shape = memory_devices.roomy(bare, 2, 262144, 16384)
    assert shape.memory_kib == bare.memory_kib
    assert (shape.growth.slots, shape.growth.max_memory_kib) == (2, 524288)
    assert [(cell.cpus, cell.memory_kib) for cell in shape.cells] == [((0, 1), 245760), ((), 16384)]
    assert memory_devices.roomy(bare, 1, 131072, 0).cells == ()


def test_a_dimm_is_asked_for_with_its_node_and_its_pages() -> None:
    target = ET.fromstring(memory_devices.dimm_xml(131072, 1, 2048))
    assert target.findtext("target/size") == "131072"
    assert target.findtext("target/node") == "1"
    assert target.findtext("source/pagesize") == "2048"
    assert ET.fromstring(memory_devices.dimm_xml(131072, 1)).find("source") is None


def test_where_a_pattern_lies_is_counted_by_block() -> None:
    memory = guest_memory.parse(GUEST, "hvq-1")
    guest = Guest("pages 32 3000\npages 0 1096\n")
    found = pattern.where(guest, memory)
    assert found == {32: 3000, 0: 1096}
    assert pattern.share_in(found, memory.within(0x100000000, 131072)) == 3000 / 4096
    assert guest.asked[0].endswith("perl - 32768")


@pytest.mark.parametrize("told", ["", "pages none 3\npages 32 1", "mmap: no"])
def test_a_pattern_whose_place_is_not_told_is_an_error(told) -> None:
    with pytest.raises(TestError, match="where its pattern lies"):
        pattern.where(Guest(told), guest_memory.parse(GUEST, "hvq-1"))


def test_a_pattern_is_found_again_or_lost(tmp_path) -> None:
    held = Pattern("a" * 64, 16)
    record = Record(tmp_path)
    pattern.kept(Guest(f"pattern={'a' * 64}"), record, held)
    assert [value for value, _ in record.samples["pattern_kept"]] == [True]
    for told in ("pattern=missing", f"pattern={'b' * 64}"):
        with pytest.raises(TestFail, match="finds there now has"):
            pattern.kept(Guest(told), record, held)
    with pytest.raises(TestError, match="did not tell of its pattern"):
        pattern.kept(Guest(""), record, held)


def test_a_guest_that_cannot_pin_says_why() -> None:
    with pytest.raises(TestError, match="node: Invalid argument"):
        pinned.pin(Guest("node: Invalid argument"), pinned.KERNEL, 1, 8)
    pinned.pin(Guest("pinned\n"), pinned.KERNEL, 1, 8)


def test_programs_for_the_guest_are_perl() -> None:
    for program in (pinned.PROGRAM, pattern.WHERE):
        done = subprocess.run(["perl", "-c", "-"], input=program, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_virsh_tells_memory() -> None:
    assert memory_hotplug.dominfo("Id: 1\nMax memory:     262144 KiB\nUsed memory:    131072 KiB\n") == (262144, 131072)
    assert memory_hotplug.dominfo("error") == (0, 0)
    assert balloon.memstat("actual 262144\nlast_update 0\nrss\nusable x\n") == {"actual": 262144, "last_update": 0}


class Host:
    """A host whose guest's QEMU has fewer mappings of a DIMM's size each time that it is looked at."""

    def __init__(self, folder, monkeypatch, counts: list[int]) -> None:
        self.record, self.counts = Record(folder), counts
        monkeypatch.setattr(smaps, "mappings", self.mappings)

    def one_process(self, _guest: object) -> int:
        return 4711

    def mappings(self, _pid: int) -> list[smaps.Mapping]:
        count = self.counts.pop(0) if len(self.counts) > 1 else self.counts[0]
        return [smaps.Mapping(number, 131072) for number in range(count)] + [smaps.Mapping(99, 65536)]


def unmapped(host: Host) -> None:
    """Hold a guest to having given one DIMM of two back."""
    guest = Guest("")
    guest.wanted = types.SimpleNamespace(operation_timeout=0.3)
    memory_seen.unmapped(guest, host, Device("dimm0", "dimm", 131072, 1, 0), 2)


@pytest.mark.parametrize("counts", [[1], [2, 2, 1]])
def test_memory_may_be_unmapped_a_little_later(tmp_path, monkeypatch, counts) -> None:
    host = Host(tmp_path, monkeypatch, counts)
    unmapped(host)
    ((took, unit),) = host.record.samples["unmap_time"]
    assert (unit, took < 0.3) == ("s", True)
    assert not host.record.problems


@pytest.mark.parametrize("counts", [[2], [0], [2, 3]])
def test_memory_that_stays_mapped_is_a_leftover(tmp_path, monkeypatch, counts) -> None:
    host = Host(tmp_path, monkeypatch, counts)
    with pytest.raises(
        TestFail, match=f"0.3 s later its QEMU has {counts[-1]} mappings of 131072 KiB.* where 1 are expected"
    ):
        unmapped(host)
    assert (tmp_path / "observations.jsonl").read_text().count('"leftover"') == 1
