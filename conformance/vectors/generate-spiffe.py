"""Writes spiffe.json anew: python3 conformance/vectors/generate-spiffe.py (needs the PyPI package cryptography).

None of our own code is in it, so that what we make and what we judge cannot be wrong alike. The keys of the CAs are not
kept. That of the leaves is: libraries that read SVIDs with their key need it.
"""

import base64
import datetime
import json
import pathlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

NOW = 1_800_000_000
DECADES = 1_500_000_000
START, END = NOW - DECADES, NOW + DECADES
PAST, FUTURE = (START, START + 86_400), (END, END + 86_400)
ID = "spiffe://example.org/orders"


def main():
    vectors = {
        "description": "SPIFFE IDs, X.509-SVIDs, JWT-SVIDs and bundles, and what a verifier with these bundles must say to them.",
        "now": NOW,
        "audience": "stock",
        "leafPrivateKey": text(
            leaf_key.private_bytes(
                serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        ),
        "bundles": bundles,
        "ids": list(ids()),
        "x509Svids": list(x509_svids()),
        "jwtSvids": list(jwt_svids()),
        "bundleDocuments": list(bundle_documents()),
    }
    path = pathlib.Path(__file__).parent / "spiffe.json"
    path.write_text(json.dumps(vectors, indent=2, ensure_ascii=True) + "\n")


def ids():
    def take(given, trust_domain, path=""):
        return {"id": given, "accept": True, "trustDomain": trust_domain, "path": path}

    yield take("spiffe://example.org/orders", "example.org", "/orders")
    yield take("spiffe://example.org", "example.org")
    yield take("spiffe://example.org/ns/prod/sa/Orders_1.2-3", "example.org", "/ns/prod/sa/Orders_1.2-3")
    yield take("spiffe://a_b-c.1/...", "a_b-c.1", "/...")
    yield take(f"spiffe://{'a' * 255}/x", "a" * 255, "/x")
    # Scheme and trust domain compare in any case (SPIFFE-ID section 2).
    yield {**take("SPIFFE://Example.ORG/Orders", "example.org", "/Orders"), "appliesTo": ["spiffe-id-section-2"]}
    for given in [
        "",
        "orders",
        "https://example.org/orders",
        "spiffe:example.org/orders",
        "spiffe:///orders",
        "spiffe://",
        "spiffe://example.org/",
        "spiffe://example.org/orders/",
        "spiffe://example.org//orders",
        "spiffe://example.org/./orders",
        "spiffe://example.org/../orders",
        "spiffe://example.org/a%20b",
        "spiffe://example.org/a b",
        "spiffe://example.org:443/orders",
        "spiffe://user@example.org/orders",
        "spiffe://example.org/orders?x=1",
        "spiffe://example.org/orders#x",
        "spiffe://example.org/\u00e9",
        "spiffe://ex\u00e4mple.org/orders",
        "spiffe://\u212a.example.org/orders",
        "spiffe://example.org/orders\u0000",
        "spiffe://example.org/orders\n",
        "spiffe://[::1]/orders",
    ]:
        yield {"id": given, "accept": False}
    yield {"id": f"spiffe://{'a' * 256}/x", "accept": False, "appliesTo": ["spiffe-id-section-2.3"]}
    yield {"id": f"spiffe://example.org/{'a' * 2048}", "accept": False, "appliesTo": ["spiffe-id-section-2.3"]}


def x509_svids():
    def accept(name, *chain, spiffe_id=ID):
        return {"name": name, "chain": [der(one) for one in chain], "accept": True, "spiffeId": spiffe_id}

    def refuse(name, *chain, reason="invalid_svid", applies_to=None):
        vector = {"name": name, "chain": [der(one) for one in chain], "accept": False, "reason": reason}
        return vector if applies_to is None else {**vector, "appliesTo": [applies_to]}

    untrusted, expired = {"reason": "untrusted_svid"}, {"reason": "expired_svid"}
    intermediate = ca("intermediate", root)
    second = ca("second", intermediate)
    yield accept("a leaf of the root", leaf())
    yield accept("a leaf below an intermediate", leaf(intermediate), intermediate.certificate)
    yield accept("two intermediates", leaf(second), second.certificate, intermediate.certificate)
    yield accept("the root sent along", leaf(), root.certificate)
    yield accept("host names beside the ID", leaf(names=[uri(ID), x509.DNSName("orders.example.org")]))
    yield accept("a subject", leaf(subject="orders"))
    yield accept("no extended key usage", leaf(purposes=None))
    yield accept("a third purpose", leaf(purposes=[*PURPOSES, ExtendedKeyUsageOID.EMAIL_PROTECTION]))
    yield accept(
        "an RSA root", leaf(rsa_root, ["spiffe://rsa.example/orders"]), spiffe_id="spiffe://rsa.example/orders"
    )
    permitted = ca("permitted", root, constraints=x509.NameConstraints([uri("example.org")], None))
    yield accept("name constraints that permit its trust domain", leaf(permitted), permitted.certificate)
    limited = ca("limited", root, path_length=0)
    yield accept("a path length that is enough", leaf(limited), limited.certificate)

    yield refuse("no certificate", reason="invalid_svid")
    yield refuse("no URI", leaf(names=[x509.DNSName("orders.example.org")]))
    yield refuse("no alternative names", leaf(names=[], subject="orders"))
    yield refuse("two IDs", leaf(names=[uri(ID), uri("spiffe://example.org/admin")]))
    yield refuse("an ID and another URI", leaf(names=[uri(ID), uri("https://example.org")]))
    yield refuse(
        "a URI that is no SPIFFE ID", leaf(names=[uri("https://example.org/orders")]), reason="invalid_spiffe_id"
    )
    yield refuse("an ID without path", leaf(names=[uri("spiffe://example.org")]), applies_to="x509-svid-section-5.2")
    yield refuse("an ID that climbs", leaf(names=[uri("spiffe://example.org/a/../b")]), reason="invalid_spiffe_id")
    yield refuse("an ID with a port", leaf(names=[uri("spiffe://example.org:1/a")]), reason="invalid_spiffe_id")
    yield refuse(
        "a NUL in the ID", leaf(names=[uri("spiffe://example.org/orders\0.evil")]), reason="invalid_certificate"
    )
    yield refuse("a CA as leaf", leaf(is_ca=True))
    yield refuse("the root as leaf", root.certificate)
    yield refuse("a leaf with keyCertSign", leaf(usages=["digital_signature", "key_cert_sign"]))
    yield refuse("a leaf with cRLSign", leaf(usages=["digital_signature", "crl_sign"]))
    yield refuse("no digitalSignature", leaf(usages=["key_agreement"]), applies_to="x509-svid-section-4.3")
    yield refuse("no key usage", leaf(usages=None), applies_to="x509-svid-section-4.3")
    yield refuse("key usage not critical", leaf(usage_is_critical=False), applies_to="x509-svid-section-4.3")
    yield refuse("for servers only", leaf(purposes=PURPOSES[:1]), applies_to="x509-svid-section-4.4")
    yield refuse("for clients only", leaf(purposes=PURPOSES[1:]), applies_to="x509-svid-section-4.4")
    yield refuse(
        "no subject and names not critical", leaf(names_are_critical=False), applies_to="rfc5280-section-4.1.2.6"
    )
    yield refuse("the CA of another trust domain", leaf(other_root), **untrusted)
    yield refuse("a trust domain without bundle", leaf(names=[uri("spiffe://third.org/orders")]), **untrusted)
    yield refuse("a trust domain with an empty bundle", leaf(names=[uri("spiffe://empty.org/orders")]), **untrusted)
    stranger = ca("example.org")
    yield refuse("a CA with the name of the root", leaf(stranger), **untrusted)
    yield refuse("that CA sent along", leaf(stranger), stranger.certificate, **untrusted)
    yield refuse("an intermediate that is missing", leaf(intermediate), **untrusted)
    yield refuse("a changed signature", tampered(leaf(), -1), reason="untrusted_svid")
    yield refuse(
        "a changed ID", leaf().public_bytes(serialization.Encoding.DER).replace(b"/orders", b"/admins"), **untrusted
    )
    named_leaf = Authority(leaf(subject="leaf"), leaf_key)
    yield refuse("a leaf as issuer", leaf(named_leaf), named_leaf.certificate, **untrusted)
    flagless = ca("flagless", root, is_ca=False)
    yield refuse("an issuer without CA flag", leaf(flagless), flagless.certificate, **untrusted)
    no_constraints = ca("no constraints", root, is_ca=None)
    yield refuse("an issuer without basic constraints", leaf(no_constraints), no_constraints.certificate, **untrusted)
    mute = ca("mute", root, usages=["crl_sign"])
    yield refuse("an issuer without keyCertSign", leaf(mute), mute.certificate, **untrusted)
    too_deep = ca("too deep", limited)
    yield refuse("a path that is too long", leaf(too_deep), too_deep.certificate, limited.certificate, **untrusted)
    foreign = ca("foreign", root, constraints=x509.NameConstraints([uri("other.org")], None))
    yield refuse("name constraints that permit another trust domain", leaf(foreign), foreign.certificate, **untrusted)
    excluded = ca("excluded", root, constraints=x509.NameConstraints(None, [uri("example.org")]))
    yield refuse("name constraints that exclude its trust domain", leaf(excluded), excluded.certificate, **untrusted)
    hosts = ca("hosts", root, constraints=x509.NameConstraints([x509.DNSName("example.org")], None))
    evil_host = leaf(hosts, names=[uri(ID), x509.DNSName("orders.evil.org")])
    yield refuse("name constraints that permit another host", evil_host, hosts.certificate, **untrusted)
    unknown = x509.UnrecognizedExtension(ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")
    yield refuse("an unknown critical extension", leaf(critical=unknown), **untrusted)
    odd = ca("odd", root, critical=unknown)
    yield refuse("an unknown critical extension of the issuer", leaf(odd), odd.certificate, **untrusted)
    yield refuse("expired", leaf(validity=PAST), **expired)
    yield refuse("not yet valid", leaf(validity=FUTURE), **expired)
    old = ca("old", root, validity=PAST)
    yield refuse("an expired intermediate", leaf(old), old.certificate, **expired)
    yield refuse("an expired root", leaf(expired_root, ["spiffe://expired.example/orders"]), **expired)
    yield refuse(
        "bytes after the certificate",
        leaf().public_bytes(serialization.Encoding.DER) + b"\0",
        reason="invalid_certificate",
    )
    yield refuse(
        "half a certificate", leaf().public_bytes(serialization.Encoding.DER)[:200], reason="invalid_certificate"
    )
    weak = leaf(key=rsa.generate_private_key(65537, 1024))
    yield refuse("an RSA key of 1024 bits", weak, reason="invalid_certificate", applies_to="rfc7518-section-3.3")


def jwt_svids():
    claims = {"sub": ID, "aud": ["stock"], "iat": START, "exp": END}

    def accept(name, token, spiffe_id=ID):
        return {"name": name, "token": token, "accept": True, "spiffeId": spiffe_id}

    def refuse(name, token, reason="invalid_svid", applies_to=None):
        vector = {"name": name, "token": token, "accept": False, "reason": reason}
        return vector if applies_to is None else {**vector, "appliesTo": [applies_to]}

    def changed(header=None, key=None, **changes):
        merged = {name: value for name, value in {**claims, **changes}.items() if value is not None}
        return jwt({"alg": "ES256", "kid": "es256", "typ": "JWT", **(header or {})}, merged, key)

    for algorithm, kid in JWT_ALGORITHMS:
        yield accept(algorithm, changed({"alg": algorithm, "kid": kid}))
    yield accept("the type JOSE", changed({"typ": "JOSE"}))
    yield accept("no type", jwt({"alg": "ES256", "kid": "es256"}, claims))
    yield accept("an audience that is no array", changed(aud="stock"))
    yield accept("several audiences", changed(aud=["billing", "stock"]))
    yield accept("no time of issue", changed(iat=None))
    yield accept("claims that nobody knows", changed(jti="abc", nested={"a": [1]}))
    # The standard makes kid optional; go-spiffe and py-spiffe demand it.
    only = jwt({"alg": "ES384", "typ": "JWT"}, claims, jwt_keys["es384"])
    yield {**accept("no kid, one key for the algorithm", only), "appliesTo": ["jwt-svid-section-2.2"]}

    yield refuse("another audience", changed(aud=["billing"]))
    yield refuse("an audience that begins alike", changed(aud=["stock2"]))
    yield refuse("no audience", changed(aud=None))
    yield refuse("an empty audience", changed(aud=[]))
    yield refuse("no subject", changed(sub=None))
    yield refuse("a subject that is no SPIFFE ID", changed(sub="orders"), reason="invalid_spiffe_id")
    yield refuse("the trust domain as subject", changed(sub="spiffe://example.org"), applies_to="jwt-svid-section-3.1")
    yield refuse("no expiry", changed(exp=None))
    yield refuse("an expiry as text", changed(exp=str(END)))
    yield refuse("expired", changed(exp=START + 1), reason="expired_svid")
    yield refuse("issued in the future", changed(iat=END - 1), reason="expired_svid")
    yield refuse("not before the future", changed(nbf=END - 1), reason="expired_svid")
    yield refuse("an unknown kid", changed({"kid": "unknown"}, jwt_keys["es256"]), reason="untrusted_svid")
    yield refuse("a key of another trust domain", changed(key=other_jwt_key), reason="untrusted_svid")
    yield refuse("a trust domain without bundle", changed(sub="spiffe://third.org/a"), reason="untrusted_svid")
    yield refuse("the keys of another trust domain", changed(sub="spiffe://other.org/orders"), reason="untrusted_svid")
    yield refuse("the type at+jwt", changed({"typ": "at+jwt"}))
    yield refuse("a header that is not allowed", changed({"x": "y"}), applies_to="jwt-svid-section-2")
    yield refuse("a key in the header", changed({"jwk": public_jwk(other_jwt_key.public_key())}, other_jwt_key))
    yield refuse("crit", changed({"crit": ["exp"]}))
    good = changed()
    protected, payload, signature = good.split(".")
    yield refuse("alg none", f"{encode({'alg': 'none', 'typ': 'JWT'})}.{payload}.")
    yield refuse("alg none with a signature", f"{encode({'alg': 'none', 'kid': 'es256'})}.{payload}.{signature}")
    yield refuse("no signature", f"{protected}.{payload}.")
    yield refuse("a fourth part", f"{good}.AAAA")
    yield refuse("JSON serialization", json.dumps({"protected": protected, "payload": payload, "signature": signature}))
    yield refuse(
        "an algorithm that is not the key's", changed({"alg": "RS256"}, jwt_keys["rsa"]), reason="untrusted_svid"
    )
    zero = base64.urlsafe_b64encode(bytes(64)).rstrip(b"=").decode()
    yield refuse("r and s zero (CVE-2022-21449)", f"{protected}.{payload}.{zero}", reason="untrusted_svid")
    yield refuse(
        "another signature", f"{protected}.{payload}.{changed(jti='x').split('.')[2]}", reason="untrusted_svid"
    )
    yield refuse("a subject twice", twice(claims))


def bundle_documents():
    def accept(name, document, x509_authorities=0, jwt_authorities=(), applies_to=None, **more):
        return {
            "name": name,
            "document": document if isinstance(document, str) else json.dumps(document),
            "accept": True,
            "x509Authorities": x509_authorities,
            "jwtAuthorities": list(jwt_authorities),
            **({} if applies_to is None else {"appliesTo": [applies_to]}),
            **more,
        }

    def refuse(name, document, applies_to=None):
        shown = document if isinstance(document, str) else json.dumps(document)
        vector = {"name": name, "document": shown, "accept": False, "reason": "invalid_bundle"}
        return vector if applies_to is None else {**vector, "appliesTo": [applies_to]}

    x509_entry = x509_jwk(root.certificate)
    jwt_entry = {**public_jwk(jwt_keys["es256"].public_key()), "use": "jwt-svid", "kid": "es256"}
    both = {"keys": [x509_entry, jwt_entry]}
    yield accept("both kinds of keys", both, 1, ["es256"])
    yield accept(
        "sequence and refresh hint",
        {**both, "spiffe_sequence": 42, "spiffe_refresh_hint": 300},
        1,
        ["es256"],
        sequenceNumber=42,
        refreshHintSeconds=300,
    )
    yield accept("no keys, which trusts nothing", {"keys": []})
    yield accept("an unknown use", {"keys": [{**jwt_entry, "use": "future-svid"}, x509_entry]}, 1)
    yield accept("no use", {"keys": [without(jwt_entry, "use"), x509_entry]}, 1)
    yield accept(
        "an unknown key type",
        {"keys": [{"kty": "future", "use": "jwt-svid", "kid": "f"}, x509_entry]},
        1,
        applies_to="trust-domain-and-bundle-section-4.2.1",
    )
    yield accept(
        "an X.509 entry without certificate",
        {"keys": [without(x509_entry, "x5c"), x509_entry]},
        1,
        applies_to="x509-svid-section-6.2",
    )
    two = {
        **x509_entry,
        "x5c": [*x509_entry["x5c"], text(other_root.certificate.public_bytes(serialization.Encoding.DER))],
    }
    yield accept(
        "two certificates in one entry, of which the first counts",
        {"keys": [two]},
        1,
        applies_to="x509-svid-section-6.2",
    )
    yield accept("members that nobody knows", {**both, "future": {"a": 1}}, 1, ["es256"])
    yield refuse("no keys member", {"spiffe_sequence": 1})
    yield refuse("keys that are null", {"keys": None})
    yield refuse("keys that are no array", {"keys": {}})
    yield refuse("no JSON", "keys")
    yield refuse("no object", "[]")
    yield refuse("a JWT key without kid", {"keys": [without(jwt_entry, "kid")]})
    yield refuse(
        "two JWT keys with one kid",
        {"keys": [jwt_entry, {**public_jwk(other_jwt_key.public_key()), "use": "jwt-svid", "kid": "es256"}]},
        applies_to="rfc7517-section-4.5",
    )
    yield refuse("a certificate that is none", {"keys": [{**x509_entry, "x5c": ["AAAA"]}]})
    yield refuse("a sequence number that is no number", {**both, "spiffe_sequence": "1"})
    yield refuse("a sequence number below zero", {**both, "spiffe_sequence": -1})


class Authority:
    def __init__(self, certificate, key):
        self.certificate, self.key = certificate, key


PURPOSES = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
USAGES = [
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
]
JWT_ALGORITHMS = [
    ("ES256", "es256"),
    ("ES384", "es384"),
    ("ES512", "es512"),
    ("RS256", "rsa"),
    ("RS384", "rsa"),
    ("RS512", "rsa"),
    ("PS256", "rsa"),
    ("PS384", "rsa"),
    ("PS512", "rsa"),
]


def ca(
    name,
    issuer=None,
    *,
    key=None,
    is_ca=True,
    path_length=None,
    usages=("key_cert_sign", "crl_sign"),
    constraints=None,
    critical=None,
    validity=(START, END),
):
    key = key or ec.generate_private_key(ec.SECP256R1())
    builder = begin(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key, issuer, validity)
    if is_ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(is_ca, path_length if is_ca else None), critical=True)
    builder = builder.add_extension(key_usage(usages), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    if constraints is not None:
        builder = builder.add_extension(constraints, critical=True)
    if critical is not None:
        builder = builder.add_extension(critical, critical=True)
    return Authority(sign(builder, issuer.key if issuer else key), key)


def leaf(
    issuer=None,
    ids=None,
    *,
    names=None,
    subject=None,
    key=None,
    is_ca=False,
    usages=("digital_signature",),
    usage_is_critical=True,
    purposes=PURPOSES,
    names_are_critical=None,
    critical=None,
    validity=(START, END),
):
    issuer = issuer or root
    names = [uri(one) for one in ids or [ID]] if names is None else names
    attributes = [] if subject is None else [x509.NameAttribute(NameOID.COMMON_NAME, subject)]
    builder = begin(x509.Name(attributes), key or leaf_key, issuer, validity)
    builder = builder.add_extension(x509.BasicConstraints(is_ca, None), critical=True)
    if usages is not None:
        builder = builder.add_extension(key_usage(usages), critical=usage_is_critical)
    if purposes is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    if names:
        is_critical = subject is None if names_are_critical is None else names_are_critical
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=is_critical)
    if critical is not None:
        builder = builder.add_extension(critical, critical=True)
    return sign(builder, issuer.key)


def begin(subject, key, issuer, validity):
    start, end = (datetime.datetime.fromtimestamp(at, datetime.timezone.utc) for at in validity)
    builder = x509.CertificateBuilder().subject_name(subject).public_key(key.public_key())
    builder = builder.issuer_name(issuer.certificate.subject if issuer else subject)
    return builder.serial_number(x509.random_serial_number()).not_valid_before(start).not_valid_after(end)


def sign(builder, key):
    return builder.sign(key, hashes.SHA256())


def key_usage(wanted):
    return x509.KeyUsage(**{name: name in wanted for name in USAGES})


def uri(value):
    return x509.UniformResourceIdentifier(value)


def tampered(certificate, index):
    encoded = bytearray(certificate.public_bytes(serialization.Encoding.DER))
    encoded[index] ^= 1
    return bytes(encoded)


def der(certificate):
    return text(certificate if isinstance(certificate, bytes) else certificate.public_bytes(serialization.Encoding.DER))


def text(data):
    return base64.b64encode(data).decode()


def jwt(header, claims, key=None):
    key = key or jwt_keys[header["kid"]]
    signing_input = f"{encode(header)}.{encode(claims)}"
    return f"{signing_input}.{url(signature_of(header['alg'], key, signing_input.encode()))}"


def signature_of(algorithm, key, message):
    hash_name = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}[algorithm[2:]]()
    if algorithm.startswith("ES"):
        size = (key.curve.key_size + 7) // 8
        r, s = utils.decode_dss_signature(key.sign(message, ec.ECDSA(hash_name)))
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")
    pss = padding.PSS(padding.MGF1(hash_name), hash_name.digest_size)
    return key.sign(message, padding.PKCS1v15() if algorithm.startswith("RS") else pss, hash_name)


def twice(claims):
    body = json.dumps(claims)[:-1] + ', "sub": "spiffe://example.org/admin"}'
    signing_input = f"{encode({'alg': 'ES256', 'kid': 'es256', 'typ': 'JWT'})}.{url(body.encode())}"
    return f"{signing_input}.{url(signature_of('ES256', jwt_keys['es256'], signing_input.encode()))}"


def encode(value):
    return url(json.dumps(value).encode())


def url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def public_jwk(key):
    numbers = key.public_numbers()
    if isinstance(numbers, rsa.RSAPublicNumbers):
        return {"kty": "RSA", "n": number(numbers.n), "e": number(numbers.e)}
    size = (key.curve.key_size + 7) // 8
    curve = {256: "P-256", 384: "P-384", 521: "P-521"}[key.curve.key_size]
    return {"kty": "EC", "crv": curve, "x": number(numbers.x, size), "y": number(numbers.y, size)}


def number(value, size=None):
    return url(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


def x509_jwk(certificate):
    encoded = certificate.public_bytes(serialization.Encoding.DER)
    return {**public_jwk(certificate.public_key()), "use": "x509-svid", "x5c": [text(encoded)]}


def without(entry, name):
    return {key: value for key, value in entry.items() if key != name}


leaf_key = ec.generate_private_key(ec.SECP256R1())
root = ca("example.org")
other_root = ca("other.org")
rsa_root = ca("rsa.example", key=rsa.generate_private_key(65537, 2048))
expired_root = ca("expired.example", validity=PAST)
jwt_keys = {
    "es256": ec.generate_private_key(ec.SECP256R1()),
    "es384": ec.generate_private_key(ec.SECP384R1()),
    "es512": ec.generate_private_key(ec.SECP521R1()),
    "rsa": rsa.generate_private_key(65537, 2048),
}
other_jwt_key = ec.generate_private_key(ec.SECP256R1())
bundles = {
    "example.org": {
        "keys": [
            x509_jwk(root.certificate),
            *({**public_jwk(key.public_key()), "use": "jwt-svid", "kid": kid} for kid, key in jwt_keys.items()),
        ],
        "spiffe_sequence": 7,
        "spiffe_refresh_hint": 300,
    },
    "other.org": {
        "keys": [
            x509_jwk(other_root.certificate),
            {**public_jwk(other_jwt_key.public_key()), "use": "jwt-svid", "kid": "es256"},
        ]
    },
    "rsa.example": {"keys": [x509_jwk(rsa_root.certificate)]},
    "expired.example": {"keys": [x509_jwk(expired_root.certificate)]},
    "empty.org": {"keys": []},
}

main()
