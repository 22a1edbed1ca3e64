# SPDX-License-Identifier: GPL-2.0-or-later
"""The XML of a domain is well-formed for any name and path, says what the model says, and carries our mark."""

from pathlib import Path
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from provider.hvqual import marks
from provider.hvqual.domain_xml import Disk, Place, Spec, domain_xml
from provider.hvqual.images import Image

TEXT = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x2FFF, blacklist_categories=["Cs"]), min_size=1, max_size=30
)


def xml_of(name="hvq-1-1", disk="/d/hvq-1.raw", cmdline="console=ttyS0", accelerator="tcg"):
    """Return the parsed XML of a guest."""
    spec = Spec(name, "00000000-0000-4000-8000-000000000001", 2, 524288, ("52:54:00:aa:bb:01",), (Disk(disk, 64),))
    image = Image(
        "micro", Path("/i/vmlinuz"), Path("/i/initrd.img"), cmdline, "#", "root", 98304, "secret-word", "digest"
    )
    place = Place(accelerator, "/usr/bin/qemu", "default", "/log/console", "/run/hvq.hb", 5610, "camp<aign")
    text = domain_xml(spec, image, place)
    assert "secret-word" not in text
    return text, ET.fromstring(text)


@given(TEXT, TEXT, TEXT)
def test_any_text_stays_text(name, disk, cmdline):
    """Names, paths and command lines with quotes, < or & never become markup."""
    _, xml = xml_of(name, disk, cmdline)
    assert xml.findtext("name") == name
    assert xml.find("devices/disk/source").get("file") == disk
    assert xml.findtext("os/cmdline").startswith(cmdline)


def test_says_what_the_model_says():
    """CPUs, memory, MAC and the witness's names stand where libvirt reads them."""
    text, xml = xml_of()
    assert (xml.findtext("vcpu"), xml.findtext("memory"), xml.get("type")) == ("2", "524288", "qemu")
    assert xml.find("devices/interface/mac").get("address") == "52:54:00:aa:bb:01"
    assert xml.findtext("os/cmdline").split()[-2:] == ["hv.vm=hvq-1-1", "hv.udp=5610"]
    assert marks.owner_in(text)["campaign"] == "camp<aign"


def test_kvm_where_kvm_boots():
    """The accelerator that was probed is the one that the domain gets."""
    assert xml_of(accelerator="kvm")[1].get("type") == "kvm"


def test_only_an_emulated_cpu_keeps_its_clock_off_the_tsc():
    """The kernel mistakes the rate of TCG's TSC when the node is busy; under KVM the guest has the host's clock."""
    told = {kind: xml_of(accelerator=kind)[1].findtext("os/cmdline").split() for kind in ("tcg", "kvm")}
    assert ("tsc=unstable" in told["tcg"], "tsc=unstable" in told["kvm"]) == (True, False)


def test_a_flavor_stands_in_the_xml():
    """Two disks on two IOThreads, two interfaces, pinned vCPUs and huge pages: each where libvirt reads it."""
    disks, macs = (Disk("/d/1.qcow2", 64, "qcow2"), Disk("/d/2.raw", 32)), ("52:54:00:aa:bb:01", "52:54:00:aa:bb:02")
    spec = Spec("hvq-1-1", "u", 2, 524288, macs, disks, "io", iothreads=2, pins=(3, 5), hugepage_kib=2048)
    image = Image("micro", Path("/i/vmlinuz"), Path("/i/initrd.img"), "quiet", "#", "root", 98304, "secret", "digest")
    place = Place("tcg", "/usr/bin/qemu", "default", "/log/console", "/run/hvq.hb", 5610, "campaign")
    xml = ET.fromstring(domain_xml(spec, image, place))
    drivers = [(driver.get("type"), driver.get("iothread")) for driver in xml.iterfind("devices/disk/driver")]
    assert drivers == [("qcow2", "1"), ("raw", "2")]
    assert [target.get("dev") for target in xml.iterfind("devices/disk/target")] == ["vda", "vdb"]
    assert [mac.get("address") for mac in xml.iterfind("devices/interface/mac")] == list(macs)
    assert [(pin.get("vcpu"), pin.get("cpuset")) for pin in xml.iterfind("cputune/vcpupin")] == [("0", "3"), ("1", "5")]
    assert xml.find("memoryBacking/hugepages/page").attrib == {"size": "2048", "unit": "KiB"}
    assert xml.findtext("iothreads") == "2"
