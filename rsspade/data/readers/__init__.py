"""Readers of public datasets, each with the dataset's own splits, behind one small interface."""

from rsspade.data.readers.base import Georeference, PublicReader, PublicTile, TileEntry, TileReader
from rsspade.data.readers.convert import convert
from rsspade.data.readers.sen12ms import OFFICIAL_SPLITS, Sen12msReader, read_scene_list
from rsspade.data.readers.terramesh import TerraMeshReader

__all__ = [
    "OFFICIAL_SPLITS",
    "Georeference",
    "PublicReader",
    "PublicTile",
    "Sen12msReader",
    "TerraMeshReader",
    "TileEntry",
    "TileReader",
    "convert",
    "read_scene_list",
]
