"""Headers, proxies and host names, for every answer."""

from flask import Flask, Response, request
from werkzeug.middleware.proxy_fix import ProxyFix

from mpesa.config import Settings

# Daraja's callbacks are about 1 KB, our own requests less.
MAX_BODY = 64 * 1024

_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data: {images};"
    " connect-src 'self' {socket}; object-src 'none'; base-uri 'none'; form-action 'self';"
    " frame-ancestors 'none'"
)


def register(app: Flask, settings: Settings) -> None:
    """Bound bodies, answer our own host names only, and send the headers with everything."""
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.config["MAX_FORM_MEMORY_SIZE"] = MAX_BODY
    app.config["TRUSTED_HOSTS"] = list(settings.allowed_hosts)
    hops = settings.trusted_proxies
    if hops:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops
        )
    policy = _policy(settings)

    @app.after_request
    def add_headers(response: Response) -> Response:
        response.headers.setdefault("Content-Security-Policy", policy)
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["X-Frame-Options"] = "DENY"
        # Whoever holds an order's address may look at it, so the address goes nowhere else.
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
        if request.endpoint != "static":
            response.headers.setdefault("Cache-Control", "no-store")
        if settings.public_url.startswith("https:"):
            response.headers["Strict-Transport-Security"] = "max-age=31536000"
        return response


def _policy(settings: Settings) -> str:
    logo = settings.merchant_logo or ""
    images = "/".join(logo.split("/")[:3]) if logo.startswith("https://") else ""
    return _POLICY.format(
        images=images, socket=settings.public_url.replace("http", "ws", 1)
    ).replace(" ;", ";")
