"""Verifies audit chains with nothing of Countersign's: the rules are these forty lines.

python3 verify_audit.py EVENTS HEADS   EVENTS: one JSON event a line, each chain in its order.
                                       HEADS: the answer of GET /api/v1/audit-events/heads.
Each event's `hash` is SHA-256 over the previous event's hash (64 zeros before the first), a line feed, and the
RFC 8785 text of the event without `hash`. A head is the newest event, signed by the audit key.
"""

import base64
import hashlib
import json
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def canonical(value: dict) -> str:
    # Enough of RFC 8785 for audit events: ASCII names, whole numbers, no floats.
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def verify(events: list, heads: dict) -> list:
    ends, broken = {}, {}
    for event in events:
        chain, claimed = event["chain"], event.pop("hash")
        sequence, previous = ends.get(chain, (0, "0" * 64))
        actual = hashlib.sha256(f"{previous}\n{canonical(event)}".encode()).hexdigest()
        if event["sequence"] != sequence + 1:
            broken.setdefault(chain, f"{chain}: {event['sequence']} follows {sequence}")
        elif actual != claimed:
            broken.setdefault(chain, f"{chain}: event {event['sequence']} does not fit its hash")
        ends[chain] = (event["sequence"], claimed)
    key = Ed25519PublicKey.from_public_bytes(decode(heads["public_jwk"]["x"]))
    signed = {head["chain"]: head for head in heads["items"]}
    for chain in ends.keys() | signed.keys():
        problem = check_head(key, signed.get(chain), ends.get(chain))
        if problem:
            broken.setdefault(chain, f"{chain}: {problem}")
    return sorted(broken.values())


def check_head(key: Ed25519PublicKey, head, end):
    if head is None or end is None:
        return "there are events without a head, or a head without events"
    content = canonical({name: head[name] for name in ("chain", "sequence", "hash", "time")})
    try:
        key.verify(decode(head["signature"]), f"countersign audit head\n{content}".encode())
    except InvalidSignature:
        return f"the head at {head['sequence']} is not signed by the audit key"
    if (head["sequence"], head["hash"]) != end:
        return f"the head is at {head['sequence']}, the chain ends at {end[0]}, or their hashes differ"
    return None


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as lines, open(sys.argv[2], encoding="utf-8") as file:
        problems = verify([json.loads(line) for line in lines], json.load(file))
    print("\n".join(problems) if problems else "every chain holds")
    sys.exit(1 if problems else 0)
