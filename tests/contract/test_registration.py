# SPDX-License-Identifier: GPL-2.0-or-later
"""An installed wheel is known to avocado-vt at once, beside any neighbour, and stands in nobody's way."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections import Counter

import environments
import neighbours
import pytest

TYPES = ("libvirt", "qemu")
PREFIX = {"avocado-hvqual", "avocado-hvqual-generic"}


def providers_of(names):
    """The provider that each listed name claims."""
    found = [re.match(r"(?:type_specific\.)?([\w-]+)\.hvqual\.", name) for name in names]
    assert all(found), names
    return {match[1] for match in found}


def blocks(path):
    """Counter of (provider in the block's name, `provider =` below it) in a generated list of tests."""
    pairs, name = Counter(), None
    for line in path.read_text(encoding="utf-8").splitlines():
        head = re.match(r"\s+- @?([\w-]+)\.[^:]+:", line)
        provider = re.match(r"\s+provider = (\S+)", line)
        if provider and name is not None:
            pairs[name, provider[1]] += 1
            name = None  # a cfg may set the parameter itself further down
        elif head:
            name = head[1]
    return pairs


@pytest.mark.parametrize("vt_type", TYPES)
def test_the_first_command_of_a_new_user_lists_our_tests(fresh, vt_type, tmp_path):
    names = [
        line.split()[1]
        for line in fresh.avocado("list", "--vt-type", vt_type, "hvqual", cwd=tmp_path).stdout.splitlines()
    ]
    assert providers_of(names) == PREFIX
    assert fresh.names(vt_type) != []


def test_registration_says_nothing_even_where_everything_is_logged(fresh):
    code = (
        "import sys; sys.argv[0] = 'avocado-runner-x'\nimport avocado, logging; sys.argv[0] = 'avocado'\n"
        "logging.basicConfig(level=logging.DEBUG)\nfrom avocado_hvqual import registration; registration.register_at_start()\n"
        "logging.warning('the log is on')"
    )
    done = fresh.run("python", "-c", code)
    assert (done.stdout, done.stderr) == ("", "WARNING:root:the log is on\n")
    assert fresh.subtests("libvirt").exists()


def snapshot(folder):
    return {
        str(path): (path.lstat().st_mtime_ns, path.lstat().st_ino, path.lstat().st_size) for path in folder.rglob("*")
    }


def test_a_second_command_changes_nothing(fresh):
    fresh.names("libvirt")
    before = snapshot(fresh.home)
    fresh.names("libvirt")
    assert snapshot(fresh.home) == before


def test_nothing_to_do_takes_less_than_50_ms(fresh):
    fresh.names("libvirt")
    code = (
        "import json, time, avocado; from avocado_hvqual import registration\n"
        "def once():\n    start = time.perf_counter(); registration.register_at_start(); return time.perf_counter() - start\n"
        "print(json.dumps(sorted(once() for _ in range(5))))"
    )
    done = fresh.run("python", "-c", code)
    assert done.stderr == ""
    assert json.loads(done.stdout)[2] < 0.05
    assert "virttest.bootstrap" not in fresh.run("python", "-c", "import sys, avocado; print(list(sys.modules))").stdout


@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize("seed", ["0", "1", "2"])
def test_each_case_has_its_own_provider_beside_others(installed, tmp_path, order, seed):
    user = installed.at(tmp_path / "home", PYTHONHASHSEED=seed)
    roots = neighbours.make(tmp_path)
    if order == "after":
        user.names("libvirt")
    neighbours.register(user.providers, roots)
    for vt_type in TYPES:
        assert providers_of(user.names(vt_type)) == PREFIX
        pairs = blocks(user.subtests(vt_type))
        assert {name for name, _ in pairs} >= {"avocado-hvqual", "avocado-hvqual-generic", "tp-qemu", f"tp-{vt_type}"}
        assert [pair for pair in pairs if pair[0] != pair[1]] == []


def test_the_check_of_providers_would_notice_a_wrong_one(fresh):
    fresh.names("qemu")
    path = fresh.subtests("qemu")
    text = path.read_text(encoding="utf-8").replace("provider = avocado-hvqual-generic", "provider = tp-qemu")
    path.write_text(text, encoding="utf-8")
    assert [pair for pair in blocks(path) if pair[0] != pair[1]] == [("avocado-hvqual-generic", "tp-qemu")]


def test_a_neighbour_without_its_folder_does_no_harm(fresh, tmp_path):
    neighbours.register(fresh.providers, {"tp-libvirt": tmp_path / "gone", "tp-qemu": tmp_path / "gone-too"})
    for vt_type in TYPES:
        assert providers_of(fresh.names(vt_type)) == PREFIX


def test_a_broken_neighbour_is_told_once_and_our_tests_are_there(fresh, tmp_path):
    roots = {"tp-libvirt": neighbours._synthetic(tmp_path / "broken", "tp-libvirt")}
    next((roots["tp-libvirt"] / "libvirt").rglob("*.cfg")).write_text("- one: two: three:\n", encoding="utf-8")
    neighbours.register(fresh.providers, roots)
    done = fresh.avocado("list", "--vt-type", "libvirt", "hvqual")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("avocado-hvqual: avocado-vt cannot list the tests of vt-type 'libvirt' (ValueError: ")
    assert done.stdout
    assert providers_of(fresh.names("libvirt")) == PREFIX


def test_a_changed_cfg_of_ours_is_seen_by_the_next_command(tmp_path, without_us):
    source = environments.source_copy(tmp_path / "source")
    root = environments.linked(tmp_path / "venv")
    environments.pip(
        "install", "-q", "--no-deps", "--no-index", "--no-build-isolation", "-e", source, python=root / "bin" / "python"
    )
    user = environments.Environment(root, tmp_path / "home").at(tmp_path / "home")
    assert not [name for name in user.names("libvirt") if "hvqual.made_up" in name]
    cfg = source / "libvirt" / "tests" / "cfg" / "hvqual" / "hvqual_made_up.cfg"
    cfg.write_text("- hvqual.made_up:\n    type = hvqual_made_up\n", encoding="utf-8")
    assert [name for name in user.names("libvirt") if "hvqual.made_up" in name]
    assert f"uri: file://{source}\n" in (user.providers / "avocado-hvqual.ini").read_text(encoding="utf-8")


def test_the_users_own_configuration_is_not_overwritten(fresh):
    base = fresh.subtests("libvirt").parent / "base.cfg"
    base.parent.mkdir(parents=True)
    base.write_text("# mine\n", encoding="utf-8")
    fresh.avocado("plugins")
    assert base.read_text(encoding="utf-8") == "# mine\n"
    assert fresh.subtests("libvirt").exists()


def test_commands_that_start_together_all_list_everything(installed, tmp_path):
    user = installed.at(tmp_path / "home")
    command = [str(user.root / "bin" / "avocado"), "list", "--vt-type", "libvirt", "hvqual"]
    options = {"env": user.environ(), "cwd": user.home, "stdin": subprocess.DEVNULL, "text": True}
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options) for _ in range(4)]
    ended = [(*process.communicate(timeout=120), process.returncode) for process in started]
    assert {(error, status) for _, error, status in ended} == {("", 0)}
    assert len({frozenset(output.splitlines()) for output, _, _ in ended}) == 1
    assert ended[0][0]


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (
            "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)); signal.signal(signal.SIGXFSZ, signal.SIG_IGN)",
            "File too large",
        ),
        ("os.mkdir = refuse; pathlib.Path.mkdir = refuse", "No space left on device"),
        ("os.replace = pathlib.Path.replace = refuse", "No space left on device"),
        ("fcntl.flock = refuse", "No space left on device"),
    ],
    ids=["full-disk", "mkdir", "rename", "lock"],
)
def test_a_disk_that_refuses_is_one_line(fresh, fault, sentence):
    code = (
        "import errno, fcntl, os, pathlib, resource, signal\n"
        "def refuse(*_, **__): raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))\n"
        f"import virttest.data_dir, avocado_hvqual.registration as r\n{fault}\nr.register_at_start()\nos._exit(0)"
    )
    # First the import with registration off, so that the fault meets registration and not avocado's own start.
    fresh.run("python", "-c", "import sys; sys.argv[0] = 'avocado-runner-x'; import avocado")
    done = fresh.run(
        "python", "-c", "import sys; sys.argv[0] = 'avocado-runner-x'\nimport avocado\nsys.argv[0] = 'avocado'\n" + code
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("\n") == 1
    assert sentence in done.stderr
    assert "Other tests are not affected." in done.stderr
    assert not list((fresh.home / "avocado" / "data" / "avocado-vt").glob(".avocado-hvqual-*"))
    assert fresh.names("libvirt"), "the next command, on a mended disk, registers"


def test_a_read_only_folder_is_one_line_and_exit_status_0(fresh):
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("a read-only mount needs root and unshare")
    folder = fresh.virttest.parent
    folder.mkdir(parents=True)
    mounted = f'mount --bind "{folder}" "{folder}" && mount -o remount,ro,bind "{folder}" && exec "$@"'
    done = fresh.avocado("list", "/bin/true", prefix=["unshare", "-m", "sh", "-c", mounted, "sh"])
    assert done.returncode == 0
    assert "exec-test /bin/true" in done.stdout
    [line] = [line for line in done.stderr.splitlines() if line.startswith("avocado-hvqual:")]
    assert "Read-only file system" in line


def test_a_lock_that_is_never_released_is_one_line(fresh):
    code = (
        "import sys; sys.argv[0] = 'avocado-runner-x'\nimport avocado, fcntl\nsys.argv[0] = 'avocado'\n"
        "from avocado_hvqual import registration; from avocado_hvqual.registration import stamp\nfrom virttest import data_dir\n"
        "from pathlib import Path\nhome = Path(data_dir.get_test_providers_dir()).parent; home.mkdir(parents=True)\n"
        "held = open(home / registration.LOCK, 'w'); fcntl.flock(held, fcntl.LOCK_EX)\n"
        "stamp.LOCK_TIMEOUT = 0.2\nregistration.register_at_start()"
    )
    done = fresh.run("python", "-c", code)
    assert done.returncode == 0
    assert done.stderr.count("\n") == 1
    assert "held by another avocado command" in done.stderr


def test_a_killed_registration_is_done_again(fresh):
    code = (
        "import os, virttest.bootstrap as b; b.create_subtests_cfg = lambda _: os.kill(os.getpid(), 9)\nimport avocado"
    )
    begin = "import sys; sys.argv[0] = 'avocado-runner-x'\nimport avocado; sys.argv[0] = 'avocado'\n"
    end = "\nfrom avocado_hvqual import registration; registration.register_at_start()"
    assert fresh.run("python", "-c", begin + code + end).returncode == -9
    data = fresh.virttest.parent
    assert list(data.glob(".avocado-hvqual-*"))
    assert providers_of(fresh.names("libvirt")) == PREFIX
    assert not list(data.glob(".avocado-hvqual-*"))


def test_a_runner_process_registers_nothing(fresh):
    fresh.run("python", "-c", "import sys; sys.argv[0] = '/bin/avocado-runner-avocado-vt'; import avocado")
    assert not fresh.providers.exists()


def test_unregister_takes_out_ours_alone_and_lasts(installed, tmp_path):
    user = installed.at(tmp_path / "home")
    neighbours.register(user.providers, neighbours.make(tmp_path))
    user.names("libvirt")
    others = {name for name in blocks(user.subtests("libvirt")) if name[0] not in PREFIX}
    done = user.avocado("hvqual", "unregister")
    assert (done.returncode, done.stderr) == (0, "")
    for _ in range(2):
        listed = user.avocado("list", "--vt-type", "libvirt", "hvqual")
        assert "hvqual." not in listed.stdout
    assert set(blocks(user.subtests("libvirt"))) == others
    assert not list(user.providers.glob("avocado-hvqual*"))
    assert user.avocado("hvqual", "register").returncode == 0
    assert providers_of(user.names("libvirt")) == PREFIX


def test_a_new_installation_registers_again(tmp_path, wheel):
    root = environments.linked(tmp_path / "venv")
    user = environments.Environment(root, tmp_path / "home").at(tmp_path / "home")
    for _ in range(2):
        environments.pip(
            "install", "-q", "--no-deps", "--no-index", "--force-reinstall", wheel, python=root / "bin" / "python"
        )
        assert user.names("libvirt")
        assert user.avocado("hvqual", "unregister").returncode == 0
        assert not user.avocado("list", "--vt-type", "libvirt", "hvqual").stdout


def test_after_an_uninstall_our_cases_end_in_error_and_all_else_works(tmp_path, wheel):
    root = environments.linked(tmp_path / "venv")
    python = root / "bin" / "python"
    user = environments.Environment(root, tmp_path / "home").at(tmp_path / "home")
    neighbours.register(user.providers, {"tp-qemu": neighbours._synthetic(tmp_path / "tp-qemu", "tp-qemu")})
    environments.pip("install", "-q", "--no-deps", "--no-index", wheel, python=python)
    one = next(name for name in user.names("qemu") if "hvqual-generic" in name)
    environments.pip("uninstall", "-q", "-y", "avocado-hvqual", python=python)
    assert one in user.names("qemu")
    ran = user.avocado("run", "--vt-type", "qemu", "--disable-sysinfo", one)
    assert ran.returncode == 1
    assert re.search(r"ERROR: Could not find test file|ERROR 1", ran.stdout), ran.stdout
    assert user.avocado("run", "--disable-sysinfo", "/bin/true").returncode == 0
    other = user.avocado("run", "--vt-type", "qemu", "--disable-sysinfo", "tp_qemu_qemu_0.one")
    assert other.returncode == 0, other.stdout
