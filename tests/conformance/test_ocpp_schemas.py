"""Compares the message tables with the published JSON schemas of OCPP 1.6, where these lie beside the repository.

The schemas are not ours to ship, so they are looked for in ../shared/ocpp16/schemas (or OCPP_SCHEMAS), and the test is
skipped without them. The program ocpp-tables of the build prints what our reader takes in its strictest way. Names,
presence, types, lengths, words and least counts must agree; where the specification decides otherwise, DECIDED says so
with its paragraph, and an entry that is not needed fails too.
"""
import json
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SCHEMAS = os.environ.get("OCPP_SCHEMAS", os.path.join(ROOT, "..", "shared", "ocpp16", "schemas"))
BUILD = os.environ.get("CHARGELINE_BUILD", os.path.join(ROOT, "build", "release"))

INT32_MIN, INT32_MAX = -2147483648, 2147483647

# Where ocpp16.md decides otherwise. (message, path, aspect): (theirs, ours, paragraph); for words: (None, what we add, paragraph)
PERIODS = "chargingSchedule.chargingSchedulePeriod"
DECIDED = {
    ("DataTransfer", "data", "type"): ("string", None, "5.3: an object that is sent instead is kept as raw JSON"),
    ("DataTransferResponse", "data", "type"): ("string", None, "5.3: the same in both directions"),
    ("LogStatusNotification", "status", "enum"): (None, {"UploadFailed"}, "7.9: accept both spellings"),
    ("StopTransaction", "transactionData[].sampledValue[].unit", "enum"): (None, {"Hertz"}, "2.4: Hertz is seen"),
    ("StopTransaction", "transactionData[].sampledValue", "minItems"): (0, 1, "3.1: sampledValue, at least 1"),
    ("SetChargingProfile", "csChargingProfiles." + PERIODS, "minItems"): (0, 1, "3.1: chargingSchedulePeriod, at least 1"),
    ("RemoteStartTransaction", "chargingProfile." + PERIODS, "minItems"): (0, 1, "3.1"),
    ("GetCompositeScheduleResponse", PERIODS, "minItems"): (0, 1, "3.1"),
    ("GetDiagnostics", "location", "format"): ("uri", None, "6.9: passed on unchanged, with what credentials it may hold"),
    ("UpdateFirmware", "location", "format"): ("uri", None, "6.10, as 6.9"),
}
# The schemas give integers no bounds. 3: they fit in signed 32 bits; these have a least value in 3.1 and 5 to 7.
LEAST = {
    ("BootNotificationResponse", "interval"): 0,
    ("MeterValues", "connectorId"): 0,
    ("StartTransaction", "connectorId"): 1,
    ("StatusNotification", "connectorId"): 0,
    ("ChangeAvailability", "connectorId"): 0,
    ("RemoteStartTransaction", "connectorId"): 1,
    ("RemoteStartTransaction", "chargingProfile.stackLevel"): 0,
    ("UnlockConnector", "connectorId"): 1,
    ("SendLocalList", "listVersion"): 1,
    ("ReserveNow", "connectorId"): 0,
    ("SetChargingProfile", "connectorId"): 0,
    ("SetChargingProfile", "csChargingProfiles.stackLevel"): 0,
    ("ClearChargingProfile", "connectorId"): 0,
    ("ClearChargingProfile", "stackLevel"): 0,
    ("GetCompositeSchedule", "connectorId"): 0,
    ("TriggerMessage", "connectorId"): 1,
    ("ExtendedTriggerMessage", "connectorId"): 1,
}


def resolve(schema, root):
    """Follows $ref, which only the schemas of the security extension use."""
    while "$ref" in schema:
        node = root
        for part in schema["$ref"].lstrip("#/").split("/"):
            node = node[part]
        schema = node
    return schema


class Comparison:
    def __init__(self):
        self.failed = []
        self.passed = 0
        self.used = set()

    def check(self, message, path, aspect, theirs, ours):
        decided = DECIDED.get((message, path, aspect))
        if decided is not None:
            self.used.add((message, path, aspect))
            if aspect == "enum":
                theirs = theirs | decided[1]
            elif theirs == decided[0]:
                theirs = decided[1]
        if theirs == ours:
            self.passed += 1
        else:
            self.failed.append(f"{message} {path or '(top)'}: {aspect}: the schema says {theirs!r}, we say {ours!r}")

    def compare(self, message, path, theirs, root, ours):
        theirs = resolve(theirs, root)
        kind = theirs.get("type")
        self.check(message, path, "type", kind, ours.get("type"))
        if ours.get("type") != kind:
            return
        for aspect in ("maxLength", "format", "multipleOf"):
            self.check(message, path, aspect, theirs.get(aspect), ours.get(aspect))
        self.check(message, path, "enum", set(theirs.get("enum", [])), set(ours.get("enum", [])))
        if kind == "integer":
            self.check(message, path, "maximum", INT32_MAX, ours.get("maximum"))
            self.check(message, path, "minimum", LEAST.get((message, path), INT32_MIN), ours.get("minimum"))
        elif kind == "array":
            self.check(message, path, "minItems", theirs.get("minItems", 0), ours.get("minItems", 0))
            self.compare(message, path + "[]", theirs["items"], root, ours["items"])
        elif kind == "object":
            self.compare_members(message, path, theirs, root, ours)

    def compare_members(self, message, path, theirs, root, ours):
        properties, own = theirs.get("properties", {}), ours["properties"]
        self.check(message, path, "fields", set(properties), set(own))
        self.check(message, path, "required", set(theirs.get("required", [])), set(ours.get("required", [])))
        for name in sorted(set(properties) & set(own)):
            self.compare(message, f"{path}.{name}" if path else name, properties[name], root, own[name])


def main():
    if not os.path.isdir(SCHEMAS):
        print(f"SKIPPED: no published schemas in {SCHEMAS}")
        return 0
    files = sorted(name[:-5] for name in os.listdir(SCHEMAS) if name.endswith(".json"))
    tables = json.loads(subprocess.run([os.path.join(BUILD, "ocpp-tables")], check=True, capture_output=True).stdout)
    comparison = Comparison()
    comparison.check("all", "", "messages", set(files), set(tables))
    for name in files:
        with open(os.path.join(SCHEMAS, name + ".json"), encoding="utf-8-sig") as f:
            theirs = json.load(f)
        if name in tables:
            comparison.compare(name, "", theirs, theirs, tables[name])
    for unused in sorted(set(DECIDED) - comparison.used):
        comparison.failed.append(f"{unused}: decided otherwise, but never met")
    for line in comparison.failed:
        print(line, file=sys.stderr)
    print(f"{comparison.passed} passed, {len(comparison.failed)} failed")
    return 1 if comparison.failed or comparison.passed == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
