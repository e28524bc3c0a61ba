"""Free ports of 127.0.0.1, so that two stacks never meet."""

import random
import socket

# Below Linux's ephemeral range (32768 on), so that no outgoing connection takes the port before its owner binds it.
_RANGE = range(20_000, 32_000)
_TRIES = 200


class PortReservation:
    """A port for a process that binds it itself, later.

    The abstract Unix socket of that number keeps other stacks on this machine away from it; the kernel lets go of it
    with this process, however that ends.
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
    """A socket that listens on 127.0.0.1; 0 takes a free port. Errors: OSError when the port is taken."""
    return socket.create_server(("127.0.0.1", port), backlog=256)
