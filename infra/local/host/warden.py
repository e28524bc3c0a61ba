"""Ends the processes of a stack that is killed (SIGKILL) and cannot end them itself.

    python -S -E infra/local/host/warden.py RUN_FOLDER      (standard input: a pipe that the stack holds open)

Every direct child of the stack dies with it (PR_SET_PDEATHSIG), but the children of a child do not: a frozen browser
would stay for ever. When the pipe closes, the warden ends every process whose command line or environment names the
folder of the run. After an orderly end it finds none.
"""

import os
import signal
import sys

_ROUNDS = 5


def end_all(folder: str) -> None:
    """Kills every process that names the folder, until a look finds none."""
    wanted = os.fsencode(folder)
    for _ in range(_ROUNDS):  # a process may have forked before it was killed
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
        except OSError:  # gone, or not ours to read
            continue
    return False


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the stack still has work to do
    while os.read(0, 4096):
        pass
    end_all(sys.argv[1])
