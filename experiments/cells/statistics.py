"""Means with their spread, and paired differences with their 95 % interval: Student's t over seeds, bootstrap over blocks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

__all__ = [
    "Difference",
    "block_bootstrap",
    "detectable_difference",
    "holm",
    "mean_and_spread",
    "paired_difference",
    "verdict",
]


@dataclass(frozen=True, slots=True)
class Difference:
    """First minus second, over pairs that share a seed or a block.

    Attributes:
        mean: Of the differences.
        low: Lower end of the 95 % interval; NaN with fewer than two pairs.
        high: Its upper end.
        p_value: Of the paired t-test against no difference; NaN where there is none.
        pairs: How many.
    """

    mean: float
    low: float
    high: float
    p_value: float
    pairs: int

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0


def mean_and_spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sample standard deviation; NaN for the latter with fewer than two values."""
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else math.nan


def paired_difference(first: Sequence[float], second: Sequence[float]) -> Difference:
    """Of two sequences in the same order of seeds."""
    differences = np.subtract(first, second)
    pairs, mean = len(differences), float(np.mean(differences))
    if pairs < 2:
        return Difference(mean, math.nan, math.nan, math.nan, pairs)
    error = float(np.std(differences, ddof=1)) / math.sqrt(pairs)
    if error == 0:
        return Difference(mean, mean, mean, 1.0 if mean == 0 else 0.0, pairs)
    reach = float(stats.t.ppf(0.975, pairs - 1)) * error
    p_value = float(2 * stats.t.sf(abs(mean) / error, pairs - 1))
    return Difference(mean, mean - reach, mean + reach, p_value, pairs)


def block_bootstrap(
    differences: np.ndarray, strata: Sequence[str], *, draws: int = 10_000, seed: int = 0
) -> Difference:
    """The mean, with the interval that other blocks of the same images and other trainings would have given.

    Blocks are drawn with replacement, within each stratum as many as it has, and seeds with replacement beside them: all blocks
    of a training share its luck, so that blocks alone would give far too narrow an interval. It holds the middle 95 % of the
    means. Pixels are no sample of their own (neighbours are alike), blocks nearly are.

    Args:
        differences: Of each training and block, (seeds, blocks).
        strata: The image that each block lies in.
        draws: How many.
        seed: Of the draws.
    """
    values, images = np.asarray(differences, np.float64), np.asarray(strata)
    seeds, blocks = values.shape
    mean = float(np.mean(values))
    if blocks < 2:
        return Difference(mean, math.nan, math.nan, math.nan, blocks)
    rng = np.random.default_rng(seed)
    counts = np.zeros((draws, blocks))
    for image in np.unique(images):
        own = np.flatnonzero(images == image)
        counts[:, own] = rng.multinomial(len(own), np.full(len(own), 1 / len(own)), size=draws)
    trainings = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=draws) / seeds
    means = np.einsum("ds,sb,db->d", trainings, values, counts, optimize=True) / blocks
    low, high = np.quantile(means, (0.025, 0.975))
    return Difference(mean, float(low), float(high), math.nan, blocks)


def detectable_difference(
    first: Sequence[float], second: Sequence[float], *, power: float = 0.8, alpha: float = 0.05
) -> float:
    """The smallest true difference that a two-sided paired t-test at the level `alpha` finds with this power.

    By the spread of the differences that was seen, and as many pairs; NaN with fewer than two.
    """
    pairs = len(first)
    if pairs < 2:
        return math.nan
    error = float(np.std(np.subtract(first, second), ddof=1)) / math.sqrt(pairs)
    limit = float(stats.t.ppf(1 - alpha / 2, pairs - 1))

    def missing(shift: float) -> float:
        """Of the power, at a true difference of so many standard errors; the far tail adds nothing that counts."""
        return float(stats.nct.cdf(limit, pairs - 1, shift)) - (1 - power)

    return error * float(optimize.brentq(missing, 0.0, 1.5 * limit + 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values of several tests, raised so that even one false find among all is as rare as each says (Holm 1979)."""
    order = np.argsort(p_values)
    raised = np.maximum.accumulate([min((len(order) - n) * p_values[i], 1.0) for n, i in enumerate(order)])
    found = np.empty(len(order))
    found[order] = raised
    return [float(p) for p in found]


def verdict(found: Difference, p_value: float, *, above: str, below: str) -> str:
    """A difference in words: `above` or `below` zero where the test is sure of it."""
    if math.isnan(p_value):
        return "too few seeds"
    if p_value >= 0.05:
        return "no clear difference"
    return above if found.mean > 0 else below
