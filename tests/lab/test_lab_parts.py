# SPDX-License-Identifier: GPL-2.0-or-later
"""The parts of the lab that need neither root nor a host."""

import argparse
import dataclasses
import grp
import json
import os
import pwd
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avocado_hvqual.errors import LabError
from avocado_hvqual.lab import bring_up, cli, hostinit, inside, paths, settings, state, tools
from avocado_hvqual.lab.budget import share_out
from avocado_hvqual.lab.paths import FABRIC, HOSTS, LabPaths
from avocado_hvqual.lab.processes import Process, boot_id, children
from avocado_hvqual.lab.status import HostStatus, LabStatus

GIB = 1 << 30


@given(st.integers(1, 512), st.integers(3 * GIB, 4096 * GIB))
def test_budgets_fit_the_machine_and_leave_it_a_reserve(cpus, memory):
    budgets = share_out(cpus, memory)
    assert set(budgets) == {"hv-a", "hv-b"}
    assert sum(item.cpus for item in budgets.values()) <= cpus
    assert sum(item.memory_bytes for item in budgets.values()) <= memory - GIB
    assert budgets["hv-a"].memory_bytes == budgets["hv-b"].memory_bytes


def test_machine_that_is_too_small_is_refused_with_both_numbers():
    with pytest.raises(LabError, match=r"needs 2048 MiB .* found 1536 MiB"):
        share_out(2, GIB * 3 // 2)


def test_process_is_itself_and_not_one_with_the_same_number():
    here = Process.of(os.getpid())
    assert here.alive()
    assert not dataclasses.replace(here, start=here.start - 1).alive()
    assert Process.of(2**22 + 1) is None


def test_process_of_another_start_time_is_not_killed():
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        recycled = dataclasses.replace(Process.of(sleeper.pid), start=1)
        recycled.kill()
        assert sleeper.poll() is None
        assert sleeper.pid in children(os.getpid())
        real = Process.of(sleeper.pid)
        real.kill()
        # It is a zombie until its parent asks: ended is ended.
        assert not real.alive()
        assert sleeper.pid not in children(os.getpid())
    finally:
        sleeper.kill()
        sleeper.wait()


def test_state_is_read_as_it_was_written(tmp_path):
    here = Process.of(os.getpid())
    written = state.State(boot_id(), {"hv-a": state.Node(here, here)}, "/opt/qemu", {"accelerator": "tcg"})
    lab = LabPaths(tmp_path)
    state.save(lab, written)
    assert state.load(lab) == written
    assert written.living() == written.nodes
    assert [path.name for path in lab.root.iterdir()] == ["state.json"]


def test_nothing_lives_after_a_reboot_of_the_machine():
    here = Process.of(os.getpid())
    assert state.State("another boot", {"hv-a": state.Node(here, here)}).living() == {}


def test_no_lab_is_no_state(tmp_path):
    assert state.load(LabPaths(tmp_path)) is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"boot_id": "x", "nodes": {"hv-a": {}}, "qemu": null, "accelerator": {}}']
)
def test_damaged_state_is_one_sentence_with_file_and_remedy(tmp_path, text):
    lab = LabPaths(tmp_path)
    lab.root.mkdir()
    lab.state.write_text(text)
    with pytest.raises(LabError, match=r"state\.json:1: .*'avocado hvqual lab down'"):
        state.load(lab)


def test_lock_keeps_a_second_command_out(tmp_path, monkeypatch):
    monkeypatch.setattr(state, "_LOCK_TIMEOUT", 0.2)
    with state.locked(LabPaths(tmp_path)):
        with pytest.raises(LabError, match=r"another command to release .*lab\.lock"):
            with state.locked(LabPaths(tmp_path)):
                pass
    with state.locked(LabPaths(tmp_path)):
        pass


def test_what_the_machine_refuses_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LabError, match=r"could not be changed: .*file.*lab down"):
        with state.locked(LabPaths(tmp_path / "file")):
            pass


def test_version_2_leaf_is_made_and_controllers_handed_on(tmp_path):
    (tmp_path / "cgroup.controllers").write_text("cpu memory\n")
    hostinit.leave_cgroup_root(tmp_path)
    assert (tmp_path / "init/cgroup.procs").read_text() == "0"
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+memory"


def test_labs_of_two_homes_have_different_cgroups(tmp_path):
    one, two = LabPaths(tmp_path / "one"), LabPaths(tmp_path / "two")
    assert one.cgroup != two.cgroup
    assert one.cgroup.startswith("avocado-hvqual/")


def test_home_is_the_variable_or_the_default(monkeypatch, tmp_path):
    monkeypatch.setenv("AVOCADO_HVQUAL_HOME", str(tmp_path))
    assert paths.home() == tmp_path
    monkeypatch.setenv("AVOCADO_HVQUAL_HOME", "")
    assert str(paths.home()) == "/var/lib/avocado-hvqual"


def test_unknown_host_is_refused_with_the_known_ones():
    with pytest.raises(LabError, match="no host 'x'; its hosts are hv-a, hv-b"):
        paths.known_host("x")
    assert paths.known_host("fabric", fabric=True) == "fabric"


@pytest.mark.parametrize("text", [settings.default_network(), settings.fabric_network()])
def test_networks_are_xml(text):
    assert ET.fromstring(text).tag == "network"


def test_hosts_have_identities_of_their_own_that_stay():
    known = {settings.host_uuid("lab1", "hv-a"), settings.host_uuid("lab1", "hv-b"), settings.host_uuid("lab2", "hv-a")}
    assert len(known) == 3
    assert settings.host_uuid("lab1", "hv-a") in settings.libvirtd_conf("lab1", "hv-a")
    machines = [
        settings.machine_id("lab1", "hv-a"),
        settings.machine_id("lab1", "hv-b"),
        settings.machine_id("lab2", "hv-a"),
    ]
    assert len(set(machines)) == 3
    assert all(len(it) == 32 and int(it, 16) for it in machines)
    assert 'unix_sock_rw_perms = "0770"' in settings.libvirtd_conf("lab1", "hv-a")
    assert 'listen_addr = "10.77.0.2"' in settings.libvirtd_conf("lab1", "hv-b")
    assert 'migration_address = "10.77.0.2"' in settings.qemu_conf("hv-b")


def test_qemu_runs_as_root_or_as_the_user_of_a_node():
    """Root's files belong to nobody else; another user is given a guest's files, and their owner is remembered."""
    assert settings.qemu_conf("hv-a").splitlines()[1:4] == ['user = "root"', 'group = "root"', "remember_owner = 0"]
    assert settings.qemu_conf("hv-a", "nobody").splitlines()[1:4] == [
        'user = "nobody"',
        f'group = "{grp.getgrgid(pwd.getpwnam("nobody").pw_gid).gr_name}"',
        "remember_owner = 1",
    ]


def test_a_user_that_is_not_there_is_one_sentence():
    with pytest.raises(LabError, match=r"^There is no user 'hvq-nobody' to run QEMU as; .*'libvirt-qemu'"):
        bring_up._checked_user("hvq-nobody")
    assert bring_up._checked_user(None) is None


def test_a_lab_that_is_up_does_not_change_its_qemu_or_whom_it_runs_as(tmp_path):
    here = Process.of(os.getpid())
    paths = LabPaths(tmp_path)
    state.save(
        paths, state.State(boot_id(), dict.fromkeys((FABRIC, *HOSTS), state.Node(here, here)), "/q", {}, "nobody")
    )
    with pytest.raises(LabError, match=r"The lab is up with QEMU as nobody; take it down .* to run it as root"):
        bring_up._found(paths, None, "root")
    with pytest.raises(LabError, match="The lab is up with /q; "):
        bring_up._found(paths, "/other", None)
    found = bring_up._found(paths, None, None)
    assert (found.qemu, found.qemu_user) == ("/q", "nobody")


def test_a_lab_of_an_earlier_version_runs_qemu_as_root():
    old = state.State("boot", {}, None).as_dict()
    del old["qemu_user"]
    assert state.from_dict(old).qemu_user == "root"


def test_missing_tools_are_one_sentence_with_the_packages():
    with pytest.raises(
        LabError, match=r"^The lab needs hvq-x, hvq-y, not found; install with 'apt-get install -y pack-1 pack-2'\.$"
    ):
        tools.require({"hvq-x": "pack-2", "sh": "dash", "hvq-y": "pack-1"}, "The lab")
    tools.require({"sh": "dash"}, "The lab")


def test_without_root_the_lab_is_refused(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(LabError, match=r"needs root .* found user id 1000; run it with sudo"):
        tools.require_root("The lab")


def test_inside_a_host_the_lab_is_refused(monkeypatch):
    monkeypatch.setenv("HVQUAL_HOST_ID", "local")
    inside.refuse_inside()
    monkeypatch.setenv("HVQUAL_HOST_ID", "hv-b")
    with pytest.raises(LabError, match="runs inside the lab host 'hv-b'"):
        inside.refuse_inside()


def test_scripts_of_the_host_need_nothing_but_python():
    """Process 1 and the way in run as `python -I -S FILE`: no package, no site."""
    for script in (hostinit.__file__, inside._ENTER):
        run = subprocess.run([sys.executable, "-I", "-S", str(script)], capture_output=True, text=True, check=False)
        assert "ModuleNotFoundError" not in run.stderr
        assert run.returncode != 0


def status(**changes):
    hosts = (
        HostStatus("hv-a", running=True, pid=5, address="10.77.0.1", libvirtd=True, networks=("default",), domains=()),
        HostStatus(
            "hv-b", running=True, pid=6, address="10.77.0.2", libvirtd=True, networks=("default",), domains=("x",)
        ),
    )
    given = {
        "home": "/h",
        "lab_id": "1",
        "shared": "/h/lab/shared",
        "fabric": True,
        "hosts": hosts,
        "accelerator": "tcg",
    }
    return LabStatus(**{**given, **changes})


def test_lab_is_up_only_when_everything_is():
    assert status().up
    assert not status(fabric=False).up
    for broken in ({"running": False}, {"libvirtd": False}, {"networks": ()}, {"networks": None}):
        sound, other = status().hosts
        assert not status(hosts=(sound, dataclasses.replace(other, **broken))).up


def test_status_says_in_one_line_whose_libvirtd_the_oom_killer_may_take():
    sound, other = (dataclasses.replace(host, oom_score_adj=-999) for host in status().hosts)
    assert "OOM" not in cli.render(status(hosts=(sound, other)))
    for score in (0, -998, None):
        exposed = dataclasses.replace(other, oom_score_adj=score)
        [line] = [line for line in cli.render(status(hosts=(sound, exposed))).splitlines() if "OOM" in line]
        assert "libvirtd of hv-b is not protected" in line
    assert "OOM" not in cli.render(status(hosts=(sound, dataclasses.replace(other, libvirtd=False))))


def test_status_says_what_to_do():
    sound, other = status().hosts
    dead = status(hosts=(dataclasses.replace(sound, running=False), dataclasses.replace(other, libvirtd=False)))
    text = cli.render(dead)
    assert "not up" in text
    assert "hv-a has no power; start it with 'avocado hvqual lab up'" in text
    assert "hv-b runs (process 6), libvirtd does not answer; mend it with 'avocado hvqual lab up'" in text
    assert json.loads(json.dumps(dead.as_dict()))["up"] is False


def test_verbs_of_the_command_line():
    parser = argparse.ArgumentParser()
    cli.fill(parser)
    args = parser.parse_args(["exec", "hv-a", "--", "sh", "-c", "exit 3"])
    assert args.host == "hv-a"
    assert [word for word in args.command if word != "--"] == ["sh", "-c", "exit 3"]
    assert parser.parse_args(["up", "--qemu", "/q"]).qemu == "/q"
    assert parser.parse_args(["up", "--qemu-user", "libvirt-qemu"]).qemu_user == "libvirt-qemu"
    for wrong in (["exec", "hv-c", "--", "true"], ["power-off", "fabric"], []):
        with pytest.raises(SystemExit) as error:
            parser.parse_args(wrong)
        assert error.value.code == 2
