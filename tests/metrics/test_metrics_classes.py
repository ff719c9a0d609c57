"""Scores of each land-cover class: against a loop over classes in numpy, and what must not move them."""

import math

import numpy as np
import pytest
import torch

from rsspade.landcover import scheme_named
from rsspade.metrics import DISPLAY, PADDING, ClassScores, spectral_angle

BANDS = ("blue", "green", "red", "nir")
SCHEME = scheme_named("worldcover")  # ids that are not 0, 1, 2, …


def batch(seed=0, tiles=3, size=16):
    generator = torch.Generator().manual_seed(seed)
    truth = torch.rand(tiles, 4, size, size, generator=generator) * 0.6
    made = truth + 0.1 * torch.randn(truth.shape, generator=generator)
    ids = torch.tensor([*SCHEME.ids[:4], 255], dtype=torch.uint8)
    cover = ids[torch.randint(len(ids), (tiles, 1, size, size), generator=generator)]
    valid = torch.rand(tiles, size, size, generator=generator) > 0.2
    return made, truth, valid, cover


def score(made, truth, valid, cover, tiles=None):
    scores = ClassScores(BANDS, SCHEME)
    scores.add(made, truth, valid=valid, landcover=cover, tile=torch.arange(len(made)) if tiles is None else tiles)
    return scores


def test_each_class_is_scored_as_if_its_pixels_were_an_image_of_their_own():
    made, truth, valid, cover = batch()
    found = score(made, truth, valid, cover).compute()
    assert list(found) == list(SCHEME.names[:4])  # the absent classes are left out, and so is what has no label
    angles = spectral_angle(DISPLAY.apply(made.double()), DISPLAY.apply(truth.double())).numpy()
    for name, number in zip(SCHEME.names[:4], SCHEME.ids, strict=False):
        where = ((cover[:, 0] == number) & valid).numpy()
        true, other = (image.double().movedim(1, -1).numpy()[where] for image in (truth, made))
        error = np.clip(other, 0, 0.4) / 0.4 - np.clip(true, 0, 0.4) / 0.4
        entry = found[name]
        assert entry["pixels"] == where.sum()
        assert entry["mae"] == pytest.approx(np.abs(error).mean())
        assert entry["rmse"] == pytest.approx(np.sqrt((error**2).mean()))
        assert entry["psnr"] == pytest.approx(-10 * math.log10((error**2).mean()))
        assert entry["sam_rad"] == pytest.approx(angles[where].mean())
        assert entry["sam_deg"] == pytest.approx(math.degrees(entry["sam_rad"]))
        assert entry["mean_true"] == pytest.approx(true.mean(axis=0))
        assert entry["std_true"] == pytest.approx(true.std(axis=0))
        assert entry["mean_made"] == pytest.approx(other.mean(axis=0))
        assert entry["std_made"] == pytest.approx(other.std(axis=0))


def test_a_masked_pixel_can_hold_anything():
    made, truth, valid, cover = batch()
    before = score(made, truth, valid, cover).compute()
    hidden = ~valid[:, None].expand_as(made)
    made[hidden], truth[hidden] = math.nan, math.inf
    assert score(made, truth, valid, cover).compute() == before


def test_a_prediction_that_is_not_finite_spoils_its_class_alone():
    made, truth, valid, cover = batch()
    before = score(made, truth, valid, cover).compute()
    first = int(torch.nonzero((cover[0, 0] == SCHEME.ids[0]) & valid[0])[0, 0])
    column = int(torch.nonzero((cover[0, 0, first] == SCHEME.ids[0]) & valid[0, first])[0, 0])
    made[0, 2, first, column] = math.nan
    after = score(made, truth, valid, cover).compute()
    assert after[SCHEME.names[0]]["psnr"] is None
    assert after[SCHEME.names[0]]["mean_made"] == [None] * 4
    assert after[SCHEME.names[0]]["mean_true"] == before[SCHEME.names[0]]["mean_true"]
    assert all(after[name] == before[name] for name in SCHEME.names[1:4])


def test_dealt_to_processes_and_padded_it_is_the_same_to_the_last_digit():
    made, truth, valid, cover = batch(tiles=5)
    whole = score(made, truth, valid, cover).compute()
    total = ClassScores(BANDS, SCHEME)
    for part in ([4, 1], [3, 0, 2]):
        state = score(made[part], truth[part], valid[part], cover[part], torch.tensor(part)).state()
        total.merge(torch.cat([state, torch.full((1, state.shape[1]), float(PADDING))]))
    assert total.compute() == whole


def test_land_cover_of_another_shape_is_refused():
    made, truth, valid, cover = batch()
    with pytest.raises(ValueError, match=r"expected land cover \(3, 1, 16, 16\), found \(3, 1, 8, 16\)"):
        score(made, truth, valid, cover[:, :, :8])
