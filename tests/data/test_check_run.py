"""`rsspade check --run`: whether a run fits a dataset, and whether it has seen what would test it."""

import dataclasses
import json

import pytest
import rasterio
import torch
import yaml
from damage import change_info, change_rows

from rsspade.channels import num_channels
from rsspade.cli import main
from rsspade.data.check_report import Level
from rsspade.data.check_run import RunCheck
from rsspade.data.manifest import DatasetFolder
from rsspade.errors import InputError
from rsspade.landcover import scheme_named
from rsspade.models import GeneratorConfig, GeneratorInfo, RSSpade, build_generator


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def save_run(
    folder,
    dataset,
    *,
    scheme="dynamic_world",
    bands=("blue", "green", "red", "nir"),
    pixel=10.0,
    training=None,
    **config,
):
    """A run that says it was trained on that dataset."""
    channels = {name: num_channels(name, scheme=scheme_named(scheme)) for name in ("s1", "lulc", "dem")}
    architecture = GeneratorConfig(sources=channels, optical_bands=bands, base_width=4, depth=3)
    info = GeneratorInfo(
        architecture=architecture, landcover_scheme=scheme, pixel_size_m=pixel,
        split_sha256=DatasetFolder.open(dataset).info.split["sha256"], training=training or {},
    )  # fmt: skip
    RSSpade(build_generator(architecture), info).save_pretrained(folder / "generator")
    (folder / "config.yaml").write_text(yaml.safe_dump({"data": str(dataset), **config}))
    return folder


def found(dataset, run):
    """Check -> finding."""
    return {f.check: f for f in RunCheck(DatasetFolder.open(dataset), run).section().findings}


def test_a_run_fits_the_dataset_it_was_trained_on(healthy, tmp_path, capsys):
    run = save_run(tmp_path / "run", healthy)
    assert {f.level for f in found(healthy, run).values()} == {Level.OK}
    assert main(["check", str(healthy), "--run", str(run), "--json", str(tmp_path / "report.json")]) == 0
    assert "Fit with the run run" in capsys.readouterr().out
    sections = json.loads((tmp_path / "report.json").read_text())["sections"]
    names = [f["check"] for f in sections[-1]["findings"]]
    assert names == ["run.sources", "run.scheme", "run.bands", "run.pixel_size", "run.split"]


@pytest.mark.parametrize(
    ("options", "check", "words"),
    [
        ({"scheme": "worldcover"}, "run.scheme", "land cover is in the scheme dynamic_world, that of the run is worldcover"),
        ({"bands": ("red", "swir16")}, "run.bands", "the optical images lack swir16"),
        ({"pixel": 20.0}, "run.pixel_size", "pixels of 10 m; the run was trained on pixels of 20 m"),
    ],
)  # fmt: skip
def test_what_does_not_fit_fails(healthy, tmp_path, options, check, words):
    run = save_run(tmp_path / "run", healthy, **options)
    finding = found(healthy, run)[check]
    assert finding.level is Level.FAIL
    assert words in finding.text
    assert finding.fix
    assert main(["check", str(healthy), "--run", str(run)]) == 1


@pytest.mark.parametrize("split", ["train", "test"])
def test_relief_that_the_run_has_never_seen_is_a_warning_in_any_split(healthy, tmp_path, capsys, split):
    run = save_run(tmp_path / "run", healthy, training={"seen": {"dem": {"elevation": [-500.0, 9000.0]}}})
    assert main(["check", str(healthy), "--run", str(run)]) == 0
    assert "elevation and slope are such as the run was trained on" in capsys.readouterr().out
    for row in DatasetFolder.open(healthy).in_split(split):
        with rasterio.open(healthy / "DEM" / f"{row.tile}.tif", "r+") as file:
            file.write(file.read(1) + 20000, 1)
    main(["check", str(healthy), "--run", str(run)])  # other things are wrong with it now, too
    assert "of the pixels lie outside of -500 … 9000 m" in capsys.readouterr().out


def test_missing_sources_are_a_note_unless_all_are_missing(make_dataset, healthy, tmp_path):
    run = save_run(tmp_path / "run", healthy)
    some = make_dataset(tmp_path / "some", sources=("S2", "DEM")).path
    assert found(some, run)["run.sources"].level is Level.NOTE
    none = make_dataset(tmp_path / "none", sources=("S2",)).path
    assert found(none, run)["run.sources"].level is Level.FAIL


def moved_split(healthy):
    """Give a train scene away to test; returns its tiles."""
    scene = next(r.scene for r in DatasetFolder.open(healthy).rows if r.split == "train")
    change_rows(healthy, lambda r: r.update(split="test") if r["scene"] == scene else None)
    return {r.tile for r in DatasetFolder.open(healthy).rows if r.scene == scene}


def test_a_run_that_was_trained_on_what_is_test_here_is_found_out(make_dataset, healthy, tmp_path):
    original = make_dataset(tmp_path / "original", clouds=True).path
    run = save_run(tmp_path / "run", original)
    tiles = moved_split(healthy)
    finding = found(healthy, run)["run.leak"]
    assert finding.level is Level.FAIL
    assert {place.split()[0] for place in finding.places} == tiles
    assert main(["check", str(healthy), "--run", str(run)]) == 1


def test_the_same_ground_in_tiles_of_another_size_and_name_is_found(make_dataset, healthy, tmp_path):
    original = make_dataset(tmp_path / "original", tile_size=128, grid=(1, 1)).path
    change_rows(original, lambda r: r.update(split="train", tile=r["tile"].replace("s", "big")))
    run = save_run(tmp_path / "run", original)
    tiles = {r.tile for r in DatasetFolder.open(healthy).rows if r.split != "train"}
    assert {place.split()[0] for place in found(healthy, run)["run.leak"].places} == tiles


def test_other_ground_is_no_leak(make_dataset, healthy, tmp_path):
    original = make_dataset(tmp_path / "original").path
    change_rows(original, lambda r: r.update(y_max=str(float(r["y_max"]) - 30_000), tile="x" + r["tile"]))
    finding = found(healthy, save_run(tmp_path / "run", original))["run.split"]
    assert (finding.level, "on none of the val and test tiles" in finding.text) == (Level.OK, True)


def test_worlds_that_are_not_the_same_land_do_not_leak_into_each_other(make_dataset, healthy, tmp_path):
    original = make_dataset(tmp_path / "original").path
    run = save_run(tmp_path / "run", original)
    moved_split(healthy)
    for seed, folder in enumerate((healthy, original)):
        made_by = {"world": {"variant": "a"}, "arguments": {"seed": seed, "variant": "a", "scene_size": 512}}
        change_info(folder, lambda info, made_by=made_by: info.update(made_by=made_by))
    assert found(healthy, run)["run.split"].level is Level.OK


@pytest.mark.parametrize("config", ["data: nowhere", "[]", ": : :", None])
def test_a_run_whose_data_are_gone_is_a_warning(healthy, tmp_path, config):
    run = save_run(tmp_path / "run", healthy)
    (run / "config.yaml").unlink()
    if config is not None:
        (run / "config.yaml").write_text(config)
    moved_split(healthy)
    finding = found(healthy, run)["run.split"]
    assert finding.level is Level.WARNING
    assert "cannot be told" in finding.text


def test_weights_that_came_from_another_split_are_a_warning_however_long_ago(healthy, tmp_path):
    ours = DatasetFolder.open(healthy).info.split["sha256"]
    before = {"dataset": "elsewhere", "split_sha256": "ab" * 32}
    run = save_run(tmp_path / "run", healthy, training={"begun_with": {"split_sha256": ours, "begun_with": before}})
    finding = found(healthy, run)["run.begun_with"]
    assert finding.level is Level.WARNING
    assert "elsewhere, by another split (abababababab" in finding.text
    same = save_run(tmp_path / "same", healthy, training={"begun_with": {"split_sha256": ours}})
    assert "run.begun_with" not in found(healthy, same)


def test_a_folder_that_is_no_run_is_refused_in_one_line(healthy, tmp_path, capsys):
    assert main(["check", str(healthy), "--run", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    with pytest.raises(InputError, match="expected a run folder"):
        RunCheck(DatasetFolder.open(healthy), tmp_path)


def test_a_synthetic_dataset_stands_for_the_split_it_was_made_from(healthy, tmp_path):
    run = save_run(tmp_path / "run", healthy)
    parent = {"name": "made-up land", "split_sha256": DatasetFolder.open(healthy).info.split["sha256"]}
    change_rows(healthy, lambda r: r.update(synthetic="1", parent=r["tile"], parent_split=r["split"], tile=r["tile"]))
    dataset = DatasetFolder.open(healthy)
    split = {**dataset.info.split, "sha256": "0" * 64}
    info = dataclasses.replace(dataset.info, split=split, made_by={"parent": parent})
    findings = RunCheck(DatasetFolder(dataset.path, info, dataset.rows), run).section().findings
    assert "the split that these tiles were made from" in findings[-1].text
