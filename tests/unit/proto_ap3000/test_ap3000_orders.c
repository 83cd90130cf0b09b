/* The life of orders as frames, answers and time make it (ap3000.md 6.4, 6.6, 6.13, 10.1 to 10.3, 11). Each row names
 * its paragraph. */
#include "pilestory.h"

/* clang-format off */
#define ORDER(n, state, previous, c, rest) "order.changed {'orderNo':'%" n "','orderKey':'%" n "','transactionId':'$" n "','state':'" state "'" previous ",'connectorId':" c ",'startMode':1,'idTag':'7A8D05DD','commandId':'c1'" rest "}"
#define WAS(state) ",'previousState':'" state "'"
#define CHANGED(n, from, to) "order.changed {*'transactionId':'$" n "','state':'" to "','previousState':'" from "'*}"
#define STARTED(n, c, tag, no, rest) "transaction.started {'connectorId':" c ",'transactionId':'$" n "','idTag':'" tag "','meterStartWh':0,'orderNo':'" no "'" rest "}"
#define PLACED     {"place 01 7A8D05DD", NULL, ORDER("1", "new", "", "2", ",'started':false")}
#define SENT       {"sent $1", NULL, ORDER("1", "starting", WAS("new"), "2", ",'started':false")}
#define CHARGING   PLACED, SENT, {"done $1", NULL, CHANGED("1", "starting", "charging") "\ntransaction.started *"}
#define BEAT(ports) "21 9808 02 " ports " 00 00"
#define ON(port, no)   "06 " port " 01 2C01 0200 01 0D07 0807 0040 0620 " no
#define BY_CARD    "202603011650307A8D05DD1354400031" /* 16:50:30 in China, port 1 */
#define BY_CODE    "20260301165030000543581354400071"
#define METER(n, wh, watt, rest) "transaction.meter_values {'connectorId':2,'transactionId':'$" n "','meterValues':[{'timestamp':'*','sampledValue':{'value':'" wh "','measurand':'Energy.Active.Import.Register','unit':'Wh','context':'Sample.Periodic'}},{'timestamp':'*','sampledValue':{'value':'" watt "','measurand':'Power.Active.Import','unit':'W','context':'Sample.Periodic'}}" rest "}"
#define SEEN       CHARGING, {ON("01", "$1"), NULL, "connector.status_changed *\n" METER("1", "20", "180.5", "]")}

static const struct story rows[] = {
    /* --- 10.1, 10.2: our orders --- */
    {"an order from the start to the first reading (10.1)", 0, {PLACED, SENT, {"done $1", NULL, ORDER("1", "charging", WAS("starting"), "2", ",'started':true") "\n" STARTED("1", "2", "7A8D05DD", "%1", ",'offline':false")},
     {"at 300", NULL, ""}, {ON("01", "$1"), NULL, "connector.status_changed {'connectorId':2,'status':'Charging',*}\n" METER("1", "20", "180.5", "]")}}},
    {"never sent (10.2)", 0, {PLACED, {"not_sent $1", NULL, ORDER("1", "failed", WAS("new"), "2", ",'started':false")}, {"sent $1", "ERR_STATE", ""}}},
    {"refused (10.2)", 0, {PLACED, SENT, {"refused $1", NULL, ORDER("1", "failed", WAS("starting"), "2", ",'started':false")}}},
    {"unsure: asked for (10.2)", 0, {PLACED, SENT, {"unsure $1", NULL, ORDER("1", "uncertain", WAS("starting"), "2", ",'started':false") "\nwish status"}}},
    {"seen before its answer (10.2)", 0, {PLACED, SENT, {"at 300", NULL, ""}, {ON("01", "$1"), NULL, CHANGED("1", "starting", "charging") "\ntransaction.started *\nconnector.status_changed *\ntransaction.meter_values *"}, {"done $1", "ERR_STATE", ""}, {"refused $1", "ERR_STATE", ""}}},
    {"it began when the pile says, not before it was placed (10.2)", 0, {PLACED, SENT, {"unsure $1", NULL, "*"}, {"at 200", NULL, ""}, {"04 01 01 00000000 6400 $1", "0100 held", CHANGED("1", "uncertain", "charging") "\n" STARTED("1", "2", "7A8D05DD", "%1", ",'offline':false") " 2026-03-01T09:01:40.000Z"}}},
    {"not before it was placed", 0, {PLACED, SENT, {"at 100", NULL, ""}, {"04 01 01 00000000 6801 $1", "0100 held", "order.changed *\ntransaction.started * 2026-03-01T09:00:00.000Z"}}},
    {"0x04 is evidence, and answered (6.4)", 0, {PLACED, SENT, {"04 #7 01 01 00000000 0C00 $1", "0100 held", CHANGED("1", "starting", "charging") "\ntransaction.started *"}, {"04 #7 01 01 00000000 0C00 $1", "0100 held again", ""}, {"04 #8 01 01 00000000 0D00 $1", "0100 held", ""}}},
    {"it was seen with a status that is none: evidence all the same (5.2, 10.2)", 0, {PLACED, SENT, {"06 01 77 2C01 0200 01 0D07 0000 0000 0000 $1", NULL, CHANGED("1", "starting", "charging") "\ntransaction.started *\ntransaction.meter_values *"}}},

    /* --- evidence by heartbeats --- */
    {"two heartbeats show that it does not run (10.2)", 0, {PLACED, SENT, {"unsure $1", NULL, "*"}, {BEAT("00 00"), "00", ""}, {BEAT("00 02"), "00", "connector.status_changed *\n" CHANGED("1", "uncertain", "failed")}}},
    {"a heartbeat said twice is one (3.3)", 0, {PLACED, SENT, {"unsure $1", NULL, "*"}, {"21 #5 9808 02 00 00 00 00", "00", ""}, {"21 #5 9808 02 00 00 00 00", "00 again", ""}, {"21 #6 9808 02 00 00 00 00", "00", "order.changed *'failed'*"}}},
    {"two in a row (10.2)", 0, {PLACED, SENT, {"unsure $1", NULL, "*"}, {BEAT("00 00"), "00", ""}, {BEAT("00 01"), "00", "connector.status_changed *"}, {BEAT("00 00"), "00", "connector.status_changed *"}, {BEAT("00 05"), "00", "connector.status_changed *"}, {BEAT("00 00"), "00", "connector.status_changed *"}, {BEAT("00 00"), "00", CHANGED("1", "uncertain", "failed")}}},
    {"heartbeats before the decision do not count (10.2)", 0, {PLACED, SENT, {BEAT("00 00"), "00", ""}, {BEAT("00 00"), "00", ""}, {"unsure $1", NULL, "*"}, {BEAT("00 00"), "00", ""}, {BEAT("00 00"), "00", CHANGED("1", "uncertain", "failed")}}},
    {"old heartbeats count too (6.1)", 0, {PLACED, SENT, {"unsure $1", NULL, "*"}, {"01 7E00 9808 02 0000 00000000 00000000", NULL, ""}, {"01 7E00 9808 02 0000 00000000 00000000", NULL, CHANGED("1", "uncertain", "failed")}}},
    {"a pile that does not say that port", 0, {{"place 05 7A8D05DD", NULL, "*"}, {"sent $1", NULL, "*"}, {"unsure $1", NULL, "*"}, {BEAT("00 00"), "00", ""}, {BEAT("00 00"), "00", ""}, {BEAT("00 00"), "00", ""}}},
    {"where the pile was to choose, any port that charges may be it", 0, {{"place FF 7A8D05DD", NULL, "order.changed {'orderNo':'%1','orderKey':'%1','transactionId':'$1','state':'new','startMode':1,*}"}, {"sent $1", NULL, "*"}, {"unsure $1", NULL, "*"}, {BEAT("00 01"), "00", "*"}, {BEAT("00 01"), "00", ""}, {BEAT("00 00"), "00", "*"}, {BEAT("00 00"), "00", "order.changed *'failed'*"}}},
    {"failed, and seen after all: opened again, and stopped (10.2)", 0, {PLACED, SENT, {"refused $1", NULL, "*"}, {ON("01", "$1"), NULL, "order.changed {*'state':'charging','previousState':'failed',*'cancelled':true}\ntransaction.started *\nconnector.status_changed *\ntransaction.meter_values *\nwish stop 1 $1"}, {BEAT("00 01"), "00", "wish stop 1 $1"}, {"stop_sent $1", NULL, "*"}, {BEAT("00 01"), "00", ""}}},
    {"failed with a fault, and seen within two minutes: it is the customer's all the same (10.2)", 0, {PLACED, SENT, {"fault $1", NULL, ORDER("1", "failed", WAS("starting"), "2", ",'started':false,'held':true")}, {"at 119", NULL, ""}, {ON("01", "$1"), NULL, ORDER("1", "charging", WAS("failed"), "2", ",'reason':'the pile names it','started':true") "\ntransaction.started *\nconnector.status_changed *\ntransaction.meter_values *"}}},
    {"seen when its money is released: stopped (10.2)", 0, {PLACED, SENT, {"fault $1", NULL, "*"}, {"at 120", NULL, ""}, {ON("01", "$1"), NULL, "order.changed {*'state':'charging','previousState':'failed',*'cancelled':true}\ntransaction.started *\nconnector.status_changed *\ntransaction.meter_values *\nwish stop 1 $1"}}},
    {"settled within two minutes: its port is held no longer (10.2)", 0, {PLACED, SENT, {"fault $1", NULL, "*"}, {"03 100E E803 0300 01 01 00000000 05 $1", "00 held", "order.changed {*'state':'settled'*'started':true}\n*"}, {"02 7A8D05DD 00 01", "7A8D05DD0000D204000001 held", "*\nwish start 1 7A8D05DD"}}},
    {"its port idle, and nothing heard for 11 minutes: over (10.2)", 0, {SEEN, {"at 180", NULL, ""}, {BEAT("00 00"), "00", "connector.status_changed *"}, {"at 360", NULL, ""}, {BEAT("00 00"), "00", ""}, {"at 659", NULL, ""}, {BEAT("00 00"), "00", ""}, {"at 660", NULL, ""}, {BEAT("00 00"), "00", CHANGED("1", "charging", "ended")}}},
    {"its port full likewise, another state not (10.2)", 0, {SEEN, {"at 700", NULL, ""}, {BEAT("00 02"), "00", "connector.status_changed *"}, {BEAT("00 02"), "00", ""}, {BEAT("00 02"), "00", ""}, {BEAT("00 03"), "00", "connector.status_changed *"}, {BEAT("00 03"), "00", CHANGED("1", "charging", "ended")}}},
    {"a reading keeps it (10.2)", 0, {SEEN, {"at 600", NULL, ""}, {BEAT("00 00"), "00", "*"}, {"06 01 03 2C01 0200 01 0D07 0000 0000 0000 $1", NULL, "*"}, {"at 1200", NULL, ""}, {BEAT("00 00"), "00", "*"}, {BEAT("00 00"), "00", ""}, {"at 1261", NULL, ""}, {BEAT("00 00"), "00", "order.changed *'ended'*"}}},
    {"heartbeats from before it was seen do not count for its end", 0, {PLACED, SENT, {"unsure $1", NULL, "*"}, {BEAT("00 00"), "00", ""}, {"04 01 01 00000000 0C00 $1", "*", "*'charging'*"}, {"at 700", NULL, ""}, {BEAT("00 00"), "00", ""}, {BEAT("00 00"), "00", "order.changed *'ended'*"}}},
    {"never seen at all: over 11 minutes after it began", 0, {CHARGING, {"at 500", NULL, ""}, {BEAT("00 00"), "00", ""}, {BEAT("00 00"), "00", ""}, {"at 660", NULL, ""}, {BEAT("00 00"), "00", "order.changed *'ended'*"}}},
    {"it did not end after all (10.2)", 0, {CHARGING, {"finished $1", NULL, "order.changed *'ended'*"}, {"06 01 03 2C01 0200 01 0D07 0000 0000 0000 $1", NULL, "connector.status_changed *'Finishing'*\ntransaction.meter_values *"}, {ON("01", "$1"), NULL, CHANGED("1", "ended", "charging") "\nconnector.status_changed *\ntransaction.meter_values *"}}},
    {"a pile that is away changes nothing (10.5)", 0, {SEEN, {"at 86400", NULL, ""}, {"connect", NULL, ""}, {BEAT("00 01"), "00", "charge_point.connected *"}, {ON("01", "$1"), NULL, "transaction.meter_values *"}}},

    /* --- stops --- */
    {"a stop (10.2)", 0, {CHARGING, {"stop_sent $1", NULL, CHANGED("1", "charging", "stopping")}, {"stop_done $1", NULL, CHANGED("1", "stopping", "ended")}}},
    {"a stop that failed is told, and tried again with the next heartbeats, three times in all (10.2)", 0, {CHARGING, {"stop_sent $1", NULL, "*"}, {"stop_failed $1", NULL, CHANGED("1", "stopping", "charging") "\ndevice.alarm {'alarm':'stop_failed','connectorId':2}"},
     {BEAT("00 01"), "00", "connector.status_changed *\nwish stop 1 $1"}, {"stop_sent $1", NULL, "*"}, {BEAT("00 01"), "00", ""}, {"stop_failed $1", NULL, "*"}, {BEAT("00 01"), "00", "wish stop 1 $1"}, {"stop_sent $1", NULL, "*"}, {"stop_failed $1", NULL, "*"}}},
    {"after three no more", 0, {CHARGING, {"stop_sent $1", NULL, "*"}, {"stop_failed $1", NULL, "*"}, {"stop_sent $1", NULL, "*"}, {"stop_failed $1", NULL, "*"}, {"stop_sent $1", NULL, "*"}, {"stop_failed $1", NULL, "*"}, {BEAT("00 00"), "00", ""}}},
    {"two that did not stop", 0, {{"place 00 7A8D05DD", NULL, "*"}, {"sent $1", NULL, "*"}, {"done $1", NULL, "*"}, {"stop_sent $1", NULL, "*"}, {"stop_failed $1", NULL, "*"}, {"place 01 0A0B0C0D", NULL, "*"}, {"sent $2", NULL, "*"}, {"done $2", NULL, "*"}, {"stop_sent $2", NULL, "*"}, {"stop_failed $2", NULL, "*"}, {BEAT("00 00"), "00", "wish stop 0 $1\nwish stop 1 $2"}}},
    {"nor when it is seen once more", 0, {CHARGING, {"cancel $1", NULL, "*"}, {"stop_sent $1", NULL, "*"}, {"stop_failed $1", NULL, "*"}, {"stop_sent $1", NULL, "*"}, {"stop_failed $1", NULL, "*"}, {"stop_sent $1", NULL, "*"}, {"stop_done $1", NULL, "*"}, {ON("01", "$1"), NULL, "order.changed *\nconnector.status_changed *\ntransaction.meter_values *]}"}}},
    {"cancelled, then seen to run: stopped (10.2)", 0, {PLACED, SENT, {"unsure $1", NULL, "*"}, {"cancel $1", NULL, ORDER("1", "uncertain", WAS("uncertain"), "2", ",'reason':'cancelled','started':false,'cancelled':true")}, {"cancel $1", NULL, ""}, {ON("01", "$1"), NULL, "order.changed *'charging'*'cancelled':true}\ntransaction.started *\nconnector.status_changed *\ntransaction.meter_values *\nwish stop 1 $1"}}},
    {"cancelled, then done: stopped", 0, {PLACED, {"cancel $1", NULL, "*"}, {"sent $1", NULL, "*"}, {"done $1", NULL, "order.changed *\ntransaction.started *\nwish stop 1 $1"}}},
    {"cancelled and uncertain, on a new line: asked and stopped (10.2)", 0, {PLACED, SENT, {"unsure $1", NULL, "*"}, {"cancel $1", NULL, "*"}, {"connect", NULL, ""}, {"22", "*", "charge_point.connected *\nwish status\nwish stop 1 $1"}, {"stop_sent $1", NULL, ""}}},
    {"under way, on a new line: asked (10.2)", 0, {PLACED, SENT, {"connect", NULL, ""}, {"22", "*", "charge_point.connected *\nwish status"}}},

    /* --- ports that the pile chooses --- */
    {"its port comes with the answer (5.8)", 0, {{"place FF 7A8D05DD", NULL, "*"}, {"sent $1", NULL, "*"}, {"port $1 1", NULL, "order.changed *'state':'starting','previousState':'starting','connectorId':2,*'reason':'its port'*"}, {"done $1", NULL, "*\ntransaction.started {'connectorId':2,*"}}},
    {"its port comes with the first frame: then its start is told", 0, {{"place FF 7A8D05DD", NULL, "*"}, {"sent $1", NULL, "*"}, {"done $1", NULL, "order.changed {*'state':'charging',*'started':false}"}, {"04 01 01 00000000 0C00 $1", "*", "order.changed *'connectorId':2,*'started':true}\ntransaction.started {'connectorId':2,*}"}, {ON("01", "$1"), NULL, "connector.status_changed *\ntransaction.meter_values {'connectorId':2,*"}}},
    {"a port that is told stands", 0, {CHARGING, {ON("00", "$1"), NULL, "connector.status_changed {'connectorId':1,*\ntransaction.meter_values {'connectorId':2,*"}}},

    /* --- readings 6.6 --- */
    {"all that it can say (6.6)", 0, {CHARGING, {"06 01 05 2C01 0A00 01 0D07 0807 0040 0620 $1 0000 1027 A408 1103 55 5A 00000000 0500", NULL, "connector.status_changed *\n" METER("1", "100", "180.5", ",{'timestamp':'*','sampledValue':{'value':'221.2','measurand':'Voltage','unit':'V','context':'Sample.Periodic'}},{*{'value':'0.785','measurand':'Current.Import','unit':'A',*}},{*{'value':'20','measurand':'Temperature','unit':'Celsius','context':'Sample.Periodic','location':'Body'}},{*{'value':'25',*'location':'Outlet'}}]")}}},
    {"temperatures of no sensor, or that cannot be (A14)", 0, {CHARGING, {"06 01 05 2C01 0A00 01 0D07 0807 0040 0620 $1 0000 1027 A408 1103 00 05", NULL, "connector.status_changed *\ntransaction.meter_values {*'A','context':'Sample.Periodic'}}]}"}, {"06 01 05 2C01 0A00 01 0D07 0807 0040 0620 $1 0000 1027 A408 1103 19 FF", NULL, "*{'value':'-40','measurand':'Temperature',*'Body'}}]}"}}},
    {"a counter that runs backwards is kept, and flagged", 0, {SEEN, {"06 01 01 2D01 0100 01 0D07 0000 0000 0000 $1", NULL, METER("1", "10", "180.5", "],'flags':['meter_backwards']")}, {"06 01 01 2D01 0200 01 0D07 0000 0000 0000 $1", NULL, METER("1", "20", "180.5", "]")}}},
    {"states of its port (5.2)", 0, {SEEN, {"06 01 02 2C01 0200 01 0000 0000 0000 0000 $1", NULL, "connector.status_changed {'connectorId':2,'status':'Preparing',*}\ntransaction.meter_values *"}, {"06 01 04 2C01 0200 01 0000 0000 0000 0000 $1", NULL, "transaction.meter_values *"}, {"06 01 03 2C01 0200 01 0000 0000 0000 0000 $1", NULL, "connector.status_changed *'Finishing'*\ntransaction.meter_values *"}}},
    {"shorter than it may be: a sign of life (6.6)", 0, {CHARGING, {"06 01 01 2C 0200 01 0D07 0807 0040 0620 $1", NULL, ""}}},
    {"an order of ours that nobody knows any more (10.6)", 0, {{ON("01", "$7"), NULL, "order.changed {'orderNo':'%7','orderKey':'%7','transactionId':'$7','state':'charging','connectorId':2,'startMode':1,'started':true}\n" STARTED("7", "2", "", "%7", ",'offline':false,'flags':['recovered','start_estimated']") " 2026-03-01T08:55:00.000Z\nconnector.status_changed *\n" METER("7", "20", "180.5", "]")}, {"place 00 7A8D05DD", NULL, "order.changed *'$8','state':'new'*"}}},
    {"a number that nobody gave (6.6)", 0, {{ON("01", "A5000102030405060708090A0B0C0D0E"), NULL, "connector.status_changed *\nmeter_values.received {'connectorId':2,'meterValues':*,'flags':['unknown_order']}"}, {"04 01 01 00000000 0C00 A5000102030405060708090A0B0C0D0E", "0100 held", ""}}},
    {"another pile's number", 0, {{"place 01 7A8D05DD", NULL, "*"}, {"B " ON("01", "A500"), NULL, ""}}},
    {"one that memory has dropped (10.2)", 0, {PLACED, SENT, {"refused $1", NULL, "*"}, {"forget", NULL, ""}, {ON("01", "$1"), NULL, CHANGED("1", "failed", "charging") "\ntransaction.started *\nconnector.status_changed *\ntransaction.meter_values *\nwish stop 1 $1"}}},

    /* --- orders that begin at the pile: 11.2, 11.3 --- */
    {"by a card, without us (11.2)", 0, {{"06 01 01 2C01 0200 00 0D07 0000 0000 0000 " BY_CARD, NULL, "order.changed {'orderNo':'202603011650307a8d05dd1354400031','orderKey':'202603011650307a8d05dd1354400031','transactionId':'$1','state':'charging','connectorId':2,'startMode':0,'idTag':'7A8D05DD','started':true}\n" STARTED("1", "2", "7A8D05DD", "202603011650307a8d05dd1354400031", ",'offline':true,'flags':['started_at_pile']") " 2026-03-01T08:50:30.000Z\nconnector.status_changed *\n" METER("1", "20", "180.5", "]")},
     {"06 01 01 5802 0400 00 0D07 0000 0000 0000 " BY_CARD, NULL, METER("1", "40", "180.5", "]")}}},
    {"by a code (11.3)", 0, {{"04 01 03 00054358 0C00 " BY_CODE, "0100 held", "order.changed *'startMode':3,'idTag':'054358',*\n" STARTED("1", "2", "054358", "20260301165030000543581354400071", ",'offline':true,'flags':['started_at_pile']") "*"}}},
    {"by a code, of a number that says nothing (A23)", 0, {{"04 01 03 00123456 0C00 11111111111111111111111111111111", "*", "order.changed *'idTag':'123456',*\n*"}, {"04 01 03 40E20100 0C00 22222222222222222222222222222222", "*", "order.changed *'idTag':'123456',*\n*"}, {"04 01 03 FFFFFFFF 0C00 33333333333333333333333333333333", "*", "order.changed *'idTag':'FFFFFFFF',*\n*"}}},
    {"by a card whose pile has no clock: its start is estimated (10.4)", 0, {{"06 01 01 2C01 0200 00 0D07 0000 0000 0000 197001010801307A8D05DD1354400031", NULL, "order.changed *\ntransaction.started *'offline':true,'flags':['started_at_pile','start_estimated']} 2026-03-01T08:55:00.000Z\n*"}}},
    {"by a card, of a number that says nothing: whose it is comes with its settlement", 0, {{"06 01 01 2C01 0200 00 0D07 0000 0000 0000 44444444444444444444444444444444", NULL, "order.changed *'startMode':0,'started':true}\ntransaction.started *'idTag':''*\n*"}, {"03 100E E803 0300 01 00 7A8D05DD 01 44444444444444444444444444444444", "00 held", "order.changed *\ntransaction.stopped *'idTag':'7A8D05DD'*"}}},
    {"one to come is not believed", 0, {{"06 01 01 2C01 0200 00 0D07 0000 0000 0000 202603011700017A8D05DD1354400031", NULL, "order.changed *\ntransaction.started *'start_estimated'*\n*"}}},
    {"another way to start is nobody's (5.4)", 0, {{"06 01 01 2C01 0200 02 0D07 0000 0000 0000 " BY_CARD, NULL, "connector.status_changed *\nmeter_values.received *'unknown_order'*"}}},

    /* --- cabinets 6.13 --- */
    {"finished, not settled (6.13)", 0, {SEEN, {"43 100E E803 0300 01 01 00000000 01 $1", NULL, CHANGED("1", "charging", "ended") "\nconnector.status_changed {'connectorId':2,'status':'Finishing',*}"}, {"43 100E E803 0300 01 01 00000000 01 $1", NULL, ""}}},
    {"finished, of an order that nobody knows: never booked (6.13)", 0, {{"43 100E E803 0300 01 00 7A8D05DD 01 " BY_CARD, NULL, "connector.status_changed *'Finishing'*"}}},

    /* --- limits --- */
    {"what tags have open is counted", ONE_EACH, {{"02 7A8D05DD 00 01", "7A8D05DD0000D204000001 held", "*\nwish start 1 7A8D05DD"}, PLACED, {"at 61", NULL, ""}, {"02 7A8D05DD 00 00", "7A8D05DD0400D204000000 held", "*'ConcurrentTx'*"}, {"not_sent $1", NULL, "*"}, {"02 7A8D05DD 00 00", "7A8D05DD0000D204000000 held", "*\nwish start 0 7A8D05DD"}}},
};
/* clang-format on */

static void check_full(void)
{
    struct kit *k = kit_new();
    struct ap3000_frame f;
    story_introduce(k);
    CHECK("one that fails", kit_place(k, 0, 1, STR("TAG")) && kit_order(k, 0, 1, ORDER_IN_NOT_SENT) == OK);
    for (int i = 0; i < PILE_ORDERS_MAX; i++)
        CHECK("up to the limit", kit_place(k, 0, 1, STR("TAG")));
    CHECK("no more are placed", !kit_place(k, 0, 1, STR("TAG")) && k->decision.event_count == 0);
    CHECK("and take no number", k->next_number == PILE_ORDERS_MAX + 2);
    CHECK("a frame", kit_read_frame(k, kit_ids[0], STR("06 01 01 2C01 0200 00 0D07 0000 0000 0000 " BY_CARD), &f));
    kit_frame(k, 0, &f);
    CHECK("what the pile began meanwhile waits for its settlement",
          k->decision.event_count == 2 && k->decision.events[1].type == EVENT_METER_VALUES &&
              pile_open_count(k->piles[0]) == PILE_ORDERS_MAX);
    CHECK("a reading of the one that failed", kit_read_frame(k, kit_ids[0], STR(ON("01", "$1")), &f));
    kit_frame(k, 0, &f);
    CHECK("is kept, and it is not opened again",
          k->decision.event_count == 1 && pile_open_count(k->piles[0]) == PILE_ORDERS_MAX);
    for (uint64_t n = 2; n <= PILE_ORDERS_MAX + 1; n++) {
        CHECK("sent", kit_order(k, 0, n, ORDER_IN_SENT) == OK);
        CHECK("unsure", kit_order(k, 0, n, ORDER_IN_UNSURE) == OK);
    }
    CHECK("every tag is counted", tag_book_count(k->tags, STR("tag")) == PILE_ORDERS_MAX);
    for (int i = 0; i < 2; i++) {
        uint8_t beat[260] = {0x98, 0x08, 255};
        memset(beat + 3, 2 + i, 255);
        kit_frame(k, 0,
                  &(struct ap3000_frame){.message_id = (uint16_t)(900 + i), .command = 0x21, .payload = {beat, 260}});
    }
    CHECK("a heartbeat may change every port and every order",
          k->decision.event_count == 255 + PILE_ORDERS_MAX && pile_open_count(k->piles[0]) == 0);
    CHECK("there was room for it", !k->text.failed);
    CHECK("and no tag is left counted", tag_book_count(k->tags, STR("tag")) == 0);
    kit_free(k);
}

int main(void)
{
    story_check(rows, COUNT_OF(rows));
    check_full();
    return CHECK_REPORT();
}
