"""Real tiles as data for cells: no pixel on both sides of a split, and cells that are found again by the files' content."""

import dataclasses

import numpy as np
import pytest
from accelerate.state import AcceleratorState

from experiments.cells.cell import Cell, Question, Record
from experiments.cells.runner import Workshop
from experiments.cells.tiles import Tiles, content_of, tile_of
from rsspade.data.manifest import DatasetFolder
from rsspade.data.readers import TerraMeshReader
from rsspade.data.torch_dataset import TileDataset
from rsspade.errors import InputError
from rsspade.models import RSSpade

SIZE, CROP, BLOCK = 128, 64, 24


@pytest.fixture(scope="module")
def reader(terramesh_folder):
    return TerraMeshReader(terramesh_folder)


@pytest.fixture(scope="module")
def workshop(tmp_path_factory, reader):
    found = Workshop(tmp_path_factory.mktemp("cells"), workers=0)
    found.take_in(reader)
    return found


def fold(reader, design, name):
    return Tiles(content_of(reader), design, name, CROP, BLOCK)


def places(workshop, tiles, source):
    """Tile -> (H, W) bool: pixels of the whole tiles that this source of a part shows."""
    part = DatasetFolder.open(workshop.dataset(tiles))
    whole = {row.tile: row for row in DatasetFolder.open(workshop.out / "real" / tiles.content).rows}
    shown = {tile: np.zeros((SIZE, SIZE), bool) for tile in whole}
    for row in part.rows:
        values = part.read(source, row.tile)
        top = round((whole[row.scene].y_max - row.y_max) / part.info.pixel_size)
        left = round((row.x_min - whole[row.scene].x_min) / part.info.pixel_size)
        good = part.source(source).valid(values)
        shown[row.scene][top : top + good.shape[0], left : left + good.shape[1]] |= good
    return shown


@pytest.mark.parametrize("side", ["left", "right"])
def test_between_a_strip_and_the_training_area_of_its_tile_lies_a_gap_that_neither_sees(workshop, reader, side):
    train = fold(reader, "blocks", side)
    learned, seen = (places(workshop, train, source) for source in ("s2", "s1"))
    scored, looked_at = (places(workshop, train.test, source) for source in ("s2", "s1"))
    for tile in learned:
        np.testing.assert_array_equal(learned[tile], seen[tile])
        assert learned[tile].sum() == SIZE * CROP
        assert scored[tile].sum() == (SIZE // BLOCK) * BLOCK**2
        assert not (seen[tile] & looked_at[tile]).any()
        columns = [np.flatnonzero(part[tile].any(axis=0)) for part in (learned, scored)]
        first, second = columns if side == "right" else columns[::-1]
        assert second.min() - first.max() - 1 == SIZE - CROP - BLOCK


def test_a_crop_of_the_training_area_stays_in_it(workshop, reader):
    data = DatasetFolder.open(workshop.dataset(fold(reader, "blocks", "left")))
    tiles = TileDataset(data, split="train", crop_size=CROP)
    assert tiles.packed.size == (SIZE, CROP)
    assert all(tiles[n].optical_valid.all() for n in range(len(tiles)))


def test_the_tile_that_is_left_out_is_scored_in_whole_blocks_and_nothing_of_it_is_learned(workshop, reader):
    out = reader.rows[1].tile
    train = fold(reader, "leave_out", out)
    learned, scored = places(workshop, train, "s2"), places(workshop, train.test, "s2")
    for tile in learned:
        assert learned[tile].all() == (tile != out)
        assert learned[tile].any() == (tile != out)
        assert scored[tile].sum() == (0 if tile != out else (SIZE // BLOCK) ** 2 * BLOCK**2)


def test_pixels_are_those_of_the_files_and_classes_those_of_the_world(workshop, reader):
    tiles = fold(reader, "blocks", "right").test
    part = DatasetFolder.open(workshop.dataset(tiles))
    row = part.rows[-1]
    tile = tile_of(row.tile)
    top, left = (int(word) for word in row.tile.rpartition("__")[2].split("_"))
    optical, true = part.read("s2", row.tile), reader.read("s2", tile)
    values = optical[:, np.isfinite(optical).all(axis=0)].reshape(4, BLOCK, BLOCK)
    np.testing.assert_array_equal(values, true[:, top : top + BLOCK, left : left + BLOCK])
    assert part.info.landcover_scheme == "dynamic_world"
    ids = {int(i) for row in part.rows for i in np.unique(part.read("lulc", row.tile))}
    raw = {int(i) for row in reader.rows for i in np.unique(reader.read("lulc", row.tile))}
    assert ids <= {{1: 0, 2: 1, 3: 3, 4: 4, 5: 6, 6: 7, 7: 8, 9: 2, 255: 255}[i] for i in raw}


def test_tiles_that_are_not_here_are_asked_for(tmp_path):
    absent = Tiles("0123456789ab", "blocks", "left", CROP, BLOCK)
    with pytest.raises(InputError, match=r"the real tiles with this hash, found none\. Name their folder with --data"):
        Workshop(tmp_path, workers=0).dataset(absent)


TINY = {"model": "pix2pix", "steps": 2, "batch_size": 2, "lr": 1e-3, "seed": 1, "loss.adversarial": 0.0,
        "generator.base_width": 4, "generator.depth": 2, "loader.crop_size": CROP}  # fmt: skip


def test_the_key_of_a_cell_on_real_tiles_says_which_files_which_split_and_which_first_weights():
    tiles = Tiles("0123456789ab", "blocks", "left", CROP, BLOCK)
    cell = Cell(tiles, TINY)
    tuned = dataclasses.replace(cell, begins_with=cell.with_(seed=2))
    other = [dataclasses.replace(tiles, **change) for change in ({"content": "0"}, {"fold": "right"}, {"block": 32})]
    keys = {cell.key, tuned.key, *(dataclasses.replace(cell, world=world).key for world in other)}
    assert len(keys) == 5
    assert cell.key == "9e261776394c4767"
    assert Cell.from_json(tuned.to_json()) == tuned
    question = Question("test", ("s1",), tiles.test, by_tile=True)
    assert Question.from_json(question.to_json()) == question


@pytest.mark.filterwarnings("ignore:no validation")
def test_a_cell_begins_with_the_generator_of_another_and_says_so(workshop, reader, monkeypatch):
    train = fold(reader, "blocks", "left")
    first = Cell(train, {**TINY, "seed": 2})
    # Steps so small that the weights stay what they were.
    tuned = Cell(train, {**TINY, "lr": 1e-12, "steps": 1, "optimizer.ema_decay": 0.0}, begins_with=first)
    asked = Question("test", ("s1", "lulc", "dem"), train.test, by_tile=True)
    (record,) = workshop.run([tuned], [asked])
    AcceleratorState._reset_state(reset_partial_state=True)
    one, two = (RSSpade.from_pretrained(workshop.weights(cell)).network for cell in (first, tuned))
    for mine, theirs in zip(one.parameters(), two.parameters(), strict=True):
        np.testing.assert_allclose(mine.detach(), theirs.detach(), atol=1e-6)
    by_tile = record.scores[str(asked)]["by_tile"]
    assert len(by_tile) == len(reader.rows) * (SIZE // BLOCK)
    assert np.mean([own["psnr"] for own in by_tile.values()]) == pytest.approx(record.scores[str(asked)]["psnr"])
    assert Record(**record.to_json()).cell == tuned
    assert record.is_current()
    assert not dataclasses.replace(record, generator={**record.generator, "loss.l1": 7.0}).is_current()
    monkeypatch.setattr(Workshop, "_make_here", lambda *_: pytest.fail("the cell was run again"))
    assert workshop.run([tuned], [asked]) == [record]


def test_the_class_mean_is_that_of_the_training_areas(workshop, reader):
    train = fold(reader, "blocks", "right")
    asked = Question("test", world=train.test, by_tile=True)
    (record,) = workshop.run([Cell(train, {"answer": "class_mean"}, "answer")], [asked])
    data, test = (DatasetFolder.open(workshop.dataset(part)) for part in (train, train.test))
    row = test.rows[0]
    areas = [(data.read("s2", r.tile), data.read("lulc", r.tile)[0]) for r in data.rows]
    optical = np.concatenate([s2.reshape(4, -1) for s2, _ in areas], axis=1)
    ids = np.concatenate([lulc.ravel() for _, lulc in areas])
    truth, classes = test.read("s2", row.tile), test.read("lulc", row.tile)[0]
    guess = np.full_like(truth, np.nan)
    for number in np.unique(classes):
        chosen = ids == number if number != 255 and (ids == number).any() else np.ones_like(ids, bool)
        guess[:, classes == number] = optical[:, chosen].mean(axis=1)[:, None]
    known = np.isfinite(truth).all(axis=0)
    apart = (np.clip(guess, 0, 0.4) - np.clip(truth, 0, 0.4))[:, known] / 0.4
    expected = -10 * np.log10((apart**2).mean())
    assert record.scores[str(asked)]["by_tile"][row.tile]["psnr"] == pytest.approx(expected, abs=1e-3)
