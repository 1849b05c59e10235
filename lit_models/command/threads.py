"""Threads that wait for each other on a machine that has other work to do.

Threads of OpenMP wait for each other after each operation, and keep their core busy while they wait. If another process has the core that
the last thread needs, all wait for it. On two cores beside one busy process a step of a VAE took 474 ms; it takes 76 ms if threads wait in
this way 10,000 times at most and then sleep, and 28 ms with OMP_NUM_THREADS=1. On idle cores nothing changes: 17.5 ms before, 17.5 and
17.9 ms after.
"""

import os

TIMES = "10000"


def wait_briefly() -> None:
    """Set the limit, unless the user has set one. It has to be set before torch is imported."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", TIMES)
