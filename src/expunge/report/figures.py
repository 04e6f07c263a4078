"""Every figure of a page, drawn as SVG text made here: no plotting library, nothing fetched, every word escaped.

A `series` is a class of `templates/style.css`: `s0`..`s7` for methods; `target`, `control`, `untrained` for anchors.
"""

from expunge.report.bars import Bar, bars, strip
from expunge.report.heatmap import Cell, heatmap
from expunge.report.lines import Line, Sample, curve, ecdf
from expunge.report.scatter import Point, scatter

__all__ = ["Bar", "Cell", "Line", "Point", "Sample", "bars", "curve", "ecdf", "heatmap", "scatter", "strip"]
