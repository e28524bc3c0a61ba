"""Tests that functions have Lambda's limits, errors and life cycle, with the real runtime interface client."""

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from infra.local.functions.artefacts import HEAVY_NICENESS, WHOLE_CPU_MB
from infra.local.functions.async_events import TooLarge, UnknownFunction
from infra.local.functions.function import Throttled
from infra.local.functions.instance import Answer
from infra.local.functions.lambdas import Lambdas


async def call(lambdas: Lambdas, **event: Any) -> Answer:
    return await lambdas.invoke("Probe", json.dumps(event).encode())


def body(answer: Answer) -> Any:
    return json.loads(answer.payload)


def state(pid: int) -> str | None:
    """Returns the state letter of a process from /proc; None if the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return None


async def comes_to(pid: int, *states: str | None) -> bool:
    """Waits at most 5 s until a process is in one of `states`; a process takes a signal only when it next runs."""
    async with asyncio.timeout(5):
        while state(pid) not in states:
            await asyncio.sleep(0.01)
    return True


async def gone(pid: int) -> bool:
    return await comes_to(pid, None, "Z")


async def test_answer_comes_back_and_the_instance_is_used_again(harness: Any) -> None:
    lambdas = harness.lambdas()
    first, second = body(await call(lambdas, n=1)), body(await call(lambdas, n=2))
    assert first["event"] == {"n": 1}
    assert 9000 < first["remaining_ms"] <= 10_000
    assert first["pid"] == second["pid"]


async def test_process_tree_is_stopped_between_events(harness: Any, tmp_path: Path) -> None:
    lambdas = harness.lambdas()
    pids = body(await call(lambdas, do="child", pids=str(tmp_path / "pid")))
    assert await comes_to(pids["pid"], "T") and await comes_to(pids["child"], "T")
    assert body(await call(lambdas, do="echo"))["pid"] == pids["pid"]
    await lambdas.end()
    assert await gone(pids["pid"]) and await gone(pids["child"])


@pytest.mark.parametrize(("memory", "more"), [(WHOLE_CPU_MB - 1, 0), (WHOLE_CPU_MB, HEAVY_NICENESS)])
async def test_functions_with_a_whole_cpu_yield_to_short_ones(harness: Any, memory: int, more: int) -> None:
    lambdas = harness.lambdas(memory=memory)
    assert body(await call(lambdas, do="priority")) == os.getpriority(os.PRIO_PROCESS, 0) + more


async def test_child_sessions_of_a_heavy_function_yield_too(harness: Any, tmp_path: Path) -> None:
    lambdas = harness.lambdas(memory=WHOLE_CPU_MB)
    group = Path(f"/proc/{body(await call(lambdas, do='child', pids=str(tmp_path / 'pid')))['child']}/autogroup")
    if not group.exists() or not group.read_text("utf-8"):
        pytest.skip("this kernel does not group processes by session")
    async with asyncio.timeout(30):
        while not group.read_text("utf-8").endswith(f" nice {HEAVY_NICENESS}\n"):
            await call(lambdas, do="echo")  # the niceness is set when the instance stops after an event


async def test_timeout_kills_the_process_tree_and_replaces_the_instance(harness: Any, tmp_path: Path) -> None:
    lambdas = harness.lambdas(timeout=1.0)
    before = body(await call(lambdas))["pid"]
    answer = await call(lambdas, do="child", pids=str(tmp_path / "pid"), seconds=60)
    assert answer.error == "Unhandled"
    assert body(answer)["errorType"] == "Sandbox.Timedout"
    assert "Task timed out after 1.00 seconds" in body(answer)["errorMessage"]
    assert await gone(before) and await gone(int((tmp_path / "pid").read_text("utf-8")))
    assert body(await call(lambdas))["pid"] != before


async def test_crash_is_an_error_kills_orphans_and_replaces_the_instance(harness: Any, tmp_path: Path) -> None:
    lambdas = harness.lambdas()
    answer = await call(lambdas, do="child", pids=str(tmp_path / "pid"), crash=True)
    assert body(answer)["errorType"] == "Runtime.ExitError"
    assert "exit status 7" in body(answer)["errorMessage"]
    assert await gone(int((tmp_path / "pid").read_text("utf-8")))
    assert (await call(lambdas)).error is None


async def test_killed_idle_instance_is_replaced(harness: Any) -> None:
    lambdas = harness.lambdas()
    first = body(await call(lambdas))["pid"]
    os.kill(first, 9)
    await gone(first)
    assert body(await call(lambdas))["pid"] != first


async def test_exception_is_an_unhandled_error(harness: Any) -> None:
    answer = await call(harness.lambdas(), do="fail")
    assert answer.error == "Unhandled"
    assert body(answer)["errorType"] == "ValueError"
    assert body(answer)["errorMessage"] == "as told"
    assert set(body(answer)) == {"errorType", "errorMessage", "requestId", "stackTrace"}
    assert body(answer)["requestId"] == answer.request_id
    assert 'raise ValueError("as told")' in "".join(body(answer)["stackTrace"])


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({"do": "crash", "code": 0}, "Runtime exited without providing a reason"),
        ({"do": "crash", "code": 3}, "Runtime exited with error: exit status 3"),
        ({"do": "exit", "code": 4}, "Runtime exited with error: exit status 4"),
        ({"do": "kill", "signal": signal.SIGKILL}, "Runtime exited with error: signal: killed"),
        ({"do": "kill", "signal": signal.SIGSEGV}, "Runtime exited with error: signal: segmentation fault"),
    ],
)
async def test_exit_is_reported_in_lambdas_words(harness: Any, event: dict[str, Any], message: str) -> None:
    answer = await call(harness.lambdas(), **event)
    assert answer.error == "Unhandled"
    assert body(answer) == {
        "errorType": "Runtime.ExitError",
        "errorMessage": f"RequestId: {answer.request_id} Error: {message}",
    }


async def test_instances_run_side_by_side_up_to_the_limit(harness: Any) -> None:
    lambdas = harness.lambdas(limit=2)
    both = [asyncio.create_task(call(lambdas, do="sleep", seconds=0.5)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Throttled):
        await call(lambdas)
    answers = await asyncio.gather(*both)
    assert len({body(answer)["pid"] for answer in answers}) == 2


async def test_module_that_fails_to_load_fails_every_event(harness: Any) -> None:
    lambdas = harness.lambdas("broken.handler")
    for _ in range(2):
        answer = await call(lambdas)
        assert answer.error == "Unhandled"
        assert body(answer)["errorType"] == "RuntimeError"
        assert "not today" in body(answer)["errorMessage"]


async def test_missing_module_is_an_import_error(harness: Any) -> None:
    answer = await call(harness.lambdas("nowhere.handler"))
    assert answer.error == "Unhandled"
    assert body(answer)["errorType"] == "Runtime.ImportModuleError"
    assert "No module named 'nowhere'" in body(answer)["errorMessage"]


async def test_exit_at_import_names_the_request(harness: Any) -> None:
    answer = await call(harness.lambdas("exits.handler"))
    assert body(answer) == {
        "errorType": "Runtime.ExitError",
        "errorMessage": f"RequestId: {answer.request_id} Error: Runtime exited with error: exit status 5",
    }


async def test_sizes_of_requests_and_answers_are_limited(harness: Any) -> None:
    lambdas = harness.lambdas()
    assert len((await call(lambdas, do="big", bytes=5_000_000)).payload) == 5_000_002
    answer = await call(lambdas, do="big", bytes=7_000_000)
    assert body(answer)["errorType"] == "Function.ResponseSizeTooLarge"
    with pytest.raises(TooLarge):
        await lambdas.invoke("Probe", b'"' + b"x" * 6_300_000 + b'"')
    with pytest.raises(TooLarge):
        lambdas.invoke_async("Probe", b'"' + b"x" * 1_050_000 + b'"')
    assert (await call(lambdas)).error is None


async def test_function_inherits_no_environment_and_no_packages(harness: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_SHELL", "x")
    seen = body(await call(harness.lambdas(), do="environment"))
    assert "SECRET_OF_THE_SHELL" not in seen["environment"]
    assert seen["environment"]["GIVEN"] == "by the template"
    assert seen["environment"]["AWS_LAMBDA_FUNCTION_NAME"] == "Probe"
    assert "HOME" not in seen["environment"] and "LOCAL_ALLOW" not in seen["environment"]
    assert not [entry for entry in seen["path"] if "site-packages" in entry]


async def test_instance_has_its_own_folder_that_is_removed_at_its_end(harness: Any) -> None:
    lambdas = harness.lambdas()
    folder = Path(body(await call(lambdas, do="environment"))["environment"]["TMPDIR"])
    assert folder.is_dir()
    await lambdas.end()
    assert not folder.exists()


async def test_listener_gets_lines_and_reports(harness: Any) -> None:
    lambdas = harness.lambdas()
    await call(lambdas, do="sleep", seconds=0)
    texts = [line for _, line in harness.lines]
    assert "going to sleep" in texts
    reports = [json.loads(line) for line in texts if "platform.report" in line]
    assert reports[0]["record"]["status"] == "success"
    assert reports[0]["record"]["metrics"]["initDurationMs"] > 0


async def test_unknown_function_is_an_error(harness: Any) -> None:
    with pytest.raises(UnknownFunction):
        await harness.lambdas().invoke("Other", b"{}")
