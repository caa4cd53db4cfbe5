"""A receiver of drio-mcp's webhooks, with nothing but Python's standard library.

    WEBHOOK_SECRET=whsec_… python webhook_receiver.py 9000

It checks who sent a message and when, takes each message once, and prints what happened.
"""

import base64
import hashlib
import hmac
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRET = os.environ["WEBHOOK_SECRET"]
TOLERANCE_SECONDS = 5 * 60
LARGEST = 1024 * 1024
seen: set[str] = set()  # in a real program: a table with a unique key, written with what follows from the message


def is_genuine(headers: dict[str, str], body: bytes) -> bool:
    """Whether one of the signatures is that of the secret, and the message is not an old one sent again."""
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    right = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    is_fresh = abs(time.time() - int(headers["webhook-timestamp"])) <= TOLERANCE_SECONDS
    return is_fresh and any(hmac.compare_digest(right, each) for each in headers["webhook-signature"].split(" "))


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(min(int(headers.get("content-length", "0")), LARGEST))
        try:
            genuine = is_genuine(headers, body)
        except (KeyError, ValueError):
            genuine = False
        if not genuine:
            self._answer(401)
            return
        if headers["webhook-id"] not in seen:  # the same message may come twice
            seen.add(headers["webhook-id"])
            message = json.loads(body)
            about = message["data"].get("auth", {}).get("name", "")
            print(message["timestamp"], message["type"], about, flush=True)
        self._answer(204)  # 2xx says: taken. Answer before long work; 15 seconds are waited for

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """What is printed is what happened, not who called."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
