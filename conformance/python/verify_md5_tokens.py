"""The compatibility profile, for receivers that have opted in: judges as verify_service_tokens.py, service tokens too."""
import hashlib
import json
import sys
from base64 import b64decode
from urllib.parse import parse_qsl

import jwt

import verify_service_tokens as m2m
from verify_service_tokens import Refused, check, read_json


def md5(value):  # the text is what JSON.stringify gives, at least for what the vectors hold
    return hashlib.md5(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()


def body(content):
    try:
        return read_json(b64decode(content))
    except (Refused, ValueError):
        raise Refused("digest") from None


def hashes(call, receiver):
    if call["transport"] == "kafka":
        return [md5(m2m.message_of(call))]
    path, _, query = call["target"].partition("?")
    values = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        values.setdefault(name, []).append(value)
    given = {name: found if len(found) > 1 else found[0] for name, found in values.items()}
    # What is not there may be an empty object or left out; what is there must have been hashed.
    params = [{"params": given}] if query else [{}, {"params": {}}]
    data = [{"data": body(call["content"])}] if call["content"] else [{}, {"data": {}}]
    urls = path, receiver["md5PublicBase"] + path
    return [md5({"method": call["method"], "url": url, **p, **d}) for url in urls for p in params for d in data]


def verify(token, call, receiver, services, used):
    header = jwt.get_unverified_header(token)
    kind = str(header.get("typ", "JWT")).lower().removeprefix("application/")
    if kind == "m2m+jwt":  # whatever else it holds, never to be judged by this profile
        return m2m.verify(token, call, receiver, services, used)
    check(kind == "jwt", "typ")
    claims = jwt.decode(token, options={"verify_signature": False})
    sender, leeway = claims["sender"], receiver["leewaySeconds"]
    check(claims["iss"] == sender, "iss")
    keys = [key for key in services[sender.removesuffix("-service")]["keys"] if key["kid"] == header["kid"]]
    try:
        jwt.api_jws.decode(token, jwt.PyJWK(keys[0], "EdDSA"), algorithms=["EdDSA"])
    except jwt.InvalidSignatureError:
        raise Refused("signature") from None
    check(0 < claims["exp"] - claims["iat"] <= 900, "exp")
    check(receiver["now"] < claims["exp"] + leeway, "expired")
    check(claims["iat"] <= receiver["now"] + leeway, "iat")
    check(claims.get("requestHash") in hashes(call, receiver), "digest")


if __name__ == "__main__":
    m2m.main(verify, json.load(sys.stdin), memory={})
