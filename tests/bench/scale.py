"""How much is measured: all of it in a quarter of an hour, or a look whether it works."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Scale:
    """Counts and rates of a run.

    Attributes:
        modes: async servers below ours. The ratio measures each, the other sections the first.
        rounds: of the ratio; the best of them counts.
        payments: whole ones for each figure in each round; ticks of 10 ms disappear in so many.
        small, middle, large: shoppers who wait. With the largest, 500 are left of the 20,000 files
            that many systems allow to a process.
        results: pages that get theirs at `results_a_second`, with `small` waiting.
        pushes: asked for at `pushes_a_second`, with `middle` waiting.
        idle: seconds of only waiting, with `large`.
        spread_payments: settled over one worker, and over two.
        watched: payments from the PIN on, `per_second`.
        callbacks: answered one after another, and at `callback_rate`.
        rates: callbacks a second, until it breaks; each for `rate_seconds`.
        month_payments: of one month, whose days are added up `console_times`.
        console_payments: in the database while the console's pages are read, `console_times` each.
        statement_lines: of each statement that is imported.
        returning_within: seconds in which `middle` shoppers come back.
    """

    modes: tuple[str, ...] = ("eventlet", "gevent")
    rounds: int = 2
    payments: int = 400
    small: int = 500
    middle: int = 5_000
    large: int = 19_500
    results: int = 150
    results_a_second: float = 50
    pushes: int = 200
    pushes_a_second: float = 20
    idle: float = 4
    spread_payments: int = 1500
    watched: int = 100
    per_second: float = 4
    callbacks: int = 300
    callback_rate: float = 100
    rates: tuple[int, ...] = (10, 50, 100, 150, 200, 250, 300, 400)
    rate_seconds: float = 6
    returning_within: float = 15
    console_payments: int = 100_000
    month_payments: int = 1_000_000
    console_times: int = 20
    statement_lines: int = 100_000
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
            rounds=1,
            small=20,
            middle=100,
            large=200,
            results=20,
            pushes=20,
            idle=1,
            spread_payments=100,
            watched=8,
            callbacks=30,
            callback_rate=20,
            rates=(10, 20),
            rate_seconds=2,
            returning_within=3,
            console_payments=2_000,
            month_payments=20_000,
            console_times=3,
            statement_lines=2_000,
        )
