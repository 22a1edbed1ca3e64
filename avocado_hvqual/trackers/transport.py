# SPDX-License-Identifier: GPL-2.0-or-later
"""
The requests to a tracker: the key in a header, a bounded wait, no redirect and no other credentials.

python-bugzilla's own session gives the key in the address, waits five minutes, follows redirects (and would show the next host the
header) and lets ~/.netrc speak; so it is given this one instead.
"""

from __future__ import annotations

from typing import Any, Optional
from urllib.parse import urlsplit

from avocado_hvqual.errors import TrackerError
from avocado_hvqual.reports.words import safe
from avocado_hvqual.trackers.key import ApiKey

SERVER_ERROR = 500


class RefusedError(TrackerError):
    """Raised when the server has not taken what it was given."""

    def __init__(self, message: str, code: Optional[int] = None) -> None:
        """Keep Bugzilla's own number for it, if there is one."""
        super().__init__(message)
        self.code = code


class UnreachableError(RefusedError):
    """Raised when the server was not reached at all, so that there is no use in asking it for more."""


class UnknownError(TrackerError):
    """Raised when nobody knows whether the server has taken what it was given."""


class Transport:
    """What python-bugzilla takes for a requests.Session."""

    def __init__(self, key: Optional[ApiKey], seconds: float, header: str) -> None:
        """Give the key in *header*, in none when that is empty; wait at most *seconds* for each part of an answer."""
        import requests

        self._session, self._key, self._seconds = requests.Session(), key, seconds
        self.headers = self._session.headers
        self.verify, self.cert = self._session.verify, self._session.cert
        # A callable is asked instead of ~/.netrc, and adds nothing.
        self._session.auth = lambda request: request
        if key and header:
            self.headers[header] = f"Bearer {key.reveal()}" if header == "Authorization" else key.reveal()

    def request(self, method: str, url: str, **options: Any) -> Any:
        """Return the server's answer; UnreachableError, RefusedError or UnknownError when there is none that can be used."""
        import requests

        options.update(timeout=self._seconds, allow_redirects=False)
        host = urlsplit(url).netloc
        try:
            answer = self._session.request(method, url, **options)
        except requests.exceptions.ConnectionError as error:
            raise self._lost(error, host) from None
        except requests.exceptions.Timeout:
            message = f"The server '{host}' did not answer within {self._seconds:g} s."
            raise UnknownError(message) from None
        except requests.RequestException as error:
            message = f"The server '{host}' broke off: {self._masked(error)}"
            raise UnknownError(message) from None
        return self._usable(answer, host)

    def _usable(self, answer: Any, host: str) -> Any:
        if answer.is_redirect:
            to = self._masked(answer.headers.get("Location", ""))
            message = f"The server '{host}' sends on to '{to}', where the key is not shown; give that address as --url if it is meant."
            raise RefusedError(message)
        if answer.status_code >= SERVER_ERROR:
            message = f"The server '{host}' answered with {answer.status_code} {self._masked(answer.reason)}."
            raise UnknownError(message)
        if answer.ok:
            try:
                answer.json()
            except ValueError:
                kind = self._masked(answer.headers.get("Content-Type", "no stated type"))
                message = f"The server '{host}' answered with {kind} instead of JSON. Is --url the address of a Bugzilla with REST?"
                raise UnknownError(message) from None
        return answer

    def _lost(self, error: Exception, host: str) -> TrackerError:
        from requests.exceptions import ConnectTimeout, ProxyError, SSLError
        from urllib3.exceptions import NewConnectionError

        reason = getattr(error.args[0] if error.args else None, "reason", None)
        said = f"The server '{host}' cannot be reached: {self._masked(reason or error)}"
        if isinstance(error, (ConnectTimeout, SSLError, ProxyError)) or isinstance(reason, NewConnectionError):
            return UnreachableError(said)
        return UnknownError(f"The connection to '{host}' was lost: {self._masked(reason or error)}")

    def _masked(self, text: object) -> str:
        return safe(self._key.mask(str(text)) if self._key else text)[:300]
