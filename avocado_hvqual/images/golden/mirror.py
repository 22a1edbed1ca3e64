# SPDX-License-Identifier: GPL-2.0-or-later
"""
A mirror of what one installation needs, in a folder, to be served on loopback: the installer then needs no network but this machine's.

apt fetches and checks every file against the archive's signature; the mirror itself is unsigned and only ever listens on 127.0.0.1.
Its lists are the archive's own rows of what it holds: an installer goes by their priorities, which a package does not tell of itself.
"""

from __future__ import annotations

import contextlib
import functools
import gzip
import http.server
import re
import shutil
import threading
from collections.abc import Iterable, Iterator, Sequence
from email.utils import formatdate
from pathlib import Path
from typing import Optional

from avocado_hvqual.errors import ImageError
from avocado_hvqual.images.golden import archive
from avocado_hvqual.images.golden.command import Programs
from avocado_hvqual.images.golden.trees import Order
from avocado_hvqual.images.golden.workshop import digest

#: Writes what the initrd of an installer (the first argument) says is installed in it.
_INSIDE = 'zcat "$1" | cpio -i --to-stdout var/lib/dpkg/status 2>/dev/null'
_DEBS, _PARTS = "main", "main/debian-installer"
_BASE = {"required", "important"}
_INSTALLER = {"required", "important", "standard"}
_COMPLETE = "complete"
#: What the installer brings in beside the base system.
_ALWAYS = ("grub-pc", "locales", "ifupdown", "isc-dhcp-client", "console-setup", "keyboard-configuration")
#: The installer's parts that no other one names, of the modules those for one plain virtio disk, and what such a disk has no use for:
#: each costs seconds under emulation.
_ROOTS = ("partman-auto", "partman-ext3", "grub-installer", "pkgsel", "finish-install", "tzsetup-udeb")
_MODULES = ("ext4-modules", "scsi-modules")
_UNUSED = re.compile(
    r"partman-(auto-\w+|btrfs|cros|efi|iscsi|jfs|md|xfs)|depthcharge-tools-installer|kickseed-common|nobootloader|systemd-boot-installer"
)
#: So many absent parts are named.
_NAMED = 6

Row = dict[str, str]


def whole(folder: Path) -> bool:
    """Whether *folder* holds a mirror that was made to its end."""
    return (folder / _COMPLETE).exists()


def apt_of(order: Order, folder: Path, programs: Programs) -> Programs:
    """Return *programs* for an apt with its state in *folder*: it knows the installer's parts as well and thinks nothing is installed."""
    state, pool = folder / "state", folder / "pool"
    for path in (pool / "partial", state / "lists/partial"):
        path.mkdir(parents=True, exist_ok=True)
    (state / "status").touch()
    apt = programs.within(pool, _apt(order, pool, state))
    apt.run(["apt-get", "-q", "update"], "read the archive's lists")
    return apt


def make(order: Order, installer: Path, folder: Path, apt: Programs, own: Optional[Path]) -> None:
    """
    Put into *folder* what this order needs with the *installer* (a folder with its kernel and initrd); *apt* is that of `apt_of`.

    *own* is a folder of parts (udeb files) that are taken in place of the archive's.
    """
    listed = {kind: _listed(apt, kind) for kind in (_DEBS, _PARTS)}
    base = [row["Package"] for row in listed[_DEBS] if row.get("Priority") in _BASE]
    wanted = [*dict.fromkeys([*base, *_ALWAYS, order.system.kernel, *order.packages])]
    apt.run(["apt-get", "-qy", "--download-only", "install", *wanted], "fetch the packages")
    inside = parse(
        apt.run(["busybox", "sh", "-c", _INSIDE, "sh", str(installer / "initrd.gz")], "look into the installer")
    )
    parts = installer_parts(listed[_PARTS], inside, kernel_of(installer / "linux"))
    given = _own_parts(own, folder / "pool", apt) if own else []
    listed[_PARTS] = [
        row for row in listed[_PARTS] if row["Package"] not in {held["Package"] for held in given}
    ] + given
    asked = [name for name in parts if name not in {held["Package"] for held in given}]
    try:
        apt.run(["apt-get", "-q", "download", *asked], "fetch the installer's parts")
    except ImageError as error:
        raise _absent(
            order, folder / "pool", [row for row in listed[_PARTS] if row["Package"] in asked], error
        ) from error
    shutil.rmtree(folder / "pool/partial")
    index(order.system.suite, folder, listed)
    (folder / _COMPLETE).touch()


def name_archive(folder: Path, tree: Path) -> None:
    """Let apt in the *tree*, installed from the mirror in *folder*, know the archive that the mirror is of, and the mirror no more."""
    lines = (folder / "state/sources.list").read_text(encoding="utf-8").splitlines()
    held = [f"{line}\n" for line in lines if not line.endswith("/debian-installer")]
    (tree / "etc/apt/sources.list").write_text("".join(held), encoding="utf-8")


def _own_parts(own: Path, pool: Path, programs: Programs) -> list[Row]:
    """Copy the parts in the folder *own* into the *pool* and return what a list says of them."""
    rows = []
    for file in sorted(own.glob("*.udeb")):
        row = parse(programs.run(["dpkg-deb", "-f", str(file)], f"read {file.name}"))[0]
        row |= {"Filename": file.name, "Size": str(file.stat().st_size), "SHA256": digest(file)}
        shutil.copyfile(file, pool / fetched(row))
        rows.append(row)
    return rows


def kernel_of(file: Path) -> str:
    """Return the release that a bzImage says it is (x86 boot protocol: an offset at 0x20e to a text)."""
    with file.open("rb") as stream:
        head = stream.read(0x8000)
    offset = int.from_bytes(head[0x20E:0x210], "little") + 0x200
    found = re.match(rb"[\w.+~-]+", head[offset : offset + 128])
    if head[0x202:0x206] != b"HdrS" or found is None:
        msg = f"{file} is no kernel that tells its release."
        raise ImageError(msg)
    return found.group().decode()


def _apt(order: Order, pool: Path, state: Path) -> dict[str, str]:
    """Return the variables of that apt."""
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
        # The node's own cache of lists stays the node's.
        'Dir::Cache::pkgcache "";',
        'Dir::Cache::srcpkgcache "";',
        'APT::Sandbox::User "root";',
        'APT::Install-Recommends "false";',
        'Acquire::Languages "none";',
        *archive.fetching(),
    ]
    (state / "apt.conf").write_text("\n".join(settings) + "\n", encoding="utf-8")
    return {"APT_CONFIG": str(state / "apt.conf")}


def _listed(apt: Programs, component: str) -> list[Row]:
    """Return the rows of the archive's lists of one *component*."""
    row = "$(COMPONENT)|$(FILENAME)"
    files = apt.run(["apt-get", "indextargets", "--format", row, "Identifier: Packages"], "find the lists").splitlines()
    rows: list[Row] = []
    for held, _, file in (line.partition("|") for line in files):
        if held == component and file:
            rows += parse(apt.run(["/usr/lib/apt/apt-helper", "cat-file", file], "read a list"))
    return rows


def parse(text: str) -> list[Row]:
    """Return the paragraphs of a list of packages, each as its one-line fields."""
    return [dict(re.findall(r"^(\w[\w-]*): (.*)$", part, re.MULTILINE)) for part in text.split("\n\n") if part.strip()]


def installer_parts(rows: Sequence[Row], inside: Sequence[Row], kernel: str) -> list[str]:
    """
    Return the parts that an installation on one plain disk loads beside those *inside* the installer, with all that they depend on.

    `ImageError` when there are no modules for its *kernel*: an archive keeps those of its present installer alone.
    """
    of_kernel = {row["Package"]: row for row in rows if row["Package"].endswith(f"-{kernel}-di")}
    if not of_kernel:
        msg = f"The archive holds no modules for the installer's kernel {kernel}; its lists and the installer are of different days."
        raise ImageError(msg)
    known = {**{row["Package"]: row for row in rows if not row["Package"].endswith("-di")}, **of_kernel}
    giving: dict[str, str] = {}
    for name, row in known.items():
        for given in _names(row.get("Provides", "")):
            giving.setdefault(given, name)
    found = dict.fromkeys(name for row in inside for name in (row["Package"], *_names(row.get("Provides", ""))))
    there = len(found)
    todo = [f"{kind}-{kernel}-di" for kind in _MODULES]
    todo += [name for name, row in known.items() if name in _ROOTS or _standard(row)]
    while todo:
        asked = todo.pop(0)
        name = asked if asked in known or asked in found else giving.get(asked, "")
        if name and name not in found:
            found[name] = None
            todo += _names(known[name].get("Depends", ""))
    return list(found)[there:]


def _standard(row: Row) -> bool:
    """Whether the installer loads a part unasked, and one that is of use here; of the modules only those that are asked for."""
    name = row["Package"]
    return row.get("Priority") in _INSTALLER and not name.endswith("-di") and not _UNUSED.fullmatch(name)


def _names(field: str) -> list[str]:
    """Return the names of a field of dependencies, the first of each choice, without versions."""
    return [re.split(r"[ (|]", part.strip(), maxsplit=1)[0] for part in field.split(",") if part.strip()]


def _absent(order: Order, pool: Path, wanted: Iterable[Row], error: ImageError) -> ImageError:
    """Return what to say when the archive lists parts that it does not give: many mirrors leave the installer's out."""
    names = sorted({row["Package"] for row in wanted if not (pool / fetched(row)).exists()})
    if not names:
        return error
    shown = ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
    text = f"The archive lists parts of the installer of {order.system.title} and does not give {len(names)} of them: {shown}"
    return ImageError(f"{text}. Name another archive with --mirror, or a folder of them with --parts. {error}")


def fetched(row: Row) -> str:
    """Return the name under which apt keeps a fetched package."""
    kind = row["Filename"].rpartition(".")[2]
    return f"{row['Package']}_{row['Version'].replace(':', '%3a')}_{row['Architecture']}.{kind}"


def index(suite: str, folder: Path, listed: dict[str, list[Row]]) -> None:
    """Write the lists by which an installer and apt find what is in the pool of *folder*, each file under the archive's name for it."""
    root = folder / "dists" / suite
    for kind, rows in listed.items():
        target, held = root / kind / "binary-amd64", []
        for row in rows:
            # The archive's names have no epoch: wget asks for a name as it stands, and a server takes %3a for a colon.
            name, file = row["Filename"].rpartition("/")[2], folder / "pool" / fetched(row)
            if file.exists():
                file.rename(folder / "pool" / name)
                held.append({**row, "Filename": f"pool/{name}"})
        target.mkdir(parents=True, exist_ok=True)
        # An empty line ends each row, the last one too: debootstrap does not see a row without (zlib1g, the last, was not installed).
        text = "".join("".join(f"{key}: {value}\n" for key, value in row.items()) + "\n" for row in held)
        (target / "Packages").write_text(text, encoding="utf-8")
        (target / "Packages.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
        # Read by the installer to learn whether the mirror has this architecture.
        (target / "Release").write_text(f"Archive: {suite}\nComponent: {kind}\nArchitecture: amd64\n", encoding="utf-8")
    (root / "Release").write_text(release(suite, root, tuple(listed)), encoding="utf-8")


def release(suite: str, root: Path, components: Sequence[str]) -> str:
    """Return the description of the mirror whose lists are below *root*."""
    files = [path for kind in components for path in sorted((root / kind / "binary-amd64").iterdir())]
    sums = "".join(f" {digest(path)} {path.stat().st_size} {path.relative_to(root)}\n" for path in files)
    fields = {
        "Origin": "avocado-hvqual",
        "Suite": suite,
        "Codename": suite,
        "Date": formatdate(usegmt=True).replace("GMT", "UTC"),
        "Architectures": "amd64",
        "Components": " ".join(components),
    }
    return "".join(f"{name}: {value}\n" for name, value in fields.items()) + f"SHA256:\n{sums}"


class _Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and writes nothing to the terminal."""

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
