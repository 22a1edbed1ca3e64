# SPDX-License-Identifier: GPL-2.0-or-later
"""
Cartesian parameters as frozen dataclasses: read once, typed, closed.

avocado-vt 113 turns ``params["typo"]`` into a SKIP, and SKIP leaves the exit code at 0. Here every unknown, missing and
malformed ``hv_*`` parameter is named in one TestError before the test touches anything.
"""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Callable, TypeVar

from avocado.core.exceptions import TestError

from provider.hvqual.limit import Limit

PREFIX = "hv_"
LIMIT = "hv_limit_"
PROFILES = ("smoke", "lab", "nightly", "production")
PHASES = ("preparation", "hypervisor", "cloud")
IMPACTS = ("none", "guest", "host", "storage", "network")
HOST_CONFIGS = ("single_big", "n_equal", "patterns", "none")
DISK_FORMATS = ("raw", "qcow2")
MATURITIES = ("lab-proven", "hardware-proven")

S = TypeVar("S")
Words = tuple[str, ...]


@dataclass(frozen=True)
class Identity:
    """What every case says of itself (docs/cases.rst explains each)."""

    id: str
    category: str
    phase: str
    host_config: str
    impact: str
    components: Words
    observations: Words
    profile: str
    maturity: str
    timeout: float
    axis: str = ""

    def key(self, vt_type: str) -> str:
        """Return the case key: vt-type, use case, host configuration and the case's own axis if it has one."""
        parts = [vt_type, self.id, self.host_config]
        return ":".join(parts + ([self.axis] if self.axis else []))


@dataclass(frozen=True)
class Guests:
    """Which guests a case gets, and how long it waits for them."""

    image: str
    image_home: str
    vm_count: int
    """How many VMs under n_equal; 0 is as many as the node takes."""
    at_once: int
    """On how many VMs an operation is done at the same time; 0 is on all."""
    job_share: int
    """How much of a CPU each job takes that computes in a guest (percent)."""
    least_memory_mib: int
    flavors: str
    flavors_only: Words
    """The flavors of the file of which a VM stands on the node; none named: of each."""
    warm: bool
    reserve_cpus: int
    reserve_memory_mib: int
    max_memory_mib: int
    disk_mib: int
    disk_format: str
    disk_folder: str
    ready_timeout: float
    login_timeout: float
    shutdown_timeout: float
    operation_timeout: float
    ipi_timeout: float
    ipi_slow: float
    hold: float
    witness_port: int
    network: str
    qemu_binary: str


CLOSED = {
    "phase": PHASES,
    "impact": IMPACTS,
    "host_config": HOST_CONFIGS,
    "profile": PROFILES,
    "maturity": MATURITIES,
    "disk_format": DISK_FORMATS,
}
PERCENT = {"job_share"}


def _yes_no(text: str) -> bool:
    if text not in {"yes", "no"}:
        raise ValueError(text)
    return text == "yes"


CONVERTERS: dict[Any, tuple[Callable[[str], Any], str]] = {
    str: (str, "a text"),
    int: (int, "a whole number"),
    float: (float, "a number"),
    bool: (_yes_no, "'yes' or 'no'"),
    Words: (lambda text: tuple(text.split()), "words"),
}


class Reader:
    """Reads dataclasses from the ``hv_*`` parameters of one case and collects what is wrong with them."""

    def __init__(self, params: Mapping[str, str]) -> None:
        """Take the parameters of the profile that ``hv_profile`` names: ``hv_x_smoke`` wins over ``hv_x`` under smoke."""
        self.errors: list[str] = []
        self.known: set[str] = set()
        given = {str(key): str(params[key]) for key in params if str(key).startswith(PREFIX)}
        profile = given.get("hv_profile", "")
        self.given = given
        self.values: dict[str, str] = {}
        self.scale: dict[str, list[str]] = {}
        for key, value in given.items():
            base = _base(key)
            if base == key:
                self.values[key] = given.get(f"{key}_{profile}", value)
                production = given.get(f"{key}_production", value)
                if self.values[key] != production:
                    self.scale[key] = [self.values[key], production]
            elif base not in given:
                self.errors.append(f"'{key}' gives a value for one profile of '{base}', which has no value of its own")

    def read(self, cls: type[S]) -> S:
        """Return *cls* filled from the parameters named like its fields; errors are collected for `close`."""
        hints = typing.get_type_hints(cls)
        values: dict[str, Any] = {}
        for field in dataclasses.fields(cls):  # type: ignore[arg-type]
            key = PREFIX + field.name
            self.known.add(key)
            if key in self.values:
                values[field.name] = self._convert(key, self.values[key], hints[field.name])
            elif field.default is dataclasses.MISSING:
                self.errors.append(f"'{key}' is missing")
                values[field.name] = None
        return cls(**values)

    def limits(self) -> dict[str, Limit]:
        """Return the limits of the case by the observation that they question."""
        found: dict[str, Limit] = {}
        for key, text in self.values.items():
            if key.startswith(LIMIT):
                self.known.add(key)
                try:
                    found[key[len(LIMIT) :]] = Limit.parse(text)
                except ValueError as error:
                    self.errors.append(f"'{key}': {error}")
        return found

    def close(self) -> None:
        """Raise one TestError that names everything unknown, missing or malformed."""
        unknown = sorted(set(self.values) - self.known)
        errors = self.errors + [f"'{key}' is not a parameter of this case" for key in unknown]
        if errors:
            message = (
                "The parameters of this case are wrong: " + "; ".join(errors) + ". Correct them where they are set."
            )
            raise TestError(message)

    def _convert(self, key: str, text: str, kind: Any) -> Any:
        convert, wanted = CONVERTERS[kind]
        try:
            value = convert(text)
        except ValueError:
            self.errors.append(f"'{key}' is '{text}', which is not {wanted}")
            return None
        allowed = CLOSED.get(key[len(PREFIX) :])
        if allowed and value not in allowed:
            self.errors.append(f"'{key}' is '{text}', which is none of {', '.join(allowed)}")
        if kind in (int, float) and not 0 <= value < float("inf"):
            self.errors.append(f"'{key}' is '{text}', which is not a finite number from 0 up")
        if key[len(PREFIX) :] in PERCENT and not 1 <= value <= 100:  # noqa: PLR2004 - percent
            self.errors.append(f"'{key}' is '{text}', which is not a percentage from 1 to 100")
        return value


def _base(key: str) -> str:
    """Return *key* without the name of a profile at its end."""
    return re.sub(rf"_({'|'.join(PROFILES)})$", "", key)
