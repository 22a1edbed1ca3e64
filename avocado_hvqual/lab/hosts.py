# SPDX-License-Identifier: GPL-2.0-or-later
"""One host of the lab (or the fabric): its folders, its first process, its power switch."""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from avocado_hvqual import wait
from avocado_hvqual.errors import LabError
from avocado_hvqual.lab import cgroups, settings
from avocado_hvqual.lab.budget import Budget
from avocado_hvqual.lab.inside import OWN_FOLDERS, PACKAGE_ROOT
from avocado_hvqual.lab.paths import FABRIC, FABRIC_ADDRESSES, HOME_VARIABLE, HOST_ID_VARIABLE, LabPaths
from avocado_hvqual.lab.processes import Process, children, same_pid_namespace
from avocado_hvqual.lab.state import Node
from avocado_hvqual.lab.tools import find

_INIT = Path(__file__).with_name("hostinit.py")
_START_TIMEOUT = 15.0
#: Folder of the host -> where the host sees it. Those of libvirt survive a power failure, as disks do; /run does not.
_LIBVIRT_FOLDERS = {
    "etc-libvirt": "/etc/libvirt",
    "var-lib-libvirt": "/var/lib/libvirt",
    "var-log-libvirt": "/var/log/libvirt",
    "var-cache-libvirt": "/var/cache/libvirt",
}
#: What the host's /etc has of its own above the machine's, as an overlay has it; survives a power failure.
_ETC = ("etc-upper", "etc-work")
_HUGEPAGES = Path("/dev/hugepages")
_MARKER = ".hvqual"
#: Runs daemons.py, wherever the package lies.
DAEMONS_COMMAND = (
    sys.executable,
    "-I",
    "-c",
    f"import sys; sys.path.insert(0, {str(PACKAGE_ROOT)!r}); from avocado_hvqual.lab.daemons import main; sys.exit(main(sys.argv[1:]))",
)


def prepare(name: str, paths: LabPaths, budget: Budget, qemu_user: str) -> Path:
    """Write the folders and files of host *name*, /run afresh as a power-on does; return the configuration of its first process."""
    folder = paths.host(name)
    shutil.rmtree(folder / "run", ignore_errors=True)
    binds = {"run": "/run"}
    if name != FABRIC:
        binds |= {**_LIBVIRT_FOLDERS, "tmp": "/tmp", "var-tmp": "/var/tmp"}  # noqa: S108 - the host's own
    for part in binds:
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / "run/hvqual/bin").mkdir(parents=True)
    if name != FABRIC:
        # libvirt's package makes it on a real host; the guests' disks lie there.
        (folder / "var-lib-libvirt/images").mkdir(mode=0o711, exist_ok=True)
    config = folder / "config.json"
    config.write_text(json.dumps(_config(name, paths, budget, binds), indent=1), encoding="utf-8")
    if name != FABRIC:
        _host_files(name, paths, qemu_user)
    return config


def _config(name: str, paths: LabPaths, budget: Budget, binds: dict[str, str]) -> dict[str, Any]:
    """Return what hostinit.py and enter.py need to know."""
    folder = paths.host(name)
    where = cgroups.hierarchies()
    limited = cgroups.create(f"{paths.cgroup}/{name}", budget, where)
    if missing := cgroups.limits_missing(limited):
        message = f"No cgroup hierarchy limits {', '.join(missing)}, so hosts cannot be kept to their budget; enable it in the kernel."
        raise LabError(message)
    pairs: list[list[str]] = [[str(folder / part), target] for part, target in binds.items()]
    if name != FABRIC:
        pairs.append([str(folder / "hosts"), "/etc/hosts"])
        if (folder / "qemu").exists():
            pairs.append([str(folder / "qemu"), find("qemu-system-x86_64") or "/usr/bin/qemu-system-x86_64"])
    hidden = tuple(f"{target}/" for target in binds.values())
    return {
        "name": name,
        "log": str(folder / "init.log"),
        "host": {"name": name, "address": FABRIC_ADDRESSES[name], **dataclasses.asdict(budget)},
        "cgroup_folders": [str(path) for path in limited],
        "hierarchies": [{"mount": str(h.mount), "version": h.version, "options": list(h.options)} for h in where],
        "binds": pairs,
        "outside": list(OWN_FOLDERS) if name != FABRIC else [],
        "etc": None if name == FABRIC else [str(folder / part) for part in _ETC],
        "keep": [str(path) for path in (paths.home, PACKAGE_ROOT, Path(sys.prefix)) if str(path).startswith(hidden)],
        "folders": ["/run/lock", "/run/libvirt", "/var/log/libvirt/qemu"] if name != FABRIC else ["/run/lock"],
        "hugepages": name != FABRIC and _hugepages_folder(),
        "environment": {HOST_ID_VARIABLE: name, HOME_VARIABLE: str(paths.home)},
        "path": ["/run/hvqual/bin"],
    }


def _host_files(name: str, paths: LabPaths, qemu_user: str) -> None:
    """Write the configuration that is the lab's; what a user added beside it stays."""
    folder = paths.host(name)
    for part in _ETC:
        (folder / part).mkdir(exist_ok=True)
    (folder / _ETC[0] / "machine-id").write_text(f"{settings.machine_id(paths.lab_id, name)}\n", encoding="ascii")
    (folder / "tmp").chmod(0o1777)
    (folder / "var-tmp").chmod(0o1777)
    etc = folder / "etc-libvirt"
    networks = etc / "qemu" / "networks"
    (networks / "autostart").mkdir(parents=True, exist_ok=True)
    nwfilters = Path("/etc/libvirt/nwfilter")
    if nwfilters.is_dir() and not (etc / "nwfilter").exists():
        shutil.copytree(nwfilters, etc / "nwfilter")
    (etc / "libvirtd.conf").write_text(settings.libvirtd_conf(paths.lab_id, name), encoding="utf-8")
    (etc / "qemu.conf").write_text(settings.qemu_conf(name, qemu_user), encoding="utf-8")
    for network, xml in (("default", settings.default_network()), ("fabric", settings.fabric_network())):
        if not (networks / f"{network}.xml").exists():
            (networks / f"{network}.xml").write_text(xml, encoding="utf-8")
        link = networks / "autostart" / f"{network}.xml"
        if not link.is_symlink():
            link.symlink_to(f"/etc/libvirt/qemu/networks/{network}.xml")
    (folder / "hosts").write_text(settings.hosts_file(), encoding="utf-8")
    for shim, words in (("service", ("service",)), ("chkconfig", ("service", "none"))):
        program = folder / "run/hvqual/bin" / shim
        program.write_text(f'#!/bin/sh\nexec {shlex.join([*DAEMONS_COMMAND, *words])} "$@"\n', encoding="utf-8")
        program.chmod(0o755)


def place_qemu(name: str, paths: LabPaths, qemu: str | None) -> None:
    """Put a custom QEMU in the distribution's place, or take it away; what libvirt remembered of another one is forgotten."""
    wrapper = paths.host(name) / "qemu"
    text = settings.qemu_wrapper(qemu) if qemu else ""
    if wrapper.exists():
        wrapper.unlink()
    if qemu:
        wrapper.parent.mkdir(parents=True, exist_ok=True)
        wrapper.write_text(text, encoding="utf-8")
        wrapper.chmod(0o755)
        # It is as old as what it runs: save files of warm guests are good for the same QEMU in another lab, and for no other one.
        age = _put_there(qemu)
        os.utime(wrapper, ns=(age, age))
    note = paths.host(name) / "qemu.last"
    identity = f"{qemu} {_put_there(qemu)}" if qemu else ""
    if note.exists() and note.read_text(encoding="utf-8") != identity:
        shutil.rmtree(paths.host(name) / "var-cache-libvirt", ignore_errors=True)
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(identity, encoding="utf-8")


def _put_there(program: str) -> int:
    """Return when *program* was put where it is (ns); its own age may be that of another build, as a package gives all its files one."""
    return Path(program).stat().st_ctime_ns


def _hugepages_folder() -> bool:
    """Make /dev/hugepages, with a mark, where no service manager has made it; false where the kernel has no huge pages."""
    if "hugetlbfs" not in Path("/proc/filesystems").read_text(encoding="ascii").split():
        return False
    if not _HUGEPAGES.exists():
        _HUGEPAGES.mkdir()
        (_HUGEPAGES / _MARKER).touch()
    return True


def remove_hugepages_folder() -> None:
    """Remove /dev/hugepages if a lab made it and no other lab has it mounted (that would take the mount from under it)."""
    if not (_HUGEPAGES / _MARKER).exists():
        return
    for mountinfo in Path("/proc").glob("[0-9]*/mountinfo"):
        try:
            if f" {_HUGEPAGES} " in mountinfo.read_text(encoding="utf-8", errors="replace"):
                return
        except OSError:
            continue
    (_HUGEPAGES / _MARKER).unlink()
    _HUGEPAGES.rmdir()


def power_on(name: str, paths: LabPaths, budget: Budget, qemu: str | None, qemu_user: str) -> Node:
    """Start host *name* and return its processes once it has its namespaces, mounts and hostname."""
    if name != FABRIC:
        place_qemu(name, paths, qemu)
    config = prepare(name, paths, budget, qemu_user)
    line = [sys.executable, "-I", "-S", str(_INIT), "launch", str(config)]
    run = subprocess.run(
        line,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd="/",
        env=_environment(),
        timeout=_START_TIMEOUT,
        check=False,
    )
    launcher = Process.of(int(run.stdout)) if run.returncode == 0 else None
    ready, log = paths.host(name) / "run/hvqual/ready", paths.host(name) / "init.log"
    if launcher is not None:
        wait.until(
            lambda: ready.exists() or not launcher.alive(),
            _START_TIMEOUT,
            f"host '{name}' to start (see {log})",
            interval=0.01,
        )
        inner = [Process.of(pid) for pid in children(launcher.pid)]
        if launcher.alive() and len(inner) == 1 and inner[0] is not None:
            return Node(launcher, inner[0])
    msg = f"Host '{name}' of the lab did not start: {run.stderr.strip() or last_line(log)} See {log}."
    raise LabError(msg)


def _environment() -> dict[str, str]:
    """Return the environment of a host's first process: nothing of the caller's."""
    return {"PATH": os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin", "LC_ALL": "C.UTF-8"}


def last_line(path: Path) -> str:
    """Return the last line of a log, as a sentence."""
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n") if path.exists() else []
    said = [line.strip() for line in lines if line.strip()]
    return f"it said '{said[-1]}'." if said else "it said nothing."


def cut_power(name: str, node: Node | None, paths: LabPaths) -> None:
    """Kill the first process of host *name*, which takes everything in the host along, and wait until nothing is left."""
    if node is not None:
        inhabitants = [Process.of(pid) for pid in same_pid_namespace(node.init.pid)] if node.alive() else []
        node.init.kill()
        wait.until(
            lambda: not any(process and process.alive() for process in inhabitants),
            10,
            f"all of host '{name}' to end",
            0.01,
        )
        node.launcher.kill()
    cgroups.remove(f"{paths.cgroup}/{name}", cgroups.hierarchies())
