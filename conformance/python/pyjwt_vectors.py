"""Judges the vectors with PyJWT. Reads a vector file on stdin; writes {name: "accepted" or the error's name}."""

import json
import sys

import jwt

file = json.load(sys.stdin)
keys = {key.key_id: key for key in jwt.PyJWKSet.from_dict(file["jwks"]).keys}


def judge(token: str) -> str:
    try:
        kid = jwt.get_unverified_header(token).get("kid")
        if kid not in keys:
            return "UnknownKey"
        jwt.decode(
            token,
            keys[kid],
            algorithms=file["algorithms"],
            issuer=file["issuer"],
            audience=file["audience"],
            options={"require": ["exp", "iat", "iss", "aud", "sub"]},
        )
    except jwt.PyJWTError as error:
        return type(error).__name__
    return "accepted"


json.dump({vector["name"]: judge(vector["token"]) for vector in file["vectors"]}, sys.stdout)
