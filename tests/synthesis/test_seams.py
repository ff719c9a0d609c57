"""Where patches meet."""

import torch

from rsspade.synthesis.seams import NOBODY, STIFFNESS, without_seams

SIDE = 16


def halves():
    """Residuals of 0.5 left and −0.5 right, of two patches, in one class."""
    patch = torch.zeros((SIDE, SIDE), dtype=torch.int16)
    patch[:, SIDE // 2 :] = 1
    return torch.where(patch == 0, 0.5, -0.5)[None], patch, torch.zeros((SIDE, SIDE), dtype=torch.uint8)


def test_patches_run_into_each_other_within_a_class_and_stay_what_they_are_further_away():
    before, patch, classes = halves()
    after = without_seams(before, patch, classes)
    middle = SIDE // 2
    assert (after[0, :, middle] - after[0, :, middle - 1]).abs().max() < 0.3
    torch.testing.assert_close(after[..., [0, -1]], before[..., [0, -1]], atol=0.02, rtol=0)


def test_classes_may_differ_where_they_meet():
    before, patch, classes = halves()
    classes[:, SIDE // 2 :] = 4
    torch.testing.assert_close(without_seams(before, patch, classes), before)


def test_what_one_patch_gives_stays_as_it_is_and_so_does_what_none_gives():
    before, patch, classes = halves()
    texture = torch.randn(before.shape, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(without_seams(texture, torch.zeros_like(patch), classes), texture)
    patch[:, SIDE // 2 :] = NOBODY
    torch.testing.assert_close(without_seams(before, patch, classes), before)


def test_the_change_is_the_least_of_all_that_bring_patches_together():
    rng, side = torch.Generator().manual_seed(0), 6
    laid = torch.randn((2, side, side), generator=rng)
    patch = torch.randint(NOBODY, 3, (side, side), generator=rng, dtype=torch.int16)
    classes = torch.randint(0, 2, (side, side), generator=rng, dtype=torch.uint8)
    number = torch.arange(side * side).reshape(side, side)
    pairs = [*zip(number[:, :-1].flatten().tolist(), number[:, 1:].flatten().tolist(), strict=True),
             *zip(number[:-1].flatten().tolist(), number[1:].flatten().tolist(), strict=True)]  # fmt: skip
    flat, patches, held = laid.flatten(1), patch.flatten().tolist(), classes.flatten().tolist()
    rows, wanted = [], []
    for one, other in pairs:
        apart = patches[one] != patches[other]
        if NOBODY in (patches[one], patches[other]) or (apart and held[one] != held[other]):
            continue
        row = torch.zeros(side * side)
        row[other], row[one] = 1, -1
        rows.append(row)
        wanted.append(flat[:, one] - flat[:, other] if apart else torch.zeros(2))
    still = STIFFNESS**0.5 * torch.eye(side * side)
    system, goal = torch.cat([torch.stack(rows), still]), torch.cat([torch.stack(wanted), torch.zeros(side * side, 2)])
    least = torch.linalg.lstsq(system, goal).solution.T.reshape(laid.shape)
    torch.testing.assert_close(without_seams(laid, patch, classes), laid + least, atol=1e-4, rtol=0)
