# SPDX-License-Identifier: GPL-2.0-or-later
"""
Where the guest's files come from. Each recipe ends with the same: a folder that holds an installed distribution.

All that comes after (configuration, disk, boot loader, proof) is the same for every recipe.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from avocado_hvqual.errors import ImageError
from avocado_hvqual.images.golden import appliance, archive
from avocado_hvqual.images.golden.chroot import inside
from avocado_hvqual.images.golden.command import Programs
from avocado_hvqual.images.golden.table import System, Table

#: What no guest reads. Copyrights stay.
_NOT_UNPACKED = ("/usr/share/man/*", "/usr/share/locale/*", "/usr/share/doc/*")
_UNPACKED = "/usr/share/doc/*/copyright"
#: What an image says of the machine that it was for: other disks, other interfaces, a swap that an initrd would wait for.
_ANOTHER_MACHINES = (
    "boot/initrd.img-*",
    "var/lib/kdump/*",
    "etc/initramfs-tools/conf.d/resume",
    "etc/crypttab",
    "etc/netplan/*",
    "etc/network/interfaces",
    "etc/network/interfaces.d/*",
    "etc/systemd/network/*",
)
_NO_SERVICES = "#!/bin/sh\nexit 101\n"


@dataclass(frozen=True)
class Order:
    """What is wanted: *source* is the image to take the tree from (cloud-image), *kernel* a package in place of its kernel."""

    recipe: str
    system: System
    table: Table
    mirror: str = ""
    source: Optional[Path] = None
    kernel: Optional[Path] = None
    size_mib: int = 2048

    @property
    def packages(self) -> list[str]:
        """All packages by name, the kernel among them unless another one is given; those that may be missing only where they are packed."""
        optional = archive.candidates(self.table.where_packed) if not self.mirror else {}
        kernel = [] if self.kernel else [self.system.kernel]
        return [*kernel, *self.table.packages, *optional]


def from_archive(order: Order, folder: Path, programs: Programs) -> None:
    """Install the distribution into *folder* from its archive, by mmdebstrap."""
    first = _before_packages(order, folder.parent / "before")
    listed = folder.parent / "golden.list"
    listed.write_text(archive.sources(order.system, order.mirror), encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    programs.run(mmdebstrap(order, folder, listed, first), "install the distribution into a folder")


def mmdebstrap(order: Order, folder: Path, listed: Path, first: Path) -> list[str]:
    """Return the command that makes the tree *folder*; what is in *first* is there before any package."""
    settings = ['APT::Install-Recommends "false";', 'Acquire::Languages "none";', *archive.fetching()]
    return [
        "mmdebstrap",
        "--mode=root",
        "--variant=minbase",
        "--format=directory",
        *(f"--aptopt={setting}" for setting in settings),
        *(f"--dpkgopt=path-exclude={path}" for path in _NOT_UNPACKED),
        f"--dpkgopt=path-include={_UNPACKED}",
        f"--include={','.join(order.packages)}",
        f'--setup-hook=cp -rT {shlex.quote(str(first))} "$1"',
        order.system.suite,
        str(folder),
        str(listed),
    ]


def _before_packages(order: Order, folder: Path) -> Path:
    """Make and return a folder of what packages must find when they are configured: what the initrd holds is not what this node needs."""
    shutil.rmtree(folder, ignore_errors=True)
    settings, modules = folder / "etc/initramfs-tools/conf.d", folder / "usr/share/initramfs-tools/modules.d"
    for path in (settings, modules):
        path.mkdir(parents=True)
    (settings / "hvqual").write_text("MODULES=list\nCOMPRESS=zstd\n", encoding="utf-8")
    (modules / "hvqual").write_text("".join(f"{name}\n" for name in order.table.initrd_modules), encoding="utf-8")
    return folder


def from_image(order: Order, folder: Path, programs: Programs) -> None:
    """Take the tree out of the image *order.source* (a cloud image, or one that an installer made) and add the packages that it lacks."""
    if order.source is None or not order.source.is_file():
        msg = f"The recipe '{order.recipe}' needs an image to start from, found {order.source or 'none'}; name one with --source FILE."
        raise ImageError(msg)
    packed = folder.parent / "source.tar"
    appliance.tar_out(order.source, packed, programs)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    programs.run(
        ["tar", "-C", str(folder), "--numeric-owner", "--xattrs", "-xf", str(packed)], "unpack the image's files"
    )
    packed.unlink()
    forget_machine(folder)
    shutil.copytree(_before_packages(order, folder.parent / "before"), folder, dirs_exist_ok=True)
    add_packages(order, folder, programs)


def forget_machine(tree: Path) -> None:
    """Remove from *tree*, taken out of an image, what only its own machine needs, and let no cloud say what the guest is."""
    for pattern in _ANOTHER_MACHINES:
        for path in sorted(tree.glob(pattern)):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    if (tree / "etc/cloud").is_dir():
        (tree / "etc/cloud/cloud-init.disabled").touch()


def add_packages(order: Order, folder: Path, programs: Programs) -> None:
    """Install into the tree *folder* what the order names and it lacks, starting no service there."""
    listed, settings = folder / "etc/apt/hvqual.list", folder / "etc/apt/hvqual.conf"
    policy, names = folder / "usr/sbin/policy-rc.d", folder / "etc/resolv.conf"
    kept = names.readlink() if names.is_symlink() else None
    listed.write_text(archive.sources(order.system, order.mirror), encoding="utf-8")
    fetching = ['Dir::Etc::sourcelist "/etc/apt/hvqual.list";', 'Dir::Etc::sourceparts "-";', *archive.fetching()]
    settings.write_text(
        "\n".join([*fetching, 'APT::Install-Recommends "false";', 'Acquire::Languages "none";', ""]), encoding="utf-8"
    )
    policy.write_text(_NO_SERVICES, encoding="utf-8")
    policy.chmod(0o755)
    names.unlink(missing_ok=True)
    shutil.copyfile("/etc/resolv.conf", names)
    apt = ["env", "APT_CONFIG=/etc/apt/hvqual.conf", "apt-get", "-qy"]
    try:
        programs.run(inside(folder, [*apt, "update"]), "read the archive's lists")
        programs.run(inside(folder, [*apt, "install", *order.packages]), "install the packages that the image lacks")
        programs.run(inside(folder, [*apt, "clean"]), "remove the packages' archives")
    finally:
        for path in (listed, settings, policy, names):
            path.unlink(missing_ok=True)
        if kept is not None:
            names.symlink_to(kept)


Maker = Callable[[Order, Path, Programs], None]
