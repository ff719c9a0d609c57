"""Do a dataset and a trained run fit: sources, classes, bands, pixels; and has the run seen what would test it?"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from rsspade.data.check_files import TileView
from rsspade.data.check_report import Finding, Level, Section
from rsspade.data.check_splits import parent_of
from rsspade.data.footprints import neighbours_across_splits
from rsspade.data.manifest import DatasetFolder, TileRow
from rsspade.errors import InputError
from rsspade.evaluation import find_generator
from rsspade.landcover import find_map
from rsspade.models import GeneratorInfo, RSSpade
from rsspade.models.info import beginnings
from rsspade.models.seen import RANGED, Seen
from rsspade.options import parse_yaml
from rsspade.sources import source_named

__all__ = ["RunCheck"]

_MAX_CONFIG_BYTES = 1024 * 1024


class RunCheck:
    """What can be said of the two together; refuses a folder that holds no readable generator."""

    def __init__(self, dataset: DatasetFolder, run: Path) -> None:
        folder = find_generator(run)
        info = RSSpade.from_pretrained(folder).info
        self._dataset = dataset
        self._title = f"Fit with the run {run.name or run}"
        self._findings = [
            _sources(dataset, info),
            *_scheme(dataset, info),
            _bands(dataset, info),
            *_pixels(dataset, info),
        ]
        self._findings += [_split(dataset, info, folder), *_beginnings(dataset, info)]
        self._seen = Seen(info.training)

    def add(self, tile: TileView) -> None:
        """Take in one tile, of any split: is its relief such as the run was trained on?"""
        for name in RANGED:
            folder = source_named(name).folder
            image, valid = tile.images.get(folder), tile.valid(self._dataset, folder)
            if image is not None and valid is not None:
                self._seen.add(name, torch.from_numpy(image)[None], torch.from_numpy(valid)[None])

    def section(self) -> Section:
        """What was found; nothing on relief for a run that does not tell what it was trained on."""
        odd = [Finding(level=Level.WARNING, check="run.range", text=text) for text in self._seen.sentences()]
        text = "elevation and slope are such as the run was trained on"
        fine = [Finding(level=Level.OK, check="run.range", text=text)] if self._seen.counted else []
        return Section(title=self._title, findings=[*self._findings, *(odd or fine)])


def _sources(dataset: DatasetFolder, info: GeneratorInfo) -> Finding:
    held = [n for n in info.sources if any(dataset.has(n, row.tile) for row in dataset.rows)]
    missing = [n for n in info.sources if n not in held]
    if not held:
        text = f"the dataset holds none of {', '.join(info.sources)}, which the run was trained with"
        return Finding(level=Level.FAIL, check="run.sources", text=text, fix="Add a source, or use another run.")
    if missing:
        text = f"the run also knows {', '.join(missing)}, which no tile holds: it paints from {', '.join(held)} alone"
        return Finding(level=Level.NOTE, check="run.sources", text=text)
    text = f"the dataset holds what the run was trained with: {', '.join(held)}"
    return Finding(level=Level.OK, check="run.sources", text=text)


def _scheme(dataset: DatasetFolder, info: GeneratorInfo) -> list[Finding]:
    here, there = dataset.info.landcover_scheme, info.landcover_scheme
    if "lulc" not in info.sources or "LULC" not in dataset.info.sources:
        return []
    if here == there:
        return [Finding(level=Level.OK, check="run.scheme", text=f"land cover in the scheme of the run, {there}")]
    try:
        find_map(here, there)
        fix = f"Prepare the dataset with --landcover-to {there}, or leave lulc out of --sources."
    except InputError:
        fix = "There is no map between them: leave lulc out of --sources."
    text = f"land cover is in the scheme {here}, that of the run is {there}"
    return [Finding(level=Level.FAIL, check="run.scheme", text=text, fix=fix)]


def _bands(dataset: DatasetFolder, info: GeneratorInfo) -> Finding:
    made, held = info.architecture.optical_bands, dataset.optical_bands
    missing = [band for band in made if band not in held]
    if not held:
        text = f"the dataset holds no optical image; the run paints {', '.join(made)}, and nothing can score it"
        return Finding(level=Level.NOTE, check="run.bands", text=text)
    if missing:
        text = f"the run paints {', '.join(made)}; the optical images lack {', '.join(missing)}"
        fix = "Prepare the dataset with --s2-bands, or use a run that was trained on its bands."
        return Finding(level=Level.FAIL, check="run.bands", text=text, fix=fix)
    return Finding(level=Level.OK, check="run.bands", text=f"the run paints bands of the dataset: {', '.join(made)}")


def _pixels(dataset: DatasetFolder, info: GeneratorInfo) -> list[Finding]:
    here, there = dataset.info.pixel_size, info.pixel_size_m
    if there is None:
        return []
    if abs(here - there) > 0.01 * there:
        text = f"pixels of {here:g} m; the run was trained on pixels of {there:g} m, and would take a field for a garden or a garden for a field"
        fix = f"Prepare the dataset with --pixel-size {there:g}, or train on this one."
        return [Finding(level=Level.FAIL, check="run.pixel_size", text=text, fix=fix)]
    return [Finding(level=Level.OK, check="run.pixel_size", text=f"pixels of {here:g} m, as those of the run")]


def _split(dataset: DatasetFolder, info: GeneratorInfo, folder: Path) -> Finding:
    """Whether the run was trained on what is val or test here."""
    parent = parent_of(dataset)
    ours = {str(dataset.info.split.get("sha256", "")), str(parent.get("split_sha256", ""))}
    if info.split_sha256 and info.split_sha256 in ours:
        text = f"the run was trained on this split ({info.split_sha256[:12]}…)"
        if info.split_sha256 != dataset.info.split.get("sha256"):
            text = f"the run was trained on the split that these tiles were made from ({info.split_sha256[:12]}…)"
        return Finding(level=Level.OK, check="run.split", text=text)
    trained = _training_dataset(info, folder)
    if trained is None:
        text = f"the run was trained on another split ({info.split_sha256[:12] or 'unknown'}…), and that dataset is not at hand: whether it has seen val and test tiles of this one cannot be told"
        fix = "Check again where the dataset of its config.yaml lies, or make sure that the places differ."
        return Finding(level=Level.WARNING, check="run.split", text=text, fix=fix)
    seen = _seen(dataset, trained)
    if seen:
        text = f"the run was trained on the ground of {len(seen)} val and test tiles: its scores on them would be too good to be true"
        fix = "Score it on other tiles, or train on the train split of this dataset."
        return Finding(level=Level.FAIL, check="run.leak", text=text, fix=fix, places=seen)
    text = (
        f"the run was trained on another dataset ({trained.info.name}), on none of the val and test tiles of this one"
    )
    return Finding(level=Level.OK, check="run.split", text=text)


def _beginnings(dataset: DatasetFolder, info: GeneratorInfo) -> Iterator[Finding]:
    """The trainings that the run's weights went through before its own (`--init_from`), which may have seen more."""
    ours = {str(dataset.info.split.get("sha256", "")), str(parent_of(dataset).get("split_sha256", ""))}
    for begun in beginnings(info.training):
        split = str(begun.get("split_sha256", ""))
        if split not in ours:
            text = f"the run began with weights that were trained on {begun.get('dataset') or 'another dataset'}, by another split ({split[:12] or 'unknown'}…): whether they have seen val and test tiles of this dataset cannot be told"
            fix = "Make sure that the places differ, or train without --init_from."
            yield Finding(level=Level.WARNING, check="run.begun_with", text=text, fix=fix)


def _training_dataset(info: GeneratorInfo, folder: Path) -> DatasetFolder | None:
    """The dataset of the run, where it still lies where the run says, and still is what it was."""
    config = folder.parent / "config.yaml"
    try:
        if config.stat().st_size > _MAX_CONFIG_BYTES:
            return None
        content: Any = parse_yaml(config.read_text(encoding="utf-8"))
        named = Path(str(content["data"]))
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError):
        return None
    for place in (named, folder.resolve().parents[1] / named):  # from here, and from beside the run
        try:
            found = DatasetFolder.open(place)
        except (InputError, OSError):
            continue
        if info.split_sha256 and found.info.split.get("sha256") == info.split_sha256:
            return found
    return None


def _seen(dataset: DatasetFolder, trained: DatasetFolder) -> list[str]:
    """The val and test tiles that share ground with a tile that was trained on."""
    if _world(dataset) != _world(trained):
        return []  # invented land lies at the same coordinates in every world
    sizes = [d.info.tile_size * d.info.pixel_size for d in (dataset, trained)]
    step = min(sizes)
    here = [
        replace(part, split="test") for r in dataset.rows if r.split != "train" for part in _parts(r, sizes[0], step)
    ]
    there = [replace(part, split="train") for r in trained.in_split("train") for part in _parts(r, sizes[1], step)]
    found: dict[str, str] = {}
    for pair in neighbours_across_splits([*here, *there], step):
        if pair.shared_m2 > dataset.info.pixel_size**2:
            learnt, tile = sorted((pair.first, pair.second), key=lambda row: row.split == "test")
            found[tile.tile] = f"{tile.tile} (trained on {learnt.tile})"
    return [found[name] for name in sorted(found)]


def _parts(row: TileRow, size: float, step: float) -> Iterator[TileRow]:
    """A tile as squares of another side that cover it, so that tiles of two sizes can be compared."""
    starts: Sequence[float] = np.unique(np.minimum(np.arange(0, size, step), size - step)).tolist()
    for right in starts:
        for down in starts:
            yield replace(row, x_min=row.x_min + right, y_max=row.y_max - down)


def _world(dataset: DatasetFolder) -> object:
    """What tells the land of one built-in world from that of another; None for the Earth."""
    made_by: Any = dataset.info.made_by
    if not isinstance(made_by, dict) or "world" not in made_by:
        return None
    arguments = made_by.get("arguments")
    return [arguments.get(name) for name in ("seed", "variant", "scene_size")] if isinstance(arguments, dict) else []
