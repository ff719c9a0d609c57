"""A trained network as a folder that explains itself: `config.json`, `model.safetensors` and a model card.

The names are those of the Hugging Face Hub, so that a folder can be uploaded as it is and be loaded by its name there.
Nothing is ever unpickled. Plain files rather than `huggingface_hub.PyTorchModelHubMixin`, which falls back to pickled
weights where it finds them.

Needs torch and safetensors; huggingface_hub only for a name on the Hub.
"""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse_tensors
from safetensors.torch import save as pack_tensors
from torch import nn

from rsspade.errors import InputError, OutputError, explain

__all__ = ["CONFIG", "WEIGHTS", "FolderKind", "find_files", "load_network", "read_config", "write_folder"]

_Network = TypeVar("_Network", bound=nn.Module)

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
_MAX_CONFIG_BYTES = 1024 * 1024
_MAX_WEIGHT_BYTES = 16 * 1024**3
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


class FolderKind(NamedTuple):
    """What a folder holds.

    Attributes:
        name: Of the folder in a run folder, and for people.
        refusal: Where, expected, found -> the error of a folder that cannot be understood.
    """

    name: str
    refusal: Callable[[object, str, str], InputError]


_RUNS = {"generator": "a run of train_gan.py", "model": "a run of segmentation.train"}
"""Folder in a run folder -> what left it."""


def write_folder(folder: Path, network: nn.Module, *, config: str, card: str) -> None:
    """Write the folder whole, in place of an earlier one; nothing half-written ever bears its name.

    What else lies in it stays, and so does a README that is not that of a network; then the files are replaced one by one.
    """
    building, replaced = (folder.with_name(f".{folder.name}.{what}") for what in ("building", "replaced"))
    tensors = {n: t.detach().cpu().contiguous().clone() for n, t in network.state_dict().items()}
    try:
        for leftover in (building, replaced):
            shutil.rmtree(leftover, ignore_errors=True)
        building.mkdir(parents=True)
        (building / WEIGHTS).write_bytes(pack_tensors(tensors, metadata={"format": "pt"}))
        (building / CONFIG).write_text(config, encoding="utf-8")
        (building / CARD).write_text(card, encoding="utf-8")
        held = {p.name for p in folder.iterdir()} if folder.exists() else set()
        if held - {CONFIG, WEIGHTS, CARD}:
            keeps_card = CARD in held and not {CONFIG, WEIGHTS} <= held
            for name in (WEIGHTS, CONFIG) if keeps_card else (WEIGHTS, CONFIG, CARD):
                (building / name).replace(folder / name)
            shutil.rmtree(building)
            return
        if folder.exists():
            folder.rename(replaced)
        building.rename(folder)
        shutil.rmtree(replaced, ignore_errors=True)
    except OSError as err:
        shutil.rmtree(building, ignore_errors=True)
        raise OutputError(
            explain(folder, expected="a folder that can be written", found=str(err),
                    fix="Free space, or choose another folder.")
        ) from err  # fmt: skip


def find_files(name: str | Path, revision: str | None, kind: FolderKind) -> tuple[Path, Path]:
    """The description and the weights of a folder, of the one in a run folder, or of a name on the Hub."""
    folder = Path(name)
    if folder.is_dir() or isinstance(name, os.PathLike) or not _HUB_NAME.fullmatch(name):
        if (folder / kind.name / CONFIG).is_file():
            folder = folder / kind.name  # a run folder was named
        elif not (folder / CONFIG).is_file():
            for other, what in _RUNS.items():
                if other != kind.name and (folder / other / CONFIG).is_file():
                    raise kind.refusal(folder, f"a run folder with {kind.name}/ in it", what)
        return folder / CONFIG, folder / WEIGHTS
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        files = [hf_hub_download(name, file, revision=revision) for file in (CONFIG, WEIGHTS)]
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as err:
        raise kind.refusal(name, "a folder here or a model on the Hub", "neither") from err
    return Path(files[0]), Path(files[1])


def read_config(path: Path, kind: FolderKind) -> str:
    """The text of `config.json`."""
    return _read(path, _MAX_CONFIG_BYTES, kind).decode(errors="replace")


def load_network(build: Callable[[], _Network], path: Path, kind: FolderKind) -> _Network:
    """The network that the description beside stored weights asks for, with these weights.

    It is built without memory first: a description of a few lines may ask for more than the machine has.
    """
    expected_weights = "the weights of the network that config.json describes"
    try:
        tensors = parse_tensors(_read(path, _MAX_WEIGHT_BYTES, kind))
    except SafetensorError as err:
        raise kind.refusal(path, expected_weights, " ".join(str(err).split())[:200]) from err
    wanted = _shapes(build)
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    for name in [*wanted, *found]:
        if wanted.get(name) != found.get(name):
            told = " instead of ".join(
                "none" if shape is None else "×".join(map(str, shape)) or "one number"
                for shape in (found.get(name), wanted.get(name))
            )
            raise kind.refusal(path, expected_weights, f"{name}: {told}")
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise kind.refusal(path, "numbers", f"NaN or infinity in {name}: the training diverged")
    network = build()
    network.load_state_dict(tensors)
    return network


def _shapes(build: Callable[[], nn.Module]) -> dict[str, tuple[int, ...]]:
    try:
        with torch.device("meta"):
            network = build()
    except RuntimeError:
        # A library's network may read its own numbers as it is built; its size follows from its name, so that it cannot be made huge.
        network = build()
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def _read(path: Path, highest: int, kind: FolderKind) -> bytes:
    try:
        if path.stat().st_size > highest:
            raise kind.refusal(path, f"at most {highest} bytes", f"{path.stat().st_size}")
        return path.read_bytes()
    except OSError as err:
        raise kind.refusal(path, f"a file of a {kind.name} folder", err.strerror or str(err)) from err
