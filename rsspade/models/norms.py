"""What a generator normalises over: the pixels of the whole batch (`batch`), or of each sample by itself (`group`).

In a batch norm samples see each other while they learn. Where they have lost different sources, each is moved by what the others
happen to show, most of all in small batches, and what is learned from few sources suffers (experiments/table2_sources). A
group norm (Wu & He 2018) knows no other sample; but it knows all pixels of its own, so that a pixel's colour depends on
the window it is painted in. Batch norms apply what training has measured, whatever the window shows.
"""

from torch import nn

from rsspade.models.sync_norm import SyncBatchNorm

__all__ = ["NORMS", "set_norm"]

NORMS = ("batch", "group")
SMALLEST = 8
"""Features of a group, at least, where a map has as many."""


def set_norm(network: nn.Module, norm: str) -> None:
    """Put the norm that is asked for, one of `NORMS`, in the place of the batch norms of a new network."""
    if norm == "batch":
        return
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, SyncBatchNorm):
                features, affine = len(child.running_mean), child.weight is not None
                setattr(module, name, nn.GroupNorm(_groups(features), features, affine=affine))


def _groups(features: int) -> int:
    """The most groups of equal size that hold `SMALLEST` features each."""
    return max(count for count in range(1, max(features // SMALLEST, 1) + 1) if features % count == 0)
