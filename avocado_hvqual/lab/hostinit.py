# SPDX-License-Identifier: GPL-2.0-or-later
"""
The first process of a host: it makes the host's view of the machine, says so, and then only reaps. Its end is the host's.

Self-contained: it runs as a script in namespaces of its own and imports nothing of the package. ``launch CONFIG`` joins the host's
cgroups and becomes unshare(1) in the background, which starts ``init CONFIG`` as process 1.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_BIND, _MS_REC = 2, 4, 8, 4096, 16384
_MNT_DETACH = 2
_PR_SET_NAME = 15
_V2 = 2
_CGROUP_ROOT = Path("/sys/fs/cgroup")
_RUN = Path("/run/hvqual")
_LIBC = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: Path, kind: str, flags: int = 0, options: str = "") -> None:
    """Show *source* at *target*, by the system call: the program would resolve /proc/self/fd/N, a path that is hidden by then."""
    arguments = (os.fsencode(source), os.fsencode(target), os.fsencode(kind), flags, os.fsencode(options))
    if _LIBC.mount(arguments[0], arguments[1], arguments[2], ctypes.c_ulong(arguments[3]), arguments[4]) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{os.strerror(error)}: mounting {kind or 'a bind'} of {source}", str(target))


def launch(config_file: str) -> None:
    """Write the number of a new process, a child of nobody here, which joins the host's cgroups and makes its namespaces."""
    config = json.loads(Path(config_file).read_text(encoding="utf-8"))
    child = os.fork()
    if child:
        sys.stdout.write(f"{child}\n")
        return
    os.setsid()
    log = os.open(config["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    for folder in config["cgroup_folders"]:
        (Path(folder) / "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")
    spaces = ["--net", "--mount", "--uts", "--ipc", "--pid", "--cgroup", "--propagation", "private"]
    python = [sys.executable, "-I", "-S", __file__, "init", config_file]
    os.execvp("unshare", ["unshare", *spaces, "--fork", "--kill-child", "--", *python])  # noqa: S606 - same


def init(config_file: str) -> None:
    """Make the host's view, report it ready, reap for ever."""
    config = json.loads(Path(config_file).read_text(encoding="utf-8"))
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    _LIBC.prctl(_PR_SET_NAME, b"init", 0, 0, 0)
    socket.sethostname(config["name"])
    kernel_views(config)
    private_folders(config)
    (_RUN / "host.json").write_text(json.dumps(config["host"], indent=1), encoding="utf-8")
    (_RUN / "ready").touch()
    while True:
        reap()
        signal.sigwait({signal.SIGCHLD})


def reap() -> None:
    """Take leave of every child that has ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass


def kernel_views(config: dict[str, Any]) -> None:
    """Mount /proc, /sys and the cgroups anew, so that they show this host's namespaces."""
    hidden = _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
    mount("proc", Path("/proc"), "proc", hidden)
    # The machine's own view goes, so that no program finds its cgroups in the list of mounts.
    _LIBC.umount2(b"/sys", _MNT_DETACH)
    mount("sysfs", Path("/sys"), "sysfs", hidden)
    hierarchies = config["hierarchies"]
    if [hierarchy["version"] for hierarchy in hierarchies] == [_V2]:
        mount("cgroup2", _CGROUP_ROOT, "cgroup2", hidden)
        leave_cgroup_root(_CGROUP_ROOT)
        return
    mount("tmpfs", _CGROUP_ROOT, "tmpfs", hidden, "mode=755")
    for hierarchy in hierarchies:
        mount_hierarchy(hierarchy, hidden)


def mount_hierarchy(hierarchy: dict[str, Any], flags: int) -> None:
    """Mount one cgroup hierarchy under the name that it has outside, with a link for each of several controllers."""
    folder = _CGROUP_ROOT / Path(hierarchy["mount"]).name
    folder.mkdir()
    if hierarchy["version"] == _V2:
        mount("cgroup2", folder, "cgroup2", flags)
        leave_cgroup_root(folder)
        return
    options = hierarchy["options"]
    named = [option for option in options if option.startswith("name=")]
    mount("cgroup", folder, "cgroup", flags, ",".join(["none", *named] if named else options))
    for option in options:
        if not named and option != folder.name and not (_CGROUP_ROOT / option).exists():
            (_CGROUP_ROOT / option).symlink_to(folder.name)


def leave_cgroup_root(root: Path) -> None:
    """Move to a leaf: version 2 hands controllers on only from a cgroup without processes of its own, and libvirt needs them below."""
    leaf = root / "init"
    leaf.mkdir(exist_ok=True)
    (leaf / "cgroup.procs").write_text("0", encoding="ascii")
    for controller in (root / "cgroup.controllers").read_text(encoding="ascii").split():
        with contextlib.suppress(OSError):
            (root / "cgroup.subtree_control").write_text(f"+{controller}", encoding="ascii")


def private_folders(config: dict[str, Any]) -> None:
    """Put the host's own folders over the machine's, and keep visible what lies below a hidden one."""
    # Opened before anything is hidden: afterwards the paths lead elsewhere.
    binds = [(os.open(source, os.O_PATH), Path(target)) for source, target in config["binds"]]
    kept = [(os.open(folder, os.O_PATH), Path(folder)) for folder in config["keep"]]
    run, *others = binds
    bind(*run)
    for folder in config["outside"]:
        # Before it is covered: an open folder leads to what covers it.
        target = _RUN / "outside" / folder.strip("/")
        target.mkdir(parents=True)
        mount(folder, target, "", _MS_BIND | _MS_REC)
    own_etc(config["etc"])
    for descriptor, target in others:
        bind(descriptor, target)
    for descriptor, target in kept:
        target.mkdir(parents=True, exist_ok=True)
        bind(descriptor, target)
    for descriptor, _target in [*binds, *kept]:
        os.close(descriptor)
    for folder in config["folders"]:
        Path(folder).mkdir(parents=True, exist_ok=True)
    mount("tmpfs", Path("/dev/shm"), "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=1777")  # noqa: S108 - where it is
    if config["hugepages"]:
        mount("hugetlbfs", Path("/dev/hugepages"), "hugetlbfs", _MS_NOSUID | _MS_NODEV)
        other_hugepages()


def other_hugepages() -> None:
    """Mount a hugetlbfs for each size of page that is not the default one, where libvirt finds it by the table of mounts."""
    meminfo = Path("/proc/meminfo").read_text(encoding="ascii")
    default = next(line.split()[1] for line in meminfo.splitlines() if line.startswith("Hugepagesize:"))
    for folder in Path("/sys/kernel/mm/hugepages").glob("hugepages-*kB"):
        size = folder.name[len("hugepages-") : -len("kB")]
        if size != default:
            place = _RUN / f"hugepages-{size}kB"
            place.mkdir()
            mount("hugetlbfs", place, "hugetlbfs", _MS_NOSUID | _MS_NODEV, f"pagesize={size}K")


def own_etc(folders: list[str] | None) -> None:
    """
    Put what the host changes below /etc over the machine's, so that users, settings and the machine-id are the host's alone.

    Where the kernel or the file system has no overlays the machine's /etc is seen, as the log then says.
    """
    if not folders:
        return
    upper, work = folders
    try:
        mount("overlay", Path("/etc"), "overlay", 0, f"lowerdir=/etc,upperdir={upper},workdir={work}")
    except OSError as error:
        sys.stderr.write(f"This host has no /etc of its own: {error.strerror}.\n")


def bind(descriptor: int, target: Path) -> None:
    """Show the open file or folder *descriptor* at *target*."""
    mount(f"/proc/self/fd/{descriptor}", target, "", _MS_BIND | _MS_REC)


if __name__ == "__main__":
    {"launch": launch, "init": init}[sys.argv[1]](sys.argv[2])
