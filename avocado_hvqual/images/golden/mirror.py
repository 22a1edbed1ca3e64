# SPDX-License-Identifier: GPL-2.0-or-later
"""
A mirror of what one installation needs, in a folder, to be served on loopback: the installer then needs no network but this machine's.

apt fetches and checks every file against the archive's signature; the mirror itself is unsigned and only ever listens on 127.0.0.1.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import re
import shutil
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from avocado_hvqual.errors import ImageError
from avocado_hvqual.images.golden import archive
from avocado_hvqual.images.golden.command import Programs
from avocado_hvqual.images.golden.trees import Order

_BASE = {"required", "important"}
_INSTALLER = {"required", "important", "standard"}
_COMPLETE = "complete"
#: What debootstrap and the installer bring in beside the base system.
_ALWAYS = (
    "grub-pc",
    "linux-image-amd64",
    "locales",
    "ifupdown",
    "isc-dhcp-client",
    "tasksel",
    "apt",
    "console-setup",
    "keyboard-configuration",
)


def make(order: Order, kernel: str, folder: Path, programs: Programs) -> Path:
    """Return *folder*, which holds a mirror for this order and an installer whose kernel is *kernel*; made unless it is there."""
    if (folder / _COMPLETE).exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    pool, state = folder / "pool", folder / "state"
    for path in (pool / "partial", state / "lists/partial"):
        path.mkdir(parents=True)
    (state / "status").touch()
    apt = programs.within(pool, _apt(order, pool, state))
    apt.run(["apt-get", "-q", "update"], "read the archive's lists")
    listed = {kind: _listed(apt, kind) for kind in ("main", "main/debian-installer")}
    base = [row["Package"] for row in listed["main"] if row.get("Priority") in _BASE]
    wanted = [*dict.fromkeys([*base, *_ALWAYS, *order.packages])]
    apt.run(["apt-get", "-qy", "--download-only", "install", *wanted], "fetch the packages")
    apt.run(
        ["apt-get", "-q", "download", *installer_parts(listed["main/debian-installer"], kernel)],
        "fetch the installer's parts",
    )
    shutil.rmtree(pool / "partial")
    _index(order, folder, programs)
    (folder / _COMPLETE).touch()
    return folder


def _apt(order: Order, pool: Path, state: Path) -> dict[str, str]:
    """Return the variables under which apt knows the installer's parts as well, and thinks that nothing is installed."""
    lines = archive.sources(order.system, order.mirror).splitlines()
    parts = [
        f"{line}/debian-installer"
        for line in lines
        if line.split()[-2] == order.system.suite and line.endswith(" main")
    ]
    if not parts:
        msg = f"No archive of {order.system.title} ({order.system.suite} main) is known that could hold its installer."
        raise ImageError(msg)
    (state / "sources.list").write_text("\n".join([*lines, *parts, ""]), encoding="utf-8")
    settings = [
        f'Dir::Etc::sourcelist "{state}/sources.list";',
        'Dir::Etc::sourceparts "-";',
        f'Dir::State::lists "{state}/lists";',
        f'Dir::State::status "{state}/status";',
        f'Dir::Cache::archives "{pool}";',
        'APT::Sandbox::User "root";',
        'APT::Install-Recommends "false";',
        'Acquire::Languages "none";',
        *archive.fetching(),
    ]
    (state / "apt.conf").write_text("\n".join(settings) + "\n", encoding="utf-8")
    return {"APT_CONFIG": str(state / "apt.conf")}


def _listed(apt: Programs, component: str) -> list[dict[str, str]]:
    """Return the rows of the archive's lists of one *component*."""
    row = "$(COMPONENT)|$(FILENAME)"
    files = apt.run(["apt-get", "indextargets", "--format", row, "Identifier: Packages"], "find the lists").splitlines()
    rows: list[dict[str, str]] = []
    for held, _, file in (line.partition("|") for line in files):
        if held == component and file:
            rows += parse(apt.run(["/usr/lib/apt/apt-helper", "cat-file", file], "read a list"))
    return rows


def parse(text: str) -> list[dict[str, str]]:
    """Return the paragraphs of a list of packages, each as its one-line fields."""
    return [dict(re.findall(r"^(\w[\w-]*): (.*)$", part, re.MULTILINE)) for part in text.split("\n\n") if part.strip()]


def installer_parts(rows: Iterable[dict[str, str]], kernel: str) -> list[str]:
    """Return the installer's parts that every installation loads, and all modules of its *kernel*."""
    found = [
        row["Package"]
        for row in rows
        if row["Package"].endswith(f"-{kernel}-di")
        or (row.get("Priority") in _INSTALLER and not row["Package"].endswith("-di"))
        or row["Package"]
        in {"partman-auto", "partman-ext3", "grub-installer", "pkgsel", "finish-install", "net-retriever", "load-media"}
    ]
    return list(dict.fromkeys(found))


def _index(order: Order, folder: Path, programs: Programs) -> None:
    """Write the lists by which an installer and apt find what is in the pool."""
    within = programs.within(folder)
    suite = folder / "dists" / order.system.suite
    for kind, sort in (("main", "deb"), ("main/debian-installer", "udeb")):
        target = suite / kind / "binary-amd64"
        target.mkdir(parents=True)
        text = within.run(["dpkg-scanpackages", "-m", "-t", sort, "pool", "/dev/null"], "list the pool")
        (target / "Packages").write_text(text, encoding="utf-8")
        within.run(["gzip", "-9kn", str(target / "Packages")], "compress the list")
    fields = {
        "Origin": "avocado-hvqual",
        "Suite": order.system.suite,
        "Codename": order.system.suite,
        "Components": "main main/debian-installer",
        "Architectures": "amd64",
    }
    options = [word for name, value in fields.items() for word in ("-o", f"APT::FTPArchive::Release::{name}={value}")]
    (suite / "Release").write_text(
        within.run(["apt-ftparchive", *options, "release", str(suite)], "describe the mirror"), encoding="utf-8"
    )


class _Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and counts what was asked for instead of writing it to the terminal."""

    def log_message(self, *_words: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def served(folder: Path) -> Iterator[int]:
    """Serve *folder* on 127.0.0.1 and give the port; the server ends with the block."""
    handler = functools.partial(_Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
