# SPDX-License-Identifier: GPL-2.0-or-later
"""
Each mutant dies: the named tests pass on the judge as it is, and fail on a copy with one wrong change.

A few stand for all in a short run; HVQUAL_PROVE=all takes every one.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutants import MUTANTS

CHECKOUT = Path(__file__).resolve().parents[1]
SECONDS = 240
"""For the tests of one mutant, also on a machine that does something else."""

SAMPLE = 4
"""So many of them stand for all in a short run; which, is a matter of their order alone."""

PROVEN = "all" in os.environ.get("HVQUAL_PROVE", "").replace(",", " ").split()
NAMES = list(MUTANTS) if PROVEN else list(MUTANTS)[:: -(-len(MUTANTS) // SAMPLE)]
LINKED = ("provider", "generic", "libvirt", "qemu", "pyproject.toml")


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A checkout in which one module can be changed; what a test only reads is a link."""
    root = tmp_path_factory.mktemp("mutants")
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("avocado_hvqual", "tests"):
        shutil.copytree(CHECKOUT / name, root / name, ignore=ignore)
    for name in LINKED:
        (root / name).symlink_to(CHECKOUT / name)
    return root


def run(root, tests):
    """Run test files of the copy in a process of its own, on the copy's package alone."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--no-header", "--tb=line"]
    command += [str(Path("tests") / name) for name in tests.split()]
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_changes_one_place(name):
    mutant = MUTANTS[name]
    text = (CHECKOUT / "avocado_hvqual" / mutant.file).read_text(encoding="utf-8")
    assert text.count(mutant.old) == 1, f"'{mutant.old}' stands {text.count(mutant.old)} times in {mutant.file}"
    compile(text.replace(mutant.old, mutant.new), mutant.file, "exec")
    assert all((CHECKOUT / "tests" / one).is_file() for one in mutant.tests.split())


def test_the_copy_itself_is_run_and_is_whole(copy):
    """Without a change the tests pass, and it is the copy that they import: else every mutant would seem to die, or none could."""
    told = copy / "tests" / "test_which.py"
    told.write_text(
        f"import avocado_hvqual\n\ndef test():\n    assert avocado_hvqual.__file__.startswith({str(copy)!r})\n"
    )
    names = sorted({name for one in NAMES for name in MUTANTS[one].tests.split()})
    done = run(copy, " ".join(["test_which.py", *names]))
    told.unlink()
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


@pytest.mark.parametrize("name", NAMES)
def test_it_dies(copy, name):
    mutant = MUTANTS[name]
    path = copy / "avocado_hvqual" / mutant.file
    healthy = path.read_text(encoding="utf-8")
    path.write_text(healthy.replace(mutant.old, mutant.new), encoding="utf-8")
    try:
        done = run(copy, mutant.tests)
    finally:
        path.write_text(healthy, encoding="utf-8")
    assert done.returncode == 1, f"The mutant '{name}' lives:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    assert " failed" in done.stdout
    assert "error" not in done.stdout.splitlines()[-1], done.stdout[-2000:]
