# SPDX-License-Identifier: GPL-2.0-or-later
"""Which kernel GRUB starts when nobody touches a key: grub.cfg as update-grub writes it, and grubenv."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Optional

_ENTRY = re.compile(
    r"""^\s*(menuentry|submenu)\s+(['"])(?P<title>.*?)\2.*?(?:menuentry_id_option\s+(['"])(?P<id>.*?)\4)?\s*\{\s*$"""
)
_KERNEL = re.compile(r"^\s*linux(?:16|efi)?\s+(\S+)(.*)$")
_CLOSED = re.compile(r"^\s*\}\s*$")
_OPENED = re.compile(r"\{\s*$")


@dataclass
class Entry:
    """One entry of the menu; *place* are its numbers from the top, *names* the titles and ids of it and of the menus around it."""

    place: tuple[int, ...]
    names: tuple[tuple[str, str], ...]
    kernel: str = ""
    arguments: str = ""


def entries(text: str) -> list[Entry]:
    """Return the entries of a grub.cfg that start a kernel or hold others, in their order."""
    found: list[Entry] = []
    around: list[Optional[Entry]] = []
    counts = [0]
    for line in text.splitlines():
        head = _ENTRY.match(line)
        if head:
            outer = next((entry for entry in reversed(around) if entry is not None), None)
            here = (*(outer.place if outer else ()), counts[-1])
            names = (*(outer.names if outer else ()), (head["title"], head["id"] or head["title"]))
            counts[-1] += 1
            counts.append(0)
            around.append(Entry(here, names))
            found.append(around[-1])  # type: ignore[arg-type]  # it was made a line above
        elif _CLOSED.match(line):
            if around and around.pop() is not None:
                counts.pop()
        elif _OPENED.search(line):
            around.append(None)
        elif (said := _KERNEL.match(line)) and around and around[-1] is not None:
            around[-1].kernel, around[-1].arguments = said[1], said[2].strip()
    return found


def default(text: str, environment: str) -> Optional[Entry]:
    """Return the entry that starts by default, None when it cannot be told; a one-time choice (next_entry) does not count."""
    saved = re.search(r"^saved_entry=(.*)$", environment, re.MULTILINE)
    # grub.cfg sets it to next_entry first, which is for one boot, in a branch of its own.
    set_to = [
        value for value in re.findall(r'^\s*set default="(.*)"$', text, re.MULTILINE) if "next_entry" not in value
    ]
    choice = set_to[-1] if set_to else "0"
    if "saved_entry" in choice:
        choice = saved[1] if saved and saved[1] else "0"
    found = entries(text)
    matching = [entry for entry in found if _is(entry, choice.split(">"))]
    chosen = matching[0] if matching else None
    if chosen is not None and not chosen.kernel:  # a menu: its first entry
        inner = [entry for entry in found if entry.place[: len(chosen.place)] == chosen.place and entry.kernel]
        return inner[0] if inner else None
    return chosen


def _is(entry: Entry, choice: list[str]) -> bool:
    """Whether a choice as GRUB reads it, ``1>2``, ``title>title`` or ``id>id``, means this entry; an id alone does at any depth."""
    if len(choice) == 1 and choice[0] in entry.names[-1] and not choice[0].isdigit():
        return True
    if len(choice) != len(entry.place):
        return False
    rows = zip(choice, entry.place, entry.names)
    return all(str(number) == part or part in names for part, number, names in rows)
