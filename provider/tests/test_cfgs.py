# SPDX-License-Identifier: GPL-2.0-or-later
"""Every leaf of every cfg, parsed by virttest's own parser: id, type, owed observations, parameters, names."""

import ast
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from virttest import bootstrap, cartesian_config
from virttest.utils_params import Params

from provider.hvqual.cpu_pairs import covered
from provider.hvqual.engine import Model, Operation, sequence
from provider.hvqual.operations.followed import UP
from provider.hvqual.operations.table import CPU, LIFECYCLE
from provider.hvqual.params import Guests, Identity, Reader
from provider.tests.support import Record

pytestmark = pytest.mark.contract
ROOT = Path(__file__).resolve().parents[2]
TREES = ("generic", "libvirt", "qemu")
ID = re.compile(r"hvqual(\.[a-z0-9_]+){2,5}")
LABEL = re.compile(r"^\s*- @?([\w.]+):", re.MULTILINE)


def parsed(tree):
    """Return the leaves of a tree, as avocado-vt's generated subtests.cfg holds them."""
    text = StringIO("variants subtest:\n")
    text.seek(0, 2)
    bootstrap.write_subtests_files([("hvqual-test", str(path)) for path in sorted((ROOT / tree).rglob("*.cfg"))], text)
    parser = cartesian_config.Parser()
    parser.parse_string(text.getvalue())
    return [Params(leaf) for leaf in parser.get_dicts()]


LEAVES = [(tree, leaf) for tree in TREES for leaf in parsed(tree)]


def module_of(tree, leaf):
    """Return the test file of a leaf."""
    return ROOT / tree / "tests/src/hvqual" / f"{leaf['type']}.py"


def names_of(path):
    """Return what the test file defines and imports, by its name there."""
    space = {}
    exec(compile(path.read_text(), str(path), "exec"), space)  # noqa: S102 - our own file, as avocado-vt loads it
    return space


def own_settings(path):
    """Return the dataclass that the test file gives to `case` as its own parameters."""
    space = names_of(path)
    call = next(
        n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call) and ast.unparse(n.func) == "case"
    )
    return space[ast.unparse(call.args[3])]


@pytest.mark.parametrize(("tree", "leaf"), LEAVES, ids=[f"{tree}-{leaf['name']}" for tree, leaf in LEAVES])
@pytest.mark.parametrize("profile", ["smoke", "lab", "nightly", "production"])
def test_leaf_is_whole(tree, leaf, profile):
    """A leaf names an id, a test file of its tree, and parameters that its test accepts under each profile."""
    params = leaf.copy()
    params["hv_profile"] = profile
    reader = Reader(params)
    identity, guests = reader.read(Identity), reader.read(Guests)
    reader.read(own_settings(module_of(tree, leaf)))
    limits = reader.limits()
    reader.close()
    assert ID.fullmatch(identity.id), identity.id
    assert identity.id.split(".")[1] == identity.category
    assert identity.observations, "a case that owes nothing cannot fail by silence"
    assert set(limits) <= set(identity.observations), "a limit on what is not owed"
    # 0 = as many as the node takes: only where equal VMs are asked for.
    assert guests.vm_count >= (0 if identity.host_config == "n_equal" else 1)
    assert leaf["vms"] == ""
    assert leaf["start_vm"] == "no"


def boots_of(names, path):
    """Return how often the operations *names* boot a guest anew, by the model of the tables that the test file takes."""
    space = names_of(path)
    tables = [table for table in space.values() if isinstance(table, dict) and table]
    operations = {name: one for table in tables for name, one in table.items() if isinstance(one, Operation)}
    model = space.get("UP", Model())
    first = max(model.boots, 1)
    for name in names:
        assert operations[name].allowed(model), (name, model)
        model = operations[name].effect(model)
    return model.boots - first


BOOTING = [(tree, leaf) for tree, leaf in LEAVES if {"boots_again"} <= set(leaf["hv_observations"].split())]
SEQUENCES = [(tree, leaf) for tree, leaf in BOOTING if "hv_sequence" in leaf]


@pytest.mark.parametrize(("tree", "leaf"), SEQUENCES, ids=[f"{tree}-{leaf['name']}" for tree, leaf in SEQUENCES])
@pytest.mark.parametrize("profile", ["smoke", "lab", "nightly", "production"])
def test_a_boot_that_is_owed_is_in_the_sequence(tree, leaf, profile):
    """A shorter sequence for a profile may not leave out what the case owes there: it would end in ERROR each time."""
    params = leaf.copy()
    params["hv_profile"] = profile
    path = module_of(tree, leaf)
    own = Reader(params).read(own_settings(path))
    assert boots_of(own.sequence.split(), path) > 0


MADE_BY = {
    "plug_time": {"plug", "dimm_plug"},
    "unplug_time": {"unplug", "dimm_unplug"},
    "balloon_time": {"balloon_take", "balloon_give"},
    "balloon_error": {"balloon_take", "balloon_give"},
    **{name: {"plug"} for name in ("plug_confirmed", "vcpu_online_time", "vcpus_as_asked")},
    **{name: {"unplug"} for name in ("unplug_confirmed", "device_removed")},
    **{name: {"dimm_plug"} for name in ("dimm_exact", "guest_gain_error", "pattern_placed", "pattern_backed")},
    "guest_loss_error": {"dimm_unplug"},
    **{f"snapshot_{name}": {"snapshot_revert"} for name in ("time", "disk", "memory", "process")},
    "revert_time": {"snapshot_revert"},
}
"""What is observed by some operations alone."""
OWING = [
    (tree, leaf, name)
    for tree, leaf in LEAVES
    if "hv_sequence" in leaf
    for name in MADE_BY
    if name in leaf["hv_observations"].split()
]


@pytest.mark.parametrize(("tree", "leaf", "name"), OWING, ids=[f"{leaf['name']}-{name}" for _, leaf, name in OWING])
@pytest.mark.parametrize("profile", ["smoke", "lab", "nightly", "production"])
def test_what_makes_an_owed_observation_is_in_the_sequence(tree, leaf, name, profile):
    """As with boots: seen, a shortened sequence without the balloon."""
    params = leaf.copy()
    params["hv_profile"] = profile
    own = Reader(params).read(own_settings(module_of(tree, leaf)))
    assert MADE_BY[name] & set(own.sequence.split())


SHARED = sorted({(tree, leaf["hv_id"]) for tree, leaf in LEAVES if "hv_sequence" in leaf})


def played(tree, use_case, profile):
    """Return what the sequences of a use case have in them under a profile, all configurations and axes together."""
    found = set()
    for _, leaf in [
        one for one in LEAVES if one[0] == tree and one[1]["hv_id"] == use_case and "hv_sequence" in one[1]
    ]:
        params = leaf.copy()
        params["hv_profile"] = profile
        found |= set(Reader(params).read(own_settings(module_of(tree, leaf))).sequence.split())
    return found


@pytest.mark.parametrize(("tree", "use_case"), SHARED, ids=[use_case for _, use_case in SHARED])
@pytest.mark.parametrize("profile", ["smoke", "lab"])
def test_what_is_gone_through_nightly_is_shared_by_the_configurations_of_a_lab(tree, use_case, profile):
    """A lab shares operations between configurations; none may fall out of all of them (seen, when sequences were shortened)."""
    assert played(tree, use_case, "nightly") - played(tree, use_case, profile) == set()


PAIRED = [(tree, leaf) for tree, leaf in LEAVES if "hv_pairs_of" in leaf]


@pytest.mark.parametrize(("tree", "leaf"), PAIRED, ids=[leaf["name"] for _, leaf in PAIRED])
@pytest.mark.parametrize("profile", ["smoke", "lab", "nightly", "production"])
def test_each_sequence_is_allowed_and_has_its_pairs(tree, leaf, profile):
    """From a guest that runs; the pairs are those that the profile asks of this configuration."""
    params = leaf.copy()
    params["hv_profile"] = profile
    own = Reader(params).read(own_settings(module_of(tree, leaf)))
    assert sequence(own.sequence, {**LIFECYCLE, **CPU}, UP)
    assert own.pairs_of
    covered(own.sequence, own.pairs_of, Record())


def test_sequences_owe_boots():
    """Without one of them the tests above would ask nothing."""
    assert SEQUENCES
    assert len(PAIRED) == 6
    assert {name for _, _, name in OWING} == set(MADE_BY)


def test_something_is_parsed():
    """An empty tree would make every test of leaves pass."""
    assert {tree for tree, _ in LEAVES} == set(TREES)


def test_keys_are_unique():
    """No two leaves of one vt-type have the same case key; a generic leaf counts under both."""
    keys = []
    for tree, leaf in LEAVES:
        reader = Reader(leaf)
        identity = reader.read(Identity)
        keys += [identity.key(kind) for kind in (("libvirt", "qemu") if tree == "generic" else (tree,))]
    assert sorted(keys) == sorted(set(keys))


def test_under_a_thousand_variants():
    """Listing stays fast only while local matrices loop inside a case (decision 14)."""
    assert len(LEAVES) < 1000


def test_stems_are_unique():
    """avocado-vt finds a module by its bare file name, in an order that changes between runs."""
    stems = [path.stem for tree in TREES for path in (ROOT / tree).rglob("*.py")]
    assert sorted(stems) == sorted(set(stems))
    assert not [stem for stem in stems if stem in sys.stdlib_module_names]


def test_trees_are_no_packages():
    """With an __init__.py the tree 'libvirt' would shadow libvirt-python."""
    assert not [path for tree in TREES for path in (ROOT / tree).rglob("__init__.py")]


def test_blocks_are_synced():
    """The copied blocks equal their masters in provider/cfg."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts/sync-cfg"), "--check"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_labels_collide_with_no_packaged_label():
    """A label that the packaged cfgs use too would be selected by their filters."""
    shared = Path(bootstrap.__file__).parent
    packaged = {
        label
        for path in [*shared.glob("shared/cfg/**/*.cfg"), *shared.glob("backends/*/cfg/*.cfg")]
        for label in LABEL.findall(path.read_text(errors="replace"))
    }
    ours = {
        label for tree in TREES for path in (ROOT / tree).rglob("*.cfg") for label in LABEL.findall(path.read_text())
    }
    assert len(packaged) > 100
    assert not ours & packaged
