"""Words that an editor took out of what users read do not come back (CONTRIBUTING.md, English)."""

import ast
import re
from pathlib import Path

import pytest

from mpesa.web.http.problems import MEANINGS

ROOT = Path(__file__).parents[1]

# What is written instead stands beside each. Code that only developers read may say what it likes.
OUT_OF_USE = {
    r"\bmend(s|ed|ing)?\b": "fix",
    r"\bparted\b": "separated",
    r"\bwhoever\b": "anyone who",
    r"\bthat one's\b": "its",
    r"\bat the (most|least)\b": "at most, at least",
    r"\bnobody\b[^.]{0,60}\bany more\b": "no longer",
    r"\bfits? together\b": "match",
    r"\bwants?\b[^.|]{0,30}\bBearer\b": "needs",
    r"\b(to|for|from|of) who\b": "anyone who",
    r"\bin the midst\b": "in the middle",
    r"\bof before\b": "earlier",
    r"\b(can be|are|is) had\b": "is available",
    r"\b(tells?|told|telling) of\b": "reports, is about",
    r"\bas (it|they) stands? here\b": "as printed here",
    r"\bstands? (in place|twice)\b": "replaces, appears twice",
    r"\btold by (nobody|no)\b": "nobody reports it",
    r"\b(it|payments|refunds|sessions) goe?s? on\b": "continue",
    r"\blet (somebody|anyone) in\b": "give access",
}

DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "SECURITY.md", "CHANGELOG.md", ".env.example")),
    ROOT / "packages" / "simulator" / "README.md",
    *(ROOT / "docs").rglob("*.md"),
]
TEMPLATES = list((ROOT / "templates").rglob("*.html"))
CATALOGUES = list((ROOT / "mpesa" / "translations").rglob("*.po"))
# Where settings are refused, and where shoppers, shops, operators and commands are answered.
SPEAKING = [ROOT / "mpesa" / "config.py"] + [
    path for folder in ("web", "cli", "runtime") for path in (ROOT / "mpesa" / folder).rglob("*.py")
]


# The console and its commands speak the language of a shop, and developers' documents need not.
NOT_TO_A_SHOP = {
    r"\bby push\b": "by prompt",
    r"\b(no|any) rule (may|can)\b": "it isn't clear",
    r"\bevery (state|reason)\b": "all statuses, all reasons",
    r"\bgo on\b": "continue",
    r"\bdo nothing\b": "cancel",
    r"\btold of it\b": "reported it",
    r"\btake in a\b": "import a",
    r"\b(taken|took) (by|the push|it)\b": "received, accepted",
    r"\bcallbacks?\b": "report",
}
CONSOLE_SAYS = re.compile(r"""\b_l?\(\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)')""")


def out_of_use(text, words=OUT_OF_USE):
    """Each word of the list in a text, with what is written instead, across line breaks too."""
    flat = re.sub(r"\s+", " ", text)
    return [
        f"{found[0]}: {instead}"
        for pattern, instead in words.items()
        for found in re.finditer(pattern, flat, re.IGNORECASE)
    ]


def sentences_of(path):
    """The strings of a module without its docstrings; a command's docstring is its help."""
    tree = ast.parse(path.read_text())
    told = [node for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    if path.parent.name != "cli":
        silent = {
            node.body[0].value
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        told = [node for node in told if node not in silent]
    return "\n".join(node.value for node in told if isinstance(node.value, str))


@pytest.mark.parametrize("path", [*DOCUMENTS, *TEMPLATES, *CATALOGUES], ids=lambda path: path.name)
def test_no_word_out_of_use_is_in_what_users_read(path):
    assert out_of_use(path.read_text()) == []


def test_no_word_out_of_use_is_in_what_the_server_and_its_commands_say():
    said = {path.name: out_of_use(sentences_of(path)) for path in SPEAKING}
    errors = [each for what in MEANINGS.values() for each in (what.title, what.when, what.remedy)]

    assert len(said) > 40
    assert {name: words for name, words in said.items() if words} == {}
    assert out_of_use("\n".join(errors)) == []


def test_the_console_speaks_the_language_of_a_shop():
    sources = [
        *(ROOT / "templates" / "console").glob("*.html"),
        *(ROOT / "mpesa" / "web" / "console").glob("*.py"),
    ]
    said = [
        one or other for path in sources for one, other in CONSOLE_SAYS.findall(path.read_text())
    ]

    assert len(said) > 400
    assert out_of_use("\n".join(said), NOT_TO_A_SHOP) == []


@pytest.mark.parametrize(
    "sentence",
    [
        "Keys, parted by commas.",
        "Whoever holds one may look.",
        "flask doctor says how to mend it.",
        "Nobody is\nasked any more.",
        "That one's receipt is kept.",
        "It comes 10 s later at the most.",
        "This name and password do not fit together.",
        "`/api/orders` wants `Authorization: Bearer`.",
        "It is shown to who asks.",
        "The file ends in the midst of a line.",
        "It replaces one of before.",
        "The wheels can be had for Python 3.14.",
        "Safaricom tells of the money.",
        "It is run as it stands here.",
        "The same payment stands twice.",
        "This is told by no webhook.",
        "Payments go on.",
        "It lets nobody in; let somebody in.",
    ],
)
def test_each_word_of_the_list_is_found(sentence):
    assert len(out_of_use(sentence)) == 1
