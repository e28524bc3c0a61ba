"""Ends the processes of a stack that was killed (SIGKILL) and could not end them itself.

    python -S -E infra/local/host/warden.py RUN_FOLDER      (standard input: a pipe that the stack keeps open)

Direct children of the stack die with it (PR_SET_PDEATHSIG), but their own children do not, so a frozen browser would
remain. When the pipe closes, the warden kills every process whose command line or environment contains the folder of
the run. After an orderly end there are none.
"""

import os
import signal
import sys

_ROUNDS = 5


def end_all(folder: str) -> None:
    """Kills all processes whose command line or environment contains the folder."""
    wanted = os.fsencode(folder)
    for _ in range(_ROUNDS):  # a process may fork before it is killed
        found = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _names(pid, wanted)]
        if not found:
            return
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                continue


def _names(pid: int, wanted: bytes) -> bool:
    if pid == os.getpid():
        return False
    for part in ("cmdline", "environ"):
        try:
            with open(f"/proc/{pid}/{part}", "rb") as file:
                if wanted in file.read():
                    return True
        except OSError:  # the process has ended, or belongs to another user
            continue
    return False


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # Ctrl-C reaches the whole process group, and the stack still has to stop
    while os.read(0, 4096):
        pass
    end_all(sys.argv[1])
