"""The blueprint to which every part of the console adds its pages."""

from flask import Blueprint

console = Blueprint("console", __name__, url_prefix="/console")
