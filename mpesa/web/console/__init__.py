"""The operator's pages: the payments, their evidence, and what a person has to decide."""

from flask import Flask

from mpesa.config import Settings
from mpesa.web.console import (
    acts,
    days,
    deliveries,
    export,
    guard,
    guide,
    health,
    initiators,
    login,
    payment,
    payments,
    receipt,
    receipt_acts,
    receipts,
    refunds,
    review,
    session,
    statements,
    today,
)
from mpesa.web.console.blueprint import console

# Each of these adds its pages to the blueprint.
PAGES = (
    login, today, payments, payment, acts, receipts, receipt, receipt_acts, refunds,
    statements, days, review, guide, deliveries, health, initiators, export,
)  # fmt: skip


def register(app: Flask, settings: Settings) -> None:
    """Add the console and its session to an application."""
    session.register(app, settings)
    guard.register(app)
    app.register_blueprint(console)
