# SPDX-License-Identifier: GPL-2.0-or-later
"""Remedies that several checks offer."""

from __future__ import annotations

from collections.abc import Sequence

from avocado_hvqual.preparation import kernel
from avocado_hvqual.preparation.model import NewFile, Node, Remedy

APT = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get")


def install(packages: Sequence[str]) -> Remedy:
    """Return how packages are installed: nothing takes that back, because what they pull in and configure is theirs."""
    names = tuple(packages)
    stays = f"what was not installed before stays installed: {', '.join(names)}"
    wanted = (*APT, "install", "--yes", "--no-install-recommends", *names)
    return Remedy(f"Install {', '.join(names)}.", ((*APT, "update"), wanted), irreversible=stays)


def reinstall(package: str) -> Remedy:
    """Return how a package's own files come back over what stands in their place."""
    words = (*APT, "install", "--yes", "--reinstall", package)
    stays = f"what stood in the place of the files of {package} is gone"
    return Remedy(f"Install {package} again.", ((*APT, "update"), words), irreversible=stays)


def load_module(node: Node, name: str) -> Remedy:
    """Return how a module is loaded now and at each boot; what comes with it is removed with it."""
    denied = kernel.denied(node, name)
    if denied:
        return by_hand(f"Take out {denied}: with it the module is not loaded at boot.")
    # modprobe (kmod 30) leaves some of what it has loaded besides: of bridge, stp and llc the last one.
    undo = tuple(("modprobe", "--remove", it) for it in (name, *kernel.would_load(node, name)))
    return Remedy(
        f"Load the module {name}, now and at each boot.",
        (("modprobe", name),),
        undo,
        files=(NewFile(kernel.LOAD_AT_BOOT.format(name=name), f"# Written by avocado hvqual node prepare\n{name}\n"),),
    )


def by_hand(summary: str) -> Remedy:
    """Return what somebody has to do, because no command of ours can or may."""
    return Remedy(summary)
