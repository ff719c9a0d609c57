"""The reference of options is the programs' own."""

import dataclasses
import re

from experiments.reference.__main__ import PATH, reference
from rsspade.cli import COMMANDS
from rsspade.config import TrainingConfig
from rsspade.options import default_options


def test_the_committed_reference_is_current():
    assert PATH.read_text(encoding="utf-8") == reference(), "write it anew: python -m experiments.reference"


def test_every_command_and_option_stands_in_it():
    text = reference()
    assert set(re.findall(r"^## rsspade (\w+)$", text, re.MULTILINE)) == set(COMMANDS)
    training = text.partition("## train_gan.py\n")[2].partition("\n## ")[0]
    names = {f.name for f in dataclasses.fields(TrainingConfig) if f.default is dataclasses.MISSING and f.init}
    assert {"data", "out"} <= names
    for name in default_options(TrainingConfig):
        assert re.search(rf"`--{re.escape(name)}[ `]", training), name


def test_each_option_is_explained_and_no_bar_breaks_a_table():
    rows = [line for line in reference().splitlines() if line.startswith("| `")]
    assert len(rows) > 100
    for row in rows:
        cells = re.split(r"(?<!\\)\|", row)[1:-1]
        assert len(cells) in (2, 3), row
        assert len(cells[-1].strip()) > 3, row
