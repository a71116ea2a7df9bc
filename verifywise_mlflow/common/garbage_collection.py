"""Makes Python look for reference cycles less often.

Python looks for cycles after every 700 objects that were created and not freed. A sync has three batches of 500 rows in
memory. Each row has about a hundred containers and no cycle. A verification of records has batches of 4,000 states in
memory. Visiting these containers again and again took a tenth of a sync's CPU time.
"""

from __future__ import annotations

import gc
from functools import cache
from typing import Final

COLLECT_AFTER: Final = 20_000
"""The number of new objects after which Python looks for cycles. Until then, cycles of a few megabytes stay in
memory."""
_COLLECTIONS_OF_YOUNGER: Final = 20


@cache
def collect_less_often() -> None:
    """Raise the thresholds of this process."""
    gc.set_threshold(COLLECT_AFTER, _COLLECTIONS_OF_YOUNGER, _COLLECTIONS_OF_YOUNGER)
