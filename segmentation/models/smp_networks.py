"""Architectures of segmentation_models_pytorch behind our contract: U-Net, DeepLabV3+, FPN and SegFormer.

The library is an extra of this package (`pip install "rsspade[models]"`), since it brings torchvision and timm along, and
is imported when one of its models is built. Encoders begin with random weights; pretrained ones are downloaded only
where the user names them.

Shape letters: B batch, K classes, H W pixels.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from rsspade.errors import ConfigError, explain
from rsspade.models.padding import Padding
from rsspade.models.sync_norm import SyncBatchNorm
from segmentation.models.contract import Prediction, SegmentationNetwork, stack_sources

__all__ = ["LIBRARY", "MULTIPLE", "LibraryNetwork"]

LIBRARY = {"unet": "Unet", "deeplabv3plus": "DeepLabV3Plus", "fpn": "FPN", "segformer": "Segformer"}
"""Our name -> the class of the library."""

MULTIPLE = 32
"""The encoders halve the grid five times."""


class LibraryNetwork(SegmentationNetwork):
    """One of the library's models over the stacked sources.

    Args:
        model: A key of `LIBRARY`.
        sources: Source -> channels.
        num_classes: K.
        encoder: The library's name of an encoder.
        weights: The library's name of pretrained weights, which it downloads; None for random ones.
        stretch: One of `STRETCHES`.
    """

    def __init__(
        self, model: str, sources: Mapping[str, int], num_classes: int, *, encoder: str, weights: str | None = None,
        stretch: str = "none",
    ) -> None:  # fmt: skip
        super().__init__()
        self.sources = dict(sources)
        self.stretch = stretch
        kind = getattr(_library(), LIBRARY[model])
        try:
            network = kind(
                encoder_name=encoder, encoder_weights=weights, in_channels=sum(sources.values()), classes=num_classes
            )
        except (KeyError, ValueError) as err:
            found = " ".join(str(err).split())[:200]
            raise ConfigError(
                explain("--network.encoder", expected=f"an encoder (and its weights) that {model} knows", found=found,
                        fix="Choose one from the list of segmentation_models_pytorch, such as resnet18.")
            ) from err  # fmt: skip
        self.network = _with_shared_statistics(network)

    def forward(self, inputs: Mapping[str, Tensor]) -> Prediction:
        """Channels by source -> logits (B, K, H, W)."""
        stacked = stack_sources(inputs, self.sources, stretch=self.stretch)
        padding = Padding.to_multiple((stacked.shape[-2], stacked.shape[-1]), MULTIPLE)
        return Prediction(padding.crop(self.network(padding.apply(stacked))))


def _library() -> Any:  # noqa: ANN401 (an untyped module)
    try:
        import segmentation_models_pytorch
    except (ImportError, RuntimeError, OSError) as err:  # torchvision fails so where it was built for another torch
        found = "none" if isinstance(err, ModuleNotFoundError) else " ".join(str(err).split())[:160]
        raise ConfigError(
            explain("--model", expected="segmentation_models_pytorch for this model", found=found,
                    fix='Install it with `pip install "rsspade[models]"` (torch and torchvision from the same place), or choose rs_unet.')
        ) from err  # fmt: skip
    return segmentation_models_pytorch


def _with_shared_statistics(module: nn.Module) -> nn.Module:
    """Put our batch norm, which sees the batch of all processes on any device, in place of torch's."""
    for name, child in module.named_children():
        if type(child) is nn.BatchNorm2d:
            momentum = 0.1 if child.momentum is None else child.momentum
            norm = SyncBatchNorm(child.num_features, affine=child.affine, momentum=momentum, eps=child.eps)
            norm.load_state_dict({k: v for k, v in child.state_dict().items() if k != "num_batches_tracked"})
            setattr(module, name, norm)
        else:
            _with_shared_statistics(child)
    return module
