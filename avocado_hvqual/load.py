# SPDX-License-Identifier: GPL-2.0-or-later
"""
YAML and JSON files into the model, each held against its closed schema; every error says file:line.

`load_policy(path=None)` (with the shipped required table) and `load_ledger(path)`.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Optional

import jsonschema
import yaml

from avocado_hvqual import required as required_table
from avocado_hvqual.errors import DefinitionError
from avocado_hvqual.expressions import checked
from avocado_hvqual.ledger import NOTICE_DAYS, Entry, Ledger, Scope, duplicates, in_vain
from avocado_hvqual.limits import Limit
from avocado_hvqual.model.finding import FindingKind, Severity
from avocado_hvqual.policy_model import Alert, BuildRule, LimitFloor, Policy, ScaleFloor, Slower
from avocado_hvqual.severity import Rule, SeverityTable

PACKAGE = Path(__file__).resolve().parent
POLICY = PACKAGE / "policy" / "policy.yaml"
LARGEST = 16 * 1024 * 1024
Place = tuple[Any, ...]


class _Loader(yaml.SafeLoader):
    """Safe YAML in which a date is a text: what a text means is the schema's business."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, expression) for tag, expression in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class Document(NamedTuple):
    """A file's content, and the line on which each of its values stands."""

    path: Path
    data: Any
    lines: dict[Place, int]
    text: str

    def where(self, *place: Any) -> str:
        """Return file:line of the value at *place*, or of the nearest value around it."""
        while place and place not in self.lines:
            place = place[:-1]
        return f"{self.path}:{self.lines.get(place, 1)}"


@cache
def schema(name: str) -> dict[str, Any]:
    """Return a schema of the package by its file's stem."""
    loaded: dict[str, Any] = json.loads((PACKAGE / "schemas" / f"{name}.json").read_text(encoding="utf-8"))
    return loaded


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST:
            message = f"{path}:1: is larger than {LARGEST >> 20} MiB, which no such file is."
            raise DefinitionError(message)
        return path.read_text(encoding="utf-8")
    except OSError as error:
        message = f"{path}:1: cannot be read: {error.strerror}."
        raise DefinitionError(message) from error
    except UnicodeDecodeError as error:
        message = f"{path}:1: is not UTF-8 text (byte {error.start})."
        raise DefinitionError(message) from error


def document(path: Path, schema_name: str) -> Document:
    """Return the file at *path*, which fits the schema; DefinitionError otherwise."""
    text = _text(path)
    data, lines = _parsed(path, text)
    found = Document(path, data, lines, text)
    errors = jsonschema.Draft7Validator(schema(schema_name)).iter_errors(data)
    worst = min(errors, key=lambda error: lines.get(_known(lines, error.absolute_path), 1), default=None)
    if worst is not None:
        at = "'" + ".".join(map(str, worst.absolute_path)) + "'" if worst.absolute_path else "The file"
        message = f"{found.where(*worst.absolute_path)}: {at} is wrong: {worst.message[:300]}."
        raise DefinitionError(message)
    return found


def _known(lines: dict[Place, int], path: Sequence[Any]) -> Place:
    place = tuple(path)
    while place and place not in lines:
        place = place[:-1]
    return place


def _parsed(path: Path, text: str) -> tuple[Any, dict[Place, int]]:
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        lines: dict[Place, int] = {}
        _walk(path, node, (), lines, set())
        return loader.construct_document(node) if node is not None else None, lines
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        message = f"{path}:{line}: is not YAML: {error.problem}."
        raise DefinitionError(message) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        message = f"{path}:1: is not YAML that can be read: {str(error)[:200] or type(error).__name__}."
        raise DefinitionError(message) from error


def _walk(path: Path, node: Any, place: Place, lines: dict[Place, int], around: set[int]) -> None:
    """Note the line of each value; refuse keys that stand twice, and values that contain themselves."""
    if node is None:
        return
    lines[place] = node.start_mark.line + 1
    if id(node) in around:
        message = f"{path}:{lines[place]}: a value contains itself."
        raise DefinitionError(message)
    if node.tag == "tag:yaml.org,2002:float" and node.value.lower().lstrip("+-") in {".nan", ".inf"}:
        message = f"{path}:{lines[place]}: '{node.value}' is no finite number."
        raise DefinitionError(message)
    inner = around | {id(node)}
    if isinstance(node, yaml.MappingNode):
        _refuse_doubled(path, node)
        for key, value in node.value:
            _walk(path, value, (*place, str(key.value)), lines, inner)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            _walk(path, value, (*place, number), lines, inner)


def _refuse_doubled(path: Path, node: yaml.MappingNode) -> None:
    seen: set[str] = set()
    for key, _value in node.value:
        if str(key.value) in seen:
            message = f"{path}:{key.start_mark.line + 1}: '{key.value}' stands twice; only one of them would count."
            raise DefinitionError(message)
        seen.add(str(key.value))


def _limit(text: str, where: str) -> Limit:
    try:
        return Limit.parse(text)
    except DefinitionError as error:
        message = f"{where}: {error}"
        raise DefinitionError(message) from error


def load_policy(path: Optional[Path] = None, required: Optional[Path] = None) -> Policy:
    """Return the policy in *path*, by default the shipped one, with the shipped required table if there is one."""
    found = document(path or POLICY, "policy")
    data = found.data
    rows = tuple(_rule(row, found, number) for number, row in enumerate(data["severities"]))
    return Policy(
        name=data["name"],
        severities=SeverityTable(rows),
        digest=hashlib.sha256(found.text.encode()).hexdigest()[:12],
        not_required=tuple(data["not_required_capabilities"]),
        components=tuple(data["components"]),
        limit_floors=tuple(
            LimitFloor(
                row["id"], row["observation"], _limit(row["limit"], found.where("weakest_limits", number, "limit"))
            )
            for number, row in enumerate(data["weakest_limits"])
        ),
        scale_floors=tuple(
            ScaleFloor(row["id"], row["parameter"], float(row["at_least"]), tuple(row["profiles"]))
            for row in data["smallest_scale"]
        ),
        required=tuple(required_table.read(required or required_table.LOCK)),
        waiver_notice_days=data.get("waiver_notice_days", NOTICE_DAYS),
        slower=Slower(**data.get("slower", {})),
        on_critical=Alert(**data.get("on_critical", {})),
        builds=_builds(data.get("builds", {})),
    )


def _builds(row: dict[str, Any]) -> BuildRule:
    return BuildRule(**{**row, **({"identity": tuple(row["identity"])} if "identity" in row else {})})


def _rule(row: dict[str, Any], found: Document, number: int) -> Rule:
    where = found.where("severities", number)
    return Rule(
        id=row["id"],
        severity=Severity(row["severity"]),
        kinds=frozenset(map(FindingKind, row.get("kinds", ()))),
        phase=row.get("phase", ""),
        category=row.get("category", ""),
        id_pattern=row.get("use_case", ""),
        observation=row.get("observation", ""),
        component=row.get("component", ""),
        message=checked(row.get("message", ""), where),
        where=where,
    )


def load_ledger(path: Optional[Path]) -> Ledger:
    """Return the operator's ledger; without a path there are no known issues."""
    if path is None:
        return Ledger()
    found = document(path, "ledger")
    entries = tuple(_entry(row, found, number) for number, row in enumerate(found.data["issues"]))
    wrong = [*duplicates(entries), *in_vain(entries)]
    if wrong:
        raise DefinitionError(wrong[0])
    return Ledger(entries)


def _entry(row: dict[str, Any], found: Document, number: int) -> Entry:
    place = ("issues", number)
    signature, waiver, severity = row["signature"], row.get("waiver", {}), row.get("severity", {})
    scope = waiver.get("scope", {})
    return Entry(
        id=row["id"],
        bug=row["bug"],
        owner=row["owner"],
        state=row["state"],
        case=signature.get("case", ""),
        kind=FindingKind(signature["kind"]) if "kind" in signature else None,
        message=signature.get("message", ""),
        pattern=checked(signature.get("pattern", ""), found.where(*place, "signature", "pattern")),
        log=checked(signature.get("log", ""), found.where(*place, "signature", "log")),
        fix_target=row.get("fix_target", ""),
        severity=Severity(severity["is"]) if severity else None,
        severity_reason=severity.get("reason", ""),
        waiver_reason=waiver.get("reason", ""),
        waiver_expires=_day(waiver["expires"], found.where(*place, "waiver", "expires")) if waiver else None,
        scope=Scope(tuple(scope.get("profiles", ())), tuple(scope.get("nodes", ()))),
        where=found.where(*place),
    )


def _day(text: str, where: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError as error:
        message = f"{where}: '{text}' is not a day as 2027-01-31."
        raise DefinitionError(message) from error
