"""WHAT went wrong? An exception as a value, here or from the other side. No I/O."""

from geopb.failure.failure import (
    ClassFinder,
    CopiedFailure,
    Failure,
    failure_of,
    raised_failure,
)
from geopb.failure.fresh import fresh
from geopb.failure.report import MAX_PARENTS, Report, format_traceback, report_of

__all__ = [
    "MAX_PARENTS",
    "ClassFinder",
    "CopiedFailure",
    "Failure",
    "Report",
    "failure_of",
    "format_traceback",
    "fresh",
    "raised_failure",
    "report_of",
]
