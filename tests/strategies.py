# SPDX-License-Identifier: GPL-2.0-or-later
"""Made-up campaigns: builders with healthy defaults for examples, and Hypothesis strategies for laws."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path

from hypothesis import strategies as st

from avocado_hvqual.campaign.journal import Journal
from avocado_hvqual.judge import judge
from avocado_hvqual.ledger import Ledger
from avocado_hvqual.limits import COMPARATORS, STATISTICS, Limit
from avocado_hvqual.load import load_policy
from avocado_hvqual.model.case import CaseKey, Impact, Phase, RequiredRow
from avocado_hvqual.model.finding import NOT_ATTEMPTED, UNWAIVABLE, Finding, FindingKind, Severity, Waiver
from avocado_hvqual.model.observation import CaseTrace, Evidence, Observation
from avocado_hvqual.model.plan import Plan, PlannedCase
from avocado_hvqual.model.record import Attempt, CampaignRecord, Header, HealthEvent

TODAY = dt.date(2026, 11, 21)
START = "libvirt:hvqual.lifecycle.start:single_big"
STOP = "libvirt:hvqual.lifecycle.shutdown:single_big"
CLOUD = "libvirt:hvqual.cloud.patterns:patterns"
# Without what a change of the policy alters: the golden files show reports, not the policy of the day.
POLICY = replace(
    load_policy(), digest="0123456789ab", required=(), limit_floors=(), scale_floors=(), components=("qemu", "libvirt")
)


def planned(key=START, **changes) -> PlannedCase:
    parsed = CaseKey.parse(key)
    category = parsed.hv_id.split(".")[1]
    case = PlannedCase(
        key=parsed,
        phase=Phase.CLOUD if category == "cloud" else Phase.HYPERVISOR,
        category=category,
        impact=Impact.GUEST,
        components=("qemu", "libvirt"),
        observations=("guest_ready",),
        limits={"guest_ready": "max <= 10 s"},
        timeout=300.0,
        maturity="lab-proven",
        params={"hv_rounds": "3"},
    )
    return replace(case, **changes)


def row(key=START, **changes) -> RequiredRow:
    case = planned(key)
    made = RequiredRow(
        case.key.hv_id, (case.key.place,), case.observations, case.components, case.phase, case.key.vt_type
    )
    return replace(made, **changes)


def seen(value=2.5, name="guest_ready", unit="s") -> Observation:
    return Observation(name, value, unit, 1.0)


def trace(key=START, values=(2.5,), **changes) -> CaseTrace:
    made = CaseTrace(
        case=key,
        id=CaseKey.parse(key).hv_id,
        profile="production",
        wall=1_795_000_100.0,
        boot_id="boot-1",
        scale={},
        params={"hv_rounds": "3"},
        observations=tuple(map(seen, values)),
        evidence=(Evidence("console", f"results/{key.split(':')[1]}/evidence/console.log", "0" * 64, "what it said"),),
        digest_before="aa",
        digest_after="aa",
        status="pass",
    )
    return replace(made, **changes)


def attempt(key=START, status="PASS", line=10, **changes) -> Attempt:
    own = {"PASS": "pass", "FAIL": "fail", "ERROR": "error", "CANCEL": "cancel"}.get(status)
    made = Attempt(
        case=key,
        status=status,
        line=line,
        fail_reason="" if status == "PASS" else f"it said {status}",
        logdir=f"results/{key.split(':')[1]}",
        time=4.5,
        trace=trace(key, status=own),
    )
    return replace(made, **changes)


def header(**changes) -> Header:
    made = Header(
        id="c-1",
        profile="production",
        selection=False,
        lab=False,
        node={"id": "node-7", "hostname": "hv7.example", "kernel": "6.1.0"},
        command="avocado hvqual run --profile production",
        versions={"qemu": "7.2.22", "libvirt": "9.0.0"},
        started=1_795_000_000.0,
    )
    return replace(made, **changes)


def record(*attempts, cases=None, **changes) -> CampaignRecord:
    """A finished, watched campaign whose required table is its plan."""
    attempts = attempts or (attempt(),)
    keys = cases if cases is not None else list(dict.fromkeys(one.case for one in attempts))
    made = CampaignRecord(
        header=header(),
        planned=tuple(map(planned, keys)),
        required=tuple(map(row, keys)),
        attempts=tuple(attempts),
        ended="finished",
        ended_wall=1_795_003_600.0,
        known=frozenset(one.case for one in attempts),
    )
    return replace(made, **changes)


def judged(campaign=None, *, policy=POLICY, ledger=Ledger(), today=TODAY):  # noqa: B008
    return judge(record() if campaign is None else campaign, policy, ledger, today)


def lines_of(made: CaseTrace) -> list[dict]:
    """The lines that a test with this trace writes."""
    begin = {"kind": "begin", "case": made.case, "id": made.id, "profile": made.profile, "wall": made.wall}
    begin.update(boot_id=made.boot_id, pid=1, scale=made.scale, params=made.params)
    found = [begin, {"kind": "node_state", "when": "before", "digest": made.digest_before}]
    found += [
        {"kind": "observation", "name": one.name, "value": one.value, "unit": one.unit, "samples": 1, "vm": None}
        for one in made.observations
    ]
    if made.digest_after is not None:
        found.append({"kind": "node_state", "when": "after", "digest": made.digest_after, "differences": []})
    if made.status:
        found.append({"kind": "end", "status": made.status, "message": made.message, "wall": made.wall + 1})
    return [{**line, "seq": number, "mono": float(number)} for number, line in enumerate(found)]


def write_trace(folder: Path, made: CaseTrace) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(line) + "\n" for line in lines_of(made))
    (folder / "observations.jsonl").write_text(text, encoding="utf-8")


def write_campaign(folder: Path, *, selection=False, key=START) -> Path:
    """A whole campaign of one case on disk, healthy."""
    head = header(selection=selection)
    fields = ("id", "profile", "selection", "lab", "node", "command", "versions")
    with Journal.create(folder, {name: getattr(head, name) for name in fields}) as journal:
        journal.append("plan", Plan("production", (planned(key),), (row(key),)).to_json())
        journal.append("phase-begin", {"phase": "hypervisor"})
        journal.append("job-begin", {"phase": "hypervisor", "vt_type": "libvirt", "job_dir": "job"})
        logdir = "job/test-results/1-start"
        journal.append("case-begin", {"case": key, "logdir": logdir})
        write_trace(folder / logdir, trace(key))
        end = {"case": key, "status": "PASS", "fail_reason": "", "fail_class": "", "logdir": logdir, "time": 4.5}
        journal.append("case-end", end)
        journal.append("health-state", {"case": None, "state": "known", "reason": ""})
        journal.append("campaign-end", {"status": "finished"})
    return folder


# --- strategies ---

numbers = st.floats(min_value=-1e6, max_value=1e6, allow_nan=False).map(lambda value: round(value, 3))
limits = st.builds(
    Limit,
    statistic=st.sampled_from(STATISTICS),
    comparator=st.sampled_from(sorted(COMPARATORS)),
    number=st.integers(-5, 5).map(float),
    unit=st.just("s"),
    over=st.integers(1, 3),
)
samples = st.lists(st.integers(-5, 5).map(float), max_size=6).map(lambda values: [seen(value) for value in values])
texts = st.text(max_size=40)


@st.composite
def findings(draw) -> Finding:
    """A finding as the judge may hold it after the ledger spoke."""
    kind = draw(st.sampled_from(FindingKind))
    severity = draw(st.sampled_from(Severity))
    waivable = kind not in UNWAIVABLE and kind not in NOT_ATTEMPTED
    return Finding(
        kind=kind,
        severity=severity,
        case=START,
        message=draw(texts),
        phase=draw(st.sampled_from(["hypervisor", "cloud"])),
        fix_target=draw(st.sampled_from(["", "7.3"])),
        original=draw(st.sampled_from([None, *Severity])),
        waiver=draw(st.sampled_from([None, Waiver("w", "known", "ops", "2027-01-01")])) if waivable else None,
    )


statuses = st.sampled_from(["PASS", "FAIL", "ERROR", "CANCEL", "SKIP", "WARN", "INTERRUPTED", "", None])


@st.composite
def attempts(draw) -> Attempt:
    """Any try, broken in any of the ways that have been seen."""
    key = draw(st.sampled_from([START, STOP, CLOUD]))
    status = draw(statuses)
    own = draw(st.sampled_from(["pass", "fail", "error", "cancel", None]))
    values = draw(st.lists(st.sampled_from([1.0, 10.0, 10.5, float("nan"), "text"]), max_size=3))
    made = trace(key, values, status=own, digest_after=draw(st.sampled_from(["aa", "bb", None])))
    return attempt(
        key, status, trace=draw(st.sampled_from([made, made, None])), damage=draw(st.sampled_from(["", "", "seq is 3"]))
    )


events = st.builds(
    HealthEvent,
    kind=st.sampled_from(["host-lockup", "host-log", "host-reboot"]),
    message=texts,
    case=st.sampled_from(["", START]),
)


@st.composite
def records(draw) -> CampaignRecord:
    """Any campaign of up to three cases and six tries."""
    tried = draw(st.lists(attempts(), max_size=6))
    return record(
        *tried,
        cases=[START, STOP, CLOUD],
        attempts=tuple(tried),
        known=frozenset(draw(st.sets(st.sampled_from([START, STOP, CLOUD])))),
        health=tuple(draw(st.lists(events, max_size=2))),
        header=header(selection=draw(st.booleans()), lab=draw(st.booleans())),
        ended=draw(st.sampled_from(["finished", "finished", "interrupted", ""])),
    )
