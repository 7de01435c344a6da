"""Settings of the properties: the same examples in each run, so that CI is stable.

``make gauntlet`` tries ten times as many.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

#: How many times as much is tried as the suite has time for.
TIMES = 10 if os.environ.get("GAUNTLET") == "full" else 1

#: For most properties.
usual = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=60 * TIMES,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
#: For those that are quick, or where much depends on chance.
many = settings(usual, max_examples=120 * TIMES)
