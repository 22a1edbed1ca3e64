# SPDX-License-Identifier: GPL-2.0-or-later
"""A user who is not root can work with libvirt, and one outside its group cannot."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Optional

from avocado_hvqual.preparation.model import Check, Defect, Fact, Looked, Node, Ran, Remedy, looked
from avocado_hvqual.preparation.virsh import uri, virsh

CAPABILITY = "user"
OUTSIDER = "nobody"
_REFUSED = re.compile(
    r"permission denied|authentication (?:failed|unavailable)|access denied|not authorized", re.IGNORECASE
)


def look(node: Node) -> Looked:
    """Say whether the user is there, in the group and let in, and whether the outsider is refused."""
    name, group = node.expected["user"]["name"], group_of(node)
    facts: list[Fact] = []
    if group is None:
        return looked(facts, [_no_group(node)])
    facts.append(Fact("group", group, "getent group"))
    defect = _account(node, name, group, facts)
    defects, unseen = _doors(node, None if defect else name, group, facts)
    if defect:
        defects.insert(0, defect)
    return looked(facts, [replace(defect, capability=CAPABILITY) for defect in defects], unseen)


def group_of(node: Node) -> Optional[str]:
    """Return libvirt's group on this node: the operator's, else the first of the distribution's that is there; None without any."""
    wanted = node.expected["user"].get("group")
    names = [wanted] if wanted else [*node.distribution.groups, "libvirt", "libvirtd"]
    return next((name for name in names if node.run(["getent", "group", name]).ok), None)


def _no_group(node: Node) -> Defect:
    name = node.expected["user"].get("group") or next(iter(node.distribution.groups), "libvirt")
    remedy = Remedy(
        f"Make the group '{name}'; libvirt's daemon gives its socket to it at its next start.",
        (("groupadd", "--system", "--force", name),),
        (("groupdel", name),),
    )
    return Defect(f"group {name}", "not there", "there", remedy, CAPABILITY)


def _account(node: Node, name: str, group: str, facts: list[Fact]) -> Optional[Defect]:
    """Return what is wrong with the user as the node's databases tell of it."""
    entry = node.run(["getent", "passwd", name])
    if not entry.ok:
        add = ("useradd", "--create-home", "--shell", "/bin/bash", "--groups", group, name)
        remedy = Remedy(f"Add the user '{name}', in the group '{group}'.", (add,), (("userdel", "--remove", name),))
        return Defect(f"user {name}", "not there", f"there, in the group '{group}'", remedy)
    number = (entry.stdout.strip().split(":")[2:3] or [""])[0]
    facts.append(Fact("user", f"{name} ({number})", "getent passwd"))
    if number == "0":
        return Defect(f"user {name}", "another name of root (user id 0)", "a user who is not root")
    groups = node.run(["id", "-nG", name]).stdout.split()
    facts.append(Fact("groups of the user", " ".join(groups), "id -nG"))
    if group in groups:
        return None
    remedy = Remedy(
        f"Put '{name}' into the group '{group}'; sessions that are open stay as they are until the next login.",
        (("usermod", "--append", "--groups", group, name),),
        (("gpasswd", "--delete", name, group),),
    )
    return Defect(f"user {name}: groups", ", ".join(groups) or "none", f"'{group}' among them", remedy)


def _doors(node: Node, name: Optional[str], group: str, facts: list[Fact]) -> tuple[list[Defect], list[str]]:
    """Return what is wrong with who is let in; *name* None: the user cannot be tried."""
    root = virsh(node, "list", "--all", "--name")
    if not root.ok:
        return [], [f"libvirt does not answer root at {uri(node)} ({root.why}), so nobody else could be tried."]
    defects: list[Defect] = []
    unseen: list[str] = []
    if name is not None:
        tried = as_user(node, name, "list", "--all", "--name")
        facts.append(Fact("connection of the user", "let in" if tried.ok else "refused", f"runuser -u {name} -- virsh"))
        if not tried.ok:
            expected = "a list of the domains: libvirt's socket or polkit lets the group in"
            defects.append(Defect(f"user {name}: connection", tried.why, expected))
        elif sorted(tried.stdout.split()) != sorted(root.stdout.split()):
            shown = ", ".join(tried.stdout.split()) or "no domain"
            defects.append(Defect(f"user {name}: domains", shown, ", ".join(root.stdout.split()) or "no domain"))
    outside, why = _outsider(node, group, facts)
    return defects + outside, unseen + why


def _outsider(node: Node, group: str, facts: list[Fact]) -> tuple[list[Defect], list[str]]:
    """Return what is wrong with the one who must stay outside. A failure of another kind than a refusal shows nothing."""
    name = node.expected["user"].get("outsider", OUTSIDER)
    if group in node.run(["id", "-nG", name]).stdout.split():
        return [Defect(f"outsider {name}: groups", f"in the group '{group}'", "outside of it")], []
    tried = as_user(node, name, "list", "--all", "--name")
    if tried.ok:
        facts.append(Fact("connection of an outsider", "let in", f"runuser -u {name} -- virsh"))
        found = "let in, though outside the group: libvirt's socket is open to everybody and nothing asks who comes"
        return [Defect(f"outsider {name}: connection", found, "refused")], []
    if _REFUSED.search(tried.stderr):
        facts.append(Fact("connection of an outsider", "refused", f"runuser -u {name} -- virsh"))
        return [], []
    return [], [f"Whether '{name}' is refused could not be seen: {tried.why}."]


def as_user(node: Node, name: str, *words: str) -> Ran:
    """Run virsh in a new session of another user: the groups are those of a login from now on."""
    virsh_words = ["virsh", "-q", "-c", uri(node), *words]
    return node.run(["runuser", "-u", name, "--", "env", "HOME=/nonexistent", *virsh_words])


CHECK = Check(
    name="user.non_root",
    use_case="hvqual.prep.user.non_root",
    why="Operators and tools do not work as root; and who is not of libvirt's group must not own the guests.",
    look=look,
)
