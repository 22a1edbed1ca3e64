# SPDX-License-Identifier: GPL-2.0-or-later
"""The API key: read from the environment or a private file, never from a command line, and masked wherever text leaves."""

from __future__ import annotations

import json
import logging
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Optional
from urllib.parse import quote, quote_plus

from avocado_hvqual.errors import TrackerError

VARIABLE = "AVOCADO_HVQUAL_BUGZILLA_API_KEY"
MASK = "[API key]"
PRIVATE = 0o600
_KEY = re.compile(r"[\x21-\x7e]{8,512}\Z")


class ApiKey:
    """A key that shows itself nowhere: neither as text nor in a traceback's values; `reveal` gives it to the request."""

    __slots__ = ("_forms", "_value")

    def __init__(self, value: str, source: str) -> None:
        """Hold *value*; TrackerError that names *source* alone when it cannot be a key."""
        if not _KEY.match(value):
            message = f"{source} holds no API key: 8 to 512 printable characters without a space, on one line, are one."
            raise TrackerError(message)
        self._value = value
        forms = {
            value,
            quote(value),
            quote_plus(value),
            json.dumps(value)[1:-1],
            repr(value)[1:-1],
        }
        self._forms = sorted(forms, key=len, reverse=True)

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__

    def reveal(self) -> str:
        """Return the key itself: for the request, for nothing else."""
        return self._value

    def mask(self, text: str) -> str:
        """Return *text* without the key, in any form that a program may have written it."""
        for form in self._forms:
            text = text.replace(form, MASK)
        return text


def read(file: Optional[Path]) -> Optional[ApiKey]:
    """Return the key in *file*, else the environment's, None when there is none; TrackerError for a file that others may read."""
    if file is not None:
        return ApiKey(_private_line(file), f"'{file}'")
    value = os.environ.get(VARIABLE, "")
    return ApiKey(value, f"The environment variable {VARIABLE}") if value else None


def _private_line(file: Path) -> str:
    try:
        # Whatever stands behind the name: a pipe is not waited for, and what was looked at is what is read.
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        message = f"The API key's file '{file}' cannot be read: {error.strerror}."
        raise TrackerError(message) from error
    try:
        about = os.fstat(descriptor)
        mode = stat.S_IMODE(about.st_mode)
        if not stat.S_ISREG(about.st_mode):
            message = f"The API key's file '{file}' is no regular file."
            raise TrackerError(message)
        if mode != PRIVATE or about.st_uid != os.geteuid():
            message = (
                f"The API key's file '{file}' has the mode {mode:04o} and belongs to the user {about.st_uid}; "
                f"it has to be yours alone: chown {os.geteuid()} '{file}' && chmod 0600 '{file}'"
            )
            raise TrackerError(message)
        return os.read(descriptor, 4096).decode("ascii", "replace").removesuffix("\n")
    finally:
        os.close(descriptor)


@contextmanager
def masked_logs(key: Optional[ApiKey]) -> Iterator[None]:
    """Let no log record that is made within the block hold *key*: the libraries log addresses and parameters when asked to."""
    if key is None:
        yield
        return
    before = logging.getLogRecordFactory()

    def masked(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = before(*args, **kwargs)
        record.msg, record.args = key.mask(record.getMessage()), ()
        if record.exc_info:
            record.exc_text = key.mask(logging.Formatter().formatException(record.exc_info))
            record.exc_info = None
        return record

    logging.setLogRecordFactory(masked)
    try:
        yield
    finally:
        logging.setLogRecordFactory(before)
