"""`python -m tests.clients.inside FOLDER`: where Safaricom's sandbox is our simulator.

Runs in a network of its own (`unshare`), in which the sandbox's name leads to a TLS front before
the simulator, and nothing leads outside. So the clients of other people, which know no other
address, run as they are. All pay at once; what became of each is one JSON object on standard
output.
"""

import asyncio
import json
import os
import ssl
import subprocess
import sys
from pathlib import Path

import requests

from tests.servers import PATIENCE, ROOT, Server, free_port, loopback_up, running

HERE = Path(__file__).parent
INSTALLED = ROOT / ".setup" / "clients"
SANDBOX = "sandbox.safaricom.co.ke"
# Five programs start at once on a machine that may have two cores; this only bounds a failure (s).
ALL_PAID = 90.0

PYTHON = str(INSTALLED / "venv" / "bin" / "python")
CLIENTS = {
    "mpesakit": (PYTHON, "pay_mpesakit.py", {}),
    "daraja-v3": (PYTHON, "pay_daraja_v3.py", {}),
    "django-daraja": (PYTHON, "pay_django_daraja.py", {}),
    # Its model wants a Value in every item, and the classic form has a Balance without.
    "singularity-payments": (PYTHON, "pay_singularity_payments.py", {"metadata": "no_balance"}),
    "mpesa-api": ("node", "pay_mpesa_api.js", {}),
}


def lead_sandbox_here(folder: Path) -> None:
    """Let the two names that matter mean this machine, in this mount namespace only."""
    hosts = folder / "hosts"
    hosts.write_text(f"127.0.0.1 localhost {SANDBOX} shop.example.com\n")
    subprocess.run(["mount", "--bind", hosts, "/etc/hosts"], check=True, timeout=PATIENCE)
    loopback_up()


def certify(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """Make a certificate for the sandbox's name that is its own authority."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-subj", f"/CN={SANDBOX}", "-addext", f"subjectAltName=DNS:{SANDBOX}",
         "-keyout", key, "-out", certificate],
        check=True, capture_output=True, timeout=PATIENCE,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return certificate, context


def front_of(simulator: Server):
    """Return what takes a connection at the front: it carries bytes to the simulator and back."""

    async def carry(reader, writer):
        try:
            while some := await reader.read(65536):
                writer.write(some)
                await writer.drain()
        except (ConnectionError, ssl.SSLError):
            pass  # one side hung up; the other is told below
        finally:
            writer.close()

    async def take(reader, writer):
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", simulator.port)
        await asyncio.gather(carry(reader, inner_writer), carry(inner_reader, writer))

    return take


async def pay(name: str, line: str, simulator: Server, certificate: Path) -> dict[str, object]:
    """Pay with one client from a line that does so by itself; returns what it said."""
    program, script, switches = CLIENTS[name]
    requests.put(
        simulator.url(f"/lines/{line}"), json={"answer": "pay"} | switches, timeout=PATIENCE
    ).raise_for_status()
    trusted = dict.fromkeys(
        ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"), str(certificate)
    )
    environment = {"PATH": os.environ["PATH"], "NODE_PATH": str(INSTALLED / "node_modules")}
    client = await asyncio.create_subprocess_exec(
        program, str(HERE / script), line,
        env=environment | trusted, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        said, trouble = await asyncio.wait_for(client.communicate(), ALL_PAID)
    except TimeoutError:
        client.kill()
        return {"line": line, "trouble": f"not done after {ALL_PAID} s"}
    if client.returncode:
        return {"line": line, "trouble": trouble.decode()}
    return {"line": line, "trouble": "", **json.loads(said)}


async def pay_with_all(folder: Path) -> dict[str, object]:
    """Let every client pay, side by side; returns what each said, and the simulator's ledger."""
    certificate, context = certify(folder)
    lines = {name: f"2547123456{number:02}" for number, name in enumerate(CLIENTS)}
    port = str(free_port())
    with running(folder, ("-m", "mpesa.simulator", "--port", port), PORT=port) as simulator:
        front = await asyncio.start_server(front_of(simulator), "127.0.0.1", 443, ssl=context)
        async with front:
            stories = await asyncio.gather(
                *(pay(name, line, simulator, certificate) for name, line in lines.items())
            )
            ledger = requests.get(simulator.url("/ledger"), timeout=PATIENCE).json()
    return {"stories": dict(zip(lines, stories, strict=True)), "ledger": ledger}


if __name__ == "__main__":
    place = Path(sys.argv[1])
    lead_sandbox_here(place)
    print(json.dumps(asyncio.run(pay_with_all(place))))  # noqa: T201 - the test reads it
