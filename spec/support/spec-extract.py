#!/usr/bin/python3
"""spec-extract.py: the facts of the Docker Engine API's specification that src/ops.c states, one line each.

    python3 spec/support/spec-extract.py NEWEST.yaml OLDEST.yaml > spec/fixtures/engine-api-operations.txt

NEWEST is the specification of the newest API version that the project speaks, OLDEST that of the oldest (Docker's site
has both as https://docs.docker.com/reference/api/engine/version/vX.Y.yaml). spec/support/specification.lua reads the
result:

    operation ID VERB PATH body=none|object|array|stream since=1.N query=a:boolean,b:array header=c,d good=200,304 reply=R
                              R: object, array, string, binary or none, of the first good status; or upgrade (101)
    field NAME kinds          a field of a request body, at any depth; kinds: array, object, other, joined by commas
"""

import sys

import yaml

# First versions of operations that OLDEST lacks: from the API's version history.
LATER = {"VolumeUpdate": "1.42", "ImageAttestations": "1.55"}


def operations(spec):
    for path, verbs in spec["paths"].items():
        for verb, operation in verbs.items():
            yield operation["operationId"], verb.upper(), path, operation


def resolve(spec, schema):
    while "$ref" in schema:
        schema = spec["definitions"][schema["$ref"].rsplit("/", 1)[1]]
    return schema


def kind(spec, schema):
    schema = resolve(spec, schema)
    if schema.get("type") == "array":
        return "array"
    if schema.get("type") == "object" or "properties" in schema or "allOf" in schema:
        return "object"
    return "other"


def fields(spec, schema, found, seen=()):
    """Adds name -> set of kinds for each property under schema; seen breaks recursive definitions."""
    if schema.get("$ref") in seen:
        return
    seen = seen + (schema.get("$ref"),) if "$ref" in schema else seen
    schema = resolve(spec, schema)
    for part in schema.get("allOf", []):
        fields(spec, part, found, seen)
    for name, value in schema.get("properties", {}).items():
        found.setdefault(name, set()).add(kind(spec, value))
        fields(spec, value, found, seen)
    for inner in (schema.get("items"), schema.get("additionalProperties")):
        if isinstance(inner, dict):
            fields(spec, inner, found, seen)


def reply(spec, responses):
    status = min(s for s in responses if str(s)[0] in "123")
    if str(status) == "101":
        return "upgrade"
    schema = responses[status].get("schema")
    if not schema:
        return "none"
    schema = resolve(spec, schema)
    return "binary" if schema.get("format") == "binary" else schema.get("type", "object")


def line(spec, old, name, verb, path, operation):
    parameters = operation.get("parameters", [])
    query = ",".join(p["name"] + ":" + p["type"] for p in parameters if p["in"] == "query")
    header = ",".join(p["name"] for p in parameters if p["in"] == "header")
    body = [resolve(spec, p["schema"]) for p in parameters if p["in"] == "body"]
    kind_of_body = "none" if not body else {"string": "stream", "array": "array"}.get(body[0].get("type"), "object")
    since = "1." + old["info"]["version"].split(".")[1] if name in {o[0] for o in operations(old)} else LATER[name]
    good = ",".join(sorted(str(s) for s in operation["responses"] if str(s)[0] in "123"))
    return (f"operation {name} {verb} {path} body={kind_of_body} since={since} query={query} header={header} "
            f"good={good} reply={reply(spec, operation['responses'])}")


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    new, old = (yaml.safe_load(open(name, encoding="utf-8")) for name in sys.argv[1:])
    found = {}
    print(f"# Docker Engine API {new['info']['version']}: facts extracted by spec/support/spec-extract.py")
    for name, verb, path, operation in sorted(operations(new)):
        print(line(new, old, name, verb, path, operation))
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "body":
                fields(new, parameter["schema"], found)
    for name in sorted(found):
        print("field", name, ",".join(sorted(found[name])))


main()
