"""A real image with its clouds filled: clear pixels stay as they are, the gaps get the synthetic image, fitted to them.

The fit (see `correction`) follows the last clear pixels at the rim of a gap: the feathered edge lies inside it. It is
added block by block, each with enough of its surroundings that the
result does not depend on the blocks.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rsspade.errors import InputError, explain
from rsspade.geo.grid import Grid
from rsspade.geo.inputs import refuse_empty
from rsspade.geo.mosaic import fitted
from rsspade.geo.optical_input import OpticalInput, plan_optical
from rsspade.geo.plan import grid_of_file
from rsspade.geo.raster import RasterFile, inspect_raster, read_bands, sample
from rsspade.geo.windows import read_optical
from rsspade.progress import progress_bar
from rsspade.synthesis.cog import NODATA, SCALE, Encoding
from rsspade.synthesis.correction import CORRECTION_MARGIN, LATTICE, SceneFit, local_correction
from rsspade.synthesis.rows import RowFile

__all__ = ["FillInput", "Filled", "fill_rows", "plan_fill"]

_BLOCK = 16 * LATTICE

_SHOWN = 6
"""Values of a mask that an error names."""

_OFFSETS = (0.0, -0.1, -0.3)
"""Of the result: reflectance after correction for the atmosphere may be slightly negative; -0.1 is that of products from 2022 on."""

_CLEAR_IN_SCL = {4, 5, 6, 7, 11}
_SCL = {*range(12), 255}
_MOST_CLASSES = 64
"""In a block; a mask of more values is none of classes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FillInput:
    """A clouded image and where it is clouded.

    Attributes:
        optical: The image.
        mask: One band on the same pixels: 0 is clear, everything else is filled.
        index: Which band of the mask.
        grid: Of both.
        encoding: Of the result: the image's own numbers, where they are reflectance × 10000 plus an offset.
        date: Of the image.
    """

    optical: OpticalInput
    mask: RasterFile
    index: int
    grid: Grid
    encoding: Encoding
    date: str

    def read(self, window: Grid) -> tuple[np.ndarray, np.ndarray]:
        """Reflectance (bands, H, W), and where it is clear and known (H, W)."""
        image = read_optical(self.optical, window)
        row = round((self.grid.y_max - window.y_max) / self.grid.pixel_size)
        column = round((window.x_min - self.grid.x_min) / self.grid.pixel_size)
        mask = read_bands(
            self.mask, [self.index], window=((row, row + window.height), (column, column + window.width))
        )[0]
        return image, (mask == 0) & np.isfinite(image).all(axis=0)


@dataclass(frozen=True, slots=True)
class Filled:
    """Shares of the pixels of a result.

    Attributes:
        kept: From the real image: the mask is 0 and the image holds data.
        empty: Neither kept nor painted, since no source holds a value there.
    """

    kept: float
    empty: float

    @property
    def filled(self) -> float:
        """Synthetic."""
        return max(0.0, 1 - self.kept - self.empty)


def plan_fill(image: Path, mask: Path, bands: tuple[str, ...], offset: str) -> FillInput:
    """Inspect both files; refuse a mask that does not lie on the image."""
    grid = grid_of_file(image)
    optical = plan_optical([image], bands, offset)
    place, cover = inspect_raster(image), inspect_raster(mask)
    if (cover.width, cover.height) != (place.width, place.height):
        raise InputError(
            explain(f"--mask {mask}", expected=f"{place.width}×{place.height} pixels, as many as {image.name} has",
                    found=f"{cover.width}×{cover.height}", fix="Warp the mask to the image's pixels, for instance with `rio warp --like`.")
        )  # fmt: skip
    shift = max(abs(a - b) for a, b in zip(cover.bounds, place.bounds, strict=True))
    if cover.crs != place.crs or shift > 0.01 * grid.pixel_size:
        raise InputError(
            explain(f"--mask {mask}", expected=f"the place of {image.name} ({place.crs}, upper left {place.bounds[0]:.0f}, {place.bounds[3]:.0f})",
                    found=f"{cover.crs}, upper left {cover.bounds[0]:.0f}, {cover.bounds[3]:.0f}", fix="Warp the mask to the image's pixels, for instance with `rio warp --like`.")
        )  # fmt: skip
    if cover.count != 1:
        raise InputError(
            explain(
                f"--mask {mask}",
                expected="one band, 0 where clear",
                found=f"{cover.count} bands",
                fix="Extract the mask.",
            )
        )
    if 0 in cover.nodata:
        raise InputError(
            explain(f"--mask {mask}", expected="0 where the image is clear", found="0 declared as nodata", fix="Say that 0 is a value: `rio edit-info --unset-nodata FILE`.")
        )  # fmt: skip
    refuse_empty([sample(cover, [1])], [mask], "a cloud mask")
    _refuse_classes(cover, mask)
    optical = OpticalInput(
        mosaic=fitted(optical.mosaic, grid), radiometry=optical.radiometry, scl=None, date=optical.date
    )
    return FillInput(
        optical=optical,
        mask=cover, index=1, grid=grid, encoding=_encoding_of(optical, grid), date=optical.date,
    )  # fmt: skip


def _refuse_classes(cover: RasterFile, mask: Path) -> None:
    """Refuse a mask without a clear pixel, and one of classes of which 0 is not the clear one: all would be filled."""
    seen = set[float]()
    for first in range(0, cover.height, _BLOCK):
        part = read_bands(cover, [1], window=((first, min(first + _BLOCK, cover.height)), (0, cover.width)))[0]
        found = np.unique(part[np.isfinite(part)])
        few = found if len(found) <= _MOST_CLASSES else np.r_[found[:_SHOWN], found[-1:], found[found == 0]]
        seen.update(few.tolist())
    classes = seen & _CLEAR_IN_SCL
    if 0 in seen and (len(classes) < 2 or not seen <= _SCL):
        return
    shown = ", ".join(f"{value:g}" for value in sorted(classes if 0 in seen else seen)[:_SHOWN])
    raise InputError(
        explain(f"--mask {mask}", expected="0 where the image is clear", found=f"{shown} beside 0" if 0 in seen else f"no 0, but {shown}",
                fix="Make a mask of it: in a Sentinel-2 scene classification (SCL) 4, 5, 6, 7 and 11 are clear.")
    )  # fmt: skip


def _encoding_of(optical: OpticalInput, grid: Grid) -> Encoding:
    """That of the file's numbers where ours can be the same; else, such as for floating point, one that holds all values."""
    part = optical.mosaic.parts[0]
    how = optical.radiometry[str(part.file.path)]
    scale, offset = part.file.scales[part.indexes[0] - 1], part.file.offsets[part.indexes[0] - 1]
    own = 0.0
    if how.scale == 1 and abs(scale - SCALE) < 1e-9 * SCALE:
        own = offset
    elif how.scale == 1 / SCALE:
        own = how.offset * SCALE
    counts = part.file.dtype.startswith("uint") and (how.scale == 1 / SCALE or offset == 0)  # none of them is negative
    if own != 0 or counts:
        return Encoding(own)
    lowest = _lowest_value(optical, grid)
    return Encoding(next((held for held in _OFFSETS if lowest >= held - SCALE / 2), _OFFSETS[-1]))


def _lowest_value(optical: OpticalInput, grid: Grid) -> float:
    lowest = 0.0
    for first in range(0, grid.height, _BLOCK):
        image = read_optical(optical, grid.window(first, 0, min(_BLOCK, grid.height - first), grid.width))
        lowest = min(lowest, float(np.min(image, initial=0.0, where=np.isfinite(image))))
        if lowest < _OFFSETS[-2]:
            break  # the last one is the lowest there is
    return lowest


def fill_rows(
    folder: Path, synthetic: RowFile, fill: FillInput, grid: Grid, *, num_bands: int
) -> tuple[RowFile, Filled]:
    """Join the clear pixels with the fitted synthetic image, as another file of rows; and say what it is made of.

    Args:
        folder: Of the job.
        synthetic: All rows of the synthetic image; bands behind the first `num_bands` are its spread.
        fill: The real image, on `grid`.
        grid: Of the scene.
        num_bands: Of the image.
    """
    out = RowFile(folder, "filled", bands=synthetic.bands, width=grid.width)
    fit, kept = _fit_scene(synthetic, fill, grid, num_bands)
    with progress_bar(total=grid.height * grid.width, title="fill", unit="px") as bar:
        bar.update(out.rows * grid.width)
        while out.rows < grid.height:
            first, last = out.rows, min(out.rows + _BLOCK, grid.height)
            joined = synthetic.read(first, last)
            for column in range(0, grid.width, _BLOCK):
                place = (first, column, last - first, min(_BLOCK, grid.width - column))
                _fill_block(joined, synthetic, fill, grid, fit, place)
            out.append(joined)
            bar.update((last - first) * grid.width)
    empty = sum(
        int((out.read(row, min(row + _BLOCK, grid.height))[0] == NODATA).sum()) for row in range(0, grid.height, _BLOCK)
    )
    pixels = grid.height * grid.width
    return out, Filled(kept / pixels, empty / pixels)


def _fit_scene(synthetic: RowFile, fill: FillInput, grid: Grid, num_bands: int) -> tuple[SceneFit, int]:
    """What the whole scene shares, and how many of its pixels are kept."""
    fit, kept = SceneFit(num_bands), 0
    for first in range(0, grid.height, LATTICE):
        last = min(first + LATTICE, grid.height)
        image, clear = fill.read(grid.window(first, 0, last - first, grid.width))
        painted = fill.encoding.decode(synthetic.read(first, last)[:num_bands])
        fit.add(painted, image, clear & np.isfinite(painted).all(axis=0))
        kept += int(clear.sum())
    return fit, kept


def _fill_block(
    joined: np.ndarray, synthetic: RowFile, fill: FillInput, grid: Grid, fit: SceneFit, place: tuple[int, int, int, int]
) -> None:
    """Overwrite one block (row, column, height, width) of rows of the synthetic image with what it shall hold."""
    row, column, height, width = place
    image, clear = fill.read(grid.window(row, column, height, width))
    numbers = joined[:, :, column : column + width]
    bands = len(image)
    if not clear.all():
        fitted_image = _fitted_image(synthetic, fill, grid, fit, place)
        numbers[:bands] = fill.encoding.encode(fitted_image, np.isfinite(fitted_image).all(axis=0))
    numbers[:bands, clear] = fill.encoding.encode(image, clear)[:, clear]
    numbers[bands:, clear] = 0  # what was seen has no spread


def _fitted_image(
    synthetic: RowFile, fill: FillInput, grid: Grid, fit: SceneFit, place: tuple[int, int, int, int]
) -> np.ndarray:
    """The synthetic image of a block with its corrections, from as much of its surroundings as they depend on."""
    row, column, height, width = place
    top, left = max(0, row - CORRECTION_MARGIN), max(0, column - CORRECTION_MARGIN)
    bottom, right = (
        min(end, first + length + CORRECTION_MARGIN)
        for end, first, length in ((grid.height, row, height), (grid.width, column, width))
    )
    image, clear = fill.read(grid.window(top, left, bottom - top, right - left))
    painted = fill.encoding.decode(synthetic.read(top, bottom, slice(left, right))[: len(image)])
    painted += fit.predict(painted)
    difference = image - painted
    missing = ((0, -clear.shape[0] % LATTICE), (0, -clear.shape[1] % LATTICE))
    known = np.pad(clear & np.isfinite(difference).all(axis=0), missing)
    painted += local_correction(np.pad(difference, ((0, 0), *missing)), known)[:, : clear.shape[0], : clear.shape[1]]
    return painted[:, row - top : row - top + height, column - left : column - left + width]
