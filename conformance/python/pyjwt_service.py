"""Judges access tokens as a Python service does: PyJWT, with the keys that the issuer publishes.

Reads {"issuer", "cases": [{"token", "audience", "algorithms", "issuer"?}]} on stdin; writes one verdict a case.
"""

import json
import sys

import jwt


def judge(keys: jwt.PyJWKClient, issuer: str, case: dict) -> dict:
    try:
        key = keys.get_signing_key_from_jwt(case["token"])
        claims = jwt.decode(
            case["token"],
            key.key,
            algorithms=case["algorithms"],
            audience=case["audience"],
            issuer=case.get("issuer", issuer),
            options={"require": ["exp", "iat", "iss", "aud", "sub"]},
        )
    except jwt.PyJWTError as error:
        return {"accepted": False, "reason": type(error).__name__}
    return {"accepted": True, "claims": claims}


request = json.load(sys.stdin)
key_client = jwt.PyJWKClient(request["issuer"] + ".well-known/jwks.json")
json.dump([judge(key_client, request["issuer"], case) for case in request["cases"]], sys.stdout)
