# SPDX-License-Identifier: GPL-2.0-or-later
"""
The recipe virt-install: the distribution's own installer, run in a domain over the network, from a mirror on loopback.

What it leaves on its disk is then taken out and treated as any other image's files (`trees.from_image`). libvirt is the one that
LIBVIRT_DEFAULT_URI names, by default the system's; in the lab: ``avocado hvqual lab exec hv-a -- avocado hvqual image build golden ...``
with ``--source`` naming a mirror that was made outside, since the lab's hosts reach no archive.
"""

from __future__ import annotations

import re
import secrets
import shutil
from dataclasses import replace
from pathlib import Path

from avocado_hvqual.errors import ImageError
from avocado_hvqual.images.golden import mirror, trees
from avocado_hvqual.images.golden.command import Programs
from avocado_hvqual.images.golden.guest import accelerator
from avocado_hvqual.images.golden.trees import Order

#: The package that holds the installer for a boot over the network, and where in it.
_INSTALLERS = {
    "debian-12": (
        "debian-installer-12-netboot-amd64",
        "usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64",
    )
}
#: The host as a guest of a user-mode network sees it.
_HOST = "10.0.2.2"
_INSTALL_MINUTES = 90
_MEMORY_MIB = 1024
_ANSWERS = """
debian-installer/locale string C.UTF-8
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
partman-auto/choose_recipe select atomic
partman-partitioning/confirm_write_new_label boolean true
partman-basicfilesystems/no_swap boolean false
partman/choose_partition select finish
partman/confirm boolean true
partman/confirm_nooverwrite boolean true
base-installer/install-recommends boolean false
base-installer/kernel/image string linux-image-amd64
apt-setup/use_mirror boolean true
apt-setup/services-select multiselect
apt-setup/cdrom/set-first boolean false
apt-setup/disable-cdrom-entries boolean true
pkgsel/upgrade select none
pkgsel/update-policy select none
tasksel/first multiselect
grub-installer/only_debian boolean true
grub-installer/bootdev string /dev/vda
finish-install/reboot_in_progress note
debian-installer/exit/poweroff boolean true
"""


def make_tree(order: Order, folder: Path, programs: Programs) -> None:
    """Install the distribution by its installer and put what it left into *folder*."""
    work = order.source or folder.parent / "mirror"
    prepare(order, work, programs)
    disk = folder.parent / "installed.raw"
    with mirror.served(work) as port:
        install(order, work, disk, port, programs)
        packages = replace(order, source=disk, mirror=f"http://127.0.0.1:{port}/{order.system.suite}/")
        trees.from_image(packages, folder, programs)
    disk.unlink()


def prepare(order: Order, folder: Path, programs: Programs) -> Path:
    """Return *folder* with installer and mirror in it, which is all that an installation needs of the world."""
    if order.system.name not in _INSTALLERS:
        msg = f"The recipe virt-install is not written for {order.system.title}; it is for {', '.join(_INSTALLERS)}."
        raise ImageError(msg)
    package, place = _INSTALLERS[order.system.name]
    installer = folder / "installer"
    if not (installer / "linux").exists():
        fetched = folder / "fetched"
        shutil.rmtree(fetched, ignore_errors=True)
        fetched.mkdir(parents=True)
        programs.within(fetched).run(
            ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", package], "fetch the installer"
        )
        programs.run(
            ["dpkg-deb", "-x", str(next(fetched.glob("*.deb"))), str(fetched / "tree")], "unpack the installer"
        )
        installer.mkdir(exist_ok=True)
        for name in ("initrd.gz", "linux"):
            shutil.copyfile(fetched / "tree" / place / name, installer / name)
        shutil.rmtree(fetched)
    mirror_of = folder / order.system.suite
    mirror.make(order, kernel_of(installer / "linux"), mirror_of, programs)
    return folder


def kernel_of(file: Path) -> str:
    """Return the release that a bzImage says it is (x86 boot protocol: an offset at 0x20e to a text)."""
    with file.open("rb") as stream:
        head = stream.read(0x8000)
    offset = int.from_bytes(head[0x20E:0x210], "little") + 0x200
    found = re.match(rb"[\w.+~-]+", head[offset : offset + 128])
    if head[0x202:0x206] != b"HdrS" or found is None:
        msg = f"{file} is no kernel that tells its release."
        raise ImageError(msg)
    return found.group().decode()


def install(order: Order, work: Path, disk: Path, port: int, programs: Programs) -> None:
    """Run the installer in a domain until it shuts off; `ImageError` when it does not, or left no system on *disk*."""
    answers = work / "preseed.cfg"
    answers.write_text(preseed(order, port), encoding="utf-8")
    disk.unlink(missing_ok=True)
    try:
        programs.run(
            virt_install(order, work, disk, port), "install by virt-install", timeout=_INSTALL_MINUTES * 60 + 60
        )
    finally:
        answers.unlink()
    allocated = disk.stat().st_blocks // 2048
    if allocated < 100:  # noqa: PLR2004 - MiB: less is no distribution
        msg = f"The installer ended and left {allocated} MiB on its disk, which is no system; its console is in {disk.parent}."
        raise ImageError(msg)


def virt_install(order: Order, work: Path, disk: Path, port: int) -> list[str]:
    """Return the command line: a domain that lives for the installation, whose kernel is the installer's."""
    kind = accelerator()
    words = f"auto=true priority=critical url=http://{_HOST}:{port}/preseed.cfg console=ttyS0,115200n8 net.ifnames=0 DEBIAN_FRONTEND=text"
    held = work / "installer"
    options = {
        "name": f"hvq-golden-install-{secrets.token_hex(3)}",
        "virt-type": "kvm" if kind == "kvm" else "qemu",
        "cpu": "host-model" if kind == "kvm" else "Nehalem",
        "memory": str(_MEMORY_MIB),
        "vcpus": "2",
        "install": f'kernel={held}/linux,initrd={held}/initrd.gz,kernel_args_overwrite=yes,kernel_args="{words}"',
        "disk": f"path={disk},format=raw,size={order.size_mib / 1024:g},bus=virtio,sparse=yes",
        "network": "user,model=virtio",
        "graphics": "none",
        "serial": f"file,path={disk.parent}/console-install.log",
        "console": "none",
        "rng": "/dev/urandom",
        "osinfo": "detect=off,require=off",
        "wait": str(_INSTALL_MINUTES),
    }
    flags = ["--noautoconsole", "--noreboot", "--transient"]
    return ["virt-install", *(word for name, value in options.items() for word in (f"--{name}", value)), *flags]


def preseed(order: Order, port: int) -> str:
    """Return the answers to the installer's questions; its root password is thrown away with the tree's."""
    rows = _ANSWERS.format(host=f"{_HOST}:{port}", suite=order.system.suite, password=secrets.token_hex(12))
    return "".join(f"d-i {row}\n" for row in rows.strip().splitlines())
