# SPDX-License-Identifier: GPL-2.0-or-later
"""
A job without one of our cases behaves as without us: shown with tests of tp-libvirt on a real node, with and without our wheel.

HVQUAL_TP_LIBVIRT names a checkout of tp-libvirt, or a bare clone of it; without it, a small test of the same shape takes its place.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "contract"))

import environments
from likeness import plain, results

GIVEN = os.environ.get("HVQUAL_TP_LIBVIRT")
CFG = """\
- virsh.version: install setup image_copy unattended_install.cdrom
    type = virsh_version
    vms = ''
    start_vm = no
    virsh_version_options = ""
    status_error = "no"
    variants:
        - no_option:
        - unexpect_option:
            virsh_version_options = "xyz"
            status_error = "yes"
        - with_libvirtd_stop:
            status_error = "yes"
            libvirtd = "off"
"""
SOURCE = """\
from virttest import utils_libvirtd, virsh


def run(test, params, env):
    libvirtd = utils_libvirtd.Libvirtd()
    if params.get("libvirtd") == "off":
        libvirtd.stop()
    try:
        result = virsh.version(params["virsh_version_options"], ignore_status=True, debug=True)
    finally:
        if params.get("libvirtd") == "off":
            libvirtd.start()
    if (result.exit_status != 0) != (params["status_error"] == "yes"):
        test.fail("virsh version ended with %s" % result.exit_status)
"""
JOBS = ["virsh.version.no_option", "virsh.version.unexpect_option", "virsh.version.with_libvirtd_stop"]


@dataclass(frozen=True)
class User:
    """A user of hv-a with an environment and a home of their own."""

    node: object
    root: Path
    home: Path

    def avocado(self, *words):
        """Run avocado inside hv-a as this user."""
        variables = [
            f"HOME={self.home}",
            "PYTHONHASHSEED=0",
            f"PATH={self.root / 'bin'}:/run/hvqual/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ]
        clean = ["env", "-u", "AVOCADO_HVQUAL_HOME", "-u", "VIRTUAL_ENV", *variables]
        return self.node.inside(*clean, str(self.root / "bin" / "avocado"), *words)


def provider(folder):
    """Return the folder of tp-libvirt, or of what takes its place."""
    if GIVEN and (Path(GIVEN) / "objects").is_dir():
        packed = subprocess.run(
            ["git", "-C", GIVEN, "archive", "HEAD", "libvirt", "provider"], capture_output=True, check=True
        )
        folder.mkdir()
        subprocess.run(["tar", "-x", "-C", str(folder)], input=packed.stdout, check=True)
        return folder
    if GIVEN:
        return Path(GIVEN)
    for place, text in (("libvirt/tests/cfg/virsh_version.cfg", CFG), ("libvirt/tests/src/virsh_version.py", SOURCE)):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_text(text)
    return folder


@pytest.fixture(scope="module")
def both(node, tmp_path_factory):
    """(with us, without us): two users of hv-a with the same tp-libvirt."""
    folder = node.results()
    # avocado-vt moves whatever log of a QEMU it finds into the folder of the test that comes next.
    node.inside("sh", "-c", "rm -f /var/log/libvirt/qemu/*.log")
    root = provider(folder / "tp-libvirt")
    work = tmp_path_factory.mktemp("wheel")
    wheel = environments.build_wheel(environments.source_copy(work / "source"), work / "dist")
    users = []
    for name in ("with", "without"):
        venv = environments.linked(folder / name / "venv")
        user = User(node, venv, folder / name / "home")
        if name == "with":
            environments.pip("install", "-q", "--no-deps", "--no-index", wheel, python=venv / "bin/python")
        providers = user.home / "avocado/data/avocado-vt/virttest/test-providers.d"
        (providers / "downloads/.keep").mkdir(parents=True)
        (providers / "tp-libvirt.ini").write_text(f"[provider]\nuri: file://{root}\n[libvirt]\nsubdir: libvirt/\n")
        made = user.avocado(
            "vt-bootstrap",
            "--vt-type",
            "libvirt",
            "--vt-no-downloads",
            "--yes-to-all",
            "--vt-skip-verify-download-assets",
        )
        assert made.returncode == 0, made.stdout + made.stderr
        users.append(user)
    assert "hvqual" in users[0].avocado("plugins").stdout
    assert "hvqual" not in users[1].avocado("plugins").stdout
    return users


def test_avocado_config_is_the_same(both):
    with_us, without = (plain(user.avocado("config").stdout, user) for user in both)
    assert len(without) > 1000
    assert with_us == without


@pytest.mark.parametrize("job", JOBS)
def test_a_job_of_tp_libvirt_has_the_same_status_output_and_files(both, job):
    done = [user.avocado("run", "--disable-sysinfo", "--vt-type", "libvirt", job) for user in both]
    assert [run.returncode for run in done] == [0, 0], done[0].stdout + done[1].stdout
    assert "PASS 1 " in done[1].stdout
    assert plain(done[0].stdout, both[0]) == plain(done[1].stdout, both[1])
    assert plain(done[0].stderr, both[0]) == plain(done[1].stderr, both[1])
    (names, told, data), (other_names, other_told, other_data) = (results(user) for user in both)
    assert len(other_names) > 5
    assert names == other_names
    assert told == other_told
    assert data.keys() == other_data.keys()
    assert [(test["name"], test["status"]) for test in data["tests"]] == [
        (test["name"], test["status"]) for test in other_data["tests"]
    ]
    before, after = (plain(user.avocado("list", "--vt-type", "libvirt", job).stdout, user) for user in both)
    assert before == after
