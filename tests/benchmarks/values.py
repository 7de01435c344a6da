"""What is sent: the values that every side's workloads have in common.

Imports nothing, so that it can be read where neither gevent nor geopb is installed.
"""

TEXT = "hello network"
OUTSTANDING = 1000
CONNECTIONS = 64
OBSERVERS = 100
UPDATES = 1000
PAIRS = 100
DICTS = [
    {"id": n, "name": f"name {n}", "ok": n % 2 == 0, "score": n / 7}
    for n in range(1000)
]
MEBIBYTE = bytes(range(256)) * 4096
ITEMS = DICTS * 10
SMALL_ITEMS = 2000
#: As much as one message may carry, with some left for the rest of it.
FILE = MEBIBYTE * 60
#: What an object of a pair is asked with, and what it answers.
TWELVE, THIRTY_SIX = 12, 36
#: Seconds that a byte is under way where a workload has a long link, one way.
DELAY = 0.01
