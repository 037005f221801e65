"""Scenes: what most people want to see of a payer, each by one press on the virtual phone."""

from dataclasses import dataclass, field
from typing import Any

from mpesa.simulator.outcomes import Outcome
from mpesa.simulator.script import Answer, Callback, Script, as_json

# What makes no scene: a line keeps its money and its PIN.
_KEPT = ("balance", "pin")
# The payer holds the phone, and everything goes well.
BY_HAND = {name: value for name, value in as_json(Script()).items() if name not in _KEPT}


@dataclass(frozen=True)
class Scene:
    """One of them.

    Attributes:
        name: on its button.
        tells: what will happen, as a sentence.
        differs: the switches that differ from those of a payer who holds the phone.
    """

    name: str
    tells: str
    differs: dict[str, Any] = field(default_factory=dict)

    @property
    def wishes(self) -> dict[str, Any]:
        """All switches, so that nothing of the scene before is left."""
        return BY_HAND | self.differs


SCENES = (
    Scene("Pays", "The right PIN is entered after two seconds.", {"answer": Answer.PAY}),
    Scene("Cancels", "The request is cancelled after two seconds.", {"answer": Answer.CANCEL}),
    Scene(
        "Not enough money",
        "M-PESA finds too little money on this line.",
        {"answer": f"code:{Outcome.INSUFFICIENT.code}"},
    ),
    Scene("Wrong PIN", "A wrong PIN is entered after two seconds.", {"answer": Answer.WRONG_PIN}),
    Scene(
        "Callback lost",
        "It is paid, but M-PESA's callback never arrives: the shop must find out by itself.",
        {"answer": Answer.PAY, "callback": Callback.NEVER},
    ),
    # Time ran out, as far as M-PESA told: the failure that real money follows most often.
    Scene(
        "Paid late",
        "M-PESA says that time ran out. Ten seconds later it was paid after all.",
        {"answer": f"code:{Outcome.EXPIRED.code}", "late_success_after": 10},
    ),
)
