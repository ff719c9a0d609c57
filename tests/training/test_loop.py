"""A run from its first step to its last: what it leaves, what it learns, and how it goes on."""

import io
import json
import math
import re
import shutil
import sys

import numpy as np
import pytest
import rasterio
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_runs import PLAIN, arguments, lines, same_state

from rsspade.cli import main as rsspade
from rsspade.config import TrainingConfig
from rsspade.data.manifest import DatasetFolder
from rsspade.data.torch_dataset import TileDataset
from rsspade.metrics import DISPLAY, psnr
from rsspade.models import RSSpade
from rsspade.models.padding import Padding
from rsspade.models.variety import VarietyHead, finish
from rsspade.options import read_options
from rsspade.training import loop, parts, steps
from rsspade.training.interruption import Interruption
from rsspade.training.state import find_checkpoints


@pytest.fixture(autouse=True)
def _fresh_accelerator():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
    torch.set_num_threads(threads)


def run(data, out, **options):
    return loop.train(read_options(TrainingConfig, arguments(data, out, **options)))


def test_two_steps_run_and_the_generator_loads_again(dataset, tmp_path):
    assert run(dataset, tmp_path / "run", steps=2, sample_tiles=2) == 0
    kept = {p.name for p in (tmp_path / "run").iterdir()}
    assert {"config.yaml", "metrics.jsonl", "generator", "generator_last", "checkpoints", "samples"} <= kept
    assert (tmp_path / "run" / "samples" / "step_00000002.png").read_bytes().startswith(b"\x89PNG")
    model = RSSpade.from_pretrained(tmp_path / "run" / "generator")
    image = model({"s1": torch.randn(1, 2, 64, 96) - 12})
    assert image.shape == (1, 4, 64, 96)
    assert torch.isfinite(image).all()
    assert model.info.training["step"] == 2


def test_inputs_unlike_those_of_training_are_told(dataset, tmp_path, capsys):
    assert run(dataset, tmp_path / "run", steps=1) == 0
    words = ["evaluate", "--run", str(tmp_path / "run"), "--data", str(dataset), "--split", "train"]
    assert rsspade(words) == 0
    assert "warning" not in capsys.readouterr().err
    config = tmp_path / "run" / "generator" / "config.json"
    content = json.loads(config.read_text())
    content["training"]["seen"]["dem"]["elevation"] = [-9.0, -8.0]  # a generator of the deep sea
    config.write_text(json.dumps(content))
    assert rsspade(words) == 0
    assert "warning: elevation: 100% of the pixels" in capsys.readouterr().err


def test_every_loss_is_logged_by_name_at_each_line(dataset, tmp_path):
    run(dataset, tmp_path / "run", steps=3, loss__feature_matching=1, loss__r1=0.1, save_every=3)
    found = [line for line in lines(tmp_path / "run") if "loss" in line]
    assert [line["step"] for line in found] == [1, 2, 3]
    expected = {"l1", "ssim", "sam", "adversarial", "feature_matching", "variety", "discriminator", "r1"}
    assert all(set(line["loss"]) == expected for line in found)
    assert all(math.isfinite(v) for line in found for v in line["loss"].values())
    (scored,) = [line for line in lines(tmp_path / "run") if "val" in line]
    assert {"psnr", "ssim", "sam_rad"} <= set(scored["val"])


def test_each_source_alone_is_validated_where_asked(dataset, tmp_path):
    run(dataset, tmp_path / "run", steps=1, validate_subsets="true", save_every=1)
    (scored,) = [line["val"] for line in lines(tmp_path / "run") if "val" in line]
    alone = {name: scored[f"psnr[{name}]"] for name in ("s1", "lulc", "dem")}
    assert len({scored["psnr"], *alone.values()}) == 4
    model = RSSpade.from_pretrained(tmp_path / "run" / "generator")
    val = TileDataset(DatasetFolder.open(dataset), split="val", random_crops=False)
    pairs = [(model({"dem": sample.sources["dem"]}), sample.optical) for sample in (val[n] for n in range(len(val)))]
    by_hand = [
        psnr(DISPLAY.apply(made[None]), DISPLAY.apply(true[None]), torch.ones(1, 64, 64) > 0) for made, true in pairs
    ]
    assert alone["dem"] == pytest.approx(float(torch.cat(by_hand).mean()), abs=1e-4)


def test_one_batch_is_overfitted(make_dataset, tmp_path):
    data = make_dataset(tmp_path / "data", scenes=3, grid=(1, 1)).path
    options = {"loader__flips": "false", "loader__turns": "false", "source_dropout": 0, "loss__adversarial": 0}
    options |= {"generator__base_width": 8, "generator__full_width": 8, "optimizer__schedule": "constant"}
    run(
        data,
        tmp_path / "run",
        steps=120,
        batch_size=1,
        lr=5e-3,
        save_every=120,
        eval_every=120,
        loss__ssim=0,
        loss__sam=0,
        **options,
    )
    losses = [line["loss"]["l1"] for line in lines(tmp_path / "run") if "loss" in line]
    assert sum(losses[-10:]) / 10 < 0.15 * losses[0]


def test_a_run_that_was_stopped_goes_on_bit_for_bit(dataset, tmp_path, monkeypatch):
    options = {"steps": 6, "save_every": 2, "eval_every": 3, "log_every": 4, "season": "true", **PLAIN}
    assert run(dataset, tmp_path / "whole", **options) == 0
    with monkeypatch.context() as patch:
        patch.setattr(Interruption, "noticed", lambda self, step: step == 3 and setattr(self, "signal", 15) is None)
        assert run(dataset, tmp_path / "broken", **options) == 143
    assert run(dataset, tmp_path / "broken", resume="true", **options) == 0
    assert same_state(tmp_path / "whole", tmp_path / "broken")
    plain = [
        [{k: v for k, v in line.items() if k != "images_per_second"} for line in lines(tmp_path / name)]
        for name in ("whole", "broken")
    ]
    assert plain[0] == plain[1]
    sessions = json.loads((tmp_path / "broken" / "environment.json").read_text())
    assert [entry["step"] for entry in sessions] == [0, 3]


def test_the_generator_names_neither_time_nor_place_and_the_run_names_its_code(dataset, tmp_path):
    for name in ("one", "two"):
        run(dataset, tmp_path / name, steps=1)
    for file in ("config.json", "README.md"):
        text = (tmp_path / "one" / "generator" / file).read_text()
        assert text == (tmp_path / "two" / "generator" / file).read_text()
        assert str(tmp_path) not in text
        assert not re.search(r"20\d\d-\d\d-\d\d|\d\d:\d\d", text)
    (session,) = json.loads((tmp_path / "one" / "environment.json").read_text())
    state = json.loads((find_checkpoints(tmp_path / "one" / "checkpoints")[0] / "state.json").read_text())
    assert state["code"] == {name: session[name] for name in ("rsspade", "commit")}


def test_what_a_masked_pixel_holds_moves_no_weight_and_no_score(make_dataset, tmp_path):
    """The same tiles with the clouds' pixels painted over, NaN among them: the same run, to the last bit."""
    ends = []
    for filling in (None, 0.9, math.nan):
        data = make_dataset(tmp_path / f"data {filling}", grid=(1, 1), clouds=True).path
        for path in sorted((data / "S2").iterdir()) if filling is not None else ():
            with rasterio.open(data / "CLOUD" / path.name) as mask, rasterio.open(path, "r+") as image:
                assert mask.read().any()
                image.write(np.where(mask.read() > 0, np.float32(filling), image.read()))
        # The clouds count for S2 itself where no clouded image lies beside it.
        shutil.rmtree(data / "S2_CLOUDY")
        out = tmp_path / f"run {filling}"
        assert run(data, out, steps=3, loss__feature_matching=1) == 0
        shown = [{k: v for k, v in line.items() if k in ("loss", "val")} for line in lines(out)]
        ends.append((shown, (out / "generator_last" / "model.safetensors").read_bytes()))
    assert all(math.isfinite(v) for line in ends[0][0] for v in line.get("loss", {}).values())
    assert ends[1] == ends[0]
    assert ends[2] == ends[0]


def test_a_complete_run_is_left_as_it_is(dataset, tmp_path, capsys):
    run(dataset, tmp_path / "run", steps=1, save_every=1)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*.safetensors")}
    assert run(dataset, tmp_path / "run", steps=1, save_every=1, resume="true") == 0
    assert "all 1 steps are done" in capsys.readouterr().out
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*.safetensors")}


def test_resume_without_a_checkpoint_begins(dataset, tmp_path):
    assert run(dataset, tmp_path / "run", steps=1, resume="true") == 0
    assert (tmp_path / "run" / "generator").is_dir()


def test_a_loss_that_is_not_finite_moves_no_weight_and_ends_the_run(dataset, tmp_path, monkeypatch):
    options = {"steps": 20, "save_every": 2, "log_every": 5, "eval_every": 20}
    honest = steps.losses.l1_loss
    calls = []

    def sometimes(*images):
        calls.append(1)
        return honest(*images) * (math.inf if len(calls) == 3 else 1)

    monkeypatch.setattr(steps.losses, "l1_loss", sometimes)
    seen = []
    monkeypatch.setattr(loop, "_move", watch(loop._move, seen))
    assert run(dataset, tmp_path / "run", **options) == 1
    assert [moved for name, moved in seen if name == "generator"] == [True, True, False, True]
    assert all(moved for name, moved in seen if name == "discriminator")
    assert [p.name for p in find_checkpoints(tmp_path / "run" / "checkpoints")] == ["step_00000002"]
    assert lines(tmp_path / "run")[-1] == {"step": 4, "diverged": {"generator": 1, "discriminator": 0}}


def test_a_discriminator_that_is_not_finite_makes_no_step_and_holds_the_generator_up_in_none(
    dataset, tmp_path, monkeypatch
):
    honest = steps.discriminator_losses
    calls = []

    def sometimes(*given):
        calls.append(1)
        return {name: term * (math.nan if len(calls) == 3 else 1) for name, term in honest(*given).items()}

    monkeypatch.setattr(steps, "discriminator_losses", sometimes)
    seen = []
    monkeypatch.setattr(loop, "_move", watch(loop._move, seen))
    assert run(dataset, tmp_path / "run", steps=20, save_every=2, log_every=5, eval_every=20) == 1
    assert [moved for name, moved in seen if name == "discriminator"] == [True, True, False, True]
    assert all(moved for name, moved in seen if name == "generator")
    assert [p.name for p in find_checkpoints(tmp_path / "run" / "checkpoints")] == ["step_00000002"]
    assert lines(tmp_path / "run")[-1] == {"step": 4, "diverged": {"generator": 0, "discriminator": 1}}


def test_half_precision_learns_nearly_the_same_and_keeps_whole_weights(dataset, tmp_path):
    for precision in ("fp32", "bf16"):
        assert run(dataset, tmp_path / precision, steps=3, precision=precision, loss__feature_matching=1) == 0
        AcceleratorState._reset_state(reset_partial_state=True)
    whole, half = ([line["loss"] for line in lines(tmp_path / p) if "loss" in line] for p in ("fp32", "bf16"))
    assert whole != half
    for mine, theirs in zip(whole, half, strict=True):
        assert theirs == pytest.approx(mine, rel=0.05, abs=0.02)
    kept = load_file(tmp_path / "bf16" / "generator" / "model.safetensors")
    assert {v.dtype for v in kept.values() if v.is_floating_point()} == {torch.float32}


def test_curves_stand_in_tensorboard_and_the_bar_tells_losses_pace_and_time_left(dataset, tmp_path, monkeypatch):
    shown = io.StringIO()
    monkeypatch.setattr(shown, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stderr", shown)
    assert TrainingConfig(data="data", out="run").tracker == "tensorboard"
    assert run(dataset, tmp_path / "run", steps=3, tracker=None) == 0
    written = EventAccumulator(str(tmp_path / "run" / "events" / "train")).Reload()
    logged = [line for line in lines(tmp_path / "run") if "loss" in line]
    for name in ("l1", "discriminator"):
        curve = {event.step: event.value for event in written.Scalars(f"loss/{name}")}
        assert curve == pytest.approx({line["step"]: line["loss"][name] for line in logged})
    assert written.Scalars("val/psnr")
    bar = shown.getvalue().split("\r")
    assert any(re.search(r"training:\s+\d+%.*2/3 \[.*<\d\d:\d\d.*l1=[\d.]+.*img/s=[\d.]+", text) for text in bar), bar


def watch(move, seen):
    def moving(run, name):
        network = run.networks.plain_generator if name == "generator" else run.networks.plain_discriminator
        optimizer = run.networks.optimizers[name]
        before = [p.detach().clone() for p in network.parameters()], json.dumps(str(optimizer.state_dict()["state"]))
        left_out = move(run, name)
        weights_moved = any(not torch.equal(a, b) for a, b in zip(before[0], network.parameters(), strict=True))
        moments_moved = before[1] != json.dumps(str(optimizer.state_dict()["state"]))
        assert weights_moved == moments_moved == (not left_out.item())
        seen.append((name, weights_moved))
        return left_out

    return moving


class WithoutNorms(torch.nn.Module):
    """A generator whose samples do not see each other, so that only the accumulation can make a difference."""

    def __init__(self, config):
        super().__init__()
        bands = len(config.optical_bands)
        self.conv = torch.nn.Conv2d(config.sources["s1"], bands, 3, padding=1)
        self.variety = VarietyHead(config.sources["s1"], bands, depth=config.depth, width=4)

    def forward(self, conditions, present, season=None, noise=None):
        return finish(self.conv, self.variety, conditions["s1"], Padding(0, 0, 0, 0), noise)


def test_micro_batches_give_the_gradients_of_the_whole_batch(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "build_generator", WithoutNorms)
    options = {"steps": 1, "batch_size": 4, "optimizer__name": "sgd", "lr": 0.1, "discriminator__norm": "instance"}
    for name, micro in (("whole", 1), ("parts", 4)):
        run(dataset, tmp_path / name, accumulate=micro, loss__feature_matching=0.5, **options)
    first, second = (find_checkpoints(tmp_path / name / "checkpoints")[0] for name in ("whole", "parts"))
    for network in ("generator", "discriminator"):
        one, other = load_file(first / f"{network}.safetensors"), load_file(second / f"{network}.safetensors")
        assert one.keys() == other.keys()
        assert max(float((one[k] - other[k]).abs().max()) for k in one) < 1e-6


def test_a_step_of_one_network_reaches_neither_weights_nor_gradients_of_the_other(dataset, tmp_path, monkeypatch):
    move, judge, gradients, moved = loop._move, steps.generator_losses, [], []

    def judging(discriminator, *rest):  # the discriminator's own pass is over, the generator's begins
        gradients[:] = [p.grad.clone() for p in discriminator.parameters()]
        return judge(discriminator, *rest)

    def moving(run, name):
        networks = {"generator": run.networks.plain_generator, "discriminator": run.networks.plain_discriminator}
        if name == "generator":
            kept = [p.grad for p in networks["discriminator"].parameters()]
            assert all(torch.equal(a, b) for a, b in zip(gradients, kept, strict=True))
            assert all(p.grad is not None for p in networks["generator"].parameters())
        del networks[name]
        (other,) = networks.values()
        before = [p.detach().clone() for p in other.parameters()]
        left_out = move(run, name)
        assert all(torch.equal(a, b) for a, b in zip(before, other.parameters(), strict=True))
        moved.append(name)
        return left_out

    def backward_of_the_judge(*arguments):
        terms = judged(*arguments)
        assert not any(term.requires_grad and _reaches(term, arguments[3]) for term in terms.values())
        return terms

    judged = steps.discriminator_losses
    monkeypatch.setattr(loop, "_move", moving)
    monkeypatch.setattr(steps, "generator_losses", judging)
    monkeypatch.setattr(steps, "discriminator_losses", backward_of_the_judge)
    run(dataset, tmp_path / "run", steps=2, loss__feature_matching=1)
    assert moved == ["generator", "discriminator"] * 2


def _reaches(loss, image):
    (gradient,) = torch.autograd.grad(loss, image, retain_graph=True, allow_unused=True)
    return gradient is not None
