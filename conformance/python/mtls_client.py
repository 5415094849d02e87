"""A service in Python that proves itself by a client certificate, as requests and PyJWT have it.

Reads {"metadata", "ca", "cases": [{"cert", "key", "client_id", "audience", "api"?}]} on stdin, where certificates are names of
files; writes for each case {"status", "error"?} or {"status", "bound_to_ours", "scope", "api", "api_without"}.
"""

import base64
import hashlib
import json
import ssl
import sys

import jwt
import requests


def thumbprint(cert: str) -> str:
    """RFC 8705 section 3.1, of the first certificate in the file."""
    with open(cert, encoding="ascii") as file:
        pem = file.read().split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n"
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def run(metadata: dict, ca: str, case: dict) -> dict:
    cert = (case["cert"], case["key"])
    endpoint = metadata["mtls_endpoint_aliases"]["token_endpoint"]
    form = {"grant_type": "client_credentials", "client_id": case["client_id"], "audience": case["audience"]}
    answer = requests.post(endpoint, data=form, cert=cert, verify=ca, timeout=10)
    if answer.status_code != 200:
        return {"status": answer.status_code, "error": answer.json()["error"]}
    token = answer.json()["access_token"]
    key = jwt.PyJWKClient(metadata["jwks_uri"]).get_signing_key_from_jwt(token)
    claims = jwt.decode(
        token, key, algorithms=["RS256", "ES256"], audience=case["audience"], issuer=metadata["issuer"]
    )
    found = {
        "status": 200,
        "bound_to_ours": claims["cnf"] == {"x5t#S256": thumbprint(case["cert"])},
        "scope": claims["scope"],
    }
    if "api" in case:
        headers = {"authorization": f"Bearer {token}"}
        found["api"] = requests.get(case["api"], headers=headers, cert=cert, verify=ca, timeout=10).status_code
        found["api_without"] = requests.get(case["api"], headers=headers, verify=ca, timeout=10).status_code
    return found


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    print(json.dumps([run(asked["metadata"], asked["ca"], case) for case in asked["cases"]]))
