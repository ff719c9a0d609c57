"""What is measured, on the world and on real tiles alike."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from rsspade.landcover import scheme_named

__all__ = ["Patch", "class_mean_image", "class_table", "scores", "structure_table"]

BANDS = ("blue", "green", "red", "nir", "vv", "vh")
CLASSES = scheme_named("dynamic_world").names
FEWEST = 400
"""A class with fewer pixels in a patch says nothing about a spread or a correlation."""


@dataclass(frozen=True, slots=True)
class Patch:
    """One scene or tile: optical (4, H, W) reflectance, radar (2, H, W) dB, cover (H, W) Dynamic World ids."""

    name: str
    s2: np.ndarray
    s1: np.ndarray
    lulc: np.ndarray

    def planes(self) -> np.ndarray:
        """(6, H, W) in the order of BANDS."""
        return np.concatenate([self.s2, self.s1]).astype(np.float64)


def class_table(patches: Iterable[Patch]) -> dict[str, Any]:
    """Per class: share, mean and spread over all pixels, spread within a patch, correlation of radar with nir."""
    pixels: dict[int, list[np.ndarray]] = {}
    for patch in patches:
        planes = patch.planes()
        for cls in np.unique(patch.lulc[patch.lulc < len(CLASSES)]):
            pixels.setdefault(int(cls), []).append(planes[:, patch.lulc == cls])
    total = sum(part.shape[1] for parts in pixels.values() for part in parts)
    table = {}
    for cls in sorted(pixels):
        every = np.concatenate(pixels[cls], axis=1)
        large = [p for p in pixels[cls] if p.shape[1] >= FEWEST]
        entry: dict[str, Any] = {
            "share": round(every.shape[1] / total, 4), "patches": len(large),
            "mean": _named(every.mean(1)), "std": _named(every.std(1)),
        }  # fmt: skip
        if large:
            entry["std_within"] = _named(np.mean([p.std(1) for p in large], axis=0))
            for row, pol in ((4, "vv"), (5, "vh")):
                each = [float(np.corrcoef(p[row], p[3])[0, 1]) for p in large]
                entry[f"{pol}_nir"] = {"mean": round(float(np.mean(each)), 2), "min": round(min(each), 2), "max": round(max(each), 2)}  # fmt: skip
        table[CLASSES[cls]] = entry
    return table


def structure_table(patches: Iterable[Patch]) -> dict[str, Any]:
    """Per band: mean gradient per pixel, slope of the power spectrum, fine grain and how far it reaches."""
    rows: dict[str, list[tuple[float, ...]]] = {band: [] for band in BANDS}
    for patch in patches:
        for band, plane in zip(BANDS, patch.planes(), strict=True):
            gy, gx = np.gradient(plane)
            rest = plane - ndimage.uniform_filter(plane, 9)
            lag = float((rest[:, 1:] * rest[:, :-1]).mean() / (rest**2).mean())
            rows[band].append((float(np.hypot(gy, gx).mean()), _spectrum_slope(plane), float(rest.std()), lag))
    names = ("gradient", "spectrum_slope", "grain", "grain_lag1")
    out = {}
    for band, each in rows.items():
        values = np.array(each)
        out[band] = {
            name: {"mean": _short(values[:, i].mean()), "min": _short(values[:, i].min()), "max": _short(values[:, i].max())}
            for i, name in enumerate(names)
        }  # fmt: skip
    return out


def _spectrum_slope(plane: np.ndarray) -> float:
    """Exponent of the radially averaged power spectrum between wavelengths of 2.5 and 40 pixels."""
    window = np.outer(np.hanning(plane.shape[0]), np.hanning(plane.shape[1]))
    power = np.abs(np.fft.rfft2((plane - plane.mean()) * window)) ** 2
    frequency = np.hypot(np.fft.fftfreq(plane.shape[0])[:, None], np.fft.rfftfreq(plane.shape[1])[None])
    edges = np.geomspace(1 / 40, 1 / 2.5, 13)
    which = np.digitize(frequency, edges)
    level = [np.log(power[which == i].mean()) for i in range(1, len(edges))]
    return float(np.polyfit(np.log(edges[1:] * edges[:-1]) / 2, level, 1)[0])


def class_mean_image(patches: list[Patch]) -> list[np.ndarray]:
    """The floor: each pixel gets the mean spectrum of its mapped class over all patches."""
    sums, counts = np.zeros((256, 4)), np.zeros(256)
    for patch in patches:
        counts += np.bincount(patch.lulc.ravel(), minlength=256)
        for band in range(4):
            sums[:, band] += np.bincount(patch.lulc.ravel(), patch.s2[band].ravel(), minlength=256)
    means = sums / np.maximum(counts, 1)[:, None]
    return [np.moveaxis(means[patch.lulc], -1, 0) for patch in patches]


def scores(truth: np.ndarray, guess: np.ndarray, tile: int = 128) -> dict[str, float]:
    """PSNR, SSIM and SAM in display space (reflectance 0..0.4), per tile, then the mean over tiles."""
    rows = []
    for y in range(0, truth.shape[1] - tile + 1, tile):
        for x in range(0, truth.shape[2] - tile + 1, tile):
            a, b = (np.asarray(i[:, y : y + tile, x : x + tile], np.float64) for i in (truth, guess))
            shown_a, shown_b = np.clip(a, 0, 0.4) / 0.4, np.clip(b, 0, 0.4) / 0.4
            psnr = -10 * np.log10(max(float(((shown_a - shown_b) ** 2).mean()), 1e-10))
            ssim = float(np.mean([_ssim(p, q) for p, q in zip(shown_a, shown_b, strict=True)]))
            cosine = (shown_a * shown_b).sum(0) / np.maximum(
                np.linalg.norm(shown_a, axis=0) * np.linalg.norm(shown_b, axis=0), 1e-12
            )
            rows.append((psnr, ssim, float(np.arccos(np.clip(cosine, -1, 1)).mean())))
    return {name: round(float(v), 4) for name, v in zip(("psnr", "ssim", "sam"), np.mean(rows, axis=0), strict=True)}


def _ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Structural similarity with a Gaussian window of 11 pixels, whole windows only."""

    def blur(field: np.ndarray) -> np.ndarray:
        return ndimage.gaussian_filter(field, 1.5, truncate=3.5)[5:-5, 5:-5]

    mean_a, mean_b = blur(a), blur(b)
    var_a, var_b, both = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2, blur(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    return float(
        (((2 * mean_a * mean_b + c1) * (2 * both + c2)) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))).mean()
    )


def _named(values: np.ndarray) -> dict[str, float]:
    return {band: _short(v) for band, v in zip(BANDS, values, strict=True)}


def _short(value: float) -> float:
    return float(f"{value:.3g}")
