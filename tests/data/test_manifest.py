"""`dataset.json` and `tiles.csv`: read back as written, and nothing in them is trusted."""

import json

import pytest

from rsspade.data.manifest import DatasetFolder, TileRow, safe_name
from rsspade.errors import InputError


def test_a_dataset_reads_back_as_it_was_written(tmp_path, make_dataset):
    made = make_dataset(tmp_path / "d", clouds=True)
    again = DatasetFolder.open(tmp_path / "d")
    assert [r.to_csv() for r in again.rows] == [r.to_csv() for r in sorted(made.rows, key=lambda r: r.tile)]
    assert again.info == made.info
    assert again.optical_bands == ("blue", "green", "red", "nir")
    assert again.read("s1", again.rows[0].tile).shape == (2, 64, 64)


def test_the_sun_is_the_recorded_one_and_else_follows_from_date_and_place(tmp_path, make_dataset):
    made = make_dataset(tmp_path / "d")
    tile = made.rows[0].tile
    computed = made.sun(tile)
    description = tmp_path / "d" / "dataset.json"
    content = json.loads(description.read_text())
    assert "sun" not in content
    description.write_text(json.dumps(content | {"sun": {made.rows[0].scene: [123.0, 45.0]}}))
    recorded = DatasetFolder.open(tmp_path / "d")
    assert recorded.sun(tile) == (123.0, 45.0) != computed
    other = next(row.tile for row in made.rows if row.scene != made.rows[0].scene)
    assert recorded.sun(other) == made.sun(other)
    description.write_text(json.dumps(content | {"sun": {"s0": [123.0, "high"]}}))
    with pytest.raises(InputError, match="expected the description of a dataset"):
        DatasetFolder.open(tmp_path / "d")


def edit_csv(text, new):
    lines = text.splitlines()
    lines[1] = new(lines[1])
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("new", "message"),
    [
        (lambda line: line.replace("s0_0_0", "../../etc/passwd"), "expected a tile name of letters"),
        (lambda line: line.replace("s0_0_0", "/etc/passwd"), "expected a tile name of letters"),
        (
            lambda line: line.replace(",train,", ",tests,").replace(",val,", ",tests,").replace(",test,", ",tests,"),
            "found 'tests'",
        ),
        (lambda line: line.replace("500000", "nan"), "finite"),
        (lambda line: line.replace("500000", "west"), "columns of tiles.csv"),
        (lambda line: line.replace("s0_0_0", "s0_0_1"), "expected each tile once"),
        (lambda line: line.replace(",1.0000,", ",5,", 1), "valid_fraction and cloud_fraction from 0 to 1, found 5.0"),
        (lambda line: line.replace("s0_0_0", '"' + "x" * 140_000), r"tiles\.csv after line \d+: expected a table"),
    ],
)
def test_a_bad_line_is_named(tmp_path, make_dataset, new, message):
    make_dataset(tmp_path / "d")
    path = tmp_path / "d" / "tiles.csv"
    path.write_text(edit_csv(path.read_text(), new))
    with pytest.raises(InputError, match=message):
        DatasetFolder.open(tmp_path / "d")


def test_a_number_that_python_refuses_to_read_is_named_too(tmp_path, make_dataset):
    make_dataset(tmp_path / "d")
    path = tmp_path / "d" / "dataset.json"
    path.write_text(path.read_text().replace('"tile_size": ', '"tile_size": ' + "9" * 5000))
    with pytest.raises(InputError, match=r"dataset\.json: expected the description of a dataset, found ValueError"):
        DatasetFolder.open(tmp_path / "d")


def test_a_table_that_a_spreadsheet_has_saved_is_read(tmp_path, make_dataset):
    rows = make_dataset(tmp_path / "d").rows
    path = tmp_path / "d" / "tiles.csv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert DatasetFolder.open(tmp_path / "d").rows == rows


def test_a_table_of_something_else_is_named_though_it_holds_no_line(tmp_path, make_dataset):
    make_dataset(tmp_path / "d")
    (tmp_path / "d" / "tiles.csv").write_text("tile,split,crs,name\n")
    with pytest.raises(
        InputError, match=r"expected the columns tile, .*, found no scene, x_min, y_max, valid_fraction"
    ):
        DatasetFolder.open(tmp_path / "d")


@pytest.mark.parametrize(
    ("new", "message"),
    [
        (lambda d: {**d, "version": 99}, "expected format version 1, found 99"),
        (lambda d: {**d, "surprise": 1}, "unexpected keyword argument 'surprise'"),
        (lambda d: {k: v for k, v in d.items() if k != "tile_size"}, "missing"),
        (lambda d: {**d, "landcover_scheme": "mars"}, "found 'mars'"),
        (lambda d: {**d, "sources": {"../S2": {"bands": []}}}, "found '../S2'"),
        (lambda d: {**d, "sources": {"S2": {"bands": [1]}}}, "not names"),
        (lambda d: [d], "expected the description of a dataset"),
        *(
            (lambda d, n=name, v=value: {**d, n: v}, f"expected the description of a dataset, found TypeError: {name}")
            for name, value in (
                ("tile_size", "abc"),
                ("tile_size", -5),
                ("tile_size", 10**12),
                ("pixel_size", None),
                ("pixel_size", 0),
                ("split", []),
                ("statistics", None),
                ("name", 7),
                ("sun", []),
            )
        ),
        (lambda d: {**d, "statistics": {"S2": 5}}, "TypeError: S2"),
    ],
)
def test_a_bad_description_is_refused(tmp_path, make_dataset, new, message):
    make_dataset(tmp_path / "d")
    path = tmp_path / "d" / "dataset.json"
    path.write_text(json.dumps(new(json.loads(path.read_text()))))
    with pytest.raises(InputError, match=message):
        DatasetFolder.open(tmp_path / "d")


def test_what_is_not_a_dataset_says_so(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        DatasetFolder.open(tmp_path / "nothing")
    with pytest.raises(InputError, match=r"expected the file dataset\.json"):
        DatasetFolder.open(tmp_path)


@pytest.mark.parametrize("text", ["../up", "a/b", "a b", "ü", "", "...", "x" * 500])
def test_any_text_becomes_a_name_that_stays_in_its_folder(tmp_path, text):
    name = safe_name(text)
    assert (tmp_path / f"{name}_r000_c000.tif").resolve().parent == tmp_path.resolve()
    TileRow.from_csv(
        {
            "tile": f"{name}_r0",
            "scene": name,
            "split": "train",
            "crs": "EPSG:32632",
            "x_min": "0",
            "y_max": "0",
            "valid_fraction": "1",
        },
        "here",
    )
