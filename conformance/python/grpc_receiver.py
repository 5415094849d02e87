"""A gRPC server that checks service tokens with PyJWT; ends after `calls` calls, and writes what it found in each."""
import base64, hashlib, json, sys, threading
from concurrent import futures
import grpc, jwt

given, found, done = json.load(sys.stdin), [], threading.Event()

def encode(data): return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

def check(context, path, message):
    tokens = [value for name, value in context.invocation_metadata() if name == "x-m2m-token"]
    claims = jwt.decode(tokens[0], jwt.PyJWK(given["jwk"]).key, ["EdDSA"], audience=given["audience"])
    digest = None if message is None else "sha-256:" + encode(hashlib.sha256(message).digest())
    found.append({"tokens": len(tokens), "sender": claims["sender"], "bound": claims["req"] == {"method": path, "digest": digest}})
    if len(found) == given["calls"]: done.set()

class Inventory(grpc.GenericRpcHandler):
    def service(self, details):
        path = details.method
        def unary(message, context): check(context, path, message); return message
        def stream(messages, context): check(context, path, None); return b",".join(messages)
        if path.endswith("/Stream"): return grpc.stream_unary_rpc_method_handler(stream)
        return grpc.unary_unary_rpc_method_handler(unary)

server = grpc.server(futures.ThreadPoolExecutor(4), [Inventory()])
server.add_insecure_port(given["address"])
server.start()
done.wait(30)
server.stop(5).wait()
json.dump(found, sys.stdout)
