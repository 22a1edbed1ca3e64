# SPDX-License-Identifier: GPL-2.0-or-later
"""The page that says how a use case is added, followed to the letter: one cfg block, one test file, one row of the table."""

import ast
import json
import re
import textwrap

import environments
import pytest

from avocado_hvqual import required

ID = "hvqual.lifecycle.power_cut"
CFG = "libvirt/tests/cfg/hvqual/hvqual_lifecycle.cfg"
TEST = "libvirt/tests/src/hvqual/hvqual_lifecycle_power_cut.py"
PAGE = environments.CHECKOUT / "docs/add_a_use_case.rst"


def blocks():
    """Return the code blocks of the page by their language."""
    found = re.findall(r"\.\. code-block:: (\w+)\n\n((?: {6,}.*\n|\n)+)", PAGE.read_text())
    return dict(found)


@pytest.fixture(scope="module")
def with_toy(tmp_path_factory):
    """An environment in which somebody has followed the page."""
    folder = tmp_path_factory.mktemp("toy")
    source = environments.source_copy(folder / "source")
    leaf, test = blocks()["none"], blocks()["python"]
    with (source / CFG).open("a") as cfg:
        cfg.write(leaf.rstrip() + "\n")
    (source / TEST).write_text(textwrap.dedent(test).strip() + "\n")
    root = environments.linked(folder / "venv")
    wheel = environments.build_wheel(source, folder / "dist")
    environments.pip("install", "--quiet", "--no-deps", "--no-index", wheel, python=root / "bin" / "python")
    return environments.Environment(root, folder / "home")


def avocado(environment, *words):
    """Return what avocado says in *environment*."""
    environment.home.mkdir(exist_ok=True)
    done = environment.avocado(*words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_test_of_the_page_is_python():
    """What the page shows can be run: it parses, and its run() is within the budget."""
    tree = ast.parse(textwrap.dedent(blocks()["python"]))
    run = next(node for node in tree.body if isinstance(node, ast.FunctionDef))
    assert run.name == "run"
    assert run.end_lineno - run.lineno <= 30


def test_the_case_is_listed_under_each_host_configuration(with_toy):
    """Nothing else had to be touched for avocado to know the case."""
    listed = avocado(with_toy, "list", "--vt-type", "libvirt", "hvqual")
    for configuration in ("single_big", "n_equal", "patterns"):
        assert re.search(rf"hvqual\.lifecycle\.power_cut\S*{configuration}", listed), listed


def test_the_table_gets_one_row(with_toy):
    """``plan --lock`` adds the row that a review sees, and changes no other."""
    lock = with_toy.site / "avocado_hvqual/policy/required.lock.yaml"
    before = lock.read_text().splitlines()
    avocado(with_toy, "hvqual", "plan", "--profile", "lab", "--lock")
    added = [line for line in lock.read_text().splitlines() if line not in before]
    assert [line for line in before if line not in lock.read_text().splitlines()] == []
    (row,) = added
    assert json.loads(row.strip()[2:])["id"] == ID
    assert [row.id for row in required.read(lock)].count(ID) == 1
