import dataclasses

import pytest
from damage import change_info, change_pixels, change_rows, failures, findings
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer

from rsspade.data.check_report import Level
from rsspade.data.footprints import neighbours_across_splits
from rsspade.data.manifest import DatasetFolder, TileRow
from rsspade.data.splits import overlap, tile_bounds


def row(tile, split, x, y, crs="EPSG:32632", scene="a"):
    return TileRow(tile=tile, scene=scene, split=split, crs=crs, x_min=x, y_max=y, valid_fraction=1.0)


def split_of(folder, tile):
    return next(r.split for r in DatasetFolder.open(folder).rows if r.tile == tile)


def test_edited_split_fails_by_its_hash(healthy):
    change_rows(healthy, lambda r: r.update(split="train") if r["split"] == "val" else None, keep_sha=True)
    assert "changed by hand" in failures(healthy)["split.sha256"].text


def test_tiles_of_two_splits_on_the_same_ground_fail_and_are_named(healthy):
    other = next(r for r in DatasetFolder.open(healthy).rows if r.split == "test")
    moved = next(r for r in DatasetFolder.open(healthy).rows if r.split == "train")
    change_rows(
        healthy, lambda r: r.update(x_min=f"{other.x_min + 320}", y_max=f"{other.y_max}") if r["tile"] == moved.tile else None
    )  # fmt: skip
    finding = failures(healthy)["split.overlap"]
    assert any(moved.tile in p and other.tile in p and "50.0%" in p for p in finding.places)


def test_neighbours_of_two_splits_in_a_scene_are_a_warning(healthy):
    split = split_of(healthy, "s0_0_0")
    change_rows(
        healthy, lambda r: r.update(split="val" if split != "val" else "train") if r["tile"] == "s0_0_1" else None
    )
    finding = findings(healthy)["split.touch"]
    assert finding.level is Level.WARNING
    assert len(finding.places) == 1
    assert {"s0_0_0", "s0_0_1"} <= set(finding.places[0].split())


def test_empty_split_is_a_warning(healthy):
    change_rows(healthy, lambda r: r.update(split="train") if r["split"] == "val" else None)
    assert "val" in findings(healthy)["split.empty"].text


def test_image_copied_into_another_split_fails(healthy):
    rows = DatasetFolder.open(healthy).rows
    train, test = (next(r.tile for r in rows if r.split == s) for s in ("train", "test"))
    import rasterio

    with rasterio.open(healthy / "S2" / f"{train}.tif") as tile:
        pixels = tile.read()
    change_pixels(healthy / "S2" / f"{test}.tif", lambda _: pixels)
    finding = failures(healthy)["split.copies"]
    assert len(finding.places) == 1
    assert train in finding.places[0]
    assert test in finding.places[0]


@pytest.mark.parametrize("parent_split", ["test", "val", ""])
def test_synthetic_train_tile_of_another_split_fails(healthy, parent_split):
    def mark(r):
        if r["split"] == "train":
            r.update(synthetic="1", parent="elsewhere", parent_split=parent_split)

    change_rows(healthy, mark)
    assert "elsewhere" in failures(healthy)["split.synthetic"].places[0]


def test_synthetic_tile_that_lies_about_its_parent_fails(healthy):
    test = next(r.tile for r in DatasetFolder.open(healthy).rows if r.split == "test")
    train = next(r.tile for r in DatasetFolder.open(healthy).rows if r.split == "train")
    change_rows(
        healthy, lambda r: r.update(synthetic="1", parent=test, parent_split="train") if r["tile"] == train else None
    )
    assert train in failures(healthy)["split.parent"].places[0]


def test_statistics_of_other_tiles_fail_with_both_values(healthy):
    change_info(healthy, lambda info: info["statistics"]["S2"]["nir"].update(mean=0.3))
    finding = failures(healthy)["statistics"]
    assert len(finding.places) == 1
    assert "S2 nir mean (0.3 there" in finding.places[0]


@pytest.mark.parametrize(
    ("dates", "level"),
    [
        (("2023-06-01", "2023-06-05"), Level.OK), (("2023-06-10", "2023-06-01"), Level.NOTE),
        (("2023-06-01", "2023-07-01"), Level.WARNING), (("yesterday", "2023-07-01"), Level.FAIL),
    ],
)  # fmt: skip
def test_days_between_radar_and_optics_are_judged(healthy, dates, level):
    change_rows(healthy, lambda r: r.update(s1_date=dates[0], s2_date=dates[1]))
    found = findings(healthy, Level.OK)
    assert max(f.level for c, f in found.items() if c.startswith("dates.")) is level


def test_unknown_dates_are_said_to_be_unknown(healthy):
    change_rows(healthy, lambda r: r.update(s1_date="", s2_date=""))
    assert "not known" in findings(healthy, Level.NOTE)["dates.gap"].text


def test_overlap_is_found_across_utm_zones():
    lon, lat = 12.0, 48.0  # the border of zones 32 and 33
    west = Transformer.from_crs("EPSG:4326", "EPSG:32632", always_xy=True).transform(lon, lat)
    east = Transformer.from_crs("EPSG:4326", "EPSG:32633", always_xy=True).transform(lon, lat)
    rows = [row("a", "train", *west), row("b", "test", *east, crs="EPSG:32633", scene="b")]
    (pair,) = neighbours_across_splits(rows, 2560.0)
    assert 0.85 < pair.shared_m2 / 2560**2 < 1.0  # the grids are turned against each other by some degrees
    far = [rows[0], dataclasses.replace(rows[1], x_min=east[0] + 10_000)]
    assert not list(neighbours_across_splits(far, 2560.0))


def test_overlap_is_found_across_the_date_line():
    to_first = Transformer.from_crs("EPSG:4326", "EPSG:32701", always_xy=True).transform(-179.99, -17.0)
    to_last = Transformer.from_crs("EPSG:4326", "EPSG:32760", always_xy=True).transform(179.995, -17.0)
    rows = [row("a", "train", *to_first, crs="EPSG:32701"), row("b", "test", *to_last, crs="EPSG:32760")]
    (pair,) = neighbours_across_splits(rows, 2560.0)
    assert pair.shared_m2 > 0.3 * 2560**2


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12), st.sampled_from(["train", "val"])), max_size=12))
def test_pairs_on_one_grid_are_those_whose_boxes_overlap(places):
    rows = [row(f"t{i}", s, 500_000 + 320 * x, 5_000_000 + 320 * y) for i, (x, y, s) in enumerate(places)]
    found = {(p.first.tile, p.second.tile) for p in neighbours_across_splits(rows, 640.0) if p.shared_m2 > 100}
    expected = {
        (a.tile, b.tile)
        for a in rows
        for b in rows
        if a.split == "train" and b.split == "val" and overlap(tile_bounds(a, 640.0), tile_bounds(b, 640.0))
    }
    assert found == expected
