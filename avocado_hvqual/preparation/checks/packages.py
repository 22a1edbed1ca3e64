# SPDX-License-Identifier: GPL-2.0-or-later
"""Is everything installed that is needed, late enough, whole, and are the commands there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from avocado_hvqual.preparation import remedies
from avocado_hvqual.preparation.model import Check, Defect, Fact, Looked, Node, Remedy, looked

VERIFY_S = 60.0
QUERY = ("dpkg-query", "-W", "-f=${binary:Package}\\t${db:Status-Status}\\t${Version}\\n")
_ABSENT = ("not-installed", "config-files")
# Images of containers and small installations leave these out by dpkg's own path-exclude; no guest misses them.
_LEFT_OUT = re.compile(r"^/usr/share/(?:doc|man|info|locale|lintian)/")
_CHANGED = re.compile(r"^(missing|[.?0-9SMDUGTLP]{9}) +(?:([cdglr]) )?(/.*?)(?: \(.*\))?$")


def look(node: Node) -> Looked:
    """Ask dpkg for the packages, for their files, and the PATH for the commands."""
    wanted = node.expected["packages"]
    facts, unseen = list[Fact](), list[str]()
    installed = _installed(node, unseen)
    defects = list(_packages(node, wanted, installed, facts)) if not unseen else []
    defects += _commands(node, wanted["commands"], facts)
    if wanted["verify"] and not unseen:
        names = [node.distribution.called("packages", row["name"]) for row in wanted["installed"]]
        defects += _files(node, [name for name in names if name in installed], wanted["changed"], facts, unseen)
    return looked(facts, defects, unseen)


def _installed(node: Node, unseen: list[str]) -> dict[str, tuple[str, str]]:
    """Return status and version of each package that dpkg knows."""
    ran = node.run(QUERY)
    if not ran.ok:
        unseen.append(f"dpkg could not be asked for its packages: {ran.why}.")
        return {}
    rows = (line.split("\t") for line in ran.stdout.splitlines() if line.count("\t") == 2)  # noqa: PLR2004 - as QUERY says
    return {name.split(":")[0]: (status, version) for name, status, version in rows}


def _packages(
    node: Node, wanted: dict[str, Any], installed: dict[str, tuple[str, str]], facts: list[Fact]
) -> Iterator[Defect]:
    """Name each package that is not as it should be; one command installs all that are missing or too old."""
    wrong: list[tuple[str, str, str]] = []
    apt: list[str] = []
    for row in wanted["installed"]:
        name = node.distribution.called("packages", row["name"])
        status, version = installed.get(name, ("not-installed", ""))
        found = version if status == "installed" else "not installed" if status in _ABSENT else status
        facts.append(Fact(f"package {name}", found, "dpkg"))
        late = status == "installed" and _late(node, version, row)
        if not late:
            expected = f"installed, {row['minimum']} or later" if "minimum" in row else "installed"
            wrong.append((name, found, expected))
            apt += [name] if status in {"installed", *_ABSENT} else []
    for name, found, expected in wrong:
        yield Defect(f"package {name}", found, expected, remedies.install(apt) if name in apt else _configure())


def _late(node: Node, version: str, row: dict[str, Any]) -> bool:
    return "minimum" not in row or node.run(("dpkg", "--compare-versions", version, "ge", row["minimum"])).ok


def _configure() -> Remedy:
    words = ("env", "DEBIAN_FRONTEND=noninteractive", "dpkg", "--configure", "-a")
    return Remedy("Finish the installation that broke off.", (words,), irreversible="the packages are configured")


def _commands(node: Node, commands: Sequence[str], facts: list[Fact]) -> Iterator[Defect]:
    for command in commands:
        ran = node.run(("which", command))
        facts.append(Fact(f"command {command}", ran.stdout.strip() or "not found", "which"))
        if not ran.ok:
            yield Defect(f"command {command}", "not found", "an executable on the PATH")


def _files(
    node: Node, names: Sequence[str], changed: Sequence[str], facts: list[Fact], unseen: list[str]
) -> Iterator[Defect]:
    """Files of the packages that are not what the packages brought; an administrator's settings (dpkg's conffiles) may differ."""
    if not names:
        return
    ran = node.run(("dpkg", "--verify", *names), timeout=VERIFY_S)
    if ran.status is None:
        unseen.append(f"dpkg could not verify the packages: {ran.why}.")
        return
    count = 0
    for what, kind, path in filter(None, map(_difference, ran.stdout.splitlines())):
        count += 1
        if kind == "c" or path in changed or (what == "missing" and _LEFT_OUT.match(path)):
            continue
        found = "missing" if what == "missing" else f"differs from the package ({what})"
        yield Defect(f"file {path}", found, "as its package brought it", _reinstall(node, path))
    facts.append(Fact("files that differ from their package", count, "dpkg --verify"))


def _difference(line: str) -> tuple[str, str, str] | None:
    said = _CHANGED.match(line)
    return (said[1], said[2] or "", said[3]) if said else None


def _reinstall(node: Node, path: str) -> Remedy | None:
    owner = node.run(("dpkg", "-S", path))
    return remedies.reinstall(owner.stdout.split(":", 1)[0]) if owner.ok else None


CHECK = Check(
    name="packages",
    use_case="hvqual.prep.packages",
    why="What is missing, too old or broken shows later, in the middle of a campaign, and looks like a fault of the node.",
    look=look,
)
