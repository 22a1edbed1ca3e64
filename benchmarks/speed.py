# SPDX-License-Identifier: GPL-2.0-or-later
"""
Ratios of times measured in one run, because a single time says little on a shared machine.

Run inside a host with libvirtd and the micro image (``avocado hvqual lab exec hv-a -- python benchmarks/speed.py``):

* harness: what a case costs beside its operations, against a case of avocado-vt that does nothing;
* loop: our start-and-destroy against the bare libvirt-python calls on the same domain;
* listing: the whole provider under one vt-type.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import libvirt

ROUNDS = 5


def timed(command: list[str]) -> float:
    """Return the wall time of *command* in seconds."""
    start = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - start


def listing() -> float:
    """Return the median time of listing every case of one vt-type."""
    return statistics.median(timed(["avocado", "list", "--vt-type", "libvirt", "hvqual"]) for _ in range(ROUNDS))


def run_case(folder: str) -> tuple[float, list[dict[str, object]]]:
    """Run the start-time case once; return its wall time and the lines of its record."""
    command = [
        "avocado",
        "run",
        "--vt-type",
        "libvirt",
        "--job-results-dir",
        folder,
        "--vt-only-filter",
        "sla.start_time",
        "hvqual",
    ]
    wall = timed(command)
    record = max(Path(folder).rglob("observations.jsonl"), key=lambda path: path.stat().st_mtime)
    return wall, [json.loads(line) for line in record.read_text(encoding="utf-8").splitlines()]


def operations(record: list[dict[str, object]]) -> float:
    """Return the seconds that passed inside the steps of a case."""
    total, began = 0.0, {}
    for line in record:
        if line["kind"] == "step":
            name, mono = str(line["name"]), float(str(line["mono"]))
            if line["phase"] == "begin":
                began[name] = mono
            else:
                total += mono - began.pop(name)
    return total


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


def our_loop(record: list[dict[str, object]]) -> float:
    """Return the median seconds of start (to the running domain) plus destroy in a record."""
    seen: dict[str, list[float]] = {"domain_running": [], "destroy_time": []}
    for line in record:
        if line.get("name") in seen:
            seen[str(line["name"])].append(float(str(line["value"])))
    return statistics.median(seen["domain_running"]) + statistics.median(seen["destroy_time"])


def main() -> None:
    """Print each ratio with the figures that make it."""
    with tempfile.TemporaryDirectory(prefix="hvq-bench-") as folder:
        wall, record = run_case(folder)
        start = float(str(record[0]["mono"]))
        steps, inside = operations(record), float(str(record[-1]["mono"])) - start
        (xml,) = Path(folder).rglob("hvq-*.xml")
        text = xml.read_text(encoding="utf-8").replace("/run/hvq-", "/run/hvq-bench-")
        disk = next(part for part in text.split("'\"") + text.split('"') + text.split("'") if part.endswith(".raw"))
        Path(disk).touch()
        try:
            bare = bare_loop(text, ROUNDS)
        finally:
            Path(disk).unlink()
        ours = our_loop(record)
    sys.stdout.write(
        f"case: {wall:.2f} s of wall time, {steps:.2f} s in steps, {inside - steps:.2f} s of ours around them\n"
        f"loop: start-destroy {ours:.3f} s, bare libvirt-python {bare:.3f} s, ratio {ours / bare:.2f}\n"
        f"listing: {listing():.2f} s\n"
    )


if __name__ == "__main__":
    main()
