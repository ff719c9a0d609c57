"""What the models cost beside each other: training step and inference per image, peak memory, and where a step's time goes.

All in one run and by turns, so that a busy machine hits each alike; what counts are the ratios. Steps are those of
`train_gan.py` with its default losses, discriminator included, on whole tiles of the built-in world.

Memory is taken in a process of its own for each model:

    python -m experiments.bench.models DATASET training|inference [NAME=VALUE ..]   prints megabytes
"""

import argparse
import contextlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rsspade.config import TrainingConfig
from rsspade.data.collate import collate_samples
from rsspade.models import GeneratorInfo, RSSpade, build_generator
from rsspade.options import read_options
from rsspade.training.loop import Run, training_steps
from rsspade.training.parts import Data, make_accelerator, make_architecture

__all__ = ["MODELS", "bench_models"]

PUBLISHED = {"generator.base_width": 64, "generator.depth": 6, "generator.hidden_width": 128}
"""SPADE as Park et al. give it for 256 px."""

MODELS: Mapping[str, Mapping[str, Any]] = {
    "rs_spade": {}, "pix2pix": {"model": "pix2pix"}, "control": {"model": "control"},
    "spade": {"model": "spade", **PUBLISHED},
}  # fmt: skip
LIMITS = {"spade": 1 / 6, "pix2pix": 2.5}
"""What a training step of rs_spade may cost at most, in steps of these."""

HEAVY = "spade"
"""Takes one turn where the others take `TURNS`."""
TURNS = 5

_PARTS = {
    "embeddings": ("embeddings",), "encoder": ("encoder", "down", "down_norms", "first"),
    "decoder": ("decoder", "up", "up_norms", "blocks", "head"),
}  # fmt: skip
"""Part of a step -> the generators' submodules that make it up."""


def training_config(data: Path, out: Path, options: Mapping[str, Any]) -> TrainingConfig:
    """The defaults of `train_gan.py`, one image a step, read in this process."""
    fixed = {"data": data, "out": out, "steps": 10**6, "batch_size": 1, "tracker": "none", "loader.workers": 0}
    words = [word for name, value in {**fixed, **options}.items() for word in (f"--{name}", str(value))]
    return read_options(TrainingConfig, words)


class Painter:
    """A fresh generator as a user loads one; `__call__` makes one image of all sources, in physical units."""

    def __init__(self, config: TrainingConfig, data: Data) -> None:
        architecture = make_architecture(config, data)
        info = GeneratorInfo(architecture=architecture, landcover_scheme=data.train.scheme.name)
        self.model = RSSpade(build_generator(architecture), info).eval()
        self.tile = data.train[0]

    def __call__(self) -> None:
        self.model(self.tile.sources, valid=self.tile.valid)


class Trainer:
    """A run under way; `__call__` makes one step: an image forth and back, both networks, the average."""

    def __init__(self, config: TrainingConfig, data: Data) -> None:
        self.run = Run.build(config, make_accelerator(config, Path(config.out) / "events"), data)
        self._steps = training_steps(self.run)

    def __call__(self) -> None:
        next(self._steps)


_WORK: Mapping[str, Callable[[TrainingConfig, Data], Trainer | Painter]] = {"training": Trainer, "inference": Painter}


def bench_models(data: Path, options: Mapping[str, Mapping[str, Any]] = MODELS, *, rounds: int = 2) -> dict[str, Any]:
    """Measure all, print the tables; returns the numbers. Times are those of a CPU."""
    memory = {what: {name: peak_memory(data, own, what) for name, own in options.items()} for what in _WORK}
    with tempfile.TemporaryDirectory() as folder:
        work: dict[str, dict[str, Any]] = {what: {} for what in _WORK}
        for name, own in options.items():
            config = training_config(data, Path(folder) / name, own)
            tiles = Data(config, torch.device("cpu"))
            for what, kind in _WORK.items():
                work[what][name] = kind(config, tiles)
        seconds = {what: interleaved(calls, rounds) for what, calls in work.items()}
        shares = {
            name: where_time_goes(call, steps=1 if name == HEAVY else TURNS) for name, call in work["training"].items()
        }
    height, width = tiles.train.crop_shape
    print(f"models    one image of {height}×{width} px, {torch.get_num_threads()} threads; in brackets: times rs_spade")
    print(_cost_table(seconds, memory))
    print(_share_table(shares))
    steps = seconds["training"]
    ratios = {other: steps["rs_spade"] / steps[other] for other in LIMITS}
    for other, ratio in ratios.items():
        print(f"a training step of rs_spade: {ratio:.3f} of one of {other} (wanted: at most {LIMITS[other]:.3f})")
    return {"seconds": seconds, "memory_mb": memory, "shares": shares, "step_ratios": ratios}


def interleaved(calls: Mapping[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Median seconds of each call, taken by turns after a warm-up."""
    seconds: dict[str, list[float]] = defaultdict(list)
    for number in range(rounds + 1):
        for name, call in calls.items():
            for _ in range(1 if name == HEAVY else TURNS):
                start = time.perf_counter()
                call()
                if number > 0:
                    seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(found) for name, found in seconds.items()}


def where_time_goes(trainer: Trainer, *, steps: int) -> dict[str, float]:
    """Share of a step's time by part; reading is timed by itself, "losses and the rest" is what remains."""
    run, spent = trainer.run, defaultdict[str, float](float)
    with contextlib.ExitStack() as undo:
        for part, names in _PARTS.items():
            for module in (m for name in names for m in _submodules(run.networks.plain_generator, name)):
                _watch(module, part, spent, undo)
        if run.networks.plain_discriminator is not None:
            _watch(run.networks.plain_discriminator, "discriminator", spent, undo)
        watched = [(run.accelerator, "backward", "backward"), (run.networks.average, "update", "average")]
        for owner, name, part in [*watched, *((o, "step", "optimizers") for o in run.networks.optimizers.values())]:
            setattr(owner, name, _timed(getattr(owner, name), part, spent))
            undo.callback(delattr, owner, name)
        total = _seconds(trainer, steps)
    spent["reading"] = _seconds(lambda: collate_samples([run.data.train[0]]), steps)
    spent["losses and the rest"] = total - sum(spent.values())
    return {part: own / total for part, own in spent.items()}


def _seconds(call: Callable[[], object], times: int) -> float:
    start = time.perf_counter()
    for _ in range(times):
        call()
    return time.perf_counter() - start


def _submodules(network: nn.Module, name: str) -> list[nn.Module]:
    module = getattr(network, name, None)
    return [] if module is None else list(module) if isinstance(module, nn.ModuleList) else [module]


def _watch(module: nn.Module, part: str, spent: dict[str, float], undo: contextlib.ExitStack) -> None:
    """Add up the time of its forward passes."""
    began: list[float] = []

    def done(*_: object) -> None:
        spent[part] += time.perf_counter() - began.pop()

    undo.callback(module.register_forward_pre_hook(lambda *_: began.append(time.perf_counter())).remove)
    undo.callback(module.register_forward_hook(done).remove)


def _timed(call: Callable[..., Any], part: str, spent: dict[str, float]) -> Callable[..., Any]:
    def timed(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 (whatever the call takes and gives)
        start = time.perf_counter()
        try:
            return call(*arguments, **options)
        finally:
            spent[part] += time.perf_counter() - start

    return timed


def peak_memory(data: Path, options: Mapping[str, Any], what: str) -> float:
    """Megabytes that training or inference takes beyond Python, its libraries and the data, in a process of its own."""
    words = [f"{name}={value}" for name, value in options.items()]
    command = [sys.executable, "-m", "experiments.bench.models", str(data), what, *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed")
    return float(done.stdout)


def _peak() -> float:
    """Megabytes that this process has held at most."""
    status = Path("/proc/self/status")
    if status.is_file():  # Linux hands ru_maxrss on from the process that started this one
        (line,) = (line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)


def _cost_table(seconds: Mapping[str, Mapping[str, float]], memory: Mapping[str, Mapping[str, float]]) -> str:
    columns = [(f"{what}, s", own) for what, own in seconds.items()]
    columns += [(f"{what}, MB", own) for what, own in memory.items()]
    names = list(columns[0][1])
    width = max(map(len, names)) + 2
    lines = [" " * width + "".join(f"{title:>20}" for title, _ in columns)]
    for name in names:
        cells = [f"{own[name]:.3g} ({own[name] / max(own['rs_spade'], 1e-9):.2f})" for _, own in columns]
        lines.append(f"{name:<{width}}" + "".join(f"{cell:>20}" for cell in cells))
    return "\n".join(lines)


def _share_table(shares: Mapping[str, Mapping[str, float]]) -> str:
    parts = list(dict.fromkeys(part for own in shares.values() for part in own))
    width = max(map(len, parts)) + 2
    lines = ["where a training step's time goes", " " * width + "".join(f"{name:>12}" for name in shares)]
    for part in sorted(parts, key=lambda p: -shares["rs_spade"].get(p, 0)):
        lines.append(f"{part:<{width}}" + "".join(f"{own.get(part, 0):>12.1%}" for own in shares.values()))
    return "\n".join(lines)


def main() -> None:
    """Print the memory that one model takes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("what", choices=tuple(_WORK))
    parser.add_argument("options", nargs="*", metavar="NAME=VALUE")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config = training_config(asked.data, Path(folder), dict(word.split("=", 1) for word in asked.options))
        data = Data(config, torch.device("cpu"))
        before = _peak()
        call = _WORK[asked.what](config, data)
        _seconds(call, 2)
    print(_peak() - before)


if __name__ == "__main__":
    main()
