"""What no generator can know: the ids of real records, and what an app refuses.

Only requests that are meant to be good are changed and looked at here; what is wrong in
the others is meant to be wrong."""

import json
import os
import re

import schemathesis

with open(os.environ["ROLLOUT_KNOWN"], encoding="utf-8") as file:
    KNOWN = json.load(file)

# Of the generated ids some stay as they are: there are no such records.
ONE_IN = 4


def is_good(case):
    return case.meta is not None and case.meta.generation.mode.is_positive


@schemathesis.hook
def before_call(context, case, kwargs):
    if not is_good(case):
        return
    collection = case.operation.path.split("/")[1]
    records = KNOWN["records"].get(collection)
    parameters = case.path_parameters
    if records and parameters and "id" in parameters:
        given = str(parameters["id"])
        # Made by an earlier request.
        ours = len(given) == 36 and given.count("-") == 4
        place = sum(given.encode("utf-8", "replace"))
        if not ours and place % ONE_IN != 0:
            parameters["id"] = records[place % len(records)]
    case.body = real(case.body, KNOWN["references"].get(collection, {}))


@schemathesis.hook
def filter_query(context, query):
    """U+0000 is refused in every parameter, which no schema of a text says."""
    return not any("\0" in f"{name}{value}" for name, value in (query or {}).items())


def real(body, references):
    """The body with real records' ids, where it names records. References to what the app
    does not have are left out."""
    if isinstance(body, list):
        return [real(item, references) for item in body]
    if not isinstance(body, dict):
        return body
    found = {}
    for name, value in body.items():
        known = references.get(name)
        if name not in references or value is None:
            found[name] = real(value, references)
        elif known is not None:
            found[name] = [known for _ in value] if isinstance(value, list) else known
    return found


# The words in which the host itself refuses a body. Everything else is the app's.
HOST = re.compile(
    r"^\S* ?(must be|must have|is required|is not a field;|is not a field$|is read-only|is made by|is nested"
    r"|can only|can be changed|goes with|has a field)"
)


BY_APP = ("invalid_body", "upstream_rejected", "unsupported", "upstream_forbidden")


@schemathesis.check
def good_data_is_accepted(context, response, case):
    """Replaces positive_data_acceptance. Good requests are done, or there is no such
    record (404), the app has nothing of the kind (405), it has something that excludes
    it (409), the key was used before (422), or the app has rules of its own (400, 403)."""
    if not is_good(case) or response.status_code in (200, 201, 202, 404, 405, 409, 422):
        return
    errors = response.json()["errors"] if response.status_code in (400, 403) else []
    for error in errors:
        by_app = error["code"] in BY_APP
        by_app = by_app and not HOST.match(error["message"])
        # `next` is a text that only this host makes.
        if not by_app and error["code"] != "invalid_cursor":
            raise AssertionError(f"refused, but it is as described: {error}")
    if not errors:
        raise AssertionError(f"refused with {response.status_code}, but it is as described")
