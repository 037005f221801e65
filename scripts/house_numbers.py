"""The numbers of docs/design.md's last section: how long, how deep and how scattered the code is.

`python -m scripts.house_numbers` measures `mpesa/` and the tests; `--list` names the private
functions that are called in one place alone, `--longest N` the longest functions.
"""

import argparse
import ast
import io
import re
import statistics
import tokenize
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Function:
    """One function or method, without its decorators."""

    path: Path
    node: ast.FunctionDef | ast.AsyncFunctionDef
    uses: int
    calls: int
    depth: int

    @property
    def lines(self) -> int:
        return (self.node.end_lineno or self.node.lineno) - self.node.lineno + 1

    @property
    def is_private(self) -> bool:
        return self.node.name.startswith("_") and not self.node.name.endswith("__")

    @property
    def is_called_once(self) -> bool:
        """Private, and named once beside itself, in a call.

        Where it is handed on, by a decorator or as a value, the file does not tell how often it is
        used.
        """
        once = self.uses == self.calls == 1
        return self.is_private and once and not self.node.decorator_list


def functions_of(path: Path) -> Iterator[Function]:
    """The functions of one file; uses, calls and depth are counted by name within the file."""
    tree = ast.parse(path.read_text())
    named = Counter(
        each.id if isinstance(each, ast.Name) else each.attr
        for each in ast.walk(tree)
        if isinstance(each, ast.Name | ast.Attribute)
    )
    called = Counter(
        getattr(each.func, "id", getattr(each.func, "attr", ""))
        for each in ast.walk(tree)
        if isinstance(each, ast.Call)
    )
    found = [each for each in ast.walk(tree) if isinstance(each, FUNCTIONS)]
    calls = {
        each.name: {
            name
            for inner in ast.walk(each)
            if isinstance(inner, ast.Call)
            for name in [getattr(inner.func, "id", getattr(inner.func, "attr", ""))]
        }
        for each in found
    }

    def depth(name: str, above: frozenset[str] = frozenset()) -> int:
        below = (calls.get(name, set()) & calls.keys()) - above - {name}
        return 1 + max((depth(each, above | {name}) for each in below), default=0)

    for each in found:
        name = each.name
        yield Function(path, each, named[name], called[name], depth(name))


def spread(numbers: Sequence[int]) -> str:
    """Median, the ninth decile, and the most."""
    ordered = sorted(numbers)
    ninth = ordered[min(len(ordered) - 1, int(len(ordered) * 0.9))]
    return f"{statistics.median(ordered):g} / {ninth} / {ordered[-1]}"


def share(part: int, whole: int) -> str:
    """A part in percent, with the number itself."""
    return f"{100 * part / max(1, whole):.1f} % ({part})"


def comment_lines(source: str) -> int:
    """Lines that hold a comment, or end in one."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return sum(each.type == tokenize.COMMENT for each in tokens)


def docstring_lines(source: str) -> int:
    """Lines of docstrings."""
    kinds = (ast.Module, ast.ClassDef, *FUNCTIONS)
    return sum(
        (first.end_lineno or first.lineno) - first.lineno + 1
        for node in ast.walk(ast.parse(source))
        if isinstance(node, kinds) and ast.get_docstring(node, clean=False) is not None
        for first in node.body[:1]
    )


def rows(paths: Sequence[Path], tests: Sequence[Path]) -> Iterator[tuple[str, str]]:
    """Name and value of each figure."""
    sources = [each.read_text() for each in paths]
    lines = [source.count("\n") for source in sources]
    functions = [each for path in paths for each in functions_of(path)]
    lengths = [each.lines for each in functions]
    count, total = len(functions), sum(lines)
    public = [each for each in functions if not each.node.name.startswith("_")]
    deep = [each for each in public if each.depth >= 4]
    arguments = [len(f.node.args.args) + len(f.node.args.kwonlyargs) for f in functions]
    documented = sum(ast.get_docstring(each.node) is not None for each in public)
    comments = sum(map(comment_lines, sources))

    yield "files / lines of source", f"{len(paths)} / {total:,}"
    yield "module: median / p90 / max", spread(lines)
    yield "functions", f"{count:,}"
    yield "function: median / p90 / max", spread(lengths)
    yield "function: mean", f"{statistics.mean(lengths):.1f}"
    yield "over 30 lines", share(sum(each > 30 for each in lengths), count)
    yield "private", share(sum(each.is_private for each in functions), count)
    once = sum(each.is_called_once for each in functions)
    yield "private and called once in its file", share(once, count)
    yield "public, four calls deep in one file", share(len(deep), len(public))
    deepest = max(public, key=lambda each: each.depth)
    yield "deepest", f"{deepest.depth} ({deepest.path.stem}.{deepest.node.name})"
    yield "comments per 100 lines", f"{100 * comments / total:.1f}"
    yield "docstring lines", share(sum(map(docstring_lines, sources)), total)
    yield "public functions with a docstring", share(documented, len(public))
    yield "parameters: median / p90 / max", spread(arguments)

    tested = [each.read_text() for each in tests]
    cases = [f for path in tests for f in functions_of(path) if f.node.name.startswith("test_")]
    patches = sum(len(re.findall(r"monkeypatch\.setattr|mock\.patch", each)) for each in tested)
    yield "tests : source, in lines", f"{sum(t.count(chr(10)) for t in tested) / total:.2f}"
    yield "tests", f"{len(cases):,}"
    yield "test: median / p90 / max lines", spread([each.lines for each in cases])
    yield "patches per 100 tests", f"{100 * patches / len(cases):.1f}"

    scripts = [p for p in (ROOT / "static").rglob("*.js") if "vendor" not in p.parts]
    lengths = [each.read_text().count("\n") for each in scripts]
    yield "scripts: files / lines", f"{len(scripts)} / {sum(lengths):,}"
    yield "script: median / p90 / max", spread(lengths)


def main() -> None:
    """Print the table, or what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--list", action="store_true", help="private functions called once")
    parser.add_argument("--longest", type=int, default=0, metavar="N")
    asked = parser.parse_args()
    paths = [ROOT / "app.py", *sorted((ROOT / "mpesa").rglob("*.py"))]
    functions = [each for path in paths for each in functions_of(path)]
    if asked.list:
        for each in functions:
            if each.is_called_once:
                where = each.path.relative_to(ROOT)
                print(f"{where}:{each.node.lineno} {each.node.name} ({each.lines} lines)")
        return
    if asked.longest:
        for each in sorted(functions, key=lambda f: -f.lines)[: asked.longest]:
            print(f"{each.lines:4} {each.path.relative_to(ROOT)}:{each.node.name}")
        return
    for name, value in rows(paths, sorted((ROOT / "tests").rglob("*.py"))):
        print(f"| {name} | {value} |")


if __name__ == "__main__":
    main()
