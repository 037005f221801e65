"""Measure the checkout page: `.venv/bin/python -m scripts.lighthouse`.

Starts a server of its own with the simulator, runs Lighthouse (from package.json) as a phone,
prints what costs points, and then how long the field takes on slow networks.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from tests.factories import API_KEY, order_fields
from tests.servers import CHROMIUM, ROOT, Server, running

LIGHTHOUSE = ROOT / "node_modules" / ".bin" / "lighthouse"
CATEGORIES = ("performance", "accessibility", "best-practices")
FLAGS = (
    "--headless",
    "--no-sandbox",  # Chromium's sandbox refuses to run as root
    *CHROMIUM,
)
# Lighthouse on a busy machine; a run takes about 20 s on an idle one.
PATIENCE_S = 300
# The field has to be usable by then on Slow 3G.
FIELD_WITHIN_S = 3.0


@dataclass(frozen=True)
class Network:
    """A network as the browser emulates it.

    Attributes:
        down, up: kbit/s.
        latency: least ms from a request to its answer.
    """

    name: str
    down: int
    up: int
    latency: int


# Chromium's own preset (DevTools, NetworkManager: 500 kbit/s x 0.8 and 400 ms x 5), and 2G as
# WebPageTest has it.
NETWORKS = (Network("Slow 3G", 400, 400, 2000), Network("2G", 280, 256, 800))


def main() -> None:
    """Print the figures; ends with 1 where a category has less than 100 or the field is late."""
    chromium = _chromium()
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as server:
        good = _lighthouse(_order(server), chromium, Path(folder) / "report.json")
        for network in NETWORKS:
            good &= _slow(server, chromium, network)
    sys.exit(0 if good else 1)


def _chromium() -> str:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        sys.exit("Chromium was not found. On Debian and Ubuntu: apt-get install chromium")
    if not LIGHTHOUSE.exists():
        sys.exit("Lighthouse was not found. Run: npm install --ignore-scripts")
    return program


def _order(server: Server) -> str:
    order = server.post("/api/orders", json=order_fields(), headers=API_KEY).json()
    return server.url(f"/checkout/{order['order_id']}")


def _lighthouse(url: str, chromium: str, path: Path) -> bool:
    command = [
        *(str(LIGHTHOUSE), url, "--quiet", "--output=json", f"--output-path={path}"),
        f"--only-categories={','.join(CATEGORIES)}",
        f"--chrome-flags={' '.join(FLAGS)}",
    ]
    environment = {**os.environ, "CHROME_PATH": chromium}
    # Our own program, installed from the lock file.
    subprocess.run(command, env=environment, timeout=PATIENCE_S, check=True)  # noqa: S603
    report = json.loads(path.read_text())
    print(f"Lighthouse {report['lighthouseVersion']}, mobile")
    scores = [_category(report, name) for name in CATEGORIES]
    return all(scores)


def _category(report: dict[str, Any], name: str) -> bool:
    category = report["categories"][name]
    if category["score"] is None:
        print(f"  {name}: not measured")
        return False
    print(f"  {name}: {round(category['score'] * 100)}")
    for reference in category["auditRefs"]:
        audit = report["audits"][reference["id"]]
        if audit["score"] is not None and audit["score"] < 1:
            weight = reference["weight"] or "no"
            print(f"    {audit['title']}: {audit.get('displayValue', '')} (weight: {weight})")
    return bool(category["score"] == 1)


def _slow(server: Server, chromium: str, network: Network) -> bool:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=list(FLAGS[2:]), chromium_sandbox=False
        )
        page = browser.new_page(viewport={"width": 390, "height": 760})
        _throttle(page, network)
        page.goto(_order(server))
        page.get_by_role("textbox").fill("0712345678")
        painted, alive = page.evaluate(_TIMES)
        browser.close()
    print(
        f"{network.name} ({network.down} kbit/s, {network.latency} ms a request): the field can be"
        f" used after {painted:.1f} s, the script answers after {alive:.1f} s"
    )
    return network.name != "Slow 3G" or painted < FIELD_WITHIN_S


# The field is plain HTML: it can be used as soon as it is painted. Seconds since the navigation.
_TIMES = """[
  performance.getEntriesByName("first-contentful-paint")[0].startTime,
  performance.getEntriesByType("navigation")[0].domContentLoadedEventEnd,
].map((each) => each / 1000)"""


def _throttle(page: Page, network: Network) -> None:
    devtools = page.context.new_cdp_session(page)
    devtools.send("Network.enable")
    conditions = {
        "offline": False,
        "latency": network.latency,
        "downloadThroughput": network.down * 1000 / 8,
        "uploadThroughput": network.up * 1000 / 8,
    }
    devtools.send("Network.emulateNetworkConditions", conditions)


if __name__ == "__main__":
    main()
