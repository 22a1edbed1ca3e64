# SPDX-License-Identifier: GPL-2.0-or-later
"""A tree out of an image: what it says of its own machine is gone, and the kernel is the one that was ordered."""

import subprocess
from dataclasses import replace

import pytest

from avocado_hvqual.errors import ImageError
from avocado_hvqual.images.golden import configure, table, trees
from avocado_hvqual.images.golden.command import Programs

STATUS = """\
Package: linux-image-amd64
Status: install ok installed
Depends: linux-image-6.1.0-10-amd64 (= 6.1.5-1)

Package: linux-image-cloud-amd64
Status: install ok installed
Depends: linux-image-6.1.0-10-cloud-amd64 (= 6.1.5-1)

Package: linux-image-virtual
Depends: linux-image-generic, linux-image-unsigned-6.1.0-9-amd64
"""


@pytest.fixture
def tree(tmp_path):
    """A tree with kernels of two flavours."""
    for name in ("boot", "etc/cloud", "etc/netplan", "tmp", "var/lib/dpkg"):
        (tmp_path / name).mkdir(parents=True)
    for release in ("6.1.0-9-amd64", "6.1.0-10-amd64", "6.1.0-10-cloud-amd64"):
        (tmp_path / f"boot/vmlinuz-{release}").touch()
    return tmp_path


def test_the_newest_kernel_is_found_by_number(tree, tmp_path_factory):
    assert configure.newest(tree, {"6.1.0-9-amd64", "6.1.0-10-amd64"}) == "6.1.0-10-amd64"
    with pytest.raises(ImageError, match="holds no kernel"):
        configure.kernel_of(tmp_path_factory.mktemp("empty"), "linux-image-amd64")


@pytest.mark.parametrize(
    ("package", "release"),
    [
        ("linux-image-cloud-amd64", "6.1.0-10-cloud-amd64"),
        ("linux-image-amd64", "6.1.0-10-amd64"),
        ("linux-image-virtual", "6.1.0-9-amd64"),
    ],
)
def test_of_an_images_kernels_the_ordered_one_is_taken_and_no_other_of_its_version(tree, package, release):
    (tree / "var/lib/dpkg/status").write_text(STATUS)
    assert configure.kernel_of(tree, package) == release


def test_a_given_kernel_is_taken_also_where_the_image_has_a_newer_one(tree, tmp_path_factory, monkeypatch):
    deb = tmp_path_factory.mktemp("given") / "kernel.deb"
    deb.write_text("a package")
    # What dpkg would unpack.
    monkeypatch.setattr(configure, "inside", lambda where, _line: ["touch", str(where / "boot/vmlinuz-5.10.1-own")])
    assert configure._given_kernel(tree, deb, Programs(deb.with_name("log"))) == "5.10.1-own"
    assert not (tree / "tmp/kernel.deb").exists()


def test_what_an_image_says_of_its_machine_is_forgotten_and_no_cloud_is_asked(tree):
    kept = ("etc/initramfs-tools/conf.d/compress", "boot/vmlinuz-6.1.0-9-amd64", "etc/network/if-up.d/script")
    gone = (
        "boot/initrd.img-6.1.0-9-amd64",
        "etc/initramfs-tools/conf.d/resume",
        "etc/netplan/90-default.yaml",
        "etc/network/interfaces",
        "etc/network/interfaces.d/eth0",
        "etc/systemd/network/10-all.network",
        "var/lib/kdump/initrd.img-6.1.0-9-amd64",
    )
    for name in (*kept, *gone):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).touch()
    trees.forget_machine(tree)
    assert [name for name in gone if (tree / name).exists()] == []
    assert [name for name in kept if not (tree / name).exists()] == []
    assert (tree / "etc/cloud/cloud-init.disabled").exists()


def test_an_image_without_cloud_init_gets_no_word_of_it(tmp_path):
    trees.forget_machine(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_packages_are_added_to_an_images_files_once_its_machine_is_forgotten(tmp_path, monkeypatch):
    whole = table.load()
    image = tmp_path / "image.qcow2"
    image.touch()
    order = trees.Order("cloud-image", whole.system("debian-12"), whole, source=image)
    inner = tmp_path / "inner"
    (inner / "etc/initramfs-tools/conf.d").mkdir(parents=True)
    (inner / "etc/initramfs-tools/conf.d/resume").write_text("RESUME=UUID=x\n")
    added = []

    def tar_out(_image, target, _programs):
        subprocess.run(["tar", "-C", str(inner), "-cf", str(target), "."], check=True)

    monkeypatch.setattr(trees.appliance, "tar_out", tar_out)
    monkeypatch.setattr(trees, "add_packages", lambda _order, folder, _programs: added.append(folder))
    tree = tmp_path / "work/tree"
    tree.parent.mkdir()
    trees.from_image(order, tree, Programs(tmp_path / "log"))
    assert added == [tree]
    assert [path.name for path in (tree / "etc/initramfs-tools/conf.d").iterdir()] == ["hvqual"]
    assert not (tmp_path / "work/source.tar").exists()
    with pytest.raises(ImageError, match="needs an image to start from, found none"):
        trees.from_image(replace(order, source=None), tmp_path / "x", Programs(tmp_path / "log"))
