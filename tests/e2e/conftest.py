# SPDX-License-Identifier: GPL-2.0-or-later
"""A lab with a micro image for whole runs: one for the session, with a home of its own."""

import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from avocado_hvqual import lab
from avocado_hvqual.lab.left_changed import left_changed
from avocado_hvqual.lab.paths import HOME_VARIABLE, HOST_ID_VARIABLE
from avocado_hvqual.lab.tools import LAB_PROGRAMS, find

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
#: As on a node: QEMU may read and write what it is given alone, which root's does not show. HVQUAL_QEMU_USER=root: as labs are.
QEMU_USER = os.environ.get("HVQUAL_QEMU_USER", "libvirt-qemu")
#: The path of a custom build to put under test; the installed one by default.
QEMU = os.environ.get("HVQUAL_QEMU")
NODE_STATE = str(ROOT / "provider/hvqual/node_state.py")
sys.path.insert(0, str(Path(__file__).parent))


def pytest_collection_modifyitems(items):
    """Everything here is level 4."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.lab)


def _unable():
    if os.environ.get(HOST_ID_VARIABLE):
        return "inside a lab host"
    if os.geteuid() != 0:
        return "not root"
    if not (BIN / "avocado").exists():
        return "avocado is not installed beside this Python"
    try:
        pwd.getpwnam(QEMU_USER)
    except KeyError:
        return f"no user {QEMU_USER}"
    missing = [name for name in LAB_PROGRAMS if find(name) is None]
    return f"{', '.join(missing)} not installed" if missing else ""


@dataclass
class Node:
    """The lab's host hv-a, entered as a user does."""

    home: Path
    runs: int = 0

    @property
    def environment(self):
        """The environment of a user whose state is all below the lab's home."""
        return {
            **os.environ,
            HOME_VARIABLE: str(self.home),
            "HOME": str(self.home / "user"),
            "PATH": f"{BIN}:{os.environ['PATH']}",
        }

    def results(self):
        """Return a new folder that is seen inside the host too."""
        self.runs += 1
        folder = self.home / "lab/shared" / f"run-{self.runs}"
        folder.mkdir(parents=True)
        return folder

    def run(self, *command, timeout=300):
        """Run a command on the machine, with the lab's home."""
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=timeout, check=False, cwd=self.home
        )

    def inside(self, *command, timeout=300):
        """Run a command inside hv-a."""
        return self.run("avocado", "hvqual", "lab", "exec", "hv-a", "--", *command, timeout=timeout)

    def state(self):
        """Return hv-a's state."""
        done = self.inside(sys.executable, NODE_STATE, "capture")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def digest(self):
        """Return hv-a's state digest."""
        return self.state()["digest"]

    def differences(self, before, after):
        """Return in what two states differ."""
        files = [self.home / "before.json", self.home / "after.json"]
        for file, state in zip(files, (before, after)):
            file.write_text(json.dumps(state))
        return self.inside(sys.executable, NODE_STATE, "diff", *map(str, files)).stdout


@pytest.fixture(scope="session")
def node():
    """The host hv-a of a lab that is brought up for these tests and taken down after them."""
    if _unable():
        pytest.skip(_unable())
    home = Path(tempfile.mkdtemp(prefix="hvq-e2e-", dir="/var/tmp"))
    home.chmod(0o755)
    before = os.environ.get(HOME_VARIABLE)
    os.environ[HOME_VARIABLE] = str(home)
    try:
        shared = Path("/var/lib/avocado-hvqual/images/cache")
        if shared.is_dir():
            shutil.copytree(shared, home / "images/cache")
        (home / "user").mkdir()
        assert lab.up(qemu=QEMU, qemu_user=QEMU_USER).up
        it = Node(home)
        built = it.run("avocado", "hvqual", "image", "build", "micro")
        assert built.returncode == 0, built.stderr
        yield it
    finally:
        # An interrupted test has left a campaign whose cases change the machine itself (huge pages, kernel settings).
        try:
            Node(home).run("avocado", "hvqual", "clean", "--lab", "--force")
        finally:
            lab.down()
        changed = left_changed()
        shutil.rmtree(home)
        if before is None:
            del os.environ[HOME_VARIABLE]
        else:
            os.environ[HOME_VARIABLE] = before
        assert not changed, changed
