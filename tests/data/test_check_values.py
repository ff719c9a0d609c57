import numpy as np
import pytest
from damage import change_info, change_pixels, change_rows, failures, findings, names_only

from rsspade.data.check_report import Level


def every(folder, source, change, tiles="*"):
    for path in sorted((folder / source).glob(f"{tiles}.tif")):
        change_pixels(path, change)


def test_digital_numbers_are_recognised(healthy):
    every(healthy, "S2", lambda v: v * 10000)
    found = failures(healthy)
    assert "looks like digital numbers" in found["unit.digital_numbers.S2"].text
    assert "range.S2.blue" in found


def test_offset_left_in_is_a_hint_and_no_failure(healthy):
    every(healthy, "S2", lambda v: v + 0.1)
    finding = findings(healthy)["unit.offset_left_in.S2"]
    assert finding.level is Level.WARNING
    assert "hint" in finding.text


def test_offset_left_in_is_found_in_a_single_scene(healthy):
    every(healthy, "S2", lambda v: v + 0.1, "s1_*")
    assert findings(healthy)["unit.offset_left_in.S2"].places == ["s1"]


def test_offset_subtracted_twice_fails(healthy):
    every(healthy, "S2", lambda v: v - 0.1)
    assert "unit.offset_twice.S2" in failures(healthy)


def test_linear_radar_fails(healthy):
    every(healthy, "S1", lambda v: 10 ** (v / 10))
    assert "linear power" in failures(healthy)["unit.linear.S1"].text


def test_exchanged_polarisations_are_a_warning(healthy):
    every(healthy, "S1", lambda v: v[::-1])
    assert "unit.polarisations.S1" in findings(healthy)


def test_void_heights_fail_however_few_they_are(healthy):
    def dig(values):
        values[0, 0, 0] = -32768
        return values

    change_pixels(healthy / "DEM" / "s0_0_0.tif", dig)
    finding = failures(healthy)["range.DEM.elevation"]
    assert names_only(finding, ["DEM/s0_0_0.tif"])
    assert "nodata" in finding.fix


def test_heights_in_feet_are_a_hint_at_most(make_dataset, tmp_path):
    from rsspade.geo.terrain import terrain_derivatives

    make_dataset(tmp_path / "d")
    every(tmp_path / "d", "DEM", lambda v: terrain_derivatives(v[0] / 0.3048, 10.0))
    found = findings(tmp_path / "d")
    assert found["unit.feet.DEM"].level is Level.WARNING
    assert not any(check.startswith("terrain") for check in found)


def test_one_glint_is_a_warning_and_many_are_a_failure(healthy):
    def glint(n):
        def change(values):
            values[0, :n, :n] = 3.0
            return values

        return change

    change_pixels(healthy / "S2" / "s0_0_0.tif", glint(1))
    assert findings(healthy)["range.S2.blue"].level is Level.WARNING
    change_pixels(healthy / "S2" / "s0_0_0.tif", glint(20))
    assert findings(healthy)["range.S2.blue"].level is Level.FAIL


def test_zeros_in_every_band_are_suspected_as_nodata(healthy):
    def blank(values):
        values[:, :10] = 0
        return values

    change_pixels(healthy / "S2" / "s0_0_0.tif", blank)
    assert names_only(failures(healthy)["zero.S2"], ["S2/s0_0_0.tif"])


def test_constant_band_is_a_warning(healthy):
    def level(values):
        values[1] = -15.0
        return values

    change_pixels(healthy / "S1" / "s1_0_0.tif", level)
    assert names_only(findings(healthy)["constant.S1"], ["S1/s1_0_0.tif"])


@pytest.mark.parametrize(("band", "name"), [(1, "slope"), (2, "aspect"), (3, "hillshade")])
def test_derivative_that_does_not_follow_from_the_elevation_is_named(healthy, band, name):
    def turn(values):
        values[band] = values[band, ::-1]
        return values

    change_pixels(healthy / "DEM" / "s0_0_0.tif", turn)
    found = failures(healthy)
    assert names_only(found[f"terrain.{name}"], ["DEM/s0_0_0.tif"])
    assert [c for c in found if c.startswith("terrain.")] == [f"terrain.{name}"]


def test_class_outside_the_scheme_is_named_with_its_id(healthy):
    def mislabel(values):
        values[0, 3, 3] = 42
        return values

    change_pixels(healthy / "LULC" / "s1_0_0.tif", mislabel)
    finding = failures(healthy)["classes.ids"]
    assert finding.places == ["LULC/s1_0_0.tif (ids 42)"]


def test_cloud_ids_outside_the_list_fail(healthy):
    change_pixels(healthy / "CLOUD" / "s1_0_0.tif", lambda v: np.where(v == 1, 7, v))
    assert "7" in failures(healthy)["cloud.ids"].text


def test_file_without_any_data_is_named(healthy):
    change_pixels(healthy / "S1" / "s0_0_0.tif", lambda v: np.full_like(v, np.nan))
    assert names_only(failures(healthy)["nodata.all"], ["S1/s0_0_0.tif"])


def test_fractions_that_disagree_with_the_pixels_are_named(healthy):
    def cut(values):
        values[:, :16] = np.nan
        return values

    change_pixels(healthy / "S1" / "s0_0_0.tif", cut)
    change_rows(healthy, lambda row: row.update(cloud_fraction="0.9") if row["tile"] == "s1_0_0" else None)
    found = failures(healthy)
    assert found["manifest.valid_fraction"].places == ["s0_0_0 (1.000 there, 0.750 found)"]
    assert names_only(found["manifest.cloud_fraction"], ["s1_0_0"])


def test_clouds_cut_out_of_the_clear_image_count_as_data(healthy):
    import rasterio

    for path in sorted((healthy / "S2").glob("*.tif")):
        with rasterio.open(healthy / "CLOUD" / path.name) as tile:
            clouded = tile.read(1) > 0
        change_pixels(path, lambda v, c=clouded: np.where(c, np.nan, v))
    assert "manifest.valid_fraction" not in failures(healthy)


def test_water_only_where_there_is_no_image_is_a_trap(healthy):
    def edge_of_swath(values):
        values[:, :, :12] = np.nan
        return values

    def unmasked_export(values):
        values[:, :, :12] = 0
        return values

    every(healthy, "S1", edge_of_swath, "s0_*")
    every(healthy, "LULC", unmasked_export, "s0_*")
    finding = findings(healthy)["classes.zero_as_water"]
    assert finding.numbers["water_share_without_image"] == 1.0
    assert set(finding.places) == {"s0_0_0", "s0_0_1"}
    change_info(healthy, lambda info: info.update(landcover_scheme="terramesh"))  # there, 0 is no water
    assert "classes.zero_as_water" not in findings(healthy)
