"""The description against the server, both ways: every route that /openapi.json has answers as it says there, and what it does not
allow is refused. The validator is our own: it knows the words of JSON Schema that the description uses, and fails on others."""
import asyncio, copy, http.client, json, re, urllib.parse

from harness import Answer, Server, Station, check, report, until

KNOWN = {"type", "title", "properties", "required", "additionalProperties", "items", "enum", "const", "oneOf", "minimum", "maximum",
         "maxLength", "minLength", "format", "pattern", "$ref", "multipleOf", "minItems", "maxItems"}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}


def ask(server, method, path, body=None, key="", raw=None, headers=None):
    """As Server.call, with the path as it stands."""
    headers = dict(headers or {})
    if key is not None:
        headers["Authorization"] = "Bearer " + (key or server.key)
    if body is not None:
        raw = json.dumps(body).encode()
        headers["Content-Type"] = "application/json"
    connection = http.client.HTTPConnection(server.api, timeout=60)
    connection.request(method, path, body=raw, headers=headers)
    r = connection.getresponse()
    answer = Answer(r.status, r.headers, r.read().decode())
    connection.close()
    return answer


def is_type(value, name):
    if name == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if name == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, TYPES[name])


def faults(spec, schema, value, where="$"):
    """What is wrong with value, as a list of sentences."""
    strange = set(schema) - KNOWN
    if strange:
        return [f"{where}: the validator does not know {strange}"]
    if "$ref" in schema:
        target = spec
        for word in schema["$ref"].lstrip("#/").split("/"):
            target = target[word]
        return faults(spec, target, value, where)
    found = []
    if "oneOf" in schema:
        fits = [s for s in schema["oneOf"] if not faults(spec, s, value, where)]
        if len(fits) != 1:
            found.append(f"{where}: fits {len(fits)} of {len(schema['oneOf'])}: {faults(spec, schema['oneOf'][0], value, where)[:3]}")
    if "type" in schema:
        names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        if not any(is_type(value, n) for n in names):
            return found + [f"{where}: {value!r} is no {names}"]
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{where}: {value!r} is not in {schema['enum']}")
    if "const" in schema and value != schema["const"]:
        found.append(f"{where}: {value!r} is not {schema['const']!r}")
    if isinstance(value, str):
        if "maxLength" in schema and len(value) > schema["maxLength"]:
            found.append(f"{where}: too long")
        if "pattern" in schema and not re.search(schema["pattern"], value):
            found.append(f"{where}: {value!r} does not match {schema['pattern']}")
        if schema.get("format") == "date-time" and not TIME.fullmatch(value):
            found.append(f"{where}: {value!r} is no time with milliseconds in UTC")
    if is_type(value, "number"):
        if "minimum" in schema and value < schema["minimum"] or "maximum" in schema and value > schema["maximum"]:
            found.append(f"{where}: {value} is out of range")
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        found += [f"{where}: {name} is missing" for name in schema.get("required", []) if name not in value]
        for name, member in value.items():
            if name in properties:
                found += faults(spec, properties[name], member, f"{where}.{name}")
            elif schema.get("additionalProperties", True) is False:
                found.append(f"{where}: {name} is not described")
    if isinstance(value, list) and "items" in schema:
        for i, item in enumerate(value):
            found += faults(spec, schema["items"], item, f"{where}[{i}]")
    return found


def expect_described(spec, operation, answer, row):
    """The status is one of the description's, the content type too, and the body fits its schema."""
    described = operation["responses"].get(str(answer.status)) or (operation["responses"]["default"] if answer.status >= 400 else None)
    if not check(f"{row}: the status is described", described is not None, answer.status):
        return
    kind = answer.headers.get("Content-Type", "").split(";")[0]
    if not check(f"{row}: the content type is described", kind in described["content"], kind):
        return
    if kind == "application/json":
        wrong = faults(spec, described["content"][kind]["schema"], answer.json)
        check(f"{row}: the answer is as described", not wrong, (wrong[:5], answer.text[:600]))


async def make_life(server):
    """A station with a transaction, a command, a quarantined message: so that no list is empty. Returns ids for the paths."""
    server.accept_tag("TAG1", note="n", expires_at="2040-01-01T00:00:00Z")
    check("a station is made", server.put("/charge-points/CP1", {"name": "one", "tags": ["a"], "location": {"city": "X"}}).status == 201)
    s = await Station(server, "CP1").connect()
    s.on_call["Reset"] = {"status": "Accepted"}
    await s.boot()
    await s.status(1, "Available")
    started = await s.call("StartTransaction", {"connectorId": 1, "idTag": "TAG1", "meterStart": 0, "timestamp": "2026-01-01T00:00:00Z"})
    for i in range(3):
        await s.call("MeterValues", {"connectorId": 1, "transactionId": started["transactionId"], "meterValue": [
            {"timestamp": f"2026-01-01T00:0{i + 1}:00Z", "sampledValue": [{"value": str(100 * i)}, {"value": "7.5", "measurand": "Power.Active.Import", "unit": "kW"},
                                                                       {"value": "230.1", "measurand": "Voltage", "unit": "V"}]}]})
    reset = await asyncio.to_thread(server.post, "/charge-points/CP1/commands", {"action": "Reset", "payload": {"type": "Soft"}})
    check("a command is answered", reset.status == 200 and reset.data["outcome"] == "answered" and reset.data["status"] == "Accepted", reset.text)
    await s.call("StopTransaction", {"transactionId": started["transactionId"], "meterStop": 300, "timestamp": "2026-01-01T00:10:00Z", "reason": "Local"})
    await s.call("StopTransaction", {"transactionId": 7, "meterStop": 5, "timestamp": "2026-01-01T00:11:00Z"})
    ids = {"charge_point_id": "CP1", "id_tag": "TAG1", "transaction_id": str(started["transactionId"]), "command_id": reset.data["command_id"]}
    sessions = until(lambda: server.get("/charging/sessions").data["list"], "there is a session")
    ids["session_id"] = sessions[0]["session_id"]
    quarantined = until(lambda: server.get("/quarantine").data["list"], "something is in quarantine")
    ids["quarantine_id"] = quarantined[0]["quarantine_id"] if quarantined else "none"
    BODIES["quarantine_apply"] = {"transaction_id": ids["transaction_id"]}
    made = server.post("/api-keys", {"name": "viewer", "role": "viewer"})
    ids["api_key_id"] = made.data["api_key_id"]
    ids["dead_letter_id"] = "1"
    kept = server.call("POST", "/files?name=first", raw=RAWS["file_post"], headers={"Content-Type": BYTES})
    check("a file is kept", kept.status == 201, kept.text)
    ids["file_id"] = kept.data["file_id"]
    return s, ids, made.data["key"]


BODIES = {
    "charge_point_put": {"name": "two"},
    "command_post": {"action": "Reset", "payload": {"type": "Hard"}},
    "id_tag_put": {"status": "accepted"},
    "api_key_post": {"name": "k", "role": "operator"},
}


BYTES = "application/octet-stream"
RAWS = {"file_post": b"the bytes of a file"}  # bodies that are no JSON
QUERIES = {"file_post": "name=a%20file"}      # what a request must have


def path_of(template, ids):
    return re.sub(r"\{(\w+)\}", lambda m: urllib.parse.quote(ids[m.group(1)], safe=""), template)


def query_value(schema):
    if "enum" in schema:
        return schema["enum"][-1]
    if schema.get("type") == "integer":
        return str(schema.get("maximum", 5) if schema.get("maximum", 5) < 2**31 - 1 else max(schema.get("minimum", 0), 1))
    if schema.get("type") == "boolean":
        return "true"
    if schema.get("format") == "date-time":
        return "2020-01-01T00:00:00Z"
    return None  # text: its meaning is the parameter's own


def drive(server, spec, template, method, operation, ids):
    row = f"{method} {template}"
    path, name = path_of(template, ids), operation["operationId"]
    needed = {p["name"] for p in operation["parameters"] if p["in"] == "query" and p["required"]}
    check(f"{row}: the test gives what is required", needed == set(urllib.parse.parse_qs(QUERIES.get(name, ""))), needed)
    if name in RAWS:
        answer = ask(server, method, f"{path}?{QUERIES[name]}", raw=RAWS[name], headers={"Content-Type": BYTES})
    else:
        answer = ask(server, method, path, BODIES.get(name))
    expect_described(spec, operation, answer, row)
    check(f"{row}: it succeeds", answer.status < 300 or "dead_letter" in operation["operationId"] or answer.status == 409, answer.text[:300])
    for p in operation["parameters"]:
        value = query_value(p["schema"]) if p["in"] == "query" else None
        if value is None or method != "GET":
            continue
        if p["name"] == "page_size":
            value += "&page=1"
        got = ask(server, "GET", f"{path}?{p['name']}={value}")
        check(f"{row}: {p['name']}={value} is allowed", got.status < 300, got.text[:300])
        expect_described(spec, operation, got, f"{row}?{p['name']}")


def refuse(server, spec, template, method, operation, ids, viewer):
    """What the description does not allow."""
    row = f"{method} {template}"
    path = path_of(template, ids)
    body = BODIES.get(operation["operationId"])

    def refused(what, statuses, *arguments, **more):
        answer = ask(server, *arguments, **more)
        check(f"{row}: {what} is refused", answer.status in statuses, (answer.status, answer.text[:300]))
        if answer.json is not None:
            wrong = faults(spec, {"$ref": "#/components/schemas/Error"}, answer.json)
            check(f"{row}: {what}: the refusal is as described", not wrong, (wrong, answer.text[:300]))
        return answer

    if operation["security"]:
        refused("no key", {401}, method, path, body, key=None)
        if operation["x-role"] != "viewer":
            refused("a viewer", {403}, method, path, body, key=viewer)
    answer = refused("an unknown parameter", {400}, method, path + "?no_such=1", body)
    check(f"{row}: it is named", answer.json["details"][0]["field"] == "no_such", answer.text)
    for p in operation["parameters"]:
        if p["in"] != "query":
            continue
        schema = p["schema"]
        if schema.get("type") == "integer":
            refused(f"{p['name']} as text", {400}, method, f"{path}?{p['name']}=x", body)
            if schema.get("maximum", 2**63) < 2**31 - 1:
                refused(f"{p['name']} too large", {422}, method, f"{path}?{p['name']}={schema['maximum'] + 1}", body)
            if "minimum" in schema:
                refused(f"{p['name']} too small", {422}, method, f"{path}?{p['name']}={schema['minimum'] - 1}", body)
        if schema.get("type") == "boolean" or "enum" in schema or schema.get("format") == "date-time":
            refused(f"{p['name']} of no such value", {400, 422}, method, f"{path}?{p['name']}=no+such", body)
        if "maxLength" in schema:
            refused(f"{p['name']} too long", {400, 422}, method, f"{path}?{p['name']}={'x' * (schema['maxLength'] + 1)}", body)
    if "requestBody" not in operation:
        if method != "GET":
            refused("a body", {400}, method, path, {"a": 1})
        return
    if operation["operationId"] in RAWS:
        refuse_raw(refused, method, f"{path}?{QUERIES[operation['operationId']]}", RAWS[operation["operationId"]])
        refused("a required parameter that is not there", {400}, method, path, raw=b"x", headers={"Content-Type": BYTES})
        check(f"{row}: bytes are described", list(operation["requestBody"]["content"]) == [BYTES] and operation["requestBody"]["required"])
        return
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    refused("text", {415}, method, path, raw=b"{}", headers={"Content-Type": "text/plain"})
    refused("no JSON", {400}, method, path, raw=b"{", headers={"Content-Type": "application/json"})
    refused("a list", {400}, method, path, raw=b"[]", headers={"Content-Type": "application/json"})
    refused("null", {400}, method, path, raw=b"null", headers={"Content-Type": "application/json"})
    refused("a field twice", {400}, method, path, raw=b'{"a":1,"a":1}', headers={"Content-Type": "application/json"})
    refused("an unknown field", {400}, method, path, {**(body or {}), "no_such": 1})
    for name in schema.get("required", []):
        less = copy.deepcopy(body)
        del less[name]
        refused(f"a body without {name}", {400}, method, path, less)
    if operation["requestBody"]["required"]:
        refused("no body", {400}, method, path)
    for name, f in schema["properties"].items():
        if f.get("type") in ("string", "integer", "boolean", "array"):
            refused(f"{name} as an object", {400}, method, path, {**(body or {}), name: {}})
        if "maximum" in f and f["maximum"] < 2**31 - 1:
            refused(f"{name} too large", {422}, method, path, {**(body or {}), name: f["maximum"] + 1})
        if "minimum" in f:
            refused(f"{name} too small", {422}, method, path, {**(body or {}), name: f["minimum"] - 1})
        if "enum" in f:
            refused(f"{name} of no such word", {422}, method, path, {**(body or {}), name: "no such"})
        if "maxLength" in f:
            refused(f"{name} too long", {422}, method, path, {**(body or {}), name: "x" * (f["maxLength"] + 1)})
        if f.get("format") == "date-time":
            refused(f"{name} as no time", {422}, method, path, {**(body or {}), name: "soon"})


def refuse_raw(refused, method, path, raw):
    refused("no type", {415}, method, path, raw=raw)
    refused("JSON", {415}, method, path, {"a": 1})
    refused("no bytes", {422}, method, path, raw=b"", headers={"Content-Type": BYTES})
    refused("a digest of others", {422}, method, path, raw=raw, headers={"Content-Type": BYTES, "X-Content-SHA256": "0" * 64})
    refused("a digest that is none", {422}, method, path, raw=raw, headers={"Content-Type": BYTES, "X-Content-SHA256": "x"})


METHODS = ("GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS")
ORDER = {"get": 0, "put": 1, "post": 2, "delete": 3}  # what takes away comes last


async def main():
    with Server() as server:
        spec = server.get("/openapi.json", key=None).json
        station, ids, viewer = await make_life(server)
        operations = [(template, method, operation) for template, methods in spec["paths"].items() for method, operation in methods.items()]
        check("there are routes", len(operations) > 35, len(operations))
        names = [operation["operationId"] for _, _, operation in operations]
        check("each has its own name", len(set(names)) == len(names))
        loop = asyncio.get_running_loop()
        station.on_call["Reset"] = {"status": "Rejected"}
        for template, method, operation in operations:
            if operation["operationId"] != "event_stream":
                await loop.run_in_executor(None, refuse, server, spec, template, method.upper(), operation, ids, viewer)
        for template, methods in spec["paths"].items():
            for method in METHODS:
                if method.lower() in methods:
                    continue
                answer = await asyncio.to_thread(ask, server, method, path_of(template, ids))
                check(f"{method} {template} is not there", answer.status == 405, (answer.status, answer.text[:200]))
                allowed = set(answer.headers.get("Allow", "").replace(" ", "").split(","))
                check(f"{method} {template}: Allow is what is described", allowed - {"HEAD"} == {m.upper() for m in methods}, allowed)
            answer = await asyncio.to_thread(ask, server, "GET", path_of(template, ids) + ("/" if template != "/" else "x"))
            check(f"{template}/ is not there", answer.status == 404, answer.status)
        for template, method, operation in sorted(operations, key=lambda o: ORDER[o[1]]):
            if operation["operationId"] == "event_stream" or "discard" in operation["operationId"]:
                continue
            await loop.run_in_executor(None, drive, server, spec, template, method.upper(), operation, ids)
        await station.close()
    report()


asyncio.run(main())
