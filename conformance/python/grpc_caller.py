"""Calls a guarded service with tokens that PyJWT signs; reads the cases, writes what each came to."""
import base64, hashlib, json, sys, time, uuid
import grpc, jwt

def encode(data): return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

def sign(given, case):
    bound = case.get("signed", case["message"])
    digest = None if bound is None else "sha-256:" + encode(hashlib.sha256(bound.encode()).digest())
    name, now = given["sender"], int(time.time())
    claims = {"iss": name, "sub": name, "sender": name, "aud": given["audience"], "iat": now, "exp": now + 60}
    request = {"method": case["path"], "digest": digest}
    headers = {"typ": "m2m+jwt", "kid": given["kid"]}
    return jwt.encode({**claims, "jti": str(uuid.uuid4()), "req": request}, given["key"], "EdDSA", headers)

def call(channel, given, case):
    token = sign(given, case)
    metadata = [(name, token) for name in case.get("names", ["x-m2m-token"])]
    compression = grpc.Compression.Gzip if case.get("gzip") else grpc.Compression.NoCompression
    kind, messages = case["kind"], [message.encode() for message in case.get("messages", [])]
    method = getattr(channel, kind)(case["path"])
    request = case["message"].encode() if kind.startswith("unary") else iter(messages)
    try:
        answer = method(request, metadata=metadata, compression=compression, timeout=20)
        answers = [answer] if kind.endswith("_unary") else list(answer)
        return {"code": "OK", "answers": [each.decode() for each in answers]}
    except grpc.RpcError as error:
        trailers = dict(error.trailing_metadata() or ())
        return {"code": error.code().name, "details": error.details(), "reason": trailers.get("m2m-reason")}

given = json.load(sys.stdin)
with grpc.insecure_channel(given["address"]) as channel:
    json.dump([call(channel, given, case) for case in given["cases"]], sys.stdout)
