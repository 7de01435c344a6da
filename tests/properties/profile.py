"""Settings of the properties: the same examples in each run, so that CI is stable."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

#: For most properties.
usual = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
#: For those that are quick, or where much depends on chance.
many = settings(usual, max_examples=300)
