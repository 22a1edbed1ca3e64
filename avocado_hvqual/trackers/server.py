# SPDX-License-Identifier: GPL-2.0-or-later
"""
A Bugzilla by its REST interface, through python-bugzilla (imported here and nowhere else).

What goes wrong is one of two: `RefusedError`, the server has not taken it, or `UnknownError`, nobody knows whether it has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Optional
from urllib.parse import SplitResult, urlsplit

from avocado_hvqual.errors import TrackerError
from avocado_hvqual.reports.words import safe
from avocado_hvqual.trackers.draft import Draft
from avocado_hvqual.trackers.key import ApiKey, masked_logs
from avocado_hvqual.trackers.settings import BEARER, HEADER, QUERY, Settings
from avocado_hvqual.trackers.transport import RefusedError, Transport, UnknownError, UnreachableError

FIELDS = ["id", "status", "resolution", "dupe_of", "whiteboard", "alias"]
ALIAS_TAKEN = 103
NOT_SHOWN = {101, 102}
"""Bugzilla's error codes: the alias is another report's; there is no such report, or not for this user."""
CHAIN = 10
"""So many times a duplicate is followed to what it is one of."""
_LOCAL = {"localhost", "127.0.0.1", "::1"}


class Found(NamedTuple):
    """A report on the server."""

    bug: int
    state: str
    """``NEW``, ``RESOLVED FIXED``, ..."""


class Bugzilla:
    """One server, known by its address; `connect` before anything else."""

    def __init__(self, url: str, key: Optional[ApiKey], settings: Settings, seconds: float) -> None:
        """Check the address; TrackerError when the key would leave this host unprotected."""
        parts = _parts(url)
        if key and parts.scheme == "http" and parts.hostname not in _LOCAL and not settings.plain_http:
            message = (
                f"The API key would go to '{parts.hostname}' unencrypted; give an https:// address, "
                "or set plain_http: true in the file of --tracker."
            )
            raise TrackerError(message)
        self.url = re.sub(r"(?:/rest|/xmlrpc\.cgi|/jsonrpc\.cgi)?/*\Z", "", url)
        self._key, self._settings, self._seconds = key, settings, seconds
        self._client: Any = None

    def connect(self) -> None:
        """Ask the server for its version; TrackerError when it is none or does not answer."""
        try:
            import bugzilla
        except ImportError as error:
            message = (
                "python-bugzilla is not installed, and only it speaks to the tracker; install with: "
                "pip install 'avocado-hvqual[bugzilla]'. 'avocado hvqual bugs draft' needs it not."
            )
            raise TrackerError(message) from error
        auth = self._settings.auth
        transport = Transport(
            self._key, self._seconds, {HEADER: "X-BUGZILLA-API-KEY", BEARER: "Authorization"}.get(auth, "")
        )
        in_address = self._key.reveal() if self._key and auth == QUERY else None
        with self._asking():
            self._client = bugzilla.Bugzilla(
                f"{self.url}/rest", force_rest=True, use_creds=False, api_key=in_address, requests_session=transport
            )

    def link(self, bug: int) -> str:
        """Return the address at which a reader finds a report."""
        return f"{self.url}/show_bug.cgi?id={bug}"

    def find(self, fingerprint: str) -> Optional[Found]:
        """Return the report on *fingerprint*, the first of several; of a duplicate, the one that it is a duplicate of."""
        numbers: dict[int, dict[str, Any]] = {}
        for mark in self._settings.marks:
            with self._asking():
                answer = self._client.query({mark: fingerprint, "include_fields": FIELDS})
                bugs = [one.get_raw_data() for one in answer]
            for bug in bugs:
                if not _carries(bug, fingerprint):
                    message = (
                        f"The server answers a search for '{fingerprint}' by {mark} with the bug {safe(bug.get('id'))}, which does not "
                        "carry it: it cannot be searched so. Nothing is sent, for it could be there twice; change 'marks' in --tracker."
                    )
                    raise RefusedError(message)
                numbers[int(bug["id"])] = bug
        return self._followed(numbers[min(numbers)]) if numbers else None

    def get(self, bug: int) -> Optional[Found]:
        """Return the report of that number, None when the server shows none."""
        try:
            return self._followed(self._raw(bug))
        except RefusedError as error:
            if error.code in NOT_SHOWN:
                return None
            raise

    def create(self, draft: Draft) -> int:
        """File a report and return its number."""
        with self._asking():
            fields = {**draft.fields, "description": draft.description}
            return int(self._client.createbug(fields).bug_id)

    def is_told(self, bug: int, line: str) -> bool:
        """Return whether a comment of the report has this line, its own text included."""
        with self._asking():
            comments = self._client.get_comments([bug])["bugs"][str(bug)]["comments"]
            return any(line in str(comment["text"]).splitlines() for comment in comments)

    def comment(self, bug: int, text: str) -> None:
        """Add a comment to a report."""
        with self._asking():
            self._client.update_bugs([bug], self._client.build_update(comment=text))

    def _followed(self, bug: dict[str, Any]) -> Found:
        for _step in range(CHAIN):
            if not bug.get("dupe_of"):
                break
            bug = self._raw(int(bug["dupe_of"]))
        state = " ".join(filter(None, (str(bug.get("status") or "?"), str(bug.get("resolution") or ""))))
        return Found(int(bug["id"]), safe(state)[:60])

    def _raw(self, bug: int) -> dict[str, Any]:
        with self._asking():
            data: dict[str, Any] = self._client.getbug(bug, include_fields=FIELDS).get_raw_data()
            return data

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Turn what the library raises into the two kinds of trouble, and let neither a log nor an error hold the key."""
        from bugzilla.exceptions import BugzillaError, BugzillaHTTPError

        with masked_logs(self._key):
            try:
                yield
            except TrackerError:
                raise
            except BugzillaError as error:
                raise RefusedError(self._told(error), code=getattr(error, "code", None)) from None
            except BugzillaHTTPError as error:
                raise RefusedError(self._told(error)) from None
            except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
                message = (
                    f"The server '{self.url}' answered with what is no Bugzilla's answer ({type(error).__name__})."
                )
                raise UnknownError(message) from None

    def _told(self, error: Exception) -> str:
        said = str(error)
        return f"The server '{self.url}' refused: {safe(self._key.mask(said) if self._key else said)[:500]}"


def _parts(url: str) -> SplitResult:
    """Return the parts of a server's address; TrackerError, which does not repeat it, for one that is none or holds a secret."""
    try:
        parts = urlsplit(url)
        sound = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        sound = False
    if not sound or parts.query or parts.fragment or "@" in url:
        message = "--url has to be the address of a Bugzilla, as https://bugs.example.org: without a user, a password or parameters."
        raise TrackerError(message)
    return parts


def _carries(bug: dict[str, Any], fingerprint: str) -> bool:
    alias = bug.get("alias") or []
    marks = [
        *str(bug.get("whiteboard") or "").replace(",", " ").split(),
        *([alias] if isinstance(alias, str) else alias),
    ]
    return fingerprint in {mark.strip("[]();") for mark in marks}


__all__ = ["ALIAS_TAKEN", "Bugzilla", "Found", "RefusedError", "UnknownError", "UnreachableError"]
