"""Random fields and hashes: the raw material of the world.

Every field comes from a generator that depends on the world's seed, the scene and the field's own name alone, so
that neither the order of the work nor a new field somewhere else changes it.
"""

import zlib
from collections.abc import Callable

import numpy as np
from scipy import fft, ndimage

__all__ = ["Field", "Fields", "hash_unit", "smooth_step"]

Field = np.ndarray
"""(H, W) float64: what processors round differently stays far below what is stored."""

Generators = Callable[[str], np.random.Generator]


class Fields:
    """Random fields of one scene, each drawn by name."""

    def __init__(self, key: tuple[int, ...], shape: tuple[int, int]) -> None:
        self.key = key
        self.shape = shape

    def generator(self, name: str) -> np.random.Generator:
        """The generator that belongs to that name."""
        return np.random.default_rng([*self.key, zlib.crc32(name.encode())])

    def white(self, name: str) -> Field:
        """White noise, mean 0, standard deviation 1."""
        return self.generator(name).standard_normal(self.shape)

    def smooth(self, name: str, sigma: float) -> Field:
        """White noise seen through a Gaussian of that width (pixels), standard deviation 1."""
        # The gain of a normalised Gaussian kernel on white noise; measured, since small kernels are truncated.
        kernel = np.zeros(int(8 * sigma) + 9)
        kernel[len(kernel) // 2] = 1
        gain = float((ndimage.gaussian_filter1d(kernel, sigma) ** 2).sum())
        return np.asarray(ndimage.gaussian_filter(self.white(name), sigma, mode="wrap") / gain)

    def fractal(self, name: str, *, largest: float, exponent: float = 1.5, smallest: float = 2.0) -> Field:
        """Noise with amplitude ~ wavelength**exponent between two wavelengths in pixels, mean 0, deviation 1.

        It is drawn on a square that holds the largest wavelength at least once, so that the statistics of a
        small scene are those of a cutting from a large one.
        """
        side = fft.next_fast_len(int(max(*self.shape, 1.2 * largest)), real=True)
        noise = self.generator(name).standard_normal((side, side))
        fy, fx = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]
        frequency = np.hypot(fy, fx)
        low = 1.0 / largest
        # Flat below the largest wavelength, a soft end above the smallest.
        gain = np.where(frequency > 0, (frequency**2 + low**2) ** (-(exponent + 1) / 2), 0)
        gain = gain * np.exp(-((frequency * smallest / 2) ** 4))
        out = fft.irfft2(fft.rfft2(noise) * gain, s=(side, side))
        out = (out - out.mean()) / out.std()
        return np.asarray(out[: self.shape[0], : self.shape[1]], np.float64)


def hash_unit(ids: np.ndarray, salt: int) -> Field:
    """Integers -> uniform numbers in [0, 1), the same on every machine (splitmix64)."""
    x = ids.astype(np.uint64) + np.uint64((salt * 0x9E3779B97F4A7C15) % 2**64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x = x ^ (x >> np.uint64(31))
    return ((x >> np.uint64(40)).astype(np.float64)) / (2**24)


def smooth_step(x: np.ndarray, low: float, high: float) -> Field:
    """0 below `low`, 1 above `high`, smooth between; `low` may be the larger one."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float64)
