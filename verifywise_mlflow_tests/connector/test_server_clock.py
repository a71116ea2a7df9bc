"""The clock of a server, read from the header Date, which may have any text."""

from __future__ import annotations

import pytest

from verifywise_mlflow.connector.server_clock import ServerClock, read_server_clock
from verifywise_mlflow_tests.connector.readers import settings_for
from verifywise_mlflow_tests.support.hostile_server import hostile_server, make_response, respond_with


@pytest.mark.parametrize(
    "date",
    [
        "soon",
        "Tue, 03 Mar 2020 12:00:00",
        "Tue, 03 Mar 2020 12:00:00 +9999",
        f"Tue, 03 Mar 2020 12:00:00 +{'9' * 20}",
        f"Tue, 03 Mar {'9' * 11} 12:00:00 GMT",
    ],
)
def test_an_unusable_date_is_no_time(date: str) -> None:
    response = make_response("3.17.2\n", content_type="text/plain", headers={"Date": date})

    with hostile_server(respond_with(response)) as server:
        assert read_server_clock(settings_for(server.uri)) == ServerClock("3.17.2", None)
