"""Live: a trained start that goes on learning in a web page, without a kernel."""

from mglib.live.export import SOURCE, export_live
from mglib.live.page import DrawingPad

__all__ = ["SOURCE", "DrawingPad", "export_live"]
