"""What every part of the console hangs on."""

from flask import Blueprint

console = Blueprint("console", __name__, url_prefix="/console")
