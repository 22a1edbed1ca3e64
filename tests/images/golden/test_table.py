# SPDX-License-Identifier: GPL-2.0-or-later
"""The table of golden images: closed, whole, and honest about what was run."""

from pathlib import Path

import pytest

from avocado_hvqual.errors import DefinitionError, ImageError
from avocado_hvqual.images import cli
from avocado_hvqual.images.golden import build, configure, table
from avocado_hvqual.images.golden import cli as golden_cli

PACKAGES = Path(__file__).resolve().parents[3] / "scripts/packages-golden.txt"


@pytest.fixture(scope="module")
def shipped():
    return table.load()


def test_each_recipe_has_a_row_for_each_system_and_a_maker(shipped):
    rows = [(row.recipe, row.system) for row in shipped.recipes]
    assert sorted(rows) == sorted((recipe, system.name) for recipe in build._MAKERS for system in shipped.systems)
    assert set(build._MAKERS) == set(golden_cli._RECIPES) == set(build._PROGRAMS_OF)


def test_ubuntu_is_not_claimed(shipped):
    assert not any(row.executed for row in shipped.recipes if row.system.startswith("ubuntu"))
    assert "not executed" in shipped.recipe("mmdebstrap", "ubuntu-24.04").told()


def test_what_the_issue_of_an_image_is_made_of_is_there(shipped):
    owed = {
        "qemu-guest-agent",
        "kdump-tools",
        "stress-ng",
        "fio",
        "numactl",
        "ethtool",
        "iperf3",
        "sosreport",
        "openssh-server",
    }
    assert owed <= set(shipped.packages)
    assert "ltp" in shipped.where_packed


def test_each_trimmed_unit_has_a_reason_of_its_own_and_none_is_ours(shipped):
    units = [row.unit for row in shipped.trimmed]
    assert len(units) == len(set(units))
    assert all(len(row.why) > 5 for row in shipped.trimmed)
    assert not set(units) & set(configure.ENABLED)


def test_unknown_names_are_one_sentence(shipped):
    with pytest.raises(ImageError, match=r"no distribution 'plan-9' .* debian-12, debian-13, ubuntu-24.04"):
        shipped.system("plan-9")
    with pytest.raises(ImageError, match=r"no recipe 'floppy' of 'debian-12' .* mmdebstrap of debian-12"):
        shipped.recipe("floppy", "debian-12")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("executed: false", "executed: perhaps"),
        ("title: Debian 12", "titel: Debian 12"),
        ("  - unit: fstrim.timer", "  - unit: fstrim"),
    ],
)
def test_a_table_that_is_none_is_refused_by_its_line(tmp_path, old, new):
    text = table.TABLE.read_text()
    assert old in text
    (tmp_path / "table.yaml").write_text(text.replace(old, new, 1))
    with pytest.raises(DefinitionError, match=r"table.yaml:\d+: "):
        table.load(tmp_path / "table.yaml")


def test_all_programs_of_a_build_come_with_the_list():
    listed = {line for line in PACKAGES.read_text().splitlines() if line and not line.startswith("#")}
    debian = {
        line for line in PACKAGES.with_name("packages-debian.txt").read_text().splitlines() if not line.startswith("#")
    }
    owed = {
        **build.PROGRAMS,
        **{name: package for rows in build._PROGRAMS_OF.values() for name, package in rows.items()},
    }
    essential = {"e2fsprogs", "util-linux"}
    assert set(owed.values()) - essential <= listed | debian


def test_recipes_are_told(capsys, shipped):
    import argparse

    parser = argparse.ArgumentParser()
    cli.fill(parser)
    assert cli.run(parser.parse_args(["recipes"])) == 0
    assert capsys.readouterr().out.count("executed.") == len(shipped.recipes)
