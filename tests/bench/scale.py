"""How much is measured: a full run of about twelve minutes, or a look whether all of it works."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Scale:
    """Counts and rates of a run.

    Attributes:
        modes: async servers below ours. The ratio measures each beside one plain server, the other
            sections the first.
        payments: settled for each figure of the ratio; ticks of 10 ms disappear in so many.
        small, middle, large: shoppers who wait.
        plain_large: the plain server is measured with `large` too.
        watched: payments from the PIN on, `per_second`.
        callbacks: answered one after another, and at `callback_rate`.
        rates: callbacks a second, until it breaks; each for `rate_seconds`.
        console_payments: in the database while the console's pages are read, `console_times` each.
        returning_within: seconds in which `middle` shoppers come back.
    """

    modes: tuple[str, ...] = ("eventlet", "gevent")
    payments: int = 1500
    small: int = 500
    middle: int = 5_000
    large: int = 20_000
    plain_large: bool = False
    watched: int = 100
    per_second: float = 4
    callbacks: int = 300
    callback_rate: float = 100
    rates: tuple[int, ...] = (10, 50, 100, 150, 200, 250, 300, 400)
    rate_seconds: float = 6
    returning_within: float = 15
    console_payments: int = 100_000
    console_times: int = 20
    returning_callbacks: float = 10

    @property
    def ours(self) -> dict[str, str]:
        """Settings of our server where it is measured once."""
        return {"ASYNC_MODE": self.modes[0]}

    def quick(self) -> "Scale":
        """A look whether everything works; its figures say nothing."""
        return replace(
            self,
            payments=min(self.payments, 100),
            small=20,
            middle=100,
            large=200,
            watched=8,
            callbacks=30,
            callback_rate=20,
            rates=(10, 20),
            rate_seconds=2,
            returning_within=3,
            console_payments=2_000,
            console_times=3,
        )
