# SPDX-License-Identifier: GPL-2.0-or-later
"""A headless Chromium, spoken to over its debugging pipe: no port, no driver, nothing to install beside the browser."""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

NAMES = ("chromium", "chromium-headless-shell", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE = 30.0
ON_3_AND_4 = """
import os, sys
theirs = [os.dup(int(text)) for text in sys.argv[1:3]]
spare = [os.dup2(one, 200 + place) for place, one in enumerate(theirs)]
for place, one in enumerate(spare):
    os.dup2(one, 3 + place)
os.execv(sys.argv[3], sys.argv[3:])
"""


def found():
    """Return the browser's path, or None where there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One browser: `ask` calls a method of its protocol, `events` holds what it told unasked."""

    def __init__(self, process, to_it, from_it):
        self.process, self.to_it, self.from_it = process, to_it, from_it
        self.events, self.answers, self.number, self.rest = [], {}, 0, b""

    def ask(self, method, session=None, **params):
        self.number += 1
        call = {"id": self.number, "method": method, "params": params}
        os.write(self.to_it, json.dumps({**call, **({"sessionId": session} if session else {})}).encode() + b"\0")
        until = time.monotonic() + PATIENCE
        while self.number not in self.answers:
            self.listen(until)
        answer = self.answers.pop(self.number)
        assert "error" not in answer, answer
        return answer["result"]

    def listen(self, until):
        """Take what the browser says next."""
        ready, _, _ = select.select([self.from_it], [], [], max(0.0, until - time.monotonic()))
        data = os.read(self.from_it, 1 << 20) if ready else b""
        assert data, "the browser said nothing more"
        *whole, self.rest = (self.rest + data).split(b"\0")
        for text in whole:
            said = json.loads(text)
            if "id" in said:
                self.answers[said["id"]] = said
            else:
                self.events.append(said)


class Page:
    """One page of a browser, with its window's width and the user's colour scheme."""

    def __init__(self, browser, path, width, scheme):
        self.browser = browser
        self.target = browser.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = browser.ask("Target.attachToTarget", targetId=self.target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")
        self.resize(width)
        self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.ask("Page.navigate", url=path.as_uri())
        until = time.monotonic() + PATIENCE
        while not self.told("Page.loadEventFired"):
            browser.listen(until)

    def ask(self, method, **params):
        return self.browser.ask(method, self.session, **params)

    def resize(self, width):
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)

    def close(self):
        self.browser.ask("Target.closeTarget", targetId=self.target)

    def told(self, method):
        """Return the parameters of each event of this kind that the page sent."""
        own = (event for event in self.browser.events if event.get("sessionId") == self.session)
        return [event["params"] for event in own if event["method"] == method]

    def value(self, expression):
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def press(self, key, text=""):
        for kind in ("keyDown", "keyUp"):
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key, text=text if kind == "keyDown" else "")


@contextmanager
def browsing(folder):
    """Start a browser whose profile is *folder*; it and whatever it started are gone afterwards."""
    theirs_in, to_it = os.pipe()
    from_it, theirs_out = os.pipe()
    options = ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
    command = [found(), *options, "--disable-dev-shm-usage", "--remote-debugging-pipe", f"--user-data-dir={folder}"]
    process = subprocess.Popen(
        [sys.executable, "-c", ON_3_AND_4, str(theirs_in), str(theirs_out), *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(theirs_in, theirs_out),
        start_new_session=True,
    )
    os.close(theirs_in)
    os.close(theirs_out)
    browser = Browser(process, to_it, from_it)
    try:
        yield browser
        browser.ask("Browser.close")
        process.wait(PATIENCE)
    finally:
        for pipe in (to_it, from_it):
            os.close(pipe)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(PATIENCE)
