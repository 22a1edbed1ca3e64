# SPDX-License-Identifier: GPL-2.0-or-later
"""A halt is found among the heartbeats and events around it; CPU time is that of the virtual CPUs; boots are told apart."""

import hashlib
from types import SimpleNamespace

import pytest
from avocado.core.exceptions import TestError

from provider.hvqual import vcpu_time
from provider.hvqual.heartbeat import NETWORK, SERIAL, Beat
from provider.hvqual.libvirt_truth import Event
from provider.hvqual.operations import boots, halt, late, pause, power, restart


class Recorder:
    """Keeps what is observed."""

    def __init__(self):
        self.seen, self.labels = {}, {"hvq-1": "small"}

    def observe(self, name, value, _unit, _vm):
        self.seen[name] = value


def beats(*at, boot="b", seq=0, uptime=50.0):
    """Return heartbeats at these times, counted on, by a guest whose clock went on 0.1 s from one to the next."""
    return [Beat(moment, boot, seq + number, uptime + number / 10) for number, moment in enumerate(at)]


def guest_of(*heard):
    """Return a guest that was heard so on its serial channel."""
    observer = SimpleNamespace(beats=lambda _name, _channel, since=0.0: [beat for beat in heard if beat.at > since])
    return SimpleNamespace(name="hvq-1", witness=SimpleNamespace(observer=observer))


def missed(heard, began, ended):
    """Return what is observed of a halt."""
    host = SimpleNamespace(record=Recorder())
    halt.missed_nothing(guest_of(*heard), host, "silence", began, ended)
    return host.record.seen


def test_silence_is_the_halt():
    """A guest that was silent for as long as it was halted, and whose clock stood still meanwhile."""
    seen = missed(beats(9.8, 9.9, 13.1, 13.2), 10.0, 13.0)
    assert seen["silence"] == pytest.approx(3.2)
    assert seen["silence_error"] == pytest.approx(0.2)
    assert seen["guest_clock_lost"] == pytest.approx(3.1)
    assert seen["process_survived"] is True


def test_a_silence_shorter_than_the_halt_is_an_error():
    """A guest that beat in the halt was not halted, however long it was silent elsewhere."""
    seen = missed(beats(1.0, 6.0, 9.9, 10.5, 11.5, 12.5, 13.1), 10.0, 13.0)
    assert seen["silence_error"] == pytest.approx(2.0)


@pytest.mark.parametrize("after", [beats(13.1, boot="c", seq=7), beats(13.1, seq=0)])
def test_another_boot_or_a_process_that_counts_anew_did_not_survive(after):
    """The heartbeats' numbers go on only in the same process of the same boot."""
    assert missed(beats(9.9, seq=5) + after, 10.0, 13.0)["process_survived"] is False


def test_no_beats_are_no_silence():
    """Nothing heard on one side is no measurement."""
    with pytest.raises(ValueError, match="max"):
        halt.around(beats(9.9), 10.0, 13.0)


def test_between_events():
    """The end is the first after the begin: an earlier resumption belongs to an earlier halt."""
    events = [Event(at, "hvq-1", *what) for at, what in ((1, pause.RESUMED), (2, pause.PAUSED), (5, pause.RESUMED))]
    assert pause.between(events, pause.PAUSED, pause.RESUMED) == (2, 5)


def task(folder, number, name, nanoseconds):
    """Make one thread of a process."""
    place = folder / "task" / str(number)
    place.mkdir(parents=True)
    (place / "comm").write_text(f"{name}\n")
    (place / "schedstat").write_text(f"{nanoseconds} 5 6\n")


def test_cpu_time_is_that_of_the_virtual_cpus(tmp_path, monkeypatch):
    """The main thread and the I/O threads work also while the guest stands still."""
    monkeypatch.setattr(vcpu_time, "PROC", tmp_path)
    for number, name in enumerate(["qemu-system-x86", "CPU 0/TCG", "CPU 1/KVM", "IO iothread1", "CPU"]):
        task(tmp_path / "7", number, name, 500_000_000)
    assert vcpu_time.used(7, 2) == 1.0


@pytest.mark.parametrize("pid", [7, 8])
def test_cpus_that_are_not_seen_are_not_still(tmp_path, monkeypatch, pid):
    """A thread too few, or a process that has ended, is no guest at rest."""
    monkeypatch.setattr(vcpu_time, "PROC", tmp_path)
    task(tmp_path / "7", 1, "CPU 0/TCG", 1)
    with pytest.raises(TestError, match="should have 2 threads"):
        vcpu_time.used(pid, 2)


def test_boots_are_told_apart():
    """Both channels count, only what came since; what is labelled is so for the block."""
    heard = {SERIAL: beats(1.0, boot="a") + beats(5.0, boot="b"), NETWORK: beats(6.0, boot="c")}
    observer = SimpleNamespace(
        beats=lambda _vm, channel, since=0.0: [beat for beat in heard[channel] if beat.at > since]
    )
    guest = SimpleNamespace(name="hvq-1", witness=SimpleNamespace(observer=observer))
    assert (boots.now(guest), boots.since(guest, 2.0)) == ("b", {"b", "c"})
    record = Recorder()
    with boots.labelled(record, guest, "reset"):
        assert record.labels["hvq-1"] == "small reset"
    assert record.labels["hvq-1"] == "small"


@pytest.mark.parametrize("methods", [(), ("acpi", "kick")])
def test_unknown_ways_to_restart_are_refused(methods):
    """A case that restarts in no way would pass by doing nothing."""
    with pytest.raises(TestError, match="give some of: acpi agent"):
        restart.known(methods)


def test_unknown_ways_to_start_and_to_shut_down_are_refused():
    """Before anything is done."""
    with pytest.raises(TestError, match="'slowly'"):
        power.start_in_way(None, None, "slowly")
    with pytest.raises(TestError, match="'politely'"):
        power.down_and_up(None, None, "politely")


@pytest.mark.parametrize("synced", [True, False])
def test_unsynced_is_what_the_hosts_file_has_not_got(tmp_path, synced):
    """The place of the late write is read on the host: what is there already was synced."""
    disk, written = tmp_path / "disk.raw", b"w" * late.SIZE
    disk.write_bytes(b"\0" * late.PLACE + (written if synced else b"\0" * late.SIZE))
    said = f"{hashlib.sha256(written).hexdigest()}  -"
    guest = SimpleNamespace(name="hvq-1", spec=SimpleNamespace(disk=str(disk)), ask=lambda _: said)
    seen = {}
    record = SimpleNamespace(observe=lambda name, value, *_: seen.update({name: value}))
    assert late.write(guest, record) == said.split(maxsplit=1)[0]
    assert seen == {"unsynced": not synced}


def test_power_downs_are_counted(tmp_path):
    """A console that tells of an earlier power-off tells nothing of this one; no console tells nothing."""
    console = tmp_path / "console"
    guest = SimpleNamespace(name="hvq-1", place=SimpleNamespace(console_log=str(console)))
    assert late.power_downs(guest) == 0
    console.write_bytes(
        b"login: [   20.3] reboot: Power down\r\n\xff[ 9.1] reboot: Power down\n reboot: Restarting system\n"
    )
    assert late.power_downs(guest) == 2
