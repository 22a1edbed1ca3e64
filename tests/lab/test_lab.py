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
from micro_guest import in_host

from avocado_hvqual import lab, wait
from avocado_hvqual.errors import LabError
from avocado_hvqual.lab import cgroups, hosts
from avocado_hvqual.lab import state as lab_state
from avocado_hvqual.lab.paths import HOST_ID_VARIABLE, LabPaths
from avocado_hvqual.lab.processes import Process, boot_id, same_pid_namespace

pytestmark = pytest.mark.lab
OWN = "/run /etc/libvirt /var/lib/libvirt /var/log/libvirt /var/cache/libvirt /tmp /var/tmp".split()  # noqa: SIM905
BURNER = """
import os, time
for _ in range(3):
    if not os.fork():
        end = time.monotonic() + 3
        while time.monotonic() < end:
            pass
        os._exit(0)
for _ in range(3):
    os.wait()
times = os.times()
print(times.children_user + times.children_system)
"""


def traces(home: Path) -> dict[str, list[str]]:
    """Return what a lab of *home* may leave on the machine, seen from outside."""
    paths = LabPaths(home)
    processes = []
    for entry in Path("/proc").iterdir():
        # Who has ended and waits for its parent to notice is gone as far as the lab is concerned.
        if entry.name.isdigit() and Process.of(int(entry.name)):
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if paths.cgroup in (entry / "cgroup").read_text() or (
                    str(home) in line and int(entry.name) != os.getpid()
                ):
                    processes.append(f"{entry.name} {line}")
            except OSError:
                continue
    folders = [str(h.mount / paths.cgroup) for h in cgroups.hierarchies() if (h.mount / paths.cgroup).exists()]
    links = sorted(
        link["ifname"]
        for link in json.loads(subprocess.run(["ip", "-json", "link"], capture_output=True, check=True).stdout)
    )
    mounts = sorted(line.split(" ")[4] for line in Path("/proc/self/mountinfo").read_text().splitlines())
    files = sorted(str(path) for path in home.iterdir() if path.name not in ("images", "lab.lock"))
    return {"processes": processes, "cgroups": folders, "links": links, "mounts": mounts, "files": files}


def pids(home):
    state = lab_state.load(LabPaths(home))
    return {name: (node.init, node.launcher) for name, node in state.nodes.items()}


def daemon_pid(name, daemon):
    return int(in_host(name, "cat", f"/run/{daemon}.pid"))


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


def test_hosts_are_apart(lab_up, lab_home):
    seen = {}
    for name in lab.HOSTS:
        assert in_host(name, "hostname").strip() == name
        assert in_host(name, "ps", "-o", "comm", "1").split()[-1] == "init"
        assert in_host(name, "printenv", HOST_ID_VARIABLE).strip() == name
        seen[name] = [
            in_host(name, "readlink", f"/proc/self/ns/{kind}").strip()
            for kind in ("net", "mnt", "uts", "ipc", "pid", "cgroup")
        ]
        seen[name].append(in_host(name, "virsh", "capabilities").split("<uuid>")[1].split("<")[0])
        in_host(
            name,
            "sh",
            "-c",
            f"for folder in {' '.join(OWN)}; do echo {name} >$folder/hvq-own; done",
        )
    outside = [str(Path(f"/proc/self/ns/{kind}").readlink()) for kind in ("net", "mnt", "uts", "ipc", "pid", "cgroup")]
    assert all(len({a, b, c}) == 3 for a, b, c in zip(*seen.values(), [*outside, "uuid"]))
    for folder in OWN:
        assert in_host("hv-a", "cat", f"{folder}/hvq-own").strip() == "hv-a"
        assert not Path(f"{folder}/hvq-own").exists()
    shared = LabPaths(lab_home).shared / "from-a"
    in_host("hv-a", "sh", "-c", f"echo hello >{shared}")
    assert in_host("hv-b", "cat", str(shared)) == "hello\n"


def test_hosts_reach_each_other_and_nobody_else(lab_up):
    assert "hv-b" in in_host("hv-a", "virsh", "-c", "qemu+tcp://10.77.0.2/system", "hostname")
    assert "hv-a" in in_host("hv-b", "virsh", "-c", "qemu+tcp://hv-a/system", "hostname")
    in_host("fabric", "ping", "-c1", "-W2", "10.77.0.1")
    assert lab.execute("hv-a", ["ping", "-c1", "-W1", "192.0.2.1"], capture=True).returncode != 0
    assert not any("default" in line for line in in_host("hv-a", "ip", "route").splitlines())


def test_budget_holds_for_whatever_is_executed(lab_up, lab_home, record_property):
    code = "import sys; b = bytearray(1 << 20); sys.stdout.write('ran')"
    assert in_host("hv-a", "python3", "-c", code) == "ran"
    total = dict.fromkeys(("cpus", "memory_bytes"), 0.0)
    for name in lab.HOSTS:
        told = json.loads(in_host(name, "cat", "/run/hvqual/host.json"))
        for key in total:
            total[key] += told[key]
    assert total["cpus"] <= os.cpu_count()
    assert total["memory_bytes"] < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    config = json.loads((LabPaths(lab_home).host("hv-b") / "config.json").read_text())
    assert cgroups.limits_missing(map(Path, config["cgroup_folders"])) == []
    used = float(in_host("hv-b", "python3", "-c", BURNER))
    allowed = config["host"]["cpus"] * 3
    record_property("figures", f"hv-b used {used:.2f} s of CPU in 3 s, its budget is {allowed:.2f} s")
    assert used <= allowed * 1.15 + 0.2


def test_budget_of_memory_is_enforced(lab_up, lab_home):
    config = json.loads((LabPaths(lab_home).host("hv-b") / "config.json").read_text())
    too_much = config["host"]["memory_bytes"] * 3 // 2
    if too_much > os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES"):
        pytest.skip("this machine has too little free memory to ask for more than the budget")
    limit = [Path(f) for f in config["cgroup_folders"]]
    asked = [f / item for f in limit for item in ("memory.limit_in_bytes", "memory.max") if (f / item).exists()]
    before = asked[0].read_text()
    asked[0].write_text(str(256 << 20))
    try:
        run = lab.execute("hv-b", ["python3", "-c", "b = bytearray(512 << 20); print(len(b))"], capture=True)
        assert run.returncode in (-9, 137), run
    finally:
        asked[0].write_text(before.strip())


def test_execute_gives_status_output_folder_and_input(lab_up):
    assert lab.execute("hv-a", ["sh", "-c", "exit 7"]).returncode == 7
    assert lab.execute("hv-a", ["hvq-no-such-program"], capture=True).returncode == 127
    assert lab.execute("hv-a", ["cat"], capture=True, text_input="words").stdout == "words"
    assert in_host("hv-a", "pwd").strip() == str(Path.cwd())
    run = subprocess.run(
        [sys.executable, "-m", "avocado_hvqual.lab", "exec", "hv-a", "--", "sh", "-c", "kill -9 $$"], check=False
    )
    assert run.returncode in (-9, 137)
    with pytest.raises(LabError, match="has no host 'hv-c'"):
        lab.execute("hv-c", ["true"])
    with pytest.raises(LabError, match="No command"):
        lab.execute("hv-a", [])


def test_folder_below_tmp_is_seen_on_request_only(lab_up, tmp_path):
    (tmp_path / "word").write_text("seen")
    assert lab.execute("hv-a", ["cat", str(tmp_path / "word")], capture=True).returncode != 0
    lab.show_folder("hv-a", tmp_path)
    lab.show_folder("hv-a", tmp_path)
    assert in_host("hv-a", "cat", str(tmp_path / "word")) == "seen"
    with pytest.raises(LabError, match="cannot be shown"):
        lab.show_folder("hv-a", tmp_path / "nowhere")


def test_kernel_log_is_written_and_read_inside(lab_up):
    mark = f"hvq-test-{os.getpid()}"
    in_host("hv-a", "sh", "-c", f"echo {mark} >/dev/kmsg")
    assert mark in in_host("hv-a", "dmesg")


def test_command_in_a_host_ends_with_the_one_outside(lab_up):
    run = subprocess.Popen(lab.command("hv-a", ["sleep", "4321"]))
    wait.until(lambda: "sleep 4321" in in_host("hv-a", "ps", "-e", "-o", "args"), 10, "the command to run")
    run.kill()
    run.wait()
    wait.until(lambda: "sleep 4321" not in in_host("hv-a", "ps", "-e", "-o", "args"), 10, "the command to end")


def test_lab_commands_refuse_inside_a_host(lab_up, monkeypatch):
    monkeypatch.setenv(HOST_ID_VARIABLE, "hv-a")
    for call in (lab.up, lab.status, lab.down, lambda: lab.power_off("hv-a")):
        with pytest.raises(LabError, match="inside the lab host 'hv-a'"):
            call()


def test_service_does_what_avocado_vt_asks(lab_up):
    before = daemon_pid("hv-a", "libvirtd")
    assert "is running" in in_host("hv-a", "service", "libvirtd", "status")
    in_host("hv-a", "service", "libvirtd", "stop")
    assert "not running" in in_host("hv-a", "service", "libvirtd", "status", check=False)
    in_host("hv-a", "service", "libvirtd", "start")
    assert daemon_pid("hv-a", "libvirtd") != before
    assert "default" in in_host("hv-a", "virsh", "net-list", "--name")
    assert lab.execute("hv-a", ["chkconfig", "virtqemud.socket"], capture=True).returncode == 1


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


def test_custom_qemu_is_what_libvirt_runs(lab_home, tmp_path_factory):
    lab.down()
    folder = Path("/opt") if os.access("/opt", os.W_OK) else lab_home
    qemu = folder / f"hvq-qemu-{os.getpid()}"
    real = hosts.find("qemu-system-x86_64")
    copy = folder / f"hvq-real-{os.getpid()}"
    copy.write_bytes(Path(real).read_bytes())
    copy.chmod(0o755)
    qemu.write_text(f'#!/bin/sh\necho ran >>/run/hvq-custom 2>/dev/null\nexec {copy} "$@"\n')
    qemu.chmod(0o755)
    try:
        found = lab.up(str(qemu))
        assert found.up
        assert found.qemu == str(qemu)
        assert real in in_host("hv-a", "virsh", "domcapabilities")
        assert "ran" in in_host("hv-a", "cat", "/run/hvq-custom")
        assert "ran" in in_host("hv-b", "sh", "-c", f"{real} --version >/dev/null; cat /run/hvq-custom")
        with pytest.raises(LabError, match="take it down"):
            lab.up(real)
        assert lab.up().qemu == str(qemu)
    finally:
        lab.down()
        qemu.unlink()
        copy.unlink()
        (Path("/run") / "hvq-custom").unlink(missing_ok=True)
    with pytest.raises(LabError, match="is not an executable file"):
        lab.up("/nonexistent/qemu")
    with pytest.raises(LabError, match="No guest runs under"):
        lab.up("/bin/false")
    lab.down()


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
