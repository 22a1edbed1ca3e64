# SPDX-License-Identifier: GPL-2.0-or-later
"""One guest of the micro image under a bare QEMU: no libvirt, no avocado-vt's VM object, no lab."""

import contextlib
import json
import shlex
import socket
from pathlib import Path

import aexpect
from aexpect import remote

from avocado_hvqual.wait import until
from provider.hvqual import accelerator
from provider.hvqual.domain_xml import TCG_BOOT, TCG_MODEL
from provider.hvqual.heartbeat import PORT_NAME, SERIAL, Observer

QEMU = "qemu-system-x86_64"
AGENT_NAME = "org.qemu.guest_agent.0"
NAME = "hvq-bare"
MIB = 1024 * 1024
READY = 120
"""Seconds in which a guest has to be there on any machine; how long it takes is no matter of these tests."""


def free_port():
    """Return a UDP port of loopback that nobody uses."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        any_socket.bind(("127.0.0.1", 0))
        return any_socket.getsockname()[1]


class Talk:
    """A unix socket on which each side says JSON, a line at a time: QEMU's monitor, or the guest agent."""

    def __init__(self, path):
        """Connect to *path*."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(READY)
        self._socket.connect(str(path))
        self._lines = self._socket.makefile("rb")

    def ask(self, command, **arguments):
        """Return what *command* answers, past all events that come before."""
        self._socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        for line in self._lines:
            told = json.loads(line)
            if "return" in told or "error" in told:
                assert "error" not in told, told
                return told["return"]
        msg = f"QEMU hung up instead of answering '{command}'."
        raise AssertionError(msg)

    def await_event(self, name):
        """Return the first event *name* that comes from now on."""
        for line in self._lines:
            told = json.loads(line)
            if told.get("event") == name:
                return told
        msg = f"QEMU hung up before '{name}' came."
        raise AssertionError(msg)

    def close(self):
        """Hang up."""
        self._lines.close()
        self._socket.close()


class BareGuest:
    """A running guest with a console, a monitor, the agent's channel and an observer of its heartbeats."""

    def __init__(self, image, folder, observer, port):
        """Start QEMU; nothing is waited for."""
        self.image, self.folder, self.observer = image, folder, observer
        observer.watch(NAME, str(folder / "heartbeat"))
        self.console = aexpect.ShellSession(
            shlex.join(self._line(port)), prompt=image.prompt, linesep="\n", status_test_command="echo $?"
        )

    def _line(self, port):
        kind = accelerator.probe(QEMU).accelerator
        # As the cases start their guests.
        model, boot = (TCG_MODEL, TCG_BOOT) if kind == "tcg" else ("host", "")
        return [
            *(QEMU, "-nodefaults", "-display", "none", "-name", NAME, "-cpu", model),
            *("-machine", f"q35,accel={kind}"),
            *("-smp", "1,maxcpus=4", "-m", "256M,slots=4,maxmem=1G"),
            *("-kernel", str(self.image.kernel), "-initrd", str(self.image.initrd)),
            *("-append", f"{self.image.cmdline}{boot} hv.vm={NAME} hv.udp={port}"),
            *("-serial", "stdio", "-qmp", f"unix:{self.folder}/monitor,server=on,wait=off"),
            *("-netdev", "user,id=net,restrict=off", "-device", "virtio-net-pci,netdev=net"),
            *("-drive", f"file={self.folder}/disk.raw,format=raw,if=virtio"),
            *("-device", "virtio-serial-pci", "-device", "virtio-rng-pci"),
            *self._channel("agent", AGENT_NAME),
            *self._channel("heartbeat", PORT_NAME),
        ]

    def _channel(self, file, name):
        device = f"virtserialport,chardev={file},name={name}"
        return ("-chardev", f"socket,id={file},path={self.folder}/{file},server=on,wait=off", "-device", device)

    def log_in(self):
        """Log in on the first serial line, as a user does."""
        remote.handle_prompts(self.console, self.image.login_user, self.image.password, self.image.prompt, READY)

    def say(self, command):
        """Return what a command prints inside; it has to end with 0."""
        status, output = self.console.cmd_status_output(command, timeout=READY)
        assert status == 0, f"'{command}' ended with {status}: {output}"
        return output

    def facts(self, command):
        """Return the key=value lines that a command prints inside."""
        return dict(line.split("=", 1) for line in self.say(command).splitlines() if "=" in line)

    @contextlib.contextmanager
    def monitor(self):
        """Talk with QEMU, past its greeting."""
        with contextlib.closing(Talk(self.folder / "monitor")) as talk:
            talk.ask("qmp_capabilities")
            yield talk

    @contextlib.contextmanager
    def agent(self):
        """Talk with the agent inside."""
        with contextlib.closing(Talk(self.folder / "agent")) as talk:
            yield talk

    def beats(self, channel=SERIAL, since=0.0):
        """Return the heartbeats on a channel received after *since* (monotonic seconds)."""
        return self.observer.beats(NAME, channel, since)

    def await_beat(self, channel, since=0.0):
        """Return the first heartbeat on a channel after *since*."""
        until(lambda: self.beats(channel, since), READY, f"a heartbeat on {channel}")
        return self.beats(channel, since)[0]


@contextlib.contextmanager
def running(image, folder):
    """Hold a guest with a disk of 8 MiB for the length of the block; at its end no process of it is left."""
    folder = Path(folder)
    (folder / "disk.raw").write_bytes(b"\0" * 8 * MIB)
    port = free_port()
    with Observer("127.0.0.1", port) as observer:
        guest = BareGuest(image, folder, observer, port)
        try:
            yield guest
        finally:
            guest.console.close()
