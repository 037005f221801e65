"""The examples of `/openapi.json` are answers of this code, and its signatures can be verified."""

import html
import itertools
import json
import os
import re
import shlex
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import jsonschema_rs
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from mpesa.domain.webhook import TEST, MessageType
from mpesa.web.merchant import examples
from mpesa.web.merchant.openapi import document
from tests.factories import API_KEY, make_settings
from tests.shop import Shop
from tests.web.merchant import story

RECORDED = Path(examples.__file__).with_name("examples.json")
TOLD = examples.recorded("https://pay.example")
DOCUMENT = document(make_settings())
ROUTES = {
    route["operationId"]: route
    for methods in DOCUMENT["paths"].values()
    for route in methods.values()
}
CALLS = [(operation, call) for operation, calls in TOLD["operations"].items() for call in calls]
TYPICAL = {"401", "404", "409", "422"}


def name_of(parameter):
    """Name a test by its operation and what is special about the call."""
    return parameter if isinstance(parameter, str) else parameter["summary"]


def test_the_examples_are_what_this_code_answers(
    make_app, clock, daraja, monkeypatch, pytestconfig
):
    story.draw_the_same(monkeypatch)
    told = story.tell(Shop(make_app(**story.SETTINGS), clock, daraja))

    if pytestconfig.getoption("--record"):
        RECORDED.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")

    assert told == json.loads(RECORDED.read_text()), "if that was meant: make api-examples"


@pytest.mark.parametrize("operation", ROUTES)
def test_every_operation_has_a_call_that_succeeds_and_an_error_that_is_typical_of_it(operation):
    statuses = [call["status"] for call in TOLD["operations"][operation]]

    assert statuses[0] < 300
    assert statuses[0] == min(statuses)
    typical = TYPICAL & set(ROUTES[operation]["responses"])
    assert not typical or typical & {str(status) for status in statuses}


def schema_of(schema):
    return jsonschema_rs.validator_for({**schema, "components": DOCUMENT["components"]})


@pytest.mark.parametrize(("operation", "call"), CALLS, ids=name_of)
def test_a_call_and_its_answer_are_as_the_document_says(operation, call):
    route, request = ROUTES[operation], call["request"]

    if "body" in call:
        answer = route["responses"][str(call["status"])]["content"]
        [kind] = {"application/json", "application/problem+json"} & set(answer)
        schema_of(answer[kind]["schema"]).validate(call["body"])
        shown = [each["value"] for each in answer[kind]["examples"].values()]
        assert call["body"] in json.loads(
            json.dumps(shown).replace("http://127.0.0.1:8000", "https://pay.example")
        )
    if "body" in request and call["status"] < 300:
        schema_of(route["requestBody"]["content"]["application/json"]["schema"]).validate(
            request["body"]
        )


@pytest.mark.parametrize("call", [call for _, call in CALLS], ids=name_of)
def test_a_command_says_all_of_its_call(call):
    request = call["request"]
    words = shlex.split(examples.curl("https://pay.example", request))

    given = dict(itertools.pairwise(words))
    headers = {words[place + 1] for place, word in enumerate(words) if word == "-H"}
    assert words[0] == "curl"
    assert f"https://pay.example{request['path']}" in words
    assert json.loads(given.get("-d", "null")) == request.get("body")
    assert given.get("-X", "POST" if "body" in request else "GET") == request["method"]
    wanted = {f"{name}: {value}" for name, value in request.get("headers", {}).items()}
    if "key" in request:
        wanted.add(f"Authorization: Bearer ${request['key']}")
    if "body" in request:
        wanted.add("Content-Type: application/json")
    assert headers == wanted


@pytest.mark.parametrize("call", [call for _, call in CALLS if "body" in call], ids=name_of)
def test_colours_change_no_character_of_an_answer(call):
    coloured = examples.in_colour(call["body"])

    assert html.unescape(re.sub("</?i>", "", coloured)) == examples.as_text(call["body"])


def test_values_are_in_colour_and_names_are_not():
    shown = examples.in_colour({"a": "b: 1", "c": [None, -1.5, True], "d<": '"'})

    marked = re.findall("<i>(.*?)</i>", shown)
    assert [html.unescape(each) for each in marked] == ['"b: 1"', "null", "-1.5", "true", r'"\""']
    assert "d<" not in shown


def run(server, request):
    """Run the command of a call as a developer does; returns the JSON that it prints."""
    key = API_KEY["Authorization"].removeprefix("Bearer ")
    done = subprocess.run(
        ["sh", "-c", examples.curl(server.address, request)],
        capture_output=True, text=True, timeout=30, env={**os.environ, "API_KEY": key},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_a_command_runs_in_a_shell(server):
    [made, *_others] = TOLD["operations"]["createOrder"]

    assert run(server, made["request"]).keys() == made["body"].keys()


def test_the_simulators_commands_lead_from_a_prompt_to_its_answer(server):
    # Other tests of this server may have a prompt on the line of the examples.
    line = json.dumps([call for _, call in examples.OF_THE_SIMULATOR])
    pays, waits, prompts, answers = json.loads(line.replace("254712345678", "254745000111"))
    order = TOLD["operations"]["createOrder"][0]["request"]
    push = TOLD["operations"]["startPush"][0]["request"]
    run(server, pays)
    run(server, waits)
    order_id = run(server, {**order, "headers": {}})["order_id"]
    fields = {"order_id": order_id, "phone": "0745 000 111"}
    run(server, {**push, "headers": {}, "body": fields})

    [prompt] = run(server, prompts)
    run(server, {**answers, "path": answers["path"].replace("PROMPT_ID", prompt["id"])})

    assert run(server, prompts) == []


# -- webhooks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [*MessageType, TEST])
def test_a_developer_can_check_a_verifier_with_each_message(kind, monkeypatch):
    message, verifier = TOLD["webhooks"]["messages"][kind], Webhook(TOLD["webhooks"]["secret"])
    sent = datetime.fromtimestamp(int(message["headers"]["webhook-timestamp"]), UTC)
    monkeypatch.setattr("standardwebhooks.webhooks.datetime", standing_at(sent))

    assert verifier.verify(message["body"], message["headers"])["type"] == kind
    with pytest.raises(WebhookVerificationError, match="signature"):
        verifier.verify(message["body"] + " ", message["headers"])


@pytest.mark.parametrize("kind", [*MessageType, TEST])
def test_the_document_has_each_message_with_its_headers(kind):
    message, route = TOLD["webhooks"]["messages"][kind], DOCUMENT["webhooks"][kind]["post"]

    [content] = route["requestBody"]["content"].values()
    [shown] = content["examples"].values()
    assert json.dumps(shown["value"], separators=(",", ":")) == message["body"]
    assert TOLD["webhooks"]["secret"] in shown["summary"]
    assert {each["name"]: each["example"] for each in route["parameters"]} == message["headers"]


def standing_at(moment):
    """A datetime for which it is always that moment."""

    class Standing(datetime):
        @classmethod
        def now(cls, tz=None):
            return moment.astimezone(tz)

    return Standing
