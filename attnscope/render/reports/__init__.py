"""Verdicts in the forms that other programs, pull requests and browsers read: one form a file.

Each emitter takes a sequence of entries, one a model; `of_reports` and `of_census` make them.
"""

from attnscope.render.reports.entries import Entry, of_census, of_reports

__all__ = ["Entry", "of_census", "of_reports"]
