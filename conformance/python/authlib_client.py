"""Gets tokens with Authlib's OAuth2Session, and looks at them with what Authlib has for resource servers.

Reads {"metadata", "cases": [...]} on stdin, where "metadata" is the server's own; writes one answer a case:
{"method", "client_id", "client_secret" or "private_key" and "algorithm", "assertion_audience"?, "form"?, "steps"?}
"""

import json
import sys

import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from joserfc.jwk import import_key


class IssuerTokenValidator(JWTBearerTokenValidator):
    """RFC 9068 section 4, with keys fetched from where the metadata says."""

    def __init__(self, metadata: dict, audience: str):
        super().__init__(issuer=metadata["issuer"], resource_server=audience)
        self.jwks_uri = metadata["jwks_uri"]

    def get_jwks(self):
        return requests.get(self.jwks_uri, timeout=5).json()


def session_for(case: dict) -> OAuth2Session:
    if case["method"] != "private_key_jwt":
        return OAuth2Session(
            case["client_id"], case["client_secret"], token_endpoint_auth_method=case["method"]
        )
    session = OAuth2Session(
        case["client_id"], import_key(case["private_key"]), token_endpoint_auth_method="private_key_jwt"
    )
    headers = {"kid": case["private_key"]["kid"]} if "kid" in case["private_key"] else None
    # Authlib calls it token_endpoint and puts it into `aud`; left out, the URL of the request stands there.
    session.register_client_auth_method(
        PrivateKeyJWT(case.get("assertion_audience"), headers=headers, alg=case["algorithm"])
    )
    return session


def run(metadata: dict, case: dict) -> dict:
    session = session_for(case)
    try:
        token = session.fetch_token(
            metadata["token_endpoint"], grant_type="client_credentials", **case.get("form", {})
        )
    except OAuthError as refusal:
        return {"error": refusal.error}
    answer = {"token": dict(token)}
    for step in case.get("steps", []):
        answer[step] = steps[step](session, metadata, token["access_token"], case)
    return answer


def introspect(session, metadata, token, _case):
    return session.introspect_token(metadata["introspection_endpoint"], token=token).json()


def revoke(session, metadata, token, _case):
    return session.revoke_token(metadata["revocation_endpoint"], token=token).status_code


def validate(_session, metadata, token, case):
    validator = IssuerTokenValidator(metadata, case["form"]["audience"])
    claims = validator.authenticate_token(token)
    validator.validate_token(claims, case["scopes"], None)
    return dict(claims)


steps = {
    "validate": validate,
    "introspect": introspect,
    "revoke": revoke,
    "introspect_again": introspect,
}

request = json.load(sys.stdin)
json.dump([run(request["metadata"], case) for case in request["cases"]], sys.stdout)
