# SPDX-License-Identifier: GPL-2.0-or-later
"""The fixed runs of which every report has a golden file."""

import datetime as dt
from dataclasses import replace

from avocado_hvqual.ledger import Entry, Ledger
from avocado_hvqual.model.observation import Evidence, Observation, Problem, Seed, Step
from avocado_hvqual.model.record import Continued, Gate, HealthEvent, ParameterChange
from tests.reports.busy import twins
from tests.strategies import CLOUD, START, STOP, attempt, header, judged, record, row, trace

KNOWN = Entry(
    "K-1",
    "https://bugs.example/1",
    "ops",
    message="The guest hvq-1 stood still for 3 s.",
    waiver_reason="only under TCG",
    waiver_expires=dt.date(2026, 11, 30),
    where="issues.yaml:2",
)
HOSTILE = "<script>alert(1)</script> \x1b[31mred\x1b[0m \u202egnp.exe \x07\x00 ]]> &amp; {{ 7*7 }} ' onmouseover='x"


def _failed(message="The guest hvq-7 stood still for 4.5 s."):
    return trace(STOP, status="fail", problems=(Problem("guest-freeze", message),))


def _frozen():
    return record(
        attempt(), attempt(STOP, "FAIL", fail_reason="The guest hvq-7 stood still for 4.5 s.", trace=_failed())
    )


def clean():
    return judged(record(attempt(), attempt(CLOUD)))


def one_unmet():
    return judged(record(attempt(trace=trace(values=(2.5, 11.25)))))


def unknown():
    return judged(record(attempt(trace=trace(values=(float("nan"),))), required=(row(START), row(STOP))))


def waived():
    return judged(_frozen(), ledger=Ledger((KNOWN,)))


def expired():
    return judged(_frozen(), ledger=Ledger((replace(KNOWN, waiver_expires=dt.date(2026, 1, 1)),)))


def tainted():
    problem = Problem("node-tainted", "The bridge br7 could not be removed.")
    broken = attempt(status="ERROR", fail_reason=problem.message, trace=trace(status="error", problems=(problem,)))
    event = HealthEvent("host-lockup", "watchdog: BUG: soft lockup - CPU#1 stuck for 23s!", "kernel.log", START)
    return judged(
        record(broken, health=(event,), gates=(Gate("cloud", passed=False, reason="critical findings are open"),))
    )


def selection():
    campaign = record(
        attempt(trace=trace(scale={"hv_rounds": ["3", "20"]})), header=header(selection=True, lab=True, profile="smoke")
    )
    return judged(replace(campaign, parameters=(ParameterChange("hv_rounds", "3", "5"),)))


def empty():
    return judged(record(cases=[], attempts=(), required=(), ended=""))


def hostile():
    problem = Problem("guest-panic", HOSTILE)
    own = trace(
        problems=(problem, Problem("guest-freeze", HOSTILE * 2, HOSTILE, 3.0)),
        observations=tuple(
            Observation("guest_ready", value, "s", 1.5, 1, f"{HOSTILE}-{value}", HOSTILE if value > 2 else "small")
            for value in (1.5, 2.5, 3.5)
        ),
        evidence=(
            Evidence(HOSTILE, "../../etc/passwd", "0" * 64, HOSTILE),
            Evidence("x", "a/<b>/c", "0" * 64, HOSTILE),
        ),
        steps=(Step(HOSTILE, HOSTILE, 0.5, 1.5), Step("start", f"{HOSTILE}-2.5", 0.5), Step("hold", None, 2.0, 3.0)),
        seeds=(Seed("1'; touch x; '", HOSTILE),),
        mono_last=5.0,
    )
    bad = attempt(trace=own, logdir="../javascript:alert(1)")
    return judged(
        record(
            bad,
            header=header(node={"id": HOSTILE, "hostname": HOSTILE}, command=HOSTILE, versions={"qemu": HOSTILE}),
            health=(HealthEvent("host-log", HOSTILE, "javascript:alert(1)", START, 1_795_000_102.0),),
            notes=(HOSTILE,),
        )
    )


def patched():
    """Broken off, resumed, found a bug, and tried again with another QEMU; one case was not tried on that yet."""
    versions = {"qemu": "7.2.22", "qemu-build": "6dfe17d5170d", "libvirt": "9.0.0"}
    gone_on = (
        Continued("resume", "avocado hvqual resume", 1_795_000_900.0),
        Continued("rerun", "avocado hvqual rerun /campaign --failed", 1_795_001_800.0),
    )
    tries = (attempt(START, "FAIL"), attempt(STOP), attempt(START, build=1), attempt(START, build=1))
    return judged(record(*tries, builds=(versions, {**versions, "qemu-build": "94b1e2c03d7f"}), continued=gone_on))


EACH = (clean, one_unmet, unknown, waived, expired, tainted, selection, empty, hostile, twins, patched)
RUNS = {run.__name__: run for run in EACH}
