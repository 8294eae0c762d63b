"""The drawing pad: a start trained on drawings that goes on learning in a web page, without a kernel."""

from pad.export import SOURCE, START, export_live
from pad.page import DrawingPad

__all__ = ["SOURCE", "START", "DrawingPad", "export_live"]
