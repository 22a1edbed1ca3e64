# SPDX-License-Identifier: GPL-2.0-or-later
"""An image is kept by its inputs, put in its place whole, and its tree becomes a guest of the contract."""

import argparse
import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from avocado_hvqual.errors import ImageError
from avocado_hvqual.images import cli, kernel
from avocado_hvqual.images.golden import appliance, archive, build, clones, configure, table, trees
from avocado_hvqual.images.golden.command import Programs
from avocado_hvqual.images.golden.workshop import Workshop, digest
from avocado_hvqual.lab.tools import find

POLICY = """\
fio:
  Installed: (none)
  Candidate: 3.33-3
  Version table:
     3.33-3 500
ltp:
  Installed: (none)
  Candidate: (none)
  Version table:
"""
LISTED = """\
http://archive/debian/|bookworm|main|
http://archive/debian/|bookworm|contrib|
http://archive/debian/|bookworm|main|
http://archive/debian-security/|bookworm-security|main|
http://other/node/|nodistro|main|
torn
"""


@pytest.fixture
def order(monkeypatch):
    monkeypatch.setattr(archive, "candidates", lambda names: {name: "1" for name in names if name != "ltp"})
    whole = table.load()
    return trees.Order("mmdebstrap", whole.system("debian-12"), whole)


def test_candidates_are_those_that_there_are():
    assert archive.parse_policy(POLICY) == {"fio": "3.33-3"}


def test_archives_are_those_of_the_system_each_once():
    system = table.load().system("debian-12")
    assert archive.known(LISTED, system) == [
        "http://archive/debian/ bookworm main",
        "http://archive/debian-security/ bookworm-security main",
    ]


def test_a_node_that_knows_no_archive_of_the_system_says_so(monkeypatch):
    monkeypatch.setattr(archive, "_asked", lambda _line: LISTED)
    with pytest.raises(ImageError, match=r"knows no archive of Ubuntu 24.04 \(noble\); name one with --mirror"):
        archive.sources(table.load().system("ubuntu-24.04"))
    assert "deb http://mine/u noble main universe\n" in archive.sources(
        replace(table.load().system("ubuntu-24.04"), keyring="/none"), "http://mine/u"
    )


def test_packages_hold_the_kernel_unless_another_is_given_and_what_is_packed(order):
    assert order.packages[0] == "linux-image-cloud-amd64"
    assert "ltp" not in order.packages
    assert "linux-image-cloud-amd64" not in replace(order, kernel=Path("/k.deb")).packages


def test_another_input_is_another_content(order, tmp_path):
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    others = [
        replace(order, size_mib=4096),
        replace(order, mirror="http://mine"),
        replace(order, recipe="cloud-image", source=tmp_path / "a"),
        replace(order, recipe="cloud-image", source=tmp_path / "b"),
        replace(order, kernel=tmp_path / "a"),
    ]
    contents = [build.content_of(one) for one in (order, *others)]
    assert len(set(contents)) == len(contents)
    assert build.content_of(order) == contents[0]


def test_what_goes_into_an_image_makes_it_another_and_what_is_said_of_a_recipe_does_not(order):
    whole, before = order.table, build.content_of(order)
    said = replace(whole, recipes=tuple(replace(row, note="run again") for row in whole.recipes))
    assert build.content_of(replace(order, table=said)) == before
    for change in (
        {"packages": whole.packages[1:]},
        {"trimmed": whole.trimmed[1:]},
        {"initrd_modules": whole.initrd_modules[1:]},
    ):
        assert build.content_of(replace(order, table=replace(whole, **change))) != before, change


def test_another_version_in_the_archive_is_another_content(order, monkeypatch):
    before = build.content_of(order)
    monkeypatch.setattr(archive, "candidates", lambda names: dict.fromkeys(names, "2"))
    assert build.content_of(order) != before


@pytest.fixture
def shop(order, tmp_path):
    """A workshop whose stages have all ended, with files of a few bytes."""
    folder, out = tmp_path / "work", tmp_path / "out"
    folder.mkdir()
    made = Workshop(order, "c" * 64, folder, out, Programs(folder / "build.log"))
    for name in ("vmlinuz", "initrd.img", "golden.raw", "password"):
        made.file(name).write_text(name)
    for name in ("booted", "template", "clones", "packages"):
        made.note(f"{name}.json", {"of": name})
    made.note("kernel.json", {"release": "6.1"})
    return made


def test_a_published_image_is_current_until_a_file_of_it_changes(shop):
    build.publish(shop, {"tree": 60.0})
    assert build.current(shop.out, shop.content)
    assert not shop.folder.exists()
    assert not build.current(shop.out, "another")
    told = json.loads((shop.out / "manifest.json").read_text())
    owed = {
        "name",
        "kind",
        "kernel",
        "initrd",
        "cmdline",
        "min_memory_kib",
        "disk",
        "prompt",
        "login_user",
        "version",
        "sha256",
    }
    assert owed <= set(told)
    assert told["recipe"]["name"] == "mmdebstrap"
    for name in told["sha256"]:
        held = (shop.out / name).read_bytes()
        (shop.out / name).write_bytes(held + b"x")
        assert not build.current(shop.out, shop.content), name
        (shop.out / name).write_bytes(held)
    assert build.current(shop.out, shop.content)


def test_publishing_goes_on_after_a_kill(shop):
    shop.out.mkdir()
    shop.file("vmlinuz").rename(shop.out / "vmlinuz")
    build.publish(shop, {})
    assert build.current(shop.out, shop.content)


def test_a_tree_becomes_a_guest_of_the_contract(tmp_path):
    (tmp_path / "etc").mkdir()
    configure.overlay(tmp_path)
    for name in configure.SHARED_FILES:
        assert (tmp_path / name).read_bytes() == (configure.SHARED / name).read_bytes()
        assert os.access(tmp_path / name, os.X_OK)
    assert not os.access(tmp_path / "etc/fstab", os.X_OK)
    for unit in configure.ENABLED:
        if unit.startswith("hv-"):
            template = unit.split("@")[0] + "@.service" if "@" in unit else unit
            text = (tmp_path / "etc/systemd/system" / template).read_text()
            program = (
                next(line for line in text.splitlines() if line.startswith("ExecStart=")).split("=", 1)[1].split()[0]
            )
            assert program.startswith("/usr/bin/") or (tmp_path / program.lstrip("/")).is_file(), unit


def test_scripts_of_the_guest_are_sound():
    scripts = [
        path for path in configure.OVERLAY.rglob("*") if path.is_file() and path.read_bytes().startswith(b"#!/bin/sh\n")
    ]
    assert len(scripts) >= 2
    for script in scripts:
        subprocess.run(["sh", "-n", str(script)], check=True)


def test_masked_units_cannot_start_and_what_makes_a_machine_is_forgotten(tmp_path):
    for name in (
        "etc/systemd/system/fstrim.timer",
        "etc/ssh/ssh_host_rsa_key",
        "var/lib/apt/lists/a_Packages",
        "etc/machine-id",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    configure.mask(tmp_path, ["fstrim.timer", "iperf3.service"])
    configure.forget(tmp_path)
    assert (tmp_path / "etc/systemd/system/fstrim.timer").readlink() == Path("/dev/null")
    assert (tmp_path / "etc/systemd/system/iperf3.service").readlink() == Path("/dev/null")
    assert (tmp_path / "etc/machine-id").read_bytes() == b""
    assert not list(tmp_path.glob("etc/ssh/*")) + list(tmp_path.glob("var/lib/apt/lists/*"))


def test_copies_are_whole_measured_and_refused_where_a_way_does_not_work(tmp_path):
    source, programs = tmp_path / "source", Programs(tmp_path / "log")
    with source.open("wb") as stream:
        stream.truncate(8 << 20)
        stream.write(b"head")
    sparse = clones.clone(source, tmp_path / "sparse", "sparse", programs)
    assert digest(tmp_path / "sparse") == digest(source)
    assert (sparse.apparent_kib, sparse.allocated_kib < 1024) == (8192, True)
    if find("qemu-img"):
        assert clones.clone(source, tmp_path / "overlay", "overlay", programs).format == "qcow2"
    assert clones.best(source, tmp_path, programs) in {"reflink", "sparse"}
    assert not (tmp_path / "hvq-probe").exists()
    with pytest.raises(ImageError, match="no way 'carry'"):
        clones.clone(source, tmp_path / "x", "carry", programs)


def test_a_program_that_fails_is_one_sentence_with_its_last_words(tmp_path):
    programs = Programs(tmp_path / "log")
    assert programs.run(["cat"], "echo", text="a secret") == "a secret"
    with pytest.raises(ImageError, match=r"'ls /none-such' \(to look\) ended with status 2: .*No such file"):
        programs.run(["ls", "/none-such"], "look")
    with pytest.raises(ImageError, match=r"did not end within 0.1 s; run the build again"):
        programs.run(["sleep", "5"], "wait", timeout=0.1)
    with pytest.raises(ImageError, match="could not be run"):
        programs.run(["/none-such"], "look")
    assert "$ ls /none-such" in (tmp_path / "log").read_text()


def test_only_names_of_ours_are_cloned_and_nothing_is_overwritten(tmp_path):
    parser = argparse.ArgumentParser()
    cli.fill(parser)
    (tmp_path / "hvq-there.raw").touch()
    for words, sentence in [
        (
            ["--way", "virt-clone", "--domain", "g", "mine.raw"],
            "a disk whose name begins with hvq-; found 'g' and 'mine.raw'",
        ),
        (["--way", "virt-clone", "hvq-a.raw"], "virt-clone needs --domain"),
        (["hvq-there.raw"], "is there already; a clone overwrites nothing"),
        (["--image", str(tmp_path), "hvq-a.raw"], "build it with 'avocado hvqual image build golden'"),
    ]:
        args = parser.parse_args(["clone", *words[:-1], str(tmp_path / words[-1])])
        with pytest.raises(ImageError, match=sentence):
            cli.run(args)


def test_the_initrd_of_crash_dumps_is_not_made_again_at_the_first_boot(tmp_path):
    (tmp_path / "var/lib/kdump").mkdir(parents=True)
    (tmp_path / "etc/kdump").mkdir(parents=True)
    (tmp_path / "etc/kdump/sysctl.conf").write_text("kernel.panic = 10\n")
    configure._keep_crash_initrd(tmp_path, "6.1")
    held = tmp_path / "var/lib/kdump"
    # As kdump-config compares: byte by byte.
    assert (held / "latest_sysctls-6.1").read_bytes() == (tmp_path / "etc/kdump/sysctl.conf").read_bytes()
    assert (held / "initrd.img").readlink() == Path("/var/lib/kdump/initrd.img-6.1")
    assert (held / "vmlinuz").readlink() == Path("/boot/vmlinuz-6.1")


def test_the_folder_for_modules_is_there_for_libguestfs_and_gone_afterwards(tmp_path):
    folder = tmp_path / "lib/modules"
    with appliance.module_folder(folder):
        assert folder.is_dir()
    assert not folder.exists()
    (folder / "6.1").mkdir(parents=True)
    with appliance.module_folder(folder):
        pass
    assert (folder / "6.1").is_dir()


@pytest.mark.parametrize(("accelerator", "forced"), [("tcg", "force_tcg"), ("kvm", None)])
def test_libguestfs_runs_with_our_kernel_and_by_emulation_where_kvm_runs_nothing(monkeypatch, accelerator, forced):
    found = kernel.Kernel("6.1", "6.1-1", Path("/k/vmlinuz"), Path("/k/modules"))
    monkeypatch.setattr(kernel, "find", lambda _cache: found)
    told = appliance.environment(appliance.kernel(), accelerator)
    assert told.get("LIBGUESTFS_BACKEND_SETTINGS") == forced
    assert (told["SUPERMIN_KERNEL"], told["SUPERMIN_MODULES"], told["LIBGUESTFS_BACKEND"]) == (
        "/k/vmlinuz",
        "/k/modules",
        "direct",
    )


def test_sysprep_gives_the_template_no_machine_id_of_its_own(monkeypatch, tmp_path):
    monkeypatch.setattr(appliance, "here", dict)
    lines = []
    monkeypatch.setattr(Programs, "run", lambda _self, line, _purpose, **_more: lines.append(line))
    appliance.sysprep(tmp_path / "golden.raw", Programs(tmp_path / "log"))
    assert lines[0][lines[0].index("--operations") + 1] == "defaults,-customize"
