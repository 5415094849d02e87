"""py-spiffe as a workload: fetches from the Workload API, follows rotations, and judges JWT-SVIDs. JSON in and out."""

import json
import sys
import threading

from cryptography.hazmat.primitives.serialization import Encoding
from spiffe import JwtBundle, JwtSource, JwtSvid, SpiffeId, TrustDomain, WorkloadApiClient, X509Source


def verify(asked):
    bundles = {
        name: JwtBundle.parse(TrustDomain(name), document.encode()) for name, document in asked["jwt_bundles"].items()
    }

    def verdict(token):
        try:
            subject = JwtSvid.parse_insecure(token, {asked["audience"]}).spiffe_id
            bundle = bundles[subject.trust_domain.name]
            return str(JwtSvid.parse_and_validate(token, bundle, {asked["audience"]}).spiffe_id)
        except Exception as error:
            return f"refused: {error}"

    return {"jwt": [verdict(token) for token in asked["jwt"]]}


def fetch(asked):
    """Everything once, by the client."""
    audience = {asked["audience"]}
    with WorkloadApiClient(asked["socket"]) as client:
        context = client.fetch_x509_context()
        bundles = client.fetch_jwt_bundles()
        tokens = client.fetch_jwt_svids(audience)
        answer = {
            "x509": [described(svid, context.x509_bundle_set) for svid in context.x509_svids],
            "bundles": {
                bundle.trust_domain.name: len(bundle.x509_authorities) for bundle in context.x509_bundle_set.bundles
            },
            "x509_bundles": sorted(bundle.trust_domain.name for bundle in client.fetch_x509_bundles().bundles),
            "jwt_bundles": {bundle.trust_domain.name: sorted(bundle.jwt_authorities) for bundle in bundles.bundles},
            "jwt": [],
        }
        for token in tokens:
            bundle = bundles.get_bundle_for_trust_domain(token.spiffe_id.trust_domain)
            answer["jwt"].append(
                {
                    "id": str(token.spiffe_id),
                    "verified": str(JwtSvid.parse_and_validate(token.token, bundle, audience).spiffe_id),
                    "validated": str(client.validate_jwt_svid(token.token, asked["audience"]).spiffe_id),
                }
            )
        return answer


def watch(asked):
    """The serials that an X509Source comes to have, and a JWT-SVID from a JwtSource."""
    serials = []
    enough = threading.Event()
    with X509Source(socket_path=asked["socket"]) as source:

        def look():
            serial = format(source.svid.leaf.serial_number, "x")
            if serial not in serials:
                serials.append(serial)
            if len(serials) >= asked["count"]:
                enough.set()

        source.subscribe_for_updates(look)
        look()
        enough.wait(60)
        identity = str(source.svid.spiffe_id)
    with JwtSource(socket_path=asked["socket"]) as source:
        token = source.fetch_svid({asked["audience"]}, SpiffeId(identity))
    return {"id": identity, "serials": serials, "jwt_id": str(token.spiffe_id)}


def described(svid, bundles):
    authorities = bundles.get_bundle_for_trust_domain(svid.spiffe_id.trust_domain).x509_authorities
    issuer = svid.cert_chain[1] if len(svid.cert_chain) > 1 else next(
        authority for authority in authorities if authority.subject == svid.leaf.issuer
    )
    svid.leaf.verify_directly_issued_by(issuer)
    return {
        "id": str(svid.spiffe_id),
        "serial": format(svid.leaf.serial_number, "x"),
        "pem": svid.leaf.public_bytes(Encoding.PEM).decode(),
    }


def main():
    asked = json.load(sys.stdin)
    json.dump({"verify": verify, "fetch": fetch, "watch": watch}[asked["command"]](asked), sys.stdout)


main()
