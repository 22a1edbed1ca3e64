# SPDX-License-Identifier: GPL-2.0-or-later
"""A job without one of our cases behaves as without us."""

from __future__ import annotations

import re

import neighbours
import pytest
from likeness import plain, results

QUICK = ("--disable-sysinfo",)


@pytest.fixture
def both(installed, without_us, tmp_path):
    """(with us, without us), both bootstrapped and with the same neighbour, so that avocado-vt runs in both."""
    root = neighbours._synthetic(tmp_path / "tp-qemu", "tp-qemu")
    # Hash seeds move: avocado-vt finds /bin/kvm or /usr/bin/kvm by the order of a set.
    users = (
        installed.at(tmp_path / "with", PYTHONHASHSEED="0"),
        without_us.at(tmp_path / "without", PYTHONHASHSEED="0"),
    )
    for user in users:
        neighbours.register(user.providers, {"tp-qemu": root})
        done = user.avocado(
            "vt-bootstrap", "--vt-type", "qemu", "--vt-no-downloads", "--yes-to-all", "--vt-skip-verify-download-assets"
        )
        assert done.returncode == 0, done.stdout
        (user.providers / "downloads" / ".keep").mkdir(parents=True, exist_ok=True)
    assert users[0].names("qemu", "tp_qemu_qemu_0") == users[1].names("qemu", "tp_qemu_qemu_0")
    return users


def test_avocado_config_is_the_same_to_the_byte(both):
    texts = [user.avocado("config", "--datadir").stdout + user.avocado("config").stdout for user in both]
    with_us, without = (
        text.replace(str(user.home), "HOME").replace(str(user.root), "VENV") for text, user in zip(texts, both)
    )
    assert len(without) > 1000
    assert with_us == without


def test_the_check_of_config_would_notice_a_setting(both, tmp_path):
    conf = tmp_path / "own.conf"
    conf.write_text("[job.output]\nloglevel = INFO\n", encoding="utf-8")
    user = both[0].at(both[0].home, HVQUAL_AVOCADO_CONF=str(conf))
    assert re.search(r"job\.output\.loglevel\s+INFO", user.avocado("config").stdout)
    assert not re.search(r"job\.output\.loglevel\s+INFO", both[0].avocado("config").stdout)
    assert str(conf) in user.avocado("config").stdout


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("/bin/true",), 0),
        (("/bin/false",), 1),
        (("/no/such/test",), 2),
        (("--vt-type", "qemu", "tp_qemu_qemu_0.one"), 0),
    ],
    ids=["passing", "failing", "unknown", "avocado-vt"],
)
def test_a_job_has_the_same_exit_status_output_and_files(both, arguments, status):
    done = [user.avocado("run", *QUICK, *arguments) for user in both]
    assert [run.returncode for run in done] == [status, status], done[0].stdout
    assert plain(done[0].stdout, both[0]) == plain(done[1].stdout, both[1])
    assert plain(done[0].stderr, both[0]) == plain(done[1].stderr, both[1])
    if status == 2:
        return
    (names, told, data), (other_names, other_told, other_data) = (results(user) for user in both)
    assert names == other_names
    assert told == other_told
    assert data.keys() == other_data.keys()
    assert [test.keys() for test in data["tests"]] == [test.keys() for test in other_data["tests"]]


@pytest.mark.parametrize(
    "command", [("list", "/bin/true"), ("plugins",), ("--help",), ("list", "--vt-type", "qemu", "tp_qemu_qemu_1")]
)
def test_other_commands_say_the_same(both, command):
    texts = [plain(user.avocado(*command).stdout, user).splitlines() for user in both]
    if command in {("plugins",), ("--help",)}:
        # Lists of what is installed: ours is in one of them, and columns are as wide as their widest word.
        listed, without = (
            {tuple(line.split()) for line in text if "hvqual" not in line and "{" not in line} for text in texts
        )
        assert len(without) > 10
        assert listed == without
    else:
        assert texts[0] == texts[1]


def test_our_settings_reach_the_test_runner_process(installed, tmp_path):
    conf = tmp_path / "own.conf"
    conf.write_text("[vt.common]\ntmp_dir = /made/up\n", encoding="utf-8")
    code = "import sys; sys.argv[0] = 'avocado-runner-avocado-vt'\nfrom avocado.core.settings import settings; import avocado\n"
    code += "print(settings.as_dict()['vt.common.tmp_dir'])"
    user = installed.at(tmp_path / "home")
    # Not /made/up by itself: the check would pass with a default of that name.
    assert user.run("python", "-c", code).stdout.strip() == ""
    assert user.at(user.home, HVQUAL_AVOCADO_CONF=str(conf)).run("python", "-c", code).stdout.strip() == "/made/up"
