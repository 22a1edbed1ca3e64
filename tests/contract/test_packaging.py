# SPDX-License-Identifier: GPL-2.0-or-later
"""What is in the wheel, where it lands, and what it needs."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import environments
import pytest
from environments import CHECKOUT

TREES = ("provider", "generic", "qemu", "libvirt")
# Needed by avocado and avocado-vt themselves, imported nowhere here: setup.py says why.
NOT_IMPORTED = {"pillow", "setuptools", "avocado-framework-plugin-vt", "netaddr"}
DISTRIBUTION_OF = {
    "avocado": "avocado-framework",
    "virttest": "avocado-framework-plugin-vt",
    "avocado_vt": "avocado-framework-plugin-vt",
}
DISTRIBUTION_OF |= {"libvirt": "libvirt-python", "libvirt_qemu": "libvirt-python", "yaml": "pyyaml", "jinja2": "jinja2"}


def names(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def wanted(folder):
    """Files of *folder* that belong into the wheel, relative to the checkout."""
    files = [path.relative_to(CHECKOUT) for path in (CHECKOUT / folder).rglob("*") if path.is_file()]
    hidden = {"__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis"}
    return {path.as_posix() for path in files if not hidden & set(path.parts) and path.suffix != ".pyc"}


def test_the_wheel_has_one_top_level_package(wheel):
    tops = {name.split("/")[0] for name in names(wheel)}
    version = wheel.name.split("-")[1]
    stem = f"avocado_hvqual-{version}"
    assert tops == {"avocado_hvqual", f"{stem}.dist-info", f"{stem}.data"}


def test_the_provider_trees_are_data_with_their_sub_folders(wheel):
    shipped = {name.split("/share/avocado-hvqual/")[1] for name in names(wheel) if "/share/avocado-hvqual/" in name}
    expected = set().union(*map(wanted, TREES))
    assert shipped == {path for path in expected if not path.startswith("provider/tests/")}
    assert any(path.startswith("libvirt/tests/cfg/hvqual/") for path in shipped)


def test_the_package_comes_with_all_its_data(wheel):
    shipped = {name for name in names(wheel) if name.startswith("avocado_hvqual/")}
    assert shipped == wanted("avocado_hvqual")
    assert "avocado_hvqual/py.typed" in shipped


def test_a_left_over_build_folder_does_not_enter_the_wheel(tmp_path):
    source = environments.source_copy(tmp_path / "source")
    ghost = source / "build" / "lib" / "avocado_hvqual" / "ghost.py"
    ghost.parent.mkdir(parents=True)
    ghost.write_text("", encoding="utf-8")
    assert not [name for name in names(environments.build_wheel(source, tmp_path / "dist")) if "ghost" in name]


def test_every_entry_point_loads(installed):
    code = "import pkg_resources as p; print([e.name for g in p.get_entry_map('avocado-hvqual').values() for e in g.values() if e.load()])"
    done = installed.run("python", "-W", "ignore", "-c", code)
    assert done.returncode == 0, done.stderr
    found = set(ast.literal_eval(done.stdout))
    assert found == {"hvqual-settings", "hvqual-init", "hvqual", "hvqual-job", "hvqual-events"}


def test_avocado_lists_our_plugins(fresh):
    done = fresh.avocado("plugins")
    listed = re.findall(r"^\s*(hvqual\S*)", done.stdout, re.MULTILINE)
    assert {"hvqual", "hvqual-init"} <= set(listed)
    assert "hvqual" not in done.stderr


def imported(*folders):
    """Top-level names of all packages that the Python files below *folders* import."""
    found = set()
    for path in (
        path for folder in folders for path in (CHECKOUT / folder).rglob("*.py") if "/provider/tests/" not in str(path)
    ):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                found.add(node.module.split(".")[0])
    return found


def declared(distribution="avocado-hvqual"):
    text = (CHECKOUT / "setup.py").read_text(encoding="utf-8")
    call = next(
        node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.keyword) and node.arg == "install_requires"
    )
    return {re.split(r"[<>=! ]", item, maxsplit=1)[0].lower() for item in ast.literal_eval(call.value)}


def test_what_is_imported_is_required_and_the_other_way_round():
    others = (
        imported("avocado_hvqual", *TREES) - set(sys.stdlib_module_names) - {"avocado_hvqual", "provider", "__future__"}
    )
    # The extra 'bugzilla' brings requests, and that urllib3; import-linter keeps them in the trackers.
    needed = {DISTRIBUTION_OF.get(name, name).lower() for name in others - {"bugzilla", "requests", "urllib3"}}
    assert needed - declared() == set(), "imported but not required in setup.py"
    assert declared() - needed - NOT_IMPORTED == set(), "required in setup.py but imported nowhere"


@pytest.mark.parametrize("arguments", [["--target", "{}"], ["--user"], ["--prefix", "{}"]], ids=lambda value: value[0])
def test_the_trees_are_found_wherever_pip_puts_them(tmp_path, wheel, without_us, arguments):
    place = tmp_path / "place"
    options = [argument.format(place) for argument in arguments]
    python = Path(sys.executable if options[0] != "--user" else getattr(sys, "_base_executable", sys.executable))
    user = {"PYTHONUSERBASE": str(place), "PIP_BREAK_SYSTEM_PACKAGES": "1"}
    # Without --ignore-installed, pip 23 would uninstall us from the environment that runs these tests.
    quiet = ["--quiet", "--no-deps", "--no-index", "--ignore-installed"]
    environments.pip("install", *quiet, *options, wheel, python=python, **user)
    package = next(place.rglob("avocado_hvqual/trees.py")).parent.parent
    code = f"import sys; sys.path.insert(0, {str(package)!r}); from avocado_hvqual.trees import provider_root; print(provider_root())"
    done = without_us.run("python", "-c", code)
    assert done.stdout.strip() == str(place / "share" / "avocado-hvqual"), done.stderr


def test_a_checkout_uses_its_own_trees(without_us):
    code = f"import sys; sys.path.insert(0, {str(CHECKOUT)!r}); from avocado_hvqual.trees import provider_root; print(provider_root())"
    assert without_us.run("python", "-c", code).stdout.strip() == str(CHECKOUT)


def test_missing_trees_are_told_in_one_sentence(tmp_path, wheel):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path, [name for name in archive.namelist() if name.startswith("avocado_hvqual/")])
    code = "from avocado_hvqual.trees import provider_root; provider_root()"
    command = [sys.executable, "-S", "-c", code]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(tmp_path)}
    )
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1
    assert last.startswith(
        "avocado_hvqual.errors.RegistrationError: The test provider's folders were found neither beside"
    )
    assert last.endswith("Install avocado-hvqual again.")


def test_the_requirements_are_what_the_wheel_says(installed):
    [distribution] = metadata.distributions(name="avocado-hvqual", path=[str(installed.site)])
    assert "setuptools<81,>=67" in (distribution.requires or [])
    assert distribution.metadata["Requires-Python"] == ">=3.9"
