# SPDX-License-Identifier: GPL-2.0-or-later
"""
The cloud's flavors, as a file tells them: what a customer can order, hence the VMs of the host configuration ``patterns``.

One section a flavor, every key of `KEYS` in each (requirement 6.2: "different patterns of cloud provisioning")::

    [small]
    vcpus = 1
    memory_mib = 128
    disks_mib = 64
    nics = 1
    iothreads = 0
    pinning = no
    hugepages = no
"""

from __future__ import annotations

import configparser
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

from avocado.core.exceptions import TestError

FOLDER = Path(__file__).resolve().parents[1] / "cfg"
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
HUGEPAGES = {"no": 0, "2M": 2048, "1G": 1024 * 1024}


@dataclass(frozen=True)
class Flavor:
    """One kind of VM that the cloud sells."""

    name: str
    vcpus: int
    memory_mib: int
    disks_mib: tuple[int, ...]
    nics: int
    iothreads: int
    pinning: bool
    hugepages: int
    """Size of the huge pages that back its memory in KiB, 0 for none."""


def _whole(least: int, most: int) -> Callable[[str], int]:
    def convert(text: str) -> int:
        if not re.fullmatch(r"\d{1,9}", text) or not least <= int(text) <= most:
            message = f"a whole number from {least} to {most}"
            raise ValueError(message)
        return int(text)

    return convert


def _sizes(text: str) -> tuple[int, ...]:
    sizes = tuple(_whole(1, 2**31)(word) for word in text.split())
    if not sizes:
        message = "one size in MiB for each disk"
        raise ValueError(message)
    return sizes


def _one_of(values: dict[str, Any]) -> Callable[[str], Any]:
    def convert(text: str) -> Any:
        if text not in values:
            message = f"one of {', '.join(values)}"
            raise ValueError(message)
        return values[text]

    return convert


KEYS: dict[str, Callable[[str], Any]] = {
    "vcpus": _whole(1, 4096),
    "memory_mib": _whole(64, 2**31),
    "disks_mib": _sizes,
    "nics": _whole(1, 16),
    "iothreads": _whole(0, 64),
    "pinning": _one_of({"no": False, "yes": True}),
    "hugepages": _one_of(HUGEPAGES),
}


def load(name: str, only: tuple[str, ...] = ()) -> tuple[Flavor, ...]:
    """
    Return the flavors of the file *name*, in its order; a bare name is looked for beside the provider's cfgs.

    Those that *only* names, where it names any; TestError when the file does not have one of them.

    TestError with every mistake as file:line when it is not what the format says: half a flavor is no flavor.
    """
    path = Path(name) if "/" in name else FOLDER / name
    parser = configparser.ConfigParser(interpolation=None, default_section="")
    try:
        text = path.read_text(encoding="utf-8")
        parser.read_string(text, source=str(path))
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        message = (
            f"The flavor file '{path}' cannot be read: {error}. Give the file of your cloud's flavors by hv_flavors."
        )
        raise TestError(message) from None
    errors: list[str] = []
    flavors = [_flavor(parser, section, text, errors) for section in parser.sections()]
    if not flavors:
        errors.append(":1: there is no flavor in it; write a section [name] for each")
    if errors:
        message = f"The flavor file is wrong: {'; '.join(f'{path}{error}' for error in errors)}. Correct it."
        raise TestError(message)
    return _chosen(path, [flavor for flavor in flavors if flavor], only)


def _chosen(path: Path, found: list[Flavor], only: tuple[str, ...]) -> tuple[Flavor, ...]:
    """Return those of *found* that *only* names, all where it names none."""
    names = [flavor.name for flavor in found]
    unknown = [name for name in only if name not in names]
    if unknown:
        message = (
            f"hv_flavors_only names {', '.join(unknown)}, but the flavors of '{path}' are {', '.join(names)}. Name some of those, "
            "or none for all."
        )
        raise TestError(message)
    return tuple(flavor for flavor in found if not only or flavor.name in only)


def _flavor(parser: configparser.ConfigParser, section: str, text: str, errors: list[str]) -> Flavor | None:
    """Return the flavor of one section, None when *errors* were added."""
    before = len(errors)
    if not NAME.fullmatch(section):
        errors.append(f":{_line(text, section)}: '{section}' is no name of a flavor (a-z, 0-9, _ and -)")
    values: dict[str, Any] = {}
    for key, given in parser.items(section):
        if key not in KEYS:
            errors.append(f":{_line(text, section, key)}: '{key}' is none of {', '.join(KEYS)}")
            continue
        try:
            values[key] = KEYS[key](given)
        except ValueError as error:
            errors.append(f":{_line(text, section, key)}: {key} is '{given}', expected {error}")
    missing = [key for key in KEYS if not parser.has_option(section, key)]
    if missing:
        errors.append(f":{_line(text, section)}: [{section}] does not say {', '.join(missing)}")
    return None if len(errors) > before else Flavor(name=section, **values)


def _line(text: str, section: str, key: str = "") -> int:
    """Return the number of the line that holds *section*, or *key* in it."""
    inside = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() == f"[{section}]":
            inside = True
            if not key:
                return number
        elif inside and key and re.match(rf"\s*{re.escape(key)}\s*[=:]", line, re.IGNORECASE):
            return number
    return 1
