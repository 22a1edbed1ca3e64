# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a build's source comes from: a git tree, a tarball, or the distribution's source package. Each can be named exactly afterwards."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from avocado_hvqual.errors import BuildError
from avocado_hvqual.images.golden import archive
from avocado_hvqual.images.golden.command import Programs
from avocado_hvqual.images.golden.table import load
from avocado_hvqual.images.golden.workshop import digest


@dataclass(frozen=True)
class Wanted:
    """What was asked for: *kind* is git, tarball or debian; *place* a repository, a file or a package; *ref* a commit, branch or tag."""

    kind: str
    place: str
    ref: str = ""


@dataclass(frozen=True)
class Source:
    """What was got: *ref* is the commit, or the version; *sha256* of the tarball, or of the files that the source package lists."""

    kind: str
    place: str
    ref: str
    sha256: str
    folder: Path


def fetch(wanted: Wanted, folder: Path, programs: Programs) -> Source:
    """Put the source into *folder*, in place of what is there; `BuildError` when it cannot be had."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    return {"git": _git, "tarball": _tarball, "debian": _debian}[wanted.kind](wanted, folder, programs)


def _git(wanted: Wanted, folder: Path, programs: Programs) -> Source:
    """Check out one commit; of a repository elsewhere no other is fetched."""
    ref = wanted.ref or "HEAD"
    if Path(wanted.place).exists():
        programs.run(["git", "clone", "-q", "--no-checkout", wanted.place, str(folder)], "clone the repository")
        # A branch of the cloned repository is a remote branch here.
        known = programs.run(
            ["git", "-C", str(folder), "branch", "-r", "--list", f"origin/{ref}"], "look for the branch"
        ).strip()
        ref = f"origin/{ref}" if known else ref
    else:
        programs.run(["git", "init", "-q", str(folder)], "make a repository")
        programs.run(["git", "-C", str(folder), "fetch", "-q", "--depth", "1", wanted.place, ref], "fetch the commit")
        ref = "FETCH_HEAD"
    programs.run(["git", "-C", str(folder), "checkout", "-q", "--detach", ref], "check the commit out")
    commit = programs.run(["git", "-C", str(folder), "rev-parse", "HEAD"], "name the commit").strip()
    tree = programs.run(["git", "-C", str(folder), "rev-parse", "HEAD^{tree}"], "name the tree").strip()
    return Source("git", wanted.place, commit, tree, folder)


def _tarball(wanted: Wanted, folder: Path, programs: Programs) -> Source:
    """Unpack a tarball without its outermost folder."""
    file = Path(wanted.place)
    if not file.is_file():
        msg = f"There is no tarball '{file}'."
        raise BuildError(msg)
    folder.mkdir()
    programs.run(["tar", "-C", str(folder), "--strip-components=1", "-xf", str(file)], "unpack the tarball")
    return Source("tarball", str(file), wanted.ref or file.name, digest(file), folder)


def _debian(wanted: Wanted, folder: Path, programs: Programs) -> Source:
    """Fetch the distribution's source package (apt checks it against the archive's signature) and unpack it with its patches."""
    fetched = folder.with_name(f"{folder.name}-fetched")
    shutil.rmtree(fetched, ignore_errors=True)
    apt = programs.within(fetched, _apt(fetched))
    apt.run(["apt-get", "-q", "update"], "read the lists of source packages")
    name = f"{wanted.place}={wanted.ref}" if wanted.ref else wanted.place
    line = ["apt-get", "-q", "source", "--download-only", name]
    apt.run(line, "fetch the source package")
    described = sorted(fetched.glob("*.dsc"))
    if len(described) != 1:
        msg = f"apt fetched {len(described)} descriptions of the source package '{name}' into {fetched}, expected one."
        raise BuildError(msg)
    programs.run(["dpkg-source", "--no-check", "-x", str(described[0]), str(folder)], "unpack the source package")
    text = described[0].read_text(encoding="utf-8")
    version = re.search(r"^Version: (\S+)", text, re.MULTILINE)
    return Source(
        "debian", wanted.place, version.group(1) if version else described[0].stem, digest(described[0]), folder
    )


def _apt(folder: Path) -> dict[str, str]:
    """Return the variables under which apt reads source packages of this node's archives, with lists of its own in *folder*."""
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    lines = [line for system in load().systems for line in archive.sources_of_node(system)]
    if not lines:
        msg = "This node's apt knows no archive of a distribution in the table ('avocado hvqual image recipes' lists them)."
        raise BuildError(msg)
    (folder / "sources.list").write_text("".join(f"deb-src {line}\n" for line in lines), encoding="utf-8")
    settings = [
        f'Dir::Etc::sourcelist "{folder}/sources.list";',
        'Dir::Etc::sourceparts "-";',
        f'Dir::State::lists "{folder}/lists";',
        f'Dir::Cache "{folder}/cache";',
        'APT::Sandbox::User "root";',
        *archive.fetching(),
    ]
    (folder / "apt.conf").write_text("\n".join(settings) + "\n", encoding="utf-8")
    return {"APT_CONFIG": str(folder / "apt.conf")}
