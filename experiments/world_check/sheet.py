"""The contact sheet: a few scenes, each as every source sees it."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from rsspade.landcover import scheme_named
from rsspade.world.scene import SceneSpec, make_scene

__all__ = ["draw_sheet"]

COLUMNS = (
    "true colour",
    "false colour (nir, red, green)",
    "radar (vv, vh, vv)",
    "land cover",
    "hillshade of the 30 m product",
    "clouded",
)
GAP, HEAD = 6, 26


def draw_sheet(path: Path, *, scenes: list[int], size: int, seed: int, variant: str) -> None:
    """Draw scenes as rows and sources as columns; a palette keeps the file small."""
    cell = size + GAP
    sheet = Image.new("RGB", (len(COLUMNS) * cell + GAP, len(scenes) * (cell + HEAD) + GAP + HEAD), "white")
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.truetype(str(Path(mpl.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"), 15)
    for column, title in enumerate(COLUMNS):
        pen.text((GAP + column * cell, 5), title, fill="black", font=font)
    for row, index in enumerate(scenes):
        scene = make_scene(SceneSpec(seed=seed, variant=variant, index=index, size=size, clouds=0.25))
        top = HEAD + row * (cell + HEAD)
        where = scene.conditions
        label = f"{where.landscape}, {where.s2_date} (radar {where.s1_date}), sun {where.sun_elevation:.0f}° high, scene {index}"
        pen.text((GAP, top + 5), label, fill="#444444", font=font)
        for column, picture in enumerate(_pictures(scene.images)):
            sheet.paste(
                Image.fromarray((np.clip(picture, 0, 1) * 255).astype(np.uint8)), (GAP + column * cell, top + HEAD)
            )
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.quantize(240, dither=Image.Dither.NONE).save(path, optimize=True)


def _pictures(images: dict[str, np.ndarray]) -> list[np.ndarray]:
    colours = np.zeros((256, 3))
    for cls, rgba in scheme_named("dynamic_world").colormap().items():
        colours[cls] = np.array(rgba[:3]) / 255
    vv, vh = (images["s1"][0] + 25) / 25, (images["s1"][1] + 31) / 25
    shade = images["dem"][3] / 255
    return [
        true_colour(images["s2"]),
        np.stack([images["s2"][3] / 0.45, images["s2"][2] / 0.25, images["s2"][1] / 0.25], -1),
        np.stack([vv, vh, vv], -1),
        colours[images["lulc"][0]],
        np.stack([shade] * 3, -1),
        true_colour(images["s2_cloudy"]),
    ]


def true_colour(reflectance: np.ndarray) -> np.ndarray:
    """Red, green, blue from 0 to 0.25 reflectance, a little lifted in the shadows."""
    return np.asarray(np.clip(reflectance[[2, 1, 0]] / 0.25, 0, 1) ** (1 / 1.4)).transpose(1, 2, 0)
