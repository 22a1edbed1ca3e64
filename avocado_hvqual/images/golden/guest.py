# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest of a disk image, started by QEMU itself for a proof: no libvirt, no privileges, traffic on loopback only."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from avocado_hvqual.errors import ImageError
from avocado_hvqual.health.patterns import PATTERNS
from avocado_hvqual.images.golden.wire import Agent, Line, Monitor
from avocado_hvqual.node import run_program
from avocado_hvqual.wait import WaitTimeoutError, until

#: Boots fastest under emulation of those that a current distribution runs on.
_TCG_CPU = "Nehalem"
BOOT_SECONDS = 240.0
_STOP_SECONDS = 90.0
#: By what its kernel says, a guest is dead or will not answer; seen: Debian 13's kernel under QEMU 7.2.22 without KVM.
_DEATHS = ("host-panic", "host-lockup")
SOCKETS = ("console", "qmp", "agent", "witness")


@dataclass(frozen=True)
class Direct:
    """A kernel, initrd and command line that QEMU loads itself."""

    kernel: Path
    initrd: Path
    cmdline: str


@dataclass(frozen=True)
class Wanted:
    """A guest: *network* holds QEMU's words for a network backend ``n0``; *direct* is None for the disk's own boot loader."""

    name: str
    disk: Path
    format: str
    mac: str
    network: tuple[str, ...]
    direct: Optional[Direct] = None
    qemu: str = "qemu-system-x86_64"
    accelerator: str = "tcg"
    memory_mib: int = 1024
    cpus: int = 2


@dataclass
class Guest:
    """A started guest and its lines; *began* is when QEMU was started (monotonic clock)."""

    wanted: Wanted
    process: subprocess.Popen[bytes]
    monitor: Monitor
    console: Line
    agent: Agent
    witness: Line
    began: float

    def login(self, password: str, prompt: str) -> tuple[float, float]:
        """Log in as root on the console; return the seconds from start to the question for a name, and to the prompt."""
        self.console.wait(r"login: ?$", BOOT_SECONDS, f"'{self.wanted.name}' to ask for a login")
        asked = time.monotonic() - self.began
        place = len(self.console.text)
        self.console.send("root\n")
        self.console.wait(r"Password: ?$", 30, f"'{self.wanted.name}' to ask for the password", place)
        self.console.send(f"{password}\n")
        self.console.wait(prompt, 60, f"the prompt of '{self.wanted.name}'", place)
        return round(asked, 1), round(time.monotonic() - self.began, 1)

    def shut_down(self) -> float:
        """Ask for a shutdown as the power button does; return the seconds it took. `ImageError` unless the guest itself ended it."""
        began = time.monotonic()
        self.monitor.execute("system_powerdown")
        try:
            until(lambda: self.process.poll() is not None, _STOP_SECONDS, f"'{self.wanted.name}' to shut down", 0.1)
        except WaitTimeoutError as error:
            raise ImageError(str(error)) from error
        told = self.monitor.events("SHUTDOWN")
        if not told or told[-1].get("reason") != "guest-shutdown" or self.process.returncode != 0:
            ended = f"QEMU told {told or 'nothing'}, status {self.process.returncode}"
            msg = f"'{self.wanted.name}' did not end by a shutdown of its own: {ended}."
            raise ImageError(msg)
        return round(time.monotonic() - began, 1)


def accelerator() -> str:
    """Return "kvm" or "tcg", whichever runs a guest here; `ImageError` when none does."""
    found = str(run_program("accelerator", statuses=(0, 1))["accelerator"])
    if found == "none":
        msg = "No accelerator runs a guest here; is qemu-system-x86 installed?"
        raise ImageError(msg)
    return found


def free_port() -> int:
    """Return a TCP port that nobody on loopback has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def user_network(*forwards: tuple[int, str]) -> tuple[str, ...]:
    """Return the words for a network without a way out; *forwards* are (port on loopback, the guest's address or nothing)."""
    held = ",".join(
        ["user,id=n0,restrict=on", *(f"hostfwd=tcp:127.0.0.1:{port}-{address}:22" for port, address in forwards)]
    )
    return ("-netdev", held)


@contextlib.contextmanager
def running(wanted: Wanted, log: Path) -> Iterator[Guest]:
    """Start a guest, whose console is kept in *log*, and give it; whatever happens, its QEMU is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="hvq-guest-"))
    log.unlink(missing_ok=True)
    errors = folder / "qemu.log"
    lines: list[Line] = []
    with errors.open("wb") as stream:
        began = time.monotonic()
        words = command(wanted, folder, log)
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream)
    try:
        try:
            _sockets_there(folder, process)
            monitor, agent = Monitor(folder / "qmp"), Agent(folder / "agent")
            lines += [monitor.line, agent.line, Line(folder / "console"), Line(folder / "witness")]
        except (ImageError, OSError, WaitTimeoutError) as error:
            raise _ended_at_once(process, errors, error) from error
        yield Guest(wanted, process, monitor, lines[2], agent, lines[3], began)
    except ImageError as error:
        msg = f"{error}{_died(log)}"
        raise ImageError(msg) from error
    finally:
        process.kill()
        process.wait()
        for line in lines:
            line.close()
        shutil.rmtree(folder, ignore_errors=True)


def _died(log: Path) -> str:
    """Return a sentence on the first line of the console in *log* by which a kernel says that it dies, "" where there is none."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    dying = [row.expression for row in PATTERNS if row.kind in _DEATHS]
    found = next((line for line in lines if any(one.search(line) for one in dying)), "")
    shown = "".join(filter(str.isprintable, found))[:200]
    return f" The guest's kernel died meanwhile, see {log}: '{shown}'." if shown else ""


def _sockets_there(folder: Path, process: subprocess.Popen[bytes]) -> None:
    """Return once QEMU listens, or has ended."""

    def there() -> bool:
        return process.poll() is not None or all((folder / name).exists() for name in SOCKETS)

    until(there, 20, "QEMU to listen")


def _ended_at_once(process: subprocess.Popen[bytes], errors: Path, error: Exception) -> ImageError:
    """Return what to say when QEMU could not be spoken to: its own words when it ended, which may be after it began to listen."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(2)
    if process.returncode is None:
        return ImageError(f"QEMU runs and cannot be spoken to: {error}")
    said = errors.read_text(errors="replace").strip()[-300:]
    return ImageError(f"QEMU ended at once with status {process.returncode}: {said}")


def command(wanted: Wanted, folder: Path, log: Path) -> list[str]:
    """Return QEMU's command line."""
    direct, machine = wanted.direct, f"q35,accel={wanted.accelerator}"
    cpu = "host" if wanted.accelerator == "kvm" else _TCG_CPU
    loaded = ("-kernel", direct.kernel, "-initrd", direct.initrd, "-append", direct.cmdline) if direct else ()
    words = (
        *(wanted.qemu, "-nodefaults", "-no-user-config", "-display", "none", "-name", wanted.name),
        *("-machine", machine, "-cpu", cpu, "-smp", wanted.cpus, "-m", wanted.memory_mib),
        *_lines(folder, log),
        *("-drive", f"if=none,id=d0,file={wanted.disk},format={wanted.format},cache=writeback"),
        *("-device", "virtio-blk-pci,drive=d0,bootindex=1", "-device", "virtio-rng-pci"),
        *wanted.network,
        *("-device", f"virtio-net-pci,netdev=n0,mac={wanted.mac},romfile="),
        *loaded,
    )
    return [str(word) for word in words]


def _lines(folder: Path, log: Path) -> list[str]:
    """Return the words for the sockets in *folder*: monitor, console (kept in *log*), agent and witness."""
    sockets = [f"socket,id={name},path={folder / name},server=on,wait=off" for name in SOCKETS]
    sockets[0] += f",logfile={log}"
    return [
        *(word for row in sockets for word in ("-chardev", row)),
        *("-mon", "chardev=qmp,mode=control", "-serial", "chardev:console", "-device", "virtio-serial-pci"),
        *("-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"),
        *("-device", "virtserialport,chardev=witness,name=org.avocado-hvqual.witness.0"),
    ]
