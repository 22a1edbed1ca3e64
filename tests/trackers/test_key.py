# SPDX-License-Identifier: GPL-2.0-or-later
"""The API key: read from where only its owner can, shown nowhere."""

import logging
import os

import pytest

from avocado_hvqual.errors import TrackerError
from avocado_hvqual.trackers import key as api_key
from avocado_hvqual.trackers.key import MASK, ApiKey, masked_logs, read
from tests.trackers.bugzilla_server import KEY


def private(path, text=f"{KEY}\n", mode=0o600):
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def test_from_a_private_file_before_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv(api_key.VARIABLE, "of-the-environment")
    assert read(private(tmp_path / "key")).reveal() == KEY
    assert read(None).reveal() == "of-the-environment"
    monkeypatch.delenv(api_key.VARIABLE)
    assert read(None) is None


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o666, 0o777, 0o700, 0o400, 0o4600])
def test_any_other_mode_is_refused(tmp_path, mode):
    with pytest.raises(TrackerError, match=f"has the mode {mode:04o}.*chmod 0600"):
        read(private(tmp_path / "key", mode=mode))


def test_anothers_file_is_refused(tmp_path, monkeypatch):
    path = private(tmp_path / "key")
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(TrackerError, match="yours alone"):
        read(path)


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe"])
def test_what_is_no_file_is_refused_at_once(tmp_path, kind):
    path = tmp_path / kind
    if kind == "folder":
        path.mkdir(mode=0o600)
    if kind == "pipe":
        os.mkfifo(path, 0o600)
    with pytest.raises(TrackerError, match="The API key's file"):
        read(path)


@pytest.mark.parametrize(
    "text",
    ["", "\n", "short", "two words here", "two\nlines-of-it", "t\u00e4st-t\u00e4st", "x" * 600, "k" * 20 + "\n\n"],
)
def test_what_is_no_key_is_refused_without_repeating_it(tmp_path, text):
    with pytest.raises(TrackerError, match="holds no API key") as caught:
        read(private(tmp_path / "key", text))
    assert not text.strip() or text.strip() not in str(caught.value)


def test_it_shows_itself_nowhere():
    key = ApiKey(KEY, "x")
    assert repr(key) == str(key) == f"{key}" == MASK
    assert KEY not in repr([key]) + repr({"key": key})
    with pytest.raises(TypeError):
        vars(key)


def test_every_form_is_masked():
    key = ApiKey(KEY, "x")
    from urllib.parse import quote, quote_plus

    for form in (KEY, quote(KEY), quote(KEY, safe=""), quote_plus(KEY)):
        assert key.mask(f"a {form} b") == f"a {MASK} b"
    quoted = ApiKey("quo\"te'and\\slash", "x")
    for form in ("quo\\\"te'and\\\\slash", repr("quo\"te'and\\slash")[1:-1]):
        assert quoted.mask(form) == MASK


def test_logs_are_masked_within_and_left_alone_after(caplog):
    caplog.set_level(logging.DEBUG)
    log, factory = logging.getLogger("some.library"), logging.getLogRecordFactory()
    with masked_logs(ApiKey(KEY, "x")):
        log.debug("GET %s with %r", f"/rest?k={KEY}", {"key": KEY})
        try:
            int(KEY)
        except ValueError:
            log.exception("it failed")
    assert logging.getLogRecordFactory() is factory
    assert KEY not in caplog.text
    assert not [record for record in caplog.records if record.exc_info or record.args], (
        "a handler may format it by itself"
    )
    assert caplog.text.count(MASK) >= 3
    log.debug("after %s", "all")
    assert "after all" in caplog.text


def test_an_error_within_puts_logging_back():
    factory = logging.getLogRecordFactory()
    with pytest.raises(KeyError), masked_logs(ApiKey(KEY, "x")):
        raise KeyError
    assert logging.getLogRecordFactory() is factory


def test_no_key_no_mask():
    factory = logging.getLogRecordFactory()
    with masked_logs(None):
        assert logging.getLogRecordFactory() is factory
