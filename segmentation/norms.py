"""What batch norms take for the mean and spread of their features, measured anew before a network is judged or kept.

While a network is trained, its norms keep a running average over some ten batches, of weights that move on; the averaged
weights never were the ones that it belongs to. With small batches of crops that is noise which a score shows. So the
statistics are measured with the weights as they are, over whole real training tiles: what the network will meet.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from rsspade.models.sync_norm import SyncBatchNorm

__all__ = ["choose_tiles", "measure_norms"]


def choose_tiles(tiles: np.ndarray, wanted: int, *, batch_size: int, rank: int = 0, processes: int = 1) -> np.ndarray:
    """The batches (batches, batch_size) of a process: about `wanted` tiles in all, the same in every call.

    All processes get equally many; together they get in each batch what one process with a batch as large as all of theirs
    would get.
    """
    mixed = tiles[np.random.default_rng(0).permutation(len(tiles))][:wanted]
    # A network that pools the whole image cannot normalise one alone.
    least = 2 if processes == 1 and batch_size > 1 else 1
    together = min(batch_size, max(len(mixed) // processes, least)) * processes
    batches = max(len(mixed) // together, 1)
    return np.resize(mixed, (batches, processes, together // processes))[:, rank]


@torch.no_grad()
def measure_norms(network: nn.Module, batches: Iterable[Mapping[str, Tensor]]) -> None:
    """Give each norm the mean and variance of its features over all batches; all else stays in eval mode.

    In each batch the norms before it normalise by that batch, as in training.
    """
    norms = [module for module in network.modules() if isinstance(module, SyncBatchNorm)]
    momenta = [norm.momentum for norm in norms]
    seen: list[list[tuple[Tensor, Tensor]]] = [[] for _ in norms]
    try:
        for norm in norms:
            norm.train()
            norm.momentum = 1.0  # what it then keeps is the batch alone
        for inputs in batches if norms else ():
            network(inputs)
            for norm, own in zip(norms, seen, strict=True):
                own.append((norm.running_mean.clone(), norm.running_var.clone()))
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.eval()
            norm.momentum = momentum
    for norm, own in zip(norms, seen, strict=True):
        means, variances = (torch.stack(values) for values in zip(*own, strict=True))
        norm.running_mean.copy_(means.mean(dim=0))
        # Within the batches and between them; a difference of squares would go below 0 where the mean is large.
        norm.running_var.copy_(variances.mean(dim=0) + means.var(dim=0, correction=0))
