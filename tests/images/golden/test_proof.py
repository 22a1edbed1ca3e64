# SPDX-License-Identifier: GPL-2.0-or-later
"""What is wrong with a guest is said, each by its own sentence, and nothing of a guest that is right."""

from dataclasses import replace

import pytest

from avocado_hvqual.images.golden import proof

FACTS = {
    "kernel": "6.1.0-9-cloud-amd64",
    "cmdline": "BOOT_IMAGE=/boot/vmlinuz root=LABEL=hvq-root",
    "machine_id": "0123456789abcdef0123456789abcdef",
    "boot_id": "b-1",
    "state": "running",
    "failed": "",
    "host_key": "SHA256:one",
    "mac": "52:54:00:00:00:01",
    "crash_kernel": "1",
    "witness": "b-1",
}
GOOD = proof.Seen("one", 20.0, 25.0, FACTS, "10.0.2.15", "b-1", "b-1", "SHA256:one", {"fio": "3.33"})


def judged(seen, *, own_loader=True):
    return proof.problems(seen, FACTS["kernel"], ["fio"], own_loader=own_loader)


def test_a_guest_that_is_right_has_no_problem():
    assert judged(GOOD) == []
    direct = replace(
        GOOD, facts={**FACTS, "cmdline": "root=LABEL=hvq-root", "crash_kernel": "0"}, ssh_boot="", ssh_key=""
    )
    assert judged(direct, own_loader=False) == []


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"kernel": "5.10"}, "It runs the kernel '5.10', expected '6.1.0-9-cloud-amd64'."),
        (
            {"state": "degraded", "failed": "kdump-tools.service"},
            "Its state is 'degraded', expected 'running'; failed: kdump-tools.service.",
        ),
        ({"failed": "fio.service"}, "Its state is 'running', expected 'running'; failed: fio.service."),
        ({"machine_id": ""}, "It has no machine id."),
        ({"machine_id": "uninitialized"}, "It has no machine id."),
        ({"witness": "b-2"}, "Its witness tells of the boot 'b-2'"),
        ({"cmdline": "root=LABEL=hvq-root"}, "It was booted by QEMU, which was not asked for."),
        ({"crash_kernel": "0"}, "No crash kernel is loaded"),
        ({"host_key": "SHA256:two"}, "ssh was given the host key SHA256:one, it has SHA256:two."),
    ],
)
def test_each_fact_that_is_wrong_is_one_sentence(facts, sentence):
    found = judged(replace(GOOD, facts={**FACTS, **facts}))
    assert len(found) == 1
    assert found[0].startswith(sentence)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"asked_login": 60.1}, "It asked for a login after 60.1 s, at most 60 s are allowed."),
        ({"heartbeat": "b-0"}, "Its heartbeat tells of the boot 'b-0'"),
        ({"ssh_boot": "b-0"}, "Its ssh tells of the boot 'b-0'"),
        ({"packages": {}}, "It lacks the packages fio."),
    ],
)
def test_each_sight_that_is_wrong_is_one_sentence(change, sentence):
    assert [line[: len(sentence)] for line in judged(replace(GOOD, **change))] == [sentence]


def test_a_guest_that_tells_nothing_is_not_right():
    silent = replace(GOOD, facts={}, heartbeat="", ssh_boot="", packages={})
    assert len(judged(silent)) >= 6


def test_clones_must_differ_in_each_thing_and_have_it():
    other = {"machine_id": "f" * 32, "host_key": "SHA256:two", "mac": "52:54:00:00:00:02", "boot_id": "b-2"}
    two = replace(GOOD, name="two", facts={**FACTS, **other}, address="10.0.2.16")
    assert proof.alike(GOOD, two) == []
    for name, value in other.items():
        same = replace(two, facts={**two.facts, name: FACTS[name]})
        assert proof.alike(GOOD, same) == [f"Both 'one' and 'two' have the {name} '{FACTS[name]}'."]
        none = replace(two, facts={**two.facts, name: ""})
        assert proof.alike(GOOD, none) == [f"One of two clones has no {name}."], value
    assert proof.alike(GOOD, replace(two, address=GOOD.address)) == [
        "Both 'one' and 'two' have the address '10.0.2.15'."
    ]


def test_what_a_guest_writes_is_understood():
    assert proof.parse_facts("kernel=6.1\ncmdline=a=b c\nnoise\nstate=running\n") == {
        "kernel": "6.1",
        "cmdline": "a=b c",
        "state": "running",
    }
    text = "fio 3.33-3 installed\nold 1 config-files\nhalf 2 half-configured\nodd\n"
    assert proof.parse_packages(text) == {"fio": "3.33-3"}
