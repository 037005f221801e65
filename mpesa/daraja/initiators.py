"""The API users in whose names Daraja is asked about receipts and told to give money back.

They are two: the one that only asks cannot move money, no matter who gets hold of its credential.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from mpesa.config import Settings
from mpesa.daraja.errors import NotSent
from mpesa.daraja.sealing import CannotSeal, seal
from mpesa.domain.result_codes import Reason

# Published by the simulator for both of its API users.
_SIMULATORS_PASSWORD = "Simulator#1"  # noqa: S105 - it guards nothing


@dataclass(frozen=True)
class Initiator:
    """An API user of the organisation.

    Attributes:
        name: as it was made on the organisation portal.
        credential: its password, sealed.
        known_by: differs where another name or another credential was set; the simulator's differs
            by process, so its name alone counts.
    """

    name: str
    credential: str = field(repr=False)
    known_by: str = field(default="", repr=False)


def known_by(name: str, credential: str | None) -> str:
    """What tells an API user with its credential from another one, without a look at Daraja.

    Args:
        credential: as it is set; None: the simulator's, which differs by process.
    """
    return f"{name} {credential or ''}"


class Initiators:
    """The two API users, or those of them that the settings name.

    Args:
        settings: with names and credentials; with the simulator a credential may be missing.
        certificate: gets the simulator's certificate; it is called once, when a credential is first
            needed, and raises a DarajaError where there is none.
    """

    def __init__(self, settings: Settings, certificate: Callable[[], bytes]) -> None:
        self._settings = settings
        self._certificate = certificate
        self._lock = threading.Lock()
        self._sealed: str | None = None

    def status(self) -> Initiator | None:
        """The one that asks about receipts; None: there is none.

        Raises:
            DarajaError: the simulator did not give its certificate.
        """
        ours = self._settings
        return self._initiator(ours.daraja_status_initiator, ours.daraja_status_credential)

    def refund(self) -> Initiator | None:
        """The one that gives money back; None: there is none, and refunds are off.

        Raises:
            DarajaError: the simulator did not give its certificate.
        """
        ours = self._settings
        return self._initiator(ours.daraja_refund_initiator, ours.daraja_refund_credential)

    def _initiator(self, name: str | None, credential: str | None) -> Initiator | None:
        if name is None:
            return None
        return Initiator(name, credential or self._simulators(), known_by(name, credential))

    def _simulators(self) -> str:
        """The simulator's password, sealed with its own key, which nobody can know beforehand."""
        with self._lock:
            if self._sealed is None:
                try:
                    self._sealed = seal(_SIMULATORS_PASSWORD, self._certificate())
                except CannotSeal as error:
                    raise NotSent(Reason.MISCONFIGURED, f"not sealed: {error}") from None
            return self._sealed
