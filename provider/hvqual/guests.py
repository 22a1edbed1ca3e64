# SPDX-License-Identifier: GPL-2.0-or-later
"""
The guests of a case: avocado-vt VM objects that the case makes, owns and removes (decision 16).

avocado-vt fixes ``vms`` when the cfg is parsed and destroys what it does not know, so no domain of ours is in ``vms``.
"""

from __future__ import annotations

import os
import shlex
import time
from pathlib import Path
from typing import Any, Optional

import aexpect
from avocado.core.exceptions import TestError, TestFail
from avocado.utils import process

from provider.hvqual import conversation, login, neighbours
from provider.hvqual.domain_xml import Place, Spec
from provider.hvqual.heartbeat import NETWORK, SERIAL, Observer
from provider.hvqual.images import Image
from provider.hvqual.params import Guests
from provider.hvqual.record import Record
from provider.hvqual.stalled import Monitor
from provider.hvqual.wait import WaitTimeoutError, until
from provider.hvqual.witness import Witness

ASK_TIMEOUT = 20
MIB = 1024 * 1024


class Guest:
    """One VM: its model, the avocado-vt object that drives it, its witness."""

    def __init__(self, spec: Spec, image: Image, place: Place, wanted: Guests) -> None:
        """Describe the guest; nothing exists on the node yet."""
        self.spec, self.image, self.place, self.wanted = spec, image, place, wanted
        self.name = spec.name
        self.vm: Any = None
        self.observer: Optional[Observer] = None
        # Who asks its QEMU, below all that a case does with the guest.
        self.monitor: Optional[Monitor] = None
        self._witness: Optional[Witness] = None
        self._session: Any = None
        self.logins = 0
        # Whether the steps left the guest running: one that is not there any more then died by itself.
        self.on = False
        # What its definition says while it runs as something else (edited, or something was plugged): its model from its next start on.
        self.edited: Optional[Spec] = None

    def join(self, vm: Any, observer: Observer, record: Record, monitor: Monitor) -> None:
        """Take the avocado-vt object, the observer and the monitor of this guest, once it is defined."""
        self.vm, self.observer, self.monitor = vm, observer, monitor
        observer.watch(self.name, self.place.heartbeat)
        self._witness = Witness(self, observer, record)

    def becomes(self, now: Spec) -> None:
        """Take *now* as the model until the guest is off: something was plugged that its definition does not know."""
        self.edited = self.edited or self.spec
        self.spec = now

    def take_up(self) -> None:
        """Let the model of a guest that is off be its definition's: what it ran as is gone."""
        if self.edited is not None and not self.on:
            self.spec, self.edited = self.edited, None

    @property
    def witness(self) -> Witness:
        """The guest's witness."""
        if self._witness is None:
            message = f"The guest '{self.name}' was not joined yet; this is a fault of the test."
            raise TestError(message)
        return self._witness

    def ask(self, command: str) -> str:
        """
        Return the output of *command* in the guest, over one ssh session that is made anew once when it broke.

        TestFail when the guest does not answer or the command fails: a guest that is up answers.
        """
        for last in (False, True):
            session = self._session or self._login()
            self._session = session
            try:
                status, output = conversation.ask(session, command, ASK_TIMEOUT)
            except aexpect.ExpectError as error:
                self.hang_up()
                if last or self._silent():
                    message = f"The guest '{self.name}' did not answer '{command}': {type(error).__name__}."
                    raise TestFail(message) from None
                continue
            if status:
                message = f"'{command}' failed in the guest '{self.name}' (status {status}): {output[-400:]!r}"
                raise TestFail(message)
            return output
        message = "unreachable"
        raise AssertionError(message)

    def _silent(self) -> bool:
        """Whether the guest showed no life at all for as long as it had to answer: to log in anew would only cost minutes."""
        if self.observer is None:
            return False
        since = time.monotonic() - ASK_TIMEOUT
        return not any(self.observer.beats(self.name, way, since) for way in (SERIAL, NETWORK))

    def hang_up(self) -> None:
        """Close the session to the guest, if there is one."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def _login(self) -> Any:
        """Log in over ssh at the address from which the guest's heartbeats come."""
        address = self._reach()
        self.logins += 1
        user, password, timeout = self.image.login_user, self.image.password, self.wanted.login_timeout
        try:
            return login.log_in(self.vm, address, user, password, timeout)
        except aexpect.remote.LoginError as error:
            message = f"The guest '{self.name}' lets nobody log in: {error}"
            raise TestFail(message) from None

    def _reach(self) -> str:
        """
        Return where the guest is and tell avocado-vt too, once ssh answers there.

        Its first interface is for avocado-vt the one that has the address.
        """
        observer = self.observer
        if observer is None:
            message = f"The guest '{self.name}' was not joined yet; this is a fault of the test."
            raise TestError(message)
        longest = self.wanted.login_timeout
        try:
            address = until(lambda: observer.address(self.name), longest, f"'{self.name}' on the network")
        except WaitTimeoutError as error:
            message = f"No packet of the guest '{self.name}' reached the host. {error}"
            raise TestFail(message) from None
        port = int(self.vm.params["shell_port"])
        try:
            mac = until(lambda: neighbours.answering(address, port), longest, f"an answer of {address} at port {port}")
        except WaitTimeoutError as error:
            message = f"The guest '{self.name}' lets nobody log in. {error}"
            raise TestFail(message) from None
        if mac not in self.spec.macs:
            message = f"'{self.name}' speaks from {address}, but {mac} answers there, which is none of its interfaces."
            raise TestFail(message)
        self.vm.virtnet[0]["mac"] = mac
        self.vm.address_cache[mac] = address
        return address


def make_disks(spec: Spec) -> None:
    """
    Make the guest's sparse disks, none of which may be there yet.

    TestError with the mend when one cannot be made; qemu-img makes what is not raw.
    """
    for disk in spec.disks:
        try:
            with Path(disk.path).open("xb") as file:
                if disk.format == "raw":
                    os.truncate(file.fileno(), disk.mib * MIB)
            if disk.format != "raw":
                process.run(f"qemu-img create -q -f {disk.format} {shlex.quote(disk.path)} {disk.mib}M", timeout=60)
        except (OSError, process.CmdError) as error:
            message = (
                f"The disk '{disk.path}' of {disk.mib} MiB cannot be made: {error}. Make room, or give hv_disk_folder."
            )
            raise TestError(message) from None
