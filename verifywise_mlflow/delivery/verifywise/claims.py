"""Reads the claims of a VerifyWise token: our account, and the organization that remote ids belong to.

Only the server verifies the signature: a false claim would mislead only ourselves.
"""

from __future__ import annotations

import base64
import binascii
import json

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from verifywise_mlflow.delivery.verifywise.remote import Account


class _Claims(BaseModel):
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    id: int
    organization_id: int | str = Field(alias="organizationId")
    role: str = Field(alias="roleName", max_length=64)
    email: str | None = Field(default=None, max_length=254)


def account_of(token: str) -> Account | None:
    """Return the account that a JSON web token (RFC 7519) names; None if it is not a token of VerifyWise."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        content = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        claims = _Claims.model_validate(content)
    except (binascii.Error, ValueError, RecursionError, ValidationError):
        return None
    return Account(user_id=claims.id, organization=str(claims.organization_id), role=claims.role, email=claims.email)
