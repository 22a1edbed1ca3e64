# SPDX-License-Identifier: GPL-2.0-or-later
"""The micro guest's image is kept by its inputs, holds its contract's parts, and keeps its secrets."""

import argparse
import gzip
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from avocado_hvqual.errors import ImageError
from avocado_hvqual.images import cli, kernel, micro, secret
from avocado_hvqual.lab.tools import find

RECIPE = Path(micro.__file__).with_name("micro_root")


def scripts():
    return [path for path in sorted(RECIPE.rglob("*")) if path.is_file() and path.read_bytes().startswith(b"#!")]


@pytest.mark.parametrize("script", scripts(), ids=lambda path: path.name)
def test_scripts_are_sound_and_carry_the_licence(script):
    first, second = script.read_text().splitlines()[:2]
    assert second == "# SPDX-License-Identifier: GPL-2.0-or-later"
    checks = {"#!/bin/sh": ("busybox", "sh", "-n"), "#!/usr/bin/perl": ("perl", "-c")}
    program, *options = checks[first]
    if find(program) is None:
        pytest.skip(f"{program} is not installed")
    subprocess.run([find(program), *options, str(script)], check=True, capture_output=True)


def test_heartbeat_starts_no_process_in_its_loop():
    """Twenty beats a second of 24 guests would be 480 forks a second on the machine."""
    text = (RECIPE / "usr/libexec/hv-heartbeat").read_text()
    loop = text[text.index("my @ways") :]
    assert "`" not in loop
    assert not {"system", "exec", "fork", "qx", "sleep"} & set(re.findall(r"\w+", loop))


@pytest.fixture(scope="session")
def image_home(tmp_path_factory):
    """A state home with a built image; a kernel that the machine has in its cache is lent."""
    if os.geteuid() != 0:
        pytest.skip("not root")
    missing = [name for name in micro.PROGRAMS if find(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")
    home = tmp_path_factory.mktemp("home")
    lent = Path("/var/lib/avocado-hvqual/images/cache/kernel")
    if lent.is_dir():
        shutil.copytree(lent, home / "images/cache/kernel")
    elif kernel.installed() is None and kernel.wanted_package() is None:
        pytest.skip("no kernel for guests, and apt knows none")
    micro.build_micro(home)
    return home


@pytest.fixture
def image(image_home):
    return micro.build_micro(image_home)


def test_manifest_is_the_contracts(image):
    manifest = json.loads((image / "manifest.json").read_text())
    owed = "name kind kernel initrd cmdline min_memory_kib disk prompt login_user version sha256".split()  # noqa: SIM905
    assert set(owed) <= set(manifest)
    assert (manifest["name"], manifest["kind"], manifest["disk"], manifest["login_user"]) == (
        "micro",
        "direct-kernel",
        None,
        "root",
    )
    words = manifest["cmdline"].split()
    assert {"console=ttyS0", "no_timer_check", "memhp_default_state=online_movable", "swiotlb=noforce"} <= set(words)
    assert "quiet" not in words
    # The console begins with the command line; who looks for a panic there must not find the word.
    assert "panic" not in manifest["cmdline"]
    for name, told in manifest["sha256"].items():
        assert micro.file_digest(image / name) == told


def test_second_build_keeps_the_first(image, image_home):
    before = {path.name: path.stat().st_mtime_ns for path in image.iterdir()}
    began = time.monotonic()
    assert micro.build_micro(image_home) == image
    assert time.monotonic() - began < 20
    assert {path.name: path.stat().st_mtime_ns for path in image.iterdir()} == before


@pytest.mark.parametrize("name", ["vmlinuz", "initrd.img", "manifest.json", "password", "host_key"])
def test_image_that_is_not_whole_is_built_again(image, image_home, name):
    (image / name).write_bytes(b"")
    micro.build_micro(image_home)
    assert (image / name).stat().st_size
    content = json.loads((image / "manifest.json").read_text())["content"]
    assert micro.current(image, content)
    assert not micro.current(image, "another")


def test_everybody_reads_an_image_that_was_built_under_a_strict_umask(tmp_path):
    """QEMU reads it as a user of its own."""
    command = [sys.executable, "-m", "avocado_hvqual.images", "build", "micro"]
    home = tmp_path / "state" / "home"
    old = os.umask(0o077)
    try:
        done = subprocess.run(
            command, env={**os.environ, "AVOCADO_HVQUAL_HOME": str(home)}, check=False, capture_output=True, text=True
        )
    finally:
        os.umask(old)
    assert done.returncode == 0, done.stderr
    folder = home / "images" / "micro"
    barred = [
        str(path)
        for path in (folder / "vmlinuz", folder / "initrd.img", *folder.parents)
        if path.is_relative_to(home.parent) and not path.stat().st_mode & 0o004
    ]
    assert barred == []
    assert (folder / "password").stat().st_mode & 0o777 == 0o600


def test_a_folder_that_bars_qemu_is_named(image_home, monkeypatch, capsys, tmp_path):
    home = tmp_path / "private" / "home"
    home.mkdir(parents=True)
    (tmp_path / "private").chmod(0o700)
    shutil.copytree(image_home / "images", home / "images")
    monkeypatch.setattr(cli, "home", lambda: home)
    parser = argparse.ArgumentParser()
    cli.fill(parser)
    old = os.umask(0o022)
    try:
        assert cli.run(parser.parse_args(["build", "micro"])) == 0
    finally:
        os.umask(old)
    said = capsys.readouterr()
    assert said.out == f"{home / 'images' / 'micro'}\n"
    assert f"chmod o+x {tmp_path / 'private'}\n" in said.err
    assert f"chmod o+x {home}\n" not in said.err


def test_rebuild_keeps_the_password_which_guests_may_be_running_with(image, image_home):
    password = (image / "password").read_text()
    (image / "vmlinuz").unlink()
    micro.build_micro(image_home)
    assert (image / "password").read_text() == password


def test_another_folder_has_another_password_and_the_same_content(image, image_home, tmp_path):
    other = micro.build_micro(image_home, tmp_path / "other")
    assert (other / "password").read_text() != (image / "password").read_text()
    contents = {json.loads((folder / "manifest.json").read_text())["content"] for folder in (image, other)}
    assert len(contents) == 1


def test_secrets_are_their_owners_alone(image):
    for name in ("password", "host_key"):
        assert stat.S_IMODE((image / name).stat().st_mode) == 0o600
    (image / "password").chmod(0o644)
    assert not secret.usable(image)
    (image / "password").chmod(0o600)


def test_changed_recipe_is_another_content(image_home, monkeypatch, tmp_path):
    used = kernel.find(image_home / "images/cache/kernel")
    before = micro.input_digest(used)
    copy = tmp_path / "recipe"
    shutil.copytree(RECIPE, copy)
    monkeypatch.setattr(micro, "_RECIPE", copy)
    assert micro.input_digest(used) == before
    (copy / "etc/issue").write_text("another\n")
    assert micro.input_digest(used) != before


def test_initramfs_holds_the_contracts_parts(image, image_home, tmp_path):
    base = next((image_home / "images/cache").glob("micro-*.img"))
    whole = (image / "initrd.img").read_bytes()
    assert whole.startswith(base.read_bytes())
    secrets = gzip.decompress(whole[base.stat().st_size :])
    assert b"root:$6$" in secrets
    assert (image / "password").read_bytes().strip() not in whole + secrets
    listing = base.read_bytes()
    names = (
        subprocess.run([find("busybox"), "cpio", "-t"], input=listing, capture_output=True, check=True)
        .stdout.decode()
        .split()
    )
    for part in (
        "usr/sbin/hv-witness",
        "usr/sbin/dropbear",
        "usr/sbin/qemu-ga",
        "usr/bin/bash",
        "etc/inittab",
        "init",
        "dev/console",
        f"boot/config-{kernel.find(image_home / 'images/cache/kernel').release}",
    ):
        assert part in names
    modules = " ".join(names).replace("-", "_")
    for module in "virtio_blk virtio_net virtio_balloon virtio_rng virtio_console virtio_scsi virtio_mem bonding button evdev".split():  # noqa: SIM905
        assert f"/{module}.ko" in modules, module


def test_two_builds_of_the_same_inputs_are_the_same_bytes(image_home):
    used = kernel.find(image_home / "images/cache/kernel")
    assert micro.base_archive(used).digest() == micro.base_archive(used).digest()


def test_without_root_it_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ImageError, match="needs root"):
        micro.build_micro(tmp_path)


def test_missing_programs_are_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(micro, "PROGRAMS", {"hvq-none": "some-package"})
    with pytest.raises(ImageError, match=r"needs hvq-none, not found; install with 'apt-get install -y some-package'"):
        micro.build_micro(tmp_path)


def test_list_names_images_damaged_ones_and_none(tmp_path, image_home):
    assert "build one with 'avocado hvqual image build micro'" in cli.listed(tmp_path)[0]
    assert cli.listed(image_home)[0].startswith("micro: direct-kernel, kernel ")
    (tmp_path / "images/bad").mkdir(parents=True)
    (tmp_path / "images/bad/manifest.json").write_text("{")
    assert "image build bad" in cli.listed(tmp_path)[0]
