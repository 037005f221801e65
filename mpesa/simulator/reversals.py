"""Giving a payment back, by whichever way, and what may stand against it."""

from enum import Enum


class Obstacle(Enum):
    """Why a receipt is not given back, in words for a person at the portal."""

    UNKNOWN = "There is no payment to us with this receipt."
    ALREADY_BACK = "This payment was given back before."
    TOO_LITTLE = "That is less than was paid."
    TOO_MUCH = "That is more than was paid, or than is left of it."
    NO_MONEY = "The account has too little money: it may have been swept to the bank."


class NotReversed(Exception):
    """A payment that was not given back; nothing moved."""

    def __init__(self, obstacle: Obstacle) -> None:
        super().__init__(obstacle.value)
        self.obstacle = obstacle
