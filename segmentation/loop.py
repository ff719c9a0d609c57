"""A segmentation run, top to bottom; everything below it is shared with the training of the generators.

As there, all but weights, averages and moments is a pure function of the seed and the step, so that an interrupted run
goes on bit for bit.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from rsspade.data.collate import collate_samples
from rsspade.environment import code_version, note_session
from rsspade.training.batches import Share, StepSampler, make_loader, seed_step
from rsspade.training.interruption import Interruption
from rsspade.training.parts import make_accelerator, make_share, take_folder
from rsspade.training.record import Meter, Record, forget_after
from rsspade.training.resume import find_state, restore
from rsspade.training.run_folder import RunFolder
from rsspade.training.schedule import learning_rate, set_learning_rate
from rsspade.training.state import Checkpoint, optimizer_tensors, write_checkpoint
from rsspade.training.steps import move_weights, total
from rsspade.training.validation import is_better
from segmentation.config import LossOptions, SegmentationConfig
from segmentation.evaluation import count_confusion
from segmentation.losses import Part, cross_entropy, dice, divide, focal
from segmentation.metrics import scores
from segmentation.models.checkpoint import Segmenter
from segmentation.models.contract import Prediction
from segmentation.norms import choose_tiles, measure_norms
from segmentation.parts import Batch, Data, Networks, make_architecture, to_device
from segmentation.samples import draw_samples

__all__ = ["Run", "train"]

KEPT_SCORES = ("miou", "accuracy", "kappa", "mpa", "mf1", "fwiou")


@dataclasses.dataclass(kw_only=True)
class Run:
    """Everything that a run has at hand; what moves beside the network stands last.

    Attributes:
        step: Optimizer steps done.
        best: Step, scores and count of the best validation and of those since; empty before the first.
        left_out: Steps that were not made, because a number was not finite; on the device.
        measured: The step at which the norms of the averaged network were last measured.
    """

    config: SegmentationConfig
    accelerator: Accelerator
    folder: RunFolder
    share: Share
    data: Data
    networks: Networks
    meter: Meter
    record: Record
    step: int
    best: dict[str, Any]
    left_out: Tensor
    measured: int = -1

    @property
    def has_stalled(self) -> bool:
        """Whether validation has not got better for as long as the user wants to wait."""
        patience = self.config.patience
        return patience is not None and int(self.best.get("since", 0)) >= patience


def train(config: SegmentationConfig) -> int:
    """Train, or go on training; returns the exit code: 0 finished, 1 diverged, 128 + signal interrupted."""
    folder = RunFolder(Path(config.out))
    accelerator = make_accelerator(config, folder.events)
    data = Data(config, accelerator.device)
    config = config.resolved(data.order.num_draws)
    make_architecture(config, data, make_share(config, accelerator))  # refuse before anything is written
    lock = take_folder(folder, config, accelerator)
    try:
        found = find_state(folder, config, data.identity)
        if found is not None and found.state["step"] >= config.steps:
            accelerator.print(f"{folder.path}: all {config.steps} steps are done.")
            return 0
        run = _build(config, accelerator, folder, data, found)
        if run.has_stalled:
            accelerator.print(f"{folder.path}: stopped early after step {run.step}; raise --patience to go on.")
            return 0
        if accelerator.is_main_process:
            folder.keep(config)
            forget_after(folder.metrics, run.step)
            note_session(folder.environment, accelerator, step=run.step)
        if run.step:
            run.record.say(f"{folder.path}: going on after step {run.step}")
        with run.record, Interruption(accelerator) as interruption:
            return _to_the_end(run, interruption)
    finally:
        if lock is not None:
            folder.leave(lock)


def _build(
    config: SegmentationConfig, accelerator: Accelerator, folder: RunFolder, data: Data, found: Checkpoint | None
) -> Run:
    share = make_share(config, accelerator)
    meter = Meter(accelerator.device, rank=share.rank, processes=share.processes)
    networks = Networks.build(config, data, make_architecture(config, data, share), accelerator)
    step, best = restore(found, networks, meter) if found is not None else (0, {})
    return Run(
        config=config, accelerator=accelerator, folder=folder, share=share, data=data, networks=networks, meter=meter,
        record=Record(folder.metrics, accelerator, config, done=step), step=step, best=best,
        left_out=torch.zeros(1, device=accelerator.device),
    )  # fmt: skip


def _to_the_end(run: Run, interruption: Interruption) -> int:
    config, accelerator = run.config, run.accelerator
    for batch in _batches(run):
        with accelerator.accumulate(run.networks.prepared):
            run.meter.add(_micro_step(run, batch))
        if not accelerator.sync_gradients:
            continue  # a micro-batch is not a step
        run.step += 1
        run.networks.average.update(run.networks.plain, run.step)
        run.record.step_done()
        is_last, stop = run.step == config.steps, interruption.noticed(run.step)
        log, evaluate, save = (
            is_last or run.step % n == 0 for n in (config.log_every, config.eval_every, config.save_every)
        )
        if (log or evaluate or save or stop) and run.left_out.any():  # only here the host waits for the device
            return _give_up(run)
        if log:
            run.record.losses(run.step, run.meter.take(accelerator), lr=learning_rate(run.step - 1, config))
        with run.record.pause():
            if evaluate:
                _evaluate(run)
            ends = is_last or run.has_stalled
            if save or stop or ends:
                _save(run, ends=ends)
        if ends:
            break
        if stop:
            run.record.say(f"{run.folder.path}: stopped after step {run.step}; the same command with --resume goes on.")
            return interruption.exit_code
    early = f" (stopped early after step {run.step})" if run.step < config.steps else ""
    run.record.say(f"Wrote {run.folder.model} (best) and {run.folder.model_last}{early}")
    return 0


def _batches(run: Run) -> Iterator[Batch]:
    """The micro-batches of this process from the next step on, on the device; seeds each and sets its learning rate."""
    config, share, data = run.config, run.share, run.data
    sampler = StepSampler(data.order, share, first=run.step, last=config.steps)
    loader = make_loader(data.train, sampler, workers=data.workers, pin=run.accelerator.device.type == "cuda")
    for number, sample in enumerate(loader):
        seed_step(config.seed, run.step, number % share.accumulate * share.processes + share.rank)
        set_learning_rate(run.networks.optimizer, learning_rate(run.step, config))
        yield to_device(
            sample, run.accelerator.device, sources=config.sources, scaling=run.networks.info.scaling, scheme=data.scheme,
            channels_last=config.channels_last,
        )  # fmt: skip


def _micro_step(run: Run, batch: Batch) -> dict[str, Tensor]:
    """Gradients of one micro-batch, and on the last of a step the step; returns the losses by name, weighted."""
    prediction = run.networks.prepared(batch.inputs)
    parts = loss_parts(prediction, batch.labels, run.config.loss, run.networks.weights)
    counts = torch.stack([part.divisor.detach() for part in parts.values()])
    counts = run.accelerator.reduce(counts, reduction="sum")
    terms = divide(parts, counts, run.share.processes)
    run.accelerator.backward(total(terms))
    if run.accelerator.sync_gradients:
        run.left_out += move_weights(
            run.networks.plain, run.networks.optimizer, clip_norm=run.config.optimizer.clip_norm
        )
    return terms


def loss_parts(prediction: Prediction, labels: Tensor, options: LossOptions, weights: Tensor | None) -> dict[str, Part]:
    """The losses that are turned on, by name, each total times its weight."""
    logits, parts = prediction.logits.float(), {}
    if options.cross_entropy > 0:
        parts["cross_entropy"] = _weighted(cross_entropy(logits, labels, weights), options.cross_entropy)
    if options.dice > 0:
        parts["dice"] = _weighted(dice(logits, labels), options.dice)
    if options.focal > 0:
        parts["focal"] = _weighted(focal(logits, labels, weights, gamma=options.gamma), options.focal)
    if options.auxiliary > 0:
        for n, inner in enumerate(prediction.auxiliary):
            parts[f"auxiliary_{n}"] = _weighted(cross_entropy(inner.float(), labels, weights), options.auxiliary)
    return parts


def _weighted(part: Part, weight: float) -> Part:
    return Part(part.total * weight, part.divisor)


def _measure_norms(run: Run) -> None:
    """Give the averaged network norms of its own, once a step."""
    config, data, share = run.config, run.data, run.share
    if not config.optimizer.norm_tiles or run.measured == run.step:
        return
    chosen = choose_tiles(
        data.real, config.optimizer.norm_tiles, batch_size=_tiles_at_a_time(run), rank=share.rank, processes=share.processes
    )  # fmt: skip
    with run.accelerator.autocast():
        measure_norms(run.networks.average.model, (_still(run, tiles) for tiles in chosen.tolist()))
    run.measured = run.step


def _still(run: Run, tiles: list[int]) -> dict[str, Tensor]:
    """Whole training tiles as the network sees them."""
    sample = collate_samples([run.data.whole[n] for n in tiles])
    return to_device(
        sample, run.accelerator.device, sources=run.config.sources, scaling=run.networks.info.scaling,
        scheme=run.data.scheme, channels_last=run.config.channels_last,
    ).inputs  # fmt: skip


def _tiles_at_a_time(run: Run) -> int:
    return max(run.config.batch_size // (run.share.processes * run.share.accumulate), 1)


def _evaluate(run: Run) -> None:
    """Score the averaged network on the real validation tiles, draw some; keep it if it is the best so far."""
    data, networks = run.data, run.networks
    if data.val is None:
        return
    _measure_norms(run)
    model = Segmenter(networks.average.model, networks.info).to(run.accelerator.device)  # type: ignore[arg-type]
    if run.accelerator.is_main_process and run.config.sample_tiles:
        picture = run.folder.samples / f"step_{run.step:08d}.png"
        draw_samples(picture, model, data.val, run.accelerator, tiles=run.config.sample_tiles)
    found = scores(
        count_confusion(model, data.val, run.accelerator, batch_size=_tiles_at_a_time(run)), data.scheme.names
    )
    kept = {name: found[name] for name in KEPT_SCORES} | {
        "epoch": round(run.step * run.config.batch_size / data.order.num_draws, 4), "tiles": len(data.val),
        "iou": {name: entry["iou"] for name, entry in found["per_class"].items()},
    }  # fmt: skip
    better = is_better(kept["miou"], run.best.get("scores", {}).get("miou"), name="miou")
    run.record.validation(run.step, kept, is_best=better, shown=("miou", "accuracy", "kappa"))
    if better:
        run.best = {"step": run.step, "scores": kept, "since": 0}
        _export(run, run.folder.model, val=kept)
    else:
        run.best["since"] = run.best.get("since", 0) + 1


def _save(run: Run, *, ends: bool) -> None:
    """Write the last network, then the full state: where the state of the last step is there, so is all else."""
    _measure_norms(run)
    meter = run.meter.state(run.accelerator)
    if run.accelerator.is_main_process:
        _export(run, run.folder.model_last, val={})
        if "step" not in run.best and ends:
            _export(run, run.folder.model, val={})
        networks = run.networks
        state = {
            "config": dataclasses.asdict(run.config), "best": run.best, "meter": meter, "data": run.data.identity,
            "next_draw": run.step * run.config.batch_size, "processes": run.share.processes,
            "info": networks.info.to_json(), "code": code_version(),
        }  # fmt: skip
        tensors = {name: module.state_dict() for name, module in networks.modules.items()}
        tensors["network_optimizer"] = optimizer_tensors(networks.optimizer)
        write_checkpoint(run.folder.checkpoints, run.step, state, tensors, keep=run.config.keep_checkpoints)
    run.accelerator.wait_for_everyone()


def _export(run: Run, folder: Path, *, val: dict[str, Any]) -> None:
    """Write the averaged network as a folder that explains itself."""
    if run.accelerator.is_main_process:
        config, networks = run.config, run.networks
        summary = {
            "dataset": run.data.identity["name"], "real_tiles": len(run.data.real),
            "synthetic_tiles": run.data.num_synthetic_tiles, "synthetic_per_epoch": run.data.order.num_synthetic,
            "step": run.step, "steps": config.steps, "seed": config.seed, "batch_size": config.batch_size, "lr": config.lr,
            "losses": dataclasses.asdict(config.loss), "val": {name: val[name] for name in KEPT_SCORES if name in val},
        }  # fmt: skip
        info = dataclasses.replace(networks.info, training=summary)
        Segmenter(networks.average.model, info).save_pretrained(folder)  # type: ignore[arg-type]


def _give_up(run: Run) -> int:
    """End a run whose losses are no longer finite; what was saved before stays as it is."""
    run.record.losses(run.step, run.meter.take(run.accelerator), lr=learning_rate(run.step - 1, run.config))
    run.record.diverged(run.step, network=int(run.left_out.item()))
    return 1
