# SPDX-License-Identifier: GPL-2.0-or-later
"""A node beneath a folder, for what not every machine lets a test change."""

from __future__ import annotations

from pathlib import Path

from provider.hvqual.node_items.source import Source, UnreachableError


class Said:
    """A command that has already answered."""

    def __init__(self, text):
        self.text = text

    def output(self):
        if isinstance(self.text, Exception):
            raise self.text
        return self.text

    def drop(self):
        pass


def fake(root, files_=None, **commands):
    """A node beneath *root*; a command that is not given is not installed."""
    for name, text in (files_ or {}).items():
        path = Path(root) / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def command(words):
        return Said(commands.get(words[0].replace("-", "_"), UnreachableError(f"'{words[0]}' is not installed")))

    kinds = ("domains", "networks", "pools", "nwfilters", "secrets", "snapshots")
    return Source(root=Path(root), libvirt=lambda uri, read_all: {kind: [] for kind in kinds}, command=command)
