# SPDX-License-Identifier: GPL-2.0-or-later
"""By whom a guest is run is asked of four, each of whom alone can show a lie; options are read, and none is taken for granted."""

from xml.etree import ElementTree as ET

import pytest
from avocado.core.exceptions import TestError, TestFail

from provider.hvqual.operations import virtualised
from provider.tests.support import Record

FLAGS = "flags : fpu hypervisor lahf_lm\n"


class Guest:
    """A guest under *accelerator* that says *said* of itself."""

    name = "hvq-1"

    def __init__(self, accelerator="tcg", said=FLAGS + "tsc hpet\n"):
        self.place = type("Place", (), {"accelerator": accelerator})()
        self.said = said

    def ask(self, _command):
        return self.said


@pytest.fixture
def held(monkeypatch, tmp_path):
    """Return a function that asks the four who know, and returns what was observed."""

    def ask(accelerator="tcg", kind="qemu", *, enabled=False, opened="/dev/null", said=FLAGS + "tsc hpet\n"):
        fd = tmp_path / "7/fd"
        fd.mkdir(parents=True)
        (fd / "3").symlink_to(opened)
        monkeypatch.setattr(virtualised, "PROC", tmp_path)
        monkeypatch.setattr(virtualised.cpu_use, "pid_of", lambda _: 7)
        monkeypatch.setattr(virtualised.qemu_events, "asked", lambda *_: {"enabled": enabled, "present": True})
        truth = type("Truth", (), {"xml": lambda *_: ET.fromstring(f"<domain type='{kind}'/>")})()
        expect = type("Expect", (), {"record": Record(), "truth": truth})()
        try:
            virtualised.accelerated(Guest(accelerator, said), expect)
        finally:
            seen.update(expect.record.seen)

    seen = {}
    ask.seen = seen
    return ask


CLOCKED = FLAGS + "kvm-clock tsc\n"


def test_all_four_agree(held):
    held()
    assert held.seen == {"accelerator_agreed": [True]}


def test_all_four_agree_on_kvm(held):
    held("kvm", "kvm", enabled=True, opened="anon_inode:kvm-vm", said=CLOCKED)
    assert held.seen == {"accelerator_agreed": [True]}


@pytest.mark.parametrize(
    ("otherwise", "who"),
    [
        ({"kind": "kvm"}, "libvirt tells 'kvm'"),
        ({"enabled": True}, "QEMU tells 'kvm'"),
        ({"opened": "anon_inode:kvm-vm"}, "the host's kernel tells 'kvm'"),
        ({"said": CLOCKED}, "the guest tells 'kvm'"),
        ({"said": "flags : fpu lahf_lm\ntsc\n"}, "the guest tells 'no hypervisor'"),
        ({"said": ""}, "the guest tells 'no hypervisor'"),
    ],
)
def test_each_of_the_four_can_show_it(held, otherwise, who):
    with pytest.raises(TestFail, match=f"under 'tcg', but of 'hvq-1' {who}\\.$"):
        held(**otherwise)
    assert held.seen == {"accelerator_agreed": [False]}


def test_a_node_of_tcg_does_where_kvm_is_not_demanded():
    expect = type("Expect", (), {"record": Record()})()
    virtualised.demanded(Guest(), expect, "")
    virtualised.demanded(Guest("kvm"), expect, "kvm")
    with pytest.raises(TestFail, match="must run under 'kvm' here; 'hvq-1' runs under 'tcg'"):
        virtualised.demanded(Guest(), expect, "kvm")


WANTED = ("CONFIG_HOTPLUG", "CONFIG_HOTPLUG_PCI", "CONFIG_MEMORY_HOTPLUG")
GONE = ("CONFIG_HOTPLUG:3.11",)
WHOLE = "6.1.0-32-cloud-amd64\nCONFIG_64BIT=y\nCONFIG_HOTPLUG_PCI=y\nCONFIG_MEMORY_HOTPLUG=m\n"


def options(said, wanted=WANTED, gone=GONE):
    """Return what is observed of a guest that says *said*."""
    expect = type("Expect", (), {"record": Record()})()
    virtualised.options_on(Guest(said=said), expect, wanted, gone)
    return expect.record.seen


def test_an_option_that_later_kernels_do_without_is_on():
    assert options(WHOLE) == {"options_on": [True]}


@pytest.mark.parametrize(
    ("said", "missing"),
    [
        (WHOLE.replace("6.1.0-32", "3.10.0-1"), "CONFIG_HOTPLUG"),
        (WHOLE.replace("CONFIG_HOTPLUG_PCI=y\n", ""), "CONFIG_HOTPLUG_PCI"),
        (WHOLE.replace("CONFIG_MEMORY_HOTPLUG=m", "CONFIG_MEMORY_HOTPLUG=n"), "CONFIG_MEMORY_HOTPLUG"),
        ("hostile\nCONFIG_64BIT=y\n", ", ".join(WANTED)),
    ],
)
def test_an_option_that_is_off_is_named(said, missing):
    with pytest.raises(TestFail, match=f"was built without {missing}\\.$"):
        options(said)


@pytest.mark.parametrize("said", ["", "6.1.0-32-cloud-amd64\n", "6.1.0\nCONFIG_64BIT=\n"])
def test_a_kernel_that_tells_nothing_is_not_one_that_has_all(said):
    with pytest.raises(TestError, match="tells its configuration neither"):
        options(said, wanted=("CONFIG_HOTPLUG",))


@pytest.mark.parametrize(
    ("wanted", "gone", "named"),
    [
        (("CONFIG_X; reboot",), (), "hv_kconfig_required has 'CONFIG_X; reboot'"),
        ((), (), "hv_kconfig_required names no option"),
        (("CONFIG_X",), ("CONFIG_X",), "hv_kconfig_gone has 'CONFIG_X'"),
        (("CONFIG_X",), ("x:3.11",), "hv_kconfig_gone has 'x'"),
    ],
)
def test_a_word_that_is_no_option_is_refused(wanted, gone, named):
    with pytest.raises(TestError, match=named):
        options(WHOLE, wanted, gone)
