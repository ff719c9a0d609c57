"""Mistakes of a user: each ends in one line that says what to do, exit code 2, and nothing half-written."""

import hashlib
import json
import shutil
from types import SimpleNamespace

import accelerate.tracking
import numpy as np
import pytest
import rasterio
import torch
import yaml
from accelerate.state import AcceleratorState
from safetensors.torch import save
from tiny_runs import PLAIN, arguments

from rsspade.config import TrainingConfig
from rsspade.data.manifest import DatasetFolder
from rsspade.errors import ConfigError
from rsspade.options import describe_options, flatten, read_options, to_yaml
from rsspade.training.__main__ import main
from rsspade.training.parts import make_share
from rsspade.training.state import find_checkpoints

NEEDED = ["--data", "d", "--out", "o"]


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def refusal(capsys, words):
    """The one line on standard error of a command line that ends with code 2."""
    assert main(words) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1, err
    assert err.startswith("train_gan.py: ")
    return err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--stepz", "3"], "Did you mean --steps?"),
        (["--batch-size", "3"], "Did you mean --batch_size?"),
        (["--base_width", "3"], "Did you mean --generator.base_width?"),
        (["--loss.ssmi", "3"], "Did you mean --loss.ssim?"),
        (["--model", "spde"], "Did you mean spade?"),
        (["--optimizer.schedule", "cosin"], "Did you mean cosine?"),
        (["--sources", "s1,lidar"], "expected a comma-separated subset of s1, lulc, dem"),
        (["--steps", "many"], "--steps: expected a whole number, found 'many'"),
        (["--steps", "0"], "--steps: expected a number of at least 1, found 0"),
        (["--lr", "nan"], "--lr: expected a number, found 'nan'"),
        (["--lr"], "--lr: expected a value behind it, found none"),
        (["--lr", "1", "--lr", "2"], "--lr: expected it once, found it twice"),
        (["--resume", "--season", "maybe"], "expected an option such as --steps 1000, found 'maybe'"),
        (["--source_dropout", "1"], "--source_dropout: expected 0 ≤ value < 1, found 1"),
        (["--subsets", "s1+lidar"], "--subsets: expected different subsets of s1, lulc, dem such as s1+lulc+dem:3"),
        (["--subsets", "s1:0"], "numbers above 0, found 's1:0'"),
        (["--subsets", "s1:"], "found 's1:'"),
        (["--subsets", "s1+dem,dem+s1"], "found 'dem+s1'"),
        (["--sources", "s1,dem", "--subsets", "s1+lulc"], "expected different subsets of s1, dem"),
        (["--accumulate", "3"], "--accumulate: expected a divisor of --batch_size 4, found 3"),
        (["--loss.l1", "0", "--loss.ssim", "0", "--loss.sam", "0", "--loss.adversarial", "0"], "Raise one"),
        (["--loss.r1", "1", "--loss.adversarial", "0"], "--loss.r1: expected 0 where no loss uses the discriminator"),
        (["--config", "none.yaml"], "--config none.yaml: expected a readable YAML file"),
    ],
)  # fmt: skip
def test_an_option_that_cannot_be_is_refused_with_what_could(capsys, words, expected):
    assert expected in refusal(capsys, NEEDED + words)


def test_options_come_from_a_file_and_the_command_line_wins(tmp_path):
    file = tmp_path / "options.yaml"
    file.write_text("lr: 1e-3\nsteps: 7\nloss:\n  l1: 2\nloader.workers: none\nsources: [dem, s1]\nresume: true\n")
    config = read_options(TrainingConfig, [*NEEDED, "--config", str(file), "--steps=9", "--loss.kind", "lsgan"])
    assert (config.lr, config.steps, config.loss.l1, config.loss.kind) == (1e-3, 9, 2.0, "lsgan")
    assert (config.sources, config.resume, config.loader.workers) == (("s1", "dem"), True, None)


def test_the_resolved_config_reads_back_as_it_was(tmp_path):
    config = read_options(TrainingConfig, [*NEEDED, "--optimizer.clip_norm", "5", "--loader.crop_size", "64"])
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    assert read_options(TrainingConfig, ["--config", str(tmp_path / "config.yaml")]) == config


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("stepps: 3", "Did you mean steps?"),
        ("loss: {l2: 3}", "Did you mean loss.l1?"),
        ("steps: [3]", "steps: expected a whole number"),
        ("- steps", "expected options by name, found list"),
        ("a: &x [*x]", "expected a readable YAML file, found an alias"),
        ("loss: &x {l1: *x}", "expected a readable YAML file, found an alias"),
        ("lr: &a [x, x]\nsources: [*a, *a]", "expected a readable YAML file, found an alias"),
        ("steps: 2020-02-31", "expected a readable YAML file, found day"),
        ("!!python/object/apply:os.system ['true']", "expected a readable YAML file"),
    ],
)
def test_a_file_of_options_that_cannot_be_is_refused(tmp_path, capsys, text, expected):
    (tmp_path / "options.yaml").write_text(text)
    assert expected in refusal(capsys, [*NEEDED, "--config", str(tmp_path / "options.yaml")])


def test_no_option_at_all_is_told_in_one_line(capsys):
    assert (
        refusal(capsys, []) == "train_gan.py: expected options, at least --data and --out, found none. See `--help`.\n"
    )


def test_help_explains_every_option_and_shows_an_example(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert "example:\n  python train_gan.py" in text
    explained = describe_options(TrainingConfig).splitlines()
    config = read_options(TrainingConfig, NEEDED)
    assert len(explained) == 2 * len(flatten(config))
    assert all(line.strip() for line in explained)


@pytest.mark.parametrize(
    ("made", "asked", "expected"),
    [
        ({"sources": ("S2", "S1", "LULC")}, {"sources": "s1,dem"}, "expected a dataset with the source dem, found s1, lulc"),
        ({"sources": ("S1", "LULC")}, {"sources": "s1"}, "expected at least one clear optical tile (S2) in the split train"),
        ({"missing": [("DEM", f"s{n}_0_0") for n in (0, 2)]}, {}, "expected training tiles with a clear image and the source dem, found s1, lulc"),
        ({}, {"loader__crop_size": 128}, "expected a crop of 1 to 64 pixels"),
        ({}, {"batch_size": 3, "accumulate": 2}, "--accumulate: expected a divisor of --batch_size 3"),
        ({}, {"generator__depth": 1}, "generator.depth: expected a whole number from 2 to 8"),
        ({}, {"generator__modulate": "some"}, "generator.modulate: expected all, none"),
        ({}, {"data": "nowhere"}, "expected a dataset folder, found no such folder"),
        ({}, {"resume_from": "step_00000100"}, "expected a checkpoint in"),
    ],
)  # fmt: skip
def test_a_dataset_that_cannot_be_trained_on_is_refused_before_anything_is_written(
    make_dataset, tmp_path, capsys, made, asked, expected
):
    data = make_dataset(tmp_path / "data", scenes=3, grid=(1, 1), **made).path
    words = arguments(asked.pop("data", data), tmp_path / "run", **asked)
    assert expected in refusal(capsys, words)
    assert not (tmp_path / "run").exists()


def test_a_tracker_that_is_not_installed_is_refused(dataset, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(accelerate.tracking, "_available_trackers", [])
    words = arguments(dataset, tmp_path / "run", steps=1, tracker="wandb")
    told = refusal(capsys, words)
    assert "--tracker: expected a tracker that is installed, found wandb. Run `pip install wandb`" in told
    assert not (tmp_path / "run").exists()


def test_a_pyramid_that_ends_in_one_pixel_of_one_tile_is_refused(dataset, tmp_path, capsys):
    options = PLAIN | {"model": "spade", "generator__hidden_width": 4, "steps": 1}
    words = arguments(dataset, tmp_path / "run", **options | {"generator__depth": 6, "batch_size": 1})
    assert "expected at most 5 for one tile of 64×64 px at a time, found 6" in refusal(capsys, words)
    assert not (tmp_path / "run").exists()
    for number, fits in enumerate(({"generator__depth": 5, "batch_size": 1}, {"generator__depth": 6, "batch_size": 2})):
        assert main(arguments(dataset, tmp_path / f"run{number}", **options | fits)) == 0
        AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.parametrize(("layers", "scales"), [(5, 1), (3, 3)])
def test_a_discriminator_too_deep_for_the_tiles_is_refused(dataset, tmp_path, capsys, layers, scales):
    options = {"steps": 1, "discriminator__layers": layers, "discriminator__scales": scales}
    expected = f"expected at most 5 together for tiles of 64×64 px, found {layers} and {scales}"
    assert expected in refusal(capsys, arguments(dataset, tmp_path / "run", **options))
    assert not (tmp_path / "run").exists()
    assert main(arguments(dataset, tmp_path / "unasked", **options, loss__adversarial=0)) == 0


def test_an_empty_train_split_is_refused(make_dataset, tmp_path, capsys):
    data = make_dataset(tmp_path / "data", scenes=3, grid=(1, 1)).path
    table = data / "tiles.csv"
    table.write_text(table.read_text().replace(",train,", ",val,"))
    assert "expected tiles in the split train, found none" in refusal(capsys, arguments(data, tmp_path / "run"))


@pytest.fixture(scope="module")
def finished(dataset, tmp_path_factory):
    """A run of three steps with a checkpoint after each of the last two; to be copied, not changed."""
    out = tmp_path_factory.mktemp("finished") / "run"
    assert main(arguments(dataset, out, steps=3, save_every=1)) == 0
    return out


@pytest.fixture
def broken_off(finished, tmp_path):
    """The same as if it had been killed after step 3 of 5."""
    out = tmp_path / "run"
    shutil.copytree(finished, out)
    for path in [out / "config.yaml", *out.rglob("state.json")]:
        path.write_text(path.read_text().replace("steps: 3", "steps: 5").replace('"steps": 3', '"steps": 5'))
    return out


def test_a_folder_that_holds_a_run_is_refused_without_resume(dataset, finished, capsys):
    words = arguments(dataset, finished, steps=3, save_every=1)
    assert "found a run. Add --resume to continue it" in refusal(capsys, words)


def test_a_folder_that_holds_another_run_is_refused_and_the_difference_named(dataset, finished, capsys):
    words = arguments(dataset, finished, steps=3, save_every=1, resume="true", loss__l1=3)
    assert "found a run with --loss.l1 1.0 (now 3.0)" in refusal(capsys, words)


def as_made_before_there_was(name, run):
    """Take an option out of all that a run has written."""
    config = run / "config.yaml"
    content = yaml.safe_load(config.read_text())
    del content[name]
    config.write_text(yaml.safe_dump(content))
    for path in run.rglob("state.json"):
        state = json.loads(path.read_text())
        del state["config"][name]
        path.write_text(json.dumps(state))


def test_a_run_older_than_an_option_goes_on_with_its_default_and_with_no_other(dataset, broken_off, capsys):
    as_made_before_there_was("season", broken_off)
    words = arguments(dataset, broken_off, steps=5, save_every=1, resume="true")
    assert "found a run older than --season (now true)" in refusal(capsys, [*words, "--season"])
    assert main(words) == 0
    assert "going on after step 3" in capsys.readouterr().out
    assert "season: false" in (broken_off / "config.yaml").read_text()  # what it is from now on


def test_a_folder_of_something_else_is_refused(dataset, tmp_path, capsys):
    (tmp_path / "holiday.jpg").touch()
    assert "found other files (holiday.jpg)" in refusal(capsys, arguments(dataset, tmp_path, resume="true"))
    assert [p.name for p in tmp_path.iterdir()] == ["holiday.jpg"]


def test_a_run_that_goes_back_to_an_earlier_checkpoint_gives_up_the_later_ones(dataset, broken_off):
    newest, before = find_checkpoints(broken_off / "checkpoints")
    newest.rename(newest.with_name("step_00000009"))
    words = arguments(dataset, broken_off, steps=5, save_every=1, keep_checkpoints=1)
    assert main([*words, "--resume_from", before.name]) == 0
    assert [path.name for path in find_checkpoints(broken_off / "checkpoints")] == ["step_00000005"]


def truncate(path):
    path.write_bytes(path.read_bytes()[:-10])


def flip(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("generator.safetensors", truncate),
        ("discriminator_optimizer.safetensors", flip),
        ("average.safetensors", lambda path: path.unlink()),
        ("state.json", truncate),
        ("state.json", lambda path: path.write_text("[" * 100_000)),
    ],
)
def test_a_damaged_checkpoint_is_passed_over_for_the_last_good_one(dataset, broken_off, capsys, name, damage):
    newest, before = find_checkpoints(broken_off / "checkpoints")
    damage(newest / name)
    assert main(arguments(dataset, broken_off, steps=5, save_every=1, resume="true")) == 0
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert f"{name}: expected" in captured.err
    assert f"Going on from {before.name}, the last good one." in captured.err
    assert "going on after step 2" in captured.out


def test_a_checkpoint_asked_for_by_name_is_taken_or_refused(dataset, broken_off, capsys):
    newest, before = find_checkpoints(broken_off / "checkpoints")
    truncate(newest / "average.safetensors")
    words = arguments(dataset, broken_off, steps=5, save_every=1)
    assert "This checkpoint is damaged or foreign" in refusal(capsys, [*words, "--resume_from", newest.name])
    assert main([*words, "--resume_from", before.name]) == 0


def test_a_checkpoint_that_is_not_there_is_told_from_those_that_are(dataset, broken_off, tmp_path, capsys):
    newest, before = (path.name for path in find_checkpoints(broken_off / "checkpoints"))
    words = arguments(dataset, broken_off, steps=5, save_every=1)
    told = refusal(capsys, [*words, "--resume_from", "5"])
    assert f"--resume_from: expected one of {newest}, {before}, found 5. Name one of them" in told


def test_where_no_checkpoint_is_whole_nothing_is_begun_anew(dataset, broken_off, capsys):
    for path in find_checkpoints(broken_off / "checkpoints"):
        truncate(path / "generator.safetensors")
    words = arguments(dataset, broken_off, steps=5, save_every=1, resume="true")
    assert "This checkpoint is damaged or foreign" in refusal(capsys, words)


def test_a_checkpoint_of_another_dataset_is_refused(dataset, broken_off, capsys):
    for path in (broken_off / "checkpoints").rglob("state.json"):
        state = json.loads(path.read_text())
        state["data"]["split_sha256"] = "0" * 64
        path.write_text(json.dumps(state))
    words = arguments(dataset, broken_off, steps=5, save_every=1, resume="true")
    assert "expected a checkpoint of this dataset and split, found one of another" in refusal(capsys, words)


def test_a_run_does_not_go_on_with_other_labels(dataset, broken_off, tmp_path, capsys):
    mine = tmp_path / "data"
    shutil.copytree(dataset, mine)
    tile = DatasetFolder.open(mine).in_split("train")[0].tile
    with rasterio.open(mine / "LULC" / f"{tile}.tif", "r+") as src:
        labels = src.read(1)
        src.write(np.where(labels == labels[0, 0], 255, labels), 1)
    words = arguments(mine, broken_off, steps=5, save_every=1, resume="true")
    assert "found one of another (labels)" in refusal(capsys, words)
    assert main(arguments(dataset, broken_off, steps=5, save_every=1, resume="true")) == 0


def test_a_checkpoint_of_another_run_is_refused(dataset, broken_off, tmp_path, capsys):
    assert main(arguments(dataset, tmp_path / "other", steps=5, **PLAIN)) == 0
    (foreign,) = find_checkpoints(tmp_path / "other" / "checkpoints")
    shutil.copytree(foreign, broken_off / "checkpoints" / foreign.name)
    words = arguments(dataset, broken_off, steps=5, save_every=1)
    for asked in (["--resume", "true"], ["--resume_from", foreign.name]):
        assert f"{foreign.name}: expected a checkpoint of this run" in refusal(capsys, [*words, *asked])


def test_a_checkpoint_whose_tensors_fit_another_network_is_refused(dataset, broken_off, capsys):
    newest, _ = find_checkpoints(broken_off / "checkpoints")
    other = save({"weight": torch.zeros(3)})
    (newest / "generator.safetensors").write_bytes(other)
    state = json.loads((newest / "state.json").read_text())
    state["files"]["generator.safetensors"] = {"bytes": len(other), "sha256": hashlib.sha256(other).hexdigest()}
    (newest / "state.json").write_text(json.dumps(state))
    words = arguments(dataset, broken_off, steps=5, save_every=1, resume="true")
    assert "expected the state of these networks" in refusal(capsys, words)


def test_an_option_without_effect_is_told(dataset, tmp_path, capsys):
    options = PLAIN | {"generator__full_width": 3}
    assert main(arguments(dataset, tmp_path / "run", steps=1, **options)) == 0
    assert "warning: --generator.full_width has no effect on pix2pix" in capsys.readouterr().err


def test_rare_classes_without_land_cover_are_told(make_dataset, tmp_path, capsys):
    plain = make_dataset(tmp_path / "data", scenes=3, grid=(1, 1), sources=("S2", "S1")).path
    options = {"steps": 1, "sources": "s1", "loader__rare_classes": 1}
    assert main(arguments(plain, tmp_path / "run", **options)) == 0
    expected = f"warning: --loader.rare_classes has no class to favour: no training tile of {plain} holds land cover."
    assert expected in capsys.readouterr().err


def test_a_batch_that_processes_cannot_share_is_refused(dataset, tmp_path):
    config = read_options(TrainingConfig, arguments(dataset, tmp_path / "run", batch_size=4, accumulate=2))
    with pytest.raises(
        ConfigError, match=r"--batch_size: expected a multiple of 6 \(3 processes × 2 micro-batches\), found 4"
    ):
        make_share(config, SimpleNamespace(num_processes=3, process_index=0))
