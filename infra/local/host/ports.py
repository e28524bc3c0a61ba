"""Finds free ports of 127.0.0.1, so that two stacks never use the same port."""

import random
import socket

# Below Linux's ephemeral range, which starts at 32768, so that no outgoing connection uses the port in the meantime.
_RANGE = range(20_000, 32_000)
_TRIES = 200


class PortReservation:
    """Reserves a port for a process that binds it later.

    An abstract Unix socket with the port's number keeps other stacks on this machine from using the port. The kernel
    releases it when this process ends in any way.

    Raises:
        OSError: No port is free.
    """

    def __init__(self) -> None:
        for _ in range(_TRIES):
            self.port = random.choice(_RANGE)  # noqa: S311 - nothing secret about a port
            self._claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                self._claim.bind(f"\0urlshot-local-port-{self.port}")
                with socket.create_server(("127.0.0.1", self.port)):
                    return
            except OSError:
                self._claim.close()
        raise OSError(f"no free port in {_RANGE.start}..{_RANGE.stop - 1}")

    def release(self) -> None:
        self._claim.close()


def listen(port: int = 0) -> socket.socket:
    """Returns a socket that listens on a port of 127.0.0.1; 0 selects a free port.

    Raises:
        OSError: The port is in use.
    """
    return socket.create_server(("127.0.0.1", port), backlog=256)
