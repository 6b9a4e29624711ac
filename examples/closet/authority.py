#!/usr/bin/env python3
"""A small OAuth2 authorization server for opaque tokens, in memory, out of Python's standard library alone.

POST /token       client credentials (RFC 6749 section 4.4): an opaque token that is good for five minutes
POST /introspect  what a token means (RFC 7662), for the gateway alone
POST /revoke      a token is withdrawn (RFC 7009)

It stands in for the Keycloak, Authentik or Hydra of a real closet. Usage: authority.py PORT
"""

import base64
import hmac
import json
import os
import secrets
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

PORT = int(sys.argv[1])
ISSUER = f"http://127.0.0.1:{PORT}"
LIFE_S = 300
# A larger request is none for a token, and more tokens than these are nobody's.
MAX_BODY_BYTES = 4096
MAX_TOKENS = 10_000
# Who may ask for what: name, secret, scopes.
CLIENTS = {"dashboard": ("dashboard", ["billing:read"])}
GATEWAY = ("gateway", os.environ.get("CLOSET_INTROSPECTION_SECRET", "nobody-should-use-this-secret"))

tokens = {}
lock = threading.Lock()


def same(left, right):
    return hmac.compare_digest(left.encode(), right.encode())


class Authority(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    # Head and body in one segment: a body that waits for an acknowledgement costs 40 ms.
    wbufsize = 1 << 16

    def do_GET(self):
        self.answer(200 if self.path == "/health" else 404, {"ok": self.path == "/health"})

    def do_POST(self):
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > MAX_BODY_BYTES:
            self.close_connection = True
            return self.answer(413, {"error": "invalid_request"})
        form = {name: values[0] for name, values in parse_qs(self.rfile.read(int(length)).decode("latin-1")).items()}
        name, secret = self.client()
        if self.path == "/introspect":
            if name != GATEWAY[0] or not same(secret, GATEWAY[1]):
                return self.answer(401, {"error": "invalid_client"})
            return self.answer(200, self.meaning(form.get("token", "")))
        known = CLIENTS.get(name)
        if known is None or not same(secret, known[0]):
            return self.answer(401, {"error": "invalid_client"})
        if self.path == "/token":
            return self.grant(name, known[1], form)
        if self.path == "/revoke":
            with lock:
                token = tokens.get(form.get("token", ""))
                if token is not None and token["client_id"] == name:
                    del tokens[form["token"]]
            return self.answer(200, {})
        self.answer(404, {"error": "not_found"})

    def grant(self, name, allowed, form):
        if form.get("grant_type") != "client_credentials":
            return self.answer(400, {"error": "unsupported_grant_type"})
        scopes = form.get("scope", " ".join(allowed)).split()
        if not set(scopes) <= set(allowed):
            return self.answer(400, {"error": "invalid_scope"})
        token, now = secrets.token_urlsafe(24), int(time.time())
        with lock:
            for old in [old for old, meaning in tokens.items() if meaning["exp"] <= now]:
                del tokens[old]
            if len(tokens) >= MAX_TOKENS:
                return self.answer(503, {"error": "temporarily_unavailable"})
            tokens[token] = {
                "active": True, "client_id": name, "sub": name, "iss": ISSUER,
                "scope": " ".join(scopes), "iat": now, "exp": now + LIFE_S,
            }
        if self.headers.get("Accept") == "text/plain":
            return self.answer(200, token)
        body = {"access_token": token, "token_type": "Bearer", "expires_in": LIFE_S, "scope": " ".join(scopes)}
        self.answer(200, body)

    def meaning(self, token):
        with lock:
            found = tokens.get(token)
        return found if found and found["exp"] > time.time() else {"active": False}

    def client(self):
        """Name and secret of HTTP Basic (RFC 7617)."""
        kind, _, value = self.headers.get("Authorization", "").partition(" ")
        try:
            name, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
        except ValueError:
            return "", ""
        return (name, secret) if kind.lower() == "basic" else ("", "")

    def answer(self, status, value):
        plain = isinstance(value, str)
        body = (value if plain else json.dumps(value)).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if plain else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Requests hold secrets: none is logged."""


ThreadingHTTPServer(("127.0.0.1", PORT), Authority).serve_forever()
