# SPDX-License-Identifier: GPL-2.0-or-later
"""A host of the lab: apart from the others, within its budget, and what is executed in it."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from lab_traces import daemon_pid
from micro_guest import in_host

from avocado_hvqual import lab, wait
from avocado_hvqual.errors import LabError
from avocado_hvqual.lab import cgroups, daemons, hosts
from avocado_hvqual.lab.paths import HOST_ID_VARIABLE, LabPaths

pytestmark = pytest.mark.lab
OWN = "/run /etc /etc/libvirt /var/lib/libvirt /var/log/libvirt /var/cache/libvirt /tmp /var/tmp".split()  # noqa: SIM905
FACTS = "from avocado_hvqual.campaign import facts; print(facts.node()['libvirtd_oom_score_adj'])"
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
        seen[name].append(in_host(name, "cat", "/etc/machine-id"))
        outsider = lab.execute(
            name, ["runuser", "-u", "nobody", "--", "virsh", "-c", "qemu:///system", "uri"], capture=True
        )
        assert "Permission denied" in outsider.stderr
        user = ["runuser", "-u", daemons.USER, "--", "env", "HOME=/", "virsh", "-c", "qemu:///system", "uri"]
        assert lab.execute(name, user, capture=True).returncode == 0
        in_host(
            name,
            "sh",
            "-c",
            f"for folder in {' '.join(OWN)}; do echo {name} >$folder/hvq-own; done",
        )
    outside = [str(Path(f"/proc/self/ns/{kind}").readlink()) for kind in ("net", "mnt", "uts", "ipc", "pid", "cgroup")]
    assert all(len({a, b, c}) == 3 for a, b, c in zip(*seen.values(), [*outside, "uuid", "machine-id"]))
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
    with ThreadPoolExecutor() as pool:
        # Both want more than there is: only then does each have to make do with its part.
        used = dict(zip(lab.HOSTS, pool.map(lambda name: float(in_host(name, "python3", "-c", BURNER)), lab.HOSTS)))
    part = config["host"]["cpus"] / total["cpus"]
    got = used["hv-b"] / sum(used.values())
    record_property("figures", f"hv-b used {got:.2f} of the CPU time that both used, its part is {part:.2f}")
    assert got <= part * 1.25 + 0.02


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
    assert wait.until(lambda: "sleep 4321" not in in_host("hv-a", "ps", "-e", "-o", "args"), 10, "the command to end")


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


def may_lower():
    """Whether the kernel lets this process lower an oom_score_adj: CAP_SYS_RESOURCE, bit 24 of the effective set."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff:"))
    return bool(int(line.split()[1], 16) >> 24 & 1)


def test_libvirtd_is_protected_from_the_oom_killer_where_the_kernel_lets_it(lab_up):
    for host in lab.status().hosts:
        score = int(in_host(host.name, "cat", f"/proc/{daemon_pid(host.name, 'libvirtd')}/oom_score_adj"))
        assert host.oom_score_adj == score
        assert host.protected == (score == -999) == may_lower()
        told = in_host(host.name, sys.executable, "-c", FACTS)
        assert int(told) == score


def test_what_libvirtd_has_for_the_oom_killer_is_read_from_it(lab_up):
    in_host("hv-a", "sh", "-c", "echo 7 >/proc/$(cat /run/libvirtd.pid)/oom_score_adj")
    try:
        assert [host.oom_score_adj == 7 for host in lab.status().hosts] == [True, False]
        assert int(in_host("hv-a", sys.executable, "-c", FACTS)) == 7
    finally:
        in_host("hv-a", "kill", "-9", str(daemon_pid("hv-a", "libvirtd")))
        assert lab.up().up
