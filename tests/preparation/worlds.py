# SPDX-License-Identifier: GPL-2.0-or-later
"""A small real world below one folder: things that must be there, mended and taken back by real commands and files."""

from avocado_hvqual.preparation.expectations import Expectation, load
from avocado_hvqual.preparation.model import Check, Defect, Fact, NewFile, Remedy, looked
from avocado_hvqual.preparation.node import ThisNode


def node():
    return ThisNode(Expectation("test", load().sections))


def door(sections):
    return ThisNode(Expectation("journal", sections))


def folder_check(path, **remedy):
    """`path` has to be a folder; without other words mkdir mends it and rmdir takes that back."""
    remedy = {"commands": (("mkdir", str(path)),), "undo": (("rmdir", str(path)),), **remedy}
    defect = Defect(f"folder {path.name}", "not there", "a folder", Remedy(f"Make {path.name}.", **remedy))
    return Check(
        path.name,
        "",
        "It matters.",
        lambda _node: looked([Fact("path", str(path), "test")], [] if path.is_dir() else [defect]),
    )


def file_check(path, text, mode=0o640):
    """`path` has to hold `text`."""

    def look(node):
        found = node.read(str(path))
        remedy = Remedy(f"Write {path.name}.", files=(NewFile(str(path), text, mode),))
        wrong = [Defect(f"file {path.name}", repr(found), repr(text), remedy)] if found != text else []
        return looked([Fact("text", str(found), str(path))], wrong)

    return Check(path.name, "", "It matters.", look)
