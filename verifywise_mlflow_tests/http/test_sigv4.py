"""Requests signed with AWS Signature Version 4, verified by a server from the received bytes."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verifywise_mlflow.connector.endpoints import MlflowEndpoint
from verifywise_mlflow.connector.rest_client import RestClient
from verifywise_mlflow.http.errors import ForbiddenError, InvalidSettingsError
from verifywise_mlflow.http.request_auth import Request, StaticHeaders, WithExtraHeaders
from verifywise_mlflow.http.settings import ConnectionSettings, Limits, ProxySettings
from verifywise_mlflow.http.sigv4 import AwsKeys, SageMakerServer, SigV4Signer
from verifywise_mlflow_tests.http.aws_signatures import expected_signature, signature_problem
from verifywise_mlflow_tests.support.forward_proxy import forward_proxy
from verifywise_mlflow_tests.support.hostile_server import HostileServer, ReceivedRequest, hostile_server, make_response

KEY = "AKIDEXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
SESSION = "session/token+of==temporary"
SCOPE = "eu-west-1/sagemaker-mlflow"
ARN = "arn:aws:sagemaker:eu-west-1:123456789012:mlflow-tracking-server/governed"


def aws(_server: HostileServer, request: ReceivedRequest) -> bytes:
    problem = signature_problem(request, KEY, SECRET, SCOPE, request.headers.get("x-amz-security-token"))
    return make_response(problem, 403, "text/plain") if problem else make_response("{}")


@pytest.fixture(scope="module")
def server() -> Iterator[HostileServer]:
    with hostile_server(aws) as server:
        yield server


def signer(secret: str = SECRET, token: str | None = None, resource: SageMakerServer | None = None) -> SigV4Signer:
    return SigV4Signer(AwsKeys(KEY, secret, token), "eu-west-1", "sagemaker-mlflow", resource)


def client_for(uri: str, credentials: SigV4Signer | WithExtraHeaders, proxy: str | None = None) -> RestClient:
    return RestClient(
        ConnectionSettings(
            uri,
            credentials=lambda: credentials,
            workspace="team-a",
            allow_private_network=True,
            proxy=ProxySettings(proxy, allow_private_network=True) if proxy else None,
            limits=Limits(max_attempts=1, request_timeout_seconds=5),
        )
    )


AWS_EXAMPLES = [
    ("GET", "/", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    ("POST", "/", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    ("GET", "/?Param2=value2&Param1=value1", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
]


@pytest.mark.parametrize(("method", "target", "signature"), AWS_EXAMPLES)
def test_the_verifying_server_agrees_with_awss_own_examples(method: str, target: str, signature: str) -> None:
    request = ReceivedRequest(method, target, {"host": "example.amazonaws.com", "x-amz-date": "20150830T123600Z"}, b"")

    assert (
        expected_signature(request, SECRET, "20150830/us-east-1/service/aws4_request", "host;x-amz-date") == signature
    )


@settings(max_examples=150)
@given(text=st.text(st.characters() | st.sampled_from(" +=&%/?#~*'\"\\;:@!$(),[]\ud800"), max_size=30))
def test_any_query_is_signed_as_it_is_sent(server: HostileServer, text: str) -> None:
    client = client_for(server.uri, signer())

    client.get_json(MlflowEndpoint.SEARCH_VERSIONS, {"page_token": f"{text}==", "filter": f"name = '{text}'", text: 1})
    client.post_json(MlflowEndpoint.SEARCH_RUNS, {"filter": text})

    client.close()


@pytest.mark.parametrize(
    "prefix", ["", "/", "/ml", "/ml%20x", "/ml%2fx%c3%bc", "/ü ü", "/a/./b/../c", "/a//b", "/a;b=c", "/a+b~*'()", "/%"]
)
def test_a_prefix_is_signed_as_it_is_sent(server: HostileServer, prefix: str) -> None:
    client_for(server.uri + prefix, signer()).get_json(MlflowEndpoint.SEARCH_MODELS, {"a": "b c"})


def test_another_secret_is_refused(server: HostileServer) -> None:
    with pytest.raises(ForbiddenError, match="the signature does not match"):
        client_for(server.uri, signer("another")).get_json(MlflowEndpoint.SEARCH_MODELS)


def test_a_session_token_is_sent_and_signed(server: HostileServer) -> None:
    client_for(server.uri, signer(token=SESSION)).get_json(MlflowEndpoint.SEARCH_MODELS)

    assert server.requests[-1].headers["x-amz-security-token"] == SESSION
    assert "x-amz-security-token" in server.requests[-1].headers["authorization"]


def test_the_workspace_and_the_arn_are_signed_but_a_gateways_headers_are_not(server: HostileServer) -> None:
    credentials = WithExtraHeaders(signer(resource=SageMakerServer.from_arn(ARN)), {"X-Gateway-Key": "k"})

    client_for(server.uri, credentials).post_json(MlflowEndpoint.SEARCH_RUNS, {})

    headers = server.requests[-1].headers
    assert headers["x-mlflow-sm-tracking-server-arn"] == ARN
    assert headers["x-gateway-key"] == "k"
    assert (
        "SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date;x-mlflow-sm-tracking-server-arn;"
        "x-mlflow-workspace, " in headers["authorization"]
    )


@pytest.mark.parametrize("port", [80, 5000])
def test_a_signature_is_valid_through_a_proxy(server: HostileServer, port: int) -> None:
    with forward_proxy(hosts={"mlflow.example": server.port}) as proxy:
        client_for(f"http://MLflow.example:{port}/ml", signer(), proxy.uri).get_json(
            MlflowEndpoint.SEARCH_MODELS, {"filter": "a b"}
        )

    assert server.requests[-1].headers["host"] == ("mlflow.example" if port == 80 else "mlflow.example:5000")


def test_an_arn_determines_region_service_and_header() -> None:
    server = SageMakerServer.from_arn(ARN)
    app = SageMakerServer.from_arn("arn:aws-us-gov:sagemaker:us-gov-west-1:123456789012:mlflow-app/app-7F")

    assert (server.region, server.service, server.header) == (
        "eu-west-1",
        "sagemaker-mlflow",
        "x-mlflow-sm-tracking-server-arn",
    )
    assert (app.region, app.service, app.header) == ("us-gov-west-1", "sagemaker", "x-sm-mlflow-app-arn")


@pytest.mark.parametrize("arn", ["", "governed", "arn:aws:s3:::bucket", f"{ARN}\r\nX: y", ARN.replace("1234", "x")])
def test_other_arns_are_refused(arn: str) -> None:
    with pytest.raises(ValueError, match="write the ARN of an MLflow tracking server or app"):
        SageMakerServer.from_arn(arn)


_SIGN = """
import json, sys
events = []
sys.addaudithook(lambda event, args: events.append([event, str(args[0] if args else "")])
    if event in {"open", "socket.connect", "socket.getaddrinfo", "subprocess.Popen"} else None)
from verifywise_mlflow.http.request_auth import Request
from verifywise_mlflow.http.sigv4 import AwsKeys, SigV4Signer
signer = SigV4Signer(AwsKeys(*sys.argv[1:3]), "eu-west-1", "sagemaker-mlflow")
headers = signer.headers(Request("GET", "https://mlflow.example/version"))
print(json.dumps({"headers": dict(headers), "events": events}))
"""


def test_the_machines_aws_configuration_is_not_read(tmp_path: Path) -> None:
    home = tmp_path / ".aws"
    home.mkdir()
    aws_configuration = (
        "[default]\naws_access_key_id = THIEF\naws_secret_access_key = thief\naws_session_token = t\nregion = x\n"
    )
    (home / "credentials").write_text(aws_configuration)
    (home / "config").write_text(aws_configuration)
    machine = {
        "HOME": str(tmp_path),
        "AWS_SHARED_CREDENTIALS_FILE": str(home / "credentials"),
        "AWS_CONFIG_FILE": str(home / "config"),
        "AWS_PROFILE": "default",
        "AWS_ACCESS_KEY_ID": "THIEF",
        "AWS_SECRET_ACCESS_KEY": "thief",
        "AWS_SESSION_TOKEN": "thief",
        "AWS_SECURITY_TOKEN": "thief",
        "AWS_REGION": "mars-1",
        "AWS_DEFAULT_REGION": "mars-1",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1/",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1/",
    }

    process = subprocess.run(
        [sys.executable, "-c", _SIGN, KEY, SECRET],
        env={**os.environ, **machine},
        capture_output=True,
        text=True,
        check=True,
    )

    output = json.loads(process.stdout)
    headers = {name.lower(): value for name, value in output["headers"].items()}
    assert signature_problem(ReceivedRequest("GET", "/version", headers, b""), KEY, SECRET, SCOPE) is None
    assert [event for event in output["events"] if event[0] != "open" or str(tmp_path) in event[1]] == []


def test_neither_logs_nor_reprs_show_the_secret_or_the_session_token(caplog: pytest.LogCaptureFixture) -> None:
    keys = AwsKeys(KEY, SECRET, SESSION)
    with caplog.at_level(logging.DEBUG):
        SigV4Signer(keys, "eu-west-1", "sagemaker-mlflow").headers(Request("GET", "https://mlflow.example/", {}, None))

    assert SESSION not in caplog.text
    assert SECRET not in caplog.text
    assert SESSION not in repr(keys)
    assert SECRET not in repr(keys)


def test_without_botocore_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore.auth", None)

    with pytest.raises(InvalidSettingsError, match=r"pip install 'verifywise-mlflow\[aws\]'"):
        signer()


def test_a_signature_cannot_be_renewed() -> None:
    assert not signer().renew()
    assert not WithExtraHeaders(StaticHeaders(), {}).renew()
