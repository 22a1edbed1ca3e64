# SPDX-License-Identifier: GPL-2.0-or-later
"""The daemons that watch and manage a node: each runs, starts with the host, listens where it should, and tells the truth."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Optional

from avocado_hvqual.preparation import daemons, remedies
from avocado_hvqual.preparation.checks import user_non_root
from avocado_hvqual.preparation.daemons import Entry, Seen
from avocado_hvqual.preparation.model import Check, Defect, Fact, Looked, Node, Remedy, looked, not_applicable
from avocado_hvqual.preparation.virsh import virsh

CAPABILITY = "daemons"


def look(node: Node) -> Looked:
    """Say how each described daemon is."""
    if not node.expected["daemons"]:
        return not_applicable("The description of this node names no daemon.")
    facts: list[Fact] = []
    defects: list[Defect] = []
    unseen: list[str] = []
    for entry in node.expected["daemons"]:
        found = list(look_at(node, entry, facts, unseen))
        defects += [replace(defect, capability=CAPABILITY) for defect in found]
    return looked(facts, defects, unseen)


def look_at(node: Node, entry: Entry, facts: list[Fact], unseen: list[str]) -> Iterator[Defect]:
    """Yield what is wrong with one daemon: of what follows from another, only the first."""
    name = f"daemon {entry['name']}"
    seen = daemons.seen(node, entry)
    if seen is None:
        unseen.append(f"Whether the {name} runs could not be asked, neither of systemd nor of ps.")
        return
    facts.append(Fact(name, seen.found, seen.how))
    if not seen.pid:
        yield Defect(name, seen.found, "running", _start(node, entry, seen))
        return
    if not seen.enabled:
        words = [("systemctl", verb, daemons.unit(entry)) for verb in ("enable", "disable")]
        remedy = Remedy(f"Let {daemons.unit(entry)} start with the host.", (words[0],), (words[1],))
        yield Defect(f"{name}: start with the host", "no", "enabled", remedy)
    if seen.comes_back is False:
        yield Defect(f"{name}: after a crash", "stays down (Restart=no)", "systemd starts it again")
    wrong = _place(node, entry, seen, unseen)
    if wrong is not None:
        yield wrong
    elif daemons.url(entry):
        yield from _answer(node, entry, facts, unseen)


def _start(node: Node, entry: Entry, seen: Seen) -> Optional[Remedy]:
    """Return how a daemon comes to run; None where nothing is known that starts it."""
    package = node.distribution.names.get("packages", {}).get(entry["name"])
    if not seen.known:
        return replace(remedies.install([package]), within=_STARTED_S) if package else None
    if daemons.systemd(node):
        unit = daemons.unit(entry)
        return Remedy(
            f"Start {unit}.", (("systemctl", "start", unit),), (("systemctl", "stop", unit),), within=_STARTED_S
        )
    program = daemons.process(entry)
    if node.run(["service", program, "status"]).status != _STOPPED:
        return None
    return Remedy(
        f"Start {program}.", (("service", program, "start"),), (("service", program, "stop"),), within=_STARTED_S
    )


#: A daemon that was started is well only when it listens and answers.
_STARTED_S = 15.0
#: What `service NAME status` ends with for a service that is known and does not run (LSB).
_STOPPED = 3


def _place(node: Node, entry: Entry, seen: Seen, unseen: list[str]) -> Optional[Defect]:
    """Return what is wrong with where a daemon listens."""
    name, port, socket = f"daemon {entry['name']}", entry.get("port"), entry.get("socket")
    if socket:
        paths = daemons.sockets(node)
        if paths is None:
            unseen.append(f"Where the {name} listens could not be asked (ss).")
        elif socket not in paths:
            return Defect(f"{name}: socket", f"nobody listens on {socket}", "it listens there")
    if not port:
        return None
    every = daemons.listeners(node)
    if every is None:
        unseen.append(f"Where the {name} listens could not be asked (ss).")
        return None
    there = every.get(port, [])
    if not there:
        return Defect(f"{name}: port {port}", "nobody listens", "it listens there")
    comm = (node.read(f"/proc/{seen.pid}/comm") or "").strip()
    users = {user for _address, users in there for user in users}
    if users and comm and comm not in {process for process, _pid in users}:
        who = ", ".join(f"{process} ({pid})" for process, pid in sorted(users))
        return Defect(f"{name}: port {port}", f"{who} listens", f"{comm} ({seen.pid}) listens there")
    return None


def _answer(node: Node, entry: Entry, facts: list[Fact], unseen: list[str]) -> Iterator[Defect]:
    """Yield what is wrong with a daemon's answer."""
    name, url = f"daemon {entry['name']}", daemons.url(entry)
    text, why = daemons.answer(node, entry)
    facts.append(Fact(f"{name}: answer", why or f"{len(text)} bytes", url))
    if why:
        yield Defect(f"{name}: answer", why, f"an answer at {url}")
        return
    wanted, of_libvirt = entry.get("answers"), "domains" in entry
    if of_libvirt and _running(node) is None:
        unseen.append(f"What the {name} tells could not be held against libvirt, which does not answer.")
    elif wanted and not re.search(wanted, text, re.MULTILINE):
        found, remedy = f"no line of {len(text)} bytes fits", None
        user = daemons.outside(node, entry, user_non_root.names(node)) if of_libvirt else None
        if user is not None:
            found += f"; libvirt refuses its user '{user.name}', who is not in the group '{user.group}'"
            remedy = _let_in(entry, user)
        yield Defect(f"{name}: answer", found, f"a line that fits '{wanted}'", remedy)
    elif of_libvirt:
        told, running, changed = _domains(node, entry, text)
        if running is None or changed:
            unseen.append(f"Which domains run could not be held against the {name}: {changed or 'libvirt is silent'}.")
        elif told != running:
            yield Defect(f"{name}: domains", ", ".join(told) or "none", ", ".join(running) or "none")


def _let_in(entry: Entry, user: daemons.Outside) -> Remedy:
    """Return how a daemon gets to libvirt: Debian's exporter runs as a user whom libvirt's polkit rule does not let in."""
    anew = ("systemctl", "restart", daemons.unit(entry))
    return Remedy(
        f"Put '{user.name}' into the group '{user.group}', and restart {daemons.unit(entry)}.",
        (("usermod", "--append", "--groups", user.group, user.name), anew),
        (("gpasswd", "--delete", user.name, user.group), anew),
        within=_STARTED_S,
    )


def _domains(node: Node, entry: Entry, text: str) -> tuple[list[str], Optional[list[str]], str]:
    """Return the domains that a daemon tells of, those that run, and whether they changed meanwhile."""
    running = _running(node)
    told = sorted(set(re.findall(entry["domains"], text, re.MULTILINE)))
    if running is None or told == running:
        return told, running, ""
    # A domain may have come or gone between the two questions: both are asked again.
    text, why = daemons.answer(node, entry)
    again = _running(node)
    told = sorted(set(re.findall(entry["domains"], text, re.MULTILINE)))
    return told, again, why or ("" if again == running else "they come and go")


def _running(node: Node) -> Optional[list[str]]:
    run = virsh(node, "list", "--name")
    return sorted(run.stdout.split()) if run.ok else None


CHECK = Check(
    name="mgmt_daemon",
    use_case="hvqual.prep.mgmt_daemon",
    why="A node that nobody can watch or manage is found dead by its customers.",
    look=look,
)
