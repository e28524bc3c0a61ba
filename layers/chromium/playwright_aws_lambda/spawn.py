"""Starts the browser's process with nothing of this process but the pipes to it."""

from __future__ import annotations

import contextlib
import os


def spawn(command: list[str], environment: dict[str, str], reads: int, writes: int) -> tuple[int, int]:
    """Starts a program in a session of its own (setsid(2)), which does not receive the signals of a terminal.

    It inherits no other file of this process, such as sockets that a library made inheritable.

    Args:
        command: The path of the program, and its arguments.
        environment: All its environment variables.
        reads: The file that becomes its file descriptor 3.
        writes: The file that becomes its file descriptor 4.

    Returns:
        The process's id, which is its session's too, and the end of a pipe from which its error output comes.

    Raises:
        OSError: The program does not start.
    """
    reading, writing = os.pipe()
    nothing = os.open(os.devnull, os.O_RDWR)
    try:
        inherited = [int(entry) for entry in os.listdir("/proc/self/fd") if int(entry) > 4]
        pid = os.posix_spawn(
            command[0],
            command,
            environment,
            file_actions=[
                *((os.POSIX_SPAWN_DUP2, nothing, end) for end in (0, 1)),
                *((os.POSIX_SPAWN_DUP2, ours, end) for ours, end in ((writing, 2), (reads, 3), (writes, 4))),
                *((os.POSIX_SPAWN_CLOSE, end) for end in inherited if _is_inheritable(end)),
            ],
            setsid=True,
        )
    except OSError:
        os.close(reading)
        raise
    finally:
        os.close(writing)
        os.close(nothing)
    return pid, reading


def _is_inheritable(end: int) -> bool:
    with contextlib.suppress(OSError):  # it was closed meanwhile
        return os.get_inheritable(end)
    return False
