"""Judges vectors/service-tokens.json (see vectors/README.md): reads it, writes {name: "accepted" or what is at fault}."""
import hashlib, json, re, sys
from base64 import b64decode
import jwt, rfc8785
from cryptography.exceptions import InvalidSignature
FORM = {"jti": (str,), "iat": (int, float), "exp": (int, float), "tenant": (str,), "aud": (str,), "req": (dict,)}
class Refused(Exception): "Its argument is what is at fault."
def check(holds, fault):
    if not holds: raise Refused(fault)
def read_json(data):
    def members(pairs): return check(len(dict(pairs)) == len(pairs), "malformed") or dict(pairs)
    return json.loads(data, object_pairs_hook=members)
def sha256(data): return jwt.utils.base64url_encode(hashlib.sha256(data).digest()).decode()
def digest(content): return None if content is None else "sha-256:" + sha256(b64decode(content))
def message_of(call):
    fields = read_json(b64decode(call["value"])).items()
    return {name: field for name, field in fields if name not in ("M2MToken", "m2mToken", "m2mPayload")}
def binding(call):  # what `req` must be, in the order in which it is compared
    if call["transport"] == "http":
        return {"method": call["method"], "target": call["target"], "digest": digest(call["content"])}
    if call["transport"] == "grpc":
        return {"method": call["method"], "digest": digest(call["message"])}
    inside = call["carrier"] == "payload" and "sha-256:" + sha256(rfc8785.dumps(message_of(call)))
    return {"topic": call["topic"], "key": digest(call["key"]), "digest": inside or digest(call["value"])}
def verify(token, call, receiver, services, used):
    parts = [jwt.utils.base64url_decode(part) for part in token.split(".")]
    spelling = b".".join(map(jwt.utils.base64url_encode, parts))
    check(len(parts) == 3 and parts[2] and spelling == token.encode(), "malformed")
    header, claims = read_json(parts[0]), read_json(parts[1])
    check(not header.keys() & {"crit", "b64"}, "malformed")
    check(str(header.get("typ")).lower() in ("m2m+jwt", "application/m2m+jwt"), "typ")
    check(header.get("alg") in ("EdDSA", "Ed25519"), "alg")
    sender, now, leeway = claims.get("sender"), receiver["now"], receiver["leewaySeconds"]
    name = re.fullmatch("([a-z0-9][a-z0-9-]{0,62})-service", str(sender))
    check(name and not name[1].endswith("-service") and claims.get("sub") == sender, "sender")
    check(claims.get("iss") == sender, "iss")
    for claim, types in FORM.items():
        check(type(claims.get(claim)) in types or claim == "tenant" and claim not in claims, claim)
    for claim, longest in (("jti", 128), ("tenant", 255)): check(0 < len(claims.get(claim, "-")) <= longest, claim)
    keys = {sha256(rfc8785.dumps({member: key.get(member) for member in ("crv", "kty", "x")})): jwt.PyJWK(key).key
            for key in services[name[1]]["keys"]}  # by their thumbprints (RFC 7638), whatever they are called
    check(header.get("kid") in keys, "kid")
    try: keys[header["kid"]].verify(parts[2], token.rpartition(".")[0].encode())
    except InvalidSignature: raise Refused("signature")
    check(0 < claims["exp"] - claims["iat"] <= receiver["maximumLifetimeSeconds"], "exp")
    check(now < claims["exp"] + leeway, "expired")
    check(claims["iat"] <= now + leeway, "iat")
    check(claims["aud"] in receiver["audiences"], "aud")
    for member, value in binding(call).items():
        check(member in claims["req"] and claims["req"][member] == value, member)
    check(len(claims["req"]) == len(binding(call)), "req")
    place = (call["topic"], call["partition"], call["offset"]) if call["transport"] == "kafka" else object()
    check(used.setdefault((sender, claims["jti"]), place) == place, "replayed")
def judge(verify, case, file, memory):
    try: return verify(case["token"], case["call"], file["receiver"], file["services"], memory) or "accepted"
    except Refused as refusal: return str(refusal)
    except ValueError: return "malformed"  # not JSON, not base64url
def main(verify, file, memory):
    json.dump({case["name"]: judge(verify, case, file, memory) for case in file["vectors"]}, sys.stdout)
if __name__ == "__main__": main(verify, json.load(sys.stdin), memory={})
