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
_NOT_FOUND = 2
"""What getent ends with when its database has no such entry."""
_REFUSED = re.compile(
    r"permission denied|authentication (?:failed|unavailable)|access denied|not authorized", re.IGNORECASE
)


def look(node: Node) -> Looked:
    """Say whether the user is there, in the group and let in, and whether the outsider is refused."""
    name = node.expected["user"]["name"]
    account, groups = (
        node.run(["getent", "passwd", name]),
        {it: node.run(["getent", "group", it]) for it in names(node)},
    )
    silent = [ran.why for ran in (account, *groups.values()) if not _told(ran)]
    if silent:
        return looked(unseen=[f"Who is there could not be asked (getent): {silent[0]}."])
    group = next((it for it, ran in groups.items() if ran.ok), None)
    if group is None:
        return looked((), [replace(it, capability=CAPABILITY) for it in _no_group(names(node)[0], name, account)])
    facts = [Fact("group", group, "getent group")]
    wrong, unseen = _account(node, name, group, account, facts)
    defects, more = _doors(node, None if wrong or unseen else name, group, facts)
    return looked(facts, [replace(it, capability=CAPABILITY) for it in wrong + defects], unseen + more)


def _told(ran: Ran) -> bool:
    """Whether getent has told: a line of a database, or that there is none."""
    return ran.stdout.count(":") > 1 if ran.ok else ran.status == _NOT_FOUND


def names(node: Node) -> list[str]:
    """Return what libvirt's group may be called here: the operator's name, else the distribution's."""
    wanted = node.expected["user"].get("group")
    return [wanted] if wanted else list(dict.fromkeys([*node.distribution.groups, "libvirt", "libvirtd"]))


def _no_group(group: str, name: str, account: Ran) -> list[Defect]:
    """Return the missing group; the user, if there is one, is put into it. A user who is not there is a defect besides."""
    commands: list[tuple[str, ...]] = [("groupadd", "--system", group)]
    if account.ok:
        commands.append(("usermod", "--append", "--groups", group, name))
    summary = f"Make the group '{group}'; libvirt's daemon gives its socket to it at its next start."
    missing = Defect(f"group {group}", "not there", "there", Remedy(summary, tuple(commands), (("groupdel", group),)))
    return [missing] if account.ok else [missing, _no_user(name, group)]


def _no_user(name: str, group: str) -> Defect:
    add = ("useradd", "--create-home", "--shell", "/bin/bash", "--groups", group, name)
    remedy = Remedy(f"Add the user '{name}', in the group '{group}'.", (add,), (("userdel", "--remove", name),))
    return Defect(f"user {name}", "not there", f"there, in the group '{group}'", remedy)


def _account(node: Node, name: str, group: str, account: Ran, facts: list[Fact]) -> tuple[list[Defect], list[str]]:
    """Return what is wrong with the user as the node's databases tell of it, and what they do not tell."""
    if not account.ok:
        return [_no_user(name, group)], []
    number = (account.stdout.strip().split(":")[2:3] or [""])[0]
    facts.append(Fact("user", f"{name} ({number})", "getent passwd"))
    if number == "0":
        return [Defect(f"user {name}", "another name of root (user id 0)", "a user who is not root")], []
    told = node.run(["id", "-nG", name])
    if not told.ok or not told.stdout.strip():
        return [], [f"The groups of '{name}' could not be asked (id): {told.why}."]
    facts.append(Fact("groups of the user", told.stdout.strip(), "id -nG"))
    if group in told.stdout.split():
        return [], []
    remedy = Remedy(
        f"Put '{name}' into the group '{group}'; sessions that are open stay as they are until the next login.",
        (("usermod", "--append", "--groups", group, name),),
        (("gpasswd", "--delete", name, group),),
    )
    return [Defect(f"user {name}: groups", told.stdout.strip(), f"'{group}' among them", remedy)], []


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
