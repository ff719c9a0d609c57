"""Where a training step's time goes, part by part."""

import contextlib
import time
from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import nn

from experiments.cells.timing import wait
from rsspade.data.collate import collate_samples

if TYPE_CHECKING:
    from experiments.speed.models import Trainer

__all__ = ["where_time_goes"]

_PARTS = {
    "embeddings": ("embeddings",), "encoder": ("encoder", "down", "down_norms", "first"),
    "decoder": ("decoder", "up", "up_norms", "blocks", "head"),
}  # fmt: skip
"""Part of a step -> the generators' submodules that make it up."""


def where_time_goes(trainer: "Trainer", *, steps: int) -> dict[str, float]:
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
    tiles = [n % len(run.data.train) for n in range(run.config.batch_size)]
    spent["reading"] = _seconds(lambda: collate_samples([run.data.train[n] for n in tiles]), steps)
    spent["losses and the rest"] = total - sum(spent.values())
    return {part: own / total for part, own in spent.items()}


def _seconds(call: Callable[[], object], times: int) -> float:
    start = _now()
    for _ in range(times):
        call()
    return _now() - start


def _now() -> float:
    wait()
    return time.perf_counter()


def _submodules(network: nn.Module, name: str) -> list[nn.Module]:
    module = getattr(network, name, None)
    return [] if module is None else list(module) if isinstance(module, nn.ModuleList) else [module]


def _watch(module: nn.Module, part: str, spent: dict[str, float], undo: contextlib.ExitStack) -> None:
    """Add up the time of its forward passes."""
    began: list[float] = []

    def done(*_: object) -> None:
        spent[part] += _now() - began.pop()

    undo.callback(module.register_forward_pre_hook(lambda *_: began.append(_now())).remove)
    undo.callback(module.register_forward_hook(done).remove)


def _timed(call: Callable[..., Any], part: str, spent: dict[str, float]) -> Callable[..., Any]:
    def timed(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 (whatever the call takes and gives)
        start = _now()
        try:
            return call(*arguments, **options)
        finally:
            spent[part] += _now() - start

    return timed
