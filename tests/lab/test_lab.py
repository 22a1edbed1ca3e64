# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab comes up from anything, and goes without a trace."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from lab_traces import daemon_pid, pids, traces
from micro_guest import in_host

from avocado_hvqual import lab, wait
from avocado_hvqual.errors import LabError
from avocado_hvqual.lab import state as lab_state
from avocado_hvqual.lab.paths import LabPaths
from avocado_hvqual.lab.processes import Process, boot_id, same_pid_namespace

pytestmark = pytest.mark.lab


def test_up_twice_changes_nothing_and_is_quick(lab_home, record_property):
    lab.down()
    began = time.monotonic()
    assert lab.up().up
    first = time.monotonic() - began
    before, libvirtd = pids(lab_home), daemon_pid("hv-a", "libvirtd")
    began = time.monotonic()
    assert lab.up().up
    second = time.monotonic() - began
    assert pids(lab_home) == before
    assert daemon_pid("hv-a", "libvirtd") == libvirtd
    record_property("figures", f"up from nothing {first:.1f} s, again {second:.1f} s")
    assert first < 15
    assert second < 5


@pytest.mark.parametrize("daemon", ["libvirtd", "virtlogd", "virtlockd"])
def test_up_restarts_a_dead_daemon_and_leaves_the_rest(lab_up, lab_home, daemon):
    before = pids(lab_home)
    in_host("hv-b", "kill", "-9", str(daemon_pid("hv-b", daemon)))
    if daemon == "libvirtd":
        assert not lab.status().up
    assert lab.up().up
    assert pids(lab_home) == before
    assert in_host("hv-b", "cat", f"/proc/{daemon_pid('hv-b', daemon)}/comm").strip() == daemon


def test_up_replaces_a_libvirtd_that_does_not_answer(lab_up):
    old = daemon_pid("hv-a", "libvirtd")
    in_host("hv-a", "kill", "-STOP", str(old))
    assert lab.up().up
    assert daemon_pid("hv-a", "libvirtd") != old


def test_up_gives_a_bridge_without_address_its_address(lab_up):
    """So an `up` leaves it that was killed between the two; libvirtd cannot listen then."""
    in_host("hv-a", "kill", "-9", str(daemon_pid("hv-a", "libvirtd")))
    in_host("hv-a", "ip", "addr", "flush", "dev", "br0")
    assert lab.up().up


def test_up_starts_a_stopped_network(lab_up):
    in_host("hv-a", "virsh", "net-destroy", "default")
    assert not lab.status().up
    assert lab.up().up


def test_power_failure_takes_everything_in_the_host_and_only_that(lab_up, lab_home):
    peer = pids(lab_home)["hv-b"]
    init = pids(lab_home)["hv-a"][0]
    in_host("hv-a", "sh", "-c", "setsid sleep 9876 </dev/null >/dev/null 2>&1 &")
    inhabitants = [Process.of(pid) for pid in same_pid_namespace(init.pid)]
    assert len(inhabitants) >= 5
    lab.power_off("hv-a")
    assert not any(process.alive() for process in inhabitants)
    status = lab.status()
    assert [host.running for host in status.hosts] == [False, True]
    with pytest.raises(LabError, match=r"'hv-a' .* is not up.*lab up"):
        lab.execute("hv-a", ["true"])
    assert lab.up().up
    assert pids(lab_home)["hv-b"] == peer
    in_host("hv-a", "ping", "-c1", "-W2", "10.77.0.2")


def test_killing_the_first_process_is_a_power_failure_too(lab_up, lab_home):
    init = pids(lab_home)["hv-b"][0]
    inhabitants = [Process.of(pid) for pid in same_pid_namespace(init.pid)]
    os.kill(init.pid, signal.SIGKILL)
    wait.until(lambda: not any(p and p.alive() for p in inhabitants), 10, "everything in the host to end")
    assert lab.up().up


def test_up_mends_a_dead_fabric(lab_up, lab_home):
    before = pids(lab_home)
    pids(lab_home)["fabric"][0].kill()
    assert not lab.status().up
    assert lab.up().up
    assert {name: pids(lab_home)[name] for name in lab.HOSTS} == {name: before[name] for name in lab.HOSTS}
    in_host("hv-a", "ping", "-c1", "-W2", "10.77.0.2")


def test_up_after_a_reboot_of_the_machine_kills_nobody(lab_up, lab_home):
    """The state names processes of another boot: whoever has their numbers now is left alone."""
    lab.down()
    bystander = subprocess.Popen(["sleep", "600"])
    try:
        paths = LabPaths(lab_home)
        here = Process.of(bystander.pid)
        node = {"launcher": vars(here), "init": vars(here)}
        stale = {
            "version": 1,
            "boot_id": "0000",
            "nodes": {"hv-a": node, "fabric": node},
            "qemu": None,
            "accelerator": {},
        }
        paths.root.mkdir(parents=True)
        paths.state.write_text(json.dumps(stale))
        assert not lab.status().up
        assert lab.up().up
        assert bystander.poll() is None
        recycled = Process(bystander.pid, here.start + 1)
        lab_state.save(paths, lab_state.State(boot_id(), {"hv-a": lab_state.Node(recycled, recycled)}))
        lab.down()
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_down_after_the_state_was_lost_or_damaged(lab_up, lab_home):
    for damage in (lambda path: path.unlink(), lambda path: path.write_text('{"version": 1, "nod')):
        assert lab.up().up
        damage(LabPaths(lab_home).state)
        lab.down()
        found = traces(lab_home)
        assert (found["processes"], found["cgroups"], found["files"]) == ([], [], [])


def test_damaged_state_is_named_and_up_recovers(lab_up, lab_home):
    LabPaths(lab_home).state.write_text("{")
    with pytest.raises(LabError, match=r"state\.json:1: .*lab down"):
        lab.status()
    assert lab.up().up


def test_down_leaves_nothing(lab_home):
    lab.down()
    before = traces(lab_home)
    assert lab.up().up
    assert traces(lab_home)["processes"]
    lab.down()
    assert traces(lab_home) == before
    assert before["processes"] == before["cgroups"] == before["files"] == []
    hugepages = Path("/dev/hugepages/.hvqual")
    others = [path for path in Path("/proc").glob("[0-9]*/mountinfo") if " /dev/hugepages " in _text(path)]
    assert not hugepages.exists() or others
    lab.down()


def _text(path):
    try:
        return path.read_text()
    except OSError:
        return ""


def test_up_killed_half_way_is_mended_by_the_next(lab_home):
    lab.down()
    for patience in (0.05, 0.2, 0.4, 0.8):
        run = subprocess.Popen([sys.executable, "-m", "avocado_hvqual.lab", "up"], stdout=subprocess.DEVNULL)
        try:
            run.wait(patience + 0.3)
        except subprocess.TimeoutExpired:
            run.kill()
        run.wait()
        assert lab.up().up, patience
        lab.down()
        assert traces(lab_home)["processes"] == []


def test_two_labs_side_by_side(lab_home, tmp_path_factory, monkeypatch):
    assert lab.up().up
    other = tmp_path_factory.mktemp("other")
    before = pids(lab_home)
    monkeypatch.setenv("AVOCADO_HVQUAL_HOME", str(other))
    try:
        assert lab.up().up
        lab.power_off("hv-a")
    finally:
        lab.down()
    monkeypatch.setenv("AVOCADO_HVQUAL_HOME", str(lab_home))
    assert pids(lab_home) == before
    assert lab.status().up
