"""Calls of `rsspade scene` on the made-up land of `make_dataset`."""

from pathlib import Path

import rasterio

from rsspade.cli import main

SOURCES = {"s1": "S1", "lulc": "LULC", "dem": "DEM"}


def files(data: Path, source: str, stem: str = "s0") -> list[str]:
    """The tiles of one scene, which together make a mosaic."""
    return [str(p) for p in sorted((data / SOURCES.get(source, source)).glob(f"{stem}_*.tif"))]


def scene(run, data, out, *more, sources=("s1", "lulc", "dem")):
    """Its exit code."""
    given = [part for name in sources for part in (f"--{name}", *files(data, name))]
    return main(
        ["scene", "--run", str(run), *given, "--landcover-scheme", "dynamic_world", "--out", str(out), *map(str, more)]
    )


def rewritten(path: Path, out: Path, change, **new) -> Path:
    """A raster again, with other values or another profile."""
    with rasterio.open(path) as src:
        values, profile, names = change(src.read()), src.profile, src.descriptions
    profile.update(height=values.shape[1], width=values.shape[2], count=len(values), dtype=values.dtype, **new)
    with rasterio.open(out, "w", **profile) as dst:
        dst.write(values)
        if len(names) == len(values):
            dst.descriptions = names
    return out
