"""Reads CPU seconds and memory by kind of process from /proc."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.bench.local import LocalStack
from tests.bench.processes import below, table


class Usage:
    """Measures CPU seconds of the stack's processes from its creation on."""

    def __init__(self, stack: LocalStack) -> None:
        self._stack = stack
        self._before = _seconds(stack)
        self._latest = dict(self._before)

    def look(self) -> None:
        """Reads the CPU seconds of now. Those of a process that ends later count up to its last look."""
        self._latest |= _seconds(self._stack)

    def since(self) -> list[tuple[str, float]]:
        """Returns the CPU seconds since the creation by kind of process, the largest first."""
        self.look()
        used: Counter[str] = Counter()
        for pid, (kind, seconds) in self._latest.items():
            used[kind] += seconds - self._before.get(pid, (kind, 0.0))[1]
        return [(kind, seconds) for kind, seconds in used.most_common() if seconds >= 0.01]


def shown(used: list[tuple[str, float]]) -> str:
    """Formats the CPU seconds of each kind of process, and of all together."""
    return ", ".join([f"{kind} {seconds:.1f}" for kind, seconds in used] + [f"all {sum(one for _, one in used):.1f}"])


def memory(stack: LocalStack) -> dict[str, tuple[int, float]]:
    """Returns for each kind of process how many there are, and their memory in MB; shared memory counts in part."""
    found: dict[str, tuple[int, float]] = {}
    for pid, (kind, _) in _seconds(stack).items():
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text("utf-8")
        except OSError:
            continue  # the process has ended
        size = next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) / 1024
        count, total = found.get(kind, (0, 0.0))
        found[kind] = count + 1, total + size
    return found


def kinds(stack: LocalStack) -> dict[int, str]:
    """Returns the kind of each process of the stack, by process id."""
    return {pid: kind for pid, (kind, _) in _seconds(stack).items()}


def _seconds(stack: LocalStack) -> dict[int, tuple[str, float]]:
    """Returns the kind and the CPU seconds of the stack's process and of each process below it, by process id."""
    functions = {one["pid"]: str(one["function"]).removesuffix("Function").lower() for one in stack.instances()}
    processes, root = table(), int(stack.ready["pid"])
    found = {}
    for pid in below(processes, root):
        above = [pid]
        while above[-1] != root:
            above.append(processes[above[-1]].parent)
        kind = next((functions[one] for one in above if one in functions), None) or _kind(pid, root)
        found[pid] = (kind, processes[pid].seconds)
    return found


def _kind(pid: int, root: int) -> str:
    if pid == root:
        return "stack"
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return "other"
    return "aws" if b"infra.local.aws.server" in command else "rabbitmq" if b"beam" in command else "other"
