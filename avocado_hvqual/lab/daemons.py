# SPDX-License-Identifier: GPL-2.0-or-later
"""
The daemons of one lab host, started and asked from inside it; also what `service NAME VERB` means there.

A host has no service manager. Its first process is called ``init`` so that programs that look (avocado-vt does) take it for System V
init and call ``service`` and ``chkconfig``: both lead here by way of the PATH of whatever is executed in the host.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from avocado_hvqual import wait
from avocado_hvqual.errors import LabError
from avocado_hvqual.lab import settings
from avocado_hvqual.lab.tools import find

#: In the order in which they are started.
DAEMONS = {"virtlogd": ("-d",), "virtlockd": ("-d",), "libvirtd": ("-d", "--listen")}
NETWORKS = ("default", "fabric")
#: Who is not root and may use libvirt: the one whom the shipped description of a node names.
USER = "hvqual"
#: What libvirt's own unit file asks of a service manager: libvirtd is the last that the kernel kills when memory is short.
OOM_SCORE_ADJ = -999
_START_TIMEOUT = 20.0
_STOP_TIMEOUT = 15.0
#: Seconds in which a sound libvirtd answers a trivial question, however busy the machine.
_ANSWER_TIMEOUT = 10.0


def pid_of(name: str) -> int:
    """Return the process of daemon *name*, 0 if it does not run."""
    try:
        pid = int(Path(f"/run/{name}.pid").read_text(encoding="ascii"))
        comm = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
        zombie = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"
    except (OSError, ValueError):
        return 0
    return pid if comm == name and not zombie else 0


def virsh(*arguments: str, timeout: float = _ANSWER_TIMEOUT) -> str | None:
    """Return what virsh writes, None if it fails or libvirtd does not answer in time."""
    command = ["virsh", "-q", "-c", "qemu:///system", *arguments]
    try:
        run = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        return None
    return run.stdout if run.returncode == 0 else None


def answers(name: str) -> bool:
    """Whether daemon *name* runs and, for libvirtd, answers."""
    return bool(pid_of(name)) and (name != "libvirtd" or virsh("uri") is not None)


def protect(name: str) -> None:
    """Keep the OOM killer off daemon *name* where the kernel lets us (CAP_SYS_RESOURCE); `lab status` tells where it does not."""
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid_of(name)}/oom_score_adj").write_text(str(OOM_SCORE_ADJ), encoding="ascii")


def start(name: str) -> None:
    """Start daemon *name* unless it runs, and wait until it answers; raises `LabError` or `wait.WaitTimeoutError`."""
    log = Path(f"/var/log/libvirt/{name}.start")
    if not pid_of(name):
        environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": "/root", "LC_ALL": "C.UTF-8"}
        command = [find(name) or name, *DAEMONS[name]]
        with log.open("wb") as stream:
            run = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, env=environment, cwd="/", check=False
            )
        if run.returncode != 0 and not pid_of(name):
            said = log.read_text(encoding="utf-8", errors="replace").strip()
            message = f"{name} ended with status {run.returncode} when it was started: {said or 'it said nothing'}."
            raise LabError(message)
    wait.until(lambda: answers(name), _START_TIMEOUT, f"{name} to answer (see {log} in the host)")
    if name == "libvirtd":
        protect(name)


def stop(name: str) -> None:
    """End daemon *name*, by force if it does not heed SIGTERM."""
    pid = pid_of(name)
    for number, patience in ((signal.SIGTERM, _STOP_TIMEOUT), (signal.SIGKILL, _STOP_TIMEOUT)):
        if not pid_of(name):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        with contextlib.suppress(wait.WaitTimeoutError):
            wait.until(lambda: not pid_of(name), patience, f"the end of {name}")


def kill(name: str) -> None:
    """End daemon *name* at once: it does not answer."""
    pid = pid_of(name)
    if pid:
        os.kill(pid, signal.SIGKILL)
        wait.until(lambda: not pid_of(name), _STOP_TIMEOUT, f"the end of {name}")


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Let one program at a time start or stop daemons: an `up` that was killed may have left another behind."""
    with Path("/run/hvqual/daemons.lock").open("a", encoding="ascii") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def ensure() -> None:
    """Start what does not run, replace a libvirtd that does not answer, and start the networks."""
    if pid_of("libvirtd") and not answers("libvirtd"):
        kill("libvirtd")
    for name in DAEMONS:
        start(name)
    for network in NETWORKS:
        with contextlib.suppress(wait.WaitTimeoutError):
            # libvirtd starts them by itself soon after its own start.
            wait.until(lambda network=network: active(network), 1.0, f"network {network}", interval=0.02)  # type: ignore[misc]
        if not active(network):
            virsh("net-start", network)
        wait.until(lambda network=network: active(network), 10.0, f"network {network} to be active")  # type: ignore[misc]
    add_user()


def add_user() -> None:
    """Make the user who is not root and works with libvirt, as `node prepare` does on a node; never in the machine's own /etc."""
    own_etc = any(line.split()[1:3] == ["/etc", "overlay"] for line in Path("/proc/mounts").read_text().splitlines())
    group = settings.socket_group()
    if not own_etc or group == "root":
        return
    with contextlib.suppress(KeyError):
        pwd.getpwnam(USER)
        return
    command = [find("useradd") or "useradd", "--no-create-home", "--groups", group, USER]
    run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        message = f"The user '{USER}' could not be made in the host: {run.stderr.strip()}"
        raise LabError(message)


def active(network: str) -> bool:
    """Whether libvirt's *network* is active."""
    return network in (virsh("net-list", "--name") or "").split()


def service(name: str, verb: str = "status") -> int:
    """Return the exit status of *verb* applied to daemon *name*, as the program of that name would; there are no other services."""
    name = name.removesuffix(".service")
    if name not in DAEMONS:
        sys.stderr.write(f"{name}: unrecognized service\n")
        return 1
    verbs: dict[str, tuple[Callable[[str], None], ...]] = {"start": (start,), "stop": (stop,), "restart": (stop, start)}
    if verb in verbs:
        for step in verbs[verb]:
            step(name)
        return 0
    pid = pid_of(name)
    sys.stdout.write(f"{name} is running (pid {pid}).\n" if pid else f"{name} is not running.\n")
    return 0 if pid else 3


def main(arguments: list[str]) -> int:
    """Return the exit status of ``ensure`` or ``service NAME VERB``."""
    try:
        with one_at_a_time():
            if arguments == ["ensure"]:
                ensure()
                return 0
            return service(*arguments[1:3])
    except (wait.WaitTimeoutError, LabError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
