"""Logins, session tokens, API tokens and rights."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from hmac import compare_digest

from verifywise_mlflow.demo.servers.verifywise_server.dialect import Dialect
from verifywise_mlflow.demo.servers.verifywise_server.messages import (
    Call,
    ReceivedRequest,
    RefusedError,
    Response,
    envelope,
    json_object,
)
from verifywise_mlflow.demo.servers.verifywise_server.state import Caller, Document, State

SESSION_LIFETIME = timedelta(hours=1)
_HEADER = {"alg": "HS256", "typ": "JWT"}


def add_user(state: State, *, email: str, password: str, role: str, organization: int) -> None:
    """Add a user, who can log in from now on; change the existing user if the address is known."""
    user = {
        "name": email.partition("@")[0],
        "surname": "",
        "email": email,
        "role": role,
        "organization_id": organization,
        "password_hash": _password_hash(email, password),
    }
    present = state.matching("user", None, email)
    if present:
        state.replace("user", {**present[0], **user})
    else:
        state.add("user", organization, user)


def log_in(request: ReceivedRequest, state: State, secret: bytes, now: datetime) -> Response:
    """Answer ``POST /users/login``: 202 with a session token."""
    credentials = json_object(request)
    email, password = str(credentials.get("email", "")), str(credentials.get("password", ""))
    users = state.matching("user", None, email)
    if not users:
        return envelope(404, "User not found")
    user = users[0]
    if not compare_digest(str(user["password_hash"]), _password_hash(email, password)):
        return envelope(403, "Password mismatch")
    token = sign(_claims(user, now + SESSION_LIFETIME), secret)
    return envelope(202, {"token": token})


def identify(request: ReceivedRequest, state: State, secret: bytes, dialect: Dialect, now: datetime) -> Caller:
    """Return the caller who sent a request.

    Raises:
        RefusedError: 400 without a token, 401 for a wrong signature, an unknown user or a revoked token, 406 for an
            expired token, 403 if the user's role or organization has changed since.
    """
    token = request.headers.get("authorization", "").partition(" ")[2]
    if not token:
        raise RefusedError(400, {"message": "Token not found"})
    claims = verify(token, secret)
    if claims is None:
        raise RefusedError(401, {"message": "Unauthorized"})
    if _number(claims, "expire") < now.timestamp() * 1000:
        raise RefusedError(406, {"message": "Token expired"})
    user = state.find("user", _number(claims, "id"))
    if user is None:
        raise RefusedError(401, {"message": "Unauthorized"})
    if claims["roleName"] != user["role"] or claims["organizationId"] != user["organization_id"]:
        raise RefusedError(403, {"message": "Not allowed to access"})
    caller = Caller(_number(claims, "id"), _number(claims, "organizationId"), str(user["role"]))
    if dialect.revokes_tokens and claims.get("type") == "api_token":
        rows = state.matching("token", caller.organization, _token_hash(token))
        if not any(row["is_active"] for row in rows):
            raise RefusedError(401, {"message": "API token is invalid or has been revoked"})
    return caller


def require_role(call: Call, *roles: str) -> None:
    """Check that the caller has one of these roles."""
    if call.caller.role not in roles:
        raise RefusedError(403, {"message": "Access denied"})


def list_users(call: Call) -> Response:
    """Answer ``GET /users``, which every user may call."""
    users = call.state.all("user", call.caller.organization)
    return envelope(200, [{name: value for name, value in user.items() if name != "password_hash"} for user in users])


def create_token(call: Call) -> Response:
    """Answer ``POST /tokens``: an API token, which only an Admin can make."""
    require_role(call, "Admin")
    content = call.json()
    days = content.get("expires_in_days", 30)
    if not isinstance(days, int):
        raise RefusedError(400, "expires_in_days must be a number")
    user = call.state.find("user", call.caller.user)
    assert user is not None
    expires = call.now + timedelta(days=days)
    # The claim ``number`` distinguishes two tokens of the same second.
    number = len(call.state.all("token", call.caller.organization))
    token = sign({**_claims(user, expires), "type": "api_token", "number": number}, call.secret)
    row = call.state.add(
        "token",
        call.caller.organization,
        {"name": content.get("name"), "hash": _token_hash(token), "is_active": True, "expires_at": expires.isoformat()},
    )
    return envelope(201, {"id": row["id"], "name": row["name"], "token": token})


def delete_token(call: Call) -> Response:
    """Answer ``DELETE /tokens/:id`` and ``POST /tokens/:id/revoke``. A1 and A2 still accept the token."""
    require_role(call, "Admin")
    identifier = call.identifier(on_error=400)
    row = call.state.find("token", identifier, call.caller.organization)
    if row is None:
        raise RefusedError(404, "Token not found")
    call.state.replace("token", {**row, "is_active": False})
    return envelope(200, "Token deleted")


def sign(claims: Mapping[str, object], secret: bytes) -> str:
    """Return a JSON web token, signed with HS256."""
    signed = f"{_encode(json.dumps(_HEADER).encode())}.{_encode(json.dumps(claims).encode())}"
    return f"{signed}.{_encode(hmac.digest(secret, signed.encode(), 'sha256'))}"


def verify(token: str, secret: bytes) -> Document | None:
    """Return the claims of a token; None if this server has not signed the token."""
    signed, _, signature = token.rpartition(".")
    if not compare_digest(_encode(hmac.digest(secret, signed.encode(), "sha256")).encode(), signature.encode()):
        return None
    claims: Document = json.loads(base64.urlsafe_b64decode(signed.partition(".")[2] + "=="))
    return claims


def _claims(user: Document, expires: datetime) -> Document:
    return {
        "id": user["id"],
        "email": user["email"],
        "roleName": user["role"],
        "organizationId": user["organization_id"],
        "expire": int(expires.timestamp() * 1000),
    }


def _number(claims: Document, name: str) -> int:
    value = claims.get(name)
    if not isinstance(value, int):
        raise RefusedError(400, {"message": "Invalid token"})
    return value


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _token_hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _password_hash(email: str, password: str) -> str:
    # Few rounds, since tests log in often and no real password is stored here.
    return hashlib.scrypt(password.encode(), salt=email.encode(), n=2**4, r=8, p=1).hex()
