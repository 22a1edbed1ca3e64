# SPDX-License-Identifier: GPL-2.0-or-later
"""
Become a command inside a host: ``enter.py CONFIG PID FOLDER -- COMMAND...``.

Self-contained. The process joins the host's cgroups (its budget holds for the command too) and turns into nsenter(1), so the exit
status is the command's. The command gets SIGTERM when the process outside ends, however that ends.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def main(arguments: list[str]) -> None:
    """Join, then never return."""
    config_file, pid, folder, separator, *command = arguments
    if separator != "--" or not command:
        sys.exit("usage: enter.py CONFIG PID FOLDER -- COMMAND...")
    config = json.loads(Path(config_file).read_text(encoding="utf-8"))
    for cgroup in map(Path, config["cgroup_folders"]):
        leaf = cgroup / "init"
        (leaf if leaf.is_dir() else cgroup).joinpath("cgroup.procs").write_text(str(os.getpid()), encoding="ascii")
    environment = [f"{name}={value}" for name, value in config["environment"].items()]
    environment.append("PATH=" + ":".join([*config["path"], os.environ.get("PATH", os.defpath)]))
    namespaces = ["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup"]
    into = ["nsenter", "--target", pid, *namespaces, "--"]
    os.execvp("nsenter", [*into, "setpriv", "--pdeathsig", "TERM", "env", "-C", folder, *environment, *command])  # noqa: S606 - to become it is the purpose


if __name__ == "__main__":
    main(sys.argv[1:])
