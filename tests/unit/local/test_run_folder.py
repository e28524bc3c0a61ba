"""Each run has a folder: stacks that start and end in parallel do not remove each other's folders."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from infra.local.host.run_folder import KEPT_RUNS, RunFolder, prune


def test_stacks_that_start_at_the_same_moment_each_have_a_folder(tmp_path: Path) -> None:
    for number in range(20):  # folders of earlier runs
        (tmp_path / f"20200101-0000{number:02}-old" / "logs").mkdir(parents=True)
    with ThreadPoolExecutor(20) as threads:
        runs = list(threads.map(lambda _: RunFolder(tmp_path), range(20)))
    assert len({run.path for run in runs}) == 20
    assert all((run.path / "logs").is_dir() for run in runs)
    assert len(list(tmp_path.glob("*-old"))) < KEPT_RUNS


def test_folder_in_use_stays_and_only_the_last_others_do(tmp_path: Path) -> None:
    used = RunFolder(tmp_path)
    left = []
    for _ in range(KEPT_RUNS + 2):
        run = RunFolder(tmp_path)
        run.remove(keep_records=True)
        left.append(run.path)
    prune(tmp_path, 1)
    assert used.path.is_dir()
    assert sum(path.is_dir() for path in left) <= 1
    used.remove(keep_records=False)
    assert not used.path.exists()
