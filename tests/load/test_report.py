"""The sections of the document show what a run measured, and what a job costs in a larger run."""

from __future__ import annotations

from tests.load import broker, soak
from tests.load.broker import Rate
from tests.load.growth import growths
from tests.load.report import compared, plot, report
from tests.load.run import Measured, Result


def result(jobs: int, cpu: float, took: float) -> Result:
    """Returns a run whose durations are all `took`, in seconds."""
    memory = [(float(at), {"api": (1, 40.0 + at), "render": (at, 100.0 * at)}) for at in range(1, 4)]
    accepted = [(float(n), took, 200 if n % 2 else 202) for n in range(jobs)]
    return Result(
        jobs,
        Measured(0.0, accepted, {}, memory),
        [(float(n), took) for n in range(jobs)],
        100.0,
        {"render": cpu, "api": 1.0},
        [],
        f"accepted={jobs}",
        [],
        ["a fact"],
    )


def test_report_shows_percentiles_and_memory_at_three_times() -> None:
    text = report(result(100, 200.0, 2.0))
    assert "- a fact" in text
    assert "| first request to the end of the job | 100 | 2.000 | 2.000 | 2.000 |" in text
    assert "| render | 100 (1) | 200 (2) | 300 (3) |" in text
    assert text.index("| render |") < text.index("| api |")
    assert plot(result(100, 200.0, 2.0)).count("<svg") == 1


def test_comparison_shows_the_cost_of_a_job_and_its_growth() -> None:
    text = compared(result(100, 200.0, 2.0), result(300, 900.0, 3.0))
    assert "`JOBS=300: accepted=300`" in text
    assert "| CPU seconds a job, render | 2 | 3 | 1.50 |" in text
    assert "| first request to the end of the job, seconds, p95 | 2 | 3 | 1.50 |" in text
    assert "| jobs a second | 1 | 3 | 3.00 |" in text and "load-times.svg" in text


def test_report_of_a_soak_names_what_grew() -> None:
    found = growths([{"api MB": 40.0 + n} for n in range(30)])
    text = soak.report(20, 3000, found, "accepted=1")
    assert "| api MB | 54.5 | 64.5 | no |" in text and "grown=0" in text
    found = growths([{"api MB": 40.0 + 3 * n} for n in range(30)])
    assert "| api MB | 83.5 | 113.5 | yes |" in soak.report(20, 3000, found, "accepted=1")


def test_rates_of_the_broker_are_medians() -> None:
    rates = [Rate(1000, 5_000_000, seconds, 2 * seconds) for seconds in (1.0, 2.0, 10.0)]
    assert "| plain | 500 | 2.5 | 250 | 1.2 |" in broker.report({"plain": rates})
