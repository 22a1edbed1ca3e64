# SPDX-License-Identifier: GPL-2.0-or-later
"""One micro guest in a host of the lab, driven with virsh and dbclient from inside that host; its heartbeats are received here."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import threading
import time
from pathlib import Path

from avocado_hvqual import lab, wait
from avocado_hvqual.lab.paths import LabPaths

BEAT = re.compile(r"^(HB[12]) (\S+) (\S+) (\d+) (\d+)$")
LISTENER = """
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", int(sys.argv[1])))
while True:
    line = s.recvfrom(2048)[0].decode().strip()
    print(time.monotonic(), line, flush=True)
"""


def in_host(host, *command, timeout=60.0, check=True, text_input=None):
    run = lab.execute(host, list(command), timeout=timeout, capture=True, text_input=text_input)
    if check:
        assert run.returncode == 0, f"{command}: status {run.returncode}, {run.stdout} {run.stderr}"
    return run.stdout


class MicroGuest:
    def __init__(
        self, home: Path, host: str, name: str, udp: int = 5610, network: str = "default", disk: str | None = None
    ):
        self.home, self.host, self.name, self.udp, self.network, self.disk = home, host, name, udp, network, disk
        self.image = home / "images" / "micro"
        self.manifest = json.loads((self.image / "manifest.json").read_text())
        self.beats: dict[str, list[tuple[float, str, int, int]]] = {"HB1": [], "HB2": []}
        self._threads: list[threading.Thread] = []
        self._listener: subprocess.Popen[str] | None = None
        self._stop = threading.Event()

    def xml(self) -> str:
        disk = ""
        if self.disk:
            disk = f"""<disk type='file' device='disk'><driver name='qemu' type='raw' cache='none'/><source file='{self.disk}'/>
            <target dev='vda' bus='virtio'/></disk>"""
        return f"""<domain type='qemu'>
  <name>{self.name}</name>
  <maxMemory slots='4' unit='MiB'>1024</maxMemory>
  <memory unit='MiB'>256</memory>
  <vcpu current='1'>2</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type>
    <kernel>{self.image / self.manifest["kernel"]}</kernel><initrd>{self.image / self.manifest["initrd"]}</initrd>
    <cmdline>{self.manifest["cmdline"]} hv.vm={self.name} hv.udp={self.udp}</cmdline></os>
  <features><acpi/><apic/></features>
  <cpu mode='custom' match='exact' check='none'><model fallback='forbid'>qemu64</model>
    <numa><cell id='0' cpus='0-1' memory='256' unit='MiB'/></numa></cpu>
  <on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot><on_crash>destroy</on_crash>
  <devices>
    <controller type='pci' model='pcie-root'/>{"<controller type='pci' model='pcie-root-port'/>" * 12}
    <controller type='usb' model='none'/><controller type='virtio-serial'/>{disk}
    <interface type='network'><source network='{self.network}'/><model type='virtio'/><rom enabled='no'/></interface>
    <serial type='pty'><log file='/var/log/libvirt/qemu/{self.name}-serial.log' append='off'/><target port='0'/></serial>
    <console type='pty'><target type='serial' port='0'/></console>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <channel type='unix'><source mode='bind' path='{self.inner_socket}'/>
      <target type='virtio' name='org.avocado-hvqual.witness.0'/></channel>
    <memballoon model='virtio'/><rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
  </devices>
</domain>"""

    @property
    def inner_socket(self) -> str:
        return f"/run/{self.name}.sock"

    @property
    def console(self) -> str:
        path = LabPaths(self.home).host(self.host) / "var-log-libvirt/qemu" / f"{self.name}-serial.log"
        return path.read_text(errors="replace")

    def start(self) -> None:
        definition = LabPaths(self.home).shared / f"{self.name}.xml"
        definition.write_text(self.xml())
        in_host(self.host, "virsh", "create", str(definition))

    def listen_udp(self, host: str | None = None) -> None:
        line = lab.command(host or self.host, ["python3", "-c", LISTENER, str(self.udp)])
        self._listener = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
        self._thread(self._read_udp)

    def listen_serial(self) -> None:
        self._thread(self._read_serial)

    def _thread(self, target) -> None:
        thread = threading.Thread(target=target, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _read_udp(self) -> None:
        assert self._listener
        assert self._listener.stdout
        for line in self._listener.stdout:
            self._keep(line.partition(" ")[2].strip(), float(line.split()[0]))

    def _read_serial(self) -> None:
        folder = os.open(LabPaths(self.home).host(self.host) / "run", os.O_PATH)
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(f"/proc/self/fd/{folder}/{self.name}.sock")
        os.close(folder)
        connection.settimeout(0.5)
        rest = b""
        with connection:
            while not self._stop.is_set():
                try:
                    data = connection.recv(65536)
                except socket.timeout:
                    continue
                if not data:
                    return
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    self._keep(line.decode(), time.monotonic())

    def _keep(self, line: str, stamp: float) -> None:
        match = BEAT.match(line)
        if match and match.group(2) == self.name:
            self.beats[match.group(1)].append((stamp, match.group(3), int(match.group(4)), int(match.group(5))))

    def wait_beats(self, channel: str, more: int = 5, timeout: float = 60.0) -> bool:
        """Return whether so many beats more came; WaitTimeoutError, which says which, when they did not."""
        before = len(self.beats[channel])
        return wait.until(
            lambda: len(self.beats[channel]) >= before + more, timeout, f"{more} heartbeats {channel} of {self.name}"
        )

    def agent(self, execute: str, timeout: float = 60.0) -> str:
        def asked() -> str:
            run = lab.execute(
                self.host,
                ["virsh", "qemu-agent-command", self.name, json.dumps({"execute": execute})],
                capture=True,
                timeout=30,
            )
            return run.stdout if run.returncode == 0 else ""

        return wait.until(asked, timeout, f"the agent of {self.name} to answer {execute}", interval=0.3)

    def address(self) -> str:
        lines = in_host(self.host, "virsh", "-q", "domifaddr", self.name)
        return re.findall(r"(\d+\.\d+\.\d+\.\d+)/", lines)[0]

    def ssh(self, command: str) -> str:
        password = (self.image / "password").read_text().strip()
        line = lab.command(self.host, ["dbclient", "-y", "-y", f"root@{self.address()}", command])
        environment = {**os.environ, "DROPBEAR_PASSWORD": password}
        run = subprocess.run(
            line, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment, timeout=60, check=False
        )
        assert run.returncode == 0, f"{command}: status {run.returncode}, {run.stdout} {run.stderr}"
        return run.stdout

    def witness(self, *words: str) -> dict[str, str]:
        text = self.ssh(f"/usr/sbin/hv-witness {' '.join(words)}")
        return dict(line.split("=", 1) for line in text.splitlines())

    def running(self) -> bool:
        return self.name in in_host(self.host, "virsh", "-q", "list", "--name").split()

    def stop(self) -> None:
        self._stop.set()
        if self.running():
            in_host(self.host, "virsh", "destroy", self.name)
        if self._listener:
            self._listener.kill()
            self._listener.communicate()
        for thread in self._threads:
            thread.join(5)
