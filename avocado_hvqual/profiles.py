# SPDX-License-Identifier: GPL-2.0-or-later
"""The shipped profiles, read from policy/profiles/<name>.yaml against their closed schema."""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from avocado_hvqual.errors import DefinitionError, PlanError
from avocado_hvqual.model.plan import Profile

PACKAGE = Path(__file__).resolve().parent
FOLDER = PACKAGE / "policy" / "profiles"
SCHEMA = PACKAGE / "schemas" / "profile.schema.json"


def names() -> list[str]:
    """Return the names of the shipped profiles."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(name: str) -> Profile:
    """Return a shipped profile; PlanError for an unknown name, DefinitionError with file and line for a wrong one."""
    if name not in names():
        near = difflib.get_close_matches(name, names(), n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        message = f"There is no profile '{name}'.{hint} The profiles are: {', '.join(names())}."
        raise PlanError(message)
    return read(FOLDER / f"{name}.yaml")


def read_yaml(path: Path) -> tuple[Any, str]:
    """Return a YAML file's data and its text; DefinitionError begins with file:line."""
    try:
        text = path.read_text(encoding="utf-8")
        return yaml.safe_load(text), text
    except (OSError, UnicodeDecodeError) as error:
        message = f"{path}:1: the file cannot be read: {error}."
        raise DefinitionError(message) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        message = f"{path}:{line}: this is no YAML: {getattr(error, 'problem', error)}."
        raise DefinitionError(message) from error


def _line_of(text: str, key: str) -> int:
    return next((number for number, line in enumerate(text.splitlines(), 1) if line.startswith(f"{key}:")), 1)


def read(path: Path) -> Profile:
    """Return the profile that a file holds; DefinitionError begins with file:line."""
    data, text = read_yaml(path)
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    found = sorted(jsonschema.Draft7Validator(schema).iter_errors(data), key=lambda error: list(map(str, error.path)))
    if found:
        where = _line_of(text, str(found[0].path[0])) if found[0].path else 1
        message = f"{path}:{where}: {found[0].message}; '{SCHEMA.name}' says what a profile may hold."
        raise DefinitionError(message)
    return Profile(
        name=data["name"],
        title=data["title"],
        part=data["part"],
        lab=data["lab"],
        accept=tuple(data["accept"]),
        gate=data["gate"],
        backends=tuple(data["backends"]),
        host_configurations=tuple(data["host_configurations"]),
        ids=tuple(data["ids"]),
        params=dict(data["params"]),
    )
