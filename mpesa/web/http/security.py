"""Headers, proxies and host names, for every answer."""

import re

from flask import Flask, Response, request
from flask_babel import gettext as _
from flask_compress import Compress
from werkzeug.exceptions import SecurityError
from werkzeug.middleware.proxy_fix import ProxyFix

from mpesa.config import Settings
from mpesa.web.http.errors import Problem
from mpesa.web.http.inline import Inline
from mpesa.web.http.request_ids import RequestIds
from mpesa.web.http.senders import AddressReader

# Headers in which proxies name the client (RFC 7239; RFC 9110, 7.6.3; nginx; Cloudflare).
_PASSED_ON = re.compile(r"Forwarded$|X-Forwarded-|X-Real-IP$|Via$|CF-Connecting-IP$", re.IGNORECASE)

# Bytes. Daraja's callbacks are about 1 KB, our own pages' requests less.
MAX_BODY = 64 * 1024

# Smaller pages save seconds on a 2G line. Snapshots are too small to gain anything.
_COMPRESSION = {
    "COMPRESS_ALGORITHM": ["br", "gzip"],
    "COMPRESS_MIMETYPES": ["text/html", "text/css", "text/javascript", "image/svg+xml"],
}

_POLICY = (
    "default-src 'self'; script-src 'self' {script}; style-src 'self' {style};"
    " img-src 'self' data: {images}; connect-src 'self' {socket}; object-src 'none';"
    " base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


def register(app: Flask, settings: Settings, style: Inline, script: Inline) -> None:
    """Bound bodies, answer our own host names only, and send the headers with every answer."""
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.config["MAX_FORM_MEMORY_SIZE"] = MAX_BODY
    app.config["OWN_HOSTS"] = {_bare_host(host) for host in settings.allowed_hosts}
    logo = settings.merchant_logo or ""
    images = "/".join(logo.split("/")[:3]) if logo.startswith("https://") else ""
    socket = settings.public_url.replace("http", "ws", 1)
    policy = _POLICY.format(images=images, socket=socket, style=style.source, script=script.source)
    policy = policy.replace(" ;", ";")  # what an empty part leaves
    app.config.update(_COMPRESSION)
    Compress(app)

    @app.before_request
    def refuse_other_hosts() -> None:
        if not is_ours(app, request.host):
            raise SecurityError

    @app.before_request
    def keep_the_simulator_to_this_machine() -> None:
        if request.blueprint != "simulator" or settings.simulator_public:
            return
        if any(map(_PASSED_ON.match, request.headers.keys())):
            # The proxy may have replaced the host name that was asked for by our loopback name.
            raise Problem(
                400,
                "invalid_request",
                _(
                    "The simulator answers this machine only, and a proxy passed this on."
                    " SIMULATOR_PUBLIC=on lets everybody in."
                ),
            )

    @app.after_request
    def add_headers(response: Response) -> Response:
        response.headers.setdefault("Content-Security-Policy", policy)
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["X-Frame-Options"] = "DENY"
        # The address of an order is enough to look at it, so no other site may learn the address.
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
        if request.endpoint != "static":
            response.headers.setdefault("Cache-Control", "no-store")
        if settings.public_url.startswith("https:"):
            response.headers["Strict-Transport-Security"] = "max-age=31536000"
        return response


def believe_proxies(app: Flask, settings: Settings) -> None:
    """Take the client's address, the scheme, the host and the request's id from TRUSTED_PROXIES.

    Call it last: what wraps the application outermost holds for sockets too.
    """
    app.wsgi_app = AddressReader(app.wsgi_app)  # type: ignore[method-assign]
    hops = settings.trusted_proxies
    if hops:
        # Outside AddressReader, so that an address from a proxy is read like one from a socket.
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops
        )
    app.wsgi_app = RequestIds(app.wsgi_app, proxied=hops > 0)  # type: ignore[method-assign]


def is_ours(app: Flask, host: str) -> bool:
    """Whether a request's host is one of ALLOWED_HOSTS, whatever its port.

    Another name that leads to this server (DNS rebinding) would pass as the same origin. Flask's
    own TRUSTED_HOSTS is not used: it compares case and knows no IPv6 address (Werkzeug 3.1).
    """
    return _bare_host(re.sub(r":[0-9]+$", "", host)) in app.config["OWN_HOSTS"]


def _bare_host(host: str) -> str:
    return host.strip("[]").lower()
