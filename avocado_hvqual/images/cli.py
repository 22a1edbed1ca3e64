# SPDX-License-Identifier: GPL-2.0-or-later
"""`image build micro|golden | check | clone | mirror | recipes | list`."""

from __future__ import annotations

import argparse
import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

from avocado_hvqual.images.golden import cli as golden
from avocado_hvqual.images.micro import NAME, build_micro
from avocado_hvqual.lab.paths import home


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add the verb `image` to an argparse subparsers object and return its parser."""
    parser: argparse.ArgumentParser = subparsers.add_parser("image", help="guest images: build them, list them")
    fill(parser)
    return parser


def fill(parser: argparse.ArgumentParser) -> None:
    """Add the verbs of images to *parser*."""
    verbs = parser.add_subparsers(dest="image_verb", required=True, metavar="VERB")
    build = verbs.add_parser("build", help="build an image; one whose inputs have not changed is kept")
    build.add_argument(
        "image",
        choices=(NAME, golden.NAME),
        help="micro: seconds, no disk; golden: minutes, a real distribution on a disk",
    )
    build.add_argument("--out", type=Path, help="folder to build it in (default: below the state home)")
    build.add_argument(
        "--kernel", type=Path, metavar="DEB", help="a kernel's package in place of the distribution's kernel"
    )
    golden.fill(build)
    verbs.add_parser("list", help="list the images that are there")
    golden.add_verbs(verbs)


def run(args: argparse.Namespace) -> int:
    """Do what *args* say and return the exit status; raises `ImageError` with the sentence for the user."""
    if args.image_verb == "build":
        os.umask(0o022)  # QEMU reads an image as its own user, also where the administrator's umask is 077
        built = build_micro(home(), args.out, args.kernel) if args.image == NAME else golden.build(args)
        sys.stdout.write(f"{built}\n")
        for part in barred(built):
            sys.stderr.write(
                f"'{part}' lets nobody else pass, so no QEMU of another user can read the image: chmod o+x {part}\n"
            )
        return 0
    if args.image_verb in golden.VERBS:
        return golden.VERBS[args.image_verb](args)
    for line in listed(home()):
        sys.stdout.write(f"{line}\n")
    return 0


def barred(image: Path) -> list[Path]:
    """Return the folders on the way to *image* that bar other users; libvirt starts QEMU as one (libvirt-qemu with Debian's 9.0)."""
    return [part for part in reversed((image, *image.parents)) if not part.stat().st_mode & stat.S_IXOTH]


def listed(where: Path) -> list[str]:
    """Return a line for each image below the state home *where*."""
    lines = []
    for path in sorted((where / "images").glob("*/manifest.json")):
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
            release, content = manifest.get("kernel_release", "unknown"), str(manifest.get("content", ""))[:12]
            about = f"{manifest['kind']}, kernel {release}, content {content}"
        except (OSError, ValueError, KeyError) as error:
            about = f"manifest cannot be read ({error}); build it with 'avocado hvqual image build {path.parent.name}'"
        lines.append(f"{path.parent.name}: {about}, in {path.parent}")
    return lines or [f"no image below {where / 'images'}; build one with 'avocado hvqual image build micro'"]
