"""The organisation's API users: who may do what, and what becomes of one with a wrong password."""

from enum import Enum, StrEnum, auto
from hmac import compare_digest
from threading import Lock

from mpesa.simulator import keys
from mpesa.simulator.organisation import Initiator
from mpesa.simulator.results import Failure

PASSWORD = "Simulator#1"

# The third wrong password locks (kepas-tech/daraja-studio, October 2026).
_TRIES = 3


class Role(Enum):
    """What the portal's roles allow."""

    STATUS = auto()
    REVERSAL = auto()
    BALANCE = auto()


class ApiUser(StrEnum):
    """The names; each purpose has one, so that the one that only asks can't move money."""

    STATUS = "status_api"
    REFUND = "refund_api"


_ROLES = {
    ApiUser.STATUS: {Role.STATUS, Role.BALANCE},
    ApiUser.REFUND: {Role.REVERSAL, Role.BALANCE},
}


class ApiUsers:
    """The wrong passwords of each since the last right one."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._wrong: dict[str, int] = {}

    def failure_of(self, name: str, credential: str, role: Role, mode: Initiator) -> Failure | None:
        """Check who asks.

        Args:
            name: the API user's.
            credential: the SecurityCredential.
            role: what the request needs.
            mode: the organisation's switch, which comes first.

        Returns:
            Why the request fails; None: it may go on.
        """
        match mode:
            case Initiator.WRONG:
                return Failure.WRONG_INITIATOR
            case Initiator.LOCKED:
                return Failure.LOCKED
            case Initiator.NO_ROLE:
                return Failure.NO_ROLE
        if name not in list(ApiUser):
            return Failure.WRONG_INITIATOR
        with self._lock:
            if self._wrong.get(name, 0) >= _TRIES:
                return Failure.LOCKED
            if not compare_digest(keys.opened(credential) or b"", PASSWORD.encode()):
                self._wrong[name] = self._wrong.get(name, 0) + 1
                return Failure.LOCKED if self._wrong[name] >= _TRIES else Failure.WRONG_INITIATOR
            self._wrong.pop(name, None)
        return None if role in _ROLES[ApiUser(name)] else Failure.NO_ROLE

    def unlock(self) -> None:
        """Forget every wrong password, as an administrator does on the portal."""
        with self._lock:
            self._wrong.clear()
