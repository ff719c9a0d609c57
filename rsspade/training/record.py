"""What a run writes down as it goes: `metrics.jsonl` always, curves in a tracker, and a bar for who looks on."""

import json
import math
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor
from tqdm import tqdm

from rsspade.data.geotiff import write_bytes_atomically
from rsspade.options import flatten
from rsspade.training.contract import RunOptions

__all__ = ["Meter", "Record", "forget_after"]


class Meter:
    """Mean losses since the last line, added up on the device: nothing waits for it between two lines.

    Args:
        device: Of the sums.
        rank: Of this process.
        processes: How many there are.
    """

    def __init__(self, device: torch.device, *, rank: int = 0, processes: int = 1) -> None:
        self.rank, self.processes = rank, processes
        self.names: tuple[str, ...] = ()
        self._sums = torch.zeros(0, device=device)
        self._count = 0

    @torch.no_grad()
    def add(self, terms: Mapping[str, Tensor]) -> None:
        """Take in the terms of one micro-batch."""
        values = torch.stack([value.detach().float() for value in terms.values()])
        if not self.names:
            self.names, self._sums = tuple(terms), torch.zeros_like(values)
        if self.names != tuple(terms):
            raise ValueError(f"expected the terms {self.names}, found {tuple(terms)}")
        self._sums += values
        self._count += 1

    def take(self, accelerator: Accelerator) -> dict[str, float]:
        """The means over all processes since the last call; this waits for the device."""
        means = accelerator.reduce(self._sums / max(self._count, 1), reduction="mean")
        values = dict(zip(self.names, means.tolist(), strict=True))
        self._sums, self._count = torch.zeros_like(self._sums), 0
        return values

    def state(self, accelerator: Accelerator | None = None) -> dict[str, Any]:
        """For a checkpoint that falls between two lines; with `accelerator` the sums of all processes, each of which must call."""
        sums = self._sums if accelerator is None else accelerator.gather(self._sums)
        return {"names": list(self.names), "sums": sums.tolist(), "count": self._count}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`: with the sums of this process, or the mean of all where their number is another now."""
        self.names, self._count = tuple(state["names"]), int(state["count"])
        if not self.names:
            return
        rows = torch.tensor(state["sums"], dtype=torch.float32, device=self._sums.device).reshape(-1, len(self.names))
        self._sums = rows[self.rank].clone() if len(rows) == self.processes else rows.mean(dim=0)


class Record:
    """Writes lines to `metrics.jsonl`, the tracker and the bar; silent on all processes but the main one.

    Args:
        path: Of `metrics.jsonl`.
        accelerator: Whose tracker is started here.
        config: Of the run.
        done: Steps of an earlier session.
    """

    def __init__(self, path: Path, accelerator: Accelerator, config: RunOptions, *, done: int) -> None:
        self.path = path
        self.accelerator = accelerator
        self.batch_size = config.batch_size
        self._last = (done, time.perf_counter())
        quiet = not (accelerator.is_main_process and sys.stderr.isatty())
        self._bar = tqdm(
            total=config.steps,
            initial=done,
            desc="training",
            unit="step",
            disable=quiet,
            leave=False,
            dynamic_ncols=True,
        )
        # TensorBoard would make a run of its own out of the options; they stand in config.yaml.
        accelerator.init_trackers("train", None if config.tracker == "tensorboard" else flatten(config))

    def __enter__(self) -> "Record":
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()
        self.accelerator.end_training()

    def step_done(self) -> None:
        """Move the bar."""
        self._bar.update(1)

    def rate(self, step: int) -> dict[str, float]:
        """Images per second since the last call."""
        before, then = self._last
        self._last = (step, time.perf_counter())
        seconds = max(self._last[1] - then, 1e-9)
        return {"images_per_second": round((step - before) * self.batch_size / seconds, 2)}

    def pause(self) -> "Pause":
        """Leave the time inside the `with` out of the rate: validation and checkpoints are no training."""
        return Pause(self)

    def losses(self, step: int, values: Mapping[str, float], *, lr: float) -> None:
        """One line about the steps since the last."""
        rate = self.rate(step)
        self._bar.set_postfix(
            {**{n: f"{v:.3g}" for n, v in values.items()}, "img/s": f"{rate['images_per_second']:.1f}"}
        )
        self._write(step, {"loss": dict(values), "lr": lr, **rate})

    def validation(
        self, step: int, scores: Mapping[str, Any], *, is_best: bool, shown: Iterable[str] = ("psnr", "ssim", "sam_rad")
    ) -> None:
        """One line about a validation: all scores in the file, those in `shown` for people."""
        self._write(step, {"val": dict(scores), "best": is_best})
        text = ", ".join(f"{n} {_shown(scores[n])}" for n in shown)
        self.say(f"step {step}: {text} on {scores['tiles']} validation tiles{' (best so far)' if is_best else ''}")

    def say(self, line: str) -> None:
        """One line on standard output, above the bar."""
        if self.accelerator.is_main_process:
            self._bar.clear()
            print(line, flush=True)
            self._bar.refresh()

    def diverged(self, step: int, **left_out: int) -> None:
        """The last words of a run whose losses are no longer finite: network -> steps that it did not make."""
        self._write(step, {"diverged": left_out})
        counts = ", ".join(f"{count} steps of the {name}" for name, count in left_out.items())
        self.say(
            f"step {step}: a loss or gradient was not finite ({counts} were left out). "
            "The last checkpoint is from before. Begin again in another --out with a lower --lr."
        )

    def _write(self, step: int, content: Mapping[str, Any]) -> None:
        if not self.accelerator.is_main_process:
            return
        line = json.dumps({"step": step, **_finite(content)}, allow_nan=False)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        flat = dict(_scalars(content))
        self.accelerator.log(flat, step=step)


class Pause:
    """Time that does not count in the rate."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *error: object) -> None:
        step, then = self._record._last
        self._record._last = (step, then + time.perf_counter() - self._began)


def forget_after(path: Path, step: int) -> None:
    """Drop the lines of steps after `step`, which a continued run will write again, and a line cut short by a kill."""
    if not path.is_file():
        return
    kept = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line)
        except (ValueError, KeyError, TypeError):
            continue
    write_bytes_atomically(path, "".join(f"{line}\n" for line in kept).encode())


def _finite(value: Any) -> Any:  # noqa: ANN401 (any JSON)
    """JSON knows neither NaN nor infinity: they become null."""
    if isinstance(value, Mapping):
        return {k: _finite(v) for k, v in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _scalars(content: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, float]]:
    for name, value in content.items():
        if isinstance(value, Mapping):
            yield from _scalars(value, f"{prefix}{name}/")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield prefix + name, float(value)


def _shown(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4g}"
