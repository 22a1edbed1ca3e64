# SPDX-License-Identifier: GPL-2.0-or-later
"""Install avocado-hvqual: one Python package, and the test provider's trees as data under share/avocado-hvqual."""

from __future__ import annotations

import atexit
import re
import shutil
import tempfile
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).resolve().parent
# avocado-vt finds tests by folder, not by import. Installed as packages the trees would lie beside libvirt-python's `libvirt`.
TREES = ("provider", "generic", "qemu", "libvirt")
LEFT_OUT = {"__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis"}
PROVIDER_TESTS = ("provider", "tests")


def version() -> str:
    """Return the version that the package states, without importing it."""
    text = (HERE / "avocado_hvqual" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    if found is None:
        message = 'avocado_hvqual/__init__.py has no line __version__ = "...".'
        raise SystemExit(message)
    return found.group(1)


def trees() -> list[tuple[str, list[str]]]:
    """Return (folder below the prefix, files) for every folder of the trees, sub-folders kept."""
    rows = []
    for tree in TREES:
        for folder in sorted({path.parent for path in (HERE / tree).rglob("*") if path.is_file()}):
            parts = folder.relative_to(HERE).parts
            if LEFT_OUT & set(parts) or parts[:2] == PROVIDER_TESTS:
                continue
            files = [
                str(path.relative_to(HERE))
                for path in sorted(folder.iterdir())
                if path.is_file() and path.suffix != ".pyc"
            ]
            rows.append((str(Path("share", "avocado-hvqual", *parts)), files))
    return rows


def build_folder() -> str:
    """Return a fresh folder to build in: a `build/` left in the checkout puts modules that are gone into the next wheel."""
    folder = tempfile.mkdtemp(prefix="avocado-hvqual-build-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


setup(
    name="avocado-hvqual",
    version=version(),
    description="Qualify hypervisor nodes: an avocado-vt test provider with a plan, a judge and a verdict",
    long_description=(HERE / "README.rst").read_text(encoding="utf-8"),
    long_description_content_type="text/x-rst",
    license="GPL-2.0-or-later",
    python_requires=">=3.9",
    packages=find_packages(include=["avocado_hvqual", "avocado_hvqual.*"]),
    # Policy, schemas and templates: MANIFEST.in says which files.
    include_package_data=True,
    options={"build": {"build_base": build_folder()}},
    data_files=trees(),
    zip_safe=False,
    install_requires=[
        "avocado-framework>=113",
        "avocado-framework-plugin-vt>=113",
        "aexpect",
        "libvirt-python",
        "netaddr",
        # avocado-vt imports it and does not require it: without it each avocado command prints two warnings.
        "pillow",
        # avocado 113 imports pkg_resources, which setuptools 81 announces the end of and 82 lacks. With less than 67 each avocado program
        # takes a quarter longer to begin (0.1 s): it parsed what all packages require by a slower way.
        "setuptools>=67,<81",
        "Jinja2",
        "PyYAML",
        "jsonschema",
        "rich",
        # Intervals of rates and percentiles in the reports; imported only when something is asked of it.
        "scipy>=1.10",
    ],
    extras_require={
        # `avocado hvqual bugs file` speaks to a Bugzilla through it.
        "bugzilla": ["python-bugzilla>=3.3"],
        "dev": [
            "ruff",
            "mypy",
            "pytest",
            "pytest-xdist",
            "hypothesis",
            "import-linter",
            "python-bugzilla>=3.3",
            "sphinx",
            "vermin",
            "wheel",
            "types-PyYAML",
            "types-jsonschema",
        ],
    },
    entry_points={
        "avocado.plugins.settings": ["hvqual-settings = avocado_hvqual.plugins.settings:HvqualSettings"],
        "avocado.plugins.init": ["hvqual-init = avocado_hvqual.plugins.init:HvqualInit"],
        "avocado.plugins.cli.cmd": ["hvqual = avocado_hvqual.plugins.cli:HvqualCommand"],
        "avocado.plugins.job.prepost": ["hvqual-job = avocado_hvqual.plugins.result:HvqualJob"],
        "avocado.plugins.result_events": ["hvqual-events = avocado_hvqual.plugins.result:HvqualEvents"],
    },
)
