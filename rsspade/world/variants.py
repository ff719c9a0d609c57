"""What a world is made of: the two parameter sets, and the kinds of landscape.

Variant `a` is calibrated on the real tiles; `b` differs in the spread of its spectra, the roughness of its
relief and its speckle, so that a conclusion can be confirmed on a world it was not drawn from.
"""

from dataclasses import dataclass

__all__ = ["LANDSCAPES", "VARIANTS", "WORLD_VERSION", "Landscape", "Variant"]

WORLD_VERSION = 1
"""Goes up whenever a pixel of the world changes; every table made on the world names it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """One parameter set.

    Attributes:
        key: Enters the seed, so that two variants share no landscape.
        relief_exponent: How fast the relief's amplitude falls with its wavelength; smaller is rougher.
        spectral_spread: Scales the differences between parcels and stands of one class.
        texture: Scales the fine optical texture that no other source can tell.
        looks: Number of independent radar looks.
        speckle_width: Width in pixels of the radar's point spread.
        radar_link: Scales what the radar sees of vegetation and wetness.
    """

    key: int
    relief_exponent: float
    spectral_spread: float
    texture: float
    looks: int
    speckle_width: float
    radar_link: float


VARIANTS: dict[str, Variant] = {
    "a": Variant(
        key=1, relief_exponent=2.1, spectral_spread=1.0, texture=1.0, looks=6, speckle_width=1.12, radar_link=1.0
    ),
    "b": Variant(
        key=2, relief_exponent=1.8, spectral_spread=1.25, texture=1.2, looks=4, speckle_width=1.3, radar_link=0.8
    ),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Landscape:
    """One kind of landscape; a pair of numbers is the range from which a scene draws.

    Attributes:
        base_m: Height of the land.
        relief_m: Standard deviation of the heights.
        wavelength: Of the largest hills, in pixels.
        tilt_m: Height that the land gains across the scene.
        temperature: Yearly mean at sea level, °C.
        moisture: 0 dry … 1 wet.
        forest: Share of wild land that is forest, roughly.
        arable: How readily flat land is farmed.
        field_px: Width of fields.
        towns: How many.
        lakes: How many.
        ridged: Whether the relief has sharp crests.
        sea: Whether the lower land lies under the sea.
    """

    base_m: tuple[float, float]
    relief_m: tuple[float, float]
    wavelength: tuple[float, float] = (180, 320)
    tilt_m: tuple[float, float] = (5, 20)
    temperature: tuple[float, float] = (12, 17)
    moisture: tuple[float, float] = (0.45, 0.6)
    forest: tuple[float, float] = (0.2, 0.5)
    arable: tuple[float, float] = (0.3, 0.6)
    field_px: tuple[float, float] = (8, 16)
    towns: tuple[int, int] = (2, 4)
    lakes: tuple[int, int] = (0, 1)
    ridged: bool = False
    sea: bool = False


LANDSCAPES: dict[str, Landscape] = {
    "plain": Landscape(
        base_m=(10, 120), relief_m=(4, 12), forest=(0.15, 0.3), arable=(0.8, 1.1), field_px=(9, 18), towns=(3, 5)
    ),
    "hills": Landscape(
        base_m=(180, 450), relief_m=(40, 80), tilt_m=(30, 80), forest=(0.4, 0.6), arable=(0.4, 0.7), field_px=(7, 13),
    ),
    "coast": Landscape(
        base_m=(2, 10), relief_m=(12, 35), tilt_m=(50, 110), forest=(0.35, 0.55), arable=(0.35, 0.6), sea=True,
    ),
    "mountains": Landscape(
        base_m=(1300, 2000), relief_m=(110, 190), wavelength=(220, 360), tilt_m=(100, 500), temperature=(13.5, 16),
        moisture=(0.5, 0.65), forest=(0.5, 0.7), arable=(0.1, 0.3), field_px=(6, 10), towns=(1, 2), lakes=(0, 2), ridged=True,
    ),
    "arid": Landscape(
        base_m=(300, 1100), relief_m=(30, 110), tilt_m=(30, 100), temperature=(18, 23), moisture=(0.08, 0.22),
        forest=(0.02, 0.1), arable=(0.05, 0.3), field_px=(10, 20), towns=(1, 2), lakes=(0, 0), ridged=True,
    ),
    "wetland": Landscape(
        base_m=(5, 60), relief_m=(2, 6), moisture=(0.6, 0.75), forest=(0.25, 0.45), arable=(0.4, 0.7), lakes=(2, 4),
        towns=(1, 3),
    ),
}  # fmt: skip
"""In the order in which scenes take them in turn."""
