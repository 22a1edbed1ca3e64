# SPDX-License-Identifier: GPL-2.0-or-later
"""A test guest of a deep check: started through libvirt, spoken to through its agent, gone with the connection that made it."""

from __future__ import annotations

import base64
import contextlib
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from avocado_hvqual import wait

_ANSWER_S = 5
_ADDRESS_S = 40.0
_COMMAND_S = 30.0


def loose_wires(xml: str, net: Path = Path("/sys/class/net")) -> str:
    """
    Return a sentence for each wire of a running guest that is not in the bridge where libvirt put it; empty when all are.

    systemd-networkd (252) takes each interface that one of its .network files matches, and with it the wire out of its bridge.
    """
    told = ""
    for card in ET.fromstring(xml).iter("interface"):  # noqa: S314 - from the node's own libvirtd
        source, target = card.find("source"), card.find("target")
        bridge = "" if source is None else source.get("bridge", "")
        wire = "" if target is None else target.get("dev", "")
        switched = card.find("virtualport") is not None  # Open vSwitch keeps its ports in no bridge of the kernel's
        if bridge and wire and not switched and (net / wire / "master").resolve().name != bridge:
            told += f" Its wire {wire} is not in the bridge {bridge}: something on this host took it out ('networkctl status {wire}')."
    return told


class GuestError(Exception):
    """Raised when a guest cannot be started, does not come up, or gets no address; the text is a sentence."""


class Guest:
    """One running guest. Its first network card is eth0."""

    def __init__(self, connection: Any, name: str, xml: str) -> None:
        """Start the guest; it dies with the connection, however this process ends."""
        import libvirt

        self.name = name
        self._libvirt = libvirt
        try:
            self._domain = connection.createXML(xml, libvirt.VIR_DOMAIN_START_AUTODESTROY)
        except libvirt.libvirtError as error:
            message = f"libvirt did not start the guest '{name}': {error}"
            raise GuestError(message) from error

    @property
    def mac(self) -> str:
        """The address of its first network card."""
        return str(self._domain.XMLDesc(0)).split("<mac address='")[1].split("'")[0]

    def _ask(self, command: str, **arguments: Any) -> Any:
        import libvirt_qemu  # type: ignore[import-untyped]

        request = {"execute": command, "arguments": arguments} if arguments else {"execute": command}
        return json.loads(libvirt_qemu.qemuAgentCommand(self._domain, json.dumps(request), _ANSWER_S, 0))["return"]

    def _answers(self) -> bool:
        try:
            self._ask("guest-ping")
        except self._libvirt.libvirtError:
            if not self._domain.isActive():
                message = f"The guest '{self.name}' ended while it was booting."
                raise GuestError(message) from None
            return False
        return True

    def wait_up(self, seconds: float) -> None:
        """Return when the guest's agent answers."""
        try:
            wait.until(self._answers, seconds, f"the agent of the guest '{self.name}'", interval=0.3)
        except wait.WaitTimeoutError as error:
            raise GuestError(str(error)) from error

    def run(self, script: str) -> tuple[int, str]:
        """Run a script in the guest's shell; return its status and what it wrote."""
        words = {"path": "/usr/bin/busybox", "arg": ["sh", "-c", f"exec 2>&1; {script}"], "capture-output": True}
        try:
            pid = self._ask("guest-exec", **words)["pid"]
            told = wait.until(lambda: self._ended(pid), _COMMAND_S, f"'{script}' in '{self.name}'", interval=0.1)
        except (self._libvirt.libvirtError, wait.WaitTimeoutError) as error:
            message = f"The guest '{self.name}' did not do what it was told: {error}"
            raise GuestError(message) from error
        written = base64.b64decode(told.get("out-data", "")).decode("utf-8", "replace")
        return int(told.get("exitcode", -1)), written

    def _ended(self, pid: int) -> Any:
        told = self._ask("guest-exec-status", pid=pid)
        return told if told["exited"] else None

    def take(self, address: str, gateway: str) -> str:
        """Give the guest an address 'ADDRESS/PREFIX' of its own and return it without the prefix."""
        default = f"ip route replace default via {gateway} dev eth0; " if gateway else ""
        script = f"killall udhcpc; ip addr flush dev eth0; ip addr add {address} dev eth0; ip link set eth0 up; {default}true"
        self.run(script)
        return address.partition("/")[0]

    def leased(self) -> str:
        """Return the address that the guest was given, once it has one."""
        try:
            return wait.until(self._address, _ADDRESS_S, f"an address for the guest '{self.name}'", interval=0.3)
        except wait.WaitTimeoutError as error:
            message = f"{error}{loose_wires(str(self._domain.XMLDesc(0)))}"
            raise GuestError(message) from error

    def _address(self) -> str:
        words = self.run("ip -o -4 addr show dev eth0")[1].split()
        return words[words.index("inet") + 1].partition("/")[0] if "inet" in words else ""

    def end(self) -> None:
        """End the guest now, and not a moment after the connection."""
        with contextlib.suppress(self._libvirt.libvirtError):
            self._domain.destroy()

    def release(self) -> None:
        """Give the lease back, so that none is left behind."""
        self.run("killall -USR2 udhcpc; sleep 0.3; true")
