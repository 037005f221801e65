"""What every application makes alike, made once: most of a start, and a quarter of a test."""

from functools import cache

from sqlalchemy import Engine, event
from sqlalchemy.util import LRUCache
from werkzeug.routing import Rule

from mpesa.web.http import static_files
from tests.servers import ROOT


def share_what_is_alike() -> None:
    """Have all applications of this process share it from now on."""
    _compile_rules_once()
    _read_static_files_once()
    event.listen(Engine, "engine_connect", _compile_statements_once)


def _compile_rules_once() -> None:
    compile_rule = Rule.compile
    compiled: dict[str, Rule] = {}

    def kept(rule: Rule) -> None:
        first = compiled.setdefault(f"{rule.rule} {rule.defaults} {rule.merge_slashes}", rule)
        if first is rule:
            compile_rule(rule)
            return
        for name in ("arguments", "_parts", "_trace", "_converters"):
            setattr(rule, name, getattr(first, name))
        for name in ("_build", "_build_unknown"):
            setattr(rule, name, getattr(first, name).__func__.__get__(rule))

    Rule.compile = kept  # type: ignore[method-assign]


def _read_static_files_once() -> None:
    version_of = static_files.version_of
    ours, version_of_ours = ROOT / "static", cache(version_of)
    static_files.version_of = lambda folder: (version_of_ours if folder == ours else version_of)(
        folder
    )


class _CompiledStatements(LRUCache):
    """SQL of statements for all engines."""

    def get(self, key, default=None):
        return super().get(self._of_all_engines(key), default)

    def __setitem__(self, key, compiled):
        super().__setitem__(self._of_all_engines(key), compiled)

    @staticmethod
    def _of_all_engines(key):
        dialect, *statement = key
        return (type(dialect), *statement)


_statements = _CompiledStatements(2_000)


def _compile_statements_once(connection):
    connection.engine._compiled_cache = _statements
