# SPDX-License-Identifier: GPL-2.0-or-later
"""What a report is called on the operator's tracker: product, component, severity, and how it is marked (schema `schemas/bugs.json`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

from avocado_hvqual.load import document
from avocado_hvqual.model.finding import Severity

COMPONENTS = ("kvm", "vhost", "bridge", "virtio_backend", "virtio_driver", "qemu", "libvirt", "agent")
"""The requirement's section 4.1, as `hv_components` names them."""
OTHER = "other"
"""Where a report goes whose finding names no component."""
WHITEBOARD, ALIAS = "whiteboard", "alias"
HEADER, QUERY, BEARER = "header", "query", "bearer"


@dataclass(frozen=True)
class Settings:
    """The operator's choices; without a file, names that a stock Bugzilla has."""

    product: str = ""
    version: str = "unspecified"
    op_sys: str = "Linux"
    platform: str = "All"
    severities: dict[str, str] = field(default_factory=lambda: {one.value: one.value for one in Severity})
    priorities: dict[str, str] = field(default_factory=dict)
    components: dict[str, str] = field(default_factory=lambda: {name: name for name in (*COMPONENTS, OTHER)})
    assigned_to: str = ""
    cc: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    marks: tuple[str, ...] = (WHITEBOARD, ALIAS)
    """By which fields a report is known by its fingerprint; an alias is unique, so that not even two desks can file one twice."""
    auth: str = HEADER
    """How the API key goes to the server: Bugzilla 5.1 and later take a header, 5.0 a part of the address, Red Hat's a bearer."""
    plain_http: bool = False
    """Whether the key may leave this host unencrypted."""


def load_settings(path: Optional[Path]) -> Settings:
    """Return the settings in *path*, the default ones without a path; DefinitionError (file:line) for a wrong file."""
    if path is None:
        return Settings()
    data = dict(document(path, "bugs").data)
    plain = Settings()
    for name in ("severities", "components"):
        data[name] = {**getattr(plain, name), **data.get(name, {})}
    for name in ("cc", "keywords", "groups", "marks"):
        data[name] = tuple(data.get(name, getattr(plain, name)))
    return Settings(**data)
