# SPDX-License-Identifier: GPL-2.0-or-later
"""A lab of the test's own, so that one that is in use is left alone."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from avocado_hvqual import images, lab
from avocado_hvqual.lab.paths import HOME_VARIABLE, HOST_ID_VARIABLE
from avocado_hvqual.lab.tools import LAB_PROGRAMS, find


def _unable():
    if os.environ.get(HOST_ID_VARIABLE):
        return "inside a lab host"
    if os.geteuid() != 0:
        return "not root"
    missing = [name for name in LAB_PROGRAMS if find(name) is None]
    return f"{', '.join(missing)} not installed" if missing else ""


@pytest.fixture(scope="session")
def lab_home():
    """An empty state home; whatever lab is there at the end is taken down."""
    if _unable():
        pytest.skip(_unable())
    home = Path(tempfile.mkdtemp(prefix="hvq-lab-test-"))
    before = os.environ.get(HOME_VARIABLE)
    os.environ[HOME_VARIABLE] = str(home)
    try:
        yield home
    finally:
        lab.down()
        shutil.rmtree(home)
        if before is None:
            del os.environ[HOME_VARIABLE]
        else:
            os.environ[HOME_VARIABLE] = before


@pytest.fixture
def lab_up(lab_home):
    """The lab, up."""
    found = lab.up()
    assert found.up, found
    return found


@pytest.fixture(scope="session")
def micro_image(lab_home):
    """The micro guest's image in the lab's home; an image that the machine has already lends its kernel."""
    shared = Path("/var/lib/avocado-hvqual/images/cache")
    if shared.is_dir():
        shutil.copytree(shared, lab_home / "images/cache")
    return images.build_micro(lab_home)
