"""The shop around a client of other people: takes the callback, tells what the client made of it.

Runs in the clients' own environment, so it imports nothing of this project.
"""

import json
import queue
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

# A scripted payer takes 2 s; the rest only bounds a failure.
PATIENCE = 60

SHORTCODE = "174379"
PASSKEY = "bfb279f9aa9bdbcf158e97dd71a467cd2e0c893059b10f78e6b72ada1ed2c919"


class Shop:
    """Listens where a README of such a client says that callbacks go, and pays with one line."""

    def __init__(self):
        self.line = sys.argv[1]
        self._taken = taken = queue.Queue()

        class Takes(BaseHTTPRequestHandler):
            def do_POST(self):
                taken.put(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                """Standard error is for what goes wrong."""

        server = HTTPServer(("127.0.0.1", 0), Takes)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.callback_url = f"http://shop.example.com:{server.server_port}/mpesa/stk/callback"

    def callback(self):
        """Wait for the callback and return its body; raises queue.Empty if none comes."""
        return self._taken.get(timeout=PATIENCE)


def tell(**story):
    """Say what the client told, as one JSON object."""
    print(json.dumps(story))
