# SPDX-License-Identifier: GPL-2.0-or-later
"""
The recipe virt-install: the distribution's own installer, run in a domain over the network, from a mirror on loopback.

What it leaves on its disk is then taken out and treated as any other image's files (`trees.from_image`). libvirt is the one that
LIBVIRT_DEFAULT_URI names, by default the system's; in the lab: ``avocado hvqual lab exec hv-a -- avocado hvqual image build golden ...``
with ``--source`` naming a mirror that was made outside, since the lab's hosts reach no archive.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Optional

from avocado_hvqual.errors import ImageError
from avocado_hvqual.images.golden import appliance, mirror, trees
from avocado_hvqual.images.golden.command import Programs
from avocado_hvqual.images.golden.guest import accelerator
from avocado_hvqual.images.golden.trees import Order

#: The package that holds the installer for a boot over the network, and where in it.
_INSTALLERS = {
    f"debian-{number}": (
        f"debian-installer-{number}-netboot-amd64",
        f"usr/lib/debian-installer/images/{number}/amd64/text/debian-installer/amd64",
    )
    for number in (12, 13)
}
#: The host as a guest of a user-mode network sees it.
_HOST = "10.0.2.2"
_INSTALL_MINUTES = 90
_MEMORY_MIB = 1024
#: Not the image's: only the files are taken from it, and what is not written costs nothing.
_DISK_MIB = 4096
#: What cannot wait for the answers' file, or is asked although it stands there (the country of a locale that has none). A terminal that
#: is dumb gets lines; any other gets a screen of several windows, in whose log a question cannot be read.
_WORDS = "language=C country=US locale=C.UTF-8 console=ttyS0,115200n8 net.ifnames=0 ipv6.disable=1 DEBIAN_FRONTEND=text TERM=dumb"
#: One partition (beside the room for GRUB, where the label is GPT) and no swap. The installer's own recipes want more each year (Debian 13:
#: 8.5 GiB, or 3.3 GiB), and where the disk is smaller it asks without end.
_RECIPE = (
    "root :: 1 1 1 free $iflabel{ gpt } $reusemethod{ } method{ biosgrub } . "
    "1000 2000 -1 ext4 method{ format } format{ } use_filesystem{ } filesystem{ ext4 } mountpoint{ / } ."
)
#: apt in the installed system is let read a mirror without a signature as long as it is being installed: the answer for that
#: (allow_unauthenticated) reaches the installer's own parts, and of apt only what it installs (installers of Debian 12 and 13).
_EARLY = (
    "mkdir -p /usr/lib/base-installer.d; cd /usr/lib/base-installer.d; "
    r"""printf '#!/bin/sh\necho "Acquire::AllowInsecureRepositories 1;" >/target/etc/apt/apt.conf.d/00hvqual\n' >00hvqual; """
    "chmod 755 00hvqual"
)
_LATE = "rm -f /target/etc/apt/apt.conf.d/00hvqual"
_ANSWERS = """
preseed/early_command string {early}
preseed/late_command string {late}
keyboard-configuration/xkb-keymap select us
netcfg/choose_interface select auto
netcfg/get_hostname string golden
netcfg/get_domain string
mirror/country string manual
mirror/http/hostname string {host}
mirror/http/directory string /{suite}
mirror/http/proxy string
mirror/suite string {suite}
debian-installer/allow_unauthenticated boolean true
passwd/make-user boolean false
passwd/root-password password {password}
passwd/root-password-again password {password}
clock-setup/utc boolean true
clock-setup/ntp boolean false
time/zone string Etc/UTC
partman-auto/disk string /dev/vda
partman-auto/method string regular
partman-auto/expert_recipe string {recipe}
partman-partitioning/confirm_write_new_label boolean true
partman-basicfilesystems/no_swap boolean false
partman/choose_partition select finish
partman/confirm boolean true
partman/confirm_nooverwrite boolean true
base-installer/install-recommends boolean false
base-installer/kernel/image string {kernel}
hw-detect/load_firmware boolean false
hw-detect/firmware-lookup string never
apt-setup/non-free-firmware boolean false
apt-setup/use_mirror boolean true
apt-setup/services-select multiselect
apt-setup/cdrom/set-first boolean false
apt-setup/disable-cdrom-entries boolean true
pkgsel/upgrade select none
pkgsel/update-policy select none
pkgsel/run_tasksel boolean false
grub-installer/only_debian boolean true
grub-installer/bootdev string /dev/vda
finish-install/reboot_in_progress note
debian-installer/exit/poweroff boolean true
"""


def make_tree(order: Order, folder: Path, programs: Programs) -> None:
    """
    Install the distribution by its installer and put what it left into *folder*.

    The installed disk is kept until its files are there: a build that broke off after it does not install again.
    """
    work = order.source or folder.parent / "mirror"
    prepare(order, work, programs)
    disk = folder.parent / "installed.raw"
    with mirror.served(work) as port:
        if not disk.exists():
            install(order, work, disk, port, programs)
        packages = replace(order, source=disk, mirror=f"http://127.0.0.1:{port}/{order.system.suite}/")
        trees.from_image(packages, folder, programs)
    mirror.name_archive(work / order.system.suite, folder)
    disk.unlink()


def prepare(order: Order, folder: Path, programs: Programs, own: Optional[Path] = None) -> Path:
    """Return *folder* with installer and mirror in it, which is all that an installation needs of the world; *own* as `mirror.make`."""
    if order.system.name not in _INSTALLERS:
        msg = f"The recipe virt-install is not written for {order.system.title}; it is for {', '.join(_INSTALLERS)}."
        raise ImageError(msg)
    # The kernel that libguestfs runs with: in half an hour, on a host without an archive, it would be too late to look for one.
    appliance.kernel()
    held, installer = folder / order.system.suite, folder / "installer"
    if not mirror.whole(held):
        apt = mirror.apt_of(order, held, programs)
        _fetch_installer(order, installer, apt)
        mirror.make(order, installer, held, apt, own)
    return folder


def _fetch_installer(order: Order, target: Path, apt: Programs) -> None:
    """Put kernel and initrd of the installer into *target*, of the same archive as the mirror: modules fit one kernel only."""
    package, place = _INSTALLERS[order.system.name]
    fetched = target.with_name("fetched")
    for path in (fetched, target):
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
    apt.within(fetched).run(["apt-get", "-q", "download", package], "fetch the installer")
    apt.run(["dpkg-deb", "-x", str(next(fetched.glob("*.deb"))), str(fetched / "tree")], "unpack the installer")
    for name in ("initrd.gz", "linux"):
        shutil.copyfile(fetched / "tree" / place / name, target / name)
    shutil.rmtree(fetched)


def install(order: Order, work: Path, disk: Path, port: int, programs: Programs) -> None:
    """Run the installer in a domain until it shuts off; `ImageError` when it does not, or left no system on *disk*."""
    name = f"hvq-golden-install-{secrets.token_hex(3)}"
    answers, target = work / "preseed.cfg", disk.parent / name / disk.name
    answers.write_text(preseed(order, port), encoding="utf-8")
    target.parent.mkdir()
    try:
        programs.run(["qemu-img", "create", "-q", "-f", "raw", str(target), f"{_DISK_MIB}M"], "make the raw disk")
        programs.run(
            virt_install(name, work, target, port), "install by virt-install", timeout=_INSTALL_MINUTES * 60 + 60
        )
        allocated = target.stat().st_blocks // 2048
        if allocated < 100:  # noqa: PLR2004 - MiB: less is no distribution
            msg = f"The installer ended and left {allocated} MiB on its disk, which is no system; its console is in {disk.parent}."
            raise ImageError(msg)
        target.replace(disk)
    finally:
        answers.unlink()
        _nothing_left(name, programs)
        shutil.rmtree(target.parent)


def _nothing_left(name: str, programs: Programs) -> None:
    """
    Remove from libvirt what virt-install leaves there under *name*.

    The domain, when its time was over, and a storage pool that starts by itself for the folder of the disk (virt-install 4.1, also of a
    disk that is there): the folder is called as the domain is, so the pool is as well, and is nobody else's.
    """
    for words, purpose in (
        (("destroy", name), "end the installation"),
        (("pool-destroy", name), "stop the pool of the installation"),
        (("pool-undefine", name), "forget the pool of the installation"),
    ):
        with contextlib.suppress(
            ImageError
        ):  # there is none: the domain ended by itself, or virt-install did not come so far
            programs.run(["virsh", *words], purpose, timeout=60)


def virt_install(name: str, work: Path, disk: Path, port: int) -> list[str]:
    """Return the command line: a domain that lives for the installation, whose kernel is the installer's."""
    kind = accelerator()
    words = f"auto=true priority=critical url=http://{_HOST}:{port}/preseed.cfg {_WORDS}"
    held = work / "installer"
    options = {
        "name": name,
        "virt-type": "kvm" if kind == "kvm" else "qemu",
        "cpu": "host-model" if kind == "kvm" else "Nehalem",
        "memory": str(_MEMORY_MIB),
        # One: under QEMU 7.2 without KVM a guest with more loses a timer in one of some hundred boots.
        "vcpus": "1",
        # Not --install: where it finds no /var/lib/libvirt/boot it defines a storage pool for it, and leaves that.
        "boot": f'kernel={held}/linux,initrd={held}/initrd.gz,kernel_args="{words}"',
        "events": "on_reboot=destroy",
        "disk": f"path={disk},format=raw,bus=virtio",
        "network": "user,model=virtio",
        "graphics": "none",
        "serial": f"file,path={disk.parents[1]}/console-install.log",
        "console": "none",
        "rng": "/dev/urandom",
        "osinfo": "detect=off,require=off",
        "wait": str(_INSTALL_MINUTES),
    }
    flags = ["--import", "--noautoconsole", "--transient"]
    return ["virt-install", *(word for name, value in options.items() for word in (f"--{name}", value)), *flags]


def preseed(order: Order, port: int) -> str:
    """Return the answers to the installer's questions; its root password is thrown away with the tree's."""
    words = {"host": f"{_HOST}:{port}", "suite": order.system.suite, "kernel": order.system.kernel}
    words.update(recipe=_RECIPE, early=_EARLY, late=_LATE)
    rows = _ANSWERS.format(**words, password=secrets.token_hex(12))
    return "".join(f"d-i {row}\n" for row in rows.strip().splitlines())
