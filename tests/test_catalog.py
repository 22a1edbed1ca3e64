# SPDX-License-Identifier: GPL-2.0-or-later
"""The catalog is what avocado-vt would run, and a leaf that is not defined well is named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from avocado_hvqual import catalog
from avocado_hvqual.errors import DefinitionError
from tests import scratch_vt

GOOD = {
    "vm_type": "qemu",
    "hv_id": "hvqual.scratch.pass",
    "hv_phase": "hypervisor",
    "hv_category": "scratch",
    "hv_host_config": "single_big",
    "hv_impact": "none",
    "hv_components": "qemu kvm",
    "hv_observations": "answer other",
    "hv_timeout": "20",
    "hv_limit_answer": "max <= 10 s",
    "hv_rounds": "5",
    "hv_rounds_smoke": "2",
    "hv_profile": "lab",
}


def test_a_leaf_becomes_a_planned_case() -> None:
    made = catalog.planned(GOOD, "leaf")
    assert str(made.key) == "qemu:hvqual.scratch.pass:single_big"
    assert made.observations == ("answer", "other")
    assert made.limits == {"answer": "max <= 10 s"}
    assert made.timeout == 20.0


def test_the_axis_is_part_of_the_key() -> None:
    assert str(catalog.planned({**GOOD, "hv_axis": "twin=boot"}, "leaf").key).endswith(":single_big:twin=boot")


@pytest.mark.parametrize(("profile", "rounds"), [("smoke", "2"), ("lab", "5"), ("production", "5"), ("", "5")])
def test_parameters_are_those_of_the_profile(profile: str, rounds: str) -> None:
    params = catalog.planned(GOOD, "leaf", profile).params
    assert params["hv_rounds"] == rounds
    assert "hv_rounds_smoke" not in params


@pytest.mark.parametrize("name", catalog.REQUIRED)
def test_each_fact_that_a_case_owes_is_asked_for(name: str) -> None:
    for params in ({**GOOD, name: ""}, {key: value for key, value in GOOD.items() if key != name}):
        with pytest.raises(DefinitionError, match=f"'leaf' .*'{name}' is missing"):
            catalog.planned(params, "leaf")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hv_phase", "later"),
        ("hv_host_config", "huge"),
        ("hv_impact", "some"),
        ("hv_timeout", "soon"),
        ("hv_timeout", "-1"),
        ("hv_timeout", "nan"),
        ("hv_axis", "no equals sign"),
    ],
)
def test_a_value_outside_its_closed_set_is_named(name: str, value: str) -> None:
    with pytest.raises(DefinitionError, match=value):
        catalog.planned({**GOOD, name: value}, "leaf")


class Runnable:
    def __init__(self, **kwargs: str) -> None:
        self.kwargs = kwargs


def test_only_our_cases_are_ours() -> None:
    assert catalog.is_ours(Runnable(hv_id="x"))
    assert catalog.is_ours(Runnable(provider="avocado-hvqual-generic")), "a case that lost its hv_id must not vanish"
    assert not catalog.is_ours(Runnable(provider="io-github-autotest-libvirt"))
    assert not catalog.is_ours(Runnable())


LOAD = """
import json, sys
from avocado_hvqual import catalog, errors
try:
    cases = catalog.load(sys.argv[1], sys.argv[2].split(","))
except errors.HvqualError as error:
    print(json.dumps({"error": str(error)}))
else:
    print(json.dumps({str(key): [e.name, e.runnable.kind, e.planned.params] for key, e in cases.items()}))
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> scratch_vt.Scratch:
    return scratch_vt.build(tmp_path_factory.mktemp("catalog"))


def loaded(home: scratch_vt.Scratch, profile: str = "smoke", backends: str = "qemu", **environment: str) -> Any:
    done = home.python(LOAD, profile, backends, **environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.contract
def test_cases_come_from_avocado_vts_own_parser(home: scratch_vt.Scratch) -> None:
    cases = loaded(home)
    listed = home.avocado("list", "--vt-type", "qemu", "hvqual").stdout.split()
    for label in scratch_vt.LEAVES:
        name, kind, params = cases[f"qemu:hvqual.scratch.{label}:single_big"]
        assert name in listed
        assert kind == "avocado-vt"
        assert params["hv_profile"] == "smoke"


@pytest.mark.contract
def test_the_users_own_filters_do_not_narrow_the_catalog(home: scratch_vt.Scratch) -> None:
    before = loaded(home)
    conf = home.root / "home/.config/avocado/avocado.conf"
    text = conf.read_text(encoding="utf-8")
    try:
        conf.write_text(text + "only_filter = scratch.pass\nno_filter = scratch\n", encoding="utf-8")
        assert set(loaded(home)) == set(before)
    finally:
        conf.write_text(text, encoding="utf-8")


@pytest.mark.contract
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("hv_id = hvqual.scratch.fail", "hv_id = hvqual.scratch.pass"), "Two cases have the key"),
        (("hv_phase = hypervisor", "hv_phase = tomorrow"), "tomorrow"),
        (("            hv_id = hvqual.scratch.fail\n", ""), "'hv_id' is missing"),
        (("    variants:\n", "    variants\n"), "cannot be parsed"),
    ],
)
def test_a_wrong_cfg_is_one_sentence(home: scratch_vt.Scratch, change: tuple[str, str], said: str) -> None:
    cfg = scratch_vt.CFG + "".join(scratch_vt.LEAF.format(label=label) for label in ("pass", "fail"))
    home.write_cfg(cfg.replace(*change))
    assert said in loaded(home)["error"]
