/* What a call means: (setup, calls) -> (answers, events with their payloads). A row is a short story of one or two
 * stations; each names its paragraph of ocpp16.md, or the case of field-lessons.md (FL). It is long because it is one
 * table. */
#include "check.h"
#include "corekit.h"

#define STEPS_MAX 8

/* clang-format off */
enum setup {
    STRICT_MODE = 1,
    IS_PENDING = 2,
    IS_REJECTED = 4,
    IS_UNKNOWN = 8,
    HOLD_UNKNOWN = 16,    /* policy: unknown stations wait */
    TRIGGERED = 32,
    TAKE_TAGS = 64,       /* policy: unknown tags are accepted */
    BEAT_EVENTS = 128,
    ONE_EACH = 256,       /* policy: a tag has at most one transaction */
};

/* A call begins with [; "B" before it is said by station B. "close <id> <register>", "apply <id> <frame>": by a person. "connect":
 * a new connection. "at <seconds>": sets the clock. "fill": 256 transactions are open. Expected: ' is ", $n an id, * any text. */
struct told {
    const char *call, *answer, *events;
};

#define START(id, c, tag, wh, t) "[2,'" id "','StartTransaction',{'connectorId':" c ",'idTag':'" tag "','meterStart':" wh ",'timestamp':'" t "'}]"
#define STOP(id, tx, wh, t)      "[2,'" id "','StopTransaction',{'transactionId':" tx ",'meterStop':" wh ",'timestamp':'" t "'}]"
#define METER(id, more, t, v)    "[2,'" id "','MeterValues',{" more "'meterValue':[{'timestamp':'" t "','sampledValue':[{'value':'" v "'}]}]}]"
#define T0 "2026-03-01T08:59:00Z"
#define T1 "2026-03-01T08:59:30Z"
#define T2 "2026-03-01T08:59:50Z"
#define STARTED(c, n, tag, wh, rest) "transaction.started {'connectorId':" c ",'transactionId':'" n "','idTag':'" tag "','meterStartWh':" wh rest "}"
#define FRESH ",'offline':false,'idTagStatus':'Accepted'"
#define STOPPED(n, reason, wh, t, rest) "transaction.stopped {'transactionId':'" n "','reason':'" reason "','meterStopWh':" wh ",'stopTimestamp':'" t "'" rest "}"
#define REFUSED(code, why) "device.protocol_error {'code':'" code "','detail':'" why "'}"
#define ACCEPTED(id, n) "[3,'" id "',{'idTagInfo':{'status':'Accepted'},'transactionId':" n "}]"
#define QUARANTINED(action, reason, rest) "device.quarantined {'quarantineId':'*','action':'" action "','reason':'" reason "'" rest "*}"
#define SAMPLE(t, v) "'meterValues':[{'timestamp':'" t "','sampledValue':{'value':'" v "','measurand':'Energy.Active.Import.Register','unit':'Wh'}}]"
#define A_START {START("1", "1", "TAG", "100", T0), ACCEPTED("1", "$1"), STARTED("1", "$1", "TAG", "100", FRESH)}

static const struct {
    const char *row;
    unsigned setup;
    struct told steps[STEPS_MAX];
} rows[] = {
    /* --- frames that are no good call --- */
    {"an unknown action (2.3)", 0, {{"[2,'1','Nope',{}]", "[4,'1','NotImplemented','Unknown action',{}]", REFUSED("NotImplemented", "action: Unknown action")}}},
    {"the case of an action counts (2.1)", 0, {{"[2,'1','heartbeat',{}]", "[4,'1','NotImplemented','Unknown action',{}]", REFUSED("NotImplemented", "*")}}},
    {"an action that stations do not call (2.3)", 0, {{"[2,'1','Reset',{'type':'Hard'}]", "[4,'1','NotSupported','*',{}]", REFUSED("NotSupported", "*")}}},
    {"too short, with its id (2.3)", 0, {{"[2,'1','Heartbeat']", "[4,'1','ProtocolError','*',{}]", REFUSED("ProtocolError", "*")}}},
    {"without its action (2.3)", 0, {{"[2,'1']", "[4,'1','ProtocolError','*',{}]", REFUSED("ProtocolError", "*")}}},
    {"an action that is no text", 0, {{"[2,'1',5,{}]", "[4,'1','FormationViolation','*',{}]", REFUSED("FormationViolation", "*")}}},
    {"a payload that is no object (2.3)", 0, {{"[2,'1','StartTransaction',[]]", "[4,'1','FormationViolation','*',{}]", REFUSED("FormationViolation", "*")}}},
    {"a member twice", 0, {{"[2,'1','Authorize',{'idTag':'A','idTag':'B'}]", "[4,'1','FormationViolation','idTag: given twice',{}]", REFUSED("FormationViolation", "*")}}},
    {"no JSON: no answer (2.4)", 0, {{"[2,'1','Heartbeat',{}", NULL, ""}}},
    {"no usable id: no answer (2.4)", 0, {{"[2,{},'Heartbeat',{}]", NULL, ""}}},
    {"another message type: no answer (2.1)", 0, {{"[9,'1','Heartbeat',{}]", NULL, ""}}},
    {"a number as id is echoed (2.2)", 0, {{"[2,17,'Heartbeat',{}]", "[3,17,{'currentTime':'2026-03-01T09:00:00.000Z'}]", ""}}},

    /* --- Heartbeat 5.4 --- */
    {"the time (5.4)", 0, {{"[2,'1','Heartbeat',{}]", "[3,'1',{'currentTime':'2026-03-01T09:00:00.000Z'}]", ""}}},
    {"a payload null (2.1)", 0, {{"[2,'1','Heartbeat',null]", "[3,'1',{'currentTime':'2026-03-01T09:00:00.000Z'}]", ""}}},
    {"a repeat gets the time of now (5.4)", 0, {{"[2,'1','Heartbeat',{}]", "*09:00:00*", ""}, {"at 5", NULL, ""}, {"[2,'1','Heartbeat',{}]", "*09:00:05*", ""}}},
    {"heartbeats as events, where asked for", BEAT_EVENTS, {{"[2,'1','Heartbeat',{}]", "[3,'1',*", "heartbeat.received {}"}}},

    /* --- BootNotification 5.2, 10.1 --- */
    {"a boot (5.2)", 0, {{"[2,'1','BootNotification',{'chargePointVendor':'V','chargePointModel':'M','firmwareVersion':'1','chargePointSerialNumber':'S','iccid':'','imsi':'7','meterType':'T','meterSerialNumber':'Z'}]",
     "[3,'1',{'status':'Accepted','currentTime':'2026-03-01T09:00:00.000Z','interval':300}]",
     "charge_point.connected {'model':'M','vendor':'V','firmwareVersion':'1','serialNumber':'S','iccid':'','imsi':'7','meterType':'T','meterSerialNumber':'Z','protocol':'ocpp1.6','remoteAddress':'192.0.2.1:9','registration':'accepted'}"}}},
    {"a serial number of 33 characters, an empty vendor (FL 44)", 0, {{"[2,'1','BootNotification',{'chargePointVendor':'','chargePointModel':'M','chargeBoxSerialNumber':'012345678901234567890123456789012'}]", "[3,'1',{'status':'Accepted'*",
     "charge_point.connected *'vendor':''*'serialNumber':'012345678901234567890123456789012'*"}}},
    {"an unknown station is taken by policy (10.1)", IS_UNKNOWN, {{"[2,'1','BootNotification',{'chargePointVendor':'V','chargePointModel':'M'}]", "[3,'1',{'status':'Accepted'*", "charge_point.connected *'registration':'accepted'}"}}},
    {"an unknown station waits by policy (10.1)", IS_UNKNOWN | HOLD_UNKNOWN, {{"[2,'1','BootNotification',{'chargePointVendor':'V','chargePointModel':'M'}]", "[3,'1',{'status':'Pending','currentTime':'*','interval':60}]", "boot.held *'registration':'pending'}"}}},
    {"one that waits (10.1)", IS_PENDING, {{"[2,'1','BootNotification',{'chargePointVendor':'V','chargePointModel':'M'}]", "[3,'1',{'status':'Pending',*'interval':60}]", "boot.held *"}}},
    {"one that is rejected (10.1)", IS_REJECTED, {{"[2,'1','BootNotification',{'chargePointVendor':'V','chargePointModel':'M'}]", "[3,'1',{'status':'Rejected',*'interval':60}]", "boot.held *'registration':'rejected'}"}}},
    {"a second boot on one connection is one (5.2)", 0, {{"[2,'1','BootNotification',{'chargePointVendor':'V','chargePointModel':'M'}]", "*Accepted*", "charge_point.connected *"}, {"[2,'1','BootNotification',{'chargePointVendor':'V','chargePointModel':'M'}]", "*Accepted*", "charge_point.connected *"}}},
    {"a boot ends no transaction (5.2)", 0, {A_START, {"[2,'2','BootNotification',{'chargePointVendor':'V','chargePointModel':'M'}]", "*Accepted*", "charge_point.connected *"},
     {STOP("3", "$1", "150", T1), "[3,'3',{}]", STOPPED("$1", "Local", "150", T1, ",'connectorId':1,'energyWh':50,'meterStartWh':100")}}},

    /* --- before it is accepted 10.1 --- */
    {"who is unknown may only boot (10.1, 11.11)", IS_UNKNOWN, {{"[2,'1','StatusNotification',{'connectorId':0,'errorCode':'NoError','status':'Available'}]", "[4,'1','SecurityError','*',{}]", REFUSED("SecurityError", "*")}}},
    {"so who waits", IS_PENDING, {{START("1", "1", "TAG", "1", T0), "[4,'1','SecurityError','*',{}]", REFUSED("SecurityError", "*")}}},
    {"so who is rejected, triggered or not", IS_REJECTED | TRIGGERED, {{"[2,'1','Heartbeat',{}]", "[4,'1','SecurityError','*',{}]", REFUSED("SecurityError", "*")}}},
    {"who waits may answer a trigger (10.1)", IS_PENDING | TRIGGERED, {{"[2,'1','Heartbeat',{}]", "[3,'1',*", ""}}},
    {"an unknown action is that before all", IS_UNKNOWN, {{"[2,'1','Nope',{}]", "[4,'1','NotImplemented',*", REFUSED("NotImplemented", "*")}}},

    /* --- Authorize 5.1 --- */
    {"a tag (5.1)", 0, {{"[2,'1','Authorize',{'idTag':'TAG'}]", "[3,'1',{'idTagInfo':{'status':'Accepted'}}]", "authorization.requested {'idTag':'TAG','status':'Accepted'}"}}},
    {"case and garbage at its end do not count (5.1, FL 47)", 0, {{"[2,'1','Authorize',{'idTag':'tAg\\u0010\\u000e'}]", "*'Accepted'*", "authorization.requested *'Accepted'}"}}},
    {"an unknown tag (5.1)", 0, {{"[2,'1','Authorize',{'idTag':'WHO'}]", "[3,'1',{'idTagInfo':{'status':'Invalid'}}]", "authorization.requested {'idTag':'WHO','status':'Invalid'}"}}},
    {"an unknown tag, taken by policy", TAKE_TAGS, {{"[2,'1','Authorize',{'idTag':'WHO'}]", "*'Accepted'*", "authorization.requested *'Accepted'}"}}},
    {"a blocked tag (5.1)", TAKE_TAGS, {{"[2,'1','Authorize',{'idTag':'BLOCKED'}]", "*'Blocked'*", "authorization.requested *'Blocked'}"}}},
    {"an expired tag says when (5.1)", 0, {{"[2,'1','Authorize',{'idTag':'OLD'}]", "[3,'1',{'idTagInfo':{'status':'Expired','expiryDate':'2026-03-01T08:59:59.000Z'}}]", "authorization.requested *'Expired'}"}}},
    {"a tag of a group (5.1)", 0, {{"[2,'1','Authorize',{'idTag':'CHILD'}]", "[3,'1',{'idTagInfo':{'status':'Accepted','expiryDate':'2026-03-01T09:00:01.000Z','parentIdTag':'FLEET7'}}]", "authorization.requested *'Accepted'}"}}},
    {"ConcurrentTx is for starts (5.1)", ONE_EACH, {A_START, {"[2,'2','Authorize',{'idTag':'TAG'}]", "*'Accepted'*", "authorization.requested *'Accepted'}"}}},
    {"an id again with the same content: the first answer (2.2)", 0, {{"[2,'1','Authorize',{'idTag':'CHILD'}]", "*'Accepted'*", "authorization.requested *"}, {"at 3", NULL, ""}, {"[2,'1','Authorize',{'idTag':'CHILD'}]", "*'Accepted'*", ""}}},
    {"an id again with another content is another call (2.2)", 0, {{"[2,'1','Authorize',{'idTag':'TAG'}]", "*'Accepted'*", "authorization.requested *"}, {"[2,'1','Authorize',{'idTag':'WHO'}]", "*'Invalid'*", "authorization.requested *'Invalid'}"}}},
    {"an id again on another connection is another call (2.2)", 0, {{"[2,'1','Authorize',{'idTag':'CHILD'}]", "*'Accepted'*", "authorization.requested *"}, {"at 3", NULL, ""}, {"connect", NULL, ""}, {"[2,'1','Authorize',{'idTag':'CHILD'}]", "*'Expired'*", "authorization.requested *'Expired'}"}}},

    /* --- StatusNotification 5.7, 10.5 --- */
    {"a status, the first (5.7)", 0, {{"[2,'1','StatusNotification',{'connectorId':1,'errorCode':'NoError','status':'Available','timestamp':'" T0 "'}]", "[3,'1',{}]", "connector.status_changed {'connectorId':1,'status':'Available','errorCode':'NoError'}"}}},
    {"what it was before (5.7)", 0, {{"[2,'1','StatusNotification',{'connectorId':1,'errorCode':'NoError','status':'Available'}]", "[3,'1',{}]", "connector.status_changed *"},
     {"[2,'2','StatusNotification',{'connectorId':1,'errorCode':'WeakSignal','status':'Charging','info':'i','vendorId':'v','vendorErrorCode':'e'}]", "[3,'2',{}]", "connector.status_changed {'connectorId':1,'status':'Charging','previousStatus':'Available','errorCode':'WeakSignal','info':'i','vendorId':'v','vendorErrorCode':'e'}"}}},
    {"an unlisted step is taken and flagged (10.5)", 0, {{"[2,'1','StatusNotification',{'connectorId':1,'errorCode':'NoError','status':'Available'}]", "[3,'1',{}]", "connector.status_changed *"},
     {"[2,'2','StatusNotification',{'connectorId':1,'errorCode':'NoError','status':'Finishing'}]", "[3,'2',{}]", "connector.status_changed *'previousStatus':'Available','errorCode':'NoError','flags':['unexpected_step']}"}}},
    {"the same again refreshes it (5.7)", 0, {{"[2,'1','StatusNotification',{'connectorId':0,'errorCode':'NoError','status':'Available'}]", "[3,'1',{}]", "connector.status_changed *"},
     {"[2,'2','StatusNotification',{'connectorId':0,'errorCode':'NoError','status':'Available'}]", "[3,'2',{}]", "connector.status_changed *'previousStatus':'Available','errorCode':'NoError'}"}}},
    {"an id used before the last boot is another call (2.2)", 0, {{"[2,'2','StatusNotification',{'connectorId':1,'errorCode':'NoError','status':'Available'}]", "[3,'2',{}]", "connector.status_changed *"},
     {"[2,'3','StatusNotification',{'connectorId':1,'errorCode':'NoError','status':'Preparing'}]", "[3,'3',{}]", "connector.status_changed *"},
     {"[2,'1','BootNotification',{'chargePointVendor':'V','chargePointModel':'M'}]", "*Accepted*", "charge_point.connected *"},
     {"[2,'2','StatusNotification',{'connectorId':1,'errorCode':'NoError','status':'Available'}]", "[3,'2',{}]", "connector.status_changed *'Available','previousStatus':'Preparing'*"}}},
    {"an unknown status (2.4)", 0, {{"[2,'1','StatusNotification',{'connectorId':1,'errorCode':'NoError','status':'Broken'}]", "[4,'1','PropertyConstraintViolation','status: *',{}]", REFUSED("PropertyConstraintViolation", "*")}}},
    {"an unknown error code (2.4)", 0, {{"[2,'1','StatusNotification',{'connectorId':1,'errorCode':'Tired','status':'Available'}]", "[4,'1','PropertyConstraintViolation','errorCode: *',{}]", REFUSED("PropertyConstraintViolation", "*")}}},
    {"info of 60 characters is taken (2.4)", 0, {{"[2,'1','StatusNotification',{'connectorId':1,'errorCode':'NoError','status':'Available','info':'012345678901234567890123456789012345678901234567890123456789'}]", "[3,'1',{}]", "connector.status_changed *'info':'012345678901234567890123456789012345678901234567890123456789'}"}}},
    {"over-long info does not hide an unknown status (2.4)", 0, {{"[2,'1','StatusNotification',{'connectorId':1,'errorCode':'NoError','info':'012345678901234567890123456789012345678901234567890123456789','status':'Broken'}]", "[4,'1','PropertyConstraintViolation',*", REFUSED("PropertyConstraintViolation", "*")}}},
    {"nor a missing status", 0, {{"[2,'1','StatusNotification',{'connectorId':1,'errorCode':'NoError','info':'012345678901234567890123456789012345678901234567890123456789'}]", "[4,'1','*',*", REFUSED("*", "*")}}},
    {"a connector below 0", 0, {{"[2,'1','StatusNotification',{'connectorId':-1,'errorCode':'NoError','status':'Available'}]", "[4,'1','PropertyConstraintViolation',*", REFUSED("PropertyConstraintViolation", "*")}}},

    /* --- DataTransfer 5.3 and the reports of jobs 5.9, 5.10, 7 --- */
    {"vendor data (5.3)", 0, {{"[2,'1','DataTransfer',{'vendorId':'org.x','messageId':'m','data':'d'}]", "[3,'1',{'status':'UnknownVendorId'}]", "data_transfer.received {'vendorId':'org.x','messageId':'m','data':'d','status':'UnknownVendorId'}"}}},
    {"vendor data that is an object is kept (5.3)", 0, {{"[2,'1','DataTransfer',{'vendorId':'org.x','data':{'a':[1,null]}}]", "[3,'1',{'status':'UnknownVendorId'}]", "data_transfer.received {'vendorId':'org.x','data':{'a':[1,null]},'status':'UnknownVendorId'}"}}},
    {"diagnostics (5.9)", 0, {{"[2,'1','DiagnosticsStatusNotification',{'status':'Uploaded'}]", "[3,'1',{}]", "diagnostics.status_changed {'status':'Uploaded'}"}}},
    {"firmware (5.10)", 0, {{"[2,'1','FirmwareStatusNotification',{'status':'Installed'}]", "[3,'1',{}]", "firmware.status_changed {'status':'Installed'}"}}},
    {"a word of a job that is not in the list (2.4)", 0, {{"[2,'1','FirmwareStatusNotification',{'status':'Rebooting'}]", "[3,'1',{}]", "firmware.status_changed {'status':'Rebooting'}"}}},
    {"the same, strictly", STRICT_MODE, {{"[2,'1','FirmwareStatusNotification',{'status':'Rebooting'}]", "[4,'1','PropertyConstraintViolation',*", REFUSED("PropertyConstraintViolation", "*")}}},
    {"a log (7.9)", 0, {{"[2,'1','LogStatusNotification',{'status':'Uploading','requestId':7}]", "[3,'1',{}]", "log.status_changed {'status':'Uploading','requestId':7}"}}},
    {"signed firmware (7.11)", 0, {{"[2,'1','SignedFirmwareStatusNotification',{'status':'Downloaded','requestId':-7}]", "[3,'1',{}]", "firmware.status_changed {'status':'Downloaded','requestId':-7}"}}},
    {"a security event (7.1)", 0, {{"[2,'1','SecurityEventNotification',{'type':'TamperDetectionActivated','timestamp':'" T0 "','techInfo':'x'}]", "[3,'1',{}]", "security.event {'type':'TamperDetectionActivated','timestamp':'" T0 "','techInfo':'x','origin':'station'}"}}},
    {"a security event again after a reconnect (7.1, 10.3)", 0, {{"[2,'1','SecurityEventNotification',{'type':'X','timestamp':'" T0 "'}]", "[3,'1',{}]", "security.event *"}, {"connect", NULL, ""}, {"[2,'9','SecurityEventNotification',{'type':'X','timestamp':'" T0 "'}]", "[3,'9',{}]", ""}}},
    {"a certificate that nobody can sign (7.2)", 0, {{"[2,'1','SignCertificate',{'csr':'c'}]", "[3,'1',{'status':'Rejected'}]", "certificate.sign_requested {'csr':'c','status':'Rejected'}"}}},

    /* --- StartTransaction 5.6 --- */
    {"a start (5.6)", 0, {{"[2,'1','StartTransaction',{'connectorId':2,'idTag':'CHILD','meterStart':-5,'reservationId':9,'timestamp':'" T0 "'}]", "[3,'1',{'idTagInfo':{'status':'Accepted','expiryDate':'*','parentIdTag':'FLEET7'},'transactionId':$1}]",
     "transaction.started {'connectorId':2,'transactionId':'$1','idTag':'CHILD','meterStartWh':-5,'reservationId':9,'offline':false,'idTagStatus':'Accepted'}"}}},
    {"the same id, the same content: the first answer (2.2)", 0, {A_START, {START("1", "1", "TAG", "100", T0), ACCEPTED("1", "$1"), ""}}},
    {"another id, the same content: the same transaction (5.6, 11.8)", 0, {A_START, {START("2", "1", "tag", "100", T0), ACCEPTED("2", "$1"), ""}}},
    {"on another connection, hours later (10.3)", 0, {A_START, {"connect", NULL, ""}, {"at 9999", NULL, ""}, {START("2", "1", "TAG", "100", T0), ACCEPTED("2", "$1"), ""}}},
    {"after its stop: the same answer, not a dead new one (FL 4)", 0, {A_START, {STOP("2", "$1", "150", T1), "[3,'2',{}]", "transaction.stopped *"}, {START("3", "1", "TAG", "100", T0), ACCEPTED("3", "$1"), ""}}},
    {"the repeat of one that memory has dropped (5.6, 10.3)", 0, {{"[2,'0','BootNotification',{'chargePointVendor':'V','chargePointModel':'M'}]", "*Accepted*", "charge_point.connected *"},
     A_START, {STOP("2", "$1", "150", T1), "[3,'2',{}]", "transaction.stopped *"}, {"forget", NULL, ""}, {START("3", "1", "TAG", "100", T0), ACCEPTED("3", "$1"), ""}}},
    {"the verdict of the first time stands for its repeat", 0, {{START("1", "1", "WHO", "100", T0), "[3,'1',{'idTagInfo':{'status':'Invalid'},'transactionId':$1}]", STARTED("1", "$1", "WHO", "100", ",'offline':false,'idTagStatus':'Invalid'")}, {START("2", "1", "WHO", "100", T0), "[3,'2',{'idTagInfo':{'status':'Invalid'},'transactionId':$1}]", ""}}},
    {"an unknown tag still gets an id (5.6)", 0, {{START("1", "1", "WHO", "100", T0), "[3,'1',{'idTagInfo':{'status':'Invalid'},'transactionId':$1}]", "transaction.started *'Invalid'}"}}},
    {"a blocked one (5.6)", 0, {{START("1", "1", "BLOCKED", "100", T0), "*'Blocked'},'transactionId':$1}]", "transaction.started *'Blocked'}"}}},
    {"an expired one (5.6)", 0, {{START("1", "1", "OLD", "100", T0), "*'Expired'*'transactionId':$1}]", "transaction.started *'Expired'}"}}},
    {"ConcurrentTx (5.6)", ONE_EACH, {A_START, {START("2", "2", "tag", "7", T1), "[3,'2',{'idTagInfo':{'status':'ConcurrentTx'},'transactionId':$2}]", "transaction.started *'ConcurrentTx'}"}}},
    {"ConcurrentTx at another station", ONE_EACH, {A_START, {"B" START("2", "1", "TAG", "7", T1), "*'ConcurrentTx'*", "transaction.started *'ConcurrentTx'}"}}},
    {"its own repeat is not concurrent (5.6)", ONE_EACH, {A_START, {START("2", "1", "TAG", "100", T0), ACCEPTED("2", "$1"), ""}}},
    {"one that is over is not concurrent (5.6, FL 2)", ONE_EACH, {A_START, {STOP("2", "$1", "150", T1), "[3,'2',{}]", "transaction.stopped *"}, {START("3", "1", "TAG", "150", T2), ACCEPTED("3", "$2"), "transaction.started *'Accepted'}"}}},
    {"one that it supersedes is not concurrent (5.6)", ONE_EACH, {A_START, {START("2", "1", "TAG", "150", T2), ACCEPTED("2", "$2"), "transaction.started *'Accepted','supersedes':'$1'}"}}},
    {"a tag with a number of its own", ONE_EACH, {{START("1", "1", "TWICE", "1", T0), "*'Accepted'*", "*"}, {START("2", "2", "TWICE", "1", T0), "*'Accepted'*", "*"}, {START("3", "3", "TWICE", "1", T0), "*'ConcurrentTx'*", "*"}}},
    {"a tag that may any number of times", ONE_EACH, {{START("1", "1", "FREE", "1", T0), "*'Accepted'*", "*"}, {START("2", "2", "FREE", "1", T0), "*'Accepted'*", "*"}, {START("3", "3", "FREE", "1", T0), "*'Accepted'*", "*"}}},
    {"another start on its connector supersedes it, its stop still arrives (5.6)", 0, {A_START, {START("2", "1", "TAG2", "150", T1), ACCEPTED("2", "$2"), STARTED("1", "$2", "TAG2", "150", FRESH ",'supersedes':'$1'")},
     {METER("3", "'connectorId':1,'transactionId':$1,", T0, "120"), "[3,'3',{}]", "transaction.meter_values {'connectorId':1,'transactionId':'$1'," SAMPLE(T0, "120") ",'flags':['after_stop']}"},
     {STOP("4", "$1", "140", T1), "[3,'4',{}]", STOPPED("$1", "Local", "140", T1, ",'connectorId':1,'energyWh':40,'meterStartWh':100,'flags':['stopped_after_superseded']")},
     {STOP("5", "$1", "140", T1), "[3,'5',{}]", ""}, {STOP("6", "$2", "160", T2), "[3,'6',{}]", STOPPED("$2", "Local", "160", T2, ",'connectorId':1,'energyWh':10,'meterStartWh':150")}}},
    {"a start made hours ago (5.6, 10.3)", 0, {{START("1", "1", "TAG", "100", "2026-02-28T23:00:00+01:00"), ACCEPTED("1", "$1"), STARTED("1", "$1", "TAG", "100", ",'offline':true,'idTagStatus':'Accepted'")}}},
    {"a clock that says 1970 (10.3, FL 46)", 0, {{START("1", "1", "TAG", "100", "1970-01-01T00:00:07Z"), ACCEPTED("1", "$1"), STARTED("1", "$1", "TAG", "100", FRESH ",'flags':['clock_corrected']")}}},
    {"a clock two days ahead (FL 46)", 0, {{START("1", "1", "TAG", "100", "2026-03-03T09:00:00Z"), ACCEPTED("1", "$1"), STARTED("1", "$1", "TAG", "100", FRESH ",'flags':['clock_corrected']")}}},
    {"a time without its zone is UTC, and flagged (3)", 0, {{START("1", "1", "TAG", "100", "2026-03-01T08:59:00"), ACCEPTED("1", "$1"), STARTED("1", "$1", "TAG", "100", FRESH ",'flags':['format_bent']")}}},
    {"numbers as text, a member more, a fraction (2.4)", 0, {{"[2,'1','StartTransaction',{'connectorId':'1','idTag':'TAG','meterStart':100.6,'timestamp':'" T0 "','x':{}}]", ACCEPTED("1", "$1"), STARTED("1", "$1", "TAG", "101", FRESH ",'flags':['format_bent']")}}},
    {"a tag of 21 characters (FL 47)", 0, {{START("1", "1", "012345678901234567890", "1", T0), "[3,'1',{'idTagInfo':{'status':'Invalid'},'transactionId':$1}]", "transaction.started *'012345678901234567890'*"}}},
    {"no connector (2.4)", 0, {{"[2,'1','StartTransaction',{'idTag':'TAG','meterStart':1,'timestamp':'" T0 "'}]", "[4,'1','OccurenceConstraintViolation','connectorId: *',{}]", REFUSED("OccurenceConstraintViolation", "*")}}},
    {"connector 0 (2.4)", 0, {{START("1", "0", "TAG", "1", T0), ACCEPTED("1", "$1"), QUARANTINED("StartTransaction", "connector_not_usable", ",'messageId':'1','connectorId':0,'transactionId':'$1'")}}},
    {"no tag (2.4)", 0, {{"[2,'1','StartTransaction',{'connectorId':1,'meterStart':1,'timestamp':'" T0 "'}]", ACCEPTED("1", "$1"), QUARANTINED("StartTransaction", "id_tag_missing", ",'messageId':'1','connectorId':1,'transactionId':'$1'")}}},
    {"no reading (2.4)", 0, {{"[2,'1','StartTransaction',{'connectorId':1,'idTag':'BLOCKED','timestamp':'" T0 "'}]", "[3,'1',{'idTagInfo':{'status':'Blocked'},'transactionId':$1}]", QUARANTINED("StartTransaction", "meter_start_missing", "")}}},
    {"no time (2.4)", 0, {{"[2,'1','StartTransaction',{'connectorId':1,'idTag':'TAG','meterStart':1}]", ACCEPTED("1", "$1"), QUARANTINED("StartTransaction", "timestamp_missing", "")}}},
    {"a time that is none (2.4)", 0, {{START("1", "1", "TAG", "1", "now"), ACCEPTED("1", "$1"), QUARANTINED("StartTransaction", "timestamp_not_readable", "")}}},
    {"the same id again gets the same transaction id", 0, {{START("1", "1", "TAG", "1", "now"), ACCEPTED("1", "$1"), QUARANTINED("StartTransaction", "*", "")}, {START("1", "1", "TAG", "1", "now"), ACCEPTED("1", "$1"), ""}, {START("1", "1", "TAG", "100", T0), ACCEPTED("1", "$2"), "transaction.started *"}}},
    {"strictly, no time (2.4)", STRICT_MODE, {{"[2,'1','StartTransaction',{'connectorId':1,'idTag':'TAG','meterStart':1}]", "[4,'1','OccurenceConstraintViolation','timestamp: *',{}]", REFUSED("OccurenceConstraintViolation", "*")}}},
    {"strictly, connector 0", STRICT_MODE, {{START("1", "0", "TAG", "1", T0), "[4,'1','PropertyConstraintViolation',*", REFUSED("PropertyConstraintViolation", "*")}}},
    {"past the limit of open ones it is kept for a person", 0, {{"fill", NULL, ""}, {START("1", "9999", "TAG", "1", T0), "[3,'1',{'idTagInfo':{'status':'Accepted'},'transactionId':*}]", QUARANTINED("StartTransaction", "too_many_open", "")}, {START("2", "1", "TAG", "1", T0), "[3,'2',*", "transaction.started *'supersedes':*"}}},

    /* --- MeterValues 5.5 --- */
    {"a reading of a transaction (5.5)", 0, {A_START, {METER("2", "'connectorId':1,'transactionId':$1,", T1, "120"), "[3,'2',{}]", "transaction.meter_values {'connectorId':1,'transactionId':'$1'," SAMPLE(T1, "120") "}"}}},
    {"all parts of a sample as they came (5.5)", 0, {{"[2,'2','MeterValues',{'connectorId':1,'meterValue':[{'timestamp':'" T1 "','sampledValue':[{'value':'1.25','context':'Trigger','format':'Raw','measurand':'Power.Active.Import','phase':'L1','location':'EV','unit':'kW'},{'value':'21','measurand':'Temperature','unit':'Celcius'}]},{'timestamp':'" T2 "','sampledValue':[{'value':'50.1','measurand':'Frequency'}]}]}]", "[3,'2',{}]",
     "meter_values.received {'connectorId':1,'meterValues':[{'timestamp':'" T1 "','sampledValue':{'value':'1.25','measurand':'Power.Active.Import','unit':'kW','phase':'L1','context':'Trigger','location':'EV','format':'Raw'}},{'timestamp':'" T1 "','sampledValue':{'value':'21','measurand':'Temperature','unit':'Celcius'}},{'timestamp':'" T2 "','sampledValue':{'value':'50.1','measurand':'Frequency','unit':'Hertz'}}]}"}}},
    {"of the station's own meter (5.5)", 0, {A_START, {METER("2", "'connectorId':0,'transactionId':$1,", T1, "5"), "[3,'2',{}]", "meter_values.received {'connectorId':0," SAMPLE(T1, "5") "}"}}},
    {"the same content again, another id (5.5, FL 3)", 0, {A_START, {METER("2", "'connectorId':1,'transactionId':$1,", T1, "120"), "[3,'2',{}]", "transaction.meter_values *"}, {METER("3", "'connectorId':1,'transactionId':$1,", T1, "120"), "[3,'3',{}]", ""}, {"connect", NULL, ""}, {METER("2", "'connectorId':1,'transactionId':$1,", T1, "120"), "[3,'2',{}]", ""}}},
    {"without an id: the open one, inferred (5.5)", 0, {A_START, {METER("2", "'connectorId':1,", T1, "120"), "[3,'2',{}]", "transaction.meter_values {'connectorId':1,'transactionId':'$1'," SAMPLE(T1, "120") ",'flags':['inferred']}"}}},
    {"taken before it began: not its own (5.5)", 0, {A_START, {METER("2", "'connectorId':1,", "2026-03-01T08:58:59Z", "90"), "[3,'2',{}]", "meter_values.received {'connectorId':1," SAMPLE("2026-03-01T08:58:59Z", "90") "}"}}},
    {"id -1 (5.5, FL 7)", 0, {A_START, {METER("2", "'connectorId':1,'transactionId':-1,", T1, "120"), "[3,'2',{}]", "transaction.meter_values *'$1'*'flags':['inferred']}"}}},
    {"id 0 (FL 7)", 0, {A_START, {METER("2", "'connectorId':1,'transactionId':0,", T1, "120"), "[3,'2',{}]", "transaction.meter_values *'$1'*'flags':['inferred']}"}}},
    {"id 2^63-1 (FL 7)", 0, {A_START, {METER("2", "'connectorId':1,'transactionId':9223372036854775807,", T1, "120"), "[3,'2',{}]", "transaction.meter_values *'$1'*'flags':['format_bent','inferred']}"}}},
    {"id as text (2.4)", 0, {A_START, {METER("2", "'connectorId':1,'transactionId':'$1',", T1, "120"), "[3,'2',{}]", "transaction.meter_values *'$1'*'flags':['format_bent']}"}}},
    {"an id that nobody gave (5.5)", 0, {{METER("2", "'connectorId':3,'transactionId':77,", T1, "120"), "[3,'2',{}]", "meter_values.received {'connectorId':3," SAMPLE(T1, "120") ",'flags':['unknown_transaction']}"}}},
    {"another station's id (5.5, FL 9)", 0, {A_START, {"B" METER("2", "'connectorId':1,'transactionId':$1,", T1, "120"), "[3,'2',{}]", "meter_values.received {'connectorId':1," SAMPLE(T1, "120") ",'flags':['foreign_transaction']}"}}},
    {"after the stop (5.5)", 0, {A_START, {STOP("2", "$1", "150", T1), "[3,'2',{}]", "transaction.stopped *"}, {METER("3", "'connectorId':1,'transactionId':$1,", T1, "149"), "[3,'3',{}]", "transaction.meter_values *'$1'*'flags':['after_stop']}"}}},
    {"after the stop, of one that memory has dropped (5.5)", 0, {A_START, {STOP("2", "$1", "150", T1), "[3,'2',{}]", "transaction.stopped *"}, {"forget", NULL, ""}, {METER("3", "'connectorId':1,'transactionId':$1,", T1, "149"), "[3,'3',{}]", "transaction.meter_values *'$1'*'flags':['after_stop']}"}}},
    {"no connector, but a transaction: its connector", 0, {A_START, {METER("2", "'transactionId':$1,", T1, "120"), "[3,'2',{}]", "transaction.meter_values {'connectorId':1,'transactionId':'$1'*"}}},
    {"a connector below 0, but a transaction", 0, {A_START, {METER("2", "'connectorId':-2,'transactionId':$1,", T1, "120"), "[3,'2',{}]", "transaction.meter_values {'connectorId':1,'transactionId':'$1'*"}}},
    {"neither connector nor transaction (2.4)", 0, {{METER("2", "", T1, "120"), "[3,'2',{}]", QUARANTINED("MeterValues", "connector_missing", "")}, {METER("3", "", T1, "120"), "[3,'3',{}]", ""}}},
    {"no connector and an unknown transaction", 0, {{METER("2", "'transactionId':5,", T1, "120"), "[3,'2',{}]", QUARANTINED("MeterValues", "connector_missing", "")}}},
    {"no connector and another station's transaction", 0, {A_START, {"B" METER("2", "'transactionId':$1,", T1, "120"), "[3,'2',{}]", QUARANTINED("MeterValues", "foreign_transaction", "")}}},
    {"a connector below 0", 0, {{METER("2", "'connectorId':-2,", T1, "120"), "[3,'2',{}]", QUARANTINED("MeterValues", "connector_not_usable", ",'messageId':'2','connectorId':-2")}}},
    {"an empty list (2.4)", 0, {{"[2,'2','MeterValues',{'connectorId':1,'meterValue':[]}]", "[3,'2',{}]", QUARANTINED("MeterValues", "no_values", "")}, {"[2,'3','MeterValues',{'connectorId':1,'meterValue':[]}]", "[3,'3',{}]", ""}}},
    {"no list (2.4)", 0, {{"[2,'2','MeterValues',{'connectorId':1}]", "[3,'2',{}]", QUARANTINED("MeterValues", "no_values", "")}}},
    {"an empty sampledValue (FL 45)", 0, {{"[2,'2','MeterValues',{'connectorId':1,'meterValue':[{'timestamp':'" T1 "','sampledValue':[]}]}]", "[3,'2',{}]", QUARANTINED("MeterValues", "no_values", "")}}},
    {"an empty value, unknown words (FL 45)", 0, {{"[2,'2','MeterValues',{'connectorId':1,'meterValue':[{'timestamp':'" T1 "','sampledValue':[{'value':'','measurand':'Request.Energy','unit':'Hz','context':'x'}]}]}]", "[3,'2',{}]", "meter_values.received *{'value':'','measurand':'Request.Energy','unit':'Hz','context':'x'}}],'flags':['format_bent']}"}}},
    {"a value that is a number", 0, {{"[2,'2','MeterValues',{'connectorId':1,'meterValue':[{'timestamp':'" T1 "','sampledValue':[{'value':12.5}]}]}]", "[3,'2',{}]", "meter_values.received *'value':'12.5'*"}}},
    {"samples whose time is none (FL 46)", 0, {{METER("2", "'connectorId':1,", "noon", "120"), "[3,'2',{}]", "meter_values.received {'connectorId':1," SAMPLE("2026-03-01T09:00:00.000Z", "120") ",'flags':['format_bent','clock_corrected']}"}}},
    {"samples without a time", 0, {{"[2,'2','MeterValues',{'connectorId':1,'meterValue':[{'sampledValue':[{'value':'1'}]}]}]", "[3,'2',{}]", "meter_values.received *09:00:00.000Z*"}}},
    {"a time with a hundred digits is written short", 0, {{METER("2", "'connectorId':1,", "2026-03-01T08:59:30.0000000000000000000000000000000000000000000000000000000000000000000000Z", "1"), "[3,'2',{}]", "meter_values.received {'connectorId':1," SAMPLE("2026-03-01T08:59:30.000Z", "1") "}"}}},
    {"strictly, an empty list", STRICT_MODE, {{"[2,'2','MeterValues',{'connectorId':1,'meterValue':[]}]", "[4,'2','OccurenceConstraintViolation','meterValue: *',{}]", REFUSED("OccurenceConstraintViolation", "*")}}},

    /* --- StopTransaction 5.8 --- */
    {"a stop without a tag (5.8)", 0, {A_START, {STOP("2", "$1", "150", T1), "[3,'2',{}]", STOPPED("$1", "Local", "150", T1, ",'connectorId':1,'energyWh':50,'meterStartWh':100")}}},
    {"with a tag and its verdict (5.8)", 0, {A_START, {"[2,'2','StopTransaction',{'transactionId':$1,'idTag':'BLOCKED','meterStop':150,'timestamp':'" T1 "','reason':'Remote'}]", "[3,'2',{'idTagInfo':{'status':'Blocked'}}]", STOPPED("$1", "Remote", "150", T1, ",'connectorId':1,'idTag':'BLOCKED','energyWh':50,'meterStartWh':100")}}},
    {"its repeats (5.8)", 0, {A_START, {STOP("2", "$1", "150", T1), "[3,'2',{}]", "transaction.stopped *"}, {STOP("2", "$1", "150", T1), "[3,'2',{}]", ""}, {STOP("3", "$1", "150", T1), "[3,'3',{}]", ""}, {"connect", NULL, ""}, {STOP("2", "$1", "150", T1), "[3,'2',{}]", ""}}},
    {"the repeat of one that memory has dropped (10.3)", 0, {A_START, {STOP("2", "$1", "150", T1), "[3,'2',{}]", "transaction.stopped *"}, {"forget", NULL, ""}, {STOP("3", "$1", "150", T1), "[3,'3',{}]", ""}}},
    {"another content: the first stands, the second is kept, once (5.8)", 0, {A_START, {STOP("2", "$1", "150", T1), "[3,'2',{}]", "transaction.stopped *"}, {STOP("3", "$1", "160", T2), "[3,'3',{}]", QUARANTINED("StopTransaction", "stopped_differently", ",'messageId':'3','transactionId':'$1'")}, {STOP("4", "$1", "160", T2), "[3,'4',{}]", ""}}},
    {"a meter that ran backwards (5.8)", 0, {A_START, {STOP("2", "$1", "99", T1), "[3,'2',{}]", STOPPED("$1", "Local", "99", T1, ",'connectorId':1,'energyWh':0,'meterStartWh':100,'flags':['meter_backwards']")}}},
    {"transactionData before the stop (5.8)", 0, {A_START, {"[2,'2','StopTransaction',{'transactionId':$1,'meterStop':150,'timestamp':'" T1 "','transactionData':[{'timestamp':'" T1 "','sampledValue':[{'value':'150','context':'Transaction.End'}]}]}]", "[3,'2',{}]",
     "transaction.meter_values {'connectorId':1,'transactionId':'$1','meterValues':[{'timestamp':'" T1 "','sampledValue':{'value':'150','measurand':'Energy.Active.Import.Register','unit':'Wh','context':'Transaction.End'}}]}\n" STOPPED("$1", "Local", "150", T1, ",'connectorId':1,'energyWh':50,'meterStartWh':100")}}},
    {"transactionData that is empty (5.8)", 0, {A_START, {"[2,'2','StopTransaction',{'transactionId':$1,'meterStop':150,'timestamp':'" T1 "','transactionData':[]}]", "[3,'2',{}]", "transaction.stopped *"}}},
    {"an unknown reason (2.4)", 0, {A_START, {"[2,'2','StopTransaction',{'transactionId':$1,'meterStop':150,'timestamp':'" T1 "','reason':'Bored'}]", "[3,'2',{}]", STOPPED("$1", "Bored", "150", T1, ",'connectorId':1,'energyWh':50,'meterStartWh':100,'flags':['format_bent']")}}},
    {"numbers as text (2.4)", 0, {A_START, {STOP("2", "'$1'", "'150'", T1), "[3,'2',{}]", "transaction.stopped *'$1'*'energyWh':50*'flags':['format_bent']}"}}},
    {"a clock that fell back to 1970 (FL 46)", 0, {A_START, {STOP("2", "$1", "150", "1970-01-01T00:01:00Z"), "[3,'2',{}]", "transaction.stopped *'energyWh':50*'flags':['clock_corrected']}"}}},
    {"id -1: the one whose id it never used (5.8, 10.3)", 0, {A_START, {STOP("2", "-1", "150", T1), "[3,'2',{}]", STOPPED("$1", "Local", "150", T1, ",'connectorId':1,'energyWh':50,'meterStartWh':100,'flags':['inferred']")}}},
    {"its repeat ends nothing else and is kept nowhere (5.8)", 0, {A_START, {STOP("2", "-1", "150", T1), "[3,'2',{}]", "transaction.stopped *"}, {STOP("3", "-1", "150", T1), "[3,'3',{}]", ""}, {START("4", "1", "TAG", "140", T0), ACCEPTED("4", "$2"), "transaction.started *"}, {STOP("5", "-1", "150", T1), "[3,'5',{}]", ""}}},
    {"id -1, but the station knows its id: kept (5.8)", 0, {A_START, {METER("2", "'connectorId':1,'transactionId':$1,", T1, "120"), "[3,'2',{}]", "transaction.meter_values *"}, {STOP("3", "-1", "150", T2), "[3,'3',{}]", QUARANTINED("StopTransaction", "transaction_id_unusable", ",'messageId':'3','transactionId':'-1'")}}},
    {"id -1 and two that fit: a person decides (5.8)", 0, {{START("0", "2", "TAG2", "100", T0), ACCEPTED("0", "$1"), "*"}, {START("1", "1", "TAG", "100", T0), ACCEPTED("1", "$2"), "*"}, {STOP("2", "-1", "150", T1), "[3,'2',{}]", QUARANTINED("StopTransaction", "transaction_id_unusable", "")}}},
    {"id -1, a reading below the start: not that one", 0, {A_START, {STOP("2", "-1", "50", T1), "[3,'2',{}]", QUARANTINED("StopTransaction", "transaction_id_unusable", "")}}},
    {"id 0 (FL 7)", 0, {{STOP("2", "0", "50", T1), "[3,'2',{}]", QUARANTINED("StopTransaction", "transaction_id_unusable", ",'messageId':'2','transactionId':'0'")}}},
    {"id 2^63-1 (2.4)", 0, {{STOP("2", "9223372036854775807", "50", T1), "[3,'2',{}]", QUARANTINED("StopTransaction", "transaction_id_unusable", ",'messageId':'2'")}}},
    {"an id that is no number (2.4)", 0, {{STOP("2", "'abc'", "50", T1), "[3,'2',{}]", QUARANTINED("StopTransaction", "transaction_id_unusable", "")}}},
    {"no id (2.4)", 0, {{"[2,'2','StopTransaction',{'meterStop':5,'timestamp':'" T1 "'}]", "[3,'2',{}]", QUARANTINED("StopTransaction", "transaction_id_unusable", "")}}},
    {"an id that nobody gave, with a tag (5.8, FL 6)", 0, {{"[2,'2','StopTransaction',{'transactionId':77,'idTag':'TAG','meterStop':5,'timestamp':'" T1 "'}]", "[3,'2',{'idTagInfo':{'status':'Accepted'}}]", QUARANTINED("StopTransaction", "unknown_transaction", ",'messageId':'2','transactionId':'77'")}}},
    {"its repeat is kept once (FL 5)", 0, {{STOP("2", "77", "50", T1), "[3,'2',{}]", QUARANTINED("StopTransaction", "unknown_transaction", "")}, {STOP("3", "77", "50", T1), "[3,'3',{}]", ""}}},
    {"a stop before its start (FL 10)", 0, {{STOP("1", "-1", "150", T1), "[3,'1',{}]", QUARANTINED("StopTransaction", "transaction_id_unusable", "")},
     {START("2", "1", "TAG", "100", T0), ACCEPTED("2", "$1"), STARTED("1", "$1", "TAG", "100", FRESH) "\n" STOPPED("$1", "Local", "150", "2026-03-01T08:59:30.000Z", ",'connectorId':1,'energyWh':50,'meterStartWh':100,'flags':['stop_came_first']") "\nquarantine.resolved {'quarantineId':'*','resolution':'applied','transactionId':'$1','by':'server'}"},
     {STOP("3", "-1", "150", T1), "[3,'3',{}]", ""}, {START("4", "1", "TAG", "100", T0), ACCEPTED("4", "$1"), ""}, {START("5", "1", "TAG", "120", T0), ACCEPTED("5", "$2"), STARTED("1", "$2", "TAG", "120", FRESH)}}},
    {"a start after that stop is another one (FL 10)", 0, {{STOP("1", "-1", "150", T1), "[3,'1',{}]", QUARANTINED("StopTransaction", "*", "")}, {START("2", "1", "TAG", "100", T2), ACCEPTED("2", "$1"), STARTED("1", "$1", "TAG", "100", FRESH)}}},
    {"a start with a higher reading is another one", 0, {{STOP("1", "-1", "150", T1), "[3,'1',{}]", QUARANTINED("StopTransaction", "*", "")}, {START("2", "1", "TAG", "151", T0), ACCEPTED("2", "$1"), STARTED("1", "$1", "TAG", "151", FRESH)}}},
    {"by a clock of 1970 no stop is joined", 0, {{STOP("1", "-1", "150", T1), "[3,'1',{}]", QUARANTINED("StopTransaction", "*", "")}, {START("2", "1", "TAG", "100", "1970-01-01T00:00:07Z"), ACCEPTED("2", "$1"), STARTED("1", "$1", "TAG", "100", FRESH ",'flags':['clock_corrected']")}}},
    {"two waiting stops: each start takes the older that fits", 0, {{STOP("1", "-1", "150", T1), "[3,'1',{}]", "*"}, {STOP("2", "-1", "200", T2), "[3,'2',{}]", "*"}, {START("3", "1", "TAG", "100", T0), ACCEPTED("3", "$1"), "*'meterStopWh':150*"}, {START("4", "1", "TAG", "150", T1), ACCEPTED("4", "$2"), "*'meterStopWh':200*"}}},
    {"a waiting stop does not hide another with the same reading and time (FL 54)", 0, {{START("1", "1", "TAG", "0", T0), ACCEPTED("1", "$1"), "*"}, {METER("2", "'connectorId':1,'transactionId':$1,", T0, "0"), "[3,'2',{}]", "*"}, {STOP("3", "-1", "0", T1), "[3,'3',{}]", QUARANTINED("StopTransaction", "*", "")},
     {STOP("4", "$1", "0", T1), "[3,'4',{}]", STOPPED("$1", "Local", "0", T1, ",'connectorId':1,'energyWh':0,'meterStartWh':0")}}},
    {"another station's transaction is not ended (5.8, FL 9)", 0, {A_START, {"B" STOP("2", "$1", "150", T1), "[3,'2',{}]", QUARANTINED("StopTransaction", "foreign_transaction", "")}, {"B" STOP("3", "$1", "150", T1), "[3,'3',{}]", ""}, {STOP("4", "$1", "150", T1), "[3,'4',{}]", "transaction.stopped *'$1'*"}}},
    {"no reading (5.8)", 0, {A_START, {"[2,'2','StopTransaction',{'transactionId':$1,'timestamp':'" T1 "','idTag':'TAG'}]", "[3,'2',{'idTagInfo':{'status':'Accepted'}}]", QUARANTINED("StopTransaction", "meter_stop_missing", "")}, {STOP("3", "$1", "150", T1), "[3,'3',{}]", "transaction.stopped *"}}},
    {"a time that is none", 0, {A_START, {STOP("2", "$1", "150", "now"), "[3,'2',{}]", QUARANTINED("StopTransaction", "timestamp_not_readable", ",'messageId':'2','transactionId':'$1'")}}},
    {"strictly, no id (2.4)", STRICT_MODE, {{"[2,'2','StopTransaction',{'meterStop':5,'timestamp':'" T1 "'}]", "[4,'2','OccurenceConstraintViolation','transactionId: *',{}]", REFUSED("OccurenceConstraintViolation", "*")}}},
    {"strictly, -1 is an id that the standard names (5.8)", STRICT_MODE, {{STOP("2", "-1", "5", T1), "[3,'2',{}]", QUARANTINED("StopTransaction", "transaction_id_unusable", "")}}},

    /* --- by a person --- */
    {"ended by a person at its last reading", 0, {A_START, {"close $1 170", "0", STOPPED("$1", "Other", "170", "2026-03-01T09:00:00.000Z", ",'connectorId':1,'energyWh':70,'meterStartWh':100,'flags':['closed_by_operator']")}, {"close $1 180", "ERR_STATE", ""},
     {STOP("2", "$1", "200", T1), "[3,'2',{}]", QUARANTINED("StopTransaction", "stopped_differently", "")}}},
    {"ended by a person without a reading: no energy below 0", 0, {A_START, {"close $1 0", "0", "transaction.stopped *'meterStopWh':100,*'energyWh':0,*"}}},
    {"a kept stop is applied by a person", 0, {A_START, {METER("2", "'connectorId':1,'transactionId':$1,", T1, "120"), "[3,'2',{}]", "*"}, {STOP("3", "-1", "150", T2), "[3,'3',{}]", QUARANTINED("StopTransaction", "*", "")},
     {"apply $1 " STOP("3", "-1", "150", T2), "0", STOPPED("$1", "Local", "150", T2, ",'connectorId':1,'energyWh':50,'meterStartWh':100,'flags':['applied_by_operator']")}, {"apply $1 " STOP("3", "-1", "150", T2), "ERR_STATE", ""}}},
    {"a kept stop is applied to a superseded one", 0, {A_START, {START("2", "1", "TAG2", "150", T1), ACCEPTED("2", "$2"), "*"}, {"apply $1 " STOP("3", "77", "140", T1), "0", "transaction.stopped *'flags':['applied_by_operator','stopped_after_superseded']}"}}},
    {"what is no stop cannot be applied", 0, {A_START, {"apply $1 [2,'1','Heartbeat',{}]", "ERR_UNKNOWN", ""}, {"apply $1 [2,'2','StopTransaction',{'transactionId':5}]", "ERR_UNKNOWN", ""}, {"apply $1 nothing", "ERR_UNKNOWN", ""}}},
};

/* clang-format on */

/* --- the story teller --- */

/* * stands for any text. */
static bool is_like(const char *text, size_t len, const char *pattern, size_t pattern_len)
{
    size_t t = 0, p = 0, star = SIZE_MAX, back = 0;
    while (t < len) {
        if (p < pattern_len && pattern[p] == '*') {
            star = p++;
            back = t;
        } else if (p < pattern_len && pattern[p] == text[t]) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            t = ++back;
        } else {
            return false;
        }
    }
    while (p < pattern_len && pattern[p] == '*')
        p++;
    return p == pattern_len;
}

static void compare(const char *row, size_t step, const char *what, struct str got, const char *want)
{
    struct buf pattern;
    buf_init(&pattern, 65536);
    struct str w = kit_text(&pattern, want);
    bool is_same = is_like(got.at == NULL ? "" : got.at, got.len, w.at, w.len);
    if (!is_same)
        (void)fprintf(stderr, "step %zu, %s:\n  got  %.*s\n  want %.*s\n", step + 1, what, STR_ARG(got), STR_ARG(w));
    CHECK(row, is_same);
    buf_release(&pattern);
}

/* Every event is readable by its own schema, numbered without a gap, and the last carries frame and answer. */
static void check_events(const char *row, struct kit *k, struct str call, uint64_t sequence)
{
    struct arena a;
    arena_init(&a, KIT_ARENA_MAX);
    for (size_t i = 0; i < k->decision.event_count; i++) {
        const struct event *e = &k->decision.events[i];
        struct fault why;
        void *payload = arena_take(&a, event_kinds[e->type].payload->size + 1);
        CHECK(row, event_read_payload(e, &a, payload, &why) == OK);
        CHECK(row, e->sequence == (event_kinds[e->type].is_published ? ++sequence : 0));
        CHECK(row, e->received.us == k->now.us);
        bool is_last = i + 1 == k->decision.event_count && k->decision.answer.at != NULL;
        CHECK(row, str_eq(e->frame, is_last ? call : (struct str){NULL, 0}));
        CHECK(row, str_eq(e->answer, is_last ? k->decision.answer : (struct str){NULL, 0}));
        if (e->type == EVENT_TRANSACTION_STARTED || e->type == EVENT_TRANSACTION_STOPPED)
            CHECK(row, event_is_packed(e) == (is_last && k->policy.is_packing));
    }
    arena_release(&a);
}

/* A packed payload as the JSON that it stands for. */
static void render_payload(const struct event *e, struct buf *out)
{
    struct event whole = *e;
    struct arena a;
    struct buf json;
    arena_init(&a, KIT_ARENA_MAX);
    buf_init(&json, KIT_ARENA_MAX);
    CHECK("a payload is JSON, or becomes it", event_unpack(&whole, &a, &json, NULL) == OK);
    buf_put_str(out, whole.payload);
    arena_release(&a);
    buf_release(&json);
}

static void render_events(const struct kit *k, struct buf *out)
{
    buf_clear(out);
    for (size_t i = 0; i < k->decision.event_count; i++) {
        const struct event *e = &k->decision.events[i];
        buf_printf(out, "%s%.*s ", i == 0 ? "" : "\n", STR_ARG(event_kinds[e->type].wire));
        render_payload(e, out);
    }
}

static void forget(struct kit *k)
{
    for (uint32_t i = 0; i < 2 * STATION_CLOSED_MAX; i++)
        (void)station_add_transaction(
            &k->stations[0],
            &(struct transaction){.number = KIT_NUMBERS, .id = INT32_MAX - i, .state = TRANSACTION_CLOSED});
}

static void fill(struct kit *k)
{
    for (int32_t i = 1; i <= STATION_OPEN_MAX; i++)
        (void)station_add_transaction(
            &k->stations[0],
            &(struct transaction){.number = KIT_NUMBERS, .id = (uint32_t)(INT32_MAX - i), .connector_id = i});
}

/* close and apply; got is the error's word. */
static struct str by_person(struct kit *k, struct str call)
{
    bool is_close = str_starts(call, STR("close "));
    struct str rest = {call.at + 6, call.len - 6};
    size_t n = 0;
    int64_t id = 0, wh = 0;
    while (n < rest.len && rest.at[n] != ' ')
        n++;
    check(str_to_int((struct str){rest.at, n}, &id) == OK);
    rest = (struct str){rest.at + n + 1, rest.len - n - 1};
    struct transaction *t = station_transaction(&k->stations[0], (uint32_t)id);
    check(t != NULL);
    struct ocpp_input in = kit_input(k, 0, (struct str){NULL, 0});
    buf_clear(&k->text);
    arena_reset(&k->arena);
    k->decision = (struct ocpp_decision){0};
    enum err e;
    if (is_close) {
        check(str_to_int(rest, &wh) == OK);
        e = ocpp_close_transaction(&in, t, wh, &k->arena, &k->text, &k->decision);
    } else {
        e = ocpp_apply_stop(&in, rest, t, &k->arena, &k->text, &k->decision);
    }
    return e == OK ? STR("0") : (e == ERR_STATE ? STR("ERR_STATE") : STR("ERR_UNKNOWN"));
}

static void tell(const char *row, struct kit *k, size_t i, const struct told *t)
{
    struct buf events;
    buf_init(&events, KIT_TEXT_MAX);
    struct str call = kit_text(&k->call, t->call);
    size_t station = call.at[0] == 'B';
    uint64_t sequence = k->stations[station].sequence;
    struct str got = {NULL, 0};
    int64_t seconds;
    k->decision = (struct ocpp_decision){0};
    if (str_starts(call, STR("at ")) && str_to_int((struct str){call.at + 3, call.len - 3}, &seconds) == OK) {
        k->now = instant_add(KIT_NOW, SPAN_S(seconds));
    } else if (str_eq(call, STR("connect"))) {
        k->stations[0].generation++;
    } else if (str_eq(call, STR("forget"))) {
        forget(k);
    } else if (str_eq(call, STR("fill"))) {
        fill(k);
    } else if (str_starts(call, STR("close ")) || str_starts(call, STR("apply "))) {
        got = by_person(k, call);
    } else {
        call = (struct str){call.at + station, call.len - station};
        kit_call(k, station, call);
        got = k->decision.answer;
    }
    CHECK(row, (got.at != NULL) == (t->answer != NULL));
    if (t->answer != NULL)
        compare(row, i, "answer", got, t->answer);
    render_events(k, &events);
    compare(row, i, "events", events.len == 0 ? STR("") : buf_str(&events), t->events);
    check_events(row, k, call, sequence);
    buf_release(&events);
}

/* With packed payloads all is the same to the byte, also where shapes and lists are known from rows before. */
static void check_rows(bool is_packing, struct shapes *shapes)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct kit *k = kit_new();
        k->policy.is_packing = is_packing;
        k->shapes = shapes;
        unsigned setup = rows[i].setup;
        k->policy.is_strict = (setup & STRICT_MODE) != 0;
        k->policy.accepts_unknown_tags = (setup & TAKE_TAGS) != 0;
        k->policy.heartbeat_events = (setup & BEAT_EVENTS) != 0;
        k->policy.max_concurrent = (setup & ONE_EACH) != 0;
        k->policy.unknown_station = (setup & HOLD_UNKNOWN) != 0 ? REGISTRATION_PENDING : REGISTRATION_ACCEPTED;
        k->answers_trigger = (setup & TRIGGERED) != 0;
        if ((setup & (IS_PENDING | IS_REJECTED | IS_UNKNOWN)) != 0)
            k->stations[0].registration = (setup & IS_PENDING) != 0    ? REGISTRATION_PENDING
                                          : (setup & IS_REJECTED) != 0 ? REGISTRATION_REJECTED
                                                                       : REGISTRATION_UNKNOWN;
        for (size_t n = 0; n < STEPS_MAX && rows[i].steps[n].call != NULL; n++)
            tell(rows[i].row, k, n, &rows[i].steps[n]);
        kit_free(k);
    }
}

/* --- every field of every action that stations call, bent in every way (2.3, 2.4) --- */

/* clang-format off */
enum kindness { PLAIN, LONG_TEXT, TRANSACTION };
static const struct {
    const char *action, *payload; /* valid, with every field */
    enum kindness kindness;       /* 2.4 */
} valid[] = {
    {"Authorize", "{'idTag':'TAG'}", PLAIN},
    {"BootNotification", "{'chargePointVendor':'V','chargePointModel':'M','chargePointSerialNumber':'S','chargeBoxSerialNumber':'B','firmwareVersion':'1','iccid':'1','imsi':'2','meterType':'T','meterSerialNumber':'N'}", LONG_TEXT},
    {"DataTransfer", "{'vendorId':'V','messageId':'M','data':'D'}", PLAIN},
    {"Heartbeat", "{}", PLAIN},
    {"MeterValues", "{'connectorId':1,'transactionId':5,'meterValue':[{'timestamp':'" T0 "','sampledValue':[{'value':'1'}]}]}", TRANSACTION},
    {"StartTransaction", "{'connectorId':1,'idTag':'TAG','meterStart':1,'reservationId':4,'timestamp':'" T0 "'}", TRANSACTION},
    {"StatusNotification", "{'connectorId':1,'errorCode':'NoError','info':'i','status':'Available','timestamp':'" T0 "','vendorId':'v','vendorErrorCode':'e'}", LONG_TEXT},
    {"StopTransaction", "{'idTag':'TAG','meterStop':9,'timestamp':'" T0 "','transactionId':5,'reason':'Local','transactionData':[{'timestamp':'" T0 "','sampledValue':[{'value':'1'}]}]}", TRANSACTION},
    {"DiagnosticsStatusNotification", "{'status':'Idle'}", PLAIN},
    {"FirmwareStatusNotification", "{'status':'Idle'}", PLAIN},
    {"SecurityEventNotification", "{'type':'T','timestamp':'" T0 "','techInfo':'x'}", LONG_TEXT},
    {"SignCertificate", "{'csr':'c'}", PLAIN},
    {"LogStatusNotification", "{'status':'Idle','requestId':1}", PLAIN},
    {"SignedFirmwareStatusNotification", "{'status':'Idle','requestId':1}", PLAIN},
};

enum bend { AS_IT_IS, LEFT_OUT, NULLED, WRONG_TYPE, TOO_LONG, UNKNOWN_WORD, NO_TIME, MORE, TURNED_ROUND, BEND_COUNT };
static const char *const bend_names[BEND_COUNT] = {"as it is", "left out", "null", "of a wrong type", "too long", "an unknown word", "a time that is none", "a member more", "in another order"};

static bool can_bend(const struct field *f, enum bend b)
{
    switch (b) {
    case WRONG_TYPE: return f->kind != KIND_ANY;
    case TOO_LONG: return f->kind == KIND_STR && f->most > 0;
    case UNKNOWN_WORD: return f->kind == KIND_CHOICE;
    case NO_TIME: return f->kind == KIND_TIME;
    case AS_IT_IS: case LEFT_OUT: case NULLED: case MORE: case TURNED_ROUND: case BEND_COUNT: break;
    }
    return true;
}

/* clang-format on */

static void put_value(struct buf *out, const struct field *f, enum bend b, struct str value)
{
    if (b == NULLED)
        buf_put_lit(out, "null");
    else if (b == WRONG_TYPE)
        buf_put_str(out, f->kind == KIND_LIST || f->kind == KIND_INT32 ? STR("\"x\"") : STR("[5]"));
    else if (b == TOO_LONG)
        buf_printf(out, "\"%0*d\"", (int)f->most + 1, 7);
    else if (b == UNKNOWN_WORD)
        buf_put_lit(out, "\"Whatever\"");
    else if (b == NO_TIME)
        buf_put_lit(out, "\"tomorrow\"");
    else
        buf_put_str(out, value);
}

/* The valid payload with one field bent. */
static void put_payload(struct buf *out, const struct message *m, struct str valid_payload, size_t bent, enum bend b)
{
    struct str values[SCHEMA_FIELDS_MAX] = {{NULL, 0}};
    struct json j;
    struct json_string key;
    bool has_item = false;
    json_init(&j, valid_payload);
    check(json_open_object(&j));
    while (json_next_key(&j, &key))
        for (size_t i = 0; i < m->field_count; i++)
            if (json_string_is(key, m->fields[i].wire))
                check(json_get_raw(&j, &values[i]));
    check(json_end(&j) == OK);
    buf_put_byte(out, '{');
    for (size_t n = 0; n < m->field_count; n++) {
        size_t i = b == TURNED_ROUND ? m->field_count - 1 - n : n;
        check(values[i].at != NULL); /* the table above has every field */
        if (i == bent && b == LEFT_OUT)
            continue;
        buf_printf(out, "%s\"%.*s\":", has_item ? "," : "", STR_ARG(m->fields[i].wire));
        put_value(out, &m->fields[i], i == bent ? b : AS_IT_IS, values[i]);
        has_item = true;
    }
    if (b == MORE)
        buf_printf(out, "%s\"moreOfIt\":[1]", has_item ? "," : "");
    buf_put_byte(out, '}');
}

/* The code that ocpp16.md 2.3 and 2.4 ask for; NULL: it is answered with a result. */
static const char *want_code(size_t action, const struct message *m, const struct field *f, enum bend b, bool is_strict)
{
    static const char *const strict[BEND_COUNT] = {[WRONG_TYPE] = "TypeConstraintViolation",
                                                   [TOO_LONG] = "PropertyConstraintViolation",
                                                   [NO_TIME] = "PropertyConstraintViolation",
                                                   [UNKNOWN_WORD] = "PropertyConstraintViolation",
                                                   [MORE] = "FormationViolation",
                                                   [NULLED] = "TypeConstraintViolation"};
    bool is_absent = b == LEFT_OUT || (b == NULLED && !is_strict);
    if (valid[action].kindness == TRANSACTION && !is_strict) { /* refused only without a connector in a start */
        bool is_lost = f != NULL && (is_absent || b == WRONG_TYPE) && m == &start_transaction_req_message &&
                       str_eq(f->wire, STR("connectorId"));
        return is_lost ? "OccurenceConstraintViolation" : NULL;
    }
    if (is_absent)
        return f != NULL && f->presence == REQUIRED ? "OccurenceConstraintViolation" : NULL;
    if (!is_strict &&
        (b == MORE || (b == UNKNOWN_WORD && f->is_open) || (b == TOO_LONG && valid[action].kindness == LONG_TEXT)))
        return NULL;
    if (b == NULLED && f != NULL && f->kind == KIND_ANY)
        return NULL;
    return strict[b];
}

static void check_bent(size_t action, const struct message *m, size_t field, enum bend b, bool is_strict)
{
    char row[128];
    struct kit *k = kit_new();
    struct buf payload, frame;
    const struct field *f = field < m->field_count ? &m->fields[field] : NULL;
    buf_init(&payload, 65536);
    buf_init(&frame, 65536);
    (void)snprintf(row, sizeof row, "%s%s, %.*s %s (2.4)", is_strict ? "strictly, " : "", valid[action].action,
                   f == NULL ? 0 : (int)f->wire.len, f == NULL ? "" : f->wire.at, bend_names[b]);
    struct str whole = kit_text(&k->call, valid[action].payload);
    put_payload(&payload, m, whole, field, b);
    ocpp_write_call(&frame, STR("7"), str_of(valid[action].action), buf_str(&payload));
    k->policy.is_strict = is_strict;
    kit_call(k, 0, buf_str(&frame));
    const char *code = want_code(action, m, f, b, is_strict);
    CHECK(row, k->decision.answer.at != NULL);
    CHECK(row, str_eq(k->decision.error_code, str_of(code)));
    CHECK(row, str_starts(k->decision.answer, code == NULL ? STR("[3,\"7\",{") : STR("[4,\"7\",\"")));
    CHECK(row, code == NULL || (k->decision.event_count == 1 && k->decision.events[0].type == EVENT_PROTOCOL_ERROR));
    CHECK(row, json_check(k->decision.answer, NULL) == OK);
    check_events(row, k, buf_str(&frame), 0);
    buf_release(&payload);
    buf_release(&frame);
    kit_free(k);
}

static void check_every_field(void)
{
    size_t count = 0;
    for (size_t i = 0; i < ACTION_COUNT; i++)
        count += ocpp_actions[i].from_station;
    CHECK("every action that stations call has a valid payload here", count == COUNT_OF(valid));
    for (size_t i = 0; i < COUNT_OF(valid); i++) {
        const struct ocpp_action *a = ocpp_action_find(str_of(valid[i].action));
        CHECK(valid[i].action, a != NULL && a->from_station);
        for (int is_strict = 0; is_strict < 2; is_strict++) {
            static const enum bend of_whole[] = {AS_IT_IS, MORE, TURNED_ROUND};
            for (size_t b = 0; b < COUNT_OF(of_whole); b++)
                check_bent(i, a->request, SIZE_MAX, of_whole[b], is_strict);
            for (size_t f = 0; f < a->request->field_count; f++)
                for (enum bend b = LEFT_OUT; b < MORE; b++)
                    if (can_bend(&a->request->fields[f], b))
                        check_bent(i, a->request, f, b, is_strict);
        }
    }
}

/* --- tables --- */

static void check_tables(void)
{
    for (int e = OK + 1; e < ERR_COUNT;
         e++) { /* GenericError is what an error without a row would get: it has one error's row */
        struct str code = ocpp_error_code((enum err)e);
        CHECK(err_text((enum err)e), code.len > 0 && (str_eq(code, STR("GenericError")) == (e == ERR_EXISTS)));
    }
    for (size_t i = 0; i < ACTION_COUNT; i++) { /* an action of stations without a handler would end this program */
        const struct ocpp_action *a = &ocpp_actions[i];
        struct kit *k = kit_new();
        struct buf frame;
        buf_init(&frame, 4096);
        ocpp_write_call(&frame, STR("1"), a->name, STR("{}"));
        kit_call(k, 0, buf_str(&frame));
        CHECK("every action is answered (11.7)", k->decision.answer.len > 0);
        CHECK("only stations' own are taken (2.3)",
              a->from_station == !str_eq(k->decision.error_code, STR("NotSupported")));
        buf_release(&frame);
        kit_free(k);
    }
}

static void check_orphans(void)
{
    struct arena a;
    struct orphan o = {.is_set = false};
    struct buf text;
    arena_init(&a, 65536);
    buf_init(&text, 4096);
    CHECK("a kept stop is read again",
          ocpp_read_orphan(kit_text(&text, STOP("1", "-1", "5", "1970-01-01T00:00:01Z")), &a, &o) == OK && o.is_set &&
              o.meter_stop_wh == 5 && o.timestamp.us == 1000000 && strcmp(o.reason, "Local") == 0);
    CHECK("what is no stop is not", ocpp_read_orphan(STR("[2,\"1\",\"Heartbeat\",{}]"), &a, &o) == ERR_UNKNOWN);
    CHECK("nor one without a reading",
          ocpp_read_orphan(STR("[2,\"1\",\"StopTransaction\",{}]"), &a, &o) == ERR_UNKNOWN);
    CHECK("keys are never 0", ocpp_meter_key(STR("{}")) != 0 && ocpp_stop_key(0, (struct instant){0}) != 0);
    buf_release(&text);
    arena_release(&a);
}

static const struct {
    const char *row;
    int entries, samples, value_size;
    size_t events;
    bool is_cut;
} big_rows[] = {
    {"as many samples as one event holds", 2, SCHEMA_ITEMS_MAX / 2, 1, 1, false},
    {"a long session's are several events", 3, 4000, 1, 3, false},
    {"past the limit the frame has them all, and the event says so", 5, 4000, 1, 4, true},
    {"long values likewise", 1, 60, 100000, 1, true},
};

static void check_big_meter(void)
{
    for (size_t r = 0; r < COUNT_OF(big_rows); r++) {
        struct kit *k = kit_new();
        struct buf frame;
        buf_init(&frame, KIT_TEXT_MAX);
        buf_put_lit(&frame, "[2,\"1\",\"MeterValues\",{\"connectorId\":1,\"meterValue\":[");
        for (int i = 0; i < big_rows[r].entries; i++) {
            buf_printf(&frame, "%s{\"timestamp\":\"2026-03-01T08:00:00.%0200dZ\",\"sampledValue\":[", i == 0 ? "" : ",",
                       0);
            for (int n = 0; n < big_rows[r].samples; n++)
                buf_printf(&frame, "%s{\"value\":\"%0*d\"}", n == 0 ? "" : ",", big_rows[r].value_size, n % 10);
            buf_put_lit(&frame, "]}");
        }
        buf_put_lit(&frame, "]}]");
        kit_call(k, 0, buf_str(&frame));
        CHECK(big_rows[r].row, str_eq(k->decision.answer, STR("[3,\"1\",{}]")));
        CHECK(big_rows[r].row, k->decision.event_count == big_rows[r].events);
        for (size_t i = 0; i < k->decision.event_count; i++) {
            struct str payload = k->decision.events[i].payload;
            CHECK(big_rows[r].row, payload.len < (size_t)8 << 20);
            CHECK(big_rows[r].row,
                  (memmem(payload.at, payload.len, "\"values_in_frame_only\"", 22) != NULL) == big_rows[r].is_cut);
        }
        check_events(big_rows[r].row, k, buf_str(&frame), 0);
        buf_release(&frame);
        kit_free(k);
    }
}

int main(void)
{
    struct shapes *shapes = shapes_new();
    check_rows(false, NULL);
    check_rows(true, NULL);
    for (int round = 0; round < 3; round++) /* known after the first, and after the second even where one row drove another out */
        check_rows(true, shapes);
    shapes_free(shapes);
    check_every_field();
    check_tables();
    check_orphans();
    check_big_meter();
    return CHECK_REPORT();
}
