# SPDX-License-Identifier: GPL-2.0-or-later
"""
Ratios of times measured in one run, because a single time says little on a shared machine.

Run inside a host with libvirtd and the micro image (``avocado hvqual lab exec hv-a -- python benchmarks/speed.py``), for some two minutes:

* harness: what a case costs from the end of the case before it to its own end, less its operations, against a case of
  avocado-vt 113 that does nothing, at avocado-vt's defaults;
* loop: our start-and-destroy against the bare libvirt-python calls on the same domain;
* listing: the whole provider under one vt-type.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import libvirt

ROUNDS = 5
CASES = "hvqual.lifecycle.start"
NOTHING = "def run(test, params, env):\n    pass\n"
CFG = """\
- hvq_bench:
    type = hvq_bench
    vms = ""
    main_vm = ""
    start_vm = no
    variants:
        - one:
        - two:
        - three:
"""


def avocado(*words: str, expected: tuple[int, ...] = (0,), **variables: str) -> float:
    """Run avocado and return its wall time in seconds; RuntimeError with its words when it ends otherwise than expected."""
    start = time.monotonic()
    command = [sys.executable, "-m", "avocado", *words]
    done = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, check=False)
    if done.returncode not in expected:
        message = (
            f"'avocado {' '.join(words)}' ended with {done.returncode}: {done.stdout[-1500:]}{done.stderr[-1500:]}"
        )
        raise RuntimeError(message)
    return time.monotonic() - start


def lines(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a file of JSON lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def listing() -> float:
    """Return the median time of listing every case of one vt-type."""
    return statistics.median(avocado("list", "--vt-type", "libvirt", "hvqual") for _ in range(ROUNDS))


def nothing(folder: Path) -> float:
    """Return the seconds from one case's end to the next one's for cases that do nothing, of a user who has only avocado-vt's defaults."""
    root, home = folder / "provider", folder / "home"
    for path, text in (("qemu/tests/cfg/hvq_bench.cfg", CFG), ("qemu/tests/hvq_bench.py", NOTHING)):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    providers = home / "avocado/data/avocado-vt/virttest/test-providers.d"
    (providers / "downloads/.keep").mkdir(parents=True)
    (providers / "hvq-bench.ini").write_text(
        f"[provider]\nuri: file://{root}\n[qemu]\nsubdir: qemu/\n", encoding="utf-8"
    )
    user = {"HOME": str(home), "VIRTUAL_ENV": str(home)}
    avocado("vt-bootstrap", "--vt-type", "qemu", "--vt-no-downloads", "--yes-to-all", **user)
    avocado(
        "run", "--vt-type", "qemu", "--job-results-dir", str(folder / "nothing"), "hvq_bench", expected=(0, 1), **user
    )
    (file,) = folder.glob("nothing/job-*/results.json")
    tests = json.loads(file.read_text(encoding="utf-8"))["tests"]
    if [test["status"] for test in tests] != ["PASS"] * 3:
        message = f"The cases that do nothing did not pass: {tests}"
        raise RuntimeError(message)
    ends = sorted(float(test["actual_time_end"]) for test in tests)
    return statistics.median(later - earlier for earlier, later in zip(ends, ends[1:]))


def operations(record: list[dict[str, Any]]) -> float:
    """Return the seconds from a case's first step to the last thing that it saw: between its steps it asks the guest."""
    first = min(line["mono"] for line in record if line["kind"] == "step")
    return float(max(line["mono"] for line in record if line["kind"] in {"step", "observation"}) - first)


def harness(folder: Path) -> list[tuple[str, float, dict[str, float]]]:
    """Return of each case but the first its key, its seconds of harness, and in what they went."""
    avocado("hvqual", "run", "--profile", "smoke", "--only", CASES, "--output", str(folder / "ours"))
    journal = lines(folder / "ours/journal.jsonl")
    told, previous = [], 0.0
    for line in journal:
        if line["kind"] == "case-end":
            record = lines(folder / "ours" / line["data"]["logdir"] / "observations.jsonl")
            first, last = record[0]["mono"], record[-1]["mono"]
            parts = {
                "process, imports, avocado-vt's set-up": first - previous,
                "our set-up, checks and node states": last - first - operations(record),
                "avocado-vt's end": line["mono"] - last,
            }
            told.append((line["data"]["case"], line["mono"] - previous - operations(record), parts))
            previous = line["mono"]
    return told[1:]


def bare_loop(xml: str, rounds: int) -> float:
    """Return the median seconds of one bare create-and-destroy of the domain in *xml* (nobody waits for the guest)."""
    connection = libvirt.open("qemu:///system")
    times = []
    for _ in range(rounds):
        start = time.monotonic()
        domain = connection.createXML(xml)
        domain.destroy()
        times.append(time.monotonic() - start)
    connection.close()
    return statistics.median(times)


def loops(folder: Path) -> tuple[float, float]:
    """Return the median seconds of our start (to the running domain) plus destroy, and of the bare calls on the same domain."""
    only = ("--vt-only-filter", "sla.start_time single_big")
    avocado("run", "--vt-type", "libvirt", "--job-results-dir", str(folder / "loop"), *only, "hvqual")
    (record,) = folder.glob("loop/job-*/test-results/*/observations.jsonl")
    seen: dict[str, list[float]] = {"domain_running": [], "destroy_time": []}
    for line in lines(record):
        if line.get("name") in seen:
            seen[line["name"]].append(float(line["value"]))
    (xml,) = record.parent.glob("hvq-*.xml")
    text = xml.read_text(encoding="utf-8").replace("/run/hvq-", "/run/hvq-bench-")
    disk = next(Path(word) for quote in "'\"" for word in text.split(quote) if word.endswith(".raw"))
    disk.touch()
    try:
        bare = bare_loop(text, ROUNDS)
    finally:
        disk.unlink()
    return sum(statistics.median(times) for times in seen.values()), bare


def main() -> None:
    """Print each ratio with the figures that make it."""
    say = sys.stdout.write
    with tempfile.TemporaryDirectory(prefix="hvq-bench-") as name:
        folder = Path(name)
        theirs = nothing(folder)
        told = harness(folder)
        for case, seconds, parts in told:
            say(
                f"  {case}: {seconds:.2f} s; "
                + ", ".join(f"{part} {spent:.2f} s" for part, spent in parts.items())
                + "\n"
            )
        ours = statistics.median(seconds for _case, seconds, _parts in told)
        say(
            f"harness: {ours:.2f} s a case beside its operations, "
            f"a case of avocado-vt that does nothing {theirs:.2f} s, ratio {ours / theirs:.2f}\n"
        )
        our_loop, bare = loops(folder)
        say(f"loop: start-destroy {our_loop:.3f} s, bare libvirt-python {bare:.3f} s, ratio {our_loop / bare:.2f}\n")
    say(f"listing: {listing():.2f} s, `avocado list /bin/true` {avocado('list', '/bin/true'):.2f} s\n")


if __name__ == "__main__":
    main()
