# SPDX-License-Identifier: GPL-2.0-or-later
"""A Bugzilla on loopback: the part of its REST interface that reports go through, and the ways in which a server fails."""

from __future__ import annotations

import http.server
import json
import re
import threading
from urllib.parse import parse_qs, urlsplit

KEY = "s3cr3t/Key+with=Odd%chars"
INVALID_KEY, NO_ALIAS, NO_BUG, NEEDS_LOGIN = 306, 103, 101, 410


class FakeBugzilla:
    """The server's reports, what it was asked, and what is wrong with it."""

    def __init__(self, auth="header"):
        self.bugs, self.comments, self.asked = {}, {}, []
        self.auth = auth
        # (method, pattern on the path) -> what happens instead of, or after, what was asked for.
        self.faults = {}
        self.keeps = ("whiteboard", "alias")
        self.searches = True
        self.hidden = set()
        self.closing = threading.Event()
        handler = type("Handler", (_Handler,), {"bugzilla": self})
        self.httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.httpd.daemon_threads = True
        self.thread = threading.Thread(target=self.httpd.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.httpd.server_address[1]}"

    def close(self):
        self.closing.set()
        self.httpd.shutdown()
        self.httpd.server_close()
        self.thread.join()

    def sent(self, *methods):
        return [f"{one['method']} {one['path']}" for one in self.asked if one["method"] in methods]

    def add(self, **fields):
        number = max(self.bugs, default=0) + 1
        self.bugs[number] = {"id": number, "status": "NEW", "resolution": "", "dupe_of": None, **fields}
        self.comments[number] = []
        return number


class _Handler(http.server.BaseHTTPRequestHandler):
    bugzilla: FakeBugzilla
    protocol_version = "HTTP/1.1"

    def log_message(self, *_args):
        pass

    def do_GET(self):
        self.answer("GET")

    def do_POST(self):
        self.answer("POST")

    def do_PUT(self):
        self.answer("PUT")

    def answer(self, method):
        parts, it = urlsplit(self.path), self.bugzilla
        query = parse_qs(parts.query)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = {"method": method, "path": parts.path, "query": query, "headers": dict(self.headers), "line": self.path}
        it.asked.append({**asked, "json": json.loads(body) if body else None})
        fault = next((f for (m, path), f in it.faults.items() if m == method and re.search(path, parts.path)), None)
        if fault and not fault.get("after"):
            return self.fail(fault)
        status, said = self.route(method, parts.path, query, json.loads(body) if body else {})
        if fault:
            return self.fail(fault)
        return self.say(status, json.dumps(said))

    def fail(self, fault):
        if fault.get("once"):
            self.bugzilla.faults = {key: one for key, one in self.bugzilla.faults.items() if one is not fault}
        if "delay" in fault:
            # As long as that, and not a moment longer than there is a server.
            self.bugzilla.closing.wait(fault["delay"])
        if fault.get("drop"):
            self.close_connection = True
            return None
        return self.say(fault.get("status", 200), fault.get("text", "{}"), fault.get("headers", {}))

    def say(self, status, text, headers=None):
        data = text.encode()
        try:
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def user(self, query):
        """The key that the request shows: None for nobody, False for a wrong one."""
        shown = {
            "header": self.headers.get("X-BUGZILLA-API-KEY"),
            "query": query.get("Bugzilla_api_key", [None])[0],
            "bearer": (self.headers.get("Authorization") or "").partition("Bearer ")[2] or None,
        }[self.bugzilla.auth]
        return None if shown is None else shown == KEY

    def route(self, method, path, query, data):
        user = self.user(query)
        if user is False:
            return 400, _error(INVALID_KEY, "The API key you specified is invalid.")
        if path == "/rest/version":
            return 200, {"version": "5.0.6"}
        if user is None and method != "GET":
            return 401, _error(NEEDS_LOGIN, "You must log in before using this part of Bugzilla.")
        return self.resource(method, path, query, data)

    def resource(self, method, path, query, data):
        found = re.fullmatch(r"/rest/bug(?:/(\d+)(/comment)?)?", path)
        if not found:
            return 404, _error(32000, "no such resource")
        if not found.group(1):
            return self.create(data) if method == "POST" else self.search(query)
        number = int(found.group(1))
        if number not in self.bugzilla.bugs or number in self.bugzilla.hidden:
            return 404, _error(NO_BUG, f"Bug #{number} does not exist.")
        return self.one(method, number, data, of_comments=bool(found.group(2)))

    def search(self, query):
        it = self.bugzilla
        bugs = [bug for number, bug in it.bugs.items() if number not in it.hidden]
        if it.searches:
            for text in query.get("whiteboard", []):
                bugs = [bug for bug in bugs if text in bug.get("whiteboard", "")]
            for text in query.get("alias", []):
                bugs = [bug for bug in bugs if text in bug.get("alias", [])]
        return 200, {"bugs": bugs}

    def create(self, data):
        it = self.bugzilla
        for name in ("product", "component", "summary", "version"):
            if not data.get(name):
                return 400, _error(50, f"You must enter a {name}.")
        if len(data["summary"]) > 255 or len(data["description"]) > 65535:
            return 400, _error(114, "Comments cannot be longer than 65535 characters.")
        if any(data.get("alias") in bug.get("alias", []) for bug in it.bugs.values()):
            return 400, _error(NO_ALIAS, "someone has already taken the alias.")
        kept = {name: value for name, value in data.items() if name not in {"whiteboard", "alias"} or name in it.keeps}
        kept["alias"] = [kept["alias"]] if kept.get("alias") else []
        kept.setdefault("whiteboard", "")
        number = it.add(**kept)
        it.comments[number].append(data["description"])
        return 200, {"id": number}

    def one(self, method, number, data, *, of_comments):
        it = self.bugzilla
        if of_comments:
            return 200, {"bugs": {str(number): {"comments": [{"text": text} for text in it.comments[number]]}}}
        if method == "PUT":
            it.comments[number].append(data["comment"]["comment"])
            return 200, {"bugs": [{"id": number, "changes": {}}]}
        return 200, {"bugs": [it.bugs[number]]}


def _error(code, message):
    return {"error": True, "code": code, "message": message}
