"""Land-cover schemes and the named maps between them.

A scheme is a list of classes with ids, names and colours. Rasters are stored in the ids of one scheme,
255 where there is no label; what a product writes for "no data" and for "cloud" becomes 255 on the way in.
A map is named `FROM_to_TO`; where none is given, a conversion is refused, never guessed.

Class tables: Dynamic World (Brown et al. 2022), ESA WorldCover 2021 v200, Esri / Impact Observatory annual,
TerraMesh's re-packed Esri classes, IGBP as in MODIS MCD12Q1. The RS-SPADE paper names nine classes but not how
it drew them from Dynamic World; two readings are kept, `rs_spade_h1` (shrub becomes "bare surface", built is
left out) and `rs_spade_h1b` (built becomes "bare surface", shrub is left out).
"""

from dataclasses import dataclass, field

import numpy as np

from rsspade.errors import InputError, explain
from rsspade.sources import UNLABELLED

__all__ = ["MAPS", "SCHEMES", "LandCoverClass", "LandCoverMap", "Scheme", "find_map", "scheme_named"]


@dataclass(frozen=True, slots=True)
class LandCoverClass:
    """One class of a scheme."""

    id: int
    name: str
    colour: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Scheme:
    """A list of classes; `ignored` are the raw ids that mean "no label" (no data, cloud)."""

    name: str
    title: str
    classes: tuple[LandCoverClass, ...]
    ignored: frozenset[int] = field(default_factory=frozenset)

    @property
    def ids(self) -> tuple[int, ...]:
        """The class ids, in order."""
        return tuple(c.id for c in self.classes)

    @property
    def names(self) -> tuple[str, ...]:
        """The class names, in the order of the ids."""
        return tuple(c.name for c in self.classes)

    def colormap(self) -> dict[int, tuple[int, int, int, int]]:
        """Class id -> red, green, blue, alpha (0..255), as a GeoTIFF colour table wants it."""
        table = {
            c.id: (int(c.colour[1:3], 16), int(c.colour[3:5], 16), int(c.colour[5:7], 16), 255) for c in self.classes
        }
        table[UNLABELLED] = (0, 0, 0, 0)
        return table

    def indices(self, ids: np.ndarray) -> np.ndarray:
        """Class ids -> 0..K-1 in the order of the classes, K where unlabelled or unknown."""
        table = np.full(256, len(self.classes), np.uint8)
        table[list(self.ids)] = np.arange(len(self.classes), dtype=np.uint8)
        return np.asarray(table[ids])

    def normalise(self, raw: np.ndarray, where: object) -> np.ndarray:
        """Raw ids of a file -> ids of the scheme, 255 where there is no label; refuses ids outside the scheme."""
        found = np.unique(raw)
        unknown = [v for v in found.tolist() if v not in self.ids and v not in self.ignored and v != UNLABELLED]
        if unknown:
            shown = ", ".join(f"{v:g}" for v in unknown[:6]) + (" …" if len(unknown) > 6 else "")
            raise InputError(
                explain(where, expected=f"class ids of {self.name} ({', '.join(map(str, self.ids))})", found=f"ids {shown}",
                        fix="Name the scheme of the file with --landcover-scheme.")
            )  # fmt: skip
        out = raw.astype(np.uint8)
        out[np.isin(raw, list(self.ignored))] = UNLABELLED
        return out


@dataclass(frozen=True, kw_only=True, slots=True)
class LandCoverMap:
    """A named map between two schemes; `note` says what is lost or uncertain."""

    source: str
    target: str
    table: dict[int, int]
    note: str = ""

    @property
    def name(self) -> str:
        """`FROM_to_TO`."""
        return f"{self.source}_to_{self.target}"

    def apply(self, ids: np.ndarray) -> np.ndarray:
        """Ids of the source scheme -> ids of the target scheme; classes without a counterpart become 255."""
        lookup = np.full(256, UNLABELLED, np.uint8)
        for old, new in self.table.items():
            lookup[old] = new
        return np.asarray(lookup[ids])


def _scheme(name: str, title: str, rows: str, ignored: tuple[int, ...] = ()) -> Scheme:
    classes = []
    for row in rows.split(";"):
        number, label, colour = row.split()
        classes.append(LandCoverClass(int(number), label, colour))
    return Scheme(name=name, title=title, classes=tuple(classes), ignored=frozenset(ignored))


_PAPER_CLASSES = (
    "2 water #419bdf; 3 forest #397d49; 4 grass #88b053; 5 wetland #7a87c6; 6 flooded_agriculture #e49635;"
    "7 bare_surface #dfc35a; 8 soil #a59b8f; 9 snow_and_ice #b39fe1"
)

SCHEMES: dict[str, Scheme] = {
    s.name: s
    for s in (
        _scheme(
            "dynamic_world", "Dynamic World V1",
            "0 water #419bdf; 1 trees #397d49; 2 grass #88b053; 3 flooded_vegetation #7a87c6; 4 crops #e49635;"
            "5 shrub_and_scrub #dfc35a; 6 built #c4281b; 7 bare #a59b8f; 8 snow_and_ice #b39fe1",
        ),
        _scheme(
            "worldcover", "ESA WorldCover 2020/2021",
            "10 tree_cover #006400; 20 shrubland #ffbb22; 30 grassland #ffff4c; 40 cropland #f096ff; 50 built_up #fa0000;"
            "60 bare_or_sparse #b4b4b4; 70 snow_and_ice #f0f0f0; 80 permanent_water #0064c8; 90 herbaceous_wetland #0096a0;"
            "95 mangroves #00cf75; 100 moss_and_lichen #fae6a0", ignored=(0,),
        ),
        _scheme(
            "esri_annual", "Esri / Impact Observatory annual",
            "1 water #419bdf; 2 trees #397d49; 4 flooded_vegetation #7a87c6; 5 crops #e49635; 7 built #c4281b; 8 bare #a59b8f;"
            "9 snow_and_ice #a8ebff; 11 rangeland #e3e2c3", ignored=(0, 10),
        ),
        _scheme(
            "terramesh", "TerraMesh (Esri annual, re-packed)",
            "1 water #419bdf; 2 trees #397d49; 3 flooded_vegetation #7a87c6; 4 crops #e49635; 5 built #c4281b; 6 bare #a59b8f;"
            "7 snow_and_ice #a8ebff; 9 rangeland #e3e2c3", ignored=(0, 8),
        ),
        _scheme(
            "igbp", "IGBP (MODIS MCD12Q1)",
            "1 evergreen_needleleaf_forest #05450a; 2 evergreen_broadleaf_forest #086a10; 3 deciduous_needleleaf_forest #54a708;"
            "4 deciduous_broadleaf_forest #78d203; 5 mixed_forest #009900; 6 closed_shrubland #c6b044; 7 open_shrubland #dcd159;"
            "8 woody_savanna #dade48; 9 savanna #fbff13; 10 grassland #b6ff05; 11 permanent_wetland #27ff87; 12 cropland #c24f44;"
            "13 urban_and_built_up #a5a5a5; 14 cropland_natural_mosaic #ff6d4c; 15 snow_and_ice #69fff8; 16 barren #f9ffa4;"
            "17 water #1c0dff", ignored=(0,),
        ),
        _scheme("rs_spade_h1", "RS-SPADE paper, shrub read as bare surface", _PAPER_CLASSES, ignored=(1,)),
        _scheme("rs_spade_h1b", "RS-SPADE paper, built read as bare surface", _PAPER_CLASSES, ignored=(1,)),
    )
}  # fmt: skip


def _map(source: str, target: str, text: str, note: str = "") -> LandCoverMap:
    pairs = (pair.split(":") for pair in text.split())
    return LandCoverMap(source=source, target=target, table={int(a): int(b) for a, b in pairs}, note=note)


def _chain(first: LandCoverMap, second: LandCoverMap) -> LandCoverMap:
    table = {old: second.table[mid] for old, mid in first.table.items() if mid in second.table}
    return LandCoverMap(
        source=first.source,
        target=second.target,
        table=table,
        note=" ".join(n for n in (first.note, second.note) if n),
    )


_RANGELAND = "Rangeland mixes grass and shrub; it becomes grass."
_TO_DYNAMIC_WORLD = [
    _map("worldcover", "dynamic_world", "10:1 20:5 30:2 40:4 50:6 60:7 70:8 80:0 90:3 95:1 100:2",
         "Mangroves become trees, moss and lichen becomes grass."),
    _map("esri_annual", "dynamic_world", "1:0 2:1 4:3 5:4 7:6 8:7 9:8 11:2", _RANGELAND),
    _map("terramesh", "dynamic_world", "1:0 2:1 3:3 4:4 5:6 6:7 7:8 9:2", _RANGELAND),
    _map("igbp", "dynamic_world", "1:1 2:1 3:1 4:1 5:1 6:5 7:5 8:1 9:2 10:2 11:3 12:4 13:6 14:4 15:8 16:7 17:0",
         "Woody savanna becomes trees, savanna becomes grass."),
]  # fmt: skip
_TO_PAPER = [
    _map(
        "dynamic_world",
        "rs_spade_h1",
        "0:2 1:3 2:4 3:5 4:6 5:7 7:8 8:9",
        "Built has no counterpart and becomes unlabelled.",
    ),
    _map(
        "dynamic_world",
        "rs_spade_h1b",
        "0:2 1:3 2:4 3:5 4:6 6:7 7:8 8:9",
        "Shrub has no counterpart and becomes unlabelled.",
    ),
]
_EXACT = [
    _map("esri_annual", "terramesh", "1:1 2:2 4:3 5:4 7:5 8:6 9:7 11:9"),
    _map("terramesh", "esri_annual", "1:1 2:2 3:4 4:5 5:7 6:8 7:9 9:11"),
]

MAPS: dict[str, LandCoverMap] = {
    m.name: m
    for m in [
        *_TO_DYNAMIC_WORLD,
        *_TO_PAPER,
        *_EXACT,
        *(_chain(a, b) for a in _TO_DYNAMIC_WORLD for b in _TO_PAPER),
    ]
}
"""All named maps, by `FROM_to_TO`."""


def scheme_named(name: str) -> Scheme:
    """The scheme of that name; an unknown name lists the known ones."""
    if name not in SCHEMES:
        raise InputError(
            explain(
                "land-cover scheme",
                expected=f"one of {', '.join(SCHEMES)}",
                found=repr(name),
                fix="Correct the name.",
            )
        )
    return SCHEMES[name]


def find_map(source: str, target: str) -> LandCoverMap | None:
    """The map between two schemes, None where they are the same; refused where there is none."""
    scheme_named(source)
    scheme_named(target)
    if source == target:
        return None
    name = f"{source}_to_{target}"
    if name not in MAPS:
        known = ", ".join(sorted(m.target for m in MAPS.values() if m.source == source)) or "none"
        raise InputError(
            explain(name, expected=f"a named map (from {source} there are: {known})", found="none",
                    fix="Store the land cover in its own scheme, or convert it beforehand.")
        )  # fmt: skip
    return MAPS[name]
