# SPDX-License-Identifier: GPL-2.0-or-later
"""
The outside world, as far as a guest's NAT is concerned: a namespace on this host that knows no way back to the guests.

Whoever is answered from there has been translated. It lives as long as one child of ours, which dies with us; its wire dies with it.
"""

from __future__ import annotations

import ctypes
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from avocado_hvqual import wait

#: Of the addresses set aside for documentation: nobody's.
HERE, THERE, PREFIX = "192.0.2.1", "192.0.2.2", 30
_WIRE, _END = "hvqprep0", "hvqprep1"
_PR_SET_PDEATHSIG = 1
_TIMEOUT_S = 10.0


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _ip(*words: str) -> None:
    subprocess.run(
        ["ip", *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True
    )


@contextmanager
def outside() -> Iterator[str]:
    """Lend the address of a host outside; OSError, CalledProcessError or WaitTimeoutError when it cannot be made."""
    child = subprocess.Popen(
        ["unshare", "--net", "cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        preexec_fn=_die_with_parent,  # noqa: PLW1509 - one thread, one call of the C library
    )
    try:
        ours = Path("/proc/self/ns/net").readlink()
        link = Path(f"/proc/{child.pid}/ns/net")
        wait.until(lambda: link.readlink() != ours, _TIMEOUT_S, "a network namespace of our own", interval=0.01)
        _ip("link", "add", _WIRE, "type", "veth", "peer", "name", _END, "netns", str(child.pid))
        _ip("addr", "add", f"{HERE}/{PREFIX}", "dev", _WIRE)
        _ip("link", "set", _WIRE, "up")
        within = ["nsenter", "--target", str(child.pid), "--net", "--", "ip"]
        for words in (["addr", "add", f"{THERE}/{PREFIX}", "dev", _END], ["link", "set", _END, "up"]):
            subprocess.run([*within, *words], capture_output=True, text=True, timeout=_TIMEOUT_S, check=True)
        yield THERE
    finally:
        child.kill()
        child.wait()
        # The kernel takes the wire away a moment after its namespace. /sys may be that of another namespace: it is not asked.
        wait.until(
            lambda: _WIRE not in {name for _number, name in socket.if_nameindex()}, _TIMEOUT_S, f"the end of {_WIRE}"
        )
