"""WHEN is the answer there? Wait for it, or chain on it."""

from geopb.promise.combine import fail, gather, succeed
from geopb.promise.deadline import deadline
from geopb.promise.promise import Promise
from geopb.promise.waiting import Timeout

__all__ = ["Promise", "Timeout", "deadline", "fail", "gather", "succeed"]
