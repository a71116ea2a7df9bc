"""The user who requested a run, as the reverse proxy in front of Dagster's webserver authenticated them.

Dagster's webserver has no login. A proxy with a login passes the user's name in a request header, and the run
coordinator stores the name as a run tag. Anybody who requests a run may set any tag, so a tag that did not come from
the header is cleared.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from verifywise_mlflow.common.untrusted_text import excerpt
from verifywise_mlflow.defs.dagster_compat.runs import SubmitRunContext
from verifywise_mlflow.defs.run_tags import USER_TAG

USER_HEADER_VARIABLE: Final = "VERIFYWISE_USER_HEADER"
"""The environment variable with the header's name, such as ``X-Forwarded-User``. Without it, no run has an
authenticated user."""

MAX_USER_LENGTH: Final = 100


def user_tag_changes(context: SubmitRunContext) -> dict[str, str]:
    """Return the tag changes after which a run names its authenticated user, or no user. Empty if no change is needed.

    Sensors, schedules, backfills and retries submit runs in the daemon, which has no request and no user.
    """
    tags: Mapping[str, str] = context.dagster_run.tags
    header = os.environ.get(USER_HEADER_VARIABLE, "").strip()
    user = excerpt((context.get_request_header(header) or "").strip(), MAX_USER_LENGTH) if header else ""
    return {USER_TAG: user} if user != tags.get(USER_TAG, "") else {}
