# SPDX-License-Identifier: GPL-2.0-or-later
"""A command inside a host that is attended to its end, so that somebody is left to speak when the host loses its power."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Sequence

from avocado_hvqual import wait
from avocado_hvqual.errors import LabError
from avocado_hvqual.lab import inside
from avocado_hvqual.lab.paths import LabPaths, home
from avocado_hvqual.lab.processes import children
from avocado_hvqual.lab.state import Node
from avocado_hvqual.lab.tools import find

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_POWER_SECONDS = 5.0
_KILLED = 128


class PowerLostError(LabError):
    """Raised when the host lost its power while the command ran."""


def attend(name: str, arguments: Sequence[str]) -> int:
    """
    Run the command inside host *name* with this process's terminal and return its exit status (128 and the signal that killed it).

    It stands in a process group of its own and gets each ending signal once, from here: of nsenter and the command, a terminal's
    Ctrl-C would end the first before the second has put the host in order. It gets SIGTERM when this process dies.
    """
    paths = LabPaths(home())
    host = inside.node(name, paths)
    line = [find("setpriv") or "setpriv", "--pdeathsig", "TERM", *inside.enter_command(host, name, arguments, paths)]
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {*ENDING, signal.SIGCHLD})
    try:
        pid = os.posix_spawnp(line[0], line, dict(os.environ), setpgroup=0, setsigmask=before)
        status = _wait(pid)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    if status == -signal.SIGKILL and _lost(host):
        message = f"The host '{name}' lost its power while a command ran in it."
        raise PowerLostError(message)
    return status if status >= 0 else _KILLED - status


def _wait(pid: int) -> int:
    """Return how process *pid* ended, handing on what asks us to end."""
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        told = signal.sigwait({*ENDING, signal.SIGCHLD})
        if told in ENDING:
            # The command is nsenter's child: it shares no pid namespace with us, but is seen from here.
            for process in children(pid) or [pid]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, told)


def _lost(host: Node) -> bool:
    """Return whether the host's first process is gone: with it everything in the host was killed, a killed command alone is not that."""
    try:
        wait.until(lambda: not host.alive(), _POWER_SECONDS, "the end of the host")
    except wait.WaitTimeoutError:
        return False
    return True
