# SPDX-License-Identifier: GPL-2.0-or-later
"""`image build golden`, `image check`, `image clone`, `image mirror` and `image recipes`."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avocado_hvqual.errors import ImageError
from avocado_hvqual.lab.paths import home

if TYPE_CHECKING:
    from avocado_hvqual.images.golden.clones import Clone
    from avocado_hvqual.images.golden.command import Programs

NAME = "golden"
_RECIPES = ("mmdebstrap", "cloud-image", "virt-install")
_STAGES = ("tree", "configured", "disk", "booted", "template", "clones")


def fill(parser: argparse.ArgumentParser) -> None:
    """Add what only the golden image is asked to *parser*; the rest of this package is imported when it is built."""
    more = parser.add_argument_group("golden")
    more.add_argument(
        "--recipe", choices=_RECIPES, default=_RECIPES[0], help="where the system comes from (default: %(default)s)"
    )
    more.add_argument(
        "--system", default="debian-12", help="the distribution, as 'image recipes' names it (default: %(default)s)"
    )
    more.add_argument("--mirror", default="", metavar="URI", help="the archive (default: those of this node's apt)")
    more.add_argument(
        "--source",
        type=Path,
        metavar="PATH",
        help="the image of any format that cloud-image starts from, or the mirror of virt-install (default: made)",
    )
    more.add_argument("--size", type=int, default=2048, metavar="MIB", help="size of the disk (default: %(default)s)")
    more.add_argument("--until", choices=_STAGES, default="", help="end after this stage; the next build goes on there")


def add_verbs(verbs: Any) -> None:
    """Add the verbs that the golden image brings."""
    clone = verbs.add_parser("clone", help="copy the golden image's disk, once for each VM, and tell what it cost")
    clone.add_argument("target", nargs="+", type=Path, help="the new disks")
    clone.add_argument(
        "--way",
        default="best",
        choices=("best", "reflink", "sparse", "overlay", "virt-clone"),
        help="best: reflink where it works, else sparse; virt-clone: of the domain that --domain names, which is shut off",
    )
    clone.add_argument(
        "--domain", default="", help="with virt-clone: the domain; the new ones are called as their disks"
    )
    clone.add_argument(
        "--connect", default="qemu:///system", metavar="URI", help="with virt-clone (default: %(default)s)"
    )
    clone.add_argument("--image", type=Path, help="folder of the image (default: images/golden below the state home)")
    _add_mirror(verbs)
    _add_check(verbs)
    recipes = verbs.add_parser("recipes", help="the ways to a golden image, each with whether it was ever executed")
    recipes.add_argument("--json", action="store_true", help="for machines")


def _add_mirror(verbs: Any) -> None:
    mirror = verbs.add_parser(
        "mirror", help="make the folder from which virt-install installs where no archive is in reach"
    )
    mirror.add_argument("folder", type=Path, help="a new folder, some hundred MiB; give it as --source")
    mirror.add_argument("--system", default="debian-12", help="the distribution (default: %(default)s)")
    mirror.add_argument("--mirror", default="", metavar="URI", help="the archive (default: those of this node's apt)")
    mirror.add_argument(
        "--parts",
        type=Path,
        metavar="DIR",
        help="a folder of the installer's parts (*.udeb), taken in place of the archive's",
    )


def _add_check(verbs: Any) -> None:
    held = verbs.add_parser(
        "check",
        help="hold the golden image against its manifest and its proof, and look for what is left of a machine on its disk",
        epilog="exit status: 0 all as expected, 70 a defect, 71 something could not be seen, or there is no image",
    )
    held.add_argument("--image", type=Path, help="folder of the image (default: images/golden below the state home)")
    held.add_argument("--only", default="", metavar="NAME,...", help="these checks alone")
    held.add_argument(
        "--json", action="store_true", help="write one JSON object (its checks as in schemas/node-check.schema.json)"
    )


def build(args: argparse.Namespace) -> Path:
    """Build the golden image that *args* ask for and return its folder."""
    from avocado_hvqual.images.golden import table
    from avocado_hvqual.images.golden.build import build_golden
    from avocado_hvqual.images.golden.trees import Order

    whole = table.load()
    system = whole.system(args.system)
    for path in filter(None, (args.source, args.kernel)):
        if not path.exists():
            msg = f"'{path}' is not there."
            raise ImageError(msg)
    order = Order(args.recipe, system, whole, args.mirror, _absolute(args.source), _absolute(args.kernel), args.size)
    return build_golden(home(), order, args.out, _tell, args.until)


def _tell(line: str) -> None:
    """Say how far a build is; what it made is told on the standard output."""
    sys.stderr.write(f"{line}\n")


def _absolute(path: Path | None) -> Path | None:
    return path.absolute() if path else None


def clone(args: argparse.Namespace) -> int:
    """Copy the image as *args* ask and write a line of JSON for each copy."""
    from avocado_hvqual.images.golden.command import Programs

    programs = Programs(home() / "images/cache/clone.log")
    for target in args.target:
        if target.exists():
            msg = f"'{target}' is there already; a clone overwrites nothing."
            raise ImageError(msg)
        made = _virt_clone(args, target, programs) if args.way == "virt-clone" else _copy(args, target, programs)
        sys.stdout.write(json.dumps(asdict(made)) + "\n")
    return 0


def _copy(args: argparse.Namespace, target: Path, programs: Programs) -> Clone:
    """Copy the image's disk to *target*."""
    from avocado_hvqual.images.golden import clones

    source = (args.image or home() / "images" / NAME) / "golden.raw"
    if not source.is_file():
        msg = f"There is no '{source}'; build it with 'avocado hvqual image build golden'."
        raise ImageError(msg)
    way = clones.best(source, target.absolute().parent, programs) if args.way == "best" else args.way
    return clones.clone(source, target, way, programs)


def _virt_clone(args: argparse.Namespace, target: Path, programs: Programs) -> Clone:
    """Clone a domain with its disk to *target*; only names of ours are made."""
    from avocado_hvqual.images.golden import clones

    if not args.domain or not target.stem.startswith("hvq-"):
        msg = f"virt-clone needs --domain, and a disk whose name begins with hvq-; found '{args.domain}' and '{target.name}'."
        raise ImageError(msg)
    return clones.virt_clone(args.connect, args.domain, target.stem, target.absolute(), programs)


def check(args: argparse.Namespace) -> int:
    """Check the image as *args* ask, write the answers and return the exit status."""
    from avocado_hvqual.images.golden import check as checking
    from avocado_hvqual.images.golden.command import Programs

    folder = (args.image or home() / "images" / NAME).absolute()
    with tempfile.TemporaryDirectory(prefix="hvq-check-") as scratch:
        known = {one.name: one for one in checking.checks(folder, Programs(Path(scratch) / "check.log"))}
        names = args.only.replace(",", " ").split() or list(known)
        wrong = [name for name in names if name not in known]
        if wrong:
            msg = f"There is no check '{wrong[0]}' of an image; there are {', '.join(known)}."
            raise ImageError(msg)
        found = checking.ask([known[name] for name in names])
    if args.json:
        sys.stdout.write(json.dumps(checking.as_json(folder, found), indent=1, allow_nan=False) + "\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in checking.lines(found))
    return checking.status(found)


def recipes(args: argparse.Namespace) -> int:
    """Write the table of recipes."""
    from avocado_hvqual.images.golden import table

    rows = table.load().recipes
    if args.json:
        sys.stdout.write(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    else:
        sys.stdout.write("".join(f"{row.told()}\n" for row in rows))
    return 0


def mirror(args: argparse.Namespace) -> int:
    """Make the mirror that *args* ask for and write its folder."""
    from avocado_hvqual.images.golden import netinstall, table
    from avocado_hvqual.images.golden.command import Programs
    from avocado_hvqual.images.golden.trees import Order

    whole = table.load()
    order = Order("virt-install", whole.system(args.system), whole, args.mirror)
    folder = args.folder.absolute()
    if args.parts is not None and not args.parts.is_dir():
        msg = f"'{args.parts}' is no folder."
        raise ImageError(msg)
    own = _absolute(args.parts)
    made = netinstall.prepare(order, folder, Programs(folder.with_name(f"{folder.name}.log")), own)
    sys.stdout.write(f"{made}\n")
    return 0


VERBS = {"check": check, "clone": clone, "mirror": mirror, "recipes": recipes}
