"""The lines that the server prints for the person who started it."""

from urllib.parse import urlsplit

from mpesa.config import DEVELOPMENT_API_KEY, Settings, is_loopback


def say(settings: Settings) -> None:
    """Print the addresses to open, and a command that creates an order."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    lines = [f"Serving on http://{host}:{settings.port} (Ctrl-C ends it)"]
    if settings.demo_shop:
        lines.append(f"  Demo shop       {settings.public_url}/")
    if settings.asks_its_own_simulator:
        lines.append(f"  Virtual phone   {settings.daraja_base_url}/   (no real money moves)")
    if is_loopback(urlsplit(settings.public_url).hostname or ""):
        lines.append("  Other devices   cannot open these: PUBLIC_URL is a loopback address")
    # Only the development key, which is public, is ever printed.
    key = DEVELOPMENT_API_KEY if DEVELOPMENT_API_KEY in settings.api_keys else "$API_KEY"
    lines.append(
        f"  Make an order   curl {settings.public_url}/api/orders"
        f" -H 'Authorization: Bearer {key}'"
        """ -H 'Content-Type: application/json'"""
        """ -d '{"amount": 150, "reference": "INV-1", "description": "Two coffees"}'"""
    )
    print("\n".join(lines), flush=True)  # noqa: T201 - the person who started it reads this
