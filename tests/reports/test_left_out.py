# SPDX-License-Identifier: GPL-2.0-or-later
"""What a case could not show is told with its reason, once for all of its guests, in the terminal and on the page."""

from avocado_hvqual.model.observation import Capability
from avocado_hvqual.reports import html, left_out, plain
from tests.strategies import attempt, judged, record, trace

NO = (
    Capability("revert by the API", False, "libvirt 9.0 cannot; the documented procedure was done"),
    Capability("sleep to disk in hvq-1a2b-1", False, "no <swap>"),
    Capability("sleep to disk in hvq-1a2b-2", False, "no <swap>"),
    Capability("disk of hvq-w953c0733-golden-1", False, "recorded is '/opt/hvq-qemu/bin/qemu-system-x86_64'"),
    Capability("component kvm", False, "runs under TCG"),
    Capability("guest agent", True, "it answers"),
)


def with_probes():
    """Return a judged campaign whose one case probed these, and that case."""
    whole = judged(record(attempt(trace=trace(capabilities=NO))))
    return whole, whole.results[0]


def test_each_reason_is_told_once():
    """Two guests with the same lack are one line; what is told by component is not told again."""
    _, result = with_probes()
    assert left_out.of_case(result) == (
        "revert by the API: libvirt 9.0 cannot; the documented procedure was done",
        "sleep to disk in a guest: no <swap>",
        "disk of a guest: recorded is '/opt/hvq-qemu/bin/qemu-system-x86_64'",
    )


def test_it_stands_in_the_terminal_and_on_the_page():
    """With the case that says it; escaped."""
    whole, result = with_probes()
    text = plain.render(whole)
    assert "could not show here" in text
    assert f"sleep to disk in a guest: no <swap> ({result.case})" in text
    assert "sleep to disk in a guest: no &lt;swap&gt;" in html.render(whole)
