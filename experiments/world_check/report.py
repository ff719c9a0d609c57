"""The numbers as tables for people."""

from typing import Any

__all__ = ["as_markdown"]


def as_markdown(results: dict[str, Any]) -> str:
    """All tables, world and real tiles in neighbouring lines."""
    world = results["world"]
    lines = [
        f"World version {world['version']}, variant {world['variant']}, seed {world['seed']}, {world['scenes']} scenes of "
        f"{world['scene_size']} px; {results['date']}, {results['machine']}.", "",
        "| in display space, per 128 px tile | PSNR dB | SSIM | SAM rad |", "|---|---|---|---|",
    ]  # fmt: skip
    for key, title in (("oracle", "oracle (ceiling)"), ("class_mean", "class-mean image (floor)")):
        row = results[key]
        lines.append(f"| {title} | {row['psnr']:.2f} | {row['ssim']:.3f} | {row['sam']:.4f} |")
    lines += [
        "",
        "Mean ± spread over all pixels of a class; last columns: correlation of radar with nir within the class, mean over patches [least, most].",
        "",
    ]
    lines += ["| class | of | share | blue | green | red | nir | VV dB | VH dB | VV–nir | VH–nir |", "|" + "---|" * 11]
    for cls in results["classes"]:
        for key, title in (("classes", "world"), ("real_classes", "real")):
            if cls in results[key]:
                lines.append(_class_row(cls, title, results[key][cls]))
    lines += ["", "Per band, mean over patches [least, most].", ""]
    lines += [
        "| band | of | gradient per pixel | spectrum slope | grain (std in 9×9) | grain, lag 1 |",
        "|" + "---|" * 6,
    ]
    for band in results["structure"]:
        for key, title in (("structure", "world"), ("real_structure", "real")):
            if band in results[key]:
                row = results[key][band]
                cells = [f"{v['mean']} [{v['min']}, {v['max']}]" for v in row.values()]
                lines.append(f"| {band} | {title} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "Pixel hash of the small fixed world: "
        + ", ".join(f"{k} `{v[:16]}…`" for k, v in results["frozen"]["pixel_sha256"].items())
        + ".",
    ]
    return "\n".join(lines) + "\n"


def _class_row(cls: str, title: str, row: dict[str, Any]) -> str:
    cells = [f"{row['mean'][b]:.3f}±{row['std'][b]:.3f}" for b in ("blue", "green", "red", "nir")]
    cells += [f"{row['mean'][b]:.1f}±{row['std'][b]:.1f}" for b in ("vv", "vh")]
    for pol in ("vv_nir", "vh_nir"):
        c = row.get(pol)
        cells.append(f"{c['mean']:+.2f} [{c['min']:+.2f}, {c['max']:+.2f}]" if c else "")
    return f"| {cls} | {title} | {row['share']:.3f} | " + " | ".join(cells) + " |"
