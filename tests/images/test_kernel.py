# SPDX-License-Identifier: GPL-2.0-or-later
"""Which kernel is taken, and which of its modules in which order."""

import dataclasses
import lzma
import subprocess
from pathlib import Path

import pytest

from avocado_hvqual.errors import ImageError
from avocado_hvqual.images import host_files, kernel
from avocado_hvqual.images.kernel import Kernel

DEPENDENCIES = """\
kernel/a/virtio_net.ko: kernel/b/net_failover.ko kernel/b/failover.ko
kernel/b/net_failover.ko: kernel/b/failover.ko
kernel/b/failover.ko:
kernel/c/virtio-rng.ko.zst:
"""


@pytest.fixture
def tree(tmp_path):
    modules = tmp_path / "lib/modules/6.1.0-5-cloud-amd64"
    modules.mkdir(parents=True)
    (modules / "modules.dep").write_text(DEPENDENCIES)
    (modules / "modules.builtin").write_text("kernel/d/ext4.ko\n")
    boot = tmp_path / "boot"
    boot.mkdir()
    (boot / "vmlinuz-6.1.0-5-cloud-amd64").write_text("kernel")
    return tmp_path


def names(paths):
    return [path.name for path in paths]


def test_modules_come_after_what_they_need_and_once(tree):
    found = kernel.installed(tree)
    files, missing = kernel.module_files(found, ["virtio_net", "failover", "virtio_rng", "ext4", "nonsuch"])
    assert names(files) == ["failover.ko", "net_failover.ko", "virtio_net.ko", "virtio-rng.ko.zst"]
    assert missing == ["nonsuch"]


def test_installed_kernel_without_modules_is_passed_over(tree):
    (tree / "boot/vmlinuz-6.9.0-1-cloud-amd64").write_text("newer")
    assert kernel.installed(tree).release == "6.1.0-5-cloud-amd64"


def test_newest_is_found_by_number_not_by_letter(tree):
    for release in ("6.1.0-10-cloud-amd64", "6.1.0-9-cloud-amd64"):
        (tree / "boot" / f"vmlinuz-{release}").write_text("k")
        (tree / "lib/modules" / release).mkdir()
        (tree / "lib/modules" / release / "modules.dep").write_text("")
    assert kernel.installed(tree).release == "6.1.0-10-cloud-amd64"


def test_no_installed_kernel(tmp_path):
    assert kernel.installed(tmp_path) is None


def test_apt_that_knows_no_kernel_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(kernel, "_depends", lambda _package: [])
    with pytest.raises(ImageError, match=r"None of linux-image-cloud-amd64.* run 'apt-get update'"):
        kernel.fetch(tmp_path)


def test_without_package_lists_the_newest_complete_kernel_of_the_cache_is_taken(tmp_path, tree, monkeypatch):
    monkeypatch.setattr(kernel, "_depends", lambda _package: [])
    cache = tmp_path / "cache"
    assert kernel.cached(cache) is None
    for version in ("6.1.0-9", "6.1.0-10"):
        folder = cache / f"linux-image-{version}"
        (folder / "boot").mkdir(parents=True)
        (folder / "boot" / f"vmlinuz-{version}").write_text("k")
        modules = folder / "lib/modules" / version
        modules.mkdir(parents=True)
        (modules / "modules.dep").write_text("")
        (folder / "complete").touch()
    assert kernel.cached(cache).release == "6.1.0-10"
    (cache / "linux-image-6.1.0-10/complete").unlink()
    assert kernel.cached(cache).release == "6.1.0-9"


def package(folder, *, with_kernel=True):
    """Write a package as one that was built here: a kernel, its configuration and an index without modules."""
    tree = folder / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text("Package: k\nVersion: 1\nArchitecture: all\nMaintainer: n\nDescription: k\n")
    if with_kernel:
        (tree / "boot").mkdir()
        (tree / "boot/vmlinuz-6.1.9-hvq").write_text("kernel")
        modules = tree / "lib/modules/6.1.9-hvq"
        modules.mkdir(parents=True)
        (modules / "modules.dep").touch()
        (modules / "modules.builtin").write_text("kernel/drivers/virtio/virtio_pci.ko\n")
    target = folder / "own.deb"
    subprocess.run(["dpkg-deb", "-b", str(tree), str(target)], check=True, capture_output=True)
    return target


def test_kernel_of_a_package_of_ones_own(tmp_path, monkeypatch):
    monkeypatch.setattr(kernel, "_depends", lambda _package: [])
    cache, given = tmp_path / "cache", package(tmp_path / "p")
    found = kernel.packed(given, cache)
    assert (found.release, found.image.read_text()) == ("6.1.9-hvq", "kernel")
    assert kernel.module_files(found, ["virtio_pci", "absent"]) == ([], ["absent"])
    assert kernel.packed(given, cache) == found
    assert kernel.digest(found) != kernel.digest(dataclasses.replace(found, version="of another package"))
    # It is nobody's but of who asked for it.
    assert kernel.cached(cache) is None
    assert [path.name for path in cache.iterdir()] == [found.image.parent.parent.name]


def test_package_that_is_none_is_one_sentence(tmp_path):
    cache = tmp_path / "cache"
    (tmp_path / "no.deb").write_text("no package")
    with pytest.raises(ImageError, match=r"dpkg-deb -x .*no.deb.* failed with status"):
        kernel.packed(tmp_path / "no.deb", cache)
    with pytest.raises(ImageError, match=r"absent.deb' cannot be read \(No such file or directory\); give the .deb"):
        kernel.packed(tmp_path / "absent.deb", cache)
    with pytest.raises(ImageError, match=r"holds no boot/vmlinuz-\*: it is no kernel's package"):
        kernel.packed(package(tmp_path / "p", with_kernel=False), cache)
    assert list(cache.iterdir()) == []


def test_compressed_module_is_read_uncompressed(tmp_path):
    module = tmp_path / "m.ko.xz"
    module.write_bytes(lzma.compress(b"module"))
    assert kernel.read_module(module) == b"module"


def test_digest_tells_versions_apart(tmp_path):
    image = tmp_path / "vmlinuz"
    image.write_bytes(b"x")
    one = Kernel("6.1", "6.1-1", image, Path("/m"))
    assert kernel.digest(one) != kernel.digest(Kernel("6.1", "6.1-2", image, Path("/m")))


def test_ldd_is_understood():
    text = """\
\tlinux-vdso.so.1 (0x00007ffd)
\tlibz.so.1 => /lib/x86_64-linux-gnu/libz.so.1 (0x00007f01)
\tlibgone.so.2 => not found
\t/lib64/ld-linux-x86-64.so.2 (0x00007f02)
"""
    assert host_files.parse_ldd(text) == (
        ["/lib/x86_64-linux-gnu/libz.so.1", "/lib64/ld-linux-x86-64.so.2"],
        ["libgone.so.2"],
    )


def test_libraries_of_a_program():
    assert any("libc.so" in path for path in host_files.libraries(["/bin/sh"]))
