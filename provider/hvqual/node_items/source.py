# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the readers of the node's state look: the files beneath a root, commands, libvirt; each can be a fake."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Optional

from provider.hvqual import marks

COMMAND_TIMEOUT_S = 10.0
LIBVIRT_TIMEOUT_S = 10.0
TOOL_FOLDERS = "/usr/sbin:/sbin:/usr/bin:/bin"


class UnreachableError(Exception):
    """Raised when a source does not answer; the text says in stable words which and why."""


Objects = dict[str, list[str]]


def read_libvirt(uri: str, read_all: Callable[[Any], Objects]) -> Objects:
    """What *read_all* finds on a read-only connection; UnreachableError when libvirtd is not there or breaks off."""
    try:
        libvirt = marks.libvirt_module()
    except ImportError as error:
        message = "libvirt-python is missing for this interpreter"
        raise UnreachableError(message) from error
    connection = None
    try:
        connection = libvirt.openReadOnly(uri)
        return read_all(connection)
    except libvirt.libvirtError as error:
        what = "no libvirtd answers" if connection is None else f"libvirtd broke off (error {error.get_error_code()})"
        message = f"{what} at '{uri}'"
        raise UnreachableError(message) from error
    finally:
        if connection is not None:
            connection.close()


class Later:
    """The answer of a function that runs in a thread, which is left behind when it hangs (as a stopped libvirtd makes it)."""

    def __init__(self, function: Callable[[], Objects]) -> None:
        """Start the function."""
        self._answer: list[Any] = []
        self._thread = threading.Thread(target=self._run, args=(function,), daemon=True)
        self._thread.start()

    def _run(self, function: Callable[[], Objects]) -> None:
        try:
            self._answer.append(function())
        except Exception as error:  # noqa: BLE001 - handed to the one who waits
            self._answer.append(error)

    def get(self, timeout: float, what: str) -> Objects:
        """The answer; UnreachableError when there is none in time."""
        if not self._answer:
            self._thread.join(timeout)
        if not self._answer:
            message = f"{what} did not answer in {timeout:g} s"
            self._answer.append(UnreachableError(message))  # who asks next does not wait again
        if isinstance(self._answer[0], Exception):
            raise self._answer[0]
        found: Objects = self._answer[0]
        return found


class Command:
    """A command that runs while other things are read."""

    def __init__(self, words: Sequence[str]) -> None:
        """Start it, if it is installed."""
        self.words = list(words)
        path = shutil.which(words[0], path=f"{os.environ.get('PATH', '')}:{TOOL_FOLDERS}")
        self._running = path and subprocess.Popen(
            [path, *words[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C"},
        )

    def output(self) -> str:
        """What it wrote; UnreachableError when it is not installed, fails or hangs."""
        name = " ".join(self.words)
        if not self._running:
            message = f"'{self.words[0]}' is not installed"
            raise UnreachableError(message)
        try:
            out, err = self._running.communicate(timeout=COMMAND_TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            self._running.kill()
            self._running.communicate()
            message = f"'{name}' did not answer in {COMMAND_TIMEOUT_S:g} s"
            raise UnreachableError(message) from error
        if self._running.returncode != 0:
            message = f"'{name}' ended with {self._running.returncode}: {err.decode(errors='replace').strip()[:200]}"
            raise UnreachableError(message)
        return out.decode(errors="replace")

    def drop(self) -> None:
        """End it when nobody wants its output any more."""
        if self._running and self._running.poll() is None:
            self._running.kill()
            self._running.communicate()


@dataclass
class Source:
    """The node as the readers see it. With a fake root, give fake commands and a fake libvirt too."""

    root: Path = Path("/")
    libvirt_uri: str = "qemu:///system"
    folders: tuple[str, ...] = ()
    libvirt: Callable[[str, Callable[[Any], Objects]], Objects] = read_libvirt
    command: Callable[[Sequence[str]], Any] = Command
    _commands: dict[str, Any] = field(default_factory=dict, repr=False)
    _objects: Optional[Later] = field(default=None, repr=False)

    def path(self, absolute: str) -> str:
        """The place of a node's path beneath the root."""
        return absolute if self.real else os.path.join(self.root, absolute.lstrip("/"))  # noqa: PTH118 - ten thousand times a capture

    @property
    def real(self) -> bool:
        """Whether this is the node itself, not a fake root."""
        return str(self.root) == "/"

    def text(self, absolute: str) -> str | None:
        """The content of a file, None when it is not there or cannot be read."""
        try:
            with open(self.path(absolute), encoding="utf-8", errors="replace") as stream:  # noqa: PTH123 - twice as fast
                return stream.read()
        except OSError:
            return None

    def names(self, absolute: str) -> list[str]:
        """The sorted names in a folder, none when it is not there."""
        try:
            return sorted(os.listdir(self.path(absolute)))  # noqa: PTH208 - twice as fast
        except OSError:
            return []

    def setting(self, absolute: str) -> str | None:
        """A short file's content with single blanks."""
        text = self.text(absolute)
        return None if text is None else " ".join(text.split())

    def pids(self) -> Iterator[str]:
        """The numbers of all processes."""
        return (name for name in self.names("/proc") if name.isdigit())

    def prefetch(self, commands: Mapping[str, Sequence[str]]) -> None:
        """Start commands whose output is asked for later by their name."""
        for name, words in commands.items():
            self._commands[name] = self.command(words)

    def output(self, name: str) -> str:
        """The output of a prefetched command."""
        text: str = self._commands[name].output()
        return text

    def prefetch_libvirt(self, read_all: Callable[[Any], Objects]) -> None:
        """Ask libvirt while other things are read."""
        self._objects = Later(lambda: self.libvirt(self.libvirt_uri, read_all))

    def objects(self, kind: str) -> list[str]:
        """The lines of one kind of libvirt's objects."""
        if self._objects is None:
            message = "libvirt was not asked"
            raise UnreachableError(message)
        return self._objects.get(LIBVIRT_TIMEOUT_S, "libvirtd")[kind]

    def close(self) -> None:
        """Leave no command behind."""
        for command in self._commands.values():
            command.drop()
        self._commands.clear()
