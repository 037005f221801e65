"""A proxy before PostgreSQL that can fall silent: it takes connections and bytes, and says nothing.

A pooler that stands does so, or a stopped process; TCP sees nothing wrong with them.
"""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Mute:
    """Stands before a server on loopback.

    Args:
        port: the server's.
    """

    def __init__(self, port: int) -> None:
        self._behind = port
        self._silent = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port: int = self._listener.getsockname()[1]

    @contextmanager
    def standing(self) -> Iterator["Mute"]:
        """Take connections for a while."""
        threading.Thread(target=self._accept, daemon=True).start()
        try:
            yield self
        finally:
            self._listener.close()

    def fall_silent(self) -> None:
        """From now on nothing is answered; what stands now is never answered again."""
        self._silent.set()

    def speak(self) -> None:
        """New connections are let through again."""
        self._silent.clear()

    def _accept(self) -> None:
        while True:
            try:
                client, _address = self._listener.accept()
            except OSError:
                return
            lost = threading.Event()
            server = socket.create_connection(("127.0.0.1", self._behind))
            for here, there in ((client, server), (server, client)):
                threading.Thread(target=self._carry, args=(here, there, lost), daemon=True).start()

    def _carry(self, here: socket.socket, there: socket.socket, lost: threading.Event) -> None:
        """Carry bytes one way; drop them from the moment of silence on."""
        with here, contextlib.suppress(OSError):
            while received := here.recv(65_536):
                if self._silent.is_set():
                    lost.set()
                if not lost.is_set():
                    there.sendall(received)
            there.shutdown(socket.SHUT_RDWR)
