# SPDX-License-Identifier: GPL-2.0-or-later
"""Virtual environments with and without our wheel, made of links to the packages of the running one: two seconds, no network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass, field, replace
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
OURS = ("avocado_hvqual", "__editable__.avocado_hvqual", "__editable___avocado_hvqual")
IGNORED = shutil.ignore_patterns(
    ".git", ".venv", "__pycache__", "*.pyc", "*.egg-info", "build", "dist", ".*_cache", ".hypothesis"
)


@dataclass(frozen=True)
class Environment:
    """A virtual environment, and the home folder that its commands see."""

    root: Path
    home: Path
    variables: dict = field(default_factory=dict)

    @property
    def python(self):
        return self.root / "bin" / "python"

    @property
    def site(self):
        return next((self.root / "lib").glob("python3*/site-packages"))

    @property
    def virttest(self):
        """The folder avocado-vt/virttest of this home: provider files and our stamp."""
        return self.home / "avocado" / "data" / "avocado-vt" / "virttest"

    @property
    def providers(self):
        return self.virttest / "test-providers.d"

    def subtests(self, vt_type):
        return self.home / "avocado" / "data" / "avocado-vt" / "backends" / vt_type / "cfg" / "subtests.cfg"

    def at(self, home, **variables):
        """The same environment with another home folder."""
        home.mkdir(parents=True, exist_ok=True)
        return replace(self, home=home, variables={**self.variables, **variables})

    def environ(self):
        kept = {
            name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME"}
        }
        path = f"{self.root / 'bin'}:{os.environ['PATH']}"
        return {**kept, "HOME": str(self.home), "PATH": path, **self.variables}

    def run(self, *command, timeout=120, prefix=(), **options):
        """Run a command of this environment, its standard input closed, in its home folder."""
        program = [str(self.root / "bin" / command[0]), *map(str, command[1:])]
        options = {"cwd": self.home, "stdin": subprocess.DEVNULL, "capture_output": True, "text": True, **options}
        return subprocess.run([*prefix, *program], env=self.environ(), timeout=timeout, check=False, **options)

    def avocado(self, *arguments, **options):
        return self.run("avocado", *arguments, **options)

    def names(self, vt_type, *references):
        """What `avocado list` shows, once it has ended well and without a word on stderr."""
        done = self.avocado("list", "--vt-type", vt_type, *(references or ("hvqual",)))
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return [line.split()[1] for line in done.stdout.splitlines()]


def linked(root: Path) -> Path:
    """Make a virtual environment at *root* whose packages are links to those of the running Python, ours left out."""
    venv.EnvBuilder(with_pip=False, symlinks=True).create(root)
    site = next((root / "lib").glob("python3*/site-packages"))
    for source in Path(sysconfig.get_path("purelib")).iterdir():
        if not source.name.startswith(OURS) and source.name != "__pycache__":
            (site / source.name).symlink_to(source)
    scripts = Path(sysconfig.get_path("scripts"))
    for script in [*scripts.glob("avocado*"), *scripts.glob("aexpect*")]:
        lines = script.read_text(encoding="utf-8").splitlines(keepends=True)
        target = root / "bin" / script.name
        target.write_text(f"#!{root / 'bin' / 'python'}\n" + "".join(lines[1:]), encoding="utf-8")
        target.chmod(0o755)
    return root


def source_copy(target: Path) -> Path:
    """Copy the checkout to *target* as a newcomer would have it: no caches, no build folder."""
    shutil.copytree(CHECKOUT, target, ignore=IGNORED)
    return target


def build_wheel(source: Path, target: Path) -> Path:
    """Build the wheel of *source* in *target* with the setuptools that is installed."""
    pip("wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", target, source)
    return next(target.glob("*.whl"))


def pip(*arguments, python: Path = Path(sys.executable), **variables):
    """Run pip of the running environment, for *python*."""
    command = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check", *arguments]
    done = subprocess.run(
        [*map(str, command)], env={**os.environ, **variables}, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
