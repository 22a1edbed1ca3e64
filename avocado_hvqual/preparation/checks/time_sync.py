# SPDX-License-Identifier: GPL-2.0-or-later
"""Does the kernel hold its clock for synchronised, and how far may it be off."""

from __future__ import annotations

from dataclasses import replace

from avocado_hvqual.preparation import answers, remedies
from avocado_hvqual.preparation.model import Check, Defect, Fact, Looked, Node, Remedy, looked, not_applicable

SOURCE = "/sys/devices/system/clocksource/clocksource0/current_clocksource"
# Whether systemd knows a time service at all (a small installation has none), and whether it is on.
_SERVICE = ("timedatectl", "show", "--property=CanNTP", "--property=NTP")
_WHY = "See why the time service does not reach its servers: timedatectl timesync-status"
_LATER = "once a time server has answered"


def look(node: Node) -> Looked:
    """Ask the kernel itself (adjtimex), whatever program keeps its time."""
    wanted = node.expected["time"]
    if not wanted["synchronized"]:
        return not_applicable("The description does not ask for a synchronised clock.")
    asked = node.ask("clock")
    said = answers.of_program(asked, "synchronized", "most_error_s")
    if said is None:
        return looked(unseen=[f"The kernel does not tell of its clock: {answers.error_of(asked)}."])
    most = float(said["most_error_s"])
    facts = [
        Fact("synchronised", bool(said["synchronized"]), "adjtimex"),
        Fact("most error", most, "adjtimex, seconds"),
        Fact("clock source", (node.read(SOURCE) or "unknown").strip(), SOURCE),
    ]
    expected = f"synchronised to {wanted['most_error_s']:g} s"
    if not said["synchronized"]:
        return looked(
            facts, [Defect("clock", "the kernel says: not synchronised", expected, _start(node), "time_sync")]
        )
    if most > wanted["most_error_s"]:
        found = f"off by up to {most:g} s"
        return looked(facts, [Defect("clock", found, expected, remedies.by_hand(_WHY), "time_sync")])
    return looked(facts)


def _start(node: Node) -> Remedy:
    if node.names("/run/systemd/system") is None:
        return remedies.by_hand("Run a time service (systemd-timesyncd, chrony) that reaches its servers.")
    service = dict(line.split("=", 1) for line in node.run(_SERVICE).stdout.splitlines() if "=" in line)
    if service.get("NTP") == "yes":
        return remedies.by_hand(_WHY)
    if service.get("CanNTP") == "no":
        return _provide(node)
    off = (("timedatectl", "set-ntp", "false"),)
    return Remedy("Switch the time service on.", (("timedatectl", "set-ntp", "true"),), off, later=_LATER)


def _provide(node: Node) -> Remedy:
    """Return how a node gets a time service: one that is masked is none for timedatectl (systemd 252), installed or not."""
    unit = node.distribution.called("units", "time sync")
    state = node.run(("systemctl", "is-enabled", unit)).stdout.strip()
    if state in {"masked", "masked-runtime"}:
        where = ("--runtime",) if state == "masked-runtime" else ()
        undo = ("systemctl", "mask", *where, unit)
        return Remedy(f"Take the mask off {unit}.", (("systemctl", "unmask", *where, unit),), (undo,))
    if state not in {"", "not-found"}:
        return remedies.by_hand(f"See why timedatectl does not count {unit} as a time service: it is {state}.")
    return replace(remedies.install([node.distribution.called("packages", "time sync")]), later=_LATER)


CHECK = Check(
    name="time.sync",
    use_case="",
    why="Logs of two hosts are held against each other by their time, and a guest that migrates takes the other host's clock.",
    look=look,
)
