# SPDX-License-Identifier: GPL-2.0-or-later
"""The fingerprint: one for one fault wherever it is seen, another for another fault."""

import re
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avocado_hvqual.model.finding import Finding, FindingKind, Severity
from avocado_hvqual.model.fingerprint import PATTERN, fingerprint, normalise
from tests import strategies as make
from tests.strategies import START, STOP, attempt, judged, record, trace

# What two sights of one fault said. Each pair was one group too many for a plainer rule.
SAME = {
    "numbers": ("stuck for 22.5s on CPU 3", "stuck for 9s on CPU 117"),
    "numbers of seven and of eight digits": ("158084 KiB of memory", "15808400 KiB of memory"),
    "fractions of seven digits": ("took 1000000.000 s", "took 0.5 s"),
    "versions": ("QEMU 7.2.22 says no", "QEMU 10.0 says no"),
    "exponents": ("is 2.47e-05 s", "is 1.5 s"),
    "signs": ("an offset of -3 s", "an offset of 4 s"),
    "an id of digits alone": ("the image 6fa24b87e1fb644a", "the image 6024887113644123"),
    "hexadecimal": ("at 0xffff8800 in 9d1b2c3", "at 0x1 in 52cec18"),
    "uuids": ("0b5c1f6e-77aa-4c3d-9e2f-0123456789ab", "AAAAAAAA-BBBB-CCCC-DDDD-EEEEEEEEEEEE"),
    "MAC addresses": ("from 52:54:00:aa:bb:01", "from FE:54:00:00:00:02"),
    "WWNs": ("LUN 50:01:43:80:12:34:56:78", "LUN 50:01:43:80:ab:cd:ef:00"),
    "IPv4": ("no answer from 192.168.122.7:5900", "no answer from 10.0.0.1"),
    "networks": ("the route 10.0.0.0/8", "the route 192.168.0.0/16"),
    "IPv6": ("from fe80::5054:ff:fe12:3456%vnet3", "from 2001:db8:0:1::7"),
    "PCI": ("device 0000:3f:00.1 is gone", "device 0000:01:1a.0 is gone"),
    "PCI without a domain": ("device 3f:00.1 is gone", "device 01:1a.0 is gone"),
    "kernel time": ("[    1.234567] BUG: soft lockup", "[123456.000001] BUG: soft lockup"),
    "syslog": ("Sat Nov 21 11:28:45 2026 host", "Mon Jan  1 00:00:00 2027 host"),
    "ISO": ("at 2026-11-21T11:28:45.123Z", "at 2027-01-01 00:00:00 +01:00"),
    "clock": ("since 11:28:45", "since 9:01:02.5"),
    "PIDs": ("qemu-system-x86[1234]: segfault", "qemu-system-x86[99]: segfault"),
    "names of VMs": ("'hvq-e847ed58-1' hangs", "'hvq-w51701856-12' hangs"),
    "flavors": ("'hvq-1-1' (small) hangs", "'hvq-2-5' (memory-optimised) hangs"),
    "how many VMs": ("'hvq-1-1' hangs", "'hvq-1-1', 'hvq-1-2' and 'hvq-1-3' hangs"),
    "how many samples": ("0 of 1 sample are wrong", "2 of 4 samples are wrong"),
    "how many samples that are no number": (
        "'x' is not answered: 1 of 1 sample is no finite number",
        "'x' is not answered: 2 of 3 samples are no finite number",
    ),
    "how many samples too few": ("1 of at least 5 samples was seen", "0 of at least 1 sample were seen"),
    "how many samples as required": ("1 of 5 samples is as required", "3 of 4 samples are as required"),
    "how many of what": ("1 guest was lost", "3 guests were lost"),
    "lists of CPUs": ("CPUs 0-3,5 are gone", "CPUs 2 are gone"),
    "how many leftovers": ("changed: links: +virbr9; links: +virbr10", "changed: links: +virbr1"),
    "a guest's disk": ("/var/lib/libvirt/images/hvq-1-1.qcow2 is gone", "/srv/vm/hvq-2-9.qcow2 is gone"),
    "a guest's socket": (
        "/var/lib/libvirt/qemu/domain-3-hvq-1-1/monitor.sock: refused",
        "/var/lib/avocado-hvqual/lab/hv-a/qemu/domain-77-hvq-2/monitor.sock: refused",
    ),
    "temporary files": ("cannot write /tmp/tmpab1_2cde/x.img.", "cannot write /var/tmp/hvq-9/x.img."),
    "the node's own folder": (
        "in /var/lib/avocado-hvqual/images/micro",
        "in /srv/avocado-hvqual/lab/hv-b/images/micro",
    ),
    "campaigns and jobs": (
        "under 20261121-041500-smoke-9f3a in job-2026-11-21T08.51-52cec18",
        "under 20270101-000000-lab-ab12 in job-2027-01-01T00.00-0c20678",
    ),
    "white space": ("two\n  lines ", "two lines"),
}

# What must stay apart, however alike it looks.
APART = {
    "words": ("the guest hangs", "the guest is gone"),
    "limits": ("'guest_ready' is unmet", "'network_gap' is unmet"),
    "states": ("libvirt says shut off", "libvirt says running"),
    "files of the system": ("files: +/etc/hosts", "files: +/etc/passwd"),
    "the same name elsewhere": ("/etc/hv/conf is gone", "/usr/share/hv/conf is gone"),
    "devices": ("/dev/kvm is missing", "/dev/vhost-net is missing"),
    "kernel settings": ("/proc/sys/vm/swappiness differs", "/proc/sys/kernel/pid_max differs"),
    "files of ours": ("/srv/hvq-1/disk.raw is gone", "/srv/hvq-1/state.json is gone"),
    "items of a list": ("changed: links: +virbr1; nft: +table x", "changed: links: +virbr1"),
    "models": ("a NIC of e1000", "a NIC of rtl8139"),
    "units": ("took 3 s", "took 3 MiB"),
    "colons that are no address": ("std::bad_alloc", "std::bad_cast"),
}


@pytest.mark.parametrize("name", SAME)
def test_two_sights_of_one_fault(name):
    one, other = SAME[name]
    assert normalise(one) == normalise(other)
    assert fingerprint("wrong-result", "", one) == fingerprint("wrong-result", "", other)


@pytest.mark.parametrize("name", APART)
def test_two_faults(name):
    one, other = APART[name]
    assert fingerprint("wrong-result", "", one) != fingerprint("wrong-result", "", other)


@pytest.mark.parametrize("text", [text for pair in (*SAME.values(), *APART.values()) for text in pair])
def test_what_is_left_says_what_it_was(text):
    """A rule that took everything would make all pairs of the same equal."""
    words = [word for word in re.findall(r"\b[a-z]{5,}\b", text) if "hvq" not in text]
    assert not words or any(word.rstrip("s") in normalise(text) for word in words)
    assert not re.search(r"\d", normalise(text))


def test_a_fingerprint_is_what_it_was():
    """A change of the rule without a change of the version would make the tracker's old names stand for something else."""
    message = (
        "'hvq-1-1' (small) is at 192.168.122.7, not at 52:54:00:aa:bb:01, since 11:28:45: /tmp/x/hvq-1.raw, 3 samples"
    )
    assert normalise(message) == "'<vm>' is at <address>, not at <mac>, since <time>: <path>, <n> sample"
    assert fingerprint("wrong-result", "guest_ready", message) == "hv1-f8a3997fc6df"


numbers = st.one_of(st.integers(0, 10**12).map(str), st.decimals(0, 10**6, places=3).map(str))
octets = st.lists(st.integers(0, 255), min_size=6, max_size=6)
ids = st.text("0123456789abcdef", min_size=8, max_size=16).filter(lambda text: re.search(r"\d", text))
SLOTS = {
    "N": numbers,
    "VM": st.builds("hvq-{}-{}".format, ids, st.integers(1, 99)),
    "UUID": st.uuids().map(str),
    "MAC": octets.map(lambda six: ":".join(f"{one:02x}" for one in six)),
    "IP": st.ip_addresses(v=4).map(str),
    "ID": ids,
    "HEX": st.integers(0, 2**64).map(hex),
    "TIME": st.datetimes().map(lambda at: at.isoformat(sep=" ")),
    "PATH": st.builds("/{}/hvq-{}.raw".format, st.sampled_from(["srv", "var/lib/libvirt/images", "tmp/x"]), ids),
}
TEMPLATES = st.lists(
    st.sampled_from([*(f"{{{slot}}}" for slot in SLOTS), "the guest", "did not", "stop", "within", "'", "(", "):"]),
    min_size=1,
    max_size=12,
).map(" ".join)


@given(TEMPLATES, st.data())
@settings(max_examples=400, deadline=None)
def test_renumbering_changes_nothing(template, data):
    def said():
        return re.sub(r"\{([A-Z]+)\}", lambda slot: data.draw(SLOTS[slot.group(1)]), template)

    assert fingerprint("error", "", said()) == fingerprint("error", "", said())


@settings(max_examples=400, deadline=None)
@given(st.text("ab1f-:./ 'hvq<>nm();,s[]\n\u0661", max_size=60))
def test_normalising_twice_is_normalising_once(text):
    assert normalise(normalise(text)) == normalise(text)


@given(
    st.tuples(st.sampled_from(FindingKind), st.text(max_size=10), make.texts),
    st.tuples(st.sampled_from(FindingKind), st.text(max_size=10), make.texts),
)
def test_kinds_and_observations_do_not_collide(one, other):
    names = [fingerprint(kind.value, observation, message) for kind, observation, message in (one, other)]
    assert all(map(PATTERN.match, names))
    alike = one[:2] == other[:2] and normalise(one[2]) == normalise(other[2])
    assert (names[0] == names[1]) is alike


def test_digits_tell_observations_apart_and_nothing_can_be_moved_over_the_border():
    message = "is unmet"
    assert fingerprint("sla-unmet", "start_p95", message) != fingerprint("sla-unmet", "start_p99", message)
    assert fingerprint("sla-unmet", "a", "b c") != fingerprint("sla-unmet", "a b", "c")
    assert len({fingerprint(kind.value, "", message) for kind in FindingKind}) == len(FindingKind)


def test_severity_case_and_evidence_are_no_part_of_it():
    finding = Finding(FindingKind.WRONG_RESULT, Severity.MAJOR, START, "it hangs")
    others = [
        replace(finding, case=STOP),
        replace(finding, severity=Severity.MINOR, original=Severity.MAJOR),
        replace(finding, evidence=("x",), phase="cloud", seen=3, notes=("n",)),
    ]
    assert {other.fingerprint for other in others} == {finding.fingerprint}


def test_text_that_is_no_text():
    assert PATTERN.match(fingerprint("error", "", "\ud800\x00\U0001f600"))
    assert fingerprint("error", "", "\ud800") != fingerprint("error", "", "?")


def test_two_criteria_that_differ_in_a_digit_are_two_findings():
    own = trace(
        status="fail",
        observations=tuple(make.seen(20.0, name) for name in ("gap_p95", "gap_p99")),
    )
    case = make.planned(
        START, observations=("gap_p95", "gap_p99"), limits={"gap_p95": "max <= 10 s", "gap_p99": "max <= 10 s"}
    )
    campaign = replace(record(attempt(status="FAIL", trace=own)), planned=(case,))
    unmet = [one for one in judged(campaign).findings if one.kind is FindingKind.CRITERION_UNMET]
    assert {one.observation for one in unmet} == {"gap_p95", "gap_p99"}
    assert len({one.fingerprint for one in unmet}) == 2


@pytest.mark.parametrize(
    "piece", ["/a", "a:", "f", "1", "hvq-", "<n> a", "'hvq-1', ", "x; ", "[1", " (x)", "1-", "::1", "é/"]
)
def test_a_megabyte_of_anything_takes_no_minute(piece):
    began = time.monotonic()
    normalise(piece * (1_000_000 // len(piece)))
    assert time.monotonic() - began < 10
