"""The hard limit of a call: when it is over, it is over, whatever its peer does.

Each call runs in a thread of its own (a greenlet, where the process is patched that way), and the
caller waits for it no longer than the budget. A time-out of a socket could not promise that: it is
counted anew for every byte that drips in, and a name look-up has none at all.

Whether a call was sent is decided under the lock that also ends it. So one that was reported as
not sent can never send afterwards, and one that was sent is never reported as not sent.
"""

import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from contextvars import copy_context
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Ended(Exception):
    """A call that broke, or that was ended from outside.

    Attributes:
        sent: whether a request that counts had begun to leave. If not, it never does.
        body: what had come of an answer; empty where nothing had.
    """

    def __init__(self, message: str, *, sent: bool, body: bytes = b"") -> None:
        super().__init__(message)
        self.sent = sent
        self.body = body


class OutOfTime(Exception):
    """Raised in a call's own thread once the call was ended from outside; callers never see it."""


class Call(Generic[T]):
    """One call under way: what it holds, whether it was sent, how it ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._outcome: Future[T] = Future()
        self._held: socket.socket | None = None
        self._sent = False

    def hold(self, handle: socket.socket) -> None:
        """Take over a handle on what blocks this call, to shut it when the call is ended.

        Raises OutOfTime after the end.
        """
        self.let_go()
        with self._lock:
            self._held = handle
            self.go_on()

    def let_go(self) -> None:
        """Close the handle: from here on, another call may use what was held."""
        with self._lock:
            held, self._held = self._held, None
        if held is not None:
            held.close()

    def go_on(self) -> None:
        """Raises OutOfTime after the end."""
        if self._outcome.done():
            raise OutOfTime

    def about_to_send(self, *, counts: bool) -> None:
        """Announce the first byte of a request. Raises OutOfTime after the end.

        Args:
            counts: this request makes the call a sent one; others prepare it.
        """
        with self._lock:
            self.go_on()
            self._sent = counts

    def did_not_run(self) -> None:
        """What was sent is known not to have run, so the call counts as not sent again."""
        with self._lock:
            self._sent = False

    def broken(self, message: str, body: bytes = b"") -> Ended:
        """The error for a connection that broke by itself. Raises OutOfTime after the end."""
        with self._lock:
            self.go_on()
            return Ended(message, sent=self._sent, body=body)

    def end(self, message: str) -> None:
        """End the call from outside as one that broke, unless it has ended already."""
        with self._lock:
            if self._outcome.done():
                return
            self._outcome.set_exception(Ended(message, sent=self._sent))
            if self._held is not None:
                with suppress(OSError):
                    self._held.shutdown(socket.SHUT_RDWR)

    def start(self, work: Callable[["Call[T]"], T]) -> None:
        """Let `work` run in a thread of its own, which the process does not wait for."""
        # What it logs is about the same request.
        within = copy_context().run
        threading.Thread(target=within, args=(self._run, work), daemon=True).start()

    def outcome(self, seconds: float) -> T:
        """Wait for the end, `seconds` at most; returns or raises what the work did."""
        try:
            wait([self._outcome], timeout=max(0.0, seconds))
        finally:
            self.end("its time was over")
        return self._outcome.result()

    def _run(self, work: Callable[["Call[T]"], T]) -> None:
        try:
            result = work(self)
        except BaseException as error:  # noqa: BLE001 (it is handed on to the caller)
            with self._lock:
                if not self._outcome.done():
                    self._outcome.set_exception(error)
        else:
            with self._lock:
                if not self._outcome.done():
                    self._outcome.set_result(result)


class Calls:
    """All calls under way, so that they can be cut when the process ends."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._under_way: set[Call[Any]] = set()
        self._is_cut = False

    def run(self, work: Callable[[Call[T]], T], budget: float) -> T:
        """Do `work` within `budget` seconds.

        Raises:
            Ended: the time was over, or the process is ending.
            whatever `work` raises.
        """
        deadline = self._monotonic() + budget
        call: Call[T] = Call()
        self._enter(call, budget)
        try:
            call.start(work)
            return call.outcome(deadline - self._monotonic())
        finally:
            with self._lock:
                self._under_way.discard(call)

    def cut(self) -> None:
        """End every call under way at once, and refuse all later ones."""
        with self._lock:
            self._is_cut = True
            under_way = list(self._under_way)
        for call in under_way:
            call.end("the process is ending")

    def _enter(self, call: Call[T], budget: float) -> None:
        with self._lock:
            if self._is_cut:
                raise Ended("the process is ending", sent=False)
            if budget <= 0:
                raise Ended("no time was left", sent=False)
            self._under_way.add(call)
