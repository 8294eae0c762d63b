"""Figures for pages: matplotlib drawings as inline SVG that take their colours from the page around them."""

import hashlib
import html
import io
import re
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.image import AxesImage

# The name of a role, the colour that stands for it while matplotlib draws, and what the page makes of it: a
# variable of the page's theme, or a tone that reads on white and on black where the page sets none.
ROLES = {
    "ink": ("#010203", "currentColor"),
    "open": ("#010204", "var(--mg-open, #2f7fd1)"),
    "accent": ("#010205", "var(--mg-accent, #d9730d)"),
    "faint": ("#010206", "var(--mg-faint, #8a93a0)"),
}
_FALLBACK_INK = "#7d8590"
INK, OPEN, ACCENT, FAINT = (stand_in for stand_in, _ in ROLES.values())
_STENCIL = "stencil"
_STYLE = {
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 11,
    "axes.labelsize": 11,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "font.size": 11,
    "lines.linewidth": 2,
    "text.color": INK,
    "xtick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.color": FAINT,
    "ytick.labelcolor": INK,
}
page_style = matplotlib.rc_context(_STYLE)  # decorates what draws: the style reaches no other plot of the reader's


class Captioned:
    """What shows itself in a notebook and on a page, with a caption and a text alternative."""

    def __init__(self, caption: str, alt: str):
        """Take what the reader should look at, shown below, and what is seen, for those who do not see it.

        Raises ValueError if there is no text alternative.
        """
        if not alt.strip():
            raise ValueError("a figure needs a text alternative: say what is seen")
        self.caption, self.alt = caption, alt

    def __repr__(self) -> str:
        """Return what a terminal shows; nothing in it depends on the numbers drawn."""
        return f"{type(self).__name__}({self.caption.split('. ')[0]!r})"


class Figure(Captioned):
    """A drawing with its text alternative; it shows itself as inline SVG."""

    def __init__(self, drawing: Drawing, caption: str, alt: str):
        """Take a matplotlib figure; see `Captioned` for `caption` and `alt`."""
        super().__init__(caption, alt)
        self.svg = _themed_svg(drawing, alt)

    def save(self, path: str | Path) -> None:
        """Write an SVG file in tones that read on white and on black, for where no page sets the colours."""
        svg = self.svg.replace("currentColor", _FALLBACK_INK).replace(
            "<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1
        )
        Path(path).write_text(re.sub(r"var\(--[\w-]+, (#\w+)\)", r"\1", svg), encoding="utf-8")

    def _repr_html_(self) -> str:
        caption = f"<figcaption>{html.escape(self.caption)}</figcaption>" if self.caption else ""
        return f'<figure class="mg-figure">{self.svg}{caption}</figure>'


def new_drawing(width: float, height: float, **grid) -> tuple[Drawing, Axes | np.ndarray]:
    """Return a transparent matplotlib figure, inches, and its axes; `grid` goes to `Figure.subplots`."""
    drawing = Drawing(figsize=(width, height), layout="constrained")
    axes = drawing.subplots(**grid)
    for axis in np.atleast_1d(axes).flat:
        axis.spines[["top", "right"]].set_visible(False)
    return drawing, axes


def stencil(axes: Axes, alpha: np.ndarray, role: str = "ink", **options) -> AxesImage:
    """Draw an array (height, width) of opacities, 0 to 1, in the colour that the page gives to `role`."""
    pixels = np.zeros((*alpha.shape, 4))
    pixels[..., 3] = np.clip(alpha, 0, 1)
    image = axes.imshow(pixels, interpolation="none", **options)
    image.set_gid(f"{_STENCIL}-{role}")
    return image


def image_column(axes: Axes, images: np.ndarray, tops: Sequence[float]) -> None:
    """Draw images (image, height, width) below each other, each one unit high from its top."""
    for image, top in zip(images, tops, strict=True):
        stencil(axes, image, extent=(0, 1, top + 1, top), aspect="auto")
    axes.set_xlim(0, 1)


def bare(axes: Axes) -> Axes:
    """Take away an axes' frame and ticks, for a picture that is not a plot."""
    axes.set_axis_off()
    return axes


def _themed_svg(drawing: Drawing, alt: str) -> str:
    """Return the drawing as an <svg> element whose ids, colours and text belong to the page."""
    buffer = io.StringIO()
    with matplotlib.rc_context(_SVG_OUTPUT):
        drawing.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    width, height, body = _SVG.search(buffer.getvalue()).groups()
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", body, flags=re.DOTALL)
    body = re.sub(r"font-family: [^;\"]*", "font-family: inherit", body)
    body = re.sub(r"(?<=base64,)[^\"]+", lambda match: "".join(match[0].split()), body)
    # Coordinates, finer than any screen; what stands between tags is text.
    body = re.sub(r">[^<]*|\d+\.\d{3,}", lambda m: m[0] if m[0][0] == ">" else f"{float(m[0]):.5g}", body)
    mark = "mg" + hashlib.sha256((alt + body).encode()).hexdigest()[:8]  # ids are the page's: keep figures apart
    body = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{mark}-", body)
    body = re.sub(rf'id="{mark}-{_STENCIL}-(\w+)"', rf'filter="url(#{mark}-\1)"', body)
    floods = "".join(
        f'<filter id="{mark}-{role}"><feFlood flood-color="{stand_in}"/>'
        '<feComposite operator="in" in2="SourceAlpha"/></filter>'
        for role, (stand_in, _) in ROLES.items()
        if f"url(#{mark}-{role})" in body
    )
    body = f"<defs>{floods}</defs>{body}"
    for stand_in, colour in ROLES.values():
        body = body.replace(stand_in, colour)
    return (
        f'<svg role="img" aria-label="{html.escape(alt)}" viewBox="0 0 {width} {height}" '
        f'style="width: 100%; max-width: {1.6 * float(width):.0f}px; stroke-linejoin: round" '
        f'font-family="sans-serif" xmlns:xlink="http://www.w3.org/1999/xlink">{body}</svg>'
    )


_SVG_OUTPUT = {"svg.fonttype": "none", "image.composite_image": False, "svg.hashsalt": "mglib"}
_SVG = re.compile(r'<svg.*?width="([\d.]+)pt" height="([\d.]+)pt"[^>]*>(.*)</svg>', re.DOTALL)
