# SPDX-License-Identifier: GPL-2.0-or-later
"""An installed tree becomes a guest of the contract: login, witness, heartbeats, agent, crash dumps; what gets in the way is masked."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from avocado_hvqual.errors import ImageError
from avocado_hvqual.images.golden.chroot import inside
from avocado_hvqual.images.golden.command import Programs
from avocado_hvqual.images.golden.trees import Order

OVERLAY = Path(__file__).with_name("root")
#: The contract's programs are the micro guest's own.
SHARED = Path(__file__).parents[1] / "micro_root"
SHARED_FILES = ("usr/sbin/hv-witness", "usr/libexec/hv-heartbeat")
ENABLED = (
    "systemd-networkd.service",
    "ssh.service",
    "hv-gateway.service",
    "hv-hostkey.service",
    "hv-hostname.service",
    "hv-heartbeat@serial.service",
    "hv-heartbeat@network.service",
)
#: What makes one machine of it, or only costs room.
_FORGOTTEN = (
    "etc/ssh/ssh_host_*",
    "var/lib/apt/lists/*",
    "var/cache/apt/*",
    "var/log/*.log",
    "var/log/apt/*",
    "var/lib/systemd/random-seed",
)
LABEL = "hvq-root"
#: Of both ways to boot. Names of interfaces are the contract's (eth0).
CMDLINE = (
    f"root=LABEL={LABEL} rw console=ttyS0 net.ifnames=0 no_timer_check memhp_default_state=online_movable swiotlb=noforce "
    "mitigations=off cryptomgr.notests"
)
#: Set aside for the kernel that dumps another one's memory; of the boot loader's way alone, since guests of the tests count their memory.
CRASH_MEMORY = "crashkernel=192M"


def configure(tree: Path, crypted: str, order: Order, programs: Programs) -> str:
    """Make the installed *tree* a guest whose root has the password *crypted*, and return the release of its kernel."""
    overlay(tree)
    programs.run(inside(tree, ["systemctl", "enable", *ENABLED]), "enable the guest's services")
    mask(tree, [row.unit for row in order.table.trimmed])
    release = _given_kernel(tree, order.kernel, programs) if order.kernel else kernel_of(tree, order.system.kernel)
    _make_initrds(tree, release, programs)
    programs.run(inside(tree, ["chpasswd", "-e"]), "set root's password", text=f"root:{crypted}\n")
    forget(tree)
    return release


def _given_kernel(tree: Path, kernel: Path, programs: Programs) -> str:
    """Install the package *kernel* and return the release of the kernel that came with it, be there newer ones."""
    before = kernels(tree)
    shutil.copyfile(kernel, tree / "tmp/kernel.deb")
    programs.run(inside(tree, ["dpkg", "-i", "/tmp/kernel.deb"]), f"install the kernel of {kernel}")  # noqa: S108 - the guest's
    (tree / "tmp/kernel.deb").unlink()
    return newest(tree, kernels(tree) - before or kernels(tree))


def overlay(tree: Path) -> None:
    """Lay our files over *tree*; those that begin with ``#!`` may be executed, whatever an installation made of their modes."""
    sources = [(path, path.relative_to(OVERLAY)) for path in sorted(OVERLAY.rglob("*")) if path.is_file()]
    sources += [(SHARED / name, Path(name)) for name in SHARED_FILES]
    for source, name in sources:
        target = tree / name
        target.parent.mkdir(parents=True, exist_ok=True)
        content = source.read_bytes()
        target.unlink(missing_ok=True)
        target.write_bytes(content)
        target.chmod(0o755 if content.startswith(b"#!") else 0o644)


def mask(tree: Path, units: Sequence[str]) -> None:
    """Make *units* impossible to start in *tree*, also those that a package brings later."""
    folder = tree / "etc/systemd/system"
    for unit in units:
        (folder / unit).unlink(missing_ok=True)
        (folder / unit).symlink_to("/dev/null")


def kernels(tree: Path) -> set[str]:
    """Return the releases of the kernels in *tree*."""
    return {path.name[len("vmlinuz-") :] for path in (tree / "boot").glob("vmlinuz-*")}


def newest(tree: Path, releases: set[str]) -> str:
    """Return the newest of *releases*; `ImageError` when *tree* has none."""
    if not releases:
        msg = f"{tree}/boot holds no kernel (vmlinuz-*); the kernel's package was not installed."
        raise ImageError(msg)
    return max(sorted(releases), key=lambda name: [int(number) for number in re.findall(r"\d+", name)])


def kernel_of(tree: Path, package: str) -> str:
    """
    Return the release of the kernel that *package* stands for: it depends on the package of one release.

    An image may hold another kernel of the same version beside it. Where nothing tells, the newest one.
    """
    status = tree / "var/lib/dpkg/status"
    text = status.read_text(encoding="utf-8", errors="replace") if status.exists() else ""
    part = re.search(rf"^Package: {re.escape(package)}\n(?:.+\n)*", text, re.MULTILINE)
    named = re.findall(r"\blinux-image-(?:unsigned-)?(\S+?)(?=[ ,|(]|$)", part.group() if part else "", re.MULTILINE)
    there = kernels(tree)
    return newest(tree, there & set(named) or there)


#: In a chroot it leaves this to the first boot (kdump-tools 1.10.7 of Debian 13), for it cannot know which modules are wanted: here they
#: are listed. A function of that name is no program, which is what it looks for.
_HOOK_OF_DUMPS = ("sh", "-ec", "ischroot() { return 1; }; . /etc/kernel/postinst.d/kdump-tools", "kdump-tools")


def _make_initrds(tree: Path, release: str, programs: Programs) -> None:
    """Make the initrd, and the one that the dump of a crash is written from: made at the first boot it would cost a minute."""
    if not (tree / f"boot/initrd.img-{release}").exists():
        programs.run(inside(tree, ["update-initramfs", "-c", "-k", release]), "make the initrd")
    settings = tree / "etc/default/kdump-tools"
    text = settings.read_text(encoding="utf-8") if settings.exists() else ""
    settings.write_text(re.sub(r"^USE_KDUMP=.*\n", "", text, flags=re.MULTILINE) + "USE_KDUMP=1\n", encoding="utf-8")
    made = tree / f"var/lib/kdump/initrd.img-{release}"
    if not made.exists():
        programs.run(inside(tree, [*_HOOK_OF_DUMPS, release]), "make the initrd of crash dumps")
    if not made.exists():
        msg = f"kdump-tools made no {made.relative_to(tree)} for the kernel {release}, which is needed to dump a crash."
        raise ImageError(msg)
    _keep_crash_initrd(tree, release)


def _keep_crash_initrd(tree: Path, release: str) -> None:
    """
    Make kdump-tools find at boot what it made: its links, and the settings of the kernel (sysctl) that it made the initrd with.

    Where it finds others than it made it with, or none, it makes the initrd again: 75 s of a first boot under emulation.
    """
    kept, settings = tree / f"var/lib/kdump/latest_sysctls-{release}", tree / "etc/kdump/sysctl.conf"
    kept.write_bytes(settings.read_bytes() if settings.exists() else b"")
    for link, target in (
        ("initrd.img", f"/var/lib/kdump/initrd.img-{release}"),
        ("vmlinuz", f"/boot/vmlinuz-{release}"),
    ):
        (tree / "var/lib/kdump" / link).unlink(missing_ok=True)
        (tree / "var/lib/kdump" / link).symlink_to(target)


def forget(tree: Path) -> None:
    """Remove from *tree* what the installation left of this machine and of itself."""
    for pattern in _FORGOTTEN:
        for path in sorted(tree.glob(pattern)):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    # Empty, not absent: systemd then makes a new one at the first boot and leaves the choice of services alone.
    (tree / "etc/machine-id").write_bytes(b"")
    (tree / "var/lib/dbus/machine-id").unlink(missing_ok=True)
    (tree / "etc/resolv.conf").unlink(missing_ok=True)
    (tree / "etc/resolv.conf").write_bytes(b"")
