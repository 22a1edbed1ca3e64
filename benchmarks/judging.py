# SPDX-License-Identifier: GPL-2.0-or-later
"""
What it costs to write a campaign's journal, and to judge and render a whole campaign, without a node.

``python benchmarks/judging.py [--cases 2000] [--observations 1000000] [--folder DIR]`` makes up a campaign on disk (once, with a
fixed seed), then loads, judges and renders it in processes of their own. It prints absolute figures, and beside them ratios to work
done in the same run on the same files, because a single time says little on a shared machine:

* judging: the CPU time of everything, from the first import to the last report, against that of Python's own ``json.loads`` of the
  same lines, which nothing that reads them can do without;
* journal: one line, hash-chained and on disk, against a bare write and fsync of the same bytes in the same folder.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROUNDS = 3
EVENTS = 300
CATEGORIES = ("lifecycle", "cpu", "memory", "disk", "net", "migration", "perf", "stress")
CONFIGURATIONS = ("single_big", "n_equal", "patterns")
OWED = ("guest_ready", "heartbeat_gap", "ram_canary", "boot_id_changes", "downtime")
LIMITS = {
    "guest_ready": "max <= 10 s",
    "heartbeat_gap": "p99 <= 2 s over 3",
    "ram_canary": "all == 1 bool",
    "boot_id_changes": "max <= 0 count",
}
BEGAN = 1_795_000_000.0


def planned(number: int) -> dict[str, Any]:
    """Return the plan's row of one made-up case."""
    category = CATEGORIES[number % len(CATEGORIES)]
    key = f"libvirt:hvqual.{category}.case_{number // 3}:{CONFIGURATIONS[number % 3]}"
    row = {"key": key, "phase": "hypervisor", "category": category, "impact": "guest", "timeout": 300.0}
    more = {"components": ["qemu", "libvirt"], "observations": list(OWED), "limits": LIMITS}
    return {**row, **more, "maturity": "lab-proven", "params": {f"hv_parameter_{name}": "3" for name in range(20)}}


def test(case: dict[str, Any], observations: int, chance: random.Random) -> list[dict[str, Any]]:
    """Return the lines of one test; one in forty fails."""
    fails = chance.random() < 1 / 40
    begin = {"kind": "begin", "case": case["key"], "id": case["key"].split(":")[1], "profile": "lab", "pid": 1}
    begin.update(params=case["params"], scale={"hv_rounds": ["3", "1000"]}, wall=BEGAN, boot_id="b", token="t")  # noqa: S106
    found: list[dict[str, Any]] = [begin, {"kind": "node_state", "when": "before", "digest": "aa"}]
    for place in range(observations):
        vm, name = f"hvq-1f2e3d4c-{place % 4}", OWED[place % len(OWED)]
        if place % 50 == 0:
            found.append({"kind": "step", "name": "start", "vm": vm, "phase": "begin"})
        value: Any = chance.uniform(1, 4)
        unit = "s"
        if name == "ram_canary":
            value, unit = True, "bool"
        elif name == "boot_id_changes":
            value, unit = 0, "count"
        elif name == "heartbeat_gap":
            value = 3.5 if fails and place > observations // 2 else chance.uniform(0.1, 0.4)
        found.append({"kind": "observation", "name": name, "value": value, "unit": unit, "samples": 1, "vm": vm})
        if place % 50 == 0:
            found.append({"kind": "step", "name": "start", "vm": vm, "phase": "end"})
    found += [
        {"kind": "criterion", "observation": name, "limit": limit, "answer": "met"} for name, limit in LIMITS.items()
    ]
    found.append({"kind": "node_state", "when": "after", "digest": "aa", "differences": []})
    found.append(
        {
            "kind": "end",
            "status": "fail" if fails else "pass",
            "message": "it broke" if fails else "",
            "wall": BEGAN + 9,
        }
    )
    return [{**line, "seq": number, "mono": 100.0 + number / 64} for number, line in enumerate(found)]


def generate(folder: Path, cases: int, observations: int) -> None:
    """Write a campaign of so many cases and observations in all."""
    from avocado_hvqual.campaign.journal import Journal

    chance = random.Random(7)  # noqa: S311 - the same campaign each time
    node = {"id": "node-7", "hostname": "hv7.example"}
    head = {"id": "bench", "profile": "lab", "selection": True, "lab": True, "node": node, "command": "bench"}
    rows = [planned(number) for number in range(cases)]
    with Journal.create(folder, {**head, "versions": {"qemu": "7.2.22"}}) as journal:
        journal.append("plan", {"profile": "lab", "cases": rows, "required": []})
        journal.append("phase-begin", {"phase": "hypervisor"})
        journal.append("job-begin", {"phase": "hypervisor", "vt_type": "libvirt", "job_dir": "jobs/job-1"})
        for number, case in enumerate(rows):
            logdir = f"jobs/job-1/test-results/{number}-case"
            (folder / logdir).mkdir(parents=True)
            lines = test(case, observations // cases, chance)
            with (folder / logdir / "observations.jsonl").open("w", encoding="utf-8") as file:
                file.writelines(json.dumps(line, sort_keys=True) + "\n" for line in lines)
            journal.append("case-begin", {"case": case["key"], "logdir": logdir})
            status = lines[-1]["status"].upper()
            end = {"case": case["key"], "status": status, "fail_reason": lines[-1]["message"], "fail_class": ""}
            journal.append("case-end", {**end, "logdir": logdir, "time": 9.0})
        journal.append("health-state", {"case": None, "state": "known", "reason": ""})
        journal.append("campaign-end", {"status": "finished"})


def judge(folder: Path) -> dict[str, float]:
    """Load, judge and render in this process; return seconds of each part and the most memory that it took, in MiB."""
    import datetime as dt

    from avocado_hvqual import judge as judge_module
    from avocado_hvqual import load, loader, reports

    marks = [time.monotonic()]
    record = loader.load_campaign(folder)
    marks.append(time.monotonic())
    found = judge_module.judge(record, load.load_policy(), load.load_ledger(None), dt.date(2027, 1, 1))
    marks.append(time.monotonic())
    reports.write(found, folder / "reports")
    marks.append(time.monotonic())
    parts = dict(zip(("load", "judge", "render"), (after - before for before, after in zip(marks, marks[1:]))))
    return {**parts, "cpu": time.process_time(), "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def parse(folder: Path) -> float:
    """Return the CPU seconds that json.loads alone takes for every line of every test."""
    start = time.process_time()
    for path in folder.glob("jobs/*/test-results/*/observations.jsonl"):
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                json.loads(line)
    return time.process_time() - start


def events(folder: Path) -> tuple[float, float]:
    """Return the median seconds of a line of the journal, and of a bare write and fsync of as many bytes."""
    from avocado_hvqual.campaign.journal import Journal

    head = {
        "id": "b",
        "profile": "lab",
        "selection": True,
        "lab": True,
        "node": {"id": "n", "hostname": "n"},
        "command": "",
    }
    data = {"case": planned(1)["key"], "logdir": "jobs/job-1/test-results/1-case"}
    ours, bare = [], []
    with Journal.create(folder / "events", {**head, "versions": {}}) as journal, (folder / "bare").open("wb") as file:
        for _ in range(EVENTS):
            start = time.monotonic()
            journal.append("case-begin", data)
            ours.append(time.monotonic() - start)
            start = time.monotonic()
            file.write(b"x" * 500)
            file.flush()
            os.fsync(file.fileno())
            bare.append(time.monotonic() - start)
    return statistics.median(ours), statistics.median(bare)


def again(part: str, folder: Path) -> dict[str, float]:
    """Return what this program says of one part in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--part", part, "--folder", str(folder)], capture_output=True, text=True, check=True
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def figures(folder: Path) -> None:
    """Print what was measured of the campaign in *folder*."""
    say = sys.stdout.write
    rounds = [again("judge", folder) for _ in range(ROUNDS)]
    best = min(rounds, key=lambda one: one["load"] + one["judge"] + one["render"])
    whole = best["load"] + best["judge"] + best["render"]
    bare = min(again("parse", folder)["parse"] for _ in range(ROUNDS))
    parts = ", ".join(f"{name} {best[name]:.2f} s" for name in ("load", "judge", "render"))
    say(
        f"judged and rendered in {whole:.2f} s ({parts}), CPU {best['cpu']:.2f} s, at most {max(one['memory'] for one in rounds):.0f} MiB\n"
    )
    say(f"json.loads of the same lines: CPU {bare:.2f} s; everything together is {best['cpu'] / bare:.2f} times that\n")
    size = (folder / "reports" / "report.html").stat().st_size / 2**20
    say(f"report.html: {size:.1f} MiB\n")


def main() -> None:
    """Make the campaign up unless it is there, and print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--observations", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="where the campaign is or is made (default: a temporary folder)")
    parser.add_argument("--part", choices=("judge", "parse"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.part:
        said = judge(args.folder) if args.part == "judge" else {"parse": parse(args.folder)}
        sys.stdout.write(json.dumps(said))
        return
    with tempfile.TemporaryDirectory(prefix="hvq-bench-") as name:
        folder = (args.folder or Path(name)) / f"campaign-{args.cases}-{args.observations}"
        if not folder.exists():
            start = time.monotonic()
            generate(folder, args.cases, args.observations)
            sys.stdout.write(f"made up {args.cases} cases in {time.monotonic() - start:.0f} s\n")
        figures(folder)
        line, bare = events(Path(name))
        sys.stdout.write(
            f"journal: {line * 1000:.2f} ms a line, a bare write and fsync {bare * 1000:.2f} ms, ratio {line / bare:.2f}\n"
        )


if __name__ == "__main__":
    main()
