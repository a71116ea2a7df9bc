"""Makes Python look for reference cycles less often.

Python looks after every 700 objects that were created and not freed. A sync holds three batches of 500 rows, each with
some hundred containers and no cycle; a verification of records holds batches of 4,000 states. Visiting these containers
again and again took a tenth of a sync's CPU time.
"""

from __future__ import annotations

import gc
from functools import cache
from typing import Final

COLLECT_AFTER: Final = 20_000
"""New objects after which Python looks for cycles. Until then, cycles stay in memory: a few megabytes."""
_COLLECTIONS_OF_YOUNGER: Final = 20


@cache
def collect_less_often() -> None:
    """Raise the thresholds of this process."""
    gc.set_threshold(COLLECT_AFTER, _COLLECTIONS_OF_YOUNGER, _COLLECTIONS_OF_YOUNGER)
