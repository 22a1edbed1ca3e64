# SPDX-License-Identifier: GPL-2.0-or-later
"""A captured machine behind the door that checks look through, to be broken in one place."""

import shlex
from pathlib import Path

import yaml

from avocado_hvqual.preparation import expectations
from avocado_hvqual.preparation.model import Ran

NODES = Path(__file__).resolve().parents[1] / "captured" / "nodes"


class CapturedNode:
    """A folder of tests/captured/nodes, or what changed() made of one. A command that nobody captured is a broken test, and told so."""

    def __init__(self, files, commands, expected):
        self.files, self.commands, self.expected = files, commands, expected
        self.distribution = expectations.distribution(files.get("/etc/os-release"))
        self.asked = []

    def changed(self, files=(), commands=(), expected=()):
        """The same node but for these files and commands (None: gone) and these sections of the description."""
        return CapturedNode(
            _with(self.files, files), _with(self.commands, commands), {**self.expected, **dict(expected)}
        )

    def read(self, path):
        return self.files.get(path)

    def names(self, path):
        there = [file for file, text in self.files.items() if text is not None]
        below = [file[len(path) + 1 :] for file in there if file.startswith(f"{path}/")]
        return tuple(sorted({name.split("/")[0] for name in below})) or None

    def run(self, argv, timeout=10.0):
        words = shlex.join(argv)
        self.asked.append(words)
        if words not in self.commands:
            message = f"the captured node does not know what '{words}' says"
            raise KeyError(message)
        return self.commands[words] or Ran(None, "", f"'{argv[0]}' is not installed")

    def ask(self, program, *arguments, timeout=20.0):
        return self.run(["ask", program, *arguments])


def _with(old, new):
    return {**old, **dict(new)}


def load(name="debian-12", expect=None):
    """The node as it was captured."""
    root = NODES / name / "files"
    files = {
        f"/{path.relative_to(root)}": path.read_text(encoding="utf-8") for path in root.rglob("*") if path.is_file()
    }
    said = yaml.safe_load((NODES / name / "commands.yaml").read_text(encoding="utf-8"))
    commands = {
        words: Ran(row.get("status", 0), str(row.get("out", "")), str(row.get("err", "")))
        for words, row in said.items()
    }
    return CapturedNode(files, commands, expectations.load(expect).sections)
