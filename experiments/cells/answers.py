"""The options of the answers that need no network, between which a generator's scores lie; `rsspade.baselines` gives them."""

from dataclasses import dataclass
from typing import ClassVar, Literal

__all__ = ["AnswerConfig"]


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerConfig:
    """An answer that costs no training.

    Attributes:
        data: The dataset folder.
        out: Nothing is written there.
        answer: The class-mean image, or the oracle of a built-in world.
    """

    same_run: ClassVar[frozenset[str]] = frozenset({"data", "out"})

    data: str
    out: str
    answer: Literal["class_mean", "oracle"]
