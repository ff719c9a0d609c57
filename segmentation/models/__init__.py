"""The segmentation networks behind one contract, and a trained one as a folder that explains itself."""

from segmentation.models.checkpoint import Segmenter, SegmenterInfo
from segmentation.models.config import MODELS, SegmenterConfig, build_segmenter
from segmentation.models.contract import Prediction, SegmentationNetwork

__all__ = [
    "MODELS", "Prediction", "SegmentationNetwork", "Segmenter", "SegmenterConfig", "SegmenterInfo", "build_segmenter",
]  # fmt: skip
