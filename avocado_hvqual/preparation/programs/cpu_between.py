# SPDX-License-Identifier: GPL-2.0-or-later
"""
What libvirt says of the CPU of another node: ``python cpu_between.py URI kvm|qemu THEIR_CPU_XML OUR_CPU_XML``, JSON on stdout.

"compare" says whether a guest with the other node's CPU can run at *URI* (identical, superset, incompatible), "baseline" is the CPU that
guests of both may have.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

# Run as a script, our own folder must not shadow modules.
if __package__ in {None, ""}:
    sys.path[0] = str(Path(__file__).resolve().parents[3])


def ask(connection: Any, libvirt: Any, kind: str, theirs: str, ours: str) -> dict[str, str]:
    """Return the answers of one hypervisor; an error that is none of the CPU's own is raised."""
    names = {
        libvirt.VIR_CPU_COMPARE_IDENTICAL: "identical",
        libvirt.VIR_CPU_COMPARE_SUPERSET: "superset",
        libvirt.VIR_CPU_COMPARE_INCOMPATIBLE: "incompatible",
    }
    answer = {"compare": "incompatible", "why": "", "baseline": ""}
    try:
        flags = libvirt.VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE
        found = connection.compareHypervisorCPU(None, None, None, kind, theirs, flags)
        answer["compare"] = names.get(found, f"error {found}")
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_CPU_INCOMPATIBLE:
            raise
        answer["why"] = str(error)
    try:
        common = connection.baselineHypervisorCPU(None, None, None, kind, [ours, theirs], 0)
        answer["baseline"] = ET.fromstring(common).findtext("model", "")  # noqa: S314 - from the libvirtd that was asked
    except libvirt.libvirtError as error:
        answer["why"] = answer["why"] or str(error)
    return answer


def main(arguments: list[str]) -> int:
    """Write the answers, or {"error": reason} with status 1."""
    uri, kind, theirs, ours = arguments
    try:
        import libvirt

        libvirt.registerErrorHandler(lambda _context, _error: None, None)
        # libvirt lets nobody ask this over a connection that may only read.
        connection = libvirt.open(uri)
    except Exception as error:  # noqa: BLE001 - libvirtError has no name when libvirt-python is missing
        sys.stdout.write(json.dumps({"error": str(error)}) + "\n")
        return 1
    try:
        answer = ask(connection, libvirt, kind, theirs, ours)
    except libvirt.libvirtError as error:
        answer = {"error": str(error)}
    finally:
        connection.close()
    sys.stdout.write(json.dumps(answer) + "\n")
    return 1 if "error" in answer else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
