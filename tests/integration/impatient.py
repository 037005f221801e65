"""A program: the smallest application, on a server that waits a second for a silent client,
and may open a hundred files.
"""

from mpesa import serving  # isort: skip - first, as in app.py: it patches what all else imports

import os
import resource


def hello(environ, start_response):
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
    serving.serve(hello, serving.listen("127.0.0.1", int(os.environ["PORT"])), idle=1.0)
