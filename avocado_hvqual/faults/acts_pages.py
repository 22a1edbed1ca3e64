# SPDX-License-Identifier: GPL-2.0-or-later
"""
What can happen to the host's huge pages behind a test's back; what it changes the test itself sets back at its end.

The settings are the machine's: nothing else that depends on them should run meanwhile.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Callable

from avocado_hvqual.errors import HvqualError
from avocado_hvqual.wait import until

RESULTS = "HVQUAL_FAULT_RESULTS"
THP = Path("/sys/kernel/mm/transparent_hugepage/enabled")
POOL = Path("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages")
#: Enough for one page that a test holds back on purpose.
MORE = 8
#: A process that holds a huge page of 2 MiB until its standard input ends. MAP_HUGETLB is 0x40000.
KEEPER = """
import mmap, sys
area = mmap.mmap(-1, 2 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40000)
area[0] = 1
print("held", flush=True)
sys.stdin.read()
"""
HOLD = 300.0


def thp_off() -> None:
    """Turn transparent huge pages off until the test has told of it, and on again if nobody else did: not every test sets them itself."""
    before = _chosen()
    THP.write_text("never", encoding="ascii")
    try:
        until(_failed, HOLD, "the test to miss transparent huge pages")
    finally:
        if _chosen() == "never":
            THP.write_text(before, encoding="ascii")


def _chosen() -> str:
    """Return the policy that is in force, the one in brackets."""
    return THP.read_text(encoding="ascii").partition("[")[2].partition("]")[0]


def add_pages() -> None:
    """Add huge pages to the pool."""
    POOL.write_text(str(int(POOL.read_text(encoding="ascii")) + MORE), encoding="ascii")


def keep_page() -> None:
    """
    Have a process hold one more huge page from the guests' end until the test has counted what is left.

    Not before: where the host's cgroup counts huge pages, the test holds its guests against that count while they run. Not longer: the
    test must still be able to put the pool back.
    """
    until(_ending, HOLD, "the test to end its guests")
    POOL.write_text(str(int(POOL.read_text(encoding="ascii")) + 1), encoding="ascii")
    keeper = subprocess.Popen([sys.executable, "-c", KEEPER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        if keeper.stdout is None or keeper.stdout.readline().strip() != "held":
            message = "The process that was to keep a huge page got none."
            raise HvqualError(message)
        until(_counted, HOLD, "the test to count the pages that are left")
    finally:
        keeper.communicate("")


def _lines() -> list[str]:
    """Return what the test that runs has recorded until now."""
    files = Path(os.environ[RESULTS]).rglob("observations.jsonl")
    return [line for file in files for line in file.read_text("utf-8", "replace").splitlines()]


def _ending() -> bool:
    """Return whether the guests are ended for the last time: after the allocation was compared."""
    names = [line for line in _lines() if '"phase": "begin"' in line]
    compared = next((at for at, line in enumerate(names) if '"name": "compare allocation"' in line), len(names))
    return any('"name": "destroy"' in line for line in names[compared:])


def _failed() -> bool:
    """Return whether the test has told of something with which it ends."""
    return any('"kind": "problem"' in line or '"kind": "end"' in line for line in _lines())


def _counted() -> bool:
    """Return whether the test has told of pages that are left, or of anything else with which it ends."""
    return _failed() or any('"name": "pages_leaked"' in line for line in _lines())


PAGE_ACTS: dict[str, Callable[[], None]] = {
    "thp-off": thp_off,
    "add-pages": add_pages,
    "keep-page": keep_page,
}
