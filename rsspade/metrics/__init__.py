"""How good an image is: masked scores of one image, and of draws where a model gives several.

Every number that this project prints comes from here, so that no two tables can differ in definition.
"""

from rsspade.metrics.classes import ClassScores
from rsspade.metrics.images import (
    DISPLAY,
    REFLECTANCE,
    SPACES,
    ScoreSpace,
    ergas,
    mae,
    psnr,
    rmse,
    sam,
    spectral_angle,
    ssim,
)
from rsspade.metrics.rows import PADDING
from rsspade.metrics.samples import SampleScores, pairwise_distance, rank_correlation
from rsspade.metrics.scores import ImageScores

__all__ = [
    "DISPLAY", "PADDING", "REFLECTANCE", "SPACES", "ClassScores", "ImageScores", "SampleScores", "ScoreSpace",
    "ergas", "mae", "pairwise_distance", "psnr", "rank_correlation", "rmse", "sam", "spectral_angle", "ssim",
]  # fmt: skip
