# SPDX-License-Identifier: GPL-2.0-or-later
"""The size that a reader can hold: modules of at most 300 lines, functions of at most 30 (docstrings and test functions not counted)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
MODULE, FUNCTION = 300, 30
FOLDERS = ("avocado_hvqual", "provider/hvqual", "generic", "libvirt", "qemu", "tests", "provider/tests")
MODULES = sorted(path.relative_to(CHECKOUT) for folder in FOLDERS for path in (CHECKOUT / folder).rglob("*.py"))


def length(function):
    """Lines of *function*, its decorators and docstring not counted."""
    lines = function.end_lineno - function.lineno + 1
    first = function.body[0]
    documented = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    return lines - (first.end_lineno - first.lineno + 1 if documented else 0)


def too_long(text, *, of_tests=False):
    functions = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and not (of_tests and node.name.startswith("test_"))
    ]
    found = [f"{node.name} has {length(node)} lines" for node in functions if length(node) > FUNCTION]
    lines = text.count("\n")
    return found + ([f"the module has {lines} lines"] if lines > MODULE else [])


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_size(path):
    text = (CHECKOUT / path).read_text(encoding="utf-8")
    assert too_long(text, of_tests=path.parts[0] == "tests" or path.parts[:2] == ("provider", "tests")) == []


def test_the_check_counts():
    assert len(MODULES) > 50
    body = "    pass\n" * FUNCTION
    assert too_long(f'def ok():\n    """Say so\n\n    at length."""\n{body[: -len("    pass") - 1]}') == []
    assert too_long(f"def long():\n{body}") == ["long has 31 lines"]
    assert too_long(f"def test_long():\n{body}") == ["test_long has 31 lines"]
    assert too_long(f"def test_long():\n{body}", of_tests=True) == []
    assert too_long("\n" * (MODULE + 1)) == ["the module has 301 lines"]
