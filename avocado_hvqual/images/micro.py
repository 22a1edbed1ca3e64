# SPDX-License-Identifier: GPL-2.0-or-later
"""
The micro guest: the distribution's kernel and one initramfs of busybox, dropbear, bash and the guest agent. Boots without a disk.

What depends on the inputs alone is built once and kept by their digest; the password and the ssh host key of this state home are a
second, small archive behind it.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from avocado_hvqual.errors import ImageError
from avocado_hvqual.images import host_files, secret
from avocado_hvqual.images import kernel as kernels
from avocado_hvqual.images.initramfs import Archive
from avocado_hvqual.images.kernel import Kernel
from avocado_hvqual.lab.tools import find, require, require_root

NAME = "micro"
_VERSION = 1
_RECIPE = Path(__file__).with_name("micro_root")
#: The modules that decide what is in the image: another one may change without making the image another.
_MODULES_OF_IT = ("host_files.py", "initramfs.py", "kernel.py", "micro.py", "secret.py")
#: Program -> package. busybox must be the static one: it is what runs before any library is found.
PROGRAMS = {
    "busybox": "busybox-static",
    "dropbear": "dropbear-bin",
    "dropbearkey": "dropbear-bin",
    "qemu-ga": "qemu-guest-agent",
    "bash": "bash",
    "perl": "perl-base",
    "ldd": "libc-bin",
    "depmod": "kmod",
    "zstd": "zstd",
    "dpkg-deb": "dpkg",
}
#: Programs of this machine in the guest, and where.
_GUEST_PROGRAMS = {
    "bash": "usr/bin/bash",
    "perl": "usr/bin/perl",
    "dropbear": "usr/sbin/dropbear",
    "qemu-ga": "usr/sbin/qemu-ga",
}
#: Loaded at boot, in this order.
_MODULES = [
    "virtio_pci",
    "virtio_console",
    "virtio_net",
    "virtio_blk",
    "virtio_scsi",
    "sd_mod",
    "virtio_balloon",
    "virtio_rng",
    "virtio_mem",
    "qemu_fw_cfg",
    "button",
    "evdev",
]
#: There for whoever loads them; those that this kernel lacks are left out.
_MORE_MODULES = [
    "bonding",
    "sr_mod",
    "ata_piix",
    "nvme",
    "pvpanic_pci",
    "vmw_vsock_virtio_transport",
    "virtiofs",
    "i6300esb",
    "e1000",
    "e1000e",
    "loop",
]
#: Without the word "panic", which the console repeats: what a panic does is set by etc/rc. Room for DIMMs above 4 GiB makes Linux set
#: 64 MiB aside for bounce buffers, which virtio devices never use: a guest of 128 MiB does not boot with them. A kernel that has bonding
#: built in makes a bond unasked.
_CMDLINE = (
    "console=ttyS0 no_timer_check memhp_default_state=online_movable swiotlb=noforce mitigations=off cryptomgr.notests "
    "bonding.max_bonds=0"
)
_PROMPT = r"^\[root@micro [^\]]*\]# $"
#: 96 MiB boot with one CPU; the rest is room for a larger kernel and for what a test does in the guest.
_MIN_MEMORY_KIB = 128 * 1024


def build_micro(home: Path, out: Path | None = None, package: Path | None = None) -> Path:
    """
    Return the folder of the micro guest's image, built unless one of the same inputs is there: *out*, by default images/micro below *home*.

    Its kernel is the one in the file *package*, by default the distribution's.
    Takes seconds; raises `ImageError`, in one sentence, for what is missing.
    """
    require_root("Building a guest image (its password is root's)", ImageError)
    require(PROGRAMS, "The micro guest", ImageError)
    folder = out or home / "images" / NAME
    cache = home / "images" / "cache"
    kernel = kernels.packed(package, cache / "kernel") if package else kernels.find(cache / "kernel")
    content = input_digest(kernel)
    if not current(folder, content):
        assemble(folder, cache, kernel, content)
    return folder


def input_digest(kernel: Kernel) -> str:
    """Return the digest of everything that the image is made of but its secrets: recipe, kernel, programs and libraries."""
    total = hashlib.sha256(kernels.digest(kernel).encode())
    sources = [*sorted(_RECIPE.rglob("*")), *(Path(__file__).with_name(name) for name in _MODULES_OF_IT)]
    programs = [path for path in map(find, ["busybox", *_GUEST_PROGRAMS]) if path]
    for path in [*filter(Path.is_file, sources), *map(Path, [*programs, *host_files.libraries(_guest_programs())])]:
        total.update(f"{path.name} ".encode())
        total.update(hashlib.sha256(path.resolve().read_bytes()).digest())
    return total.hexdigest()


def _guest_programs() -> list[str]:
    """Return the paths of the programs that the guest gets from this machine."""
    return [path for path in map(find, _GUEST_PROGRAMS) if path]


def current(folder: Path, content: str) -> bool:
    """Whether *folder* holds the whole image of these inputs, as its manifest says and its files are."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        whole = all(file_digest(folder / name) == told for name, told in manifest["sha256"].items())
        return bool(manifest["content"] == content and whole and secret.usable(folder))
    except (OSError, ValueError, KeyError, AttributeError):
        return False


def assemble(folder: Path, cache: Path, kernel: Kernel, content: str) -> None:
    """Write the image into *folder*; nobody ever sees a half of it."""
    base = cache / f"{NAME}-{content}.img"
    if not base.exists():
        base.parent.mkdir(parents=True, exist_ok=True)
        _write_base(base, kernel)
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        work.chmod(0o755)
        secrets = secret.keep_or_make(folder, work)
        # As the package has it: QEMU (7.2) puts an unpacked one into memory anew at each reset, and a wake-up from S3 is one; the guest
        # then boots. To unpack itself costs an emulated guest a tenth of its boot.
        shutil.copyfile(kernel.image, work / "vmlinuz")
        (work / "initrd.img").write_bytes(base.read_bytes() + gzip.compress(secrets.to_bytes(), mtime=0))
        text = json.dumps(_manifest(work, kernel, content), indent=1)
        (work / "manifest.json").write_text(text + "\n", encoding="utf-8")
        _replace(folder, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _replace(folder: Path, work: Path) -> None:
    """Put the files of *work* into *folder*, the manifest last: running guests and open files keep what they have."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in sorted((path.name for path in work.iterdir()), key=lambda name: name == "manifest.json"):
        (work / name).replace(folder / name)


def _write_base(target: Path, kernel: Kernel) -> None:
    """
    Build the part of the initramfs that holds no secret.

    Not compressed: to unpack 20 MB of zstd is a tenth of a guest's boot where its CPU is emulated (0.35 of 3.6 s, QEMU 7.2).
    """
    temporary = target.with_suffix(f".{os.getpid()}")
    temporary.write_bytes(base_archive(kernel).to_bytes())
    temporary.replace(target)


def base_archive(kernel: Kernel) -> Archive:
    """Return the initramfs without its secrets."""
    archive = Archive()
    for folder in (
        "boot",
        "dev",
        "proc",
        "sys",
        "run",
        "mnt",
        "var/log",
        "usr/bin",
        "usr/sbin",
        "usr/lib64",
        "usr/lib",
        "etc/dropbear",
    ):
        archive.folder(folder)
    archive.folder("root", 0o700)
    archive.folder("tmp", 0o1777)
    for name in ("bin", "sbin", "lib", "lib64"):
        archive.link(name, f"usr/{name}")
    archive.link("var/run", "/run")
    archive.character_device("dev/console", 5, 1)
    archive.character_device("dev/null", 1, 3)
    _add_programs(archive)
    _add_modules(archive, kernel)
    archive.tree(_RECIPE)
    archive.link("init", "usr/bin/busybox")
    return archive


def _add_programs(archive: Archive) -> None:
    """Add busybox with a link for each of its applets, and the machine's programs with their libraries."""
    busybox = find("busybox") or ""
    if host_files.libraries([busybox]):
        msg = f"{busybox} is not linked statically; install with 'apt-get install -y busybox-static'."
        raise ImageError(msg)
    archive.file("usr/bin/busybox", host_files.read(busybox), 0o755)
    listed = subprocess.run(
        [busybox, "--list-full"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
    ).stdout
    for path in listed.split():
        where = path if path.startswith("usr/") else f"usr/{path}"
        if where != "usr/bin/busybox" and where.startswith(("usr/bin/", "usr/sbin/")):
            archive.link(where, "/usr/bin/busybox")
    for program, place in _GUEST_PROGRAMS.items():
        archive.file(place, host_files.read(find(program) or program), 0o755)
    for path in host_files.libraries(_guest_programs()):
        place = path.lstrip("/") if path.startswith("/usr/") else f"usr{path}"
        archive.file(place, host_files.read(path), 0o755)


def _add_modules(archive: Archive, kernel: Kernel) -> None:
    """Add the modules, the list of those to load at boot, the index for modprobe, and with which options the kernel was built."""
    files, missing = kernels.module_files(kernel, _MODULES)
    if missing:
        lacking = f"The kernel {kernel.release} has no module {', '.join(missing)}"
        msg = f"{lacking}; install the distribution's kernel for virtual machines."
        raise ImageError(msg)
    more, _lacking = kernels.module_files(kernel, _MORE_MODULES)
    place = Path("usr/lib/modules") / kernel.release
    paths: dict[Path, str] = {}
    for path in dict.fromkeys([*files, *more]):
        paths[path] = str(path.relative_to(kernel.modules)).removesuffix(".xz").removesuffix(".zst")
        archive.file(str(place / paths[path]), kernels.read_module(path))
    loaded = "".join(f"{kernel.release}/{paths[path]}\n" for path in files)
    archive.file("etc/modules.load", loaded.encode())
    # A guest tells by it what its kernel can do, as a distribution's does.
    if kernel.configuration.is_file():
        archive.file(f"boot/{kernel.configuration.name}", kernel.configuration.read_bytes())
    _add_module_index(archive, place, kernel)


def _add_module_index(archive: Archive, place: Path, kernel: Kernel) -> None:
    """Add modules.dep, modules.alias and their kin, made for exactly the modules that the guest has."""
    with tempfile.TemporaryDirectory(prefix="hvq-modules-") as root:
        for path, entry in archive.entries.items():
            if path.startswith(f"{place}/") and path.endswith(".ko"):
                target = Path(root) / path.removeprefix("usr/")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(entry.content)
        folder = Path(root) / "lib/modules" / kernel.release
        # A kernel that has all of it built in has no module for which the folder was made.
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("modules.builtin", "modules.order"):
            shutil.copyfile(kernel.modules / name, folder / name)
        depmod = [find("depmod") or "depmod", "-b", root, kernel.release]
        subprocess.run(depmod, stdin=subprocess.DEVNULL, check=True, capture_output=True)
        for name in ("modules.dep", "modules.alias", "modules.symbols", "modules.builtin"):
            archive.file(str(place / name), (folder / name).read_bytes())


def _manifest(folder: Path, kernel: Kernel, content: str) -> dict[str, Any]:
    """Return the description by which the tests find and start the image."""
    return {
        "name": NAME,
        "kind": "direct-kernel",
        "kernel": "vmlinuz",
        "initrd": "initrd.img",
        "cmdline": _CMDLINE,
        "min_memory_kib": _MIN_MEMORY_KIB,
        "disk": None,
        "prompt": _PROMPT,
        "login_user": "root",
        "version": _VERSION,
        "kernel_release": kernel.release,
        "content": content,
        "sha256": {name: file_digest(folder / name) for name in ("vmlinuz", "initrd.img")},
    }


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
