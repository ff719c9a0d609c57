"""The README keeps its word: its Python runs, its commands and pictures exist."""

import re
import textwrap
from pathlib import Path

import pytest
import yaml

from rsspade import __version__
from rsspade.cli import COMMANDS

ROOT = Path(__file__).parents[1]
TEXTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
RECORDS = sorted((ROOT / "experiments").glob("*/*.md"))


def test_the_python_in_the_readme_runs(tmp_path, make_dataset, monkeypatch):
    make_dataset(tmp_path / "my-dataset")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert blocks
    scope: dict[str, object] = {}
    for block in blocks:
        exec(compile(textwrap.dedent(block), "README.md", "exec"), scope)
    assert scope["batch"].optical.shape == (4, 4, 64, 64)


@pytest.mark.parametrize("path", [*TEXTS, *RECORDS], ids=lambda p: str(p.relative_to(ROOT)))
def test_every_command_and_file_named_exists(path):
    text = path.read_text()
    used = set(re.findall(r"(?:^\s*|`|\$ |&& )rsspade ([a-z]+)", text, re.MULTILINE))
    assert used <= set(COMMANDS)
    links = [link.partition("#") for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    assert [file for file, _, _ in links if not (path.parent / file).exists()] == []
    assert [
        f"{file}#{place}"
        for file, _, place in links
        if place and place not in places(path.parent / file if file else path)
    ] == []


def places(path):
    """What links into a text may name: its headings, as GitHub and most others write them; a folder's are those of its README."""
    text = (path / "README.md" if path.is_dir() else path).read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", TEXTS, ids=lambda p: p.name)
def test_every_option_of_a_command_in_the_texts_is_one(path):
    sections = (ROOT / "docs" / "options.md").read_text(encoding="utf-8").split("\n## ")
    known = {text.partition("\n")[0]: set(re.findall(r"`(--[\w.-]+)", text)) for text in sections}
    known["rsspade.training"] = known["train_gan.py"]
    unknown = {}
    commands = re.compile(r"(?:.* )?(" + "|".join(map(re.escape, known)) + r")\b([^#]*)")
    for piece in re.split(r"\n|&&|`", path.read_text(encoding="utf-8").replace("\\\n", " ")):
        if found := commands.match(piece.strip()):
            command, rest = found.groups()
            wrong = set(re.findall(r"(?<!\S)(--[a-z][\w.-]*)", rest)) - known[command] - {"--config", "--help"}
            unknown |= {piece.strip(): wrong} if wrong else {}
    assert unknown == {}


def test_the_citation_names_this_version_and_what_it_needs():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(cited)
    assert cited["version"] == __version__
    assert all({"type", "title", "authors"} <= set(reference) for reference in cited["references"])
