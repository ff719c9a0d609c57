"""SAFE products: small made-up folders with the layout of the real ones."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from rsspade.errors import InputError
from rsspade.geo.optical_input import plan_optical
from rsspade.geo.safe import SafeProduct, is_safe, open_safe

STEM = "T33TWN_20230704T100031"
NAME = "S2B_MSIL2A_20230704T100031_N0509_R122_T33TWN_20230704T142300.SAFE"
L2A_FILES = {
    10: ["B02", "B03", "B04", "B08", "AOT", "WVP", "TCI"],
    20: ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B8A", "B11", "B12", "SCL", "TCI"],
    60: ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B8A", "B09", "B11", "B12", "SCL"],
}
L1C_FILES = ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12", "TCI"]


def metadata(level: str = "L2A", baseline: str = "05.09", offsets: list[str] | None = None, head: str = "") -> str:
    tag = "BOA_ADD_OFFSET" if level == "L2A" else "RADIO_ADD_OFFSET"
    listed = "".join(f'<{tag} band_id="{n}">{value}</{tag}>' for n, value in enumerate(offsets or []))
    block = f"<{tag}_VALUES_LIST>{listed}</{tag}_VALUES_LIST>" if listed else ""
    return f"""<?xml version="1.0" encoding="UTF-8"?>{head}
<n1:Level-2A_User_Product xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_Level-2A.xsd">
  <n1:General_Info><Product_Info><PRODUCT_START_TIME>2023-07-04T10:00:31.024Z</PRODUCT_START_TIME>
    <PROCESSING_BASELINE>{baseline}</PROCESSING_BASELINE>
    <Datatake><DATATAKE_SENSING_START>2023-07-04T10:00:31.024Z</DATATAKE_SENSING_START></Datatake>
    <IMAGE_FILE>../../../../etc/passwd_B02_10m</IMAGE_FILE></Product_Info>
  <Product_Image_Characteristics>{block}</Product_Image_Characteristics></n1:General_Info>
</n1:Level-2A_User_Product>
"""


def make_safe(parent: Path, text: str, level: str = "L2A") -> Path:
    folder = parent / NAME.replace("L2A", level)
    images = folder / "GRANULE" / f"{level}_T33TWN_A033000_20230704T100500" / "IMG_DATA"
    for metres, bands in (L2A_FILES if level == "L2A" else {0: L1C_FILES}).items():
        inside = images / f"R{metres}m" if metres else images
        inside.mkdir(parents=True)
        for band in bands:
            suffix = f"_{metres}m" if metres else ""
            (inside / f"{STEM}_{band}{suffix}.jp2").touch()
    (folder / f"MTD_MSI{level}.xml").write_text(text, encoding="utf-8")
    return folder


def summary(product: SafeProduct) -> dict[str, str]:
    return {name: path.name.removeprefix(f"{STEM}_") for name, path in product.bands.items()}


def test_a_surface_product_gives_each_band_at_its_finest(tmp_path: Path) -> None:
    product = open_safe(make_safe(tmp_path, metadata(offsets=["-1000"] * 13)))
    assert summary(product) == {
        "coastal": "B01_20m.jp2", "blue": "B02_10m.jp2", "green": "B03_10m.jp2", "red": "B04_10m.jp2",
        "rededge1": "B05_20m.jp2", "rededge2": "B06_20m.jp2", "rededge3": "B07_20m.jp2", "nir": "B08_10m.jp2",
        "nir08": "B8A_20m.jp2", "nir09": "B09_60m.jp2", "swir16": "B11_20m.jp2", "swir22": "B12_20m.jp2",
    }  # fmt: skip
    assert product.scl is not None
    assert product.scl.name == f"{STEM}_SCL_20m.jp2"
    assert (product.level, product.offset, product.baseline, product.date) == ("L2A", -1000, "05.09", "2023-07-04")


def test_a_top_of_atmosphere_product_has_cirrus_and_no_scene_classes(tmp_path: Path) -> None:
    product = open_safe(make_safe(tmp_path, metadata("L1C", offsets=["-1000"] * 13), "L1C"))
    assert product.bands["cirrus"].name == f"{STEM}_B10.jp2"
    assert len(product.bands) == 13
    assert product.scl is None
    assert (product.level, product.offset) == ("L1C", -1000)


def test_an_old_product_lists_no_offset_and_has_none(tmp_path: Path) -> None:
    assert open_safe(make_safe(tmp_path, metadata(baseline="02.14"))).offset == 0


def test_own_processing_with_offsets_listed_is_believed(tmp_path: Path) -> None:
    assert open_safe(make_safe(tmp_path, metadata(baseline="99.99", offsets=["-1000"] * 13))).offset == -1000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (metadata(baseline="05.09"), r"expected an ADD_OFFSET, which processing baseline 05\.09 has"),
        (metadata(offsets=["-1000", "0"]), r"expected one offset of 0 or -1000 for all bands, found -1000, 0"),
        (metadata(offsets=["-500"]), r"found -500"),
        ("<a><b></a>", r"expected product metadata in XML"),
        ("", r"expected product metadata in XML"),
        (metadata(head='<!DOCTYPE x [<!ENTITY a "b"><!ENTITY c "&a;&a;">]>'), r"EntitiesForbidden"),
        (metadata(head='<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'), r"EntitiesForbidden"),
    ],
)
def test_metadata_that_cannot_be_trusted_are_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"MTD_MSIL2A\.xml: .*{message}"):
        open_safe(make_safe(tmp_path, text))


def test_metadata_of_absurd_size_are_not_read(tmp_path: Path) -> None:
    folder = make_safe(tmp_path, metadata(offsets=["-1000"]))
    with (folder / "MTD_MSIL2A.xml").open("r+b") as file:
        file.truncate(40 * 2**20)  # sparse: takes no room on the disk
    with pytest.raises(InputError, match=r"less than 32 MB, found 40 MB"):
        open_safe(folder)


def test_links_that_leave_the_folder_are_not_followed(tmp_path: Path) -> None:
    folder = make_safe(tmp_path, metadata(offsets=["-1000"]))
    outside = tmp_path / "outside_B02_10m.jp2"
    outside.touch()
    finest = next(folder.glob("GRANULE/*/IMG_DATA/R10m/*_B02_10m.jp2"))
    finest.unlink()
    finest.symlink_to(outside)
    assert open_safe(folder).bands["blue"].name == f"{STEM}_B02_20m.jp2"


def test_a_product_is_known_by_its_metadata(tmp_path: Path) -> None:
    folder = make_safe(tmp_path, metadata(offsets=["-1000"]))
    assert is_safe(folder)
    assert is_safe(folder / "MTD_MSIL2A.xml")
    assert not is_safe(tmp_path)
    assert not is_safe(tmp_path / "nothing.SAFE")
    assert open_safe(folder / "MTD_MSIL2A.xml") == open_safe(folder)


def test_what_is_no_whole_product_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"found no such folder"):
        open_safe(tmp_path / "nothing.SAFE")
    with pytest.raises(InputError, match=r"found a zip archive. Unpack it first"):
        open_safe(tmp_path / "S2B.zip")
    (tmp_path / "empty.SAFE").mkdir()
    with pytest.raises(InputError, match=r"found no metadata in it"):
        open_safe(tmp_path / "empty.SAFE")
    (tmp_path / "empty.SAFE" / "MTD_MSIL2A.xml").write_text(metadata(offsets=["-1000"]))
    with pytest.raises(InputError, match=r"expected band files under GRANULE"):
        open_safe(tmp_path / "empty.SAFE")


def test_two_granules_are_refused(tmp_path: Path) -> None:
    folder = make_safe(tmp_path, metadata(offsets=["-1000"]))
    (folder / "GRANULE" / "another").mkdir()
    with pytest.raises(InputError, match=r"expected one granule .* found 2"):
        open_safe(folder)


def test_the_band_files_open_as_the_rasters_they_are(tmp_path: Path) -> None:
    folder = make_safe(tmp_path, metadata(offsets=["-1000"] * 13))
    numbers = np.random.default_rng(0).integers(1, 12000, (64, 64)).astype(np.uint16)
    path = open_safe(folder).bands["red"]
    with rasterio.open(
        path, "w", driver="JP2OpenJPEG", width=64, height=64, count=1, dtype="uint16", crs="EPSG:32633",
        transform=from_origin(500_000, 5_000_000, 10, 10), reversible=True, quality=100,
    ) as out:  # fmt: skip
        out.write(numbers, 1)
    with rasterio.open(open_safe(folder).bands["red"]) as src:
        np.testing.assert_array_equal(src.read(1), numbers)
        assert src.crs.to_epsg() == 32633


def test_products_of_two_levels_make_no_scene(tmp_path: Path) -> None:
    surface = make_safe(tmp_path / "a", metadata(offsets=["-1000"] * 13))
    top = make_safe(tmp_path / "b", metadata(level="L1C", offsets=["-1000"] * 13), level="L1C")
    with pytest.raises(
        InputError,
        match=r"MSIL1C.*: expected products of one level in a scene, .* found L1C, the top of the atmosphere",
    ):
        plan_optical([surface, top], ("blue", "red"), "auto")
