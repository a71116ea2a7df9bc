"""A fake of MLflow's run search. It returns the same page of 200 runs for every request.

A real server takes minutes for 100,000 runs. With the fake, only the reader takes time. ``python -m
benchmarks.fake_server PORT``.
"""

from __future__ import annotations

import json
import random
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from benchmarks.task import METRICS, PARAMS, TAGS

RUNS_PAGE_SIZE = 200
_LONG_AGO = 1_700_000_000_000


def page() -> bytes:
    """Return the response to a run search, about 7 KB per run."""
    numbers = random.Random(7)  # noqa: S311  # no secret; the same in every round
    runs = [_run(f"{number:032x}", numbers) for number in range(RUNS_PAGE_SIZE)]
    return json.dumps({"runs": runs}, indent=2).encode()  # indented, like MLflow's own responses


def _run(run_id: str, numbers: random.Random) -> dict[str, object]:
    return {
        "info": {
            "run_uuid": run_id,
            "run_id": run_id,
            "experiment_id": "1",
            "run_name": "bold-cat-7",
            "user_id": "",
            "status": "FINISHED",
            "start_time": _LONG_AGO,
            "end_time": _LONG_AGO + 100_000,
            "artifact_uri": f"mlflow-artifacts:/1/{run_id}/artifacts",
            "lifecycle_stage": "active",
        },
        "data": {
            "metrics": [
                {"key": f"metric_{key}", "value": numbers.random(), "timestamp": _LONG_AGO, "step": key}
                for key in range(METRICS)
            ],
            "params": [{"key": f"parameter_{key}", "value": str(numbers.random())} for key in range(PARAMS)],
            "tags": [{"key": f"team.tag_{key}", "value": "some words of a team"} for key in range(TAGS)],
        },
        "inputs": {
            "dataset_inputs": [
                {
                    "tags": [{"key": "mlflow.data.context", "value": "training"}],
                    "dataset": {
                        "name": "loans",
                        "digest": "7f3c2a91",
                        "source_type": "local",
                        "source": '{"uri": "/data/loans.parquet"}',
                        "schema": '{"mlflow_colspec": [{"type": "double", "name": "amount", "required": true}]}',
                        "profile": '{"num_rows": 10000, "num_elements": 120000}',
                    },
                }
            ]
        },
        "outputs": {},
    }


def main() -> None:
    """Serve until terminated."""
    runs = page()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(runs if self.path.endswith("runs/search") else b"{}", "application/json")

        def do_GET(self) -> None:
            if self.path.endswith("/version"):
                self._answer(b"3.17.2", "text/plain")
            else:
                self._answer(b"{}", "application/json")

        def _answer(self, body: bytes, content_type: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
            """Do not log requests."""

    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()


if __name__ == "__main__":
    main()
