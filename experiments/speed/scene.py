"""How fast a whole scene is painted by `rsspade scene`, and what of that is the network alone.

The generators are untrained: what they paint means nothing, what they cost does. In memory it is the same work as the
command's, without the start of Python.
"""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from experiments.cells.timing import interleaved
from experiments.speed.models import Painter, best_device, training_config
from experiments.speed.plan import HEAVY, Preset
from rsspade.models import RSSpade
from rsspade.synthesis.scene import SceneOptions, make_scene
from rsspade.synthesis.scene_inputs import SceneInputs, plan_inputs
from rsspade.synthesis.tiles import plan_tiles
from rsspade.training.parts import Data

__all__ = ["measure_scene"]


def measure_scene(data: Path, world: Path, folder: Path, preset: Preset) -> dict[str, Any]:
    """Megapixels per second, and seconds of a scene in times of its network; `world` is one scene in one tile."""
    calls: dict[str, Callable[[], object]] = {}
    side = min(SceneOptions().tile, preset.scene)
    options = SceneOptions(tile=side, overlap=side // 4)
    for name, own in preset.models.items():
        if name == HEAVY:
            continue  # minutes for a scene; its inference is measured
        config = training_config(data, folder / name, own)
        model = Painter(config, Data(config, best_device())).model
        paths = {source: [*(world / source.upper()).glob("*.tif")] for source in model.info.sources}
        inputs = plan_inputs(paths, model.info, scheme=model.info.landcover_scheme)
        calls[name] = _scene(model, inputs, options, folder / "scenes" / name)
        calls[f"{name}, network alone"] = _network(model, inputs, options)
    times = interleaved(calls, rounds=preset.rounds)
    names = [name for name in preset.models if name != HEAVY]
    return {
        "side": preset.scene, "tile": options.tile, "overlap": options.overlap, "threads": torch.get_num_threads(),
        "megapixels_per_s": {name: preset.scene**2 / 1e6 / times.seconds(name) for name in names},
        "ratios": {name: times.ratio("rs_spade", name) for name in names if name != "rs_spade"},
        "of_network": {name: times.ratio(name, f"{name}, network alone") for name in names},
    }  # fmt: skip


def _scene(model: RSSpade, inputs: SceneInputs, options: SceneOptions, folder: Path) -> Callable[[], object]:
    folder.mkdir(parents=True)
    numbers = itertools.count()  # a finished scene is never overwritten
    return lambda: make_scene(folder / f"{next(numbers)}.tif", model, inputs, options, arguments={}, tags={})


def _network(model: RSSpade, inputs: SceneInputs, options: SceneOptions) -> Callable[[], object]:
    """The same tiles of nothing, and nothing done with the images."""
    plan = plan_tiles(
        inputs.grid.height, inputs.grid.width, tile=options.tile, overlap=options.overlap,
        multiple=2**model.info.architecture.depth,
    )  # fmt: skip
    size = (plan.tile_height, plan.tile_width)
    tile = {"s1": torch.zeros(2, *size), "lulc": torch.zeros(1, *size), "dem": torch.zeros(4, *size)}

    def run() -> None:
        for _ in range(len(plan.rows) * len(plan.columns)):
            model(tile).cpu()

    return run
