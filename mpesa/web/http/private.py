"""A part of the site that needs a login: only requests for it have a session and a cookie."""

from collections.abc import Callable

from flask import Flask, Request, request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from werkzeug.wrappers import Response


class Sessions(SecureCookieSessionInterface):
    """A session for requests below one path and for the handshake of a socket, and for no others.

    Shoppers get no cookie: the address of an order is enough to look at it.

    Args:
        root: the path, such as `/console`.
    """

    def __init__(self, root: str) -> None:
        self._root = root

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Return the session of a request; with None, Flask gives it no session."""
        handshake = request.path.startswith("/socket.io")
        has_cookie = self.get_cookie_name(app) in request.cookies
        if not is_below(self._root, request.path) and not (handshake and has_cookie):
            return None
        return super().open_session(app, request)


def register(app: Flask, root: str, admit: Callable[[], Response | None]) -> None:
    """Ask for a login before anything below a path is answered, a wrong address included.

    Args:
        root: the path, such as `/console`.
        admit: returns the answer to a guest, and None for a request that may go on. It is called
            for every request below the path, whether a route is there or not.
    """
    app.session_interface = Sessions(root)

    @app.before_request
    def login_required() -> Response | None:
        return admit() if is_below(root, request.path) else None


def is_below(root: str, path: str) -> bool:
    """Whether a path is the root itself, or below it."""
    return path == root or path.startswith(f"{root}/")
