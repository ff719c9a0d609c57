"""The shape of the code: imports point one way, and light parts stay light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ALLOWED = {
    "rsspade": {"rsspade"},
    "segmentation": {"rsspade", "segmentation"},
    "experiments": {"rsspade", "segmentation", "experiments"},
}


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found & (set(ALLOWED) | {"tests"})


@pytest.mark.parametrize("package", [p for p in ALLOWED if (ROOT / p).is_dir()])
def test_imports_point_one_way(package):
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    wrong = {str(f.relative_to(ROOT)): imported(f) - ALLOWED[package] for f in files}
    assert not {f: w for f, w in wrong.items() if w}


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("rsspade.cli", ("torch", "rasterio", "matplotlib", "numpy")),
        ("rsspade.channels", ("rasterio", "matplotlib", "distributed")),
        ("rsspade.models", ("rasterio", "matplotlib", "accelerate", "huggingface_hub", "scipy", "yaml")),
        ("rsspade.config", ("torch", "rasterio", "matplotlib")),
        ("segmentation.train", ("torch", "rasterio", "sklearn")),
        ("segmentation.models", ("rasterio", "accelerate", "sklearn", "segmentation_models_pytorch")),
        ("rsspade.geo.prepare", ("torch", "matplotlib", "distributed")),
    ],
)
def test_light_parts_stay_light(module, heavy):
    code = f"import sys, {module}; print(*[m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
