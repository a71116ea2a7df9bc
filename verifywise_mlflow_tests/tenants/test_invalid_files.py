"""An invalid tenants.yaml is rejected with the location and the correction, and without quoting a value."""

from __future__ import annotations

from pathlib import Path

import pytest

from verifywise_mlflow.tenants.errors import TenantsFileError
from verifywise_mlflow.tenants.loading import load_tenants
from verifywise_mlflow_tests.tenants.tenants_files import PASTED, error_of, tenants_file

WRONG_FILES = [
    ("", "the top level is not the one key 'tenants'"),
    ("- acme", "the top level is not the one key 'tenants'"),
    ("acme: {tracking_uri: http://a.example}", "the top level is not the one key 'tenants'"),
    ("tenants: {}\nmore: {}", "the top level is not the one key 'tenants'"),
    ("defaults: {}", "the top level is not the one key 'tenants'"),
    ("tenants: {}\ndefaults: [a]", "'defaults' may have the sections compliance, history, intervals, limits, report"),
    ("tenants: {}\ndefaults: {auth: {kind: none}}", "'defaults' may have the sections compliance, history, intervals"),
    ("tenants: {}\ndefaults: {limits: {max_pages: x}}", "defaults, limits.max_pages: "),
    (
        "tenants: {}\ndefaults: {compliance: {waivers: /a.yaml}}",
        "compliance.waivers: such a file belongs to one tenant",
    ),
    (
        "tenants: {}\ndefaults: {compliance: {waiver_limits: {max_day: 9}}}",
        "defaults, compliance.waiver_limits.max_day: there is no such field",
    ),
    ("tenants: [acme]", "'tenants' is not a mapping: write each tenant under it, by name"),
    ("tenants: {acme: http://a.example}", "tenant 'acme' has no fields: write at least tracking_uri under it"),
    ("tenants: {acme: }", "tenant 'acme' has no fields"),
    ("tenants: {acme", "is not YAML"),
    ("tenants: !!python/object/apply:os.getcwd []", "is not YAML"),
    (
        "tenants:\n  acme: {tracking_uri: http://a.example}\n  acme: {tracking_uri: http://b.example}",
        "duplicate key 'acme'",
    ),
    (
        "tenants:\n  acme:\n    tracking_uri: http://a.example\n    tracking_uri: http://b.example",
        "duplicate key 'tracking_uri'",
    ),
    ("tenants: {acme: {? [a] : b}}", "is not YAML"),
    ("tenants: \x00", "is not YAML: it contains the character U+0000, which YAML does not allow: remove it"),
    ("tenants: {acme: {intervals: {poll: 2026-13-45}}}", "line 1, column 36: this value is impossible"),
]


@pytest.mark.parametrize(("text", "message"), WRONG_FILES)
def test_a_file_of_the_wrong_shape_is_rejected_with_a_correction(tmp_path: Path, text: str, message: str) -> None:
    path = tenants_file(tmp_path, text)

    error = error_of(path)

    assert error.startswith(str(path))
    assert message in error


@pytest.mark.parametrize(
    "line",
    [
        f"auth: {{kind: bearer, token: {PASTED}",
        f"token: '{PASTED}",
        f"token: *{PASTED}",
        f"token: !{PASTED} x",
        f"token: !{PASTED}!x",
        f"token: &{PASTED} x\n   y",
        f"token: {PASTED}: x",
        f"token: @{PASTED}",
        f"token: %{PASTED}",
    ],
)
def test_a_syntax_error_is_reported_by_location_without_quoting_the_line(tmp_path: Path, line: str) -> None:
    path = tenants_file(tmp_path, f"tenants:\n  acme:\n    {line}\n")

    with pytest.raises(TenantsFileError) as caught:
        load_tenants(path)

    assert f"{path} is not YAML: line " in str(caught.value) or "acme" in str(caught.value)
    assert PASTED not in f"{caught.value} {caught.value.__cause__}"


def test_a_deeply_nested_file_is_rejected(tmp_path: Path) -> None:
    assert "nested too deeply" in error_of(tenants_file(tmp_path, "tenants: " + "[" * 5_000))


def test_a_missing_or_binary_file_is_named(tmp_path: Path) -> None:
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"tenants: \xff\xfe")

    assert "absent.yaml cannot be read: No such file" in error_of(tmp_path / "absent.yaml")
    assert "cannot be read: Is a directory" in error_of(tmp_path)
    assert "binary.yaml is not YAML" in error_of(binary)


OAUTH2 = "kind: oauth2, token_uri: 'https://idp.example/token', client_id: a"
SIGV4 = "kind: sigv4, access_key_id: env:A"
WRONG_FIELDS = [
    ("{}", "tracking_uri", "this field is required"),
    ("tracking_uri: 3", "tracking_uri", "string"),
    ("tracking_uri: mlflow.example.com", "tracking_uri", "write the server's address"),
    ("tracking_uri: ftp://a.example", "tracking_uri", "write the server's address"),
    ("tracking_uri: file:///etc/passwd", "tracking_uri", "write the server's address"),
    ("tracking_uri: databricks", "tracking_uri", "write the server's address"),
    (
        f"tracking_uri: 'http://u:{PASTED}@a.example'",
        "tracking_uri",
        "the URI contains credentials: remove them from the URI",
    ),
    (
        f"tracking_uri: 'http://a.example?token={PASTED}'",
        "tracking_uri",
        "the URI has a query or a fragment: remove everything after ? or #",
    ),
    ("tracking_uri: 'http://a.example:99999'", "tracking_uri", "write the server's address"),
    (f"tracking_uri: 'http://ann:{PASTED}/x@a.example'", "tracking_uri", "write the server's address"),
    (f"tracking_uri: 'http://{PASTED}[a.example'", "tracking_uri", "write the server's address"),
    (f"tracking_uri: 'http://{PASTED}\u2100a.example'", "tracking_uri", "write the server's address"),
    ("URI: http://a.example", "URI", "there is no such field"),
    (f"password: {PASTED}", "password", "there is no such field"),
    ("auth: {kind: kerberos}", "auth", "there is no such kind: write none, basic, bearer, oauth2 or sigv4"),
    (f"auth: {{token: {PASTED}}}", "auth", "kind is missing: write none, basic, bearer, oauth2 or sigv4"),
    (f"auth: {PASTED}", "auth", ""),
    ("auth: {kind: basic, username: ann}", "auth.password", "this field is required"),
    (
        "delivery: {verifywise: {url: 'https://a.example', auth: {kind: basic}}}",
        "delivery.verifywise.auth",
        "there is no such kind: write login or token",
    ),
    (
        f"delivery: {{verifywise: {{url: 'https://a.example', auth: {{kind: token, token: {PASTED}}}}}}}",
        "delivery.verifywise.auth.token",
        "write a reference to the secret",
    ),
    (
        "delivery: {verifywise: {url: 'http://a.example', auth: {kind: token, token: env:A}}}",
        "delivery.verifywise",
        "the password would be sent in clear text",
    ),
    (
        "delivery: {verifywise: {url: 'https://a.example/api', auth: {kind: token, token: env:A}}}",
        "delivery.verifywise.url",
        "the address ends with /api",
    ),
    (f"auth: {{kind: basic, username: ann, password: {PASTED}}}", "auth.password", "not the secret itself"),
    (f"auth: {{kind: bearer, token: {PASTED}}}", "auth.token", "write a reference to the secret"),
    (f"auth: {{kind: bearer, token: [{PASTED}]}}", "auth.token", ""),
    (f"auth: {{kind: none, token: {PASTED}}}", "auth.token", "there is no such field"),
    ("auth: {kind: bearer, token: 'file:relative/path'}", "auth.token", "file:/absolute/path"),
    (f"headers: {{X-Key: {PASTED}}}", "headers.X-Key", "write a reference to the secret"),
    ("headers: {'X Key': env:A}", "headers", "characters that HTTP does not allow"),
    ("headers: {authorization: env:A}", "headers", "use auth, proxy or workspace instead"),
    ("headers: {X-MLFLOW-WORKSPACE: env:A}", "headers", "use auth, proxy or workspace instead"),
    ("headers: {Host: env:A}", "headers", "is set by the client itself"),
    ("headers: {Transfer-Encoding: env:A}", "headers", "is set by the client itself"),
    ("headers: {Proxy-Authorization: env:A}", "headers", "use auth, proxy or workspace instead"),
    ("headers: {X-Key: env:A, x-key: env:B}", "headers", "two headers differ only in upper and lower case"),
    ("auth: {kind: oauth2}", "auth.token_uri", "this field is required"),
    (f"auth: {{{OAUTH2}, client_secret: {PASTED}}}", "auth.client_secret", "not the secret itself"),
    (f"auth: {{{OAUTH2}, client_secret: env:A, client_authentication: jwt}}", "auth.client_authentication", "'post'"),
    (f"auth: {{{OAUTH2}, client_secret: env:A, ca_bundle: a.pem}}", "auth.ca_bundle", "write an absolute path"),
    (f"auth: {{{OAUTH2}, client_secret: env:A, scope: ''}}", "auth.scope", "at least 1 character"),
    (f"auth: {{{OAUTH2}, secret: {PASTED}}}", "auth.secret", "there is no such field"),
    (
        f"auth: {{kind: oauth2, token_uri: 'https://a:{PASTED}@idp.example', client_id: a, client_secret: env:A}}",
        "auth.token_uri",
        "the URI contains credentials: remove them from the URI and name them under auth",
    ),
    (
        "auth: {kind: oauth2, token_uri: 'http://idp.example', client_id: a, client_secret: env:A}",
        "the tenant",
        "the client's secret would be sent in clear text",
    ),
    ("auth: {kind: sigv4, region: eu-west-1}", "auth.access_key_id", "this field is required"),
    (f"auth: {{{SIGV4}, secret_access_key: {PASTED}, region: x}}", "auth.secret_access_key", "not the secret itself"),
    (
        f"auth: {{{SIGV4}, secret_access_key: env:B}}",
        "auth",
        "neither arn nor region is set: write the arn of the tracking server, or the region",
    ),
    (f"auth: {{{SIGV4}, secret_access_key: env:B, arn: {PASTED}}}", "auth.arn", "write the ARN of an MLflow"),
    (f"auth: {{{SIGV4}, secret_access_key: env:B, region: 'EU West'}}", "auth.region", "pattern"),
    (
        f"{{auth: {{{SIGV4}, secret_access_key: env:B, region: x}}, headers: {{X-Amz-Date: env:A}}}}",
        "the tenant",
        "remove them from headers",
    ),
    ("proxy: {username: ann}", "proxy.uri", "this field is required"),
    ("proxy: {uri: proxy.example:3128}", "proxy.uri", "write the proxy's address"),
    ("proxy: {uri: 'socks5://proxy.example'}", "proxy.uri", "write the proxy's address"),
    ("proxy: {uri: 'https://proxy.example'}", "proxy.uri", "TLS to the proxy itself is not supported: write http://"),
    ("proxy: {uri: 'http://proxy.example/path'}", "proxy.uri", "the proxy's address has a path"),
    (f"proxy: {{uri: 'http://ann:{PASTED}@proxy.example'}}", "proxy.uri", "and name them under proxy"),
    (f"proxy: {{uri: 'http://p.example', username: a, password: {PASTED}}}", "proxy.password", "not the secret itself"),
    (
        """proxy: {uri: 'http://p.example', username: a, password: "file:/a\\0b"}""",
        "proxy.password",
        "write a reference to the secret",
    ),
    (
        "proxy: {uri: 'http://p.example', username: ann}",
        "proxy",
        "only one of username and password is set: set both or neither",
    ),
    (
        "proxy: {uri: 'http://p.example', password: env:A}",
        "proxy",
        "only one of username and password is set: set both or neither",
    ),
    ("proxy: {uri: 'http://p.example', username: 'a:b', password: env:A}", "proxy.username", "pattern"),
    ("limits: {request_timeout_second: 5}", "limits.request_timeout_second", "there is no such field"),
    ("limits: {request_timeout_seconds: 0}", "limits.request_timeout_seconds", "greater than 0"),
    ("limits: {request_timeout_seconds: .inf}", "limits.request_timeout_seconds", "finite"),
    ("limits: {file_timeout_seconds: 1.0e+300}", "limits.file_timeout_seconds", "less than or equal to 86400"),
    ("limits: {max_pages: 1.5}", "limits.max_pages", "integer"),
    ("limits: {max_rows: -1}", "limits.max_rows", "greater than 0"),
    ("limits: 5", "limits", "dictionary"),
    ("workspace: Team A", "workspace", "pattern"),
    ("allow_private_network: perhaps", "allow_private_network", "boolean"),
    ("tls: {verify: false}", "tls.verify", "there is no such field"),
    ("tls: {ca_bundle: ca.pem}", "tls.ca_bundle", "write an absolute path"),
    ("tls: {client_key: /a.pem}", "tls", "client_key is set without a client_certificate"),
    ("artifacts: {max_files: 0}", "artifacts.max_files", "greater than 0"),
    ("intervals: {poll: 60}", "intervals.poll", "write a number and a unit"),
    ("intervals: {rehash: 1w}", "intervals.rehash", "write a number and a unit"),
    ("intervals: {poll: 0s}", "intervals.poll", "the interval is zero"),
]


@pytest.mark.parametrize(("field", "location", "message"), WRONG_FIELDS)
def test_an_invalid_field_is_reported_with_file_tenant_field_and_correction_but_without_its_value(
    tmp_path: Path, field: str, location: str, message: str
) -> None:
    fields = field[1:-1].replace("}, ", "}\n    ") if field.startswith("{auth") else field
    lines = ["tenants:", "  acme:", "    tracking_uri: https://a.example", f"    {fields}"]
    if field.startswith(("tracking_uri", "{}")):
        del lines[2]
    path = tenants_file(tmp_path, "\n".join(lines))

    with pytest.raises(TenantsFileError) as caught:
        load_tenants(path)

    error = str(caught.value)
    assert f"{path}: tenant 'acme', {location}: " in error
    assert message in error
    assert PASTED not in error
    assert PASTED not in repr(caught.value)


@pytest.mark.parametrize("name", ["a,b", "a/b", "", "-a", "a b", "x" * 64, "ä", "a\\n", "..."])
def test_a_name_that_cannot_be_a_partition_key_is_rejected(tmp_path: Path, name: str) -> None:
    error = error_of(tenants_file(tmp_path, f'tenants: {{"{name}": {{tracking_uri: "https://a.example"}}}}'))

    assert "its name: the name is not allowed: write 1 to 63 letters" in error


def test_all_errors_of_all_tenants_are_reported_at_once(tmp_path: Path) -> None:
    error = error_of(
        tenants_file(tmp_path, "tenants: {a: {}, b: {tracking_uri: 'https://b.example', x: 1, y: 2}, c: 3}")
    )

    assert len(error.splitlines()) == 4
    assert [tenant for tenant in "abc" if f"tenant '{tenant}'" not in error] == []


def test_a_name_that_occurs_as_a_number_and_as_text_is_rejected(tmp_path: Path) -> None:
    path = tenants_file(
        tmp_path, "tenants: {1: {tracking_uri: 'https://a.example'}, '1': {tracking_uri: 'https://b.example'}}"
    )

    assert "occurs twice" in error_of(path)
