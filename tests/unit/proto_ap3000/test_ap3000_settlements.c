/* What a charge came to (ap3000.md 6.3, 10.4, 13.4): stored, answered, once. Each row names its paragraph. */
#include "pilestory.h"

/* clang-format off */
#define PLACED     {"place 01 7A8D05DD", NULL, "order.changed *"}
#define CHARGING   PLACED, {"sent $1", NULL, "*"}, {"done $1", NULL, "*"}
#define SETTLE(no) "03 100E E803 0300 01 01 00000000 05 " no  /* 3600 s, 100 W, 30 Wh, unplugged */
#define AT_PILE(mode, card, no) "03 100E E803 0300 01 " mode " " card " 05 " no
#define BY_CARD    "202603011550307A8D05DD1354400031" /* 15:50:30 in China, 07:50:30 in UTC, port 1 */
#define UNSET      "197001010801307A8D05DD1354400031"
#define SETTLED(n, from) "order.changed {*'transactionId':'$" n "','state':'settled','previousState':'" from "',*,'content':'*','started':true}"
#define STOPPED(n, reason, code, t, rest) "transaction.stopped {'transactionId':'$" n "','reason':'" reason "','meterStopWh':30,'stopTimestamp':'" t "','connectorId':2,'idTag':'7A8D05DD','energyWh':30,'meterStartWh':0,'flags':['settlement'" rest "],'orderNo':'%" n "','stopCode':'" code "','durationSeconds':3600,'maxPowerW':100,'tierPowerW':100}"
#define QUARANTINED(reason, rest) "device.quarantined {'quarantineId':'*','action':'Settlement','reason':'" reason "','messageId':'*'" rest ",'suggestion':'*'}"
#define BEAT(ports) "21 9808 02 " ports " 00 00"
#define BUSY       CHARGING, {BEAT("00 01"), "00", "connector.status_changed {'connectorId':2,'status':'Charging',*}"}, {"at 3600", NULL, ""}
#define BY(code, no) "03 100E E803 0300 01 01 00000000 " code " " no
#define ENDS       "*'tierPowerW':100}" /* and nothing behind it */
#define LEFT(status, code) ENDS "\nconnector.status_changed {'connectorId':2,'status':'" status "',*'errorCode':'NoError'" code "}"
#define DONE       {"at 3600", NULL, ""}, {SETTLE("$1"), "00 held", SETTLED("1", "charging") "\n" STOPPED("1", "EVDisconnected", "0x05", "2026-03-01T10:00:00.000Z", "")}

static const struct story rows[] = {
    /* --- the ordinary way --- */
    {"settled (10.4)", 0, {CHARGING, DONE}},
    {"all that it can say (6.3)", 0, {CHARGING, {"at 4000", NULL, ""}, {"03 100E E803 0300 01 01 00000000 01 $1 8403 185C6869 0500", "00 held", SETTLED("1", "charging") "\ntransaction.stopped {*'reason':'Local','meterStopWh':30,'stopTimestamp':'2026-03-01T10:00:00.000Z',*'maxPowerW':100,'tierPowerW':90,'occupancyMinutes':5} 2026-03-01T10:00:00.000Z"}}},
    {"watts are rounded", 0, {CHARGING, {"at 3600", NULL, ""}, {"03 100E EC03 0300 01 01 00000000 01 $1 8003", "00 held", "*'maxPowerW':100,'tierPowerW':90}"}, }},
    {"a repeat: answered, and nothing changes (10.4, rule 3)", 0, {CHARGING, DONE, {"at 5400", NULL, ""}, {SETTLE("$1"), "00 held again", ""}}},
    {"its clock may have moved on: a repeat all the same", 0, {CHARGING, {"at 3600", NULL, ""}, {"03 100E E803 0300 01 01 00000000 05 $1 8403 185C6869", "00 held", "*"}, {"03 100E E803 0300 01 01 00000000 05 $1 8403 20636869", "00 held again", ""}}},
    {"a repeat of one that memory has dropped (10.4)", 0, {CHARGING, DONE, {"forget", NULL, ""}, {SETTLE("$1"), "00 held again", ""}}},
    {"another content: the first stands, this one is kept (10.4, rule 3)", 0, {CHARGING, DONE, {"03 110E E803 0300 01 01 00000000 05 $1", "00 held", QUARANTINED("settled_differently", ",'connectorId':2")}, {"03 110E E803 0300 01 01 00000000 05 $1", "00 held again", ""}, {SETTLE("$1"), "00 held again", ""}}},
    {"the same but for the power of its first minutes is another content", 0, {CHARGING, DONE, {SETTLE("$1") " 8403", "00 held", QUARANTINED("settled_differently", "*")}}},
    {"the message id says nothing (10.4, rule 5)", 0, {CHARGING, {"at 3600", NULL, ""}, {"03 #9 100E E803 0300 01 01 00000000 05 $1", "00 held", "*"}, {"place 01 7A8D05DD", NULL, "*"}, {"03 #9 100E E803 0300 01 01 00000000 05 $2", "00 held", SETTLED("2", "new") "\ntransaction.started *\ntransaction.stopped *'$2'*"}}},
    {"by its number, whatever is open on the port (10.4, rule 6)", 0, {CHARGING, {"finished $1", NULL, "*"}, {"place 01 0A0B0C0D", NULL, "order.changed *"}, {"at 3600", NULL, ""}, {SETTLE("$1"), "00 held", SETTLED("1", "ended") "\ntransaction.stopped *'$1'*"}}},
    {"the tables are behind: not settled twice", 0, {CHARGING, {"lag", NULL, ""}, DONE, {"forget", NULL, ""}, {SETTLE("$1"), "00 held", QUARANTINED("settled_differently", "*")}}},

    /* --- from any state: 10.2 --- */
    {"never sent, as we thought", 0, {PLACED, {"at 3600", NULL, ""}, {SETTLE("$1"), "00 held", SETTLED("1", "new") "\ntransaction.started {'connectorId':2,'transactionId':'$1','idTag':'7A8D05DD',*'offline':false}\ntransaction.stopped *"}}},
    {"sent, and not answered yet", 0, {PLACED, {"sent $1", NULL, "*"}, {"at 3600", NULL, ""}, {SETTLE("$1"), "00 held", SETTLED("1", "starting") "\ntransaction.started *\ntransaction.stopped *'2026-03-01T10:00:00.000Z'*"}}},
    {"failed, as we thought: the pile's account wins (10.2)", 0, {PLACED, {"not_sent $1", NULL, "*"}, {"at 3600", NULL, ""}, {SETTLE("$1"), "00 held", SETTLED("1", "failed") "\ntransaction.started *\n" STOPPED("1", "EVDisconnected", "0x05", "2026-03-01T10:00:00.000Z", ",'reopened'")}, {SETTLE("$1"), "00 held again", ""}}},
    {"stopped, and its answer is not here yet", 0, {CHARGING, {"stop_sent $1", NULL, "*"}, {"at 3600", NULL, ""}, {SETTLE("$1"), "00 held", SETTLED("1", "stopping") "\ntransaction.stopped *"}, {"stop_done $1", "ERR_STATE", ""}}},
    {"a reading after it (10.2)", 0, {CHARGING, DONE, {"06 01 01 2C01 0400 01 0D07 0000 0000 0000 $1", NULL, "transaction.meter_values *'flags':['after_stop']}"}, {"06 01 01 2C01 0400 01 0D07 0000 0000 0000 $1", NULL, "transaction.meter_values *"}, {"43 100E E803 0300 01 01 00000000 01 $1", NULL, ""}}},
    {"the port that the pile chose is in it (6.3)", 0, {{"place FF 7A8D05DD", NULL, "*"}, {"sent $1", NULL, "*"}, {"at 3600", NULL, ""}, {SETTLE("$1"), "00 held", "order.changed *'connectorId':2,*\ntransaction.started {'connectorId':2,*}\ntransaction.stopped *'connectorId':2,*"}}},
    {"another port than the one that was told is flagged", 0, {CHARGING, {"at 3600", NULL, ""}, {"03 100E E803 0300 00 01 00000000 05 $1", "00 held", "*'connectorId':2,*'flags':['settlement','other_port']*"}}},
    {"no port at all", 0, {PLACED, {"at 3600", NULL, ""}, {"03 100E E803 0300 FF 01 00000000 05 $1", "00 held", "*'connectorId':2,*'other_port'*"}}},

    /* --- what is odd --- */
    {"more energy than its power can have given (13.4)", 0, {CHARGING, {"at 3600", NULL, ""}, {"03 100E 2C01 0500 01 01 00000000 05 $1", "00 held", "*'flags':['settlement','implausible_energy']*"}}},
    {"just so much", 0, {CHARGING, {"at 3600", NULL, ""}, {"03 100E 2C01 0400 01 01 00000000 05 $1", "00 held", "*'flags':['settlement'],*"}}},
    {"longer than since it began (13.4)", 0, {CHARGING, {"at 2999", NULL, ""}, {SETTLE("$1"), "00 held", "*'stopTimestamp':'2026-03-01T09:49:59.000Z',*'flags':['settlement','implausible_duration']*"}}},
    {"ten minutes are let pass", 0, {CHARGING, {"at 3000", NULL, ""}, {SETTLE("$1"), "00 held", "*'flags':['settlement'],*"}}},
    {"as long as it can count (A41)", 0, {CHARGING, {"at 90000", NULL, ""}, {"03 FFFF E803 0300 01 01 00000000 05 $1", "00 held", "*'flags':['settlement','implausible_duration']*'durationSeconds':65535*"}}},
    {"less than its last reading", 0, {CHARGING, {"06 01 01 2C01 0400 01 0D07 0000 0000 0000 $1", NULL, "*"}, {"at 3600", NULL, ""}, {SETTLE("$1"), "00 held", "*'flags':['settlement','meter_backwards']*"}}},

    /* --- what is settled has left its port --- */
    {"unplugged: nobody is there", 0, {BUSY, {BY("05", "$1"), "00 held", LEFT("Available", "")}, {BEAT("00 00"), "00", ""}}},
    {"unplugged, and jammed", 0, {BUSY, {BY("0D", "$1"), "00 held", LEFT("Available", "")}}},
    {"full: still plugged in", 0, {BUSY, {BY("01", "$1"), "00 held", LEFT("Finishing", ",'vendorErrorCode':'0x03'")}, {BEAT("00 03"), "00", ""}}},
    {"after a trickle", 0, {CHARGING, {BEAT("00 05"), "00", "*'SuspendedEV'*"}, {"at 3600", NULL, ""}, {BY("01", "$1"), "00 held", LEFT("Finishing", ",'vendorErrorCode':'0x03'")}}},
    {"said again, nothing is left twice", 0, {BUSY, {BY("05", "$1"), "00 held", "*"}, {BEAT("00 01"), "00", "*'Charging'*"}, {BY("05", "$1"), "00 held again", ""}}},
    {"the next swipe is granted before a heartbeat", 0, {BUSY, {BY("05", "$1"), "00 held", "*"}, {"02 0A0B0C0D 00 01", "0A0B0C0D00000000000001 held", "*\nwish start 1 0A0B0C0D"}}},
    {"another runs there: it stays busy", 0, {CHARGING, {"finished $1", NULL, "*"}, {"place 01 0A0B0C0D", NULL, "*"}, {"sent $2", NULL, "*"}, {"done $2", NULL, "*"}, {BEAT("00 01"), "00", "*"}, {"at 3600", NULL, ""}, {BY("05", "$1"), "00 held", ENDS}}},
    {"another is about to run there", 0, {CHARGING, {BEAT("00 01"), "00", "*"}, {"finished $1", NULL, "*"}, {"place 01 0A0B0C0D", NULL, "*"}, {"sent $2", NULL, "*"}, {"at 3600", NULL, ""}, {BY("05", "$1"), "00 held", ENDS}}},
    {"another has ended there too", 0, {CHARGING, {"finished $1", NULL, "*"}, {"place 01 0A0B0C0D", NULL, "*"}, {"sent $2", NULL, "*"}, {"done $2", NULL, "*"}, {"finished $2", NULL, "*"}, {BEAT("00 01"), "00", "*"}, {"at 3600", NULL, ""}, {BY("05", "$1"), "00 held", LEFT("Available", "")}}},
    {"another runs at another port", 0, {BUSY, {"place 00 0A0B0C0D", NULL, "*"}, {"sent $2", NULL, "*"}, {"done $2", NULL, "*"}, {BY("05", "$1"), "00 held", LEFT("Available", "")}}},
    {"it was not busy", 0, {CHARGING, {BEAT("00 02"), "00", "*'Preparing'*"}, {"at 3600", NULL, ""}, {BY("05", "$1"), "00 held", ENDS}}},
    {"it is broken: that stays so", 0, {CHARGING, {BEAT("00 09"), "00", "*'Faulted'*"}, {"at 3600", NULL, ""}, {BY("05", "$1"), "00 held", ENDS}}},
    {"a port that was never told", 0, {{"place 05 7A8D05DD", NULL, "*"}, {"sent $1", NULL, "*"}, {"at 3600", NULL, ""}, {"03 100E E803 0300 05 01 00000000 05 $1", "00 held", ENDS}}},

    /* --- nobody knows it: 10.4, rule 7 --- */
    {"by a card, without us (11.2)", 0, {{AT_PILE("00", "7A8D05DD", BY_CARD), "00 held", "order.changed {'orderNo':'202603011550307a8d05dd1354400031','orderKey':'202603011550307a8d05dd1354400031','transactionId':'$1','state':'settled','connectorId':2,'startMode':0,'idTag':'7A8D05DD','content':'*','started':true}\ntransaction.started {'connectorId':2,'transactionId':'$1','idTag':'7A8D05DD','meterStartWh':0,'orderNo':'202603011550307a8d05dd1354400031','offline':true,'flags':['started_at_pile']} 2026-03-01T07:50:30.000Z\ntransaction.stopped {'transactionId':'$1',*'stopTimestamp':'2026-03-01T08:50:30.000Z',*'flags':['settlement'],'orderNo':'202603011550307a8d05dd1354400031',*} 2026-03-01T08:50:30.000Z"}, {AT_PILE("00", "7A8D05DD", BY_CARD), "00 held again", ""}, {"forget", NULL, ""}, {AT_PILE("00", "7A8D05DD", BY_CARD), "00 held again", ""}}},
    {"by a card, after its readings (11.2)", 0, {{"06 01 01 2C01 0200 00 0D07 0000 0000 0000 " BY_CARD, NULL, "*"}, {AT_PILE("00", "7A8D05DD", BY_CARD), "00 held", SETTLED("1", "charging") "\ntransaction.stopped *'stopTimestamp':'2026-03-01T08:50:30.000Z'*"}}},
    {"by a code (11.3)", 0, {{AT_PILE("03", "00054358", "20260301155030000543581354400071"), "00 held", "order.changed *'startMode':3,'idTag':'054358',*\ntransaction.started *'offline':true*\ntransaction.stopped *'idTag':'054358'*"}}},
    {"one of ours that is lost (10.6)", 0, {{SETTLE("$5"), "00 held", "order.changed *'$5','state':'settled','connectorId':2,'startMode':1,*\ntransaction.started {*'idTag':'',*'offline':false,'flags':['recovered','start_estimated']} 2026-03-01T08:00:00.000Z\ntransaction.stopped {'transactionId':'$5',*"}, {SETTLE("$5"), "00 held again", ""}}},
    {"a number that nobody gave is kept for a person (10.4)", 0, {{SETTLE("A5000102030405060708090A0B0C0D0E"), "00 held", QUARANTINED("unknown_order", ",'connectorId':2")}, {SETTLE("A5000102030405060708090A0B0C0D0E"), "00 held again", ""}, {"restart", NULL, ""}, {SETTLE("A5000102030405060708090A0B0C0D0E"), "00 held again", "charge_point.connected *"}}},
    {"its clock may have moved on: it waits once", 0, {{SETTLE("A5000102030405060708090A0B0C0D0E") " 8403 185C6869", "00 held", "device.quarantined *"}, {SETTLE("A5000102030405060708090A0B0C0D0E") " 8403 20636869", "00 held again", ""}, {SETTLE("A5000102030405060708090A0B0C0D0E") " 8503 20636869", "00 held", "device.quarantined *"},
     {SETTLE("A5000102030405060708090A0B0C0D0E") " 8503 185C6869 0500", "00 held", "device.quarantined *"}, {SETTLE("A5000102030405060708090A0B0C0D0E") " 8503 20636869 0500", "00 held again", ""}}},
    {"so is one that began in a way that is not known (5.4)", 0, {{AT_PILE("02", "00000000", BY_CARD), "00 held", QUARANTINED("unknown_order", "*")}}},
    {"another pile's", 0, {CHARGING, {"B 03 100E E803 0300 01 01 00000000 05 A500000000000000000000000000AAAA", "00 held", "device.quarantined *"}}},

    /* --- numbers that repeat: 10.4, rule 4 --- */
    {"a clock that was never set: known by its content", 0, {{AT_PILE("00", "7A8D05DD", UNSET), "00 held", "order.changed {'orderNo':'197001010801307a8d05dd1354400031','orderKey':'197001010801307a8d05dd1354400031-*'*\ntransaction.started *'start_estimated'* 2026-03-01T08:00:00.000Z\ntransaction.stopped *'stopTimestamp':'2026-03-01T09:00:00.000Z'*"}, {AT_PILE("00", "7A8D05DD", UNSET), "00 held again", ""},
     {"03 110E E803 0300 01 00 7A8D05DD 05 " UNSET, "00 held", "order.changed *'$2'*\ntransaction.started *\ntransaction.stopped *'$2'*"}, {"forget", NULL, ""}, {AT_PILE("00", "7A8D05DD", UNSET), "00 held again", ""}, {"03 110E E803 0300 01 00 7A8D05DD 05 " UNSET, "00 held again", ""}}},
    {"its readings were of the same charge", 0, {{"06 01 01 2C01 0200 00 0D07 0000 0000 0000 " UNSET, NULL, "order.changed *'orderKey':'197001010801307a8d05dd1354400031','transactionId':'$1'*"}, {AT_PILE("00", "7A8D05DD", UNSET), "00 held", "order.changed {*'orderKey':'197001010801307a8d05dd1354400031-*','transactionId':'$1','state':'settled','previousState':'charging'*\ntransaction.stopped *"}, {AT_PILE("00", "7A8D05DD", UNSET), "00 held again", ""}, {"06 01 01 2C01 0200 00 0D07 0000 0000 0000 " UNSET, NULL, "order.changed *'$2'*"}}},
    {"its readings were of another port's charge", 0, {{"06 01 01 2C01 0200 00 0D07 0000 0000 0000 " UNSET, NULL, "*'$1'*"}, {"03 100E E803 0300 00 00 7A8D05DD 05 " UNSET, "00 held", "order.changed *'transactionId':'$2','state':'settled','connectorId':1,*\ntransaction.started *\ntransaction.stopped *"}}},
    {"closed by an operator meanwhile", 0, {{"06 01 01 2C01 0200 00 0D07 0000 0000 0000 " UNSET, NULL, "*'$1'*"}, {"close $1", "0", "*"}, {AT_PILE("00", "7A8D05DD", UNSET), "00 held", "order.changed *'$1'*\ntransaction.stopped *'$1',*'overrides_operator'*"}, {AT_PILE("00", "7A8D05DD", UNSET), "00 held again", ""}}},
    {"the next of that number, when the tables are behind", 0, {{"06 01 01 2C01 0200 00 0D07 0000 0000 0000 " UNSET, NULL, "*'$1'*"}, {"lag", NULL, ""}, {AT_PILE("00", "7A8D05DD", UNSET), "00 held", "order.changed {*'$1','state':'settled'*"}, {"06 01 01 2C01 0200 00 0D07 0000 0000 0000 " UNSET, NULL, "order.changed {*'transactionId':'$2','state':'charging',*"}}},
    {"all zeros, by a card", 0, {{AT_PILE("00", "7A8D05DD", "00000000000000000000000000000000"), "00 held", "order.changed {*'orderKey':'00000000000000000000000000000000-*'*"}}},
    {"all ones, as if by us", 0, {{SETTLE("FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"), "00 held", QUARANTINED("unknown_order", "*")}}},
    {"a date of 1970 in a number of ours is only bytes", 0, {{SETTLE(UNSET), "00 held", QUARANTINED("unknown_order", "*")}}},

    /* --- what cannot be read, who is not accepted: 10.4, 13.4 --- */
    {"too short: kept, and answered (10.4, rule 2)", 0, {{"03 100E E803", "00 held", "device.quarantined {*'reason':'too_short','messageId':'5','suggestion':'*'}"}, {"03 100E E803", "00 held again", ""}, {"03", "00 held", "device.quarantined *"}}},
    {"not accepted, and no room: it keeps it itself (13.4)", IS_PENDING, {{SETTLE("$1"), NULL, ""}}},
    {"not accepted, but kept (13.4)", IS_PENDING | HAS_ROOM, {{SETTLE("$1"), "00 held", QUARANTINED("not_accepted", ",'connectorId':2")}, {SETTLE("$1"), "00 held again", ""}, {"accept", NULL, ""}, {"apply " SETTLE("$1"), "0", "*"}}},
    {"sent again when its pile was accepted: booked, and it waits no longer (13.4)", IS_PENDING | HAS_ROOM, {{SETTLE("$1"), "00 held", "device.quarantined *"}, {"accept", NULL, ""}, {SETTLE("$1"), "00 held", "order.changed *\ntransaction.started *\ntransaction.stopped *\nquarantine.resolved {'quarantineId':'*','resolution':'applied','transactionId':'$1','by':'sent again'}"}, {SETTLE("$1"), "00 held again", ""}, {"apply " SETTLE("$1"), "ERR_STATE", ""}, {"forget", NULL, ""}, {SETTLE("$1"), "00 held again", ""}, {"apply " SETTLE("$1"), "ERR_STATE", ""}}},
    {"so where its order was placed before", HAS_ROOM, {CHARGING, {"at 3600", NULL, ""}, {"hold", NULL, ""}, {SETTLE("$1"), "00 held", "device.quarantined *"}, {"accept", NULL, ""}, {SETTLE("$1"), "00 held", SETTLED("1", "charging") "\ntransaction.stopped *\nquarantine.resolved *'sent again'}"}}},
    {"applied, then sent again: once (10.4)", IS_PENDING | HAS_ROOM, {{SETTLE("$1"), "00 held", "device.quarantined *"}, {"accept", NULL, ""}, {"apply " SETTLE("$1"), "0", "*transaction.stopped *"}, {SETTLE("$1"), "00 held again", ""}, {SETTLE("$1"), "00 held again", ""}}},
    {"sent again, and unknown: it waits on, and once", IS_PENDING | HAS_ROOM, {{SETTLE("A5000102030405060708090A0B0C0D0E"), "00 held", "device.quarantined *"}, {"accept", NULL, ""}, {SETTLE("A5000102030405060708090A0B0C0D0E"), "00 held again", ""}}},
    {"another content of its order waits on", IS_PENDING | HAS_ROOM, {{SETTLE("$1"), "00 held", "device.quarantined *"}, {"accept", NULL, ""}, {"03 110E E803 0300 01 01 00000000 05 $1", "00 held", "*transaction.stopped {*'tierPowerW':100}"}, {SETTLE("$1"), "00 held again", ""}}},
    {"one that waits is answered again, room or not", IS_PENDING | HAS_ROOM, {{SETTLE("$1"), "00 held", "device.quarantined *"}, {"full", NULL, ""}, {SETTLE("$1"), "00 held again", ""}, {SETTLE("$2"), NULL, ""}}},
    {"too short, of one that is not accepted", IS_REJECTED | HAS_ROOM, {{"03 100E", "00 held", "device.quarantined {*'reason':'not_accepted','messageId':'*','suggestion':'*'}"}}},

    /* --- by a person --- */
    {"closed without its pile (10.5)", 0, {CHARGING, {"06 01 01 2C01 0400 01 0D07 0000 0000 0000 $1", NULL, "*"}, {"at 90000", NULL, ""}, {"close $1", "0", "order.changed {*'state':'settled','previousState':'charging',*'reason':'closed by an operator','started':true}\ntransaction.stopped {'transactionId':'$1','reason':'Other','meterStopWh':40,'stopTimestamp':'2026-03-02T10:00:00.000Z','connectorId':2,'idTag':'7A8D05DD','energyWh':40,'meterStartWh':0,'flags':['closed_by_operator'],'orderNo':'%1'}"}, {"close $1", "ERR_STATE", ""},
     {SETTLE("$1"), "00 held", "order.changed {*'state':'settled','previousState':'settled',*'content':'*','started':true}\ntransaction.stopped {*'flags':['settlement','overrides_operator','meter_backwards'],*"}, {SETTLE("$1"), "00 held again", ""}}},
    {"closed before it was ever told", 0, {PLACED, {"sent $1", NULL, "*"}, {"unsure $1", NULL, "*"}, {"close $1", "0", "order.changed *\ntransaction.started *\ntransaction.stopped *'closed_by_operator'*"}}},
    {"one that failed is not to be closed", 0, {PLACED, {"not_sent $1", NULL, "*"}, {"close $1", "ERR_STATE", ""}}},
    {"one of an unknown number applied as a charge of its own", 0, {{SETTLE("A5000102030405060708090A0B0C0D0E"), "00 held", "device.quarantined *"}, {"apply " SETTLE("A5000102030405060708090A0B0C0D0E"), "0", "order.changed {'orderNo':'a5000102030405060708090a0b0c0d0e',*'transactionId':'$1','state':'settled',*\ntransaction.started *'flags':['applied_by_operator','start_estimated']*\ntransaction.stopped *'flags':['settlement','applied_by_operator']*"}, {"apply " SETTLE("A5000102030405060708090A0B0C0D0E"), "ERR_STATE", ""}, {SETTLE("A5000102030405060708090A0B0C0D0E"), "00 held again", ""}}},
    {"applied to an order that is open", 0, {CHARGING, {"at 3600", NULL, ""}, {"apply " SETTLE("$1"), "0", SETTLED("1", "charging") "\ntransaction.stopped *'flags':['applied_by_operator','settlement']*"}}},
    {"one that is settled is not settled again", 0, {CHARGING, DONE, {"apply 03 110E E803 0300 01 01 00000000 05 $1", "ERR_STATE", ""}, {"forget", NULL, ""}, {"apply 03 110E E803 0300 01 01 00000000 05 $1", "ERR_STATE", ""}}},
    {"what cannot be read cannot be applied", 0, {{"apply 03 100E", "ERR_UNKNOWN", ""}, {"apply 21 00", "ERR_UNKNOWN", ""}}},
};
/* clang-format on */

/* 5.3 in the words of OCPP. */
static const char *const reasons[0x20] = {
    "Other",         "Local",         "Local",         "Local", "Local", "EVDisconnected", "Other", "Remote",
    "Other",         "Other",         "Other",         "Other", "Other", "EVDisconnected", "Other", "Other",
    "EmergencyStop", "EmergencyStop", "EmergencyStop", "Local", "Other", "Other",          "Local", "Remote",
    "EmergencyStop", "Other",         "Other",         "Other", "Other", "Other",          "Other", "Other"};

static void check_reasons(void)
{
    struct kit *k = kit_new();
    story_introduce(k);
    for (unsigned code = 0; code <= UINT8_MAX; code++) {
        char text[128], want[64], row[32];
        struct ap3000_frame f;
        (void)snprintf(text, sizeof text, "03 100E E803 0300 01 00 7A8D05DD %02X 202603011550307A8D05DD13544000%02X",
                       code, code);
        (void)snprintf(row, sizeof row, "stop reason 0x%02X (5.3)", code);
        (void)snprintf(want, sizeof want, "\"reason\":\"%s\"", code < COUNT_OF(reasons) ? reasons[code] : "Other");
        CHECK(row, kit_read_frame(k, kit_ids[0], str_of(text), &f));
        kit_frame(k, 0, &f);
        const struct event *last = &k->decision.events[k->decision.event_count - 1];
        CHECK(row, last->type == EVENT_TRANSACTION_STOPPED);
        CHECK(row, memmem(last->payload.at, last->payload.len, want, strlen(want)) != NULL);
    }
    kit_free(k);
}

/* The key by which a quarantined one is known again: all of it but its message id, its sum and its clock. */
static void check_content_key(void)
{
    static const struct {
        const char *row, *frame;
        size_t clock_at; /* 0: it has none */
    } frames[] = {
        {"the shortest", "444E59280040AACE04060003201CDC0514000001000000000120260115093012000000000000000042F404", 0},
        {"with a clock and more", "444E592E0040AACE04060003201CDC051400000100000000012026011509"
         "30120000000000000000428403185C6869050042F4",
         86},
    };
    for (size_t n = 0; n < COUNT_OF(frames); n++) {
        struct str text = str_of(frames[n].frame);
        size_t clock_at = frames[n].clock_at;
        uint64_t key = ap3000_content_key(text);
        for (size_t i = 0; i < text.len; i++) {
            char changed[128];
            memcpy(changed, text.at, text.len);
            changed[i] = changed[i] == '0' ? '1' : '0';
            bool is_clock = clock_at > 0 && i >= clock_at && i < clock_at + 8;
            bool is_free = (i >= 18 && i < 22) || is_clock || i >= text.len - 4;
            CHECK(frames[n].row, (ap3000_content_key((struct str){changed, text.len}) == key) == is_free);
            CHECK(frames[n].row, ap3000_content_key((struct str){text.at, i}) != 0);
        }
    }
}

int main(void)
{
    story_check(rows, COUNT_OF(rows));
    check_reasons();
    check_content_key();
    return CHECK_REPORT();
}
