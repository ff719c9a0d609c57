"""`make demo`: the main job on the built-in world, each command shown before it runs and timed after.

What runs here is what a user would type: the same console commands, one after the other.
"""

import argparse
import glob
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path


def stage(title: str, *arguments: object, program: tuple[str, ...] = ("rsspade",)) -> None:
    """Run one command, shown as it would be typed; stop where it fails."""
    words = [str(a) for a in arguments]
    shown = " ".join(w if "*" in w else shlex.quote(w) for w in words)
    print(f"\n{title}\n  $ {' '.join(program)} {shown}", flush=True)
    start_with = ["-m", "rsspade"] if program == ("rsspade",) else list(program[1:])
    words = [f for w in words for f in (sorted(glob.glob(w)) if "*" in w else [w])]  # noqa: PTH207 (absolute patterns too)
    start = time.perf_counter()
    code = subprocess.run([sys.executable, *start_with, *words], check=False).returncode
    if code != 0:
        raise SystemExit(f"The stage failed with exit code {code}.")
    print(f"  took {time.perf_counter() - start:.1f} s", flush=True)


def main() -> None:
    """A world, looked at and prepared anew; a generator, its scores and its page; what it is for: datasets, scenes, maps."""
    parser = argparse.ArgumentParser(prog="python -m experiments.demo", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("demo"), help="where to put everything (made anew)")
    parser.add_argument("--steps", type=int, default=150, help="of training (default: %(default)s)")
    options = parser.parse_args()
    out, steps = options.out, options.steps
    if out.exists() and any(out.iterdir()) and not (out / ".rsspade-demo").is_file():
        raise SystemExit(f"{out}: expected a folder of an earlier demo, found other files. Choose another --out.")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    (out / ".rsspade-demo").touch()
    begin = time.perf_counter()
    world = out / "world"
    stage(
        "1. A dataset from the built-in world: six scenes, clouded",
        "world",
        world,
        "--scenes",
        6,
        "--clouds",
        0.3,
        "--oracle",
    )
    stage("2. The dataset through a sceptic's eyes", "check", world, "--json", out / "check.json")
    tiles = sorted(p.stem for p in (world / "S2").glob("*.tif"))
    stage("3. Three tiles as pictures", "show", world, *tiles[5 :: len(tiles) // 3], "--out", out / "tiles.png")
    scene = sorted({t.rsplit("_r", 1)[0] for t in tiles})[0]
    flags = [a for s in ("s2", "s1", "lulc", "dem") for a in (f"--{s}", f"{world / s.upper()}/{scene}_*.tif")]
    stage("4. The way of one's own GeoTIFFs: the files of one scene become a dataset of larger tiles", "prepare", *flags,
          "--landcover-scheme", "dynamic_world", "--tile-size", 256, "--split", "1:0:0", "--out", out / "prepared")  # fmt: skip
    run = out / "run"
    stage("5. A generator, trained for a minute: far too short to be good, long enough to see that it learns",
          "--data", world, "--out", run, "--steps", steps, "--lr", 0.002, "--eval_every", steps, "--save_every", steps,
          program=("python", "train_gan.py"))  # fmt: skip
    stage("6. Its scores on places it has never seen, beside the mean image of each class", "evaluate", "--run", run,
          "--data", world)  # fmt: skip
    stage("7. A page about it: pictures, curves, tables", "report", run, "--data", world, "--out", out / "report.html")
    stage("8. An augmented dataset: a synthetic image of every training tile", "generate", "--run", run, "--data", world,
          "--out", out / "synthetic")  # fmt: skip
    sources = [a for s in ("s1", "lulc", "dem") for a in (f"--{s}", f"{world / s.upper()}/{scene}_*.tif")]
    stage("9. One scene of any size as a cloud-optimised GeoTIFF", "scene", "--run", run, *sources,
          "--landcover-scheme", "dynamic_world", "--out", out / "scene.tif")  # fmt: skip
    stage("10. A network that maps land cover, trained for seconds on real and synthetic images together",
          "--data", world, "--synthetic", out / "synthetic", "--out", out / "maps", "--steps", max(steps // 3, 2),
          "--network.base_width", 8, "--lr", 0.01, program=("python", "-m", "segmentation.train"))  # fmt: skip
    print(
        f"\nAll of it took {time.perf_counter() - begin:.0f} s. Look at\n"
        f"  {out / 'tiles.png'}   what the sources show\n"
        f"  {world}/       the dataset: GeoTIFFs that any GIS opens, dataset.json, tiles.csv\n"
        f"  {out / 'check.json'}  what the check found\n"
        f"  {run}/samples/  what the generator made of the sources\n"
        f"  {out / 'report.html'}  how good it is, in a browser\n"
        f"  {out / 'scene.tif'}    a whole synthetic scene\n"
        f"  {out / 'synthetic'}/   the augmented dataset\n"
        f"  {out / 'prepared'}/    the same from GeoTIFFs: replace them by your own"
    )


if __name__ == "__main__":
    main()
