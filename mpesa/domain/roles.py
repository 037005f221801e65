"""Who may do what: each act, and the least role that it takes."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Role(StrEnum):
    """What an operator is; each role may do what those before it may, and more."""

    VIEWER = "viewer"
    CLERK = "clerk"
    MANAGER = "manager"


class Act(StrEnum):
    """Something that a person does in the console or by a command with `--as`."""

    VIEW = "view"
    SEE_PEOPLE = "see_people"  # names, and raw messages, which may hold some
    REVEAL_NUMBER = "reveal_number"
    ASK_DARAJA = "ask_daraja"
    MARK_NOT_PAID = "mark_not_paid"
    SETTLE_REVIEW = "settle_review"
    CLAIM = "claim"
    ACCEPT_AMOUNT = "accept_amount"
    ASK_FOR_REFUND = "ask_for_refund"
    UPLOAD_STATEMENT = "upload_statement"
    SEND_WEBHOOK_AGAIN = "send_webhook_again"
    MARK_PAID = "mark_paid"
    RELEASE_REFUND = "release_refund"
    REFUSE_REFUND = "refuse_refund"
    END_REFUND = "end_refund"
    SWITCH_INITIATOR = "switch_initiator"
    CLOSE_DAY = "close_day"


# A viewer sees figures, lists and exports, in which nobody can be recognised; a clerk does what
# moves no money and makes nothing paid by a bare word; the rest takes a manager.
LEAST: Mapping[Act, Role] = MappingProxyType(
    {
        Act.VIEW: Role.VIEWER,
        Act.SEE_PEOPLE: Role.CLERK,
        Act.REVEAL_NUMBER: Role.CLERK,
        Act.ASK_DARAJA: Role.CLERK,
        Act.MARK_NOT_PAID: Role.CLERK,
        Act.SETTLE_REVIEW: Role.CLERK,
        Act.CLAIM: Role.CLERK,
        Act.ACCEPT_AMOUNT: Role.CLERK,
        Act.ASK_FOR_REFUND: Role.CLERK,
        Act.UPLOAD_STATEMENT: Role.CLERK,
        Act.SEND_WEBHOOK_AGAIN: Role.CLERK,
        Act.MARK_PAID: Role.MANAGER,
        Act.RELEASE_REFUND: Role.MANAGER,
        Act.REFUSE_REFUND: Role.MANAGER,
        Act.END_REFUND: Role.MANAGER,
        Act.SWITCH_INITIATOR: Role.MANAGER,
        Act.CLOSE_DAY: Role.MANAGER,
    }
)
_RANK = {role: rank for rank, role in enumerate(Role)}


def may(role: Role, act: Act) -> bool:
    """Whether a role is enough for an act."""
    return _RANK[role] >= _RANK[LEAST[act]]
