# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands inside a host of the lab."""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from avocado_hvqual.errors import LabError
from avocado_hvqual.lab import state as lab_state
from avocado_hvqual.lab.paths import HOST_ID_VARIABLE, HOSTS, LabPaths, home, known_host
from avocado_hvqual.lab.state import Node
from avocado_hvqual.lab.tools import require_root

_ENTER = Path(__file__).with_name("enter.py")
#: Folders that each host has for its own; what lies below them outside is seen only on request.
OWN_FOLDERS = ("/tmp", "/var/tmp")  # noqa: S108 - names, not uses
PACKAGE_ROOT = Path(__file__).resolve().parents[2]


def refuse_inside() -> None:
    """Raise `LabError` inside a lab host: process numbers mean something else there."""
    inside = os.environ.get(HOST_ID_VARIABLE, "")
    if inside in HOSTS:
        msg = f"This command runs inside the lab host '{inside}'; run lab commands on the machine itself."
        raise LabError(msg)


def node(name: str, paths: LabPaths | None = None) -> Node:
    """Return the living host *name* ("fabric" included); raise `LabError` with the command that mends it if it is not up."""
    paths = paths or LabPaths(home())
    refuse_inside()
    require_root("The lab")
    state = lab_state.load(paths)
    living = state.living() if state else {}
    if known_host(name, fabric=True) not in living:
        msg = f"Host '{name}' of the lab in {paths.root} is not up; start it with 'avocado hvqual lab up'."
        raise LabError(msg)
    return living[name]


def command(name: str, arguments: Sequence[str], paths: LabPaths | None = None) -> list[str]:
    """
    Return the command line that runs *arguments* inside host *name*, for `subprocess.Popen` and its like.

    It enters all namespaces and the cgroups of the host, in the folder where it is run if the host has it, and ends with the
    command's status.
    """
    paths = paths or LabPaths(home())
    if not arguments:
        msg = "No command was given to execute in the host."
        raise LabError(msg)
    return enter_command(node(name, paths), name, arguments, paths)


def enter_command(target: Node, name: str, arguments: Sequence[str], paths: LabPaths) -> list[str]:
    """Return `command` for a host whose process is known already."""
    for wanted in (sys.prefix, str(PACKAGE_ROOT)):
        show(target, wanted)
    folder = str(Path.cwd())
    if not inner(target, folder).is_dir():
        folder = "/"
    config = paths.host(name) / "config.json"
    return [sys.executable, "-I", "-S", str(_ENTER), str(config), str(target.init.pid), folder, "--", *arguments]


def execute(
    name: str,
    arguments: Sequence[str],
    *,
    timeout: float | None = None,
    capture: bool = False,
    text_input: str | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command inside host *name* and return its status, with its output if *capture*; raises `subprocess.TimeoutExpired`."""
    return run(command(name, arguments), timeout=timeout, capture=capture, text_input=text_input)


def run(
    line: Sequence[str], *, timeout: float | None = None, capture: bool = False, text_input: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command line that `command` has made."""
    pipe = subprocess.PIPE if capture else None
    if text_input is not None:
        return subprocess.run(line, input=text_input, stdout=pipe, stderr=pipe, text=True, timeout=timeout, check=False)
    source = subprocess.DEVNULL if capture else None
    return subprocess.run(line, stdin=source, stdout=pipe, stderr=pipe, text=True, timeout=timeout, check=False)


def replace(name: str, arguments: Sequence[str]) -> NoReturn:
    """Become the command inside host *name*: terminal, signals and exit status are the command's."""
    line = command(name, arguments)
    sys.stdout.flush()
    sys.stderr.flush()
    # exec skips them; avocado 113 then leaves its temporary folder in /var/tmp behind, one a call.
    atexit._run_exitfuncs()  # noqa: SLF001 - there is no public name for it
    os.execv(line[0], line)  # noqa: S606 - to become it is the purpose


def inner(target: Node, path: str) -> Path:
    """Return where the host's *path* is found from outside."""
    return Path(f"/proc/{target.init.pid}/root") / path.lstrip("/")


def show(target: Node, path: str) -> None:
    """Make a folder that lies below a host's own /tmp or /var/tmp (a virtual environment, a checkout) visible in the host."""
    if not path.startswith(tuple(f"{folder}/" for folder in OWN_FOLDERS)) or inner(target, path).exists():
        return
    if not Path(path).is_dir():
        message = f"The folder {path} cannot be shown in the host: there is no such folder."
        raise LabError(message)
    into = ["nsenter", "--target", str(target.init.pid), "--mount", "--"]
    for line in (["mkdir", "-p", path], ["mount", "--bind", f"/run/hvqual/outside{path}", path]):
        run = subprocess.run([*into, *line], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if run.returncode != 0:
            message = f"The folder {path} cannot be shown in the host: {run.stderr.strip()}"
            raise LabError(message)


def show_folder(name: str, folder: Path) -> None:
    """
    Make *folder* visible in host *name* under its own path.

    Only needed for what lies below /tmp or /var/tmp, which each host has for its own; everything else is visible anyway.
    """
    show(node(name), str(folder.absolute()))
