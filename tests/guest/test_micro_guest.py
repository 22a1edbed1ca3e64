# SPDX-License-Identifier: GPL-2.0-or-later
"""What the cases rely on is in the micro guest: every channel to the outside, witness, hotplug, power button."""

import dataclasses
import re
import time

import bare_guest
import pytest
from avocado.core.exceptions import TestError

from avocado_hvqual.images.initramfs import Archive
from avocado_hvqual.wait import until
from provider.hvqual.heartbeat import NETWORK, SERIAL
from provider.hvqual.witness import Witness

DIMM = 256 * bare_guest.MIB


@pytest.mark.parametrize("channel", [SERIAL, NETWORK])
def test_heart_beats_ten_times_a_second_with_the_boot_that_the_guest_tells(guest, channel):
    """The beats on each channel carry the guest's boot_id, in order, ten to a second of the guest's own clock."""
    told = guest.facts("hv-witness arm")
    start = guest.await_beat(channel, time.monotonic()).at
    until(lambda: len(guest.beats(channel, start)) >= 30, bare_guest.READY, "30 heartbeats")
    beats = guest.beats(channel, start)
    assert {beat.boot_id for beat in beats} == {told["boot_id"]}
    sent, lasted = beats[-1].seq - beats[0].seq, beats[-1].uptime - beats[0].uptime
    assert sent >= len(beats) - 1
    # The beat is taken at tenths of a second; one that was late is not made up for.
    assert sent / lasted <= 10.5


def test_agent_answers_and_sees_what_the_console_sees(guest):
    """The agent in the guest is the guest's: it says the same number of CPUs as the witness on the console."""
    with guest.agent() as agent:
        vcpus = agent.ask("guest-get-vcpus")
    assert len([vcpu for vcpu in vcpus if vcpu["online"]]) == int(guest.facts("hv-witness report")["cpus_online"])


@pytest.mark.parametrize("what", ["ram", "disk"])
def test_one_flipped_byte_of_a_canary_is_told(guest, what):
    """A canary reads as it was laid, and no more after one of its bytes has changed; the other canary stays."""
    laid = guest.facts("hv-witness arm")
    key, other = f"{what}_sha256", {"ram": "disk_sha256", "disk": "ram_sha256"}[what]
    before = guest.facts("hv-witness report")
    assert (before[key], before[other]) == (laid[key], laid[other])
    guest.say(f"hv-witness flip {what}")
    after = guest.facts("hv-witness report")
    assert after[key] != laid[key]
    assert after[other] == laid[other]


@pytest.mark.parametrize("what", ["ram", "disk"])
def test_a_canary_that_cannot_be_read_is_never_taken_for_one(guest, what):
    """Where the program that makes the checksums fails the guest says the same word each time; that word is no checksum."""
    guest.say("sed 's/sha256sum/false/' /usr/sbin/hv-witness > /run/broken-witness")
    told = guest.facts("sh /run/broken-witness arm")
    assert told[f"{what}_sha256"] == "unreadable"
    with pytest.raises(TestError, match=f"cannot be read back: .*{what}_sha256=unreadable"):
        Witness(Telling(told), None, None).arm()


class Telling:
    """A guest that says again what one said."""

    name = bare_guest.NAME

    def __init__(self, told):
        self.told = told

    def ask(self, _command):
        return "".join(f"{key}={value}\n" for key, value in self.told.items())


def test_disk_canary_is_read_from_the_disk_not_from_the_guests_memory(guest):
    """A byte that changes on the host's side is told by the guest, whose page cache still holds the old one."""
    laid = guest.facts("hv-witness arm")
    with (guest.folder / "disk.raw").open("r+b") as disk:
        disk.seek(bare_guest.MIB + 4096)
        byte = disk.read(1)
        disk.seek(-1, 1)
        disk.write(bytes([byte[0] ^ 255]))
    assert guest.facts("hv-witness report")["disk_sha256"] != laid["disk_sha256"]


def test_report_tells_the_interface_with_its_address(guest):
    """Name, hardware address and IPv4 address of what the guest was given, and nothing of the loopback."""
    nic = until(lambda: _with_address(guest), bare_guest.READY, "an address of the guest", interval=0.5)
    assert re.fullmatch(r"eth0:52:54:00:12:34:56:10\.0\.2\.\d+", nic), nic


def _with_address(guest):
    told = guest.facts("hv-witness report")["nics"]
    return "" if told.endswith(":none") else told


@pytest.mark.parametrize(
    ("said", "counted"),
    [
        ("BUG: seeded", 1),
        ("watchdog: soft lockup - seeded", 1),
        ("Kernel command line: panic=1", 0),
        ("all is well", 0),
    ],
)
def test_report_counts_what_the_kernel_complained_of(guest, said, counted):
    """A line of a fault in the guest's kernel log is one more; the same word on the kernel's own command line is none."""
    before = int(guest.facts("hv-witness report")["panics"])
    guest.say(f"echo '{said}' > /dev/kmsg")
    assert int(guest.facts("hv-witness report")["panics"]) == before + counted


def test_what_is_written_is_missing_from_what_is_free(guest):
    """Free memory is told as free: what a kernel keeps in lists of its own beside it would hide what a test takes."""
    free = int(guest.say("sed -n 's/^MemFree: *\\([0-9]*\\) kB$/\\1/p' /proc/meminfo").split()[-1])
    guest.say("dd if=/dev/zero of=/run/taken bs=1048576 count=32 2>/dev/null")
    now = int(guest.say("sed -n 's/^MemFree: *\\([0-9]*\\) kB$/\\1/p' /proc/meminfo").split()[-1])
    guest.say("rm /run/taken")
    assert 0.85 <= (free - now) / (32 * 1024) <= 1.25


def test_plugged_cpu_and_memory_come_online_by_themselves(guest):
    """A vCPU and a DIMM plugged by QMP are in use in the guest without anybody's doing inside."""
    before = guest.facts("hv-witness report")
    with guest.monitor() as monitor:
        free = [cpu for cpu in monitor.ask("query-hotpluggable-cpus") if "qom-path" not in cpu]
        # The next one in order: QEMU lists the last one first, and with a gap before it a guest once lost interrupts (QEMU 7.2, TCG).
        first = min(free, key=lambda cpu: [cpu["props"][part] for part in ("socket-id", "core-id", "thread-id")])
        monitor.ask("device_add", driver=first["type"], id="plugged", **first["props"])
        monitor.ask("object-add", **{"qom-type": "memory-backend-ram", "id": "more", "size": DIMM})
        monitor.ask("device_add", driver="pc-dimm", id="dimm", memdev="more")

    def grown():
        report = guest.facts("hv-witness report")
        return (
            int(report["cpus_online"]) == int(before["cpus_online"]) + 1
            and int(report["memory_kib"]) - int(before["memory_kib"]) == DIMM // 1024
        )

    assert until(grown, bare_guest.READY, "one more CPU and 256 MiB more memory in the guest", interval=0.5)


def with_program(image, folder, path, script):
    """Return *image* with another program at *path*: a second archive behind its own wins."""
    archive = Archive()
    archive.file(path, script.encode(), 0o755)
    own = image.initrd.read_bytes()
    initrd = folder / "initrd.img"
    initrd.write_bytes(own + b"\0" * (-len(own) % 4) + archive.to_bytes())
    return dataclasses.replace(image, initrd=initrd)


def test_a_port_that_came_before_anybody_listened_is_found(micro, tmp_path):
    """A port of which the kernel told before the listener listened has its name in /dev all the same, or a guest had no heart."""
    slow = '#!/bin/sh\nuntil [ -e /run/listen ]; do sleep 0.1; done\nexec busybox uevent "$@"\n'
    with bare_guest.running(with_program(micro, tmp_path, "usr/sbin/uevent", slow), tmp_path) as guest:
        guest.log_in()
        with guest.monitor() as monitor:
            monitor.ask("device_add", driver="virtserialport", name="early.port")
        guest.say("until grep -q early.port /sys/class/virtio-ports/*/name; do sleep 0.1; done")
        assert guest.beats(SERIAL) == []
        guest.say("touch /run/listen")
        guest.say("until [ -e /dev/virtio-ports/early.port ]; do sleep 0.1; done")
        assert guest.await_beat(SERIAL)


def test_power_button_ends_the_guest_by_its_own_doing(micro, tmp_path):
    """The ACPI power button makes the guest shut down: QEMU tells of a shutdown by the guest and ends."""
    with bare_guest.running(micro, tmp_path) as guest:
        guest.await_beat(SERIAL)
        with guest.monitor() as monitor:
            monitor.ask("system_powerdown")
            assert monitor.await_event("SHUTDOWN")["data"] == {"guest": True, "reason": "guest-shutdown"}
        until(lambda: not guest.console.is_alive(), bare_guest.READY, "the end of QEMU")
