"""Keeps schemathesis from sawing off the branch that it sits on: its own client, and that client's grant."""

import schemathesis

OWN = ("admin", "urn:countersign:admin")


@schemathesis.hook
def filter_case(_context, case):
    if case.method == "GET":
        return True
    sent = list((case.path_parameters or {}).values())
    if isinstance(case.body, dict):
        sent.append(case.body.get("client_id"))
    return not any(value in OWN for value in sent if isinstance(value, str))
