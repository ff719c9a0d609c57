"""Finished rows of a scene on disk, so that whoever is interrupted keeps them.

A plain file of 16-bit numbers, row by row and in a row band by band: it only ever grows at its end, so that a crash can
damage nothing but rows that do not count yet. GDAL reads it through the small header beside it (ENVI, "bil").
"""

import json
import os
from pathlib import Path

import numpy as np

from rsspade.data.geotiff import write_bytes_atomically
from rsspade.jobs import disk_errors, unit_file

__all__ = ["RowFile"]

_DTYPE = np.dtype("<u2")


class RowFile:
    """Rows (bands, rows, width) uint16 that are appended once and can be read again.

    Args:
        folder: Of the job; how many rows are finished stands among its units.
        name: Of the file.
        bands: Of a row.
        width: Of a row.
    """

    def __init__(self, folder: Path, name: str, *, bands: int, width: int) -> None:
        self.path = folder / f"{name}.bil"
        self._unit = unit_file(folder, f"{name}-rows")
        self.bands, self._width = bands, width
        self._row_bytes = bands * width * _DTYPE.itemsize
        self.rows = 0
        held = self.path.stat().st_size // self._row_bytes if self.path.is_file() else 0
        if self._unit.is_file() and (finished := json.loads(self._unit.read_text(encoding="utf-8"))["rows"]) <= held:
            self.rows = finished
        with disk_errors(self.path), self.path.open("ab") as file:
            file.truncate(self.rows * self._row_bytes)

    def append(self, rows: np.ndarray) -> None:
        """Add (bands, rows, width); they count once they are safely on the disk."""
        with disk_errors(self.path), self.path.open("ab") as file:
            file.write(np.ascontiguousarray(rows.swapaxes(0, 1), _DTYPE).data)
            file.flush()
            os.fsync(file.fileno())
        self.rows += rows.shape[1]
        write_bytes_atomically(self._unit, json.dumps({"rows": self.rows}).encode())

    def read(self, first: int, last: int, columns: slice = slice(None)) -> np.ndarray:
        """Rows `first` to `last` (that one not) as (bands, rows, width); of these columns alone."""
        shape = (last - first, self.bands, self._width)
        held = np.memmap(self.path, _DTYPE, "r", offset=first * self._row_bytes, shape=shape)
        return np.array(held[:, :, columns].swapaxes(0, 1))

    def finish(self) -> Path:
        """Write the header; returns the file as GDAL opens it."""
        bands, width = self.bands, self._width
        header = f"ENVI\nsamples = {width}\nlines = {self.rows}\nbands = {bands}\ndata type = 12\ninterleave = bil\nbyte order = 0\nheader offset = 0\n"
        with disk_errors(self.path):
            write_bytes_atomically(self.path.with_suffix(".hdr"), header.encode())
        return self.path
