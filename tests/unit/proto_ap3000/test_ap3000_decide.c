/* What a frame means, but for orders and cards: who a pile is, heartbeats, time, alarms, repeats; that every command
 * has its place; that no frame, however bent, breaks the rules of answering. Each row names its paragraph of ap3000.md.
 */
#include "pilestory.h"

/* clang-format off */
#define CONNECTED(rest) "charge_point.connected {'model':'type 0x21','vendor':'AP3000','firmwareVersion':'1.26','serialNumber':'13544000'" rest
#define STATUS(c, word, previous, error, rest) "connector.status_changed {'connectorId':" c ",'status':'" word "','previousStatus':'" previous "','errorCode':'" error "'" rest "}"
#define REGISTER "20 7E00 02 00 21 00 0000"
#define BEAT(ports) "21 9808 02 " ports " 00 00"
#define OLD_BEAT(id, ports) "01 #" id " 7E00 9808 02 " ports " 00000000 00000000 03 00 21 00 00"
#define HOST_BEAT "11 6502 01 5CA95F1F 06 05"

static const struct story rows[] = {
    /* --- the first frame of a line, whatever it is --- */
    {"a power-up: registration first (6.8)", IS_NEW, {{REGISTER, "00", CONNECTED(",'protocol':'ap3000','connectors':2,'remoteAddress':'192.0.2.1:9','registration':'accepted','physicalId':'04CEAA40','deviceType':33,'workMode':0,'virtualId':0,'powerBoardVersion':0,'heartbeatStyle':'modern','heartbeatSeconds':180}")}}},
    {"a product that is known (5.11)", IS_NEW, {{"20 CD00 02 05 21 01 0300", "00", "charge_point.connected {'model':'new RS-485 dual mode',*'firmwareVersion':'2.05',*'deviceType':33,'workMode':1,'virtualId':5,'powerBoardVersion':3,*}"}}},
    {"the short form of old firmware (2.7)", IS_NEW, {{"20 7E00 02 00 21", "00", CONNECTED("*'workMode':0,'virtualId':0,'powerBoardVersion':0*")}}},
    {"surplus bytes (A12)", IS_NEW, {{"20 7E00 02 00 21 00 0000 01 02", "00", CONNECTED("*")}}},
    {"a time request first (6.10)", IS_NEW, {{"22", "1000A469", "charge_point.connected {'model':'unknown','vendor':'AP3000','serialNumber':'13544000','protocol':'ap3000','remoteAddress':'192.0.2.1:9','registration':'accepted','physicalId':'04CEAA40'}"},
     {REGISTER, "00", CONNECTED("*")}, {BEAT("00 00"), "00", "connector.status_changed *\nconnector.status_changed *"}}},
    {"a heartbeat first: its style is told (6.1)", IS_NEW, {{BEAT("00 01"), "00", "charge_point.connected {'model':'unknown',*'heartbeatStyle':'modern'}\nconnector.status_changed {'connectorId':1,'status':'Available','errorCode':'NoError'}\nconnector.status_changed {'connectorId':2,'status':'Charging','errorCode':'NoError'}"}}},
    {"a new line of a pile that is known tells it again (12)", 0, {{"connect", NULL, ""}, {BEAT("00 00"), "00", CONNECTED("*")}, {BEAT("00 00"), "00", ""}}},
    {"after a restart of ours too", 0, {{"restart", NULL, ""}, {"22", "1000A469", CONNECTED("*")}, {BEAT("00 00"), "00", ""}}},
    {"registration that we asked for, right behind: nothing new", 0, {{"connect", NULL, ""}, {BEAT("00 00"), "00", CONNECTED("*")}, {REGISTER, "00", ""}}},
    {"a power-up on the same line (6.8)", 0, {{"at 3600", NULL, ""}, {REGISTER, "00", CONNECTED("*")}, {"at 3660", NULL, ""}, {REGISTER, "00", CONNECTED("*")}}},
    {"its repetition is none (3.3)", 0, {{"at 3600", NULL, ""}, {"20 #9 7E00 02 00 21 00 0000", "00", CONNECTED("*")}, {"at 3615", NULL, ""}, {"20 #9 7E00 02 00 21 00 0000", "00 again", ""}}},
    {"a fact that changes is told (6.8)", 0, {{"20 7F00 02 00 21 00 0000", "00", "charge_point.connected *'firmwareVersion':'1.27'*"}, {"20 7F00 04 00 21 00 0000", "00", "charge_point.connected *'connectors':4*"}}},
    {"too short to be read: answered, and no more (3.3)", 0, {{"20 7E00 02 00", "00", ""}, {"21 9808", "00", ""}}},
    {"the card of its line (1.2)", IS_NEW, {{"iccid 89860463118192009275", NULL, ""}, {REGISTER, "00", "charge_point.connected *'iccid':'89860463118192009275'*"}}},
    {"another card than before is worth a word (12)", 0, {{"iccid 89860463118192009275", NULL, ""}, {BEAT("00 00"), "00", "charge_point.connected *'iccid':'89860463118192009275'*"}, {"iccid 898604D9162390488297", NULL, ""}, {BEAT("00 00"), "00", "security.event {'type':'IccidChanged','techInfo':'*','origin':'gateway'}\ncharge_point.connected *'iccid':'898604D9162390488297'*"}, {BEAT("00 00"), "00", ""}}},
    {"the host of its line (12)", 0, {{"host AP14067332", NULL, ""}, {BEAT("00 00"), "00", "charge_point.connected *'host':'AP14067332'*"}, {REGISTER, "00", ""}}},
    {"one that stands alone again", 0, {{"host AP14067332", NULL, ""}, {BEAT("00 00"), "00", "charge_point.connected *'host':*"}, {"host ", NULL, ""}, {"20 7E00 02 07 21 00 0000", "00", "charge_point.connected *"}}},

    /* --- who may speak: 3.3, 13.4 --- */
    {"an unknown pile is taken by policy", IS_NEW | IS_UNKNOWN, {{"22", "1000A469", "charge_point.connected *'registration':'accepted'*"}}},
    {"an unknown pile waits by policy: time, registration and heartbeat are answered", IS_NEW | IS_UNKNOWN | HOLD_UNKNOWN, {{REGISTER, "00", "boot.held {'model':'type 0x21',*'registration':'pending',*}"}, {"22", "1000A469", ""}, {BEAT("00 01"), "00", ""}, {REGISTER, "00", ""}, {"20 7F00 02 00 21 00 0000", "00", ""}}},
    {"one that is rejected", IS_NEW | IS_REJECTED, {{BEAT("01 01"), "00", "boot.held *'registration':'rejected'*"}, {"12", "1000A469", ""}, {"connect", NULL, ""}, {BEAT("01 01"), "00", "boot.held *"}}},
    {"nothing else of it is taken", IS_NEW | IS_PENDING, {{"22", "1000A469", "boot.held *"}, {"42 04 00 00", NULL, ""}, {"06 01 01 2C01 0200 01 7206 0807 0040 0620 20260115093012000000000000000042", NULL, ""}, {"04 00 01 00000000 0C00 20260115093012000000000000000042", NULL, ""}, {"15", NULL, ""}, {"3B 0000", NULL, ""}, {"05 21 CD00", NULL, ""}}},
    {"accepted in mid-connection: told, and its ports", IS_NEW | IS_PENDING, {{BEAT("00 01"), "00", "boot.held *"}, {"accept", NULL, ""}, {BEAT("00 01"), "00", "charge_point.connected *'registration':'accepted'*\nconnector.status_changed *1*\nconnector.status_changed *2*"}}},
    {"a bound pile on its card", IS_NEW, {{"bind 898604D9162390488297", NULL, ""}, {"iccid 898604d9162390488297", NULL, ""}, {REGISTER, "00", CONNECTED("*")}}},
    {"a bound pile on another card is held", IS_NEW, {{"bind 898604D9162390488297", NULL, ""}, {"iccid 89860463118192009275", NULL, ""}, {REGISTER, "00", "boot.held *\nsecurity.event {'type':'IccidNotBound',*}"}, {BEAT("01 01"), "00", ""}, {"42 04 00", NULL, ""}}},
    {"a bound pile on a line without card is held", IS_NEW, {{"bind 898604D9162390488297", NULL, ""}, {REGISTER, "00", "boot.held *\nsecurity.event *"}}},

    /* --- heartbeats 6.9, 5.1 --- */
    {"a heartbeat says nothing new (6.9)", 0, {{BEAT("00 00"), "00", ""}, {BEAT("00 00"), "00", ""}}},
    {"heartbeats as events, where asked for", BEAT_EVENTS, {{BEAT("00 00"), "00", "heartbeat.received {}"}}},
    {"a port changes, the other does not (5.1)", 0, {{BEAT("00 02"), "00", STATUS("2", "Preparing", "Available", "NoError", ",'vendorErrorCode':'0x02'")}, {BEAT("00 01"), "00", STATUS("2", "Charging", "Preparing", "NoError", "")}, {BEAT("00 05"), "00", STATUS("2", "SuspendedEV", "Charging", "NoError", ",'vendorErrorCode':'0x05'")}, {BEAT("00 03"), "00", STATUS("2", "Finishing", "SuspendedEV", "NoError", ",'vendorErrorCode':'0x03'")}, {BEAT("00 00"), "00", STATUS("2", "Available", "Finishing", "NoError", "")}}},
    {"faults (5.1)", 0, {{BEAT("04 06"), "00", STATUS("1", "Faulted", "Available", "PowerMeterFailure", ",'info':'fault: this circuit cannot be metered','vendorErrorCode':'0x04'") "\n" STATUS("2", "Faulted", "Available", "InternalError", "*'0x06'")},
     {BEAT("09 0B"), "00", STATUS("1", "Faulted", "Faulted", "PowerSwitchFailure", "*'0x09'") "\n" STATUS("2", "Faulted", "Faulted", "PowerSwitchFailure", "*'0x0B'")}, {BEAT("0E 0F"), "00", STATUS("1", "Faulted", "Faulted", "PowerSwitchFailure", "*'0x0E'") "\n" STATUS("2", "Faulted", "Faulted", "ReaderFailure", "*'0x0F'")},
     {BEAT("07 08"), "00", STATUS("1", "Faulted", "Faulted", "OtherError", "*'0x07'") "\n" STATUS("2", "Faulted", "Faulted", "OtherError", "*'0x08'")}, {BEAT("0A 0C"), "00", STATUS("1", "Faulted", "Faulted", "OtherError", "*'0x0A'") "\n" STATUS("2", "Faulted", "Faulted", "OtherError", "*'0x0C'")},
     {BEAT("0D 10"), "00", STATUS("1", "Faulted", "Faulted", "OtherError", "*'0x0D'") "\n" STATUS("2", "Faulted", "Faulted", "OtherError", "*'0x10'")}, {BEAT("11 FF"), "00", STATUS("1", "Faulted", "Faulted", "OtherError", ",'vendorErrorCode':'0x11'") "\n" STATUS("2", "Faulted", "Faulted", "OtherError", ",'vendorErrorCode':'0xFF'")}}},
    {"more ports than it had said (A8)", 0, {{"21 9808 03 00 00 03", "00", "connector.status_changed {'connectorId':3,'status':'Finishing','errorCode':'NoError','vendorErrorCode':'0x03'}"}}},
    {"no ports at all", 0, {{"21 9808 00", "00", ""}}},
    {"fewer statuses than it says", 0, {{"21 9808 03 00 00", "00", ""}}},
    {"after a restart what the tables know is no news", 0, {{BEAT("00 02"), "00", "connector.status_changed *"}, {"restart", NULL, ""}, {BEAT("00 02"), "00", CONNECTED("*}")}}},

    /* --- old heartbeats 6.1 --- */
    {"the first old heartbeat is not answered, but asked about (6.1)", IS_NEW, {{OLD_BEAT("7", "00 00"), NULL, "charge_point.connected *'virtualId':3,*'heartbeatStyle':'asked'*\nconnector.status_changed *\nconnector.status_changed *\nwish status"},
     {OLD_BEAT("7", "00 00"), NULL, ""}, {"at 180", NULL, ""}, {OLD_BEAT("8", "00 02"), "00", "charge_point.connected *'heartbeatStyle':'legacy'*\n" STATUS("2", "Preparing", "Available", "NoError", "*")}, {"at 360", NULL, ""}, {OLD_BEAT("9", "00 02"), "00", ""}}},
    {"its repetition counts for nothing (6.1)", IS_NEW, {{OLD_BEAT("7", "00 00"), NULL, "*wish status"}, {"at 15", NULL, ""}, {OLD_BEAT("7", "00 00"), NULL, ""}, {"at 30", NULL, ""}, {OLD_BEAT("7", "00 01"), NULL, "connector.status_changed *"}}},
    {"one that always says the same id is legacy all the same", IS_NEW, {{OLD_BEAT("0", "00 00"), NULL, "*wish status"}, {"at 180", NULL, ""}, {OLD_BEAT("0", "00 00"), "00", "charge_point.connected *'legacy'*"}}},
    {"a modern one is never answered on it (6.1)", 0, {{OLD_BEAT("7", "00 02"), NULL, STATUS("2", "Preparing", "Available", "NoError", "*")}, {"at 180", NULL, ""}, {OLD_BEAT("8", "00 02"), NULL, ""}, {"at 360", NULL, ""}, {OLD_BEAT("9", "00 02"), NULL, ""}}},
    {"what was asked turns out modern (6.1)", IS_NEW, {{OLD_BEAT("7", "00 00"), NULL, "*wish status"}, {REGISTER, "00", "charge_point.connected *'modern'*"}, {"at 180", NULL, ""}, {OLD_BEAT("8", "00 00"), NULL, ""}}},
    {"a legacy one turns modern (6.1)", IS_NEW, {{OLD_BEAT("7", "00 00"), NULL, "*"}, {"at 180", NULL, ""}, {OLD_BEAT("8", "00 00"), "00", "charge_point.connected *'legacy'*"}, {BEAT("00 00"), "00", "charge_point.connected *'modern'*"}, {"at 360", NULL, ""}, {OLD_BEAT("9", "00 00"), NULL, ""}}},
    {"the shortest form (2.7)", IS_NEW, {{"01 7E00 9808 02 0000 00000000 00000000", NULL, "charge_point.connected {'model':'unknown',*'connectors':2,*}*"}}},

    /* --- numbers that are not unique: 2.4, A13 --- */
    {"a fallback number is told once a line", IS_NEW, {{"fallback", NULL, ""}, {REGISTER, "00", "charge_point.connected *\ndevice.alarm {'alarm':'duplicate_id'}"}, {BEAT("00 00"), "00", "connector.status_changed *"}, {"02 7A8D05DD 00 00", "7A8D05DD0C000000000000 held", "authorization.requested {'idTag':'7A8D05DD','status':'PileNotRegistered','connectorId':1}"}, {"connect", NULL, ""}, {BEAT("00 00"), "00", "charge_point.connected *\ndevice.alarm {'alarm':'duplicate_id'}"}}},

    /* --- hosts 8.2 to 8.10 --- */
    {"a host (8.2)", IS_NEW, {{HOST_BEAT, NULL, "charge_point.connected {'model':'unknown','vendor':'AP3000','firmwareVersion':'6.13',*'hostFirmware':613}"}, {HOST_BEAT, NULL, ""}, {"12", "1000A469", ""}}},
    {"a host that says all (8.2)", IS_NEW, {{"11 F501 02 185C6869 1F 07 3839383630313233343536373839303132333475 00 0000 383637353834303331323334353637 000000000000000000000000000000000000000000000000", NULL, "charge_point.connected {'model':'host type 0x00',*'firmwareVersion':'5.01',*'hostType':0,'hostFirmware':501,'imei':'867584031234567'}"}}},
    {"its card, where its line said none (1.2)", IS_NEW, {{"11 F501 02 185C6869 1F 07 3839383630343633313138313932303039323735 03 0000", NULL, "charge_point.connected {'model':'new LoRa host',*'iccid':'89860463118192009275',*}"}}},
    {"the card of the line stands", IS_NEW, {{"iccid 898604D9162390488297", NULL, ""}, {"11 F501 02 185C6869 1F 07 3839383630343633313138313932303039323735 03 0000", NULL, "charge_point.connected *'iccid':'898604D9162390488297'*"}}},
    {"a pile that is its own host (12)", 0, {{"11 6502 01 5CA95F1F 06 05 0000000000000000000000000000000000000000 50 D801", NULL, CONNECTED("*'connectors':2,*'deviceType':33,*'hostType':80,'hostFirmware':613,*")}}},
    {"values of the whole (8.5)", 0, {{"17 01 23 F308 E204 6EB20000 0000 00000000 00 00", NULL, "meter_values.received {'connectorId':0,'meterValues':[{'timestamp':'2026-03-01T09:00:00.000Z','sampledValue':{'value':'456780','measurand':'Energy.Active.Import.Register','unit':'Wh','context':'Sample.Periodic'}},{'timestamp':'*','sampledValue':{'value':'229.1','measurand':'Voltage','unit':'V','context':'Sample.Periodic'}},{'timestamp':'*','sampledValue':{'value':'12.5','measurand':'Current.Import','unit':'A','context':'Sample.Periodic'}}]}"}}},
    {"smoke is told when it begins (8.5)", 0, {{"17 01 23 F308 E204 6EB20000 0000 00000000 01 00", NULL, "device.alarm {'alarm':'smoke'}\nmeter_values.received *"}, {"17 01 23 F308 E204 6EB20000 0000 00000000 01 00", NULL, "meter_values.received *"}, {"17 01 23 F308 E204 6EB20000 0000 00000000 00 00", NULL, "meter_values.received *"}, {"17 01 23 F308 E204 6EB20000 0000 00000000 01 00", NULL, "device.alarm *\nmeter_values.received *"}}},
    {"versions of slaves are kept as a frame (8.8)", 0, {{"35 01 21 00 CD00 3B37AB04", NULL, CONNECTED("*'hostFirmware':0,*")}, {"35 01 21 00 CD00 3B37AB04", NULL, ""}}},
    {"settings are asked for (8.10)", 0, {{"3B 0000", NULL, CONNECTED("*") "\nwish fsk"}, {"3B 0000", NULL, "wish fsk"}, {"connect", NULL, ""}, {"3B 0000", NULL, CONNECTED("*}") "\nwish fsk"}}},
    {"firmware is asked for: a pile (6.5)", 0, {{"05 21 CD00", NULL, "wish firmware"}}},
    {"firmware is asked for: a host, answered (8.4)", 0, {{"15 #5", "00 held", "charge_point.connected *\nwish firmware"}, {"15 #5", "00 held again", ""}, {"at 61", NULL, ""}, {"15 #5", "00 held", "wish firmware"}}},
    {"firmware is asked for: packet 0 (9)", 0, {{"FA 00 0000", NULL, "wish firmware"}, {"FA 00 0200", NULL, ""}}},

    /* --- alarms 6.12, 6.14, A40 --- */
    {"smoke, built in (5.9)", 0, {{"42 04 00 00", NULL, "device.alarm {'alarm':'smoke','details':{'code':4,'address':0,'inputs':0}}"}}},
    {"again: told again (6.12)", 0, {{"42 #3 04 00 00", NULL, "device.alarm *"}, {"42 #3 04 00 00", NULL, "device.alarm *"}}},
    {"the short form (2.7)", 0, {{"42 01 00", NULL, "device.alarm {'alarm':'power_cut','details':{'code':1,'address':0}}"}}},
    {"all of them (5.9)", 0, {{"42 02 05 81", NULL, "device.alarm {'alarm':'water','details':{'code':2,'address':5,'inputs':129}}"}, {"42 03 01", NULL, "device.alarm {'alarm':'hot_melt','connectorId':2,'details':{'code':3}}"}, {"42 05 00", NULL, "device.alarm {'alarm':'temperature',*"}, {"42 06 00", NULL, "device.alarm {'alarm':'water_level',*"}, {"42 07 00", NULL, "device.alarm {'alarm':'door_sprang_open','connectorId':1,'details':{'code':7}}"}, {"42 00 00", NULL, "device.alarm {'alarm':'unknown','details':{'code':0,'address':0}}"}, {"42 63 09", NULL, "device.alarm {'alarm':'unknown','details':{'code':99,'address':9}}"}}},
    {"a door is not closed (6.14)", 0, {{"44 01 03 20260115093012000000000000000042", NULL, "device.alarm {'alarm':'door_not_closed','connectorId':4,'details':{'code':1,'orderNo':'20260115093012000000000000000042'}}"}, {"place 03 7A8D05DD", NULL, "order.changed *"}, {"44 01 03 $1", NULL, "device.alarm {*'orderNo':'%1','transactionId':'$1'}}"}, {"44 09 03 $1", NULL, "device.alarm {'alarm':'unknown',*"}}},
    {"over-temperature has no layout (A40)", 0, {{"07 01 5A", NULL, "device.alarm {'alarm':'over_temperature','details':{'raw':'015a'}}"}, {"07", NULL, "device.alarm {*'raw':''}}"}}},
    {"doors and fans are kept as a frame, that it has them is told once (6.11)", 0, {{"41 0C 05000000 01000000", NULL, "charge_point.connected {*'heartbeatSeconds':180,'cabinet':true}"}, {"41 0C 04000000 01000000", NULL, ""}, {"connect", NULL, ""}, {"21 9808 02 00 00", "00", "charge_point.connected {*'cabinet':true}"}}},
    {"of the bus, or unknown: not answered (A40, A46)", 0, {{"00 05", NULL, ""}, {"09 0000 9808 00000000", NULL, ""}, {"0A 00", NULL, ""}, {"23 00010203", NULL, ""}, {"26 00", NULL, ""}, {"99", NULL, ""}, {"82 00", NULL, ""}}},
};
/* clang-format on */

int main(void)
{
    story_check(rows, COUNT_OF(rows));
    return CHECK_REPORT();
}
