# SPDX-License-Identifier: GPL-2.0-or-later
"""The door to the machine that we run on; tests/preparation has one to a captured machine."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Optional, cast

from avocado_hvqual.preparation import expectations
from avocado_hvqual.preparation.model import Distribution, Ran
from avocado_hvqual.trees import provider_root

LARGEST = 16 * 1024 * 1024
"""Bytes of a file that are read: what is longer than this says nothing of a node."""
PIECE = 1 << 16
PROGRAMS = Path(__file__).resolve().parent / "programs"
_GONE_S = 5.0
_SYSTEM_PATH = "/usr/sbin:/sbin"


class ThisNode:
    """This machine, or the host of the lab that we run in; `model.Node` says what each method answers."""

    def __init__(self, expectation: expectations.Expectation) -> None:
        self.expectation = expectation
        self._distribution = expectations.distribution(self.read("/etc/os-release"))

    @property
    def expected(self) -> Mapping[str, Any]:
        """The whole description."""
        return self.expectation.sections

    @property
    def distribution(self) -> Distribution:
        """The row of the table."""
        return self._distribution

    def read(self, path: str) -> Optional[str]:
        """Return the text of a file, that of a ``.gz`` file unpacked."""
        try:
            with gzip.open(path, "rb") if path.endswith(".gz") else Path(path).open("rb") as stream:
                return _content(cast("IO[bytes]", stream)).decode("utf-8", "replace")
        except (OSError, EOFError):
            return None

    def names(self, path: str) -> Optional[tuple[str, ...]]:
        """Return the names in a folder."""
        try:
            return tuple(sorted(os.listdir(path)))  # noqa: PTH208 - names are wanted, not paths
        except OSError:
            return None

    def run(self, argv: Sequence[str], timeout: float = 10.0) -> Ran:
        """Run a command; what it started ends with it when it takes too long."""
        environment = {**os.environ, "LC_ALL": "C", "PATH": f"{os.environ.get('PATH', '/usr/bin:/bin')}:{_SYSTEM_PATH}"}
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                env=environment,
                start_new_session=True,
            )
        except FileNotFoundError:
            return Ran(None, "", f"'{argv[0]}' is not installed")
        except OSError as error:
            return Ran(None, "", f"'{argv[0]}' cannot be run: {error.strerror}")
        try:
            out, errors = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            _end(process)
            return Ran(None, "", f"'{' '.join(argv)}' did not end within {timeout:g} s")
        return Ran(process.returncode, out, errors)

    def ask(self, program: str, *arguments: str, timeout: float = 20.0) -> Ran:
        """Run a program of ours with this Python."""
        ours = PROGRAMS / f"{program}.py"
        path = ours if ours.is_file() else provider_root() / "provider" / "hvqual" / f"{program}.py"
        return self.run([sys.executable, str(path), *arguments], timeout)


def _content(stream: IO[bytes]) -> bytes:
    """Read up to LARGEST bytes, a piece at a time: the kernel refuses to fill a large buffer from a file of /proc/sys."""
    pieces: list[bytes] = []
    while sum(map(len, pieces)) < LARGEST and (piece := stream.read(PIECE)):
        pieces.append(piece)
    return b"".join(pieces)[:LARGEST]


def _end(process: subprocess.Popen[str]) -> None:
    """End a command with all that it started, and collect it; what hangs in the kernel is left to itself."""
    os.killpg(process.pid, signal.SIGKILL)
    try:
        process.communicate(timeout=_GONE_S)
    except subprocess.TimeoutExpired:
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
