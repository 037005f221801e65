"""What the server relies on in its libraries is there, and is all in tests/seams.py."""

import ast
import pkgutil
from functools import cache

import pytest

from tests.seams import SEAMS, files_that_hold_them, parameters
from tests.servers import ROOT

# Libraries whose classes are made for being extended by few, and whose insides are used.
WATCHED = ("engineio", "eventlet", "gevent", "requests", "socketio", "urllib3")
# Documented, and only named so because any other name could be a field's (Python docs,
# collections.namedtuple; SQLAlchemy docs, Row).
PROMISED = {"_asdict", "_exit", "_make", "_mapping", "_replace"}


@pytest.mark.parametrize("seam", SEAMS, ids=lambda seam: seam.place)
def test_a_seam_is_where_the_server_looks_for_it(seam):
    try:
        found = seam.find()
    except (ImportError, AttributeError) as gone:
        pytest.fail(advice(seam, f"is gone ({gone})"))
    if seam.takes is not None and parameters(found) != seam.takes:
        pytest.fail(advice(seam, f"takes {parameters(found)} now, not {seam.takes}"))


def advice(seam, moved):
    """What to do about a seam that moved."""
    return (
        f"{seam.place} {moved}. {seam.relied_on_by} needs it: {seam.why}. "
        f"Find in the library's sources what does this now, change that file and tests/seams.py, "
        f"and run {' '.join(seam.held_by)} with the new release."
    )


def test_every_seam_names_files_that_exist_and_use_it():
    for seam in SEAMS:
        assert seam.name in (ROOT / seam.relied_on_by).read_text(), (
            f"{seam.relied_on_by} does not use {seam.place}"
        )
    for path in files_that_hold_them():
        assert (ROOT / path).is_file(), path


def test_no_private_name_of_a_library_is_used_that_is_not_in_the_table():
    ours = {name for _path, tree in sources() for name in defined(tree)}
    known = {seam.name for seam in SEAMS}

    used = {
        (node.attr, path.name)
        for path, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and is_private(node.attr)
    }
    foreign = {(name, file) for name, file in used if name not in ours}

    assert {name for name, _file in foreign} - PROMISED <= known, sorted(foreign)
    assert {"_async", "_recv_frame"} <= {name for name, _file in foreign}


def test_nothing_of_a_watched_library_is_overridden_that_is_not_in_the_table():
    known = {(seam.library, seam.name) for seam in SEAMS}

    overridden = {
        (library, name): path.name
        for path, tree in sources()
        for library, base, names in extended(tree)
        for name in names
        if hasattr(base, name)
    }

    assert len(overridden) > 20
    assert {what: file for what, file in overridden.items() if what not in known} == {}


@cache
def sources():
    """Every file of the server's, parsed."""
    return [(path, ast.parse(path.read_text())) for path in sorted((ROOT / "mpesa").rglob("*.py"))]


def is_private(name):
    return name.startswith("_") and not name.startswith("__")


def defined(tree):
    """The names that a file gives to something of its own."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name, ctx=ast.Store()):
                yield name
            case ast.Name(id=name, ctx=ast.Store()):
                yield name


def extended(tree):
    """Each watched class that is extended: its library, itself, and what its heir has instead."""
    places = dict(imported(tree))
    for node in ast.walk(tree):
        if not isinstance(node, ast.ClassDef):
            continue
        own = [each.name for each in node.body if isinstance(each, ast.FunctionDef)]
        own += [
            target.id
            for each in node.body
            if isinstance(each, ast.Assign)
            for target in each.targets
            if isinstance(target, ast.Name)
        ]
        for base in node.bases:
            first, _dot, rest = ast.unparse(base).partition(".")
            whole = f"{places.get(first, '')}.{rest}".rstrip(".")
            library = whole.partition(".")[0]
            if library in WATCHED:
                names = [name for name in own if not name.startswith("__")]
                yield library, pkgutil.resolve_name(whole), names


def imported(tree):
    """The names that a file imports, each with its full place."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((each.asname or each.name, each.name) for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (
                (each.asname or each.name, f"{node.module}.{each.name}") for each in node.names
            )
