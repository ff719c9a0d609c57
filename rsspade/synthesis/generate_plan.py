"""What `generate` is going to do, and everything that could forbid it, before the first image is made."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rsspade import __version__
from rsspade.data.manifest import SPLITS, DatasetFolder, TileRow
from rsspade.data.packed import open_packed
from rsspade.data.packing import list_contents
from rsspade.data.torch_dataset import TileDataset
from rsspade.errors import ConfigError, InputError, OutputError, RSSpadeWarning, check_seed, explain
from rsspade.models import RSSpade
from rsspade.sources import CONDITIONS, Source, optical_source
from rsspade.synthesis.provenance import Origin
from rsspade.synthesis.residuals import RULE

__all__ = ["ALL", "GenerateOptions", "Plan", "make_plan", "refuse_place", "warn_of_oddities"]

ALL = "all"
"""Every split."""

_LENDERS = 0x1E4D
"""Keeps the choice of donors apart from other draws of the same seed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerateOptions:
    """What is asked for.

    Attributes:
        split: `train`, `val`, `test` or `all`.
        sources: What the model may see; None for all that it knows and the dataset holds.
        samples: Images per tile; 1 for the deterministic one.
        seed: Of the draws.
        residuals: Real training tiles at most whose residuals are laid over the images; 0 for plain ones.
        batch_size: Tiles at a time.
    """

    split: str = "train"
    sources: tuple[str, ...] | None = None
    samples: int = 1
    seed: int = 0
    residuals: int = 0
    batch_size: int = 8

    def __post_init__(self) -> None:
        _check("--split", self.split in (*SPLITS, ALL), f"one of {', '.join((*SPLITS, ALL))}", repr(self.split))
        _check("--samples", 1 <= self.samples <= 999, "1 to 999", str(self.samples))
        check_seed(self.seed)
        _check("--residuals", 0 <= self.residuals <= 9999, "0 to 9999", str(self.residuals))
        _check("--batch-size", self.batch_size >= 1, "at least 1", str(self.batch_size))


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The work, checked.

    Attributes:
        model: The generator.
        origin: What is said of it.
        dataset: Whose tiles are synthesised.
        tiles: Those of the split, with every source that the dataset holds.
        numbers: Positions in `tiles` of those that hold one of the sources at least.
        sources: What the model may see.
        held: Every conditioning source of the dataset, seen or not.
        donors: Real training tiles; None where no residuals are asked for.
        lenders: Positions in `donors` of those that lend theirs.
    """

    options: GenerateOptions
    model: RSSpade
    origin: Origin
    dataset: DatasetFolder
    tiles: TileDataset
    numbers: tuple[int, ...]
    sources: tuple[str, ...]
    held: tuple[str, ...]
    donors: TileDataset | None = None
    lenders: tuple[int, ...] = ()

    @property
    def optical(self) -> Source:
        """The optical source as it will be written: the bands that the model makes."""
        return optical_source(self.model.info.architecture.optical_bands)

    @property
    def skipped(self) -> int:
        """How many tiles of the split hold none of the sources."""
        return len(self.tiles) - len(self.numbers)

    def row(self, number: int) -> TileRow:
        """The line of a tile in the dataset's `tiles.csv`."""
        row = self.tiles.rows[number]
        assert isinstance(row, TileRow)
        return row

    def stems(self, number: int) -> list[str]:
        """The names of a tile's images, one per sample."""
        tile, samples = self.row(number).tile, self.options.samples
        if samples == 1:
            return [tile]
        digits = max(2, len(str(samples)))
        return [f"{tile}__n{n:0{digits}d}" for n in range(1, samples + 1)]

    def truth_bands(self) -> list[int] | None:
        """Where the model's bands stand among the dataset's optical ones; None where one is missing."""
        held = self.tiles.optical_bands
        wanted = self.optical.band_names
        has_optical = "S2" in self.dataset.info.sources
        return [held.index(band) for band in wanted] if has_optical and set(wanted) <= set(held) else None

    def batches(self) -> list[tuple[int, ...]]:
        """The tiles in groups that do not depend on what is done or on how many processes there are."""
        size = self.options.batch_size
        return [self.numbers[start : start + size] for start in range(0, len(self.numbers), size)]

    def arguments(self) -> dict[str, Any]:
        """Everything that the result depends on; not the batch size, so that a job may go on with a smaller one."""
        return {
            "command": "generate", "software": __version__, "generator": self.origin.to_json(),
            "dataset": list_contents(self.dataset).fingerprint, "split": self.options.split, "sources": list(self.sources),
            "samples": self.options.samples, "seed": self.options.seed, **self.lent,
        }  # fmt: skip

    @property
    def lent(self) -> dict[str, Any]:
        """How many residuals are asked for, whose they are and how they are laid over; empty where none are."""
        if self.donors is None:
            return {}
        donors = [self.donors.rows[n].tile for n in self.lenders]
        return {"residuals": self.options.residuals, "residuals_rule": RULE, "donors": donors}


def make_plan(
    options: GenerateOptions,
    model: RSSpade,
    origin: Origin,
    dataset: DatasetFolder,
    *,
    donors: DatasetFolder | None = None,
) -> Plan:
    """Look at what there is; refuses what cannot be done.

    Args:
        options: What is asked for.
        model: The generator.
        origin: What is said of it.
        dataset: Whose tiles are synthesised.
        donors: Whose real training tiles lend their residuals; None for those of `dataset`.
    """
    packed = open_packed(dataset)
    held = tuple(name for name in CONDITIONS if name in packed.present and packed.present[name].any())
    sources = _choose(options.sources, model, dataset, held)
    if "lulc" in sources:
        model.check_scheme(dataset.info.landcover_scheme, dataset.path)
    _refuse_without_variety(options, model)
    tiles = TileDataset(
        dataset, split=None if options.split == ALL else options.split, sources=held, random_crops=False, need_optical=False,
        with_sun=model.info.architecture.sun,
    )  # fmt: skip
    usable = [n for n, number in enumerate(tiles.numbers) if any(packed.present[name][number] for name in sources)]
    if not usable:
        raise InputError(
            explain(dataset.path, expected=f"tiles with one of {', '.join(sources)} in the split {options.split}", found="none",
                    fix="Choose other --sources or another --split.")
        )  # fmt: skip
    plan = Plan(
        options=options, model=model, origin=origin, dataset=dataset, tiles=tiles, numbers=tuple(usable), sources=sources,
        held=held,
    )  # fmt: skip
    return _with_donors(plan, donors or dataset) if options.residuals else plan


def _with_donors(plan: Plan, folder: DatasetFolder) -> Plan:
    """Choose the real training tiles whose residuals are laid over: those with a clear image, land cover and a source."""
    if "lulc" not in plan.held:
        raise InputError(
            explain(f"--residuals {plan.dataset.path}", expected="a dataset with land cover", found=", ".join(plan.held),
                    fix="Leave the option out.")
        )  # fmt: skip
    bands, wanted = folder.optical_bands, plan.optical.band_names
    if not {"LULC", "S2"} <= folder.info.sources.keys() or not set(wanted) <= set(bands):
        held = [
            *(name for name in folder.info.sources if name != "S2"),
            f"S2 ({', '.join(bands)})" if bands else "no S2",
        ]
        raise InputError(
            explain(f"--residuals {folder.path}", expected=f"a dataset with land cover and real images in {', '.join(wanted)}",
                    found=", ".join(held), fix="Leave the option out.")
        )  # fmt: skip
    tiles = TileDataset(
        folder, split="train", sources=plan.held, random_crops=False, with_sun=plan.model.info.architecture.sun
    )
    present = tiles.packed.present
    found = [
        n for n, number in enumerate(tiles.numbers)
        if present["lulc"][number] and any(present[name][number] for name in plan.sources) and not _is_synthetic(tiles.rows[n])
    ]  # fmt: skip
    if not found:
        raise InputError(
            explain(f"--residuals {folder.path}", expected="real training tiles with a clear image and land cover", found="none",
                    fix="Leave the option out.")
        )  # fmt: skip
    order = np.random.default_rng([_LENDERS, plan.options.seed]).permutation(len(found))
    chosen = sorted(found[n] for n in order[: plan.options.residuals])
    return replace(plan, donors=tiles, lenders=tuple(chosen))


def _is_synthetic(row: object) -> bool:
    return bool(getattr(row, "synthetic", False))


def warn_of_oddities(plan: Plan) -> None:
    """What does not forbid the work, but should be known."""
    if plan.skipped:
        warnings.warn(
            f"{plan.skipped} of {len(plan.tiles)} tiles hold none of {', '.join(plan.sources)} and are left out.",
            RSSpadeWarning, stacklevel=2,
        )  # fmt: skip
    begun, own = plan.model.info.split_sha256, str(plan.dataset.info.split.get("sha256", ""))
    if begun and begun != own:
        warnings.warn(
            f"the run was trained on another split than that of {plan.dataset.path}: segmentation.train will not take these images beside it.",
            RSSpadeWarning, stacklevel=2,
        )  # fmt: skip
    trained, here = plan.model.info.pixel_size_m, plan.dataset.info.pixel_size
    if trained is not None and abs(trained - here) > 0.01 * trained:
        warnings.warn(
            f"the model was trained on pixels of {trained:g} m, those of {plan.dataset.path} measure {here:g} m.",
            RSSpadeWarning, stacklevel=2,
        )  # fmt: skip


def refuse_place(out: Path, dataset: Path) -> None:
    """Refuse an output that would mix with its input."""
    place, inside = out.resolve(), dataset.resolve()
    if place == inside or inside in place.parents:
        raise OutputError(
            explain(f"--out {out}", expected="a folder outside the dataset", found="the dataset itself" if place == inside else f"one within {dataset}",
                    fix="Choose another --out.")
        )  # fmt: skip


def _choose(
    asked: Sequence[str] | None, model: RSSpade, dataset: DatasetFolder, held: tuple[str, ...]
) -> tuple[str, ...]:
    known = model.info.sources
    usable = tuple(name for name in known if name in held)
    if not usable:
        raise InputError(
            explain(dataset.path, expected=f"a dataset with one of {', '.join(known)}, which the model was trained with",
                    found=", ".join(held) or "none of them", fix="Add a source, or use another run.")
        )  # fmt: skip
    unknown = [name for name in asked or () if name not in usable]
    if unknown:
        raise InputError(
            explain("--sources", expected=f"a subset of {', '.join(usable)}, which both the model and the dataset know",
                    found=", ".join(unknown), fix="Leave out what is not there.")
        )  # fmt: skip
    return usable if asked is None else tuple(name for name in usable if name in asked)


def _refuse_without_variety(options: GenerateOptions, model: RSSpade) -> None:
    if options.samples > 1 and not model.has_variety and not options.residuals:
        raise InputError(
            explain("--samples", expected="1 with a model that was trained without variety", found=str(options.samples),
                    fix="Leave the option out, ask for --residuals 256, or train with --generator.variety_width 16.")
        )  # fmt: skip


def _check(option: str, holds: bool, expected: str, found: str) -> None:
    if not holds:
        raise ConfigError(explain(option, expected=expected, found=found, fix="Correct the option."))
