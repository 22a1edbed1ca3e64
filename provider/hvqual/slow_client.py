# SPDX-License-Identifier: GPL-2.0-or-later
"""
Who keeps a virsh waiting that does not end: libvirtd, which still works on the domain, or virsh itself.

virsh of libvirt 9.0 waits for ever when its worker thread is done before its own loop begins: 'managedsave' that is refused at once, six
at a time on two busy CPUs, 19 of 6600. Its worker has ended then, its main thread polls, and libvirtd has no job on the domain.
"""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import Any, Optional, Protocol

import libvirt
from provider.hvqual import host_process

# How much of the time limit has gone before somebody looks: what comes so late hardly ends by itself, and is still there to be seen.
LATE = 0.9
PATIENCE = 2.0
# What a virsh has that only waits: its main thread and the one for events. One that asks libvirtd for a job has a third.
WAITING = {"virsh", "vshEventLoop"}


class Truth(Protocol):
    """A connection to libvirtd (libvirt_truth.Libvirt)."""

    def lookup(self, name: str) -> Any:
        """Return libvirt-python's domain, None when there is none."""


class Look:
    """A look at virsh and at libvirtd's job, late in the time that an operation on the domain *name* has; a with-block around it."""

    def __init__(self, truth: Truth, name: str, limit: float) -> None:
        """Look when most of *limit* (s) has gone, unless the block has ended by then."""
        self._truth, self._name = truth, name
        self._timer = threading.Timer(limit * LATE, self._look)
        self._timer.daemon = True
        #: Whether libvirtd works on the domain; None as long as it has not said so.
        self.job: Optional[bool] = None
        self.why_unknown = "libvirtd does not answer"
        self.threads: list[str] = []

    def __enter__(self) -> Look:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._timer.join(PATIENCE)

    @property
    def nobody_works(self) -> bool:
        """Whether all that was seen says so: a domain that is there and has no job, a virsh that is there and has no worker."""
        return self.job is False and bool(self.threads) and set(self.threads) <= WAITING

    @property
    def text(self) -> str:
        """What was seen, as a sentence."""
        if self.job is None:
            told = f"It is not known whether libvirtd works on it: {self.why_unknown}"
        else:
            told = "libvirtd still works on it" if self.job else "libvirtd has no job on it"
        return f"{told}; virsh's threads are: {', '.join(self.threads) or 'none'}."

    def _look(self) -> None:
        self.threads = threads_of("virsh", self._name)
        try:
            domain = self._truth.lookup(self._name)
            # Not a job itself, so that it is answered while there is one; refused of one that is off, which has none.
            if domain is None:
                self.why_unknown = "libvirtd knows no such domain"
                return
            self.job = bool(domain.isActive() and domain.jobInfo()[0] != libvirt.VIR_DOMAIN_JOB_NONE)
        except libvirt.libvirtError as error:
            self.why_unknown = str(error)


def threads_of(program: str, word: str) -> list[str]:
    """Return the names of the threads of each process of *program* that was given *word* as an argument."""
    found: list[str] = []
    for folder, argv in host_process.commands():
        if argv and Path(argv[0]).name == program and word in argv:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                found += [(task / "comm").read_text().strip() for task in sorted(folder.glob("task/*"))]
    return found
