# SPDX-License-Identifier: GPL-2.0-or-later
"""
libguestfs, made to work on any node: by emulation where KVM does not run guests, and with the kernel of our guests.

Left to itself it takes a `/dev/kvm` that boots nothing and hangs, and needs a kernel in /boot that a container or a cloud node may lack.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from avocado_hvqual.images import kernel as kernels
from avocado_hvqual.images.golden.command import Programs
from avocado_hvqual.lab.paths import home
from avocado_hvqual.node import run_program

_SYSPREP_SECONDS = 300.0


def kernel() -> kernels.Kernel:
    """Return the kernel that libguestfs runs with, the guests' own, fetched where it is not here; `ImageError` where it cannot be."""
    return kernels.find(home() / "images" / "cache" / "kernel")


def environment(kernel: kernels.Kernel, accelerator: str) -> dict[str, str]:
    """Return the variables under which libguestfs's programs run here with *kernel*."""
    settings = {
        "LIBGUESTFS_BACKEND": "direct",
        "SUPERMIN_KERNEL": str(kernel.image),
        "SUPERMIN_KERNEL_VERSION": kernel.release,
        "SUPERMIN_MODULES": str(kernel.modules),
    }
    return settings if accelerator == "kvm" else {**settings, "LIBGUESTFS_BACKEND_SETTINGS": "force_tcg"}


def here() -> Mapping[str, str]:
    """Return `environment` for this node, whose accelerator is found by running a guest."""
    return environment(kernel(), str(run_program("accelerator", statuses=(0, 1))["accelerator"]))


@contextlib.contextmanager
def module_folder(folder: Path = Path("/lib/modules")) -> Iterator[None]:
    """
    Let there be a folder for modules on this node as long as the block lasts; one that is there stays.

    supermin copies its owner and mode, wherever the modules come from, and ends without a word where a kernel without modules has none.
    """
    made = not folder.exists()
    if made:
        folder.mkdir(parents=True)
    try:
        yield
    finally:
        if made:
            with contextlib.suppress(OSError):  # somebody installed a kernel meanwhile
                folder.rmdir()


def tar_out(image: Path, target: Path, programs: Programs) -> None:
    """Write all files of the system that is installed on *image* (any format, partitions, LVM) to the archive *target*."""
    line = [
        "guestfish",
        "--ro",
        "-a",
        str(image),
        "-i",
        "tar-out",
        "/",
        str(target),
        "numericowner:true",
        "xattrs:true",
    ]
    with module_folder():
        programs.within(environment=here()).run(line, "take the files out of the image")


def sysprep(image: Path, programs: Programs) -> None:
    """
    Take from the raw *image* all that makes it one certain machine, by virt-sysprep.

    Without its last operation, "customize": that one gives the image a new machine id, which all its clones would then share.
    """
    line = ["virt-sysprep", "--format", "raw", "--operations", "defaults,-customize", "-a", str(image)]
    with module_folder():
        programs.within(environment=here()).run(line, "make a template of the image", timeout=_SYSPREP_SECONDS)
