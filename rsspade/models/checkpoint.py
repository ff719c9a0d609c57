"""A trained generator as a folder that explains itself: `config.json`, `model.safetensors` and a model card.

How the folder is written and read is in `folder`.

Needs torch, numpy and safetensors; huggingface_hub only for a name on the Hub.
"""

import difflib
import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from rsspade.channels import decode_optical, encode, encode_when
from rsspade.errors import InputError, RSSpadeWarning, explain
from rsspade.models.card import model_card
from rsspade.models.config import build_generator
from rsspade.models.embedding import grid_size
from rsspade.models.folder import FolderKind, find_files, load_network, read_config, write_folder
from rsspade.models.info import GeneratorInfo, unreadable
from rsspade.models.noise import NoiseField
from rsspade.models.seen import Seen
from rsspade.models.variety import STRENGTH, Noise, fields_of_samples, noise_of_field, residuals_of_samples
from rsspade.sources import UNLABELLED
from rsspade.sun import UNKNOWN

__all__ = ["GeneratorInfo", "RSSpade"]

_KIND = FolderKind("generator", unreadable)


class RSSpade(nn.Module):
    """A trained generator: physical units in, reflectance out.

        model = RSSpade.from_pretrained("run/generator")
        image = model({"s1": s1_db, "dem": dem})  # any subset of model.info.sources

    Args:
        network: As `build_generator` makes it.
        info: What it is.

    Attributes:
        seen: What of all that it was given its training never showed it.
    """

    def __init__(self, network: nn.Module, info: GeneratorInfo) -> None:
        super().__init__()
        self.network = network
        self.info = info
        self.seen = Seen(info.training, info.sources)

    @property
    def has_variety(self) -> bool:
        """Whether it can draw samples."""
        return self.info.architecture.variety_width > 0

    @torch.no_grad()
    def forward(
        self,
        sources: Mapping[str, Tensor | np.ndarray],
        *,
        valid: Mapping[str, Tensor | np.ndarray] | None = None,
        day_of_year: Tensor | float | None = None,
        sun: Tensor | tuple[float, float] | None = None,
    ) -> Tensor:
        """Synthesise optical images.

        Args:
            sources: Name -> (B, bands, h, w) or (bands, h, w) in physical units: dB, class ids, metres and degrees.
                NaN, or 255 in land cover, where there is nothing; a sample that holds nothing else of a source
                counts as one without it.
            valid: Name -> (B, h, w) or (h, w), True where a pixel can be used, in addition.
            day_of_year: (B,) or one number, 1 to 366; used by a model that was trained with the season.
            sun: (B, 2) or one pair, azimuth clockwise from north and elevation in degrees; used by a model that was
                trained with the sun.

        Returns:
            Reflectance (B, bands, H, W) or (bands, H, W), on the finest grid of the sources given.
        """
        conditions, present, when, single = self._inputs(sources, valid, day_of_year, sun)
        image = decode_optical(self.network(conditions, present, when), self.info.scaling)
        return image[0] if single else image

    @torch.no_grad()
    def draw(
        self,
        sources: Mapping[str, Tensor | np.ndarray],
        *,
        samples: Sequence[int],
        names: Sequence[str],
        origins: Sequence[tuple[int, int]],
        seed: int = 0,
        valid: Mapping[str, Tensor | np.ndarray] | None = None,
        day_of_year: Tensor | float | None = None,
        sun: Tensor | tuple[float, float] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Draw images for each tile; `forward` gives the middle of all draws.

        Args:
            sources: As in `forward`.
            samples: Which of endlessly many, from 0, the same for all tiles; each is what it is whichever others are
                asked for. The price is that of the blocks of eight that they lie in.
            names: Of what each tile of the batch is a part, such as its scene.
            origins: Row and column of each tile's first pixel in there: where two tiles of a scene overlap, they see
                the same noise.
            seed: Of the whole job.
            valid: As in `forward`.
            day_of_year: As in `forward`.
            sun: As in `forward`.

        Returns:
            The deterministic image (B, bands, H, W) and the draws (B, S, bands, H, W); without B where there is none.
        """
        self.check_variety()
        conditions, present, when, single = self._inputs(sources, valid, day_of_year, sun)
        batch, device = len(next(iter(present.values()))), next(self.parameters()).device
        if len(names) != batch or len(origins) != batch:
            raise ValueError(
                f"expected a name and an origin for {batch} tiles, found {len(names)} names and {len(origins)} origins"
            )
        size, depth = grid_size(conditions), self.info.architecture.depth
        tiles = list(zip(names, origins, strict=True))
        draws = (
            torch.stack([noise_of_field(NoiseField(seed, name=of, number=n), at, size, depth) for of, at in tiles])
            for n in fields_of_samples(samples)
        )
        noise = Noise((draw.to(device) for draw in draws), size)
        image, residuals, variance = self.network(conditions, present, when, noise)
        residuals = residuals_of_samples(residuals, variance, samples)
        drawn = decode_optical(image[:, None] + STRENGTH * residuals, self.info.scaling)
        image = decode_optical(image, self.info.scaling)
        return (image[0], drawn[0]) if single else (image, drawn)

    def _inputs(
        self,
        sources: Mapping[str, Tensor | np.ndarray],
        valid: Mapping[str, Tensor | np.ndarray] | None,
        day_of_year: Tensor | float | None,
        sun: Tensor | tuple[float, float] | None = None,
    ) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor | None, bool]:
        """What the network is given, and whether it was a single tile."""
        device = next(self.parameters()).device
        conditions, present, single = {}, {}, False
        for name in self._known(sources):
            values = torch.as_tensor(sources[name], device=device)
            mask = torch.as_tensor(valid[name], device=device) if valid is not None and name in valid else None
            if values.ndim == 3:
                values, mask, single = values[None], None if mask is None else mask[None], True
            conditions[name] = encode(name, values, mask, scaling=self.info.scaling, scheme=self.info.scheme)
            usable = torch.isfinite(values).all(dim=1)
            if name == "lulc":
                usable &= values[:, 0] != UNLABELLED
            usable = usable if mask is None else usable & mask
            self.seen.add(name, values, usable)
            present[name] = usable.any(dim=(-2, -1))
        self.seen.add_images(present)
        when = self._when(day_of_year, sun, next(iter(present.values())))
        return conditions, present, when, single

    def _known(self, sources: Mapping[str, object]) -> list[str]:
        """The sources given in the model's order; an unknown one is refused."""
        for name in sources:
            if name not in self.info.sources:
                near = difflib.get_close_matches(name, self.info.sources, n=1, cutoff=0.3)
                fix = f"Did you mean {near[0]}?" if near else "Leave it out."
                raise InputError(
                    explain(
                        "sources", expected=f"a subset of {', '.join(self.info.sources)}", found=repr(name), fix=fix
                    )
                )
        if not sources:
            raise InputError(
                explain(
                    "sources", expected=f"at least one of {', '.join(self.info.sources)}", found="none", fix="Add one."
                )
            )
        return [name for name in self.info.sources if name in sources]

    def _when(
        self, day_of_year: Tensor | float | None, sun: Tensor | tuple[float, float] | None, like: Tensor
    ) -> Tensor | None:
        day = float("nan") if day_of_year is None else day_of_year
        angles = UNKNOWN if sun is None else sun
        return encode_when(
            self.info.architecture.told,
            day_of_year=torch.as_tensor(day, dtype=torch.float32, device=like.device).expand(len(like)),
            sun=torch.as_tensor(angles, dtype=torch.float32, device=like.device).expand(len(like), 2),
        )

    def check_variety(self) -> None:
        """Refuse to draw where there is nothing to draw with."""
        if not self.has_variety:
            raise InputError(
                explain("samples", expected="a generator that was trained with variety", found="one without",
                        fix="Train it with --generator.variety_width 16, or take the deterministic image (one sample).")
            )  # fmt: skip

    def warn_of_unseen(self) -> None:
        """Say, at the end of a job, what of its inputs the generator's training never showed it."""
        for sentence in self.seen.sentences():
            warnings.warn(sentence, RSSpadeWarning, stacklevel=2)

    def check_scheme(self, name: str, where: object) -> None:
        """Refuse land cover in another scheme than the model's; does nothing where it sees no land cover."""
        if "lulc" in self.info.sources and name != self.info.landcover_scheme:
            raise InputError(
                explain(where, expected=f"land cover in the scheme {self.info.landcover_scheme}, the model's", found=name,
                        fix=f"Prepare the data with --landcover-to {self.info.landcover_scheme}, or leave lulc out of --sources.")
            )  # fmt: skip

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the folder whole, in place of an earlier one; nothing half-written ever bears its name, and other files in it stay."""
        text = self.info.to_json()
        write_folder(Path(folder), self.network, config=text, card=model_card(json.loads(text)))

    @classmethod
    def from_pretrained(
        cls, name: str | Path, *, revision: str | None = None, device: str | torch.device = "cpu"
    ) -> Self:
        """Load a generator, in eval mode.

        Args:
            name: A folder that `save_pretrained` or a training run wrote, or the name of a model on the Hub.
            revision: Branch, tag or commit on the Hub.
            device: Where it shall live.
        """
        config, weights = find_files(name, revision, _KIND)
        info = GeneratorInfo.from_json(read_config(config, _KIND), config)
        network = load_network(lambda: build_generator(info.architecture), weights, _KIND)
        return cls(network, info).to(device).eval()

    def push_to_hub(self, name: str, *, private: bool = False, token: str | None = None) -> None:
        """Upload to the Hub as `owner/name`."""
        import tempfile

        from huggingface_hub import HfApi

        api = HfApi(token=token)
        api.create_repo(name, private=private, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(Path(folder) / "generator")
            api.upload_folder(repo_id=name, folder_path=Path(folder) / "generator")
