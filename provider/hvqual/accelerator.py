# SPDX-License-Identifier: GPL-2.0-or-later
"""
Which accelerator really runs guests here, learnt by running one.

``/dev/kvm`` may be absent, refuse, or open and answer every ioctl and yet run a guest a million times too slowly to boot anything. So a
small guest is started: its firmware enters protected mode, works through a million rounds of arithmetic on its memory and reports the
result on two channels, the debug console and the debug-exit port. Only the right number, in time, on both, is a yes.

Self-contained, so that it also runs as a script: ``python accelerator.py --qemu PATH`` writes one JSON object to the standard output.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Optional, Union

DEFAULT_QEMU = "qemu-system-x86_64"
ROUNDS = 1 << 20
#: Seconds that a guest may take. A healthy accelerator needs less than 0.2; the rest is room for a busy machine.
TIME_LIMIT = 4.0
_MULTIPLIER, _INCREMENT = 1664525, 1013904223
_EXIT_CODE = 0x2A
#: isa-debug-exit ends QEMU with (value << 1) | 1.
_EXIT_STATUS = (_EXIT_CODE << 1) | 1
_ROM_SIZE = 0x10000
_ROM_BASE = 0xF0000
_RESET_VECTOR = 0xFFF0


@dataclasses.dataclass(frozen=True)
class Answer:
    """Whether a guest ran under one accelerator, and if not, why."""

    ok: bool
    reason: str


@dataclasses.dataclass(frozen=True)
class Probe:
    """What was found out about one QEMU; *accelerator* is "kvm", "tcg" or "none"."""

    qemu: str
    version: str
    kvm: Answer
    tcg: Answer

    @property
    def accelerator(self) -> str:
        """The fastest accelerator that ran the guest, "none" if neither did."""
        if self.kvm.ok:
            return "kvm"
        return "tcg" if self.tcg.ok else "none"

    def as_dict(self) -> dict[str, object]:
        """The probe as the JSON object that the script writes."""
        return {"accelerator": self.accelerator, **dataclasses.asdict(self)}


def expected_result(seed: int, rounds: int = ROUNDS) -> int:
    """Return what the guest must report for *seed*: *rounds* applications of x -> a*x + c modulo 2**32, by repeated squaring."""
    multiplier, increment = _MULTIPLIER, _INCREMENT
    total_multiplier, total_increment = 1, 0
    while rounds:
        if rounds & 1:
            total_multiplier, total_increment = multiplier * total_multiplier, multiplier * total_increment + increment
        multiplier, increment = multiplier * multiplier, increment * (multiplier + 1)
        multiplier, increment = multiplier & 0xFFFFFFFF, increment & 0xFFFFFFFF
        rounds >>= 1
    return (total_multiplier * seed + total_increment) & 0xFFFFFFFF


def firmware(seed: int, rounds: int = ROUNDS) -> bytes:
    """Return a 64 KiB firmware whose reset vector leads to the guest code."""
    descriptors = struct.pack("<QQQ", 0, 0x00CF9A000000FFFF, 0x00CF92000000FFFF)
    gdt, gdt_register, protected_mode = 0x100, 0x140, 0x40
    real_mode = (
        b"\xfa"  # cli
        b"\x66\x2e\x0f\x01\x16"
        + struct.pack("<H", gdt_register)  # lgdt cs:[gdt_register]
        + b"\x0f\x20\xc0\x0c\x01\x0f\x22\xc0"  # cr0 |= 1
        + b"\x66\xea"
        + struct.pack("<IH", _ROM_BASE + protected_mode, 0x08)  # ljmp 0x08:protected_mode
    )
    rom = bytearray(b"\xf4" * _ROM_SIZE)
    for offset, content in (
        (0, real_mode),
        (protected_mode, _protected_mode_code(seed, rounds)),
        (gdt, descriptors),
        (gdt_register, struct.pack("<HI", len(descriptors) - 1, _ROM_BASE + gdt)),
        (_RESET_VECTOR, b"\xe9" + struct.pack("<H", (-_RESET_VECTOR - 3) & 0xFFFF)),  # jmp 0
    ):
        rom[offset : offset + len(content)] = content
    return bytes(rom)


def _protected_mode_code(seed: int, rounds: int) -> bytes:
    """Return the 32-bit part: the loop over memory, the report on the debug console, the exit code."""
    loop = (
        b"\x69\xc0"
        + struct.pack("<I", _MULTIPLIER)  # imul eax, eax, multiplier
        + b"\x05"
        + struct.pack("<I", _INCREMENT)  # add eax, increment
        + b"\xa3\x00\x50\x00\x00"  # mov [0x5000], eax
        + b"\xa1\x00\x50\x00\x00"  # mov eax, [0x5000]
        + b"\x49"  # dec ecx
    )
    return (
        b"\x66\xb8\x10\x00\x8e\xd8\x8e\xc0\x8e\xd0"  # data segments
        b"\xb9"
        + struct.pack("<I", rounds)  # mov ecx, rounds
        + b"\xb8"
        + struct.pack("<I", seed)  # mov eax, seed
        + loop
        + b"\x75"
        + struct.pack("<b", -len(loop) - 2)  # jnz loop
        + b"\xb9\x04\x00\x00\x00"  # mov ecx, 4
        + b"\xe6\xe9\xc1\xe8\x08\x49\x75\xf8"  # out 0xe9, al; shr eax, 8; dec ecx; jnz
        + b"\xb0"
        + bytes([_EXIT_CODE])
        + b"\xe6\xf4"  # out 0xf4, code
        + b"\xf4\xeb\xfd"  # hlt for ever
    )


def probe(qemu: str = DEFAULT_QEMU, time_limit: float = TIME_LIMIT) -> Probe:
    """
    Return which accelerators of *qemu* (a path or a name) run a guest within *time_limit* seconds.

    Never raises for a QEMU that is missing or broken: that is an answer too, with its reason.
    """
    path = shutil.which(qemu)
    if path is None:
        missing = Answer(ok=False, reason=f"'{qemu}' is not an executable file.")
        return Probe(qemu=qemu, version="", kvm=missing, tcg=missing)
    with _started(path, "kvm") as kvm, _started(path, "tcg") as tcg:
        return Probe(qemu=path, version=_version(path), kvm=kvm.answer(time_limit), tcg=tcg.answer(time_limit))


class _Guest:
    """One running QEMU with the probe's firmware."""

    def __init__(self, qemu: str, accelerator: str, folder: Path) -> None:
        self.accelerator = accelerator
        self.seed = struct.unpack("<I", os.urandom(4))[0]
        rom = folder / f"{accelerator}.rom"
        rom.write_bytes(firmware(self.seed))
        command = [qemu, "-machine", "pc", "-accel", accelerator, "-m", "16", "-bios", str(rom)]
        command += ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
        command += ["-chardev", "stdio,id=out", "-device", "isa-debugcon,iobase=0xe9,chardev=out"]
        command += ["-device", "isa-debug-exit,iobase=0xf4,iosize=1"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def answer(self, time_limit: float) -> Answer:
        """Wait for the guest's report and judge it."""
        try:
            output, errors = self.process.communicate(timeout=time_limit)
        except subprocess.TimeoutExpired:
            self.process.kill()
            output, errors = self.process.communicate()
            late = f"A guest of {ROUNDS} loops did not end within {time_limit:g} s under {self.accelerator}."
            return Answer(ok=False, reason=late + _tail(errors))
        return judge(self.accelerator, self.process.returncode, output, expected_result(self.seed), errors)


def judge(accelerator: str, status: int, output: bytes, expected: int, errors: bytes = b"") -> Answer:
    """Return the answer to a guest that has ended: both channels must say the right thing."""
    if status != _EXIT_STATUS:
        wrong = f"QEMU ended with status {status} under {accelerator}, expected {_EXIT_STATUS} from the guest."
        return Answer(ok=False, reason=wrong + _tail(errors))
    if output != struct.pack("<I", expected):
        found = output[:8].hex() or "nothing"
        return Answer(
            ok=False,
            reason=f"The guest reported {found} under {accelerator}, expected {struct.pack('<I', expected).hex()}.",
        )
    return Answer(ok=True, reason=f"A guest ran under {accelerator} and reported the right result.")


@contextlib.contextmanager
def _started(qemu: str, accelerator: str) -> Iterator[Union[_Guest, _Refused]]:
    """Lend a running guest; whatever happens, its process and its folder are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="hvq-accelerator-") as folder:
        try:
            guest = _Guest(qemu, accelerator, Path(folder))
        except OSError as error:
            yield _Refused(f"'{qemu}' could not be started: {error.strerror}.")
            return
        try:
            yield guest
        finally:
            guest.process.kill()
            guest.process.communicate()


@dataclasses.dataclass(frozen=True)
class _Refused:
    """Stands for a guest whose QEMU could not even be executed."""

    reason: str

    def answer(self, _time_limit: float) -> Answer:
        """Return the refusal."""
        return Answer(ok=False, reason=self.reason)


def _tail(errors: bytes) -> str:
    """Return the last line that QEMU wrote, as a sentence to append."""
    lines = [line for line in errors.decode(errors="replace").splitlines() if line.strip() and "warning:" not in line]
    return f" QEMU says: {lines[-1].strip()[:300]}" if lines else ""


def _version(qemu: str) -> str:
    """Return what *qemu* calls its version, "" if it does not say."""
    try:
        run = subprocess.run([qemu, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    words = run.stdout.split("version ", 1)
    return words[1].splitlines()[0].strip() if run.returncode == 0 and len(words) > 1 else ""


def main(arguments: Optional[list[str]] = None) -> int:
    """Write the probe as JSON; the status is 0 when some accelerator works, else 1."""
    parser = argparse.ArgumentParser(description="Find by running a guest which accelerator works.")
    parser.add_argument("--qemu", default=DEFAULT_QEMU, help="the QEMU to ask")
    parser.add_argument("--time-limit", type=float, default=TIME_LIMIT, help="seconds that the guest may take")
    options = parser.parse_args(arguments)
    found = probe(options.qemu, options.time_limit)
    sys.stdout.write(json.dumps(found.as_dict()) + "\n")
    return 0 if found.accelerator != "none" else 1


if __name__ == "__main__":
    sys.exit(main())
