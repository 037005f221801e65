"""A part of the site that needs a login: its cookie is opened for it, and for nobody else."""

from collections.abc import Callable

from flask import Flask, Request, request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from werkzeug.wrappers import Response


class Sessions(SecureCookieSessionInterface):
    """A session below one path, and for the handshake of a socket; None for everybody else.

    A shopper is remembered by no cookie: whoever holds an address may look at it.

    Args:
        root: the path, such as `/console`.
    """

    def __init__(self, root: str) -> None:
        self._root = root

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """The session of a request; None is Flask's word for no session."""
        handshake = request.path.startswith("/socket.io")
        has_cookie = self.get_cookie_name(app) in request.cookies
        if not is_below(self._root, request.path) and not (handshake and has_cookie):
            return None
        return super().open_session(app, request)


def register(app: Flask, root: str, admit: Callable[[], Response | None]) -> None:
    """Ask for a login before anything below a path is looked at, the address included.

    Args:
        admit: returns the answer to a guest, and None for who may go on; called for requests below
            the path, whether anything is there or not.
    """
    app.session_interface = Sessions(root)

    @app.before_request
    def login_required() -> Response | None:
        return admit() if is_below(root, request.path) else None


def is_below(root: str, path: str) -> bool:
    """Whether a path is the root itself, or below it."""
    return path == root or path.startswith(f"{root}/")
