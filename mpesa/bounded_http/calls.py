"""The hard limit of a call: it ends when its time is over, whatever its peer does.

Each call runs in a thread of its own (a greenlet, where the process is patched that way), and the
caller waits for it no longer than the budget. A socket's time-out could not promise that: it starts
anew with every byte that drips in, and a name look-up has none at all.

Whether a call was sent is decided under the lock that also ends it. So a call that was reported as
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
        sent: whether a request that counts had begun to leave; if not, it never does.
        body: the part of the answer that had come; empty where none had.
    """

    def __init__(self, message: str, *, sent: bool, body: bytes = b"") -> None:
        super().__init__(message)
        self.sent = sent
        self.body = body


class OutOfTime(Exception):
    """The call was ended from outside; raised in its own thread, and never seen by its caller."""


class Call(Generic[T]):
    """One call under way: its connection, whether it was sent, how it ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._outcome: Future[T] = Future()
        self._held: socket.socket | None = None
        self._sent = False

    def hold(self, handle: socket.socket) -> None:
        """Take over a handle on the connection, to shut it down if the call is ended.

        Raises:
            OutOfTime: the call has ended.
        """
        self.let_go()
        with self._lock:
            self._held = handle
            self.go_on()

    def let_go(self) -> None:
        """Close the handle: from here on, another call may use the connection."""
        with self._lock:
            held, self._held = self._held, None
        if held is not None:
            held.close()

    def go_on(self) -> None:
        """Do nothing, unless the call has ended.

        Raises:
            OutOfTime: the call has ended.
        """
        if self._outcome.done():
            raise OutOfTime

    def about_to_send(self, *, counts: bool) -> None:
        """Announce the first byte of a request.

        Args:
            counts: this request makes the call a sent one; others prepare it.

        Raises:
            OutOfTime: the call has ended.
        """
        with self._lock:
            self.go_on()
            self._sent = counts

    def did_not_run(self) -> None:
        """Count the call as not sent again: its request is known not to have run."""
        with self._lock:
            self._sent = False

    def broken(self, message: str, body: bytes = b"") -> Ended:
        """Make the error for a connection that broke by itself.

        Args:
            body: the part of the answer that had come.

        Raises:
            OutOfTime: the call has ended.
        """
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
        """Let `work` run in a thread of its own, which does not keep the process alive."""

        def run() -> None:
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

        # Its log lines are about the same request.
        within = copy_context().run
        threading.Thread(target=within, args=(run,), daemon=True).start()

    def outcome(self, seconds: float) -> T:
        """Wait for the end, `seconds` at most; returns the result of the work, or raises its error.

        Raises:
            Ended: the time was over, or the call was ended from outside.
        """
        try:
            wait([self._outcome], timeout=max(0.0, seconds))
        finally:
            self.end("its time was over")
        return self._outcome.result()


class Calls:
    """All calls under way, so that they can be cut when the process ends."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._under_way: set[Call[Any]] = set()
        self._is_cut = False

    def run(self, work: Callable[[Call[T]], T], budget: float) -> T:
        """Do `work` within `budget` seconds, and return its result.

        Raises:
            Ended: the time was over, or the process is ending.
            Exception: the error of `work`.
        """
        deadline = self._monotonic() + budget
        call: Call[T] = Call()
        with self._lock:
            if self._is_cut:
                raise Ended("the process is ending", sent=False)
            if budget <= 0:
                raise Ended("no time was left", sent=False)
            self._under_way.add(call)
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
