# SPDX-License-Identifier: GPL-2.0-or-later
"""Level 3: guests of the micro image under a bare QEMU, nothing else."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from avocado_hvqual.errors import HvqualError
from avocado_hvqual.images.micro import build_micro
from provider.hvqual import images

sys.path.insert(0, str(Path(__file__).parent))

import bare_guest


def pytest_collection_modifyitems(items):
    """Everything here is level 3."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.guest)


@pytest.fixture(scope="session", autouse=True)
def _helpers():
    """A console's session looks for its helper in the folders of PATH; it is installed beside this Python."""
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{before}"
    yield
    os.environ["PATH"] = before


@pytest.fixture(scope="session")
def micro(tmp_path_factory):
    """The micro image, built in a home of its own."""
    if os.geteuid() != 0:
        pytest.skip("not root: the image's password is root's")
    if shutil.which(bare_guest.QEMU) is None:
        pytest.skip(f"{bare_guest.QEMU} not installed")
    home = tmp_path_factory.mktemp("images-home")
    kept = Path("/var/lib/avocado-hvqual/images/cache")
    if kept.is_dir():
        shutil.copytree(kept, home / "images/cache")
    try:
        build_micro(home)
    except HvqualError as error:
        pytest.fail(str(error))
    return images.load(str(home / "images"), "micro")


@pytest.fixture(scope="module")
def guest(micro, tmp_path_factory):
    """A guest on whose console root is logged in; for tests that leave it running."""
    # A unix socket's path has to be short.
    folder = tmp_path_factory.mktemp("g")
    with bare_guest.running(micro, folder) as it:
        it.log_in()
        yield it
