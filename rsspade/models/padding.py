"""Any height and width: pad by reflection to what a pyramid can halve, and crop back.

Shape letters: B batch, C channels, H W pixels.
"""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

__all__ = ["Padding"]


@dataclass(frozen=True, slots=True)
class Padding:
    """What is added on each side, and taken off again.

    Both sides get their share, so that no border lies further from true pixels than it must. A size that already
    fits is left alone: tiles of 64, 128 or 256 px cost nothing.
    """

    top: int
    bottom: int
    left: int
    right: int

    @classmethod
    def to_multiple(cls, size: tuple[int, int], multiple: int) -> "Padding":
        """The padding that brings (H, W) to the next multiple."""
        rows, columns = (-length % multiple for length in size)
        return cls(rows // 2, rows - rows // 2, columns // 2, columns - columns // 2)

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to add."""
        return any((self.top, self.bottom, self.left, self.right))

    def apply(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H + top + bottom, W + left + right)."""
        left = [self.left, self.right, self.top, self.bottom]
        # One pixel has nothing behind it that could be reflected; it is repeated.
        alone = [wanted if x.shape[axis] == 1 else 0 for wanted, axis in zip(left, (-1, -1, -2, -2), strict=True)]
        if any(alone):
            x = functional.pad(x, alone, mode="replicate")
            left = [wanted - done for wanted, done in zip(left, alone, strict=True)]
        while any(left):
            # A reflection reaches at most one pixel less than the image is long; a deep pyramid may need several.
            room = [x.shape[-1] - 1] * 2 + [x.shape[-2] - 1] * 2
            now = [min(wanted, most) for wanted, most in zip(left, room, strict=True)]
            x = functional.pad(x, now, mode="reflect")
            left = [wanted - done for wanted, done in zip(left, now, strict=True)]
        return x

    def crop(self, x: Tensor) -> Tensor:
        """Undo `apply`; without padding the tensor itself."""
        if not self.is_needed:
            return x
        return x[..., self.top : x.shape[-2] - self.bottom, self.left : x.shape[-1] - self.right]
