# SPDX-License-Identifier: GPL-2.0-or-later
"""The network installation: what the installer is asked, when it is not believed, and that nothing of it stays in libvirt."""

import re
import subprocess
from dataclasses import replace

import pytest

from avocado_hvqual.errors import ImageError
from avocado_hvqual.images.golden import archive, netinstall, table, trees
from avocado_hvqual.images.golden.command import Programs

RUN = Programs.run


@pytest.fixture
def order(monkeypatch):
    monkeypatch.setattr(archive, "candidates", lambda _names: {})
    monkeypatch.setattr(netinstall, "accelerator", lambda: "tcg")
    whole = table.load()
    return trees.Order("virt-install", whole.system("debian-12"), whole)


def test_a_mirror_of_our_own_needs_no_keys_and_no_other_is_trusted(order):
    assert archive.sources(order.system, "http://127.0.0.1:80/x/").startswith(
        "deb [trusted=yes] http://127.0.0.1:80/x/ bookworm main"
    )
    assert "trusted" not in archive.sources(order.system, "http://example/debian")


def test_the_installer_is_asked_nothing_and_given_only_loopback(order, tmp_path):
    text = netinstall.preseed(order, 4711)
    assert "d-i mirror/http/hostname string 10.0.2.2:4711\n" in text
    assert all(line.startswith("d-i ") for line in text.splitlines())
    assert netinstall.preseed(order, 4711) != text, "the password is another one each time"
    assert "d-i base-installer/kernel/image string linux-image-cloud-amd64\n" in text
    line = netinstall.virt_install("hvq-x", tmp_path, tmp_path / "hvq-x/d.raw", 4711)
    words = dict(zip(line[1::2], line[2::2]))
    assert "url=http://10.0.2.2:4711/preseed.cfg" in words["--boot"]
    assert "country=US" in words["--boot"], "asked for at any priority, since the locale C has none"
    assert "TERM=dumb" in words["--boot"], "any other terminal is a screen, whose log cannot be read"
    assert words["--disk"].startswith(f"path={tmp_path}/hvq-x/d.raw,format=raw,")
    assert words["--serial"] == f"file,path={tmp_path}/console-install.log"
    assert words["--network"] == "user,model=virtio"
    assert words["--name"] == "hvq-x"
    assert line[-3:] == ["--import", "--noautoconsole", "--transient"]
    assert "--install" not in words, "that one leaves a storage pool"


@pytest.fixture
def asked(monkeypatch):
    """What virsh is asked, instead of libvirt; there is nothing there."""
    lines = []

    def run(self, line, purpose, **words):
        if line[0] == "virsh":
            lines.append(line[1:])
            raise ImageError(purpose)
        return RUN(self, line, purpose, **words)

    monkeypatch.setattr(Programs, "run", run)
    return lines


def of_the_domain(asked):
    """The name of the domain that virsh was asked to remove with its pool."""
    names = {name for _verb, name in asked}
    assert [verb for verb, _name in asked] == ["destroy", "pool-destroy", "pool-undefine"]
    assert len(names) == 1
    return names.pop()


def test_an_installer_that_left_nothing_is_not_believed_and_leaves_nothing(order, asked, tmp_path, monkeypatch):
    disk, work = tmp_path / "d.raw", tmp_path / "work"
    work.mkdir()
    monkeypatch.setattr(netinstall, "virt_install", lambda _name, _work, target, _port: ["ls", str(target)])
    with pytest.raises(ImageError, match="left 0 MiB on its disk, which is no system"):
        netinstall.install(order, work, disk, 1, Programs(tmp_path / "log"))
    assert not disk.exists(), "the next build would take it for an installed one"
    assert not (work / "preseed.cfg").exists()
    assert not (tmp_path / of_the_domain(asked)).exists()


def test_an_installation_that_is_broken_off_leaves_no_domain_pool_or_password(order, asked, tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    monkeypatch.setattr(netinstall, "virt_install", lambda *_words: ["false"])
    with pytest.raises(ImageError, match="to install by virt-install"):
        netinstall.install(order, tmp_path / "work", tmp_path / "d.raw", 1, Programs(tmp_path / "log"))
    assert of_the_domain(asked).startswith("hvq-golden-install-")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "work"]
    assert list((tmp_path / "work").iterdir()) == []


def test_apt_of_the_new_system_reads_the_unsigned_mirror_only_while_it_is_installed(order, tmp_path):
    rows = dict(
        row.removeprefix("d-i ").split(" string ", 1)
        for row in netinstall.preseed(order, 1).splitlines()
        if " string " in row
    )
    hooks, target = tmp_path / "hooks", tmp_path / "target/etc/apt/apt.conf.d"
    target.mkdir(parents=True)

    def here(command):
        return command.replace("/usr/lib/base-installer.d", str(hooks)).replace("/target/", f"{tmp_path}/target/")

    subprocess.run(["sh", "-c", here(rows["preseed/early_command"])], check=True)
    subprocess.run([str(hooks / "00hvqual")], check=True)
    assert (target / "00hvqual").read_text() == "Acquire::AllowInsecureRepositories 1;\n"
    subprocess.run(["sh", "-c", here(rows["preseed/late_command"])], check=True)
    assert list(target.iterdir()) == []


def test_the_recipe_of_the_disk_is_one_partition_that_fits_it(order):
    (recipe,) = re.findall(
        r"^d-i partman-auto/expert_recipe string root :: (.*) \.$", netinstall.preseed(order, 1), re.MULTILINE
    )
    sizes = [[int(size) for size in part.split()[:3]] for part in recipe.split(" . ")]
    assert sum(smallest for smallest, _priority, _most in sizes) < netinstall._DISK_MIB
    assert recipe.count("mountpoint{ / }") == 1
    assert recipe.count("{") == recipe.count("}")
    assert "swap" not in recipe


def test_an_installed_disk_is_not_installed_again_and_goes_when_its_files_are_there(order, tmp_path, monkeypatch):
    """A build that broke off after half an hour of the installer goes on with its disk; one that fails again keeps it."""
    disk, asked = tmp_path / "installed.raw", []
    (tmp_path / order.system.suite).mkdir()
    (tmp_path / order.system.suite / "complete").touch()
    disk.write_bytes(b"a system")
    monkeypatch.setattr(netinstall.appliance, "kernel", lambda: asked.append("kernel"))
    monkeypatch.setattr(netinstall, "install", lambda *_words: pytest.fail("it was installed"))

    def fails(_order, _folder, _programs):
        msg = "no"
        raise ImageError(msg)

    monkeypatch.setattr(netinstall.trees, "from_image", fails)
    there = replace(order, source=tmp_path)
    with pytest.raises(ImageError):
        netinstall.make_tree(there, tmp_path / "tree", Programs(tmp_path / "log"))
    assert disk.exists()
    monkeypatch.setattr(netinstall.trees, "from_image", lambda given, *_: asked.append(given.source))
    monkeypatch.setattr(netinstall.mirror, "name_archive", lambda *_words: None)
    netinstall.make_tree(there, tmp_path / "tree", Programs(tmp_path / "log"))
    assert asked == ["kernel", "kernel", disk]
    assert not disk.exists()


def test_nothing_is_fetched_or_installed_before_there_is_a_kernel_to_look_into_the_disk_with(
    order, tmp_path, monkeypatch
):
    """Found on a host without an archive after 32 minutes of an installer that had done its work."""

    def none():
        msg = "no kernel"
        raise ImageError(msg)

    monkeypatch.setattr(netinstall.appliance, "kernel", none)
    monkeypatch.setattr(netinstall.mirror, "apt_of", lambda *_words: pytest.fail("the archive was asked first"))
    with pytest.raises(ImageError, match="no kernel"):
        netinstall.make_tree(replace(order, source=tmp_path), tmp_path / "tree", Programs(tmp_path / "log"))
    assert list(tmp_path.iterdir()) == []


def test_an_installer_that_is_not_known_is_one_sentence(order, tmp_path):
    ubuntu = replace(order, system=order.table.system("ubuntu-24.04"))
    with pytest.raises(ImageError, match=r"not written for Ubuntu 24\.04; it is for debian-12, debian-13"):
        netinstall.prepare(ubuntu, tmp_path, Programs(tmp_path / "log"))
