"""The labels of a dataset: as class indices, counted, and refused where they cannot teach."""

import functools
import operator
from collections.abc import Mapping, Sequence
from typing import Literal, TypeVar

import numpy as np
import torch
from torch import Tensor

from rsspade.data.manifest import DatasetFolder, TileRow
from rsspade.data.packed import PackedTiles
from rsspade.data.torch_dataset import TileDataset
from rsspade.errors import InputError, explain
from rsspade.landcover import Scheme
from rsspade.sources import UNLABELLED
from segmentation.losses import IGNORED

__all__ = ["chosen_tiles", "label_indices", "labelled_tiles", "nested_subset", "open_tiles", "seen_pixels"]

_Mask = TypeVar("_Mask", Tensor, np.ndarray)

_SUBSET = 0x5AB5E7
"""Keeps the draws of the subset apart from all others that use the same seed."""


def seen_pixels(valid: Mapping[str, _Mask]) -> _Mask:
    """Source -> mask of the sources that a network sees: where there is an image; without S2, any source.

    Elevation counts as a source here, so that radar and elevation draw a map beyond the swath too. Other pixels reach no loss, no
    score and no map.
    """
    return valid["s2"] if "s2" in valid else functools.reduce(operator.or_, valid.values())


def label_indices(ids: Tensor, scheme: Scheme, seen: Tensor) -> Tensor:
    """Class ids (B, 1, H, W) uint8 -> class indices (B, H, W) int64, `IGNORED` where there is no label or nothing `seen` (B, H, W)."""
    return _table(scheme, ids.device)[ids[:, 0].long()].masked_fill(~seen, IGNORED)


@functools.lru_cache(maxsize=16)
@torch.inference_mode(mode=False)
def _table(scheme: Scheme, device: torch.device) -> Tensor:
    table = torch.full((256,), IGNORED, dtype=torch.int64)
    table[list(scheme.ids)] = torch.arange(len(scheme.classes))
    return table.to(device)


def open_tiles(folder: DatasetFolder, split: str | None, sources: Sequence[str], **options: object) -> TileDataset:
    """The tiles of a split with their labels; a dataset without labels is refused."""
    if "LULC" not in folder.info.sources:
        raise InputError(
            explain(folder.path, expected="a dataset with labels (LULC)", found=", ".join(folder.info.sources) or "no source",
                    fix="Prepare it with --lulc.")
        )  # fmt: skip
    conditions = [name for name in ("s1", "lulc", "dem") if name in sources or name == "lulc"]
    return TileDataset(folder, split=split, sources=conditions, need_optical="s2" in sources, **options)  # type: ignore[arg-type]


def labelled_tiles(tiles: TileDataset) -> np.ndarray:
    """Positions of the tiles that hold a label; ids outside the scheme are refused, and so are tiles without any."""
    _refuse_unknown_ids(tiles)
    counts = tiles.packed.class_counts[tiles.numbers][:, :-1].sum(axis=1)
    if not counts.any():
        raise InputError(
            explain(tiles.path, expected=f"labelled pixels in the split {tiles.split or 'train, val or test'}", found="none",
                    fix="Check the land cover with `rsspade check`.")
        )  # fmt: skip
    return np.flatnonzero(counts)


def _refuse_unknown_ids(tiles: TileDataset) -> None:
    """Look at the tiles that hold pixels outside the classes: is it 255, or an id that nobody knows?"""
    packed: PackedTiles = tiles.packed
    known = [*tiles.scheme.ids, *tiles.scheme.ignored, UNLABELLED]
    for row, number in zip(tiles.rows, tiles.numbers, strict=True):
        if packed.class_counts[number, -1] and packed.present["lulc"][number]:
            wrong = np.setdiff1d(packed.array("lulc")[number], known)
            if len(wrong):
                raise InputError(
                    explain(f"{tiles.path} LULC {row.tile}", expected=f"class ids of {tiles.scheme.name} ({', '.join(map(str, tiles.scheme.ids))})",
                            found=f"id {', '.join(map(str, wrong[:6]))}", fix="Prepare the data with the scheme that the labels have.")
                )  # fmt: skip


def chosen_tiles(
    rows: Sequence[TileRow], share: float, seed: int, *, by: Literal["tile", "scene"] = "tile"
) -> np.ndarray:
    """Positions of a share of the tiles, in order: of single ones, or of whole scenes, as many as come nearest to the share."""
    if by == "tile":
        return nested_subset([row.tile for row in rows], share, seed)
    scenes = np.array([row.scene for row in rows])
    names, sizes = np.unique(scenes, return_counts=True)
    shuffled = np.random.default_rng([_SUBSET, seed]).permutation(len(names))
    num = 1 + int(np.argmin(np.abs(np.cumsum(sizes[shuffled]) - share * len(rows))))
    return np.flatnonzero(np.isin(scenes, names[shuffled[:num]]))


def nested_subset(names: Sequence[str], share: float, seed: int) -> np.ndarray:
    """Positions of a share of the tiles, in order; by seed and names alone, a smaller share within any larger one."""
    order = np.argsort(np.array(names))
    shuffled = order[np.random.default_rng([_SUBSET, seed]).permutation(len(names))]
    return np.sort(shuffled[: max(round(share * len(names)), 1)])
