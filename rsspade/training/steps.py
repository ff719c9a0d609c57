"""The losses of each network by name, and weights that move only if every number is finite.

The generator's image is made once and serves both: detached for the discriminator, and with
its gradients for the generator.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import SGD, Adam, AdamW, Optimizer

from rsspade import losses
from rsspade.channels import Scaling, decode_optical
from rsspade.config import LossOptions
from rsspade.metrics import DISPLAY
from rsspade.models.variety import VarietyHead
from rsspade.training.batches import Batch
from rsspade.training.contract import OptimizerSettings

__all__ = ["discriminator_losses", "generator_losses", "hide_invalid", "make_optimizer", "move_weights", "total"]

_HEAD_RATE = 5.0  # times the learning rate
_HEAD_NORM = 1.0


def hide_invalid(image: Tensor, valid: Tensor) -> Tensor:
    """0 where the truth is not known: the discriminator sees the same there in both images, whatever was painted."""
    return torch.where(valid[:, None], image, 0.0)


def discriminator_losses(
    discriminator: nn.Module, planes: Tensor, batch: Batch, fake: Tensor, options: LossOptions
) -> dict[str, Tensor]:
    """The losses of the discriminator by name, weighted.

    Args:
        discriminator: As prepared, so that its gradients are averaged over processes.
        planes: What it sees of the sources, (B, K, H, W).
        batch: The truth.
        fake: The generator's image; no gradient flows into it from here.
        options: The weights.
    """
    real = batch.optical.detach().requires_grad_(options.r1 > 0)
    fake = hide_invalid(fake.detach(), batch.valid)
    # One pass for both: a second would move the spectral norms on, and meet the hooks that average over processes twice.
    judged = discriminator(torch.cat([planes, planes]), torch.cat([real, fake]))
    judged_real, judged_fake = ([[maps.chunk(2)[half] for maps in scale] for scale in judged] for half in (0, 1))
    terms = {
        "discriminator": losses.adversarial_discriminator_loss(
            judged_real, judged_fake, kind=options.kind, valid=batch.valid
        )
    }
    if options.r1 > 0:
        terms["r1"] = options.r1 * losses.r1_penalty(judged_real, real)
    return terms


def generator_losses(
    discriminator: nn.Module | None,
    planes: Tensor | None,
    batch: Batch,
    fake: Tensor,
    options: LossOptions,
    scaling: Scaling,
) -> dict[str, Tensor]:
    """The losses of the generator by name, weighted; those with weight 0 are not computed.

    Args:
        discriminator: Unwrapped: what averages over processes would wait here for gradients that never come.
        planes: What it sees of the sources; None without it.
        batch: The truth.
        fake: The generator's image, (B, C, H, W) channels.
        options: The weights.
        scaling: Between channels and reflectance, in which similarity and angle are measured.
    """
    fake, valid, terms = fake.float(), batch.valid, {}
    if options.l1 > 0:
        terms["l1"] = options.l1 * losses.l1_loss(fake, batch.optical, valid)
    if options.ssim > 0 or options.sam > 0:
        made, true = decode_optical(fake, scaling), decode_optical(batch.optical, scaling)
        if options.ssim > 0:
            terms["ssim"] = options.ssim * losses.ssim_loss(made, true, valid, peak=DISPLAY.highest)
        if options.sam > 0:
            terms["sam"] = options.sam * losses.spectral_angle_loss(made, true, valid)
    if discriminator is None or planes is None:
        return terms
    discriminator.requires_grad_(False)  # its own gradients are not wanted, and cost a third of the pass
    judged = discriminator(planes, hide_invalid(fake, valid))
    if options.adversarial > 0:
        terms["adversarial"] = options.adversarial * losses.adversarial_generator_loss(
            judged, kind=options.kind, valid=valid
        )
    if options.feature_matching > 0:
        with torch.no_grad():
            goal = discriminator(planes, batch.optical)
        terms["feature_matching"] = options.feature_matching * losses.feature_matching_loss(goal, judged, valid=valid)
    discriminator.requires_grad_(True)
    return terms


def total(terms: Mapping[str, Tensor]) -> Tensor:
    """The sum that is minimised; where it is not finite, every gradient of it becomes NaN.

    An infinite loss can have finite gradients, and one process's loss is not seen by the others; its gradients are.
    """
    value = torch.stack([term.float() for term in terms.values()]).sum()
    return value + (value.detach() - value.detach()) * value  # ∞ − ∞ is NaN; otherwise this adds 0 × value


def make_optimizer(model: nn.Module, lr: float, options: OptimizerSettings) -> Optimizer:
    """The fused kind, everywhere: one pass over all weights, and one that can leave them alone (see `move_weights`)."""
    rest, heads = _apart(model)
    # What draws is small and follows errors that shrink as the image gets better: at the common rate a short run would
    # end with the spread that its first steps needed.
    parameters: list[dict[str, Any]] = [{"params": rest}]
    if heads:
        parameters.append({"params": heads, "rate": _HEAD_RATE})
    if options.name == "sgd":
        return SGD(parameters, lr, momentum=options.beta1, weight_decay=options.weight_decay, fused=True)
    kind = AdamW if options.name == "adamw" else Adam
    return kind(parameters, lr, betas=(options.beta1, options.beta2), weight_decay=options.weight_decay, fused=True)


def _apart(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The weights that move, and those of them that only draw."""
    heads = [p for part in model.modules() if isinstance(part, VarietyHead) for p in part.parameters()]
    rest = [p for p in model.parameters() if p.requires_grad and all(p is not other for other in heads)]
    return rest, heads


def _clip(parameters: list[nn.Parameter], clip_norm: float | None) -> Tensor:
    """Shorten the gradients where they are longer than allowed; returns their length before."""
    norm = get_total_norm([p.grad for p in parameters if p.grad is not None])
    if clip_norm is not None:
        clip_grads_with_norm_(parameters, clip_norm, norm)
    return norm


def move_weights(model: nn.Module, optimizer: Optimizer, *, clip_norm: float | None) -> Tensor:
    """Make the step unless a gradient is not finite, decided on the device; returns 1 where it was left out, else 0.

    After gradients were averaged over processes each of them comes to the same decision.
    """
    rest, heads = _apart(model)
    # By themselves, or the gradients of the head would shorten the step of what it only looks at; and always, since a
    # likelihood is steep where it is surprised.
    norms = [_clip(group, longest) for group, longest in ((rest, clip_norm), (heads, _HEAD_NORM)) if group]
    left_out = (~torch.isfinite(torch.stack(norms))).any().float()
    # The way in which gradient scalers tell fused optimizers, which then change neither weights nor moments.
    optimizer.found_inf = left_out  # type: ignore[attr-defined]
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return left_out
