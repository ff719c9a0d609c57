"""Long work that survives interruption: a locked `OUT.partial`, units that are done once, workers.

A job writes into `OUT.partial/` under an operating-system lock and renames it to `OUT` at the end. Its
arguments are kept there: the same command continues, another one is refused. Each unit of work leaves a
small JSON file when its own files are complete; a unit with such a file is not repeated.
"""

import contextlib
import errno
import itertools
import json
import shutil
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock, Timeout

from rsspade.data.geotiff import write_bytes_atomically
from rsspade.errors import OutputError, explain
from rsspade.progress import progress_bar

__all__ = ["discard_units", "open_job", "run_units", "unit_file"]

T = TypeVar("T")
_JOB, _LOCK, _UNITS = "job.json", ".lock", ".units"
_NEW_FILE = "a new file"
_AT_ONCE = 1000  # units that a cluster is told of at a time: each carries its arguments


@contextlib.contextmanager
def open_job(out: Path, arguments: dict[str, Any], *, single_file: bool = False) -> Iterator[Path]:
    """Yield `OUT.partial`, locked and continued where it stopped; rename it to `out` on success.

    Args:
        out: The final folder; must not hold anything yet.
        arguments: Everything that the result depends on, as JSON.
        single_file: The result is the one file of that name in the folder, and the rest was only needed to make it.
    """
    what = _NEW_FILE if single_file else "a new folder"
    if out.name in ("", ".."):
        raise OutputError(explain(out, expected=what, found="no name for one", fix="Choose another --out."))
    partial = out.with_name(out.name + ".partial")
    with disk_errors(partial):
        _refuse_existing(out, what)
        partial.mkdir(parents=True, exist_ok=True)
    lock = FileLock(partial / _LOCK)
    try:
        with disk_errors(partial):
            lock.acquire(timeout=0)
    except Timeout as err:
        raise OutputError(
            explain(
                out,
                expected="a folder that no other run is writing",
                found="one at work in " + str(partial),
                fix="Wait for it, or choose another --out.",
            )
        ) from err
    ours = finished = False
    try:
        _refuse_existing(out, what)  # it may have been finished while we waited for the file system
        with disk_errors(partial):
            _check_arguments(partial, arguments)
            ours = True
            (partial / _UNITS).mkdir(exist_ok=True)
            yield partial
            for leftover in partial.rglob(".*.tmp"):
                leftover.unlink()
            if out.is_dir():
                out.rmdir()  # an empty folder, as checked above
            if single_file:
                (partial / out.name).rename(out)
                finished = True
                shutil.rmtree(partial, ignore_errors=True)
                return
            partial.rename(out)
            finished = True
            # Only now, so that whoever is stopped in between keeps either a job to continue or a whole dataset.
            shutil.rmtree(out / _UNITS)
            (out / _JOB).unlink()
            (out / _LOCK).unlink()
    finally:
        if not ours:
            (partial / _LOCK).unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                partial.rmdir()  # where nothing but our lock was in it
        elif not finished and not any((partial / _UNITS).glob("*.json")):
            shutil.rmtree(partial, ignore_errors=True)  # nothing worth keeping
        elif not finished:
            print(f"Kept what is finished in {partial}; the same command continues there.", file=sys.stderr)
        lock.release()


@contextlib.contextmanager
def disk_errors(where: Path) -> Iterator[None]:
    """Turn a full or unwritable disk into one sentence."""
    try:
        yield
    except OSError as err:
        reasons = {
            errno.ENOSPC: ("free space on the disk", "none left", "Free some; the same command continues."),
            errno.EDQUOT: ("space in your quota", "none left", "Free some; the same command continues."),
            errno.EACCES: ("a place that can be read and written", "no permission", "Change that, or choose another."),
            errno.EPERM: ("a place that can be written", "none", "Choose another --out."),
            errno.ENOENT: ("a place that exists", "none", "Restore it, or choose another."),
            errno.EROFS: ("a folder that can be written", "a read-only file system", "Choose another --out."),
            errno.ENOTDIR: ("a folder", "a file in its place", "Choose another --out."),
            errno.EEXIST: ("a folder", "a file in its place", "Choose another --out."),
            errno.ENOTEMPTY: ("a new folder", "files in it", "Choose another --out."),
            errno.EFBIG: ("room for a larger file", "a limit on file sizes", "Raise it; the same command continues."),
            errno.ENAMETOOLONG: ("a name of at most 255 bytes", "a longer one", "Choose a shorter --out."),
        }
        if isinstance(err, OutputError) or err.errno not in reasons:
            raise
        expected, found, fix = reasons[err.errno]
        raise OutputError(explain(err.filename or where, expected=expected, found=found, fix=fix)) from err


def _refuse_existing(out: Path, expected: str) -> None:
    if out.is_dir() and any(out.iterdir()):
        found = f"one that already holds {'a dataset' if (out / 'dataset.json').is_file() else 'files'}"
    elif out.is_dir() and expected == _NEW_FILE:
        found = "a folder"
    elif out.exists() and not out.is_dir():
        found = "a file"
    else:
        return
    raise OutputError(explain(out, expected=expected, found=found, fix="Choose another place, or remove it first."))


def _check_arguments(partial: Path, arguments: dict[str, Any]) -> None:
    path = partial / _JOB
    arguments = json.loads(json.dumps(arguments))
    if path.is_file():
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            before = {}
        if before != arguments:
            raise OutputError(
                explain(partial, expected="an interrupted job with the same arguments", found=_first_difference(before, arguments),
                        fix="Repeat the first command to continue, or remove the folder to begin anew.")
            )  # fmt: skip
        return
    if any(p.name not in (_LOCK,) for p in partial.iterdir()):
        raise OutputError(
            explain(partial, expected="an interrupted job of RS-SPADE", found="other files",
                    fix="Move them away, or choose another --out.")
        )  # fmt: skip
    write_bytes_atomically(path, json.dumps(arguments, indent=1).encode())


def _first_difference(before: Any, now: Any, name: str = "") -> str:  # noqa: ANN401 (JSON)
    """In words: the innermost entry that differs, since a job's arguments may list thousands of files."""
    if isinstance(before, dict) and isinstance(now, dict):
        # `...` stands for an entry that is not there, since None may be one.
        key = next(k for k in sorted({*before, *now}) if before.get(k, ...) != now.get(k, ...))
        return _first_difference(before.get(key, ...), now.get(key, ...), f"{name} {key}".strip())
    texts = ("nothing" if value is ... else repr(value) for value in (before, now))
    there, here = (text if len(text) <= 120 else text[:120] + "…" for text in texts)
    return f"{name} {there} there, {here} now"


def discard_units(partial: Path) -> None:
    """Forget what is done: a job that found nothing to keep, and fails, then leaves nothing behind."""
    for path in (partial / _UNITS).glob("*.json"):
        path.unlink()


def unit_file(partial: Path, name: str) -> Path:
    """Where a unit leaves its result, once its own files are complete."""
    return partial / _UNITS / f"{name}.json"


def run_units(
    partial: Path,
    units: Sequence[tuple[str, tuple[Any, ...]]],
    work: Callable[..., Any],
    *,
    workers: int = 1,
    scheduler: str | None = None,
    title: str = "",
) -> dict[str, Any]:
    """Run `work(partial, *arguments)` for each unit that is not done yet; return unit name -> its JSON result.

    With one worker the work runs in this process; with more, on Dask worker processes here; with a scheduler's
    address, on that cluster, whose workers must see the same files. Results do not depend on which.
    """
    todo = [(name, arguments) for name, arguments in units if not unit_file(partial, name).is_file()]
    with progress_bar(total=len(units), title=title) as bar:
        bar.update(len(units) - len(todo))
        for _ in _run(partial, todo, work, workers, scheduler):
            bar.update(1)
    return {name: json.loads(unit_file(partial, name).read_text(encoding="utf-8")) for name, _ in units}


def _one_unit(partial: Path, name: str, work: Callable[..., Any], arguments: tuple[Any, ...]) -> str:
    with disk_errors(partial):
        result = work(partial, *arguments)
        write_bytes_atomically(unit_file(partial, name), json.dumps(result).encode())
    return name


def _run(
    partial: Path,
    units: Iterable[tuple[str, tuple[Any, ...]]],
    work: Callable[..., Any],
    workers: int,
    scheduler: str | None,
) -> Iterator[str]:
    units = list(units)
    if scheduler is None and (workers <= 1 or len(units) <= 1):
        for name, arguments in units:
            yield _one_unit(partial, name, work, arguments)
        return
    with _dask_client(workers, scheduler) as client:
        from distributed import KilledWorker, as_completed

        partial = partial.resolve()
        waiting = (
            client.submit(_one_unit, partial, name, work, arguments, pure=False, retries=0) for name, arguments in units
        )
        running = as_completed(itertools.islice(waiting, _AT_ONCE))
        try:
            for future in running:
                yield future.result()
                running.update(itertools.islice(waiting, 1))
        except KilledWorker as err:
            raise OutputError(
                explain(partial, expected="workers that live", found=f"some that died at {err.args[0]}, perhaps for want of memory",
                        fix="Pass fewer --workers; the same command continues.")
            ) from err  # fmt: skip
        finally:
            client.cancel(list(running.futures))


@contextlib.contextmanager
def _dask_client(workers: int, scheduler: str | None) -> Iterator[Any]:
    import logging

    import dask
    from distributed import Client, LocalCluster

    if scheduler is not None:
        try:
            client = Client(scheduler, timeout="10s")
        except (OSError, ValueError) as err:
            raise OutputError(
                explain(
                    "--scheduler",
                    expected="the address of a running Dask scheduler, such as tcp://host:8786",
                    found=f"{scheduler} ({err})",
                    fix="Start one with `dask scheduler`, or leave the option out.",
                )
            ) from err
        with client:
            yield client
        return
    # Quiet on purpose: what matters comes back as the result or the error of a unit.
    with (
        dask.config.set(
            {
                "distributed.worker.daemon": True,
                "distributed.admin.log-format": "%(message)s",
                # Dask makes workers hand memory back at every turn: with large arrays a third of their time.
                "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None,
            }
        ),
        _deaf_to_interrupts(
            lambda: LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                dashboard_address=":0",
                silence_logs=logging.CRITICAL,
            )
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def _deaf_to_interrupts(start: Callable[[], T]) -> T:
    """Start processes that do not hear Ctrl-C, which a terminal sends to all: this one hears it and ends them."""
    if not hasattr(signal, "pthread_sigmask"):
        return start()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
