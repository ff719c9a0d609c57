"""Physical units to network channels and back: the only place that knows both.

Shape letters: B batch, H W pixels. Values come in physical units (see `rsspade.sources`), channels go to the
network; a `Scaling` holds every number in between and is stored in the checkpoint, so that training and
inference cannot disagree. An invalid pixel is 0 in every channel (of land cover: the channel "unknown"), and NaN
never gets through.

Nothing optical is clipped: snow (1.2) and slightly negative water must come back as they went in. Radar is
clipped, because single bright reflectors (+25 dB) would otherwise dominate a batch, and what lies under the
noise floor says nothing.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import torch
from torch import Tensor

from rsspade.errors import ConfigError, explain
from rsspade.landcover import Scheme
from rsspade.sources import DEFAULT_OPTICAL_BANDS, OPTICAL, UNLABELLED, source_named

__all__ = [
    "WHEN", "Scaling", "channel_names", "decode", "decode_dem", "decode_lulc", "decode_optical", "decode_s1", "encode",
    "encode_season", "encode_sun", "encode_when", "num_channels", "num_when",
]  # fmt: skip

DEM_CHANNELS = ("elevation", "slope", "aspect_sin", "aspect_cos", "hillshade")
WHEN = {"season": ("day_sin", "day_cos", "day_known"), "sun": ("sun_east", "sun_north", "sun_up", "sun_known")}
"""What a network can be told of the moment of the image, in this order, and the channels of each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scaling:
    """The numbers between physical units and channels.

    Attributes:
        optical_centre: Reflectance that becomes 0.
        optical_scale: Reflectance that makes one unit: −0.02 … 1.2 becomes −1.1 … 5.
        vv_low: dB that becomes −1. The defaults lie about four standard deviations from the means of the public
            Sentinel-1 collections, and outside all but the noise floor and point reflectors.
        vv_high: dB that becomes +1.
        vh_low: As `vv_low`.
        vh_high: As `vv_high`.
        elevation_knee: Metres up to which elevation is about linear, above it logarithmic.
        elevation_scale: Divides the inverse hyperbolic sine: 10 m becomes 0.05, 5000 m 2.3.
        slope_scale: Degrees that make one unit.
    """

    optical_centre: float = 0.2
    optical_scale: float = 0.2
    vv_low: float = -30.0
    vv_high: float = 10.0
    vh_low: float = -38.0
    vh_high: float = 5.0
    elevation_knee: float = 100.0
    elevation_scale: float = 2.0
    slope_scale: float = 30.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise ConfigError(_sentence(field.name, "a finite number", repr(value)))
        for name in ("optical_scale", "elevation_knee", "elevation_scale", "slope_scale"):
            if getattr(self, name) <= 0:
                raise ConfigError(_sentence(name, "a number above 0", repr(getattr(self, name))))
        for band in ("vv", "vh"):
            low, high = getattr(self, f"{band}_low"), getattr(self, f"{band}_high")
            if low >= high:
                raise ConfigError(_sentence(f"{band}_low", f"less than {band}_high ({high})", repr(low)))

    def to_dict(self) -> dict[str, float]:
        """As stored in a checkpoint."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """Read what `to_dict` wrote; unknown and missing names are refused, since a guess would shift colours."""
        names = {f.name for f in fields(cls)}
        if set(content) != names:
            wrong = ", ".join(sorted(map(str, set(content) ^ names)))
            raise ConfigError(_sentence("", f"exactly {', '.join(sorted(names))}", f"a difference in {wrong}"))
        return cls(**content)


def _sentence(name: str, expected: str, found: str) -> str:
    return explain(f"scaling {name}".strip(), expected=expected, found=found, fix="Restore the value that was stored.")


def channel_names(
    source: str, *, scheme: Scheme | None = None, bands: Sequence[str] = DEFAULT_OPTICAL_BANDS
) -> tuple[str, ...]:
    """The channels of a source, in order; land cover needs the scheme, an optical source its bands."""
    if source in OPTICAL:
        return tuple(bands)
    if source == "s1":
        return source_named("s1").band_names
    if source == "dem":
        return DEM_CHANNELS
    if source == "lulc":
        return (*_scheme(scheme).names, "unknown")
    raise ConfigError(
        explain("channels", expected=f"one of {', '.join(OPTICAL)}, s1, lulc, dem", found=repr(source),
                fix="This source does not reach the network.")
    )  # fmt: skip


def num_channels(source: str, *, scheme: Scheme | None = None, bands: Sequence[str] = DEFAULT_OPTICAL_BANDS) -> int:
    """How many channels a source has."""
    return len(channel_names(source, scheme=scheme, bands=bands))


def _scheme(scheme: Scheme | None) -> Scheme:
    if scheme is None:
        raise ConfigError(
            explain("channels of lulc", expected="a land-cover scheme", found="none", fix="Pass scheme=….")
        )
    return scheme


def encode(
    source: str, values: Tensor, valid: Tensor | None, *, scaling: Scaling, scheme: Scheme | None = None
) -> Tensor:
    """Physical values (B, bands, H, W) -> channels (B, channels, H, W), float32.

    Args:
        source: Its name, such as `s1`.
        values: In physical units; may hold NaN and infinities.
        valid: (B, H, W), True where the pixel can be used; what is not finite is invalid anyway.
        scaling: The numbers.
        scheme: The land-cover scheme of the ids; needed for `lulc` alone.
    """
    expected = 1 if source == "lulc" else None if source in OPTICAL else len(source_named(source).bands)
    if values.ndim != 4 or (expected is not None and values.shape[1] != expected):
        raise ValueError(f"{source}: expected (B, {expected or 'bands'}, H, W), found {tuple(values.shape)}")
    if valid is not None and valid.shape != values[:, 0].shape:
        raise ValueError(f"{source}: expected a mask {tuple(values[:, 0].shape)}, found {tuple(valid.shape)}")
    usable = torch.isfinite(values).all(dim=1)
    if valid is not None:
        usable = usable & valid
    if source == "lulc":
        return _encode_lulc(values[:, 0], usable, _scheme(scheme))
    clean = torch.where(usable[:, None], values.float(), 0.0)
    if source in OPTICAL:
        channels = (clean - scaling.optical_centre) / scaling.optical_scale
    elif source == "s1":
        low, high = _radar_range(scaling, clean.device)
        channels = ((clean - low) / (high - low) * 2 - 1).clamp(-1, 1)
    elif source == "dem":
        channels = _encode_dem(clean, scaling)
    else:
        raise ConfigError(explain("channels", expected="a source that reaches the network", found=repr(source),
                                  fix="Leave it out."))  # fmt: skip
    return torch.where(usable[:, None], channels, 0.0)


# Tables are kept on their device: to copy one there at every step would make the host wait for the device.
@functools.lru_cache(maxsize=64)
@torch.inference_mode(mode=False)
def _radar_range(scaling: Scaling, device: torch.device) -> tuple[Tensor, Tensor]:
    low = torch.tensor([scaling.vv_low, scaling.vh_low], device=device)[:, None, None]
    high = torch.tensor([scaling.vv_high, scaling.vh_high], device=device)[:, None, None]
    return low, high


@functools.lru_cache(maxsize=64)
@torch.inference_mode(mode=False)
def _class_table(scheme: Scheme, device: torch.device) -> Tensor:
    """Class id -> position in the scheme, of 256 ids; behind the last class where it has none."""
    table = torch.full((256,), len(scheme.classes), dtype=torch.int64)
    table[list(scheme.ids)] = torch.arange(len(scheme.classes))
    return table.to(device)


def _encode_lulc(ids: Tensor, usable: Tensor, scheme: Scheme) -> Tensor:
    unknown = len(scheme.classes)
    table = _class_table(scheme, ids.device)
    known = usable & (ids >= 0) & (ids <= UNLABELLED)  # an id outside a byte would index out of the table
    index = table[torch.where(known, ids, torch.full_like(ids, UNLABELLED)).long()]
    return torch.nn.functional.one_hot(index, unknown + 1).movedim(-1, 1).float()


def _encode_dem(values: Tensor, scaling: Scaling) -> Tensor:
    elevation, slope, aspect, hillshade = values.unbind(dim=1)
    flat = aspect < 0
    angle = torch.deg2rad(aspect)
    return torch.stack(
        [
            torch.asinh(elevation / scaling.elevation_knee) / scaling.elevation_scale,
            slope / scaling.slope_scale,
            torch.where(flat, 0.0, torch.sin(angle)),
            torch.where(flat, 0.0, torch.cos(angle)),
            hillshade / 127.5 - 1,
        ],
        dim=1,
    )


def decode(source: str, channels: Tensor, *, scaling: Scaling, scheme: Scheme | None = None) -> Tensor:
    """Channels (B, channels, H, W) -> physical values (B, bands, H, W): the inverse of `encode` on valid pixels."""
    if source in OPTICAL:
        return decode_optical(channels, scaling)
    if source == "s1":
        return decode_s1(channels, scaling)
    if source == "dem":
        return decode_dem(channels, scaling)
    if source == "lulc":
        return decode_lulc(channels, _scheme(scheme))
    raise ConfigError(explain("channels", expected="a source that reaches the network", found=repr(source),
                              fix="Leave it out."))  # fmt: skip


def decode_optical(channels: Tensor, scaling: Scaling) -> Tensor:
    """Channels -> reflectance; any shape, any number of bands."""
    return channels.float() * scaling.optical_scale + scaling.optical_centre


def decode_s1(channels: Tensor, scaling: Scaling) -> Tensor:
    """Channels (B, 2, H, W) -> dB."""
    low, high = _radar_range(scaling, channels.device)
    return (channels.float() + 1) / 2 * (high - low) + low


def decode_dem(channels: Tensor, scaling: Scaling) -> Tensor:
    """Channels (B, 5, H, W) -> elevation, slope, aspect (−1 where flat), hillshade (B, 4, H, W)."""
    elevation, slope, sine, cosine, hillshade = channels.float().unbind(dim=1)
    aspect = torch.rad2deg(torch.atan2(sine, cosine)) % 360
    flat = sine**2 + cosine**2 < 0.25  # on a slope the length is 1; half way to flat decides
    return torch.stack(
        [
            torch.sinh(elevation * scaling.elevation_scale) * scaling.elevation_knee,
            slope * scaling.slope_scale,
            torch.where(flat, -1.0, aspect),
            (hillshade + 1) * 127.5,
        ],
        dim=1,
    )


def decode_lulc(channels: Tensor, scheme: Scheme) -> Tensor:
    """Channels (B, classes + 1, H, W), one-hot or scores -> class ids (B, 1, H, W) uint8, 255 where unknown."""
    ids = torch.tensor([*scheme.ids, UNLABELLED], dtype=torch.uint8, device=channels.device)
    return ids[channels.argmax(dim=1)][:, None]


def encode_season(day_of_year: Tensor) -> Tensor:
    """Day of year (B,), NaN where unknown -> sine, cosine, known (B, 3); all 0 where unknown."""
    known = torch.isfinite(day_of_year)
    angle = torch.where(known, day_of_year.float(), 0.0) * (2 * math.pi / 365.25)
    return torch.stack([torch.sin(angle), torch.cos(angle), torch.ones_like(angle)], dim=1) * known[:, None]


def encode_sun(sun: Tensor) -> Tensor:
    """Azimuth and elevation in degrees (B, 2), NaN where unknown -> towards the sun, known (B, 4); all 0 where unknown."""
    known = torch.isfinite(sun).all(dim=1)
    azimuth, elevation = torch.deg2rad(torch.where(known[:, None], sun.float(), 0.0)).unbind(dim=1)
    level = torch.cos(elevation)
    east, north = level * torch.sin(azimuth), level * torch.cos(azimuth)
    return torch.stack([east, north, torch.sin(elevation), torch.ones_like(level)], dim=1) * known[:, None]


def num_when(told: Sequence[str]) -> int:
    """How many channels `encode_when` makes."""
    return sum(len(WHEN[name]) for name in told)


def encode_when(told: Sequence[str], *, day_of_year: Tensor, sun: Tensor) -> Tensor | None:
    """What a network is told of the moment of the image: (B, channels), or None where it is told nothing.

    Args:
        told: Out of `WHEN`, in its order.
        day_of_year: (B,), NaN where unknown.
        sun: (B, 2) azimuth and elevation in degrees, NaN where unknown.
    """
    parts = [encode_season(day_of_year) if name == "season" else encode_sun(sun) for name in told]
    return torch.cat(parts, dim=1) if parts else None
