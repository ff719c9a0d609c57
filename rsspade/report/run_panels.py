"""What a generator makes of a tile, as panels beneath those of the tile itself."""

import numpy as np

from rsspade.report import colours
from rsspade.report.answers import Answer
from rsspade.report.figures import Panel

__all__ = ["answer_panels"]


def answer_panels(answer: Answer) -> list[Panel]:
    """Synthetic in true and false colour, beneath the real ones, then the error and the spectral angle."""
    true, false = colours.true_colour(answer.image, answer.bands), colours.false_colour(answer.image, answer.bands)
    error = Panel(title="Error", absent="no clear image to compare with")
    angle = Panel(title="Spectral angle", absent="no clear image to compare with")
    if answer.error is not None and answer.angle_deg is not None:
        error = Panel(
            title="Error",
            detail=f"0…{colours.ERROR_MAX:g} reflectance; mean {np.nanmean(answer.error):.4f}",
            picture=colours.error_colours(answer.error),
        )
        angle = Panel(
            title="Spectral angle",
            detail=f"0…{colours.ANGLE_MAX_DEG:g}°; mean {np.nanmean(answer.angle_deg):.2f}°",
            picture=colours.angle_colours(answer.angle_deg),
        )
    return [
        Panel(title="Synthetic, true colour", detail="as above", picture=true, absent="needs red, green, blue"),
        Panel(title="Synthetic, false colour", detail="as above", picture=false, absent="needs nir, red, green"),
        error,
        angle,
    ]
