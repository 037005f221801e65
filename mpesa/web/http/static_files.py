"""Static files under addresses that change with their content, so that browsers keep them for ever.

The whole tree has one hash, as the first part of the path: the scripts import each other by
relative paths, which so lead to the same version.
"""

import hashlib
import re
from pathlib import Path
from typing import Any

from flask import Flask, Response, g, request

_VERSION = re.compile(r"[0-9a-f]{12}")


def register(app: Flask) -> None:
    """Write the hash into every address of a static file, and remove it when one is requested."""
    version = version_of(Path(app.static_folder or ""))

    @app.url_defaults
    def put_on(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint == "static":
            values["filename"] = f"{version}/{values['filename']}"

    @app.url_value_preprocessor
    def take_off(endpoint: str | None, values: dict[str, Any] | None) -> None:
        if endpoint != "static" or not values:
            return
        named, _slash, rest = values["filename"].partition("/")
        # A page of the version before still gets its files, which browsers then do not keep.
        if _VERSION.fullmatch(named):
            values["filename"], g.static_version = rest, named

    @app.after_request
    def keep(response: Response) -> Response:
        named = g.get("static_version") == version
        # Vendored files have their own version in their names.
        if (named or request.path.startswith("/static/vendor/")) and response.status_code < 400:
            keep_for_ever(response)
        return response


def keep_for_ever(response: Response) -> None:
    """Let browsers and proxies keep an answer whose address changes with its content."""
    response.headers["Cache-Control"] = "public, max-age=31536000, immutable"


def version_of(folder: Path) -> str:
    """A hash of every file's name and content, twelve hexadecimal digits."""
    digest = hashlib.sha256()
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:12]
