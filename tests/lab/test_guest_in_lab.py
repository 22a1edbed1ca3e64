# SPDX-License-Identifier: GPL-2.0-or-later
"""A micro guest keeps its contract in a host of the lab."""

import os
import subprocess
import time
from pathlib import Path

import pytest
from micro_guest import MicroGuest, in_host

from avocado_hvqual import wait
from avocado_hvqual.lab.paths import LabPaths

pytestmark = pytest.mark.lab


def network_of(guest):
    """Everything that tells why a guest has no address: its own view, and that of the server of the leases."""
    inside = "ip addr; ps; cat /proc/interrupts /run/hv-gateway; ls /run /sys/block; dmesg | tail -n 40"
    outside = "ps ax; cat /run/fabric.leases; ip -s addr; bridge fdb show"
    return "\n".join([guest.ssh(f"({inside}) 2>&1; true"), in_host("fabric", "sh", "-c", f"({outside}) 2>&1; true")])


@pytest.fixture(scope="module")
def guest(request, lab_home, micro_image):
    from avocado_hvqual import lab

    assert lab.up().up
    disk = LabPaths(lab_home).shared / "hvq-guest.raw"
    with disk.open("wb") as stream:
        stream.truncate(8 << 20)
    guest = MicroGuest(lab_home, "hv-a", f"hvq-guest-{os.getpid()}", disk=str(disk))
    guest.listen_udp()
    began = time.monotonic()
    guest.start()
    try:
        guest.listen_serial()
        guest.wait_beats("HB1")
        guest.ready = guest.beats["HB1"][0][0] - began
        guest.wait_beats("HB2")
        guest.leased = guest.beats["HB2"][0][0] - began
        yield guest
    finally:
        guest.stop()


def test_both_heartbeats_come_each_100_ms_without_a_gap_in_their_numbers(guest, record_property):
    guest.wait_beats("HB1", 20)
    guest.wait_beats("HB2", 20)
    for channel in ("HB1", "HB2"):
        last = guest.beats[channel][-20:]
        numbers = [beat[2] for beat in last]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), (channel, numbers)
        period = (last[-1][3] - last[0][3]) / (len(last) - 1)
        assert 9 <= period <= 13, (channel, "centiseconds a beat", period)
    assert len({beat[1] for beat in guest.beats["HB1"] + guest.beats["HB2"]}) == 1
    record_property("figures", f"first HB1 after {guest.ready:.2f} s, first HB2 after {guest.leased:.2f} s")


def test_agent_answers(guest):
    assert guest.agent("guest-ping") == '{"return":{}}\n\n'
    assert "hvqual-micro" in guest.agent("guest-get-osinfo")


def test_ssh_login_and_witness(guest):
    armed = guest.witness("arm")
    report = guest.witness("report")
    for key in ("boot_id", "ram_sha256", "disk_sha256"):
        assert armed[key] == report[key]
    assert report["boot_id"] == guest.beats["HB1"][-1][1]
    assert report["disks"] == f"vda:{(8 << 20) // 512}"
    assert report["nics"].startswith("eth0:52:54:00:")
    assert report["nics"].endswith(f":{guest.address()}")
    assert report["panics"] == "0"
    assert report["cpus_online"] == "1"
    assert 150_000 < int(report["memory_kib"]) < 262_144


def test_flips_are_seen_and_disk_canary_is_on_the_disk(guest):
    import hashlib

    armed = guest.witness("arm")
    with Path(guest.disk).open("rb") as stream:
        stream.seek(1 << 20)
        assert hashlib.sha256(stream.read(256 << 10)).hexdigest() == armed["disk_sha256"]
    for what, key in (("ram", "ram_sha256"), ("disk", "disk_sha256")):
        guest.witness("flip", what)
        assert guest.witness("report")[key] != armed[key]
    # A byte that changes on the medium alone is seen too: the page cache is not asked.
    armed = guest.witness("arm")
    with Path(guest.disk).open("r+b", buffering=0) as stream:
        stream.seek((1 << 20) + 100)
        old = stream.read(1)
        stream.seek((1 << 20) + 100)
        stream.write(bytes([old[0] ^ 1]))
        os.fsync(stream.fileno())
    assert guest.witness("report")["disk_sha256"] != armed["disk_sha256"]


def test_serial_login_prompt_is_the_manifests(guest):
    import re

    wait.until(lambda: guest.console.rstrip().endswith("login:"), 30, "the login prompt")
    assert len(guest.console) > 500
    prompt = guest.ssh("bash -lic 'printf %s \"$PS1\"' 2>/dev/null")
    assert re.search(guest.manifest["prompt"], prompt)


def test_plugged_dimm_is_online_and_can_be_unplugged(guest):
    before = int(guest.witness("report")["memory_kib"])
    dimm = LabPaths(guest.home).shared / "dimm.xml"
    dimm.write_text("<memory model='dimm'><target><size unit='MiB'>128</size><node>0</node></target></memory>")
    in_host("hv-a", "virsh", "attach-device", guest.name, str(dimm), "--live")
    wait.until(lambda: int(guest.witness("report")["memory_kib"]) >= before + 120 * 1024, 20, "the DIMM to be online")
    assert "Movable" in guest.ssh("cat /proc/zoneinfo")
    in_host("hv-a", "virsh", "detach-device", guest.name, str(dimm), "--live")
    wait.until(lambda: int(guest.witness("report")["memory_kib"]) <= before, 20, "the DIMM to be gone")


def test_plugged_disk_and_nic_are_seen_and_used(guest):
    extra = LabPaths(guest.home).shared / "hvq-extra.raw"
    with extra.open("wb") as stream:
        stream.truncate(4 << 20)
    in_host("hv-a", "virsh", "attach-disk", guest.name, str(extra), "vdb", "--live", "--subdriver", "raw")
    in_host("hv-a", "virsh", "attach-interface", guest.name, "network", "fabric", "--model", "virtio", "--live")

    def seen():
        report = guest.witness("report")
        return report if "vdb:8192" in report["disks"] and report["nics"].count(":10.77.0.") == 1 else None

    try:
        report = wait.until(seen, 30, "the disk and the interface with an address on the fabric")
    except wait.WaitTimeoutError as late:
        pytest.fail(f"{late}\n{network_of(guest)}")
    assert "eth1:" in report["nics"]
    # The first gateway stays the heartbeat's, until its interface goes.
    assert guest.ssh("cat /run/hv-gateway").split()[::2] == ["192.168.122.1", "eth0"]
    guest.wait_beats("HB2", 20)


def test_beat_takes_another_way_out_when_its_interface_is_unplugged(guest):
    first, second = (nic.partition(":")[2].rpartition(":")[0] for nic in guest.witness("report")["nics"].split())
    outside = MicroGuest(guest.home, "fabric", guest.name)
    outside.listen_udp("fabric")
    try:
        in_host("hv-a", "virsh", "detach-interface", guest.name, "network", "--mac", first, "--live")
        assert outside.wait_beats("HB2", 5)
        in_host("hv-a", "virsh", "attach-interface", guest.name, "network", "default", "--model", "virtio", "--live")
        wait.until(
            lambda: "192.168.122." in in_host("hv-a", "virsh", "domifaddr", guest.name), 30, "the new interface's lease"
        )
        in_host("hv-a", "virsh", "detach-interface", guest.name, "bridge", "--mac", second, "--live")
        assert guest.wait_beats("HB2", 5)
    finally:
        outside._listener.kill()
        outside._listener.communicate()


def test_bonding_can_be_loaded(guest):
    assert "bond0" not in guest.ssh("modprobe bonding && ls -d /proc/net/bonding && rmmod bonding && ls /sys/class/net")
    assert "bonding" not in guest.ssh("cut -d' ' -f1 /proc/modules")


def test_serial_beat_goes_on_when_the_host_comes_back_and_is_not_made_up_for(guest):
    guest._stop.set()
    for thread in list(guest._threads[1:]):
        thread.join(5)
    silent = len(guest.beats["HB1"])
    last = guest.beats["HB1"][-1][2]
    guest.wait_beats("HB2", 20)
    assert len(guest.beats["HB1"]) == silent
    guest._stop.clear()
    guest.listen_serial()
    guest.wait_beats("HB1", 10)
    fresh = guest.beats["HB1"][silent:]
    # Beats of the silence are lost (their numbers are missing) but for the few that fit the queue of the port.
    numbers = [beat[2] for beat in fresh]
    assert numbers[-1] - last > 20
    assert abs(fresh[-1][3] - guest.beats["HB2"][-1][3]) < 100


def test_udp_beat_survives_a_silent_gateway(guest):
    guest._listener.kill()
    guest._listener.communicate()
    guest.wait_beats("HB1", 30)
    guest.listen_udp()
    assert guest.wait_beats("HB2", 10, timeout=10)


def test_beats_go_on_after_save_and_restore(guest):
    saved = "/var/tmp/hvq-guest.save"  # noqa: S108
    boot_id, number = guest.beats["HB1"][-1][1:3]
    in_host("hv-a", "virsh", "save", guest.name, saved)
    in_host("hv-a", "virsh", "restore", saved)
    in_host("hv-a", "rm", saved)
    guest.listen_serial()
    guest.wait_beats("HB1", 10)
    guest.wait_beats("HB2", 10)
    for channel in ("HB1", "HB2"):
        assert guest.beats[channel][-1][1] == boot_id
        assert guest.beats[channel][-1][2] > number


def test_password_is_in_no_argument_log_or_digest(guest, lab_home):
    password = (guest.image / "password").read_text().strip()
    assert len(password) >= 16
    assert oct((guest.image / "password").stat().st_mode & 0o777) == "0o600"
    found = subprocess.run(
        ["grep", "-r", "-l", "-F", "-e", password, str(lab_home)], capture_output=True, text=True, check=False
    )
    assert found.stdout.split() == [str(guest.image / "password")]
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            assert password.encode() not in (entry / "cmdline").read_bytes(), entry
        except OSError:
            continue


def test_zy_plugged_cpu_comes_online_and_one_put_offline_stays_so(guest):
    # Nearly last: what a plugged CPU does to the interrupts of devices that come later is QEMU's affair, and has cases of its own.
    in_host("hv-a", "virsh", "setvcpus", guest.name, "2", "--live")
    wait.until(lambda: guest.witness("report")["cpus_online"] == "2", 20, "the plugged CPU to be online")
    guest.ssh("echo 0 >/sys/devices/system/cpu/cpu1/online")
    guest.wait_beats("HB1", 20)
    assert guest.witness("report")["cpus_online"] == "1"
    guest.ssh("echo 1 >/sys/devices/system/cpu/cpu1/online")


def test_zz_power_button_ends_the_guest_within_seconds(guest, record_property):
    began = time.monotonic()
    in_host("hv-a", "virsh", "shutdown", guest.name, "--mode", "acpi")
    wait.until(lambda: not guest.running(), 15, "the guest to shut down")
    took = time.monotonic() - began
    record_property("figures", f"ACPI shutdown took {took:.2f} s")
    assert took < 8
