# SPDX-License-Identifier: GPL-2.0-or-later
"""
Build the golden image: tree, configuration, disk, a boot by its own loader with a graceful shutdown, template, two clones that differ.

Each stage leaves its result on disk (see `stages`); an image whose inputs have not changed is kept.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from avocado_hvqual.errors import ImageError
from avocado_hvqual.images import secret
from avocado_hvqual.images.golden import appliance, archive, configure, disk, netinstall, offline, prove, trees
from avocado_hvqual.images.golden.command import Programs
from avocado_hvqual.images.golden.stages import Stage, run_stages
from avocado_hvqual.images.golden.trees import Order
from avocado_hvqual.images.golden.workshop import MIN_MEMORY_MIB, PROMPT, Workshop, digest
from avocado_hvqual.lab.tools import require, require_root

NAME = "golden"
_VERSION = 1
#: Program -> package: for any recipe, then for each. scripts/packages-golden.txt lists them.
PROGRAMS = {
    "qemu-img": "qemu-utils",
    "qemu-system-x86_64": "qemu-system-x86",
    "mke2fs": "e2fsprogs",
    "grub-mkimage": "grub-common",
    "virt-sysprep": "guestfs-tools",
    "ssh": "openssh-client",
    "unshare": "util-linux",
    "busybox": "busybox-static",
}
_PROGRAMS_OF = {
    "mmdebstrap": {"mmdebstrap": "mmdebstrap"},
    "cloud-image": {"guestfish": "libguestfs-tools"},
    "virt-install": {
        "guestfish": "libguestfs-tools",
        "virt-install": "virtinst",
        "virsh": "libvirt-clients",
    },
}
_MAKERS: dict[str, trees.Maker] = {
    "mmdebstrap": trees.from_archive,
    "cloud-image": trees.from_image,
    "virt-install": netinstall.make_tree,
}
#: Modules that decide what is in the image.
_DECIDING = (
    "archive.py",
    "chroot.py",
    "configure.py",
    "disk.py",
    "trees.py",
    "netinstall.py",
    "mirror.py",
)


def build_golden(home: Path, order: Order, out: Path | None, tell: Callable[[str], None], until: str = "") -> Path:
    """
    Return the folder of the golden image of this *order*: *out*, by default images/golden below *home*; built unless it is there.

    *tell* gets a line for each stage. A build that broke off goes on where it was. `ImageError`, in one sentence, for what is missing.
    """
    require_root("Building a guest image (its password is root's)", ImageError)
    require({**PROGRAMS, **_PROGRAMS_OF[order.recipe]}, "The golden image", ImageError)
    if not (disk.GRUB / "boot.img").is_file():
        msg = f"The golden image needs {disk.GRUB}/boot.img, not found; install with 'apt-get install -y grub-pc-bin'."
        raise ImageError(msg)
    row = order.table.recipe(order.recipe, order.system.name)
    content, folder = content_of(order), out or home / "images" / NAME
    if current(folder, content):
        return folder
    tell(row.told())
    workshop = home / "images/cache/golden" / content[:16]
    workshop.mkdir(parents=True, exist_ok=True)
    shop = Workshop(order, content, workshop, folder, Programs(workshop / "build.log"))
    seconds = run_stages(workshop, stages(shop), tell, until)
    if not until:
        publish(shop, seconds)
    return folder


def content_of(order: Order) -> str:
    """Return the digest of all that the image is made of but its secrets: our files, the order, each package's version."""
    total = hashlib.sha256()
    here = Path(__file__).parent
    overlaid = [*sorted(configure.OVERLAY.rglob("*")), *(configure.SHARED / name for name in configure.SHARED_FILES)]
    for path in [*(here / name for name in _DECIDING), *filter(Path.is_file, overlaid)]:
        total.update(f"{path.name} {digest(path)}\n".encode())
    given = [_given(path) for path in (order.source, order.kernel)]
    versions = sorted(archive.candidates(order.packages).items())
    # Of the table what goes into the image: that a recipe was executed does not make it another one.
    rows = (order.system, order.table.trimmed, order.table.initrd_modules, order.packages)
    total.update(repr((order.recipe, order.mirror, order.size_mib, rows, given, versions)).encode())
    return total.hexdigest()


def _given(path: Path | None) -> str:
    """Return what tells a file that the operator gave from another one; of a folder, which is a mirror, its files of checksums."""
    if path is None:
        return "none"
    files = [path] if not path.is_dir() else sorted(path.glob("*/dists/*/Release"))
    return " ".join(map(digest, files))


def current(folder: Path, content: str) -> bool:
    """Whether *folder* holds the whole image of these inputs, as its manifest says and its files are."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        if manifest["content"] != content or not (folder / secret.PASSWORD).stat().st_size:
            return False
        return all(digest(folder / name) == told for name, told in manifest["sha256"].items())
    except (OSError, ValueError, KeyError, AttributeError, ImageError):
        return False


def stages(shop: Workshop) -> list[Stage]:
    """Return the stages of a build."""
    return [
        Stage(
            "tree",
            "the distribution is installed in a folder",
            lambda: _MAKERS[shop.order.recipe](shop.order, shop.file("tree"), shop.programs),
        ),
        Stage("configured", "the folder is a guest of the contract", lambda: _configure(shop)),
        Stage("disk", "the folder is a raw disk with a boot loader", lambda: _disk(shop)),
        Stage("booted", "a guest booted by the disk's own loader and shut down", lambda: prove.boot_once(shop)),
        Stage("template", "virt-sysprep made it a template", lambda: _template(shop)),
        Stage("clones", "two clones booted and differ", lambda: prove.two_clones(shop)),
    ]


def _configure(shop: Workshop) -> None:
    """Make the tree a guest; on a copy, so that it can be done again."""
    target = shop.file("configured")
    shutil.rmtree(target, ignore_errors=True)
    shop.programs.run(["cp", "-a", "--reflink=auto", str(shop.file("tree")), str(target)], "copy the tree")
    shop.file(secret.PASSWORD).unlink(missing_ok=True)
    crypted = secret.password_for(shop.out, shop.folder)
    release = configure.configure(target, crypted, shop.order, shop.programs)
    disk.add_boot_loader(target, release, shop.file("core.img"), shop.programs)
    for name, file in (("vmlinuz", f"vmlinuz-{release}"), ("initrd.img", f"initrd.img-{release}")):
        shutil.copyfile(target / "boot" / file, shop.file(name))
    shop.note("kernel.json", {"release": release})


def _disk(shop: Workshop) -> None:
    """Make the raw disk of the configured tree."""
    disk.create(
        shop.file("configured"), shop.file("core.img"), shop.file("disk.raw"), shop.order.size_mib, shop.programs
    )
    disk.check(shop.file("disk.raw"), shop.programs)


def _template(shop: Workshop) -> None:
    """Take from a copy of the booted disk what made it one machine, and look without libguestfs whether it is gone."""
    target = shop.file("golden.raw")
    disk.copy(shop.file("booted.raw"), target, shop.programs)
    appliance.sysprep(target, shop.programs)
    left = offline.left_of_the_machine(target, shop.programs)
    if left:
        msg = f"virt-sysprep left what makes a machine: {' '.join(left)}"
        raise ImageError(msg)
    disk.check(target, shop.programs)
    before = offline.left_of_the_machine(shop.file("booted.raw"), shop.programs)
    if not before:
        msg = "Nothing of a machine was found on the booted disk either; the look for it does not see."
        raise ImageError(msg)
    shop.note("template.json", {"was": before, "is": left})


def publish(shop: Workshop, seconds: dict[str, float]) -> None:
    """Put the image in its place, the manifest last, and remove what only the build needed."""
    shop.out.mkdir(parents=True, exist_ok=True)
    packages = shop.read("packages.json")
    proof = {name: shop.read(f"{name}.json") for name in ("booted", "template", "clones")}
    (shop.out / "packages.json").write_text(json.dumps(packages, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    (shop.out / "proof.json").write_text(json.dumps(proof, indent=1) + "\n", encoding="utf-8")
    for name in ("vmlinuz", "initrd.img", "golden.raw", secret.PASSWORD):
        # After a kill in the middle, what is in its place already stays there.
        if shop.file(name).exists():
            shutil.move(shop.file(name), shop.out / name)
    text = json.dumps(manifest(shop, seconds), indent=1) + "\n"
    (shop.out / ".manifest.json").write_text(text, encoding="utf-8")
    (shop.out / ".manifest.json").replace(shop.out / "manifest.json")
    shutil.rmtree(shop.folder)


def manifest(shop: Workshop, seconds: dict[str, float]) -> dict[str, Any]:
    """Return the description by which tests find and start the image, and by which a reader knows what is in it and how it came to be."""
    row = shop.order.table.recipe(shop.order.recipe, shop.order.system.name)
    files = ("vmlinuz", "initrd.img", "golden.raw", "packages.json", "proof.json")
    return {
        "name": NAME,
        "kind": "disk",
        "kernel": "vmlinuz",
        "initrd": "initrd.img",
        "cmdline": configure.CMDLINE,
        "min_memory_kib": MIN_MEMORY_MIB * 1024,
        "disk": "golden.raw",
        "disk_format": "raw",
        "prompt": PROMPT,
        "login_user": "root",
        "version": _VERSION,
        "kernel_release": shop.read("kernel.json")["release"],
        "recipe": {"name": row.recipe, "system": row.system, "executed": row.executed, "note": row.note},
        "trimmed": {unit.unit: unit.why for unit in shop.order.table.trimmed},
        "seconds": seconds,
        "content": shop.content,
        "sha256": {name: digest(shop.out / name) for name in files},
    }
