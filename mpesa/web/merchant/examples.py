"""Calls of the API with their real answers, for `/openapi.json` and `/docs/api`.

`examples.json` is recorded by tests/web/merchant/test_examples.py, which fails where this code
answers otherwise than it says (`make api-examples` writes it anew).
"""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

_FILE = Path(__file__).with_name("examples.json")
# PUBLIC_URL of the server that gave the answers.
_ADDRESS = "http://127.0.0.1:8000"
# A body that is longer stands on lines of its own.
_ON_ONE_LINE = 60
# Names of members, strings, and literals.
_WORDS = re.compile(r'("(?:[^"\\]|\\.)*")(:)?|\b(?:true|false|null)\b|-?[0-9.]+')

Example = dict[str, Any]

# What a developer asks the simulator's phones for (docs/simulator.md).
_LINE, _PROMPTS = "/simulator/lines/254712345678", "/simulator/prompts"
OF_THE_SIMULATOR: tuple[tuple[str, Example], ...] = (
    (
        "Let the phone 0712 345 678 pay each prompt by itself, two seconds after it came",
        {"method": "PUT", "path": _LINE, "body": {"answer": "pay"}},
    ),
    (
        "Let it show each prompt and wait, as it does at first",
        {"method": "PUT", "path": _LINE, "body": {"answer": "manual"}},
    ),
    (
        "List the prompts that it shows now, each with its `id`",
        {"method": "GET", "path": f"{_PROMPTS}?msisdn=254712345678"},
    ),
    (
        'Enter the PIN at a prompt, or send `{"cancel": true}`',
        {"method": "POST", "path": f"{_PROMPTS}/PROMPT_ID/answer", "body": {"pin": "1234"}},
    ),
)


def recorded(address: str) -> Example:
    """What was recorded, as the server at this address would answer it.

    Returns:
        `operations`: by operationId, each call with its answer; `webhooks`: the `secret` that signs
        the `messages`, which are by type.
    """
    told: Example = json.loads(_FILE.read_text())
    text = json.dumps(told["operations"])
    return {**told, "operations": json.loads(text.replace(_ADDRESS, address))}


def add(document: Example, told: Example) -> Example:
    """Return a document that has the recorded examples too."""
    # Many parts of the document are one object in several places, and each place has its own.
    with_them: Example = json.loads(json.dumps(document))
    for methods in with_them["paths"].values():
        for route in methods.values():
            for call in told["operations"].get(route["operationId"], ()):
                _add_call(route, call)
    for kind, message in told["webhooks"]["messages"].items():
        _add_message(with_them["webhooks"][kind]["post"], message, told["webhooks"]["secret"])
    return with_them


def _add_call(route: Example, call: Example) -> None:
    named = re.sub(r"[^a-z0-9]+", "-", call["summary"].lower()).strip("-")
    if "body" in call:
        content = route["responses"][str(call["status"])]["content"]
        kind = next(iter(content))
        shown = {"summary": call["summary"], "value": call["body"]}
        content[kind].setdefault("examples", {})[named] = shown
    if "body" in call["request"] and call["status"] < 300:
        content = route["requestBody"]["content"]
        for each in content.values():
            shown = {"summary": call["summary"], "value": call["request"]["body"]}
            each.setdefault("examples", {})[named] = shown


def _add_message(route: Example, message: Example, secret: str) -> None:
    for parameter in route["parameters"]:
        parameter["example"] = message["headers"][parameter["name"]]
    [content] = route["requestBody"]["content"].values()
    shown = {
        "summary": f"Signed with {secret}",
        "description": "Signed as JSON without blanks, in ASCII.",
        "value": json.loads(message["body"]),
    }
    content["examples"] = {"signed": shown}


def curl(address: str, request: Example) -> str:
    """Write a call as a command for a shell, in which keys are variables.

    Args:
        address: the server's, without a slash at its end.
    """
    return " \\\n  ".join(_parts(address, request))


def _parts(address: str, request: Example) -> Iterator[str]:
    implied = "POST" if "body" in request else "GET"
    method = "" if request["method"] == implied else f"-X {request['method']} "
    yield f"curl --fail-with-body -sS {method}{shlex.quote(address + request['path'])}"
    if "key" in request:
        yield f'-H "Authorization: Bearer ${request["key"]}"'
    for name, value in request.get("headers", {}).items():
        yield f"-H {shlex.quote(f'{name}: {value}')}"
    if "body" in request:
        yield "-H 'Content-Type: application/json'"
        text = json.dumps(request["body"], ensure_ascii=False)
        yield f"-d {shlex.quote(text if len(text) <= _ON_ONE_LINE else as_text(request['body']))}"


def as_text(body: Any) -> str:
    """Write JSON for people."""
    return json.dumps(body, indent=2, ensure_ascii=False)


def in_colour(body: Any) -> Markup:
    """Write JSON for people as HTML, with its values marked."""
    found, parts = 0, []
    text = as_text(body)
    for word in _WORDS.finditer(text):
        if word[2] is None:
            parts += [escape(text[found : word.start()]), Markup("<i>{}</i>").format(word[0])]
            found = word.end()
    return Markup("").join([*parts, escape(text[found:])])
