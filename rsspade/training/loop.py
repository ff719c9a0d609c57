"""A training run, top to bottom.

What makes it go on bit for bit after an interruption: beside the weights, the averages and the moments, which a
checkpoint holds, everything is a pure function of the seed and the step: the order of tiles, their crops and flips,
the hidden sources, the learning rate, and the random numbers inside the networks, which are seeded at each step.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from rsspade.channels import Scaling, num_when
from rsspade.config import TrainingConfig
from rsspade.environment import code_version, note_session
from rsspade.models import stack_conditions
from rsspade.models.checkpoint import RSSpade
from rsspade.models.seen import seen_ranges
from rsspade.sources import parse_subsets
from rsspade.training import steps
from rsspade.training.batches import (
    Batch,
    Share,
    StepSampler,
    hidden_moments,
    hidden_sources,
    make_loader,
    seed_step,
    to_device,
)
from rsspade.training.interruption import Interruption
from rsspade.training.parts import Data, Networks, make_accelerator, make_info, make_share, take_folder
from rsspade.training.record import Meter, Record, forget_after
from rsspade.training.resume import begins_anew, find_state, restore
from rsspade.training.run_folder import RunFolder
from rsspade.training.schedule import learning_rate, set_learning_rate
from rsspade.training.start import Start, read_start
from rsspade.training.state import Checkpoint, optimizer_tensors, write_checkpoint
from rsspade.training.validation import draw_samples, is_better, validate
from rsspade.training.variety import generate, step_noise, variety_loss

__all__ = ["Run", "train", "training_steps"]


@dataclasses.dataclass(kw_only=True)
class Run:
    """Everything that a run has at hand; `step`, `best` and `left_out` are what moves beside the networks.

    Attributes:
        step: Optimizer steps done.
        best: Step and scores of the best validation; empty before the first.
        left_out: Steps that the generator and the discriminator did not make, because a number was not finite; on
            the device.
        begun_with: Where its first weights come from; empty where they were random.
    """

    config: TrainingConfig
    accelerator: Accelerator
    folder: RunFolder
    share: Share
    data: Data
    networks: Networks
    meter: Meter
    record: Record
    step: int = 0
    best: dict[str, Any] = dataclasses.field(default_factory=dict)
    left_out: Tensor
    begun_with: dict[str, Any] = dataclasses.field(default_factory=dict)

    @classmethod
    def build(
        cls, config: TrainingConfig, accelerator: Accelerator, data: Data, found: Checkpoint | None = None,
        start: Start | None = None,
    ) -> "Run":  # fmt: skip
        """Fresh networks, those that begin with another run's generator, or those of a checkpoint."""
        folder = RunFolder(Path(config.out))
        share, info = make_share(config, accelerator), make_info(config, data)
        networks = Networks.build(config, info, accelerator, start)
        meter = Meter(accelerator.device, rank=share.rank, processes=share.processes)
        step, best = restore(found, networks, meter) if found is not None else (0, {})
        origin = {} if start is None else start.origin
        record = Record(folder.metrics, accelerator, config, done=step)
        return cls(
            config=config, accelerator=accelerator, folder=folder, share=share, data=data, networks=networks, meter=meter,
            record=record, step=step, best=best, left_out=torch.zeros(2, device=accelerator.device),
            begun_with=origin if found is None else found.state.get("begun_with", {}),
        )  # fmt: skip

    @property
    def scaling(self) -> Scaling:
        """Between physical units and channels."""
        return self.networks.info.scaling


def train(config: TrainingConfig) -> int:
    """Train, or go on training; returns the exit code: 0 finished, 1 diverged, 128 + signal interrupted."""
    folder = RunFolder(Path(config.out))
    accelerator = make_accelerator(config, folder.events)
    data = Data(config, accelerator.device)
    make_share(config, accelerator)  # this and the next refuse before anything is written
    info = make_info(config, data)
    start = read_start(config, info) if begins_anew(folder, config) else None
    lock = take_folder(folder, config, accelerator)
    try:
        found = find_state(folder, config, data.identity)
        if found is not None and found.state["step"] >= config.steps:
            accelerator.print(f"{folder.path}: all {config.steps} steps are done.")
            return 0
        run = Run.build(config, accelerator, data, found, start)
        if accelerator.is_main_process:
            folder.keep(config)
            forget_after(folder.metrics, run.step)
            note_session(folder.environment, accelerator, step=run.step)
        if run.step:
            run.record.say(f"{folder.path}: going on after step {run.step}")
        elif start is not None:
            run.record.say(f"{folder.path}: beginning with the generator of {config.init_from}")
        with run.record, Interruption(accelerator) as interruption:
            return _to_the_end(run, interruption)
    finally:
        if lock is not None:
            folder.leave(lock)


def training_steps(run: Run) -> Iterator[int]:
    """Make the steps that are left, one for each number that is taken; nothing is evaluated or saved in here."""
    accelerator, networks = run.accelerator, run.networks
    for batch in _batches(run):
        with accelerator.accumulate(*networks.prepared):
            terms = _micro_step(run, batch)
        run.meter.add(terms)
        if accelerator.sync_gradients:  # a micro-batch is not a step
            run.step += 1
            networks.average.update(networks.plain_generator, run.step)
            yield run.step


def _to_the_end(run: Run, interruption: Interruption) -> int:
    config, accelerator, meter = run.config, run.accelerator, run.meter
    for step in training_steps(run):
        run.record.step_done()
        is_last, stop = step == config.steps, interruption.noticed(step)
        log, evaluate, save = (
            is_last or step % n == 0 for n in (config.log_every, config.eval_every, config.save_every)
        )
        if (
            log or evaluate or save or stop
        ) and run.left_out.any():  # the only place where the host waits for the device
            return _give_up(run)
        if log:
            run.record.losses(run.step, meter.take(accelerator), lr=learning_rate(run.step - 1, config))
        with run.record.pause():
            if evaluate:
                _evaluate(run)
            if save or stop:
                _save(run)
        if stop and not is_last:
            run.record.say(f"{run.folder.path}: stopped after step {run.step}; the same command with --resume goes on.")
            return interruption.exit_code
    run.record.say(f"Wrote {run.folder.generator} (best) and {run.folder.generator_last}")
    return 0


def _batches(run: Run) -> Iterator[Batch]:
    """The micro-batches of this process from the next step on, on the device; seeds each and sets its learning rate."""
    config, share, data = run.config, run.share, run.data
    sampler = StepSampler(data.order, share, first=run.step, last=config.steps)
    subsets = parse_subsets(config.subsets or (), config.sources)
    loader = make_loader(data.train, sampler, workers=data.workers, pin=run.accelerator.device.type == "cuda")
    for number, sample in enumerate(loader):
        micro = number % share.accumulate
        size, seed, dropped = share.batch_size, config.seed, config.source_dropout
        hidden = hidden_sources(
            run.step, batch_size=size, sources=config.sources, seed=seed, share=dropped, subsets=subsets
        )
        moment_hidden = hidden_moments(run.step, batch_size=size, seed=seed, share=dropped)
        seed_step(config.seed, run.step, micro * share.processes + share.rank)
        rate = learning_rate(run.step, config)
        for name, factor in (("generator", 1.0), ("discriminator", config.optimizer.discriminator_lr)):
            if name in run.networks.optimizers:
                set_learning_rate(run.networks.optimizers[name], rate * factor)
        batch = to_device(
            sample, run.accelerator.device, sources=data.train.sources, scaling=run.scaling, scheme=data.train.scheme,
            hidden=hidden[share.slices()[micro]], moment_hidden=moment_hidden[share.slices()[micro]],
            told=run.networks.info.architecture.told, channels_last=config.channels_last,
        )  # fmt: skip
        yield _with_noise(run, batch, share.slices()[micro])


def _with_noise(run: Run, batch: Batch, part: slice) -> Batch:
    architecture = run.networks.info.architecture
    if architecture.variety_width == 0:
        return batch
    positions, size = range(part.start, part.stop), (batch.optical.shape[-2], batch.optical.shape[-1])
    noise = step_noise(
        run.config.seed, run.step, positions, size, depth=architecture.depth, device=run.accelerator.device
    )
    return dataclasses.replace(batch, noise=noise)


def _micro_step(run: Run, batch: Batch) -> dict[str, Tensor]:
    """Gradients of both networks for one micro-batch, and on the last of a step both steps; returns all losses.

    Fakes are made once, for both. Both networks move at the end: were the discriminator to move before the generator
    is judged, the last micro-batch of a step would meet another judge than those before it.
    """
    config, accelerator, networks = run.config, run.accelerator, run.networks
    fake, drawn = generate(networks.generator, batch)
    planes, judge_terms = None, {}
    if networks.discriminator is not None:
        architecture = networks.info.architecture
        planes = stack_conditions(
            batch.conditions,
            batch.present,
            architecture.sources,
            when=batch.when,
            when_channels=num_when(architecture.told),
        )
        judge_terms = steps.discriminator_losses(networks.discriminator, planes, batch, fake, config.loss)
        accelerator.backward(steps.total(judge_terms))
    terms = steps.generator_losses(networks.plain_discriminator, planes, batch, fake, config.loss, run.scaling)
    if drawn is not None:
        terms["variety"] = variety_loss(drawn, fake, batch)
    accelerator.backward(steps.total(terms))
    if accelerator.sync_gradients:
        for n, name in enumerate(networks.optimizers):
            run.left_out[n] += _move(run, name)
    return terms | judge_terms


def _move(run: Run, name: str) -> Tensor:
    network = run.networks.plain_generator if name == "generator" else run.networks.plain_discriminator
    assert network is not None
    return steps.move_weights(network, run.networks.optimizers[name], clip_norm=run.config.optimizer.clip_norm)


def _evaluate(run: Run) -> None:
    """Score the averaged generator on the val split, keep it if it is the best so far, draw pictures."""
    config, networks, data = run.config, run.networks, run.data
    told, model = networks.info.architecture.told, networks.average.model
    shown = data.val if data.val is not None else data.train
    if run.accelerator.is_main_process and config.sample_tiles:
        picture = run.folder.samples / f"step_{run.step:08d}.png"
        draw_samples(picture, model, shown, run.accelerator, scaling=run.scaling, told=told, tiles=config.sample_tiles)
    if data.val is None:
        return
    size = max(config.batch_size // (run.share.processes * run.share.accumulate), 1)
    scores = validate(
        model, data.val, run.accelerator, scaling=run.scaling, told=told, batch_size=size,
        subsets=config.validate_subsets,
    )  # fmt: skip
    best = run.best.get("scores", {}).get(config.select_by)
    better = is_better(scores[config.select_by], best, name=config.select_by)
    run.record.validation(run.step, scores, is_best=better)
    if better:
        run.best = {"step": run.step, "scores": scores}
        _export(run, run.folder.generator, scores=scores)


def _save(run: Run) -> None:
    """Write the last generator, then the full state: where the state of the last step is there, so is all else."""
    meter = run.meter.state(run.accelerator)
    if run.accelerator.is_main_process:
        _export(run, run.folder.generator_last, scores=None)
        if not run.best and run.step == run.config.steps:
            _export(run, run.folder.generator, scores=None)
        networks = run.networks
        state = {
            "config": dataclasses.asdict(run.config), "best": run.best, "meter": meter, "data": run.data.identity,
            "next_draw": run.step * run.config.batch_size, "processes": run.share.processes, "info": networks.info.to_json(),
            "code": code_version(), "begun_with": run.begun_with,
        }  # fmt: skip
        tensors = {"generator": networks.plain_generator.state_dict(), "average": networks.average.state()}
        if networks.plain_discriminator is not None:
            tensors["discriminator"] = networks.plain_discriminator.state_dict()
        for name, optimizer in networks.optimizers.items():
            tensors[f"{name}_optimizer"] = optimizer_tensors(optimizer)
        write_checkpoint(run.folder.checkpoints, run.step, state, tensors, keep=run.config.keep_checkpoints)
    run.accelerator.wait_for_everyone()


def _export(run: Run, folder: Path, *, scores: dict[str, Any] | None) -> None:
    """Write the averaged generator as a folder that explains itself."""
    if run.accelerator.is_main_process:
        config = run.config
        summary = {
            "dataset": run.data.identity["name"], "step": run.step, "steps": config.steps, "seed": config.seed,
            "batch_size": config.batch_size, "lr": config.lr, "losses": dataclasses.asdict(config.loss),
            "source_dropout": config.source_dropout, "subsets": config.subsets and list(config.subsets),
            "seen": seen_ranges(run.data.folder.info.statistics, config.sources), "val": scores or {},
        }  # fmt: skip
        if run.begun_with:
            summary["begun_with"] = run.begun_with
        info = dataclasses.replace(run.networks.info, training=summary)
        RSSpade(run.networks.average.model, info).save_pretrained(folder)


def _give_up(run: Run) -> int:
    """End a run whose losses are no longer finite; what was saved before stays as it is."""
    generator, discriminator = run.left_out.tolist()
    run.record.losses(run.step, run.meter.take(run.accelerator), lr=learning_rate(run.step - 1, run.config))
    run.record.diverged(run.step, generator=int(generator), discriminator=int(discriminator))
    return 1
