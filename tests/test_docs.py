"""The documents and the code say the same, in both directions."""

import ast
import dataclasses
import inspect
import json
import re
from enum import EnumType, StrEnum
from pathlib import Path
from urllib.parse import urlsplit

import click
import pytest
from babel.messages.pofile import read_po

from app import create_app
from mpesa.config import Settings
from mpesa.domain import result_codes
from mpesa.domain.result_codes import FAILED_REASONS, SUCCESS_REASONS, Reason
from mpesa.domain.snapshot import Snapshot
from mpesa.domain.why import Why
from mpesa.simulator import organisation, script
from mpesa.simulator.organisation import Organisation
from mpesa.simulator.scenes import SCENES
from mpesa.simulator.script import Script
from mpesa.simulator.standalone import create_app as create_simulator
from mpesa.web.console import decisions
from mpesa.web.http import errors
from mpesa.web.http.problems import MEANINGS
from mpesa.web.http.sentences import message_of
from tests.factories import make_settings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
DOCS = ROOT / "docs"
SETTINGS_PAGE = (DOCS / "settings.md").read_text()
API = (DOCS / "api.md").read_text()
COMMANDS = (DOCS / "commands.md").read_text()
SIMULATOR = (DOCS / "simulator.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
AT_THE_TOP = [
    ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
]
PACKAGE = ROOT / "packages" / "simulator" / "README.md"
DOCUMENTS = [*AT_THE_TOP, *sorted(DOCS.rglob("*.md")), PACKAGE]
ENV_EXAMPLE = (ROOT / ".env.example").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
CODE = [ROOT / "app.py", *sorted((ROOT / "mpesa").rglob("*.py"))]

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# In a list a fence is indented.
SHELL = re.compile(r"^( *)```sh\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
ROUTE = re.compile(r"(GET|POST|PUT|PATCH|DELETE) (/[^\s?`]*)")


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def section(title, document):
    """What stands below a heading, up to the next one."""
    after = document.split(f"\n## {title}\n", 1)[1]
    return after.split("\n## ", 1)[0]


def rows(text, header):
    """The cells of the table whose first column has this header."""
    table = text.split(f"\n| {header} |", 1)[1].split("\n\n", 1)[0]
    lines = table.splitlines()[2:]
    return [re.split(r"\s*(?<!\\)\|\s*", line.strip("| ")) for line in lines]


def first_words(text, header):
    return [row[0].strip("`") for row in rows(text, header)]


def code_in(text):
    """Code spans and shell fences, where commands stand; prose is left out."""
    fences = [match[2] for match in FENCE.finditer(text) if match[1] == "sh"]
    return "\n".join([*fences, *re.findall(r"`([^`\n]+)`", FENCE.sub("", text))])


# -- settings ------------------------------------------------------------------------------------

SETTINGS = [field.name.upper() for field in dataclasses.fields(Settings)]


class Noted(dict[str, str]):
    """An environment that notes what it was asked for."""

    def __init__(self):
        super().__init__()
        self.asked: set[str] = set()

    def get(self, name, default=""):
        self.asked.add(name)
        return default


# Read where settings are checked, and nowhere else: it only lifts a refusal.
CHECKED_ONLY = {"SIMULATOR_PUBLIC"}


def examples():
    """`.env.example` with every line switched on."""
    return dict(re.findall(r"^#([A-Z][A-Z0-9_]+)=(.*)$", ENV_EXAMPLE, re.MULTILINE))


def used_in_code():
    """Names of attributes that any module but the settings' own reads."""
    trees = [ast.parse(path.read_text()) for path in CODE if path.name != "config.py"]
    nodes = (node for tree in trees for node in ast.walk(tree))
    return {node.attr.upper() for node in nodes if isinstance(node, ast.Attribute)}


def test_every_setting_that_is_read_is_documented_and_no_other():
    environment = Noted()

    Settings.from_env(environment)

    assert sorted(first_words(SETTINGS_PAGE, "name")) == sorted(environment.asked)


def test_every_setting_is_in_the_example_and_no_other():
    assert sorted(examples()) == sorted(SETTINGS)


def test_the_example_shows_the_defaults():
    assert make_settings(**examples()) == make_settings()


@pytest.mark.parametrize(
    ("name", "default"),
    [
        pytest.param(row[0].strip("`"), row[1].strip("`"), id=row[0].strip("`"))
        for row in rows(SETTINGS_PAGE, "name")
        if re.fullmatch(r"`[^`]+`", row[1])
    ],
)
def test_the_documented_default_is_the_default(name, default):
    assert make_settings(**{name: default}) == make_settings()


def test_the_table_of_settings_calls_reserved_what_nothing_reads_yet_and_nothing_else():
    table = rows(SETTINGS_PAGE, "name")
    reserved = {row[0].strip("`") for row in table if "*reserved*" in row[2]}

    assert reserved == set(SETTINGS) - used_in_code() - CHECKED_ONLY


# -- routes --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """An application with everything that can be switched on."""
    folder = tmp_path_factory.mktemp("docs")
    return create_app(make_settings(DATABASE_URL=f"sqlite:///{folder}/mpesa.sqlite"))


def routes_of(app):
    """Path to methods. The simulator's catch-alls only say "no such path", as Daraja does."""
    found: dict[str, set[str]] = {}
    for rule in app.url_map.iter_rules():
        if rule.endpoint != "static" and "<path:" not in rule.rule:
            methods = (rule.methods or set()) - {"HEAD", "OPTIONS"}
            found.setdefault(rule.rule, set()).update(methods)
    return found


def test_every_route_is_documented(served):
    documented = set(ROUTE.findall(API + SIMULATOR))

    missing = [
        f"{method} {path}"
        for path, methods in routes_of(served).items()
        # Daraja's own paths answer every method, all but one with a refusal.
        for method in (methods if len(methods) < 5 else ())
        if (method, path) not in documented
    ]

    assert missing == []
    assert set(routes_of(served)) <= {path for _method, path in documented}


def test_every_documented_route_exists(served):
    routes = routes_of(served)

    unknown = [
        each for each in ROUTE.findall(API + SIMULATOR) if each[0] not in routes.get(each[1], ())
    ]

    assert unknown == []


def test_every_route_of_the_simulators_package_is_in_its_readme_and_no_other():
    routes = routes_of(create_simulator("Duka", "threading", ROOT))
    documented = set(ROUTE.findall(PACKAGE.read_text()))

    # Daraja's own paths answer every method, and stand there by name; at / it is every other one.
    ours = {(method, path) for path in routes for method in routes[path] if len(routes[path]) < 5}

    assert documented == ours | {("GET", "/")}


def test_every_address_to_paste_leads_somewhere(served):
    adapter = served.url_map.bind("127.0.0.1")
    pasted = re.compile(
        r"(?:http://127\.0\.0\.1:(?:8000|\$\{PORT:-8000\})|\$CHECKOUT)([^\s'\"<>`),]*)"
    )
    addresses = [each for path in DOCUMENTS for each in pasted.findall(path.read_text())]

    # An id that the shell fills in, or a reader, is any id.
    paths = {re.sub(r"\$\w+", "id", urlsplit(address).path) or "/" for address in addresses}

    assert len(paths) > 5
    for path in paths:
        # /console leads to /console/.
        assert adapter.allowed_methods(path) or adapter.allowed_methods(f"{path}/"), path


def test_every_static_file_in_the_documents_exists():
    mentioned = re.findall(r"[\"'(](/static/[^\s\"')]+\.\w+)", API)

    assert mentioned
    assert [each for each in mentioned if not (ROOT / each.lstrip("/")).is_file()] == []


# -- commands ------------------------------------------------------------------------------------


def commands_of(group, prefix=""):
    """Every command with its words, groups left out."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands_of(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", command


def test_every_command_of_ours_is_documented(served):
    ours = {
        name
        for name, command in commands_of(served.cli)
        if inspect.unwrap(command.callback or print).__module__.startswith("mpesa.")
    }

    documented = {name.removeprefix("flask ") for name in first_words(COMMANDS, "flask command")}

    assert ours <= documented


@pytest.mark.parametrize("document", [README, COMMANDS, API, SIMULATOR, SETTINGS_PAGE])
def test_every_flask_command_in_the_documents_exists(served, document):
    known = {name for name, _command in commands_of(served.cli)} | {"run"}
    mentioned = re.findall(
        r"(?<!/)(?<!install )\bflask ((?:[a-z][a-z0-9]* ?){1,2})", code_in(document)
    )

    assert mentioned or document in (API, SIMULATOR)
    for words in mentioned:
        first, both = words.split()[0], " ".join(words.split()[:2])
        assert {first, both} & known, f"flask {words}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_command_to_paste_exists(document, served):
    known = {name for name, _command in commands_of(served.cli)}
    shell = "\n".join(match[2] for match in SHELL.finditer(document.read_text()))

    pasted = re.findall(
        r"^ *(?:\.venv/bin/flask|mpesa) ((?:[a-z][a-z0-9]* ?){1,2})", shell, re.MULTILINE
    )

    for words in pasted:
        assert {words.split()[0], words.strip()} & known, f"flask {words}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_command_to_paste_follows_the_port_and_says_when_it_fails(document):
    shell = "\n".join(match[2] for match in SHELL.finditer(document.read_text()))

    # One that is tried until it succeeds may fail in silence.
    calls = re.findall(r"(?<!until )\bcurl .*", shell.replace("\\\n", " "))

    assert "http://127.0.0.1:8000" not in shell
    for call in calls:
        silent = re.search(r" -[a-zA-Z]*s| --silent", call)
        assert not silent or re.search(r" -[a-zA-Z]*S| --show-error", call), call


def test_every_make_target_is_documented_and_no_other():
    targets = re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE)

    listed = re.findall(r"\bmake ([a-z-]+)", code_in(COMMANDS + SIMULATOR))
    elsewhere = [
        name
        for path in DOCUMENTS
        for name in re.findall(r"\bmake ([a-z-]+)", code_in(path.read_text()))
    ]

    assert set(listed) == set(targets)
    assert set(elsewhere) <= set(targets)


# -- words of the API ----------------------------------------------------------------------------


def codes_in_code():
    """The machine words of every Problem that the web raises."""
    found = {"invalid_request"}  # what invalid() says unless told otherwise
    found |= set(errors._CODES.values())
    for path in sorted((ROOT / "mpesa" / "web").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                place = {"Problem": 1, "invalid": 2}.get(ast.unparse(node.func))
                found |= constant_at(node, place)
    return found


def constant_at(call, place):
    if place is None or len(call.args) <= place:
        return set()
    argument = call.args[place]
    return {argument.value} if isinstance(argument, ast.Constant) else set()


def test_every_error_code_is_explained_and_none_is_that_nothing_answers():
    assert codes_in_code() == set(MEANINGS)


def test_every_error_code_is_documented_with_its_status_and_no_other():
    documented = [(row[0].strip("`"), int(row[1])) for row in rows(section("Errors", API), "code")]

    assert documented == [(code, meaning.status) for code, meaning in MEANINGS.items()]


def test_every_field_of_the_snapshot_is_documented_and_no_other():
    fields = [*Snapshot.__annotations__, "message"]

    assert sorted(first_words(section("The snapshot", API), "field")) == sorted(fields)


def test_the_example_of_a_snapshot_is_a_whole_one():
    example = json.loads(next(m[2] for m in FENCE.finditer(section("The snapshot", API))))

    assert sorted(example) == sorted([*Snapshot.__annotations__, "message"])


def test_the_example_of_a_snapshot_says_what_a_shopper_is_told(served):
    example = json.loads(next(m[2] for m in FENCE.finditer(section("The snapshot", API))))

    with served.test_request_context():
        assert example["message"] == message_of(example, "en")


def test_every_reason_is_documented_with_its_status():
    documented = {row[0].strip("`"): row[1] for row in rows(section("The snapshot", API), "reason")}

    assert documented == {
        reason.value: "FAILED"
        if reason in FAILED_REASONS
        else "SUCCESS"
        if reason in SUCCESS_REASONS
        else "PENDING"
        for reason in Reason
    }


def test_every_doubt_is_in_the_troubleshooting_by_its_word():
    text = (ROOT / "docs" / "troubleshooting.md").read_text()
    # Who asks without an id knows why Daraja cannot be asked.
    told = set(decisions.DOUBTS) - {Why.OPERATOR_ASKS}

    assert [each for each in told if f"`{each}" not in text] == []


def test_every_result_code_is_in_the_troubleshooting_with_its_reason():
    text = (ROOT / "docs" / "troubleshooting.md").read_text()
    documented = {
        code: reason.strip("`")
        for codes, reason, *_ in rows(text, "code")
        for code in codes.split(", ")
        if re.fullmatch(r"[0-9A-Z_]+", code)
    }
    never_a_result = documented.pop(result_codes.UNDER_WAY_CODE)

    known = result_codes._REASON_OF_CODE.items()

    assert documented == {code: reason.value for code, reason in known}
    assert never_a_result == "none"


def test_the_simulators_switches_are_documented_with_their_defaults():
    example = json.loads(next(m[2] for m in FENCE.finditer(SIMULATOR) if m[1] == "json"))

    assert example == dataclasses.asdict(Script())


def test_the_merchants_switches_are_documented_with_their_defaults():
    examples = [json.loads(m[2]) for m in FENCE.finditer(SIMULATOR) if m[1] == "json"]

    assert examples[1] == dataclasses.asdict(Organisation())


def test_both_kinds_of_switches_are_in_the_packages_readme_with_their_defaults():
    examples = [json.loads(m[2]) for m in FENCE.finditer(PACKAGE.read_text()) if m[1] == "json"]

    assert examples == [dataclasses.asdict(Script()), dataclasses.asdict(Organisation())]


@pytest.mark.parametrize(
    "words",
    [
        *(
            script.Answer,
            script.Callback,
            script.Metadata,
            script.PushAnswer,
            script.Again,
            script.Query,
        ),
        *(
            words
            for words in vars(organisation).values()
            if isinstance(words, EnumType) and words is not StrEnum
        ),
    ],
)
def test_every_word_of_a_switch_is_in_both_documents(words):
    for text in (SIMULATOR, PACKAGE.read_text()):
        assert [word for word in words if not re.search(rf"\b{word}\b", text)] == []


def test_every_result_that_an_answer_may_name_is_documented():
    codes = re.search(r"\(codes ([^)]+)\)", SIMULATOR)[1]

    assert {f"code:{code}" for code in re.split(r",\s+", codes)} == set(script.RESULTS)


def test_the_scenes_of_the_tutorial_are_on_the_phone():
    played = re.findall(r"^\| \*([^*]+)\*", (DOCS / "tutorial.md").read_text(), re.MULTILINE)

    assert len(played) > 3
    assert set(played) <= {scene.name for scene in SCENES}


# What people say, and M-PESA's statement: the guide quotes these too.
SAID_BY_OTHERS = {
    "Which order is it for? Please read me the first line of the SMS.",
    "Pay Utility Reversal",
    "Pay Merchant Reversal",
}


def any_figure(text):
    """A text on one line in which every number, time and amount is the same."""
    one_line = " ".join(text.split()).lower()
    return re.sub(r"%\(\w+\)[sd]|kes …|[0-9]+(:[0-9]+)?", "1", one_line)


def test_the_operators_guide_quotes_what_the_console_says():
    catalogue = ROOT / "mpesa" / "translations" / "sw" / "LC_MESSAGES" / "messages.po"
    with catalogue.open("rb") as file:
        ids = [message.id for message in read_po(file)]
    told = [text for each in ids for text in ((each,) if isinstance(each, str) else each)]
    said = "\n".join(any_figure(text) for text in told)
    guide = " ".join((DOCS / "operator.md").read_text().split())

    quoted = set(re.findall(r'"([^"]{3,90})"', guide)) - SAID_BY_OTHERS

    assert len(quoted) > 30
    assert [text for text in quoted if any_figure(text).rstrip(".,…") not in said] == []


# -- form ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_json_in_documents_can_be_read(document):
    for match in FENCE.finditer(document.read_text()):
        if match[1] == "json":
            json.loads(match[2])


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_links_between_documents_lead_somewhere(document):
    text = FENCE.sub("", document.read_text())
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        if urlsplit(target).scheme:
            continue
        linked = document.parent / path if path else document
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


def test_every_picture_is_in_a_document_and_every_one_in_a_document_exists():
    shown = {
        (document.parent / target).resolve()
        for document in DOCUMENTS
        for target in re.findall(r"!\[[^\]]+\]\(([^):]+)\)", document.read_text())
    }

    assert shown >= set((DOCS / "screenshots").iterdir())
    assert [path for path in shown if not path.is_file()] == []


def test_the_names_of_tests_are_folded_where_people_read():
    promises, threats = ((DOCS / name).read_text() for name in ("promises.md", "threats.md"))

    rows_with_tests = [line for line in promises.splitlines() if re.match(r"\|.*`tests/.*::", line)]

    assert len(rows_with_tests) > 100
    assert [line for line in rows_with_tests if "<details>" not in line] == []
    assert "**Tests.**" not in threats


def test_every_document_is_linked_from_the_readme():
    linked = set(re.findall(r"\]\(([^):]+\.md)\)", section("Documents", README)))

    # Of those at the top, the README is this one.
    at_the_top = {name_of(path) for path in AT_THE_TOP} - {"README.md"}
    assert linked == {name_of(path) for path in DOCS.glob("*.md")} | at_the_top


def test_every_document_stands_under_one_kind():
    listed = re.findall(r"\]\(([^)#]+\.md)\)", (DOCS / "README.md").read_text())
    pages = {path.name for path in DOCS.glob("*.md")} - {"README.md"}

    assert sorted(listed) == sorted([*pages, "../CONTRIBUTING.md"])


def test_the_readme_is_read_in_five_minutes():
    # What is looked up has its page in docs/.
    assert len(README.splitlines()) <= 190


@pytest.mark.parametrize(
    "document",
    [path for path in DOCS.glob("*.md") if len(path.read_text().splitlines()) > 300],
    ids=name_of,
)
def test_a_long_document_begins_with_its_contents(document):
    beginning = document.read_text().split("\n## ", 1)[0]
    listed = set(re.findall(r"\]\(#([^)]+)\)", beginning))

    assert anchors(document, level="##") <= listed


def anchors(document, level="#+"):
    """Headings as GitHub names them, of any level or one; a comment in a shell block is none."""
    text = re.sub(r"^( *)```.*?^\1```$", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(rf"^{level} (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each).strip().lower().replace(" ", "-") for each in headings}


def test_the_map_of_the_code_names_every_module_and_no_other():
    design = (ROOT / "docs" / "design.md").read_text()
    drawn = next(m[2] for m in FENCE.finditer(section("Where code lives", design)))
    mapped = set(re.findall(r"^  (\w+(?:\.py|/))\s", drawn, re.MULTILINE))

    modules = {
        path.name + ("/" if path.is_dir() else "")
        for path in (ROOT / "mpesa").iterdir()
        if (path / "__init__.py").exists() or (path.suffix == ".py" and path.stem != "__init__")
    }

    assert mapped == modules


def test_the_short_map_for_contributors_names_what_exists():
    drawn = next(m[2] for m in FENCE.finditer(section("Where code lives", CONTRIBUTING)))
    # A column of names, blanks, and what is said of them.
    columns = re.findall(r"^( *)(\S+(?: \S+)*)  ", drawn, re.MULTILINE)
    named = [
        (ROOT / "mpesa" if indent else ROOT) / name
        for indent, names in columns
        for name in names.split()
    ]

    assert len(named) > 10
    assert [name_of(path) for path in named if not path.exists()] == []
