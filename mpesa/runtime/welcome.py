"""The lines that the server prints for the person who started it."""

from urllib.parse import urlsplit

from mpesa.config import DEVELOPMENT_API_KEY, Settings, is_loopback
from mpesa.web.http.commands import add_an_operator


def say(settings: Settings) -> None:
    """Print the addresses to open, how to get in, and a command that creates an order."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    lines = [f"Serving on http://{host}:{settings.port} (Ctrl-C ends it)"]
    if settings.demo_shop:
        lines.append(f"  Shop            {settings.public_url}/")
    if settings.asks_its_own_simulator:
        lines.append(f"  Virtual phone   {settings.daraja_base_url}/   (no real money moves)")
    lines.append(f"  Console         {settings.public_url}/console")
    lines.append(f"    to get in     {add_an_operator()}")
    lines.append(f"  API             {settings.public_url}/docs/api")
    # Only the development key, which is public, is ever printed.
    key = DEVELOPMENT_API_KEY if DEVELOPMENT_API_KEY in settings.api_keys else "$API_KEY"
    lines.append(
        f"    make an order curl -fsS {settings.public_url}/api/orders"
        f" -H 'Authorization: Bearer {key}'"
        """ -H 'Content-Type: application/json'"""
        """ -d '{"amount": 150, "reference": "INV-1", "description": "Two coffees"}'"""
    )
    if is_loopback(urlsplit(settings.public_url).hostname or ""):
        lines.append("  Other devices   cannot open these: PUBLIC_URL is a loopback address")
    print("\n".join(lines), flush=True)  # noqa: T201 - the person who started it reads this
