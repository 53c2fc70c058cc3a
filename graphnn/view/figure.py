"""Figures that a notebook shows. Matplotlib leaves that to its windows, which plots for files do not open."""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO
from typing import Any

from matplotlib.figure import Figure

__all__ = ["ShownFigure"]


class ShownFigure(Figure):
    """A figure that shows itself as SVG and as PNG."""

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        svg, png = BytesIO(), BytesIO()
        self.savefig(svg, format="svg")
        self.savefig(png, format="png", dpi=100)
        text = svg.getvalue().decode()
        return {
            "text/plain": str(self),
            "image/svg+xml": text[text.index("<svg") :],
            "image/png": b64encode(png.getvalue()).decode(),
        }
