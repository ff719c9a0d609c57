import json
from pathlib import Path

import numpy as np
import pytest
from damage import change_info, change_rows, failures, findings, names_only, rewrite
from rasterio.transform import Affine

from rsspade.cli import main
from rsspade.data.check import check_dataset
from rsspade.data.check_report import Level


def test_healthy_dataset_passes_without_a_warning(healthy, capsys):
    assert main(["check", str(healthy)]) == 0
    printed = capsys.readouterr()
    assert "Nothing is wrong: 0 failures, 0 warnings." in printed.out
    assert printed.err == ""


def test_report_is_the_same_in_json_and_has_no_nan(healthy, tmp_path, capsys):
    (healthy / "S1" / "s0_0_0.tif").unlink()
    target = tmp_path / "report.json"
    main(["check", str(healthy), "--json", str(target)])
    content = json.loads(target.read_text(), parse_constant=lambda text: pytest.fail(f"{text} is no JSON"))
    told = {f["check"]: f for section in content["sections"] for f in section["findings"]}
    assert content["tiles"] == 8
    assert told["files.sources"]["numbers"]["S1"] == 7
    assert str(target) in capsys.readouterr().out
    assert not list(tmp_path.glob(".*"))  # no temporary file is left


def test_folder_without_a_dataset_is_a_users_mistake(tmp_path, capsys):
    assert main(["check", str(tmp_path)]) == 2
    assert main(["check", str(tmp_path / "nowhere")]) == 2
    assert capsys.readouterr().err.count("\n") == 2


def test_json_into_a_missing_folder_is_refused_before_the_work(healthy, tmp_path, capsys):
    assert main(["check", str(healthy), "--json", str(tmp_path / "no" / "report.json")]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "folder that exists" in printed.err
    assert main(["check", str(healthy), "--json", str(tmp_path)]) == 2
    assert "a folder of that name" in capsys.readouterr().err


@pytest.mark.parametrize("kept", [0.9, 0.5, 0.01])
def test_truncated_file_is_named(healthy, kept):
    path = healthy / "S2" / "s2_0_1.tif"
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    assert names_only(failures(healthy)["files.unreadable"], ["S2/s2_0_1.tif"])


def test_file_that_is_no_image_is_named_and_exit_is_1(healthy, capsys):
    (healthy / "DEM" / "s0_0_0.tif").write_text("elevation")
    assert main(["check", str(healthy)]) == 1
    assert "DEM/s0_0_0.tif" in capsys.readouterr().out


def test_missing_source_is_legal_and_counted(make_dataset, tmp_path):
    make_dataset(tmp_path / "d", missing=[("S2", "s1_0_0"), ("S2", "s1_0_1")])
    found = findings(tmp_path / "d", Level.OK)
    assert found["files.sources"].numbers == {"tiles": 8, "S2": 6, "S1": 8, "LULC": 8, "DEM": 8}
    assert not check_dataset(tmp_path / "d").failed


def test_tile_without_any_file_fails(healthy):
    for path in healthy.glob("*/s3_0_0.tif"):
        path.unlink()
    assert failures(healthy)["files.no_source"].places == ["s3_0_0"]


def test_stray_tiles_are_named_and_sidecar_files_are_not(healthy):
    (healthy / "S1" / "old.tif").write_bytes((healthy / "S1" / "s0_0_0.tif").read_bytes())
    (healthy / "S1" / "s0_0_0.tif.aux.xml").write_text("<PAMDataset/>")
    assert findings(healthy)["files.stray"].places == ["S1/old.tif"]


@pytest.mark.parametrize(("right", "down"), [(0.5, 0.0), (0.0, -1.0)])
def test_source_on_a_shifted_grid_is_named_with_its_shift(healthy, right, down):
    path = healthy / "LULC" / "s1_0_0.tif"
    rewrite(path, transform=lambda old: old * Affine.translation(right, down))
    finding = failures(healthy)["grid.transform"]
    assert names_only(finding, ["LULC/s1_0_0.tif"])
    assert f"({right:+.2f}, {down:+.2f} px" in finding.places[0]


def test_source_in_another_crs_is_named(healthy):
    rewrite(healthy / "S1" / "s1_0_0.tif", crs="EPSG:32633")
    assert names_only(failures(healthy)["grid.crs"], ["S1/s1_0_0.tif"])


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")  # while the file is spoilt
def test_source_without_georeference_is_named(healthy):
    rewrite(healthy / "S1" / "s1_0_0.tif", crs=None, transform=Affine.identity())
    found = failures(healthy)
    assert names_only(found["grid.crs"], ["S1/s1_0_0.tif"])
    assert names_only(found["grid.transform"], ["S1/s1_0_0.tif"])


def test_crs_that_is_none_fails_without_a_traceback(healthy):
    change_rows(healthy, lambda row: row.update(crs="EPSG:here"))
    assert "grid.crs" in failures(healthy)


def test_file_in_strips_or_uncompressed_is_named(healthy):
    rewrite(healthy / "S2" / "s0_0_0.tif", tiled=False, blockysize=1)
    rewrite(healthy / "S2" / "s0_0_1.tif", compress=None)
    assert names_only(failures(healthy)["files.form"], ["S2/s0_0_0.tif", "S2/s0_0_1.tif"])


def test_other_nodata_type_or_bands_than_promised_are_named(healthy):
    rewrite(healthy / "S1" / "s0_0_0.tif", nodata=None)
    rewrite(healthy / "S1" / "s0_0_1.tif", dtype="float64")
    change_info(healthy, lambda info: info["sources"]["DEM"].update(bands=["height", "slope", "aspect", "hillshade"]))
    found = failures(healthy)
    assert names_only(found["files.nodata"], ["S1/s0_0_0.tif"])
    assert names_only(found["files.dtype"], ["S1/s0_0_1.tif"])
    assert len(found["files.bands"].places) == 8


def test_tile_of_another_size_is_named(healthy, tmp_path):
    change_info(healthy, lambda info: info.update(tile_size=128))
    assert len(failures(healthy)["files.size"].places) == len(list(healthy.glob("*/*.tif")))


def test_many_places_are_cut_short_for_people_only(healthy):
    change_info(healthy, lambda info: info.update(tile_size=128))
    report = check_dataset(healthy)
    assert "and 43 more" in report.to_text()
    by_check = {f["check"]: f for s in report.to_json()["sections"] for f in s["findings"]}
    assert len(by_check["files.size"]["places"]) == 48


def test_source_with_other_bands_than_it_can_have_fails_without_a_traceback(healthy):
    """The file and dataset.json agree with each other, and not with what radar is."""
    import rasterio

    for path in sorted((healthy / "S1").glob("*.tif")):
        with rasterio.open(path, "r+") as tile:
            tile.descriptions = ("hh", "hv")
    change_info(healthy, lambda info: info["sources"]["S1"].update(bands=["hh", "hv"]))
    assert len(failures(healthy)["files.bands"].places) == 8


def test_uint16_with_scale_passes(healthy):
    for path in sorted((healthy / "S2").glob("*.tif")):
        _store_scaled(path)
    change_info(healthy, lambda info: info["sources"]["S2"].update(dtype="uint16", nodata=65535))
    assert failures(healthy) == {}


def _store_scaled(path: Path) -> None:
    import rasterio

    with rasterio.open(path) as tile:
        values, names, profile = tile.read(), tile.descriptions, tile.profile
    path.unlink()
    with rasterio.open(path, "w", **{**profile, "dtype": "uint16", "nodata": 65535, "predictor": 2}) as tile:
        tile.write(np.round(values * 1e4).astype("uint16"))
        tile.descriptions = names
        tile.scales = (1e-4,) * tile.count


def test_file_whose_header_is_whole_and_whose_pixels_are_not_fails(healthy):
    """GDAL does not verify the checksum of a compressed block: what decodes to rubbish shows in the values."""
    path = healthy / "S1" / "s0_0_0.tif"
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 200] = bytes(200)
    path.write_bytes(content)
    found = failures(healthy)
    assert not {"files.unreadable", "range.S1.vv", "range.S1.vh", "statistics"}.isdisjoint(found), list(found)
