"""`python -m experiments.reference`: write docs/options.md, every option of every command.

The options come from where the programs read them: the dataclasses of the training scripts and the parsers of the commands.
A test fails when the file is not what this would write.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from experiments.cells.tables import table
from rsspade.cli import COMMANDS, Command
from rsspade.config import TrainingConfig
from rsspade.data.geotiff import write_bytes_atomically
from rsspade.options import explain_options
from segmentation.config import SegmentationConfig

__all__ = ["PATH", "reference"]

PATH = Path(__file__).parents[2] / "docs" / "options.md"

_HEAD = """# Every option

*Written by `python -m experiments.reference` from the programs themselves; do not edit. `--help` says the same.*

A path is a file or folder of yours; exit codes are 0 for success, 1 where `rsspade check` finds something wrong, and 2 for a
mistake on the command line or in the data, told in one line.
"""

_CONFIG = """The options may stand in a YAML file too, nested by their dots: `--config FILE.yaml`; the command line wins. Switches
take `true` or `false`; without a value, `true`.
"""

_SCRIPTS: dict[str, tuple[type[Any], str, str]] = {
    "train_gan.py": (
        TrainingConfig, "Train a generator.",
        "accelerate launch train_gan.py --data my-dataset --out my-run --steps 20000 --resume",
    ),
    "segmentation.train": (
        SegmentationConfig, "Train a network that draws land-cover maps.",
        "accelerate launch -m segmentation.train --data my-dataset --synthetic my-synthetic --ratio 1 --out my-maps",
    ),
}  # fmt: skip


def _segmentation() -> dict[str, Command]:
    from segmentation.evaluate import COMMAND as EVALUATE
    from segmentation.predict import COMMAND as PREDICT

    return {"segmentation.evaluate": EVALUATE, "segmentation.predict": PREDICT}


def reference() -> str:
    """The text of the file."""
    commands: dict[str, Callable[[], Command]] = {f"rsspade {name}": load for name, (_, load) in COMMANDS.items()}
    made = {name: load() for name, load in commands.items()} | _segmentation()
    titles = [*list(made)[: len(COMMANDS)], *_SCRIPTS, *_segmentation()]
    pieces = [_HEAD, "".join(f"- [{title}](#{_anchor(title)})\n" for title in titles)]
    for title in titles:
        pieces.append(_script(title) if title in _SCRIPTS else _command(title, made[title]))
    return "\n".join(pieces)


def _anchor(title: str) -> str:
    """As GitHub makes it."""
    return title.lower().replace(" ", "-").replace(".", "")


def _script(title: str) -> str:
    kind, summary, example = _SCRIPTS[title]
    rows = [
        (_code(f"--{name} {value}"), "needed" if default is None else _code(default), _cell(text))
        for name, value, default, text in explain_options(kind)
    ]
    return (
        f"## {title}\n\n{summary}\n\n    {example}\n\n{_CONFIG}\n{table(('option', 'default', 'what it does'), rows)}"
    )


def _command(title: str, command: Command) -> str:
    parser = argparse.ArgumentParser(prog=title, add_help=False)
    command.configure(parser)
    plain, *named = parser._action_groups[1], *parser._action_groups[2:]  # argparse has no public list of them
    tables = [_options_table(parser, [*parser._action_groups[0]._group_actions, *plain._group_actions])]
    tables += [f"{_sentence(g.title or '')}:\n\n{_options_table(parser, g._group_actions)}" for g in named]
    return "\n".join([f"## {title}\n\n{command.summary}\n\n    {command.example}\n", *tables])


def _options_table(parser: argparse.ArgumentParser, actions: Sequence[argparse.Action]) -> str:
    return table(("option", "what it does"), [_argument(parser, action) for action in actions])


def _argument(parser: argparse.ArgumentParser, action: argparse.Action) -> tuple[str, str]:
    """What is given, and what it does, its default filled in."""
    value = action.metavar or ("|".join(map(str, action.choices)) if action.choices else action.dest.upper())
    takes = "" if action.nargs == 0 else f"{value}{' ..' if action.nargs in ('+', '*') else ''}"
    text = (action.help or "") % {**vars(action), "prog": parser.prog}
    return _code(" ".join([*action.option_strings, takes])), _cell(f"needed: {text}" if action.required else text)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _code(text: str) -> str:
    return f"`{_cell(text)}`"


def _cell(text: str) -> str:
    """A bar would end the cell."""
    return " ".join(text.split()).replace("|", "\\|")


def main() -> None:
    """Write the file."""
    argparse.ArgumentParser(prog="python -m experiments.reference", description=__doc__).parse_args()
    write_bytes_atomically(PATH, reference().encode())
    print(f"Wrote {PATH}")


if __name__ == "__main__":
    main()
