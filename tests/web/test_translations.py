"""Every word that somebody reads comes from the catalogues, and stands there whole."""

import ast
import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from string import Formatter

import pytest
from babel.messages import Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po
from jinja2 import Environment, nodes

ROOT = Path(__file__).parents[2]
CATALOGUES = sorted((ROOT / "mpesa/translations").glob("*/LC_MESSAGES/messages.po"))

# The virtual phone speaks English.
ENGLISH_ONLY = {"simulator"}

# What is no English, although it looks like it.
# The end of a data attribute's name, in a script.
END_OF_A_NAME = {"Word"}
LANGUAGES_IN_THEIR_OWN_WORDS = {"English", "Kiswahili"}
A_RECEIPT = {"UKO1AB2C3D"}
HEADERS = {"Accept", "Allow", "Authorization", "Bearer", "Date", "Host", "Location", "Vary"}
NO_WORDS = HEADERS | {
    "d MMM yyyy, HH:mm",  # a format of dates
    "Accepted",  # to Daraja, word for word
    "mpesa worker ",  # names a connection to the database
    "Lax",  # of a cookie
    "text/html; charset=utf-8",
    "Redis",
    "label minor",  # classes of a chart
    "rate bad",
}
DATE_FORMAT = re.compile(r"[EdMyHms ,:]+")
UNITS = {"ms"}
# The body's class, and which way of the console's rail a page stands for.
CLASS_OF_THE_BODY = re.compile(r"{% block (?:body_class|here) %}.*?{% endblock %}")

# They speak to whoever runs the server: at the start, in `flask doctor`, in /readyz, as a command.
FOR_THE_OPERATOR = {
    "commands.py", "database.py", "doctor.py", "metrics.py", "openapi.py", "welcome.py",
}  # fmt: skip
# They speak to the merchant's developers: the document that is shown, and what errors mean there.
FOR_DEVELOPERS = {"api.html", "examples.py", "problems.py", "states.py"}

READ_ALOUD = {
    "alt", "aria-description", "aria-label", "aria-roledescription", "aria-valuetext",
    "data-words", "label", "placeholder", "title",
}  # fmt: skip
TRANSLATES = {"_", "_l", "gettext", "lazy_gettext", "ngettext"}

SEVERAL_WORDS = re.compile(r"[^\W\d_]{2,}[,;:.!?…]?\s+[^\W\d_]{2,}")
ONE_WORD = re.compile(r"[A-Z][a-z]+[.!?…]?")
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|\{\w+\}")
IN_JAVASCRIPT = re.compile(
    r"""/\*.*?\*/|//[^\n]*|"((?:\\.|[^"\\\n])*)"|'((?:\\.|[^'\\\n])*)'|`((?:\\.|[^`\\])*)`""", re.S
)


@cache
def catalogue(path):
    with path.open("rb") as file:
        return read_po(file, locale=path.parts[-3])


@cache
def texts_of_the_code():
    """What `make messages` would take out of the code."""
    with (ROOT / "babel.cfg").open() as file:
        methods, options = parse_mapping_cfg(file)
    keywords = {**DEFAULT_KEYWORDS, "_l": None}
    found = extract_from_dir(ROOT, methods, options, keywords)
    return frozenset(text for _file, _line, text, _comments, _context in found)


def texts(catalog):
    return {message.id for message in catalog if message.id}


def translations(catalog):
    """The translated forms of each text, by its forms."""
    return {
        tuple(forms(message.id)): tuple(forms(message.string)) for message in catalog if message.id
    }


def forms(text):
    return [text] if isinstance(text, str) else list(text)


def breaks(message):
    """Whether a form of the translation misses a placeholder, has one too many, or bare signs."""
    wanted = set(PLACEHOLDER.findall(forms(message.id)[-1]))
    values = dict.fromkeys(re.findall(r"%\((\w+)\)", forms(message.id)[-1]), 1)
    return any(
        set(PLACEHOLDER.findall(form)) != wanted or not fills(form, values)
        for form in forms(message.string)
    )


def ending(text):
    return text[-1:] if text.endswith((".", "…", "!", "?")) else ""


def fills(text, values):
    try:
        text % values
    except (KeyError, TypeError, ValueError):
        return False
    return True


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.parts[-3])
def test_the_catalogue_has_every_text_of_the_code_and_no_other(path):
    assert texts(catalogue(path)) == texts_of_the_code(), "run `make messages`, then translate"
    assert not catalogue(path).obsolete


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.parts[-3])
def test_every_text_is_translated_by_somebody_who_was_sure(path):
    unfinished = [
        message.id
        for message in catalogue(path)
        if message.id and (message.fuzzy or not all(forms(message.string)))
    ]

    assert unfinished == []


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.parts[-3])
def test_a_translation_keeps_its_placeholders(path):
    assert [message.id for message in catalogue(path) if message.id and breaks(message)] == []


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.parts[-3])
def test_a_translation_ends_like_its_text(path):
    """A sentence stays a sentence, and a label grows no full stop."""
    differing = [
        message.id
        for message in catalogue(path)
        if message.id and ending(forms(message.id)[0]) != ending(forms(message.string)[0])
    ]

    assert differing == []


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.parts[-3])
def test_the_compiled_catalogue_says_the_same(path):
    with path.with_suffix(".mo").open("rb") as file:
        compiled = read_mo(file)

    assert translations(compiled) == translations(catalogue(path)), "run `make messages`"


def test_kiswahili_is_there():
    assert [path.parts[-3] for path in CATALOGUES] == ["sw"]


@pytest.mark.parametrize(
    ("text", "translation"),
    [
        ("Pay %(amount)s", "Lipa"),
        ("Pay %(amount)s", "Lipa %(kiasi)s"),
        ("Pay %(amount)s", "Lipa %(amount)d"),
        ("Pay %(amount)s", "Lipa %(amount)s, 100%"),
        ("Pay", "Lipa %(amount)s"),
        ("Again in {time}", "Tena baada ya muda"),
        (("%(num)d second", "%(num)d seconds"), ("sekunde %(num)d", "sekunde")),
    ],
)
def test_a_lost_placeholder_is_noticed(text, translation):
    assert breaks(Message(text, translation))


# --- words that escaped the catalogue ---


def looks_like_words(text):
    if DATE_FORMAT.fullmatch(text) or text.startswith("<"):
        return False
    return SEVERAL_WORDS.search(text) is not None or ONE_WORD.fullmatch(text.strip()) is not None


class _Reader(HTMLParser):
    """Collects what a person would read or hear of a page."""

    def __init__(self):
        super().__init__()
        self.heard: list[str] = []

    def handle_data(self, data):
        self.heard.append(data.strip())

    def handle_starttag(self, tag, attrs):
        given = {name: value or "" for name, value in attrs}
        self.heard += [value for name, value in given.items() if name in READ_ALOUD]
        if tag == "meta" and given.get("name") == "description":
            self.heard.append(given.get("content", ""))
        if tag == "input" and given.get("type") in ("button", "reset", "submit"):
            self.heard.append(given.get("value", ""))


def escaped_from_template(source):
    """Words of a template outside of `_()`: between its tags, in attributes, in its expressions."""
    source = CLASS_OF_THE_BODY.sub("", source)
    environment = Environment(autoescape=True)
    reader = _Reader()
    reader.feed("".join(text for _line, kind, text in environment.lex(source) if kind == "data"))
    reader.close()
    exempt = LANGUAGES_IN_THEIR_OWN_WORDS | A_RECEIPT | UNITS
    heard = [each for each in reader.heard if re.search(r"[^\W\d_]", each) and each not in exempt]
    return heard + list(_untranslated_in(environment.parse(source)))


def _untranslated_in(node):
    if isinstance(node, nodes.Call) and getattr(node.node, "name", None) in TRANSLATES:
        if not isinstance(node.args[0], nodes.Const):
            yield f"line {node.lineno}: not a literal"
        return
    text = node.value if isinstance(node, nodes.Const) else None
    if isinstance(text, str) and looks_like_words(text):
        yield from {text} - LANGUAGES_IN_THEIR_OWN_WORDS
    for child in node.iter_child_nodes():
        yield from _untranslated_in(child)


def escaped_from_javascript(source):
    """String literals that look like words; the page's words come from the page itself."""
    literals = ("".join(filter(None, found.groups())) for found in IN_JAVASCRIPT.finditer(source))
    plain = (re.sub(r"\$\{[^}]*\}", "", literal) for literal in literals)
    return [
        text for text in plain if looks_like_words(text) and text not in HEADERS | END_OF_A_NAME
    ]


def escaped_from_python(source):
    """Literals that look like words, but for docstrings, logs, headers and what is translated."""
    tree = ast.parse(source)
    docstrings = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    return list(_untranslated_in_python(tree, docstrings))


def _untranslated_in_python(node, docstrings):
    match node:
        case ast.Call(func=ast.Name(id=name)) if name in TRANSLATES:
            if not isinstance(node.args[0], ast.Constant):
                yield f"line {node.lineno}: not a literal"
        # `text` is SQLAlchemy's: SQL.
        case ast.Call(
            func=ast.Attribute(value=ast.Name(id="log")) | ast.Name(id="ValueError" | "text")
        ):
            pass
        case ast.Assign(targets=[ast.Subscript(value=ast.Attribute(attr="headers"))]):
            pass
        case ast.Constant(value=str(text)) if node not in docstrings:
            if looks_like_words(text) and text not in NO_WORDS:
                yield text
        case _:
            # Nobody is shown the key of a dictionary.
            shown = node.values if isinstance(node, ast.Dict) else ast.iter_child_nodes(node)
            for child in shown:
                yield from _untranslated_in_python(child, docstrings)


def sources(folder, pattern):
    found = sorted((ROOT / folder).rglob(pattern))
    return [path for path in found if not ENGLISH_ONLY & set(path.relative_to(ROOT).parts)]


OF_PAGES = [
    path
    for path in sources("static", "*.js")
    if path.parent.name in ("checkout", "shared", "console")
]


def name_of(path):
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize(
    "path",
    [each for each in sources("templates", "*.html") if each.name not in FOR_DEVELOPERS],
    ids=name_of,
)
def test_no_word_of_a_template_escapes_the_catalogue(path):
    assert escaped_from_template(path.read_text()) == []


@pytest.mark.parametrize("path", OF_PAGES, ids=name_of)
def test_no_word_of_a_script_escapes_the_catalogue(path):
    assert escaped_from_javascript(path.read_text()) == []


@pytest.mark.parametrize(
    "path",
    [
        each
        for each in sources("mpesa/web", "*.py")
        if each.name not in FOR_THE_OPERATOR | FOR_DEVELOPERS
    ],
    ids=name_of,
)
def test_no_word_of_the_web_modules_escapes_the_catalogue(path):
    assert escaped_from_python(path.read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "<p>Pay</p>",
        "<p>{{ name }} lipa</p>",
        "{% if paid %}<b>Paid</b>{% endif %}",
        '<input placeholder="Your number">',
        '<img alt="tea">',
        '<a aria-label="Back" href="/">{{ _("Back") }}</a>',
        '<meta name="description" content="A shop">',
        '<input type="submit" value="Pay">',
        "{% set title = 'Not paid' %}",
        "{{ 'Paid' if paid else _('Not paid') }}",
        "{{ _(title) }}",
    ],
)
def test_an_escaped_word_of_a_template_is_noticed(source):
    assert escaped_from_template(source)


@pytest.mark.parametrize(
    "source",
    [
        "write(el, 'Try again');",
        'write(el, "Copied");',
        "write(el, `Try again in ${time}`);",
        'say("Sent."); // said',
    ],
)
def test_an_escaped_word_of_a_script_is_noticed(source):
    assert escaped_from_javascript(source)


@pytest.mark.parametrize(
    "source",
    [
        'Problem(404, "not_found", "Nothing is here.")',
        'detail = f"Wait {n} more seconds"',
        "title = 'Paid'",
        "_(title)",
    ],
)
def test_an_escaped_word_of_a_web_module_is_noticed(source):
    assert escaped_from_python(source)


def test_what_nobody_reads_is_no_escaped_word():
    template = (
        "{# A note #}<p class='pay me' id=\"x\">{{ _('Pay now') }}{{ amount|kes }} · 0712</p>"
    )
    script = (
        '/* Shows it. */ fetch(url, { "Content-Type": a }); // Then waits\nbyId("phone-error");'
    )
    module = '"""Says it well."""\nlog.error("it broke: %s", why)\nx = _("Pay now"), "order_paid"'

    assert escaped_from_template(template) == []
    assert escaped_from_javascript(script) == []
    assert escaped_from_python(module) == []


# --- the words that the page keeps for its script ---


def words_for_the_script(page):
    """The placeholders of each word, by its name."""
    found = re.findall(r'<i data-word="([^"]+)">([^<]*)</i>', page)
    return {name: {key for _, key, _, _ in Formatter().parse(text) if key} for name, text in found}


def test_the_words_for_the_script_have_the_same_placeholders_in_every_language(client, make_order):
    path = f"/checkout/{make_order()}"

    english = words_for_the_script(client.get(f"{path}?lang=en").text)
    swahili = words_for_the_script(client.get(f"{path}?lang=sw").text)

    assert english["again-in"] == {"time"}
    assert swahili == english


def test_the_page_keeps_every_word_that_its_script_asks_for(client, make_order):
    scripts = "".join(path.read_text() for path in OF_PAGES)
    asked_for = set(re.findall(r'\bword\("([^"]+)"', scripts))

    kept = words_for_the_script(client.get(f"/checkout/{make_order()}").text)

    assert asked_for
    assert asked_for <= set(kept)
