/* test_ap3000_actions.c - commands by name: payload -> frame or refusal; answer -> ending and order. */
#include "actionkit.h"
#include "check.h"

#include "proto/ap3000/talk.h"

#define NO "A5000000000000000000000000000007"
/* The order number of a start is made anew: these 16 bytes stand for it. */
#define N    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define Z10  "00000000000000000000"
#define Z50  Z10 Z10 Z10 Z10 Z10
#define REST "0000 0000 00 00 0000 02 00 00 00 00"

/* --- payload -> frame --- */

/* clang-format off */
static const struct {
    const char *row, *name;
    enum kit_before before;
    const char *payload;
    enum err want;
    const char *hex_or_field; /* of the payload; the command before it */
} rows[] = {
    {"a start, and the pile chooses", "RemoteStartTransaction", PLAIN, "{'idTag':'T'}", OK,
     "82 00 00000000 FF 01 0000 " N REST},
    {"a start at a connector", "RemoteStartTransaction", PLAIN, "{'idTag':'T','connectorId':2}", OK,
     "82 00 00000000 01 01 0000 " N REST},
    {"connector 0 is the whole pile", "RemoteStartTransaction", PLAIN, "{'idTag':'T','connectorId':0}", OK,
     "82 00 00000000 FF 01 0000 " N REST},
    {"by time", "RemoteStartTransaction", PLAIN, "{'idTag':'T','durationS':3600,'balanceFen':1250}", OK,
     "82 00 E2040000 FF 01 100E " N REST},
    {"by energy, rounded", "RemoteStartTransaction", PLAIN, "{'idTag':'T','energyWh':1496}", OK,
     "82 02 00000000 FF 01 9600 " N REST},
    {"monthly, until then", "RemoteStartTransaction", PLAIN,
     "{'idTag':'T','rateMode':'monthly','expiresAt':'2026-01-15T03:16:40Z'}", OK, "82 01 185C6869 FF 01 0000 " N REST},
    {"by count", "RemoteStartTransaction", PLAIN, "{'idTag':'T','rateMode':'count'}", OK,
     "82 03 00000000 FF 01 0000 " N REST},
    {"all that may be said", "RemoteStartTransaction", PLAIN,
     "{'idTag':'T','rateMode':'time','durationS':64800,'maxDurationS':7200,'overloadW':500,'forceFullStop':true,"
     "'shortCheck':1}", OK, "82 00 00000000 FF 01 20FD " N "201C 8813 00 00 0000 01 00 01 00 00"},
    {"longer than may be counted", "RemoteStartTransaction", PLAIN, "{'idTag':'T','durationS':64801}", ERR_RANGE,
     "durationS"},
    {"a longest time that is longer", "RemoteStartTransaction", PLAIN, "{'idTag':'T','maxDurationS':64801}", ERR_RANGE,
     "maxDurationS"},
    {"less energy than can be said", "RemoteStartTransaction", PLAIN, "{'idTag':'T','energyWh':9}", ERR_RANGE,
     "energyWh"},
    {"more energy than can be said", "RemoteStartTransaction", PLAIN, "{'idTag':'T','energyWh':655355}", ERR_RANGE,
     "energyWh"},
    {"energy by time", "RemoteStartTransaction", PLAIN, "{'idTag':'T','rateMode':'time','energyWh':10}", ERR_RANGE,
     "energyWh"},
    {"time and energy", "RemoteStartTransaction", PLAIN, "{'idTag':'T','durationS':10,'energyWh':10}", ERR_RANGE,
     "durationS"},
    {"an end that is not monthly", "RemoteStartTransaction", PLAIN,
     "{'idTag':'T','expiresAt':'2026-01-15T03:16:40Z'}", ERR_RANGE, "expiresAt"},
    {"a balance that would be spoken as a date", "RemoteStartTransaction", PLAIN,
     "{'idTag':'T','balanceFen':100000001}", ERR_RANGE, "balance_or_expiry"},
    {"more overload than can be said", "RemoteStartTransaction", PLAIN, "{'idTag':'T','overloadW':6554}", ERR_RANGE,
     "overloadW"},
    {"a short check that is none", "RemoteStartTransaction", PLAIN, "{'idTag':'T','shortCheck':3}", ERR_RANGE,
     "shortCheck"},
    {"no tag", "RemoteStartTransaction", PLAIN, "{'connectorId':1}", ERR_MISSING, "idTag"},
    {"an empty tag", "RemoteStartTransaction", PLAIN, "{'idTag':''}", ERR_RANGE, "idTag"},
    {"a member that is not known is no unknown command", "RemoteStartTransaction", PLAIN, "{'idTag':'T','x':1}",
     ERR_FORMAT, "x"},
    {"a connector that it has not", "RemoteStartTransaction", PLAIN, "{'idTag':'T','connectorId':5}", ERR_RANGE,
     "connectorId"},
    {"a connector that none has", "RemoteStartTransaction", PLAIN, "{'idTag':'T','connectorId':256}", ERR_RANGE,
     "connectorId"},
    {"a port where an order is", "RemoteStartTransaction", CHARGES, "{'idTag':'T','connectorId':2}", ERR_STATE,
     "connectorId"},
    {"a port where perhaps an order is", "RemoteStartTransaction", UNSURE, "{'idTag':'T','connectorId':2}", ERR_STATE,
     "connectorId"},
    {"another port", "RemoteStartTransaction", CHARGES, "{'idTag':'T','connectorId':1}", OK,
     "82 00 00000000 00 01 0000 " N REST},
    {"a port whose order waits for its settlement", "RemoteStartTransaction", OVER, "{'idTag':'T','connectorId':2}", OK,
     "82 00 00000000 01 01 0000 " N REST},
    {"a port with a fault", "RemoteStartTransaction", FAULTY, "{'idTag':'T','connectorId':2}", ERR_STATE, "connectorId"},
    {"a pile that is not accepted", "RemoteStartTransaction", PENDING, "{'idTag':'T'}", ERR_STATE, ""},
    {"a number that piles fall back to", "RemoteStartTransaction", FALLBACK, "{'idTag':'T'}", ERR_STATE, ""},
    {"a start field by field", "Ap3000.Start", PLAIN, "{'idTag':'T','rate_mode':2,'balance_or_expiry':0,'port':255,"
     "'duration_or_energy':150,'full_power_w':9}", OK, "82 02 00000000 FF 01 9600 " N "0000 0000 00 00 0000 02 00 00 09 00"},
    {"its short check is what is said", "Ap3000.Start", PLAIN, "{'idTag':'T','rate_mode':0,'balance_or_expiry':0,"
     "'port':1,'duration_or_energy':0,'short_check':0}", OK, "82 00 00000000 01 01 0000 " N "0000 0000 00 00 0000 00 00 00 00 00"},
    {"its order number is ours", "Ap3000.Start", PLAIN, "{'idTag':'T','rate_mode':0,'balance_or_expiry':0,'port':1,"
     "'duration_or_energy':0,'order_no':'" NO "'}", ERR_FORMAT, "order_no"},
    {"its tag is needed", "Ap3000.Start", PLAIN, "{'rate_mode':0,'balance_or_expiry':0,'port':1,"
     "'duration_or_energy':0}", ERR_MISSING, "idTag"},
    {"until full has no amount", "Ap3000.Start", PLAIN, "{'idTag':'T','rate_mode':1,'balance_or_expiry':0,'port':1,"
     "'duration_or_energy':1}", ERR_RANGE, "duration_or_energy"},
    {"255 W is no wattage", "Ap3000.Start", PLAIN, "{'idTag':'T','rate_mode':0,'balance_or_expiry':0,'port':1,"
     "'duration_or_energy':0,'full_power_w':255}", ERR_RANGE, "full_power_w"},
    {"a port that it has not", "Ap3000.Start", PLAIN, "{'idTag':'T','rate_mode':0,'balance_or_expiry':0,'port':4,"
     "'duration_or_energy':0}", ERR_RANGE, "port"},
    {"where an order is", "Ap3000.Start", CHARGES, "{'idTag':'T','rate_mode':0,'balance_or_expiry':0,'port':1,"
     "'duration_or_energy':0}", ERR_STATE, "connectorId"},

    {"a stop has the right port and number", "RemoteStopTransaction", CHARGES, "{'transactionId':$1}", OK,
     "82 00 00000000 01 00 0000 " NO "0000 0000 00 00 0000 00 00 00 00 00"},
    {"a stop of what is uncertain", "RemoteStopTransaction", UNSURE, "{'transactionId':$1}", OK,
     "82 00 00000000 01 00 0000 " NO "0000 0000 00 00 0000 00 00 00 00 00"},
    {"a stop of what has ended", "RemoteStopTransaction", OVER, "{'transactionId':$1}", ERR_STATE, "transactionId"},
    {"a stop of nothing", "RemoteStopTransaction", PLAIN, "{'transactionId':12345}", ERR_STATE, "transactionId"},
    {"a stop by number", "Ap3000.Stop", CHARGES, "{'port':1,'order_no':'" NO "'}", OK,
     "82 00 00000000 01 00 0000 " NO "0000 0000 00 00 0000 00 00 00 00 00"},
    {"of one that is not known", "Ap3000.Stop", PLAIN, "{'port':0,'order_no':'202601150930127A8D05DD1354400031'}", OK,
     "82 00 00000000 00 00 0000 202601150930127A8D05DD1354400031 0000 0000 00 00 0000 00 00 00 00 00"},
    {"a number that is none", "Ap3000.Stop", PLAIN, "{'port':0,'order_no':'2026'}", ERR_RANGE, "order_no"},
    {"a stop at no port", "Ap3000.Stop", PLAIN, "{'port':255,'order_no':'" NO "'}", ERR_RANGE, "port"},
    {"a stop behind the door", "Ap3000.StopKeepingDoor", CHARGES, "{'port':1,'order_no':'" NO "'}", OK, "72 01 " NO},
    {"a change", "Ap3000.ChangeCharge", CHARGES, "{'rate_mode':1,'port':1,'duration_or_energy':3600}", OK,
     "8A 01 01 100E"},
    {"a change of this one", "Ap3000.ChangeCharge", CHARGES,
     "{'rate_mode':1,'port':1,'duration_or_energy':3600,'transactionId':$1}", OK, "8A 01 01 100E"},
    {"a change of another one", "Ap3000.ChangeCharge", CHARGES,
     "{'rate_mode':1,'port':1,'duration_or_energy':3600,'transactionId':7}", ERR_STATE, "transactionId"},
    {"a change of nothing", "Ap3000.ChangeCharge", CHARGES, "{'rate_mode':1,'port':0,'duration_or_energy':3600}",
     ERR_STATE, "port"},
    {"a mode of another command", "Ap3000.ChangeCharge", CHARGES, "{'rate_mode':3,'port':1,'duration_or_energy':0}",
     ERR_RANGE, "rate_mode"},

    {"a boot is asked for", "TriggerMessage", PLAIN, "{'requestedMessage':'BootNotification'}", OK, "81"},
    {"a heartbeat", "TriggerMessage", PLAIN, "{'requestedMessage':'Heartbeat'}", OK, "81"},
    {"a status", "TriggerMessage", PLAIN, "{'requestedMessage':'StatusNotification','connectorId':1}", OK, "81"},
    {"meter values are not to be had", "TriggerMessage", PLAIN, "{'requestedMessage':'MeterValues'}", ERR_UNSUPPORTED,
     "requestedMessage"},
    {"a word that is none", "TriggerMessage", PLAIN, "{'requestedMessage':'X'}", ERR_RANGE, "requestedMessage"},
    {"status", "Ap3000.AskStatus", PLAIN, "{}", OK, "81"},
    {"a restart", "Reset", PLAIN, "{'type':'Soft'}", OK, "87"},
    {"a restart while it charges", "Reset", CHARGES, "{'type':'Soft','confirm':true}", ERR_STATE, "type"},
    {"a hard one", "Reset", CHARGES, "{'type':'Hard'}", ERR_STATE, "type"},
    {"a hard one, confirmed", "Reset", CHARGES, "{'type':'Hard','confirm':true}", OK, "87"},
    {"a host restarts another way", "Reset", HOST, "{'type':'Hard'}", OK, "31"},
    {"a door of what has none", "UnlockConnector", PLAIN, "{'connectorId':1}", ERR_UNSUPPORTED, "connectorId"},
    {"a door", "UnlockConnector", CABINET, "{'connectorId':2}", OK, "98 00 01"},
    {"a door that it has not", "UnlockConnector", CABINET, "{'connectorId':5}", ERR_RANGE, "connectorId"},
    {"a door that none has", "UnlockConnector", CABINET, "{'connectorId':256}", ERR_RANGE, "connectorId"},
    {"availability", "ChangeAvailability", PLAIN, "{'connectorId':0,'type':'Operative'}", ERR_UNSUPPORTED, ""},
    {"all parameters", "GetConfiguration", PLAIN, "{}", OK, "90"},
    {"one of the second block", "GetConfiguration", PLAIN, "{'key':['x','min_power_dw']}", OK, "91"},
    {"two of two blocks", "GetConfiguration", PLAIN, "{'key':['over_voltage_dv','HeartbeatInterval']}", OK, "90"},
    {"none that is known", "GetConfiguration", PLAIN, "{'key':['x']}", OK, "90"},
    {"a change of a parameter", "ChangeConfiguration", PLAIN, "{'key':'over_voltage_dv','value':'2700'}", OK, "92"},
    {"by the name that OCPP has for it", "ChangeConfiguration", PLAIN, "{'key':'HeartbeatInterval','value':'60'}", OK,
     "90"},
    {"a value that is no number", "ChangeConfiguration", PLAIN, "{'key':'HeartbeatInterval','value':'1 min'}",
     ERR_RANGE, "value"},
    {"a value that does not fit", "ChangeConfiguration", PLAIN, "{'key':'HeartbeatInterval','value':'65536'}",
     ERR_RANGE, "value"},
    {"a value that none may have", "ChangeConfiguration", PLAIN, "{'key':'HeartbeatInterval','value':'0'}", ERR_RANGE,
     "value"},
    {"a code that is not listed", "ChangeConfiguration", PLAIN, "{'key':'qr_light','value':'2'}", ERR_RANGE, "value"},
    {"firmware is no frame", "UpdateFirmware", PLAIN, "{'fileId':'f','confirm':true}", ERR_UNSUPPORTED, ""},
    {"firmware is guarded", "UpdateFirmware", PLAIN, "{'fileId':'f'}", ERR_MISSING, "confirm"},
    {"firmware by a command that is none", "UpdateFirmware", PLAIN, "{'fileId':'f','confirm':true,'command':'E3'}",
     ERR_RANGE, "command"},
    {"firmware of a version that none has", "UpdateFirmware", PLAIN, "{'fileId':'f','confirm':true,'version':65536}",
     ERR_RANGE, "version"},

    {"the first block", "Ap3000.SetParameters1", PLAIN, "{'unplug_power_dw':3,'unplug_time_s':10,'float_percent':20,"
     "'float_detect_s':1800,'float_time_s':3600,'heartbeat_s':180}", OK, "83 0300 0A00 14 0807 100E B400"},
    {"more than all of it", "Ap3000.SetParameters1", PLAIN, "{'unplug_power_dw':3,'unplug_time_s':10,"
     "'float_percent':101,'float_detect_s':1800,'float_time_s':3600,'heartbeat_s':180}", ERR_RANGE, "float_percent"},
    {"the second block, as an old pile has it", "Ap3000.SetParameters2", PLAIN, "{'dyn_overload_power_dw':800,"
     "'dyn_overload_time_s':30,'dyn_overload_start_s':1800,'unplug_noise_power_dw':10,'unplug_noise_time_s':300,"
     "'float2_start_s':10800,'float2_detect_s':300,'min_power_dw':300,'min_power_time_s':1800,"
     "'second_max_window_s':300}", OK, "84 2003 1E00 0807 0A 2C01 302A 2C01 2C01 0807 2C01"},
    {"limits", "Ap3000.SetLimits", PLAIN, "{'max_duration_s':36000,'overload_power_dw':0}", OK, "85 A08C 0000"},
    {"keys are guarded", "Ap3000.SetCardKeys", PLAIN,
     "{'card_sector':0,'user_key':'159185191880','new_card_key':'FFFFFFFFFFFF'}", ERR_MISSING, "confirm"},
    {"keys", "Ap3000.SetCardKeys", PLAIN,
     "{'card_sector':0,'user_key':'159185191880','new_card_key':'FFFFFFFFFFFF','confirm':true}", OK,
     "86 00 159185191880 FFFFFFFFFFFF"},
    {"not confirmed", "Ap3000.Reboot", PLAIN, "{'confirm':false}", ERR_RANGE, "confirm"},
    {"confirmed in words", "Ap3000.Reboot", PLAIN, "{'confirm':'true'}", ERR_RANGE, "confirm"},
    {"confirmed", "Ap3000.Reboot", PLAIN, "{'confirm':true}", OK, "87"},
    {"confirmed, but an order is open", "Ap3000.Reboot", CHARGES, "{'confirm':true}", ERR_STATE, "confirm"},
    {"memory", "Ap3000.ClearMemory", PLAIN, "{'confirm':true}", OK, "88"},
    {"memory, and a settlement is still in it", "Ap3000.ClearMemory", OVER, "{'confirm':true}", ERR_STATE, "confirm"},
    {"sound", "Ap3000.SetMute", PLAIN, "{'mute':1}", OK, "97 01"},
    {"reading the first block", "Ap3000.GetParameters1", PLAIN, "{}", OK, "90"},
    {"the second", "Ap3000.GetParameters2", PLAIN, "{}", OK, "91"},
    {"limits are read", "Ap3000.GetLimits", PLAIN, "{}", OK, "92"},
    {"keys are read", "Ap3000.GetCardKeys", PLAIN, "{}", OK, "93"},
    {"nothing is said where nothing is to be said", "Ap3000.GetLimits", PLAIN, "{'confirm':true}", ERR_FORMAT,
     "confirm"},
    {"memory is read", "Ap3000.ReadEeprom", PLAIN, "{'address':16,'data_len':32}", OK, "8B 1000 20"},
    {"too much of it", "Ap3000.ReadEeprom", PLAIN, "{'address':16,'data_len':33}", ERR_RANGE, "data_len"},
    {"memory is written", "Ap3000.WriteEeprom", PLAIN, "{'address':16,'data':'DEAD','confirm':true}", OK,
     "8C 1000 02 DEAD"},
    {"nothing is written", "Ap3000.WriteEeprom", PLAIN, "{'address':16,'data':'','confirm':true}", ERR_RANGE,
     "data_len"},
    {"cards only", "Ap3000.SetWorkMode", PLAIN, "{'work_mode':1}", OK, "8D 01"},
    {"the base of QR codes", "Ap3000.SetQrBase", PLAIN, "{'screen_type':1,'reserved':'000000','qr_text':'http://x.invalid'}",
     OK, "8E 01 000000 687474703A2F2F782E696E76616C6964" Z50 "000000000000"},
    {"what is reserved is 0", "Ap3000.SetQrBase", PLAIN, "{'screen_type':1,'reserved':'000001','qr_text':'x'}",
     ERR_RANGE, "reserved"},
    {"a QR code for a while", "Ap3000.ShowQr", PLAIN, "{'qr_text':'x'}", OK,
     "95 78 " Z50 Z50 Z50 Z10 Z10 Z10 Z10 "000000000000000000"},
    {"free charges", "Ap3000.SetCardMode", PLAIN, "{'tc_mode':6}", OK, "8F 06"},
    {"where is it?", "Ap3000.Find", PLAIN, "{'seconds':10}", OK, "96 0A"},
    {"a door by force", "Ap3000.OpenDoor", CHARGES, "{'function':0,'port':1}", OK, "98 00 01"},
    {"no port is no door", "Ap3000.OpenDoor", PLAIN, "{'function':0,'port':255}", ERR_RANGE, "port"},
    {"another function", "Ap3000.OpenDoor", PLAIN, "{'function':1,'port':0}", ERR_RANGE, "function"},
    {"its own firmware", "Ap3000.SelfUpgrade", PLAIN, "{'confirm':true}", OK, "E4"},
    {"a host restarts", "Ap3000.RebootHost", HOST, "{'confirm':true}", OK, "31"},
    {"a module restarts", "Ap3000.RebootModule", HOST, "{'confirm':true}", OK, "32"},
    {"its store", "Ap3000.DropFirmware", HOST, "{}", OK, "33"},
    {"another server", "Ap3000.SetServerAddress", HOST,
     "{'tcp_port':80,'module_type':3,'socket_b':1,'address':'B.invalid','confirm':true}", OK,
     "34 5000 03 01 422E696E76616C6964" Z10 Z10 Z10 "00000000000000"},
    {"another port of it", "Ap3000.SetServerAddress", HOST,
     "{'tcp_port':8,'module_type':3,'socket_b':1,'address':'b.invalid','confirm':true}", ERR_DENIED, "address"},
    {"the end of its port", "Ap3000.SetServerAddress", HOST,
     "{'tcp_port':54,'module_type':3,'socket_b':1,'address':'a.invalid','confirm':true}", ERR_DENIED, "address"},
    {"the end of a listed one", "Ap3000.SetServerAddress", HOST,
     "{'tcp_port':80,'module_type':3,'socket_b':1,'address':'invalid','confirm':true}", ERR_DENIED, "address"},
    {"no address", "Ap3000.SetServerAddress", HOST,
     "{'tcp_port':80,'module_type':3,'socket_b':1,'address':'','confirm':true}", ERR_RANGE, "address"},
    {"slaves", "Ap3000.SetFsk", HOST, "{'frequency_mhz':473,'reserved':'000000','slave_ids':['04CEAA40','0401BA3B']}",
     OK, "3A D901 000000 02 40AACE04 3BBA0104"},
};
/* clang-format on */

/* $1: the transaction of kit_arrange(). */
static struct str payload_of(struct kit *k, const char *text)
{
    const char *dollar = strstr(text, "$1");
    if (dollar == NULL)
        return kit_json(k, str_of(text));
    return kit_json(k, arena_printf(&k->arena, "%.*s4711%s", (int)(dollar - text), text, dollar + 2));
}

/* Where x stands in want, anything may be. */
static bool is_like(struct bytes got, const char *want)
{
    size_t digits = 0;
    for (const char *at = want; *at != '\0'; at++) {
        if (*at == ' ')
            continue;
        if (digits / 2 >= got.len)
            return false;
        char digit = "0123456789ABCDEF"[got.at[digits / 2] >> (digits % 2 == 0 ? 4 : 0) & 15];
        if (*at != 'x' && *at != digit)
            return false;
        digits++;
    }
    return digits == 2 * got.len;
}

static void check_rows(void)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct kit *k = kit_new();
        const struct ap3000_action *a = ap3000_action_find(str_of(rows[i].name));
        CHECK(rows[i].row, a != NULL);
        kit_arrange(k, rows[i].before);
        struct str payload = payload_of(k, rows[i].payload);
        size_t orders = k->pile->order_count;
        enum err e = kit_begin(k, a, payload);
        CHECK(rows[i].row, e == rows[i].want && (e == OK) == (k->why.reason[0] == '\0'));
        if (rows[i].want != OK) {
            CHECK(rows[i].row, strcmp(k->why.field, rows[i].hex_or_field) == 0);
            CHECK(rows[i].row, k->pile->order_count == orders && k->next_number == 7);
        } else if (e == OK) {
            struct bytes sent = kit_sent(k);
            uint8_t whole[AP3000_PAYLOAD_SIZE_MAX + 1] = {k->talk.command};
            memcpy(whole + 1, sent.at, sent.len);
            CHECK(rows[i].row, is_like((struct bytes){whole, sent.len + 1}, rows[i].hex_or_field));
        }
        kit_free(k);
    }
}

/* Every action is in a row that is sent, but for those that are never one frame; what is checked begins. */
static void check_actions(void)
{
    for (size_t i = 0; i < ap3000_action_count; i++) {
        const struct ap3000_action *a = &ap3000_actions[i];
        bool is_sent = false;
        for (size_t r = 0; r < COUNT_OF(rows); r++)
            is_sent = is_sent || (rows[r].want == OK && str_eq(str_of(rows[r].name), a->name));
        bool is_never = i == AP3000_ACTION_change_availability || i == AP3000_ACTION_update_firmware;
        CHECK(a->name.at, is_sent != is_never);
        CHECK(a->name.at, a->command == 0 || ap3000_command_find(a->command, AP3000_DOWN) != NULL);
        CHECK(a->name.at, ap3000_action_find(a->name) == a && ap3000_action_index(a) == i);
    }
    CHECK("no such action", ap3000_action_find(STR("Ap3000.PlayVoice")) == NULL);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct kit *k = kit_new();
        struct fault why = {0};
        const struct ap3000_action *a = ap3000_action_find(str_of(rows[i].name));
        kit_arrange(k, rows[i].before);
        enum err e = ap3000_action_check(&k->in, a, payload_of(k, rows[i].payload), &k->arena, &why);
        CHECK(rows[i].row, e == rows[i].want || (e == OK && ap3000_action_index(a) == AP3000_ACTION_update_firmware));
        CHECK(rows[i].row, k->next_number == 7 && k->pile->next_message_id == 1);
        kit_free(k);
    }
}

static void check_update(void)
{
    struct kit *k = kit_new();
    struct ap3000_update u = {0};
    struct fault why;
    struct str payload = kit_json(
        k, STR("{'fileId':'f','confirm':true,'command':'F9','version':126,'deviceType':40,'checkPacket':true}"));
    CHECK("a firmware", ap3000_update_read(payload, &k->arena, &u, &why) == OK && str_eq(u.file_id, STR("f")) &&
                            u.command == 0xF9 && u.version == 126 && u.device_type == 40 && u.has_check_packet);
    payload = kit_json(k, STR("{'fileId':'f'}"));
    CHECK("a firmware, nothing said of it", ap3000_update_read(payload, &k->arena, &u, &why) == OK && u.command == 0 &&
                                                u.version == 0 && u.device_type == 0 && !u.has_check_packet);
    kit_free(k);
}

/* --- answer -> ending, and the order --- */

/* clang-format off */
static const struct {
    const char *row, *name, *payload;
    enum kit_before before;
    bool is_repeated;
    const char *answer; /* N: the order number that was sent; NULL: none came */
    const char *outcome, *reason, *status;
    enum order_state state; /* of the newest order; ORDER_STATE_COUNT: there is none */
} answers[] = {
#define START "RemoteStartTransaction", "{'idTag':'T','connectorId':1}", PLAIN
#define STOP  "RemoteStopTransaction", "{'transactionId':$1}"
    {"done", START, false, "00 N 00 0000", "answered", NULL, "Accepted", ORDER_CHARGING},
    {"done, in one byte", START, false, "00", "answered", NULL, "Accepted", ORDER_CHARGING},
    {"done, without a number", START, false, "00 " Z10 "", "answered", NULL, "Accepted", ORDER_CHARGING},
    {"done, of another order", START, false, "00 " NO " 00 0000", "unknown", "DEVICE_REJECTED", "Rejected",
     ORDER_UNCERTAIN},
    {"no charger", START, false, "01 N 00 0000", "answered", "DEVICE_REJECTED", "Rejected", ORDER_FAILED},
    {"already so", START, false, "02 N 00 0000", "answered", "DEVICE_REJECTED", "Rejected", ORDER_FAILED},
    {"already so, after a repeat", START, true, "02 N 00 0000", "unknown", "DEVICE_REJECTED", "Rejected",
     ORDER_UNCERTAIN},
    {"already so by another, after a repeat", START, true, "02 " NO " 00 0000", "answered", "DEVICE_REJECTED",
     "Rejected", ORDER_FAILED},
    {"a port fault says nothing", START, false, "03 N 00 0000", "unknown", "DEVICE_REJECTED", "Rejected",
     ORDER_UNCERTAIN},
    {"no such port", START, false, "04 N 00 0000", "answered", "DEVICE_REJECTED", "Rejected", ORDER_FAILED},
    {"which port?", START, false, "05 N FF 0300", "answered", "DEVICE_REJECTED", "Rejected", ORDER_FAILED},
    {"too much power", START, false, "06 N 00 0000", "answered", "DEVICE_REJECTED", "Rejected", ORDER_FAILED},
    {"memory", START, false, "07 N 00 0000", "answered", "DEVICE_REJECTED", "Rejected", ORDER_FAILED},
    {"an open fuse", START, false, "08 N 00 0000", "answered", "DEVICE_REJECTED", "Rejected", ORDER_FAILED},
    {"a welded relay charges", START, false, "09 N 00 0000", "answered", NULL, "Accepted", ORDER_CHARGING},
    {"a short", START, false, "0A N 00 0000", "answered", "DEVICE_REJECTED", "Rejected", ORDER_FAILED},
    {"smoke", START, false, "0B N 00 0000", "answered", "DEVICE_REJECTED", "Rejected", ORDER_FAILED},
    {"overvoltage", START, false, "0C N 00 0000", "answered", "DEVICE_REJECTED", "Rejected", ORDER_FAILED},
    {"undervoltage", START, false, "0D N 00 0000", "answered", "DEVICE_REJECTED", "Rejected", ORDER_FAILED},
    {"the slave said nothing", START, false, "0E N 00 0000", "unknown", "NO_ANSWER", "Rejected",
     ORDER_UNCERTAIN},
    {"a code that nobody knows", START, false, "4F N 00 0000", "unknown", "DEVICE_REJECTED", "Rejected",
     ORDER_UNCERTAIN},
    {"an answer without a byte", START, false, "", "unknown", "DEVICE_ERROR", "Rejected", ORDER_UNCERTAIN},
    {"no answer", START, true, NULL, "unknown", "NO_ANSWER", "Rejected", ORDER_UNCERTAIN},
    {"stopped", STOP, CHARGES, false, "00 N 01 0000", "answered", NULL, "Accepted", ORDER_ENDED},
    {"stopped before", STOP, CHARGES, false, "02 N 01 0000", "answered", NULL, "Accepted", ORDER_ENDED},
    {"not stopped", STOP, CHARGES, false, "03 N 01 0000", "answered", "DEVICE_REJECTED", "Rejected", ORDER_CHARGING},
    {"the slave said nothing to a stop", STOP, CHARGES, false, "0E N 01 0000", "unknown", "NO_ANSWER", "Rejected",
     ORDER_CHARGING},
    {"a stop without an answer", STOP, CHARGES, true, NULL, "unknown", "NO_ANSWER", "Rejected", ORDER_CHARGING},
    {"a stop with half an answer", STOP, CHARGES, false, "", "unknown", "DEVICE_ERROR", "Rejected", ORDER_CHARGING},
    {"a stop of what is uncertain stays so", STOP, UNSURE, false, "00 N 01 0000", "answered", NULL, "Accepted",
     ORDER_UNCERTAIN},
    {"stopped behind the door", "Ap3000.StopKeepingDoor", "{'port':1,'order_no':'" NO "'}", CHARGES, false, "00 N",
     "answered", NULL, "Accepted", ORDER_ENDED},
    {"not stopped behind the door", "Ap3000.StopKeepingDoor", "{'port':1,'order_no':'" NO "'}", CHARGES, false, "02 N",
     "answered", "DEVICE_REJECTED", "Rejected", ORDER_CHARGING},
    {"a stop of what nobody knows", "Ap3000.Stop", "{'port':1,'order_no':'202601150930127A8D05DD1354400031'}", PLAIN,
     false, "00", "answered", NULL, "Accepted", ORDER_STATE_COUNT},
    {"a change", "Ap3000.ChangeCharge", "{'rate_mode':1,'port':1,'duration_or_energy':3600}", CHARGES, false, "00",
     "answered", NULL, "Accepted", ORDER_CHARGING},
    {"a change below what is used", "Ap3000.ChangeCharge", "{'rate_mode':1,'port':1,'duration_or_energy':3600}",
     CHARGES, false, "02", "answered", "DEVICE_REJECTED", "Rejected", ORDER_CHARGING},
    {"mute", "Ap3000.SetMute", "{'mute':1}", PLAIN, false, "00", "answered", NULL, "Accepted", ORDER_STATE_COUNT},
    {"mute it cannot be", "Ap3000.SetMute", "{'mute':1}", PLAIN, false, "01", "answered", "DEVICE_REJECTED", "Rejected",
     ORDER_STATE_COUNT},
    {"what is read has no code", "Ap3000.GetLimits", "{}", PLAIN, false, "A08C 0100", "answered", NULL, "Accepted",
     ORDER_STATE_COUNT},
    {"what is read is too short", "Ap3000.GetLimits", "{}", PLAIN, false, "A08C 01", "answered", "DEVICE_ERROR",
     "Rejected", ORDER_STATE_COUNT},
    {"status is never answered", "Ap3000.AskStatus", "{}", PLAIN, false, NULL, "unknown", "NO_ANSWER", "Rejected",
     ORDER_STATE_COUNT},
    {"nor is this", "Ap3000.SelfUpgrade", "{'confirm':true}", PLAIN, false, NULL, "unknown", NULL, "Sent",
     ORDER_STATE_COUNT},
#undef START
#undef STOP
};
/* clang-format on */

/* N: the number in the frame that was sent, which is of 0x82 or 0x72. */
static void answer_of(const struct kit *k, const char *text, struct kit_bytes *out)
{
    char hex[256] = "";
    char no[2 * AP3000_ORDER_SIZE + 1];
    const char *n = strchr(text, 'N');
    struct bytes sent = kit_sent(k);
    if (n == NULL) {
        kit_hex(str_of(text), out);
        return;
    }
    for (size_t i = 0; i < AP3000_ORDER_SIZE; i++)
        (void)snprintf(no + 2 * i, 3, "%02X", sent.at[(k->talk.command == 0x82 ? 9 : 1) + i]);
    (void)snprintf(hex, sizeof hex, "%.*s%s%s", (int)(n - text), text, no, n + 1);
    kit_hex(str_of(hex), out);
}

static bool is_same(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static void check_answers(void)
{
    for (size_t i = 0; i < COUNT_OF(answers); i++) {
        struct kit *k = kit_new();
        const char *row = answers[i].row;
        struct kit_bytes b;
        kit_arrange(k, answers[i].before);
        CHECK(row, kit_begin(k, ap3000_action_find(str_of(answers[i].name)), payload_of(k, answers[i].payload)) == OK);
        if (answers[i].is_repeated)
            ap3000_talk_on_repeat(&k->in, &k->talk);
        if (answers[i].answer == NULL) {
            ap3000_talk_on_silence(&k->in, &k->talk, &k->arena, &k->text, &k->decision, &k->end);
        } else {
            answer_of(k, answers[i].answer, &b);
            CHECK(row, kit_answer(k, kit_view(&b)) == AP3000_TALK_ENDED);
            CHECK(row, json_check(k->end.response, &k->why) == OK);
        }
        CHECK(row, is_same(k->end.outcome, answers[i].outcome) && is_same(k->end.reason, answers[i].reason));
        CHECK(row, str_eq(k->end.status, str_of(answers[i].status)));
        const struct pile_order *o = kit_order(k);
        CHECK(row, answers[i].state == (o == NULL ? ORDER_STATE_COUNT : o->state));
        if (answers[i].state == ORDER_UNCERTAIN && answers[i].before == PLAIN)
            CHECK(row, k->decision.wish_count == 1 && k->decision.wishes[0].kind == AP3000_WISH_STATUS);
        kit_free(k);
    }
}

/* --- a port that is held --- */

/* What the pile has done after these answers is not stated (5.8): another start there waits for two minutes. */
static void check_holds(void)
{
    static const uint8_t holding[] = {7, 8, 0x0A, 0x0B, 0x0C, 0x0D}, free[] = {1, 4, 5, 6};
    for (uint8_t result = 0; result <= 0x0E; result++) {
        struct kit *k = kit_new();
        const struct ap3000_action *start = &ap3000_actions[AP3000_ACTION_remote_start];
        struct str there = kit_json(k, STR("{'idTag':'T','connectorId':1}"));
        struct str elsewhere = kit_json(k, STR("{'idTag':'T','connectorId':2}"));
        struct str guarded = kit_json(k, STR("{'confirm':true}"));
        bool is_holding = memchr(holding, result, sizeof holding) != NULL;
        bool is_free = memchr(free, result, sizeof free) != NULL;
        char row[64];
        (void)snprintf(row, sizeof row, "after answer %u (10.2)", (unsigned)result);
        CHECK(row, kit_begin(k, start, there) == OK);
        CHECK(row, kit_answer(k, (struct bytes){&result, 1}) == AP3000_TALK_ENDED);
        CHECK(row, kit_order(k)->is_held == is_holding);
        if (is_holding || is_free) {
            k->in.now = instant_add(KIT_NOW, SPAN_S(PILE_HOLD_S - 1));
            CHECK(row, ap3000_action_check(&k->in, start, there, &k->arena, &k->why) == (is_free ? OK : ERR_STATE));
            CHECK(row, is_free || strstr(k->why.reason, "two minutes") != NULL);
            CHECK(row, ap3000_action_check(&k->in, start, elsewhere, &k->arena, &k->why) == OK);
            CHECK(row, ap3000_action_check(&k->in, ap3000_action_find(STR("Ap3000.Reboot")), guarded, &k->arena,
                                           &k->why) == (is_free ? OK : ERR_STATE));
            k->in.now = instant_add(KIT_NOW, SPAN_S(PILE_HOLD_S));
            CHECK(row, ap3000_action_check(&k->in, start, there, &k->arena, &k->why) == OK);
            CHECK(row, pile_open_count(k->pile) == 0);
        }
        kit_free(k);
    }
}

/* --- what is told of a start --- */

static bool has_event(const struct kit *k, enum event_type type, const char *part)
{
    for (size_t i = 0; i < k->decision.event_count; i++) {
        const struct event *e = &k->decision.events[i];
        if (e->type == type && e->payload.len > 0 && memmem(e->payload.at, e->payload.len, part, strlen(part)) != NULL)
            return true;
    }
    return false;
}

static void check_start(void)
{
    struct kit *k = kit_new();
    struct kit_bytes b;
    const struct ap3000_action *start = &ap3000_actions[AP3000_ACTION_remote_start];
    CHECK("a start", kit_begin(k, start, kit_json(k, STR("{'idTag':'T'}"))) == OK && k->talk.is_answered);
    const struct pile_order *o = kit_order(k);
    CHECK("its order", o != NULL && o->state == ORDER_STARTING && o->port == PILE_PORT_NONE &&
                           k->talk.transaction_id == o->id && strcmp(o->command_id, "c-1") == 0);
    CHECK("is in its frame", memcmp(kit_sent(k).at + 9, o->no, sizeof o->no) == 0);
    CHECK("and told", has_event(k, EVENT_ORDER, "\"state\":\"new\"") && has_event(k, EVENT_ORDER, "\"starting\""));
    CHECK("its tag counts", tag_book_count(k->tags, STR("T")) == 1);
    answer_of(k, "09 N 02 0000", &b);
    CHECK("a welded relay", kit_answer(k, kit_view(&b)) == AP3000_TALK_ENDED);
    CHECK("the real port", kit_order(k)->port == 2);
    CHECK("is told", has_event(k, EVENT_TRANSACTION_STARTED, "\"connectorId\":3"));
    CHECK("an alarm", has_event(k, EVENT_DEVICE_ALARM, "relay_welded"));
    CHECK(
        "the answer in words and fields",
        memmem(k->end.response.at, k->end.response.len,
               "\"deviceStatus\":\"pre-check: relay welded; charging goes "
               "on\",\"result\":9,\"order_no\":\"A5",
               sizeof "\"deviceStatus\":\"pre-check: relay welded; charging goes on\",\"result\":9,\"order_no\":\"A5" -
                   1) != NULL);
    kit_free(k);

    k = kit_new();
    CHECK("a start that never leaves", kit_begin(k, start, kit_json(k, STR("{'idTag':'T','connectorId':1}"))) == OK);
    ap3000_talk_on_not_sent(&k->in, &k->talk, &k->arena, &k->text, &k->decision);
    CHECK("has failed", kit_order(k)->state == ORDER_FAILED && has_event(k, EVENT_ORDER, "not sent"));
    CHECK("its tag does not count", tag_book_count(k->tags, STR("T")) == 0);
    CHECK("its port is free", kit_begin(k, start, kit_json(k, STR("{'idTag':'T','connectorId':1}"))) == OK);
    kit_free(k);
}

/* While the pile was to choose and has not said, it is not asked to choose again; all ports taken is no choice. */
static void check_any_port(void)
{
    struct kit *k = kit_new();
    const struct ap3000_action *start = &ap3000_actions[AP3000_ACTION_remote_start];
    CHECK("the pile chooses", kit_begin(k, start, kit_json(k, STR("{'idTag':'T'}"))) == OK);
    CHECK("not twice at once", kit_begin(k, start, kit_json(k, STR("{'idTag':'T'}"))) == ERR_STATE);
    kit_free(k);
    k = kit_new();
    for (uint8_t port = 0; port < KIT_PORTS; port++)
        CHECK("an order", pile_add_order(k->pile, &(struct pile_order){.state = ORDER_CHARGING, .port = port}) != NULL);
    CHECK("no port is left", kit_begin(k, start, kit_json(k, STR("{'idTag':'T'}"))) == ERR_STATE);
    kit_free(k);
    k = kit_new();
    for (size_t i = 0; i < PILE_ORDERS_MAX; i++)
        CHECK("an order", pile_add_order(k->pile, &(struct pile_order){.state = ORDER_ENDED, .port = 0}) != NULL);
    CHECK("too many wait for their settlement", kit_begin(k, start, kit_json(k, STR("{'idTag':'T'}"))) == ERR_STATE);
    kit_free(k);
}

static void check_stop(void)
{
    struct kit *k = kit_new();
    struct kit_bytes b;
    kit_arrange(k, CHARGES);
    CHECK("a stop",
          kit_begin(k, &ap3000_actions[AP3000_ACTION_remote_stop], payload_of(k, "{'transactionId':$1}")) == OK);
    CHECK("its order knows",
          kit_order(k)->state == ORDER_STOPPING && kit_order(k)->is_cancelled && kit_order(k)->stops == 1);
    CHECK("it is told", has_event(k, EVENT_ORDER, "\"stopping\""));
    CHECK("not a second one at once",
          kit_begin(k, &ap3000_actions[AP3000_ACTION_remote_stop], payload_of(k, "{'transactionId':$1}")) == ERR_STATE);
    kit_hex(STR("04"), &b);
    CHECK("it failed", kit_answer(k, kit_view(&b)) == AP3000_TALK_ENDED && kit_order(k)->state == ORDER_CHARGING);
    CHECK("an alarm", has_event(k, EVENT_DEVICE_ALARM, "stop_failed"));
    ap3000_talk_on_not_sent(&k->in, &k->talk, &k->arena, &k->text, &k->decision);
    CHECK("what it is not", kit_order(k)->state == ORDER_CHARGING && k->decision.event_count == 0);
    kit_free(k);
}

/* A talk of a process before this one. */
static void check_other_process(void)
{
    struct kit *k = kit_new();
    kit_arrange(k, CHARGES);
    kit_order(k)->state = ORDER_STARTING;
    struct ap3000_talk t = {.action = &ap3000_actions[AP3000_ACTION_start], .transaction_id = 4711};
    ap3000_talk_on_silence(&k->in, &t, &k->arena, &k->text, &k->decision, &k->end);
    CHECK("a start of another process", kit_order(k)->state == ORDER_UNCERTAIN && k->decision.wish_count == 1);
    kit_order(k)->state = ORDER_STOPPING;
    t.action = &ap3000_actions[AP3000_ACTION_remote_stop];
    ap3000_talk_on_silence(&k->in, &t, &k->arena, &k->text, &k->decision, &k->end);
    CHECK("a stop of another process", kit_order(k)->state == ORDER_CHARGING);
    kit_free(k);
}

/* Which order a command of another process was about. */
static void check_resumed(void)
{
    static const struct {
        const char *row;
        enum ap3000_action_index action;
        const char *command_id;
        enum order_state state;
        bool is_meant;
    } resumed[] = {
        {"that of its start", AP3000_ACTION_remote_start, "c-1", ORDER_STARTING, true},
        {"not that of another start", AP3000_ACTION_remote_start, "c-2", ORDER_STARTING, false},
        {"the one that is being stopped", AP3000_ACTION_remote_stop, "c-2", ORDER_STOPPING, true},
        {"by its number too", AP3000_ACTION_stop, "c-2", ORDER_STOPPING, true},
        {"at a cabinet too", AP3000_ACTION_stop_keeping_door, "c-2", ORDER_STOPPING, true},
        {"not one that runs", AP3000_ACTION_remote_stop, "c-2", ORDER_CHARGING, false},
        {"a start means no other that is being stopped", AP3000_ACTION_start, "c-2", ORDER_STOPPING, false},
        {"what is about none", AP3000_ACTION_ask_status, "c-2", ORDER_STOPPING, false},
    };
    for (size_t i = 0; i < COUNT_OF(resumed); i++) {
        struct kit *k = kit_new();
        kit_arrange(k, CHARGES);
        kit_order(k)->state = resumed[i].state;
        (void)str_copy(kit_order(k)->command_id, sizeof kit_order(k)->command_id, STR("c-1"));
        const struct ap3000_action *action = &ap3000_actions[resumed[i].action];
        const struct ap3000_command_of c = {action, str_of(resumed[i].command_id), STR("{}")};
        ap3000_talk_resume(k->pile, &c, &k->talk);
        CHECK(resumed[i].row, k->talk.transaction_id == (resumed[i].is_meant ? KIT_TRANSACTION : 0));
        CHECK(resumed[i].row, k->talk.action == action && k->talk.command == action->command);
        kit_free(k);
    }
}

/* --- what is no answer, and what is not repeated --- */

static void check_evidence(void)
{
    static const struct {
        const char *row, *name, *payload;
        uint8_t command;
        bool ends;
    } lines[] = {
        {"status by a heartbeat", "Ap3000.AskStatus", "{}", 0x21, true},
        {"status by an old one", "TriggerMessage", "{'requestedMessage':'Heartbeat'}", 0x01, true},
        {"status by a registration", "Ap3000.AskStatus", "{}", 0x20, true},
        {"status by nothing else", "Ap3000.AskStatus", "{}", 0x06, false},
        {"a restart by a registration", "Reset", "{'type':'Soft'}", 0x20, true},
        {"a restart not by a heartbeat", "Ap3000.Reboot", "{'confirm':true}", 0x21, false},
        {"mute by nothing", "Ap3000.SetMute", "{'mute':1}", 0x20, false},
    };
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        struct kit *k = kit_new();
        struct ap3000_frame f = {.command = lines[i].command};
        CHECK(lines[i].row,
              kit_begin(k, ap3000_action_find(str_of(lines[i].name)), payload_of(k, lines[i].payload)) == OK);
        CHECK(lines[i].row, k->talk.is_answered == (k->talk.command != 0x81));
        CHECK(lines[i].row, k->talk.is_repeated_blindly == (k->talk.command != 0x87));
        bool ends = ap3000_talk_on_frame(&k->in, &k->talk, &f, &k->arena, &k->end) == AP3000_TALK_ENDED;
        CHECK(lines[i].row, ends == lines[i].ends);
        CHECK(lines[i].row, !ends || str_eq(k->end.status, STR("Accepted")));
        kit_free(k);
    }
}

/* What is a cabinet is known by its heartbeat. */
static void check_cabinet(void)
{
    struct kit *k = kit_new();
    struct kit_bytes b;
    struct ap3000_reading r;
    const struct ap3000_known known = {0};
    const struct ap3000_action *unlock = &ap3000_actions[AP3000_ACTION_unlock];
    struct str payload = kit_json(k, STR("{'connectorId':1}"));
    CHECK("it is none", kit_begin(k, unlock, payload) == ERR_UNSUPPORTED);
    kit_hex(STR("0C 00000000 00000000"), &b);
    struct ap3000_frame f = {.physical_id = KIT_PILE_ID, .message_id = 1, .command = 0x41, .payload = kit_view(&b)};
    ap3000_frame_open(&k->in, &f, &k->arena, &r);
    buf_clear(&k->text);
    ap3000_frame_decide(&k->in, &r, &known, &k->arena, &k->text, &k->decision);
    CHECK("it is one", kit_begin(k, unlock, payload) == OK);
    kit_free(k);
}

/* --- parameters one by one --- */

#define BLOCK_1 "0300 0A00 14 0807 100E B400"
#define BLOCK_2 "2003 1E00 0807 0A 2C01 302A 2C01 2C01 0807 2C01 50 50 00 01"
#define LIMITS  "A08C 204E 8C0A E803"

/* clang-format off */
static const struct {
    const char *row, *name, *payload;
    const char *answers[3]; /* to each frame */
    const char *sent[2];    /* the frames after the first, the command before each */
    const char *reason, *status;
    const char *response;   /* with ' for " */
} walks[] = {
    {"all parameters of an old pile", "GetConfiguration", "{}",
     {BLOCK_1, "2003 1E00 0807 0A 2C01 302A 2C01 2C01 0807 2C01", "A08C 204E"}, {"91", "92"}, NULL, "Accepted",
     "{'configurationKey':[{'key':'unplug_power_dw','readonly':false,'value':'3'},"
     "{'key':'unplug_time_s','readonly':false,'value':'10'},{'key':'float_percent','readonly':false,'value':'20'},"
     "{'key':'float_detect_s','readonly':false,'value':'1800'},{'key':'float_time_s','readonly':false,'value':'3600'},"
     "{'key':'heartbeat_s','readonly':false,'value':'180'},"
     "{'key':'dyn_overload_power_dw','readonly':false,'value':'800'},"
     "{'key':'dyn_overload_time_s','readonly':false,'value':'30'},"
     "{'key':'dyn_overload_start_s','readonly':false,'value':'1800'},"
     "{'key':'unplug_noise_power_dw','readonly':false,'value':'10'},"
     "{'key':'unplug_noise_time_s','readonly':false,'value':'300'},"
     "{'key':'float2_start_s','readonly':false,'value':'10800'},"
     "{'key':'float2_detect_s','readonly':false,'value':'300'},{'key':'min_power_dw','readonly':false,'value':'300'},"
     "{'key':'min_power_time_s','readonly':false,'value':'1800'},"
     "{'key':'second_max_window_s','readonly':false,'value':'300'},"
     "{'key':'max_duration_s','readonly':false,'value':'36000'},"
     "{'key':'overload_power_dw','readonly':false,'value':'20000'},"
     "{'key':'HeartbeatInterval','readonly':false,'value':'180'}],'unknownKey':[]}"},
    {"some of two blocks", "GetConfiguration", "{'key':['over_voltage_dv','x','HeartbeatInterval']}",
     {BLOCK_1 Z50 Z50 Z50, LIMITS}, {"92"}, NULL, "Accepted",
     "{'configurationKey':[{'key':'over_voltage_dv','readonly':false,'value':'2700'},"
     "{'key':'HeartbeatInterval','readonly':false,'value':'180'}],'unknownKey':['x']}"},
    {"one that this pile has not", "GetConfiguration", "{'key':['over_voltage_dv']}", {"A08C 204E"}, {NULL}, NULL,
     "Accepted", "{'configurationKey':[],'unknownKey':['over_voltage_dv']}"},
    {"none that is known", "GetConfiguration", "{'key':['x']}", {BLOCK_1}, {NULL}, NULL, "Accepted",
     "{'configurationKey':[],'unknownKey':['x']}"},
    {"a block that is cut", "GetConfiguration", "{}", {"0300"}, {NULL}, "DEVICE_ERROR", "Rejected", "{'raw':'0300'}"},
    {"one is changed", "ChangeConfiguration", "{'key':'HeartbeatInterval','value':'60'}", {BLOCK_1 "FF", "00"},
     {"83 0300 0A00 14 0807 100E 3C00"}, NULL, "Accepted", "{'deviceStatus':'done','result':0}"},
    {"one of many", "ChangeConfiguration", "{'key':'port_alarm_c','value':'70'}", {BLOCK_2, "00"},
     {"84 2003 1E00 0807 0A 2C01 302A 2C01 2C01 0807 2C01 50 46 00 01"}, NULL, "Accepted",
     "{'deviceStatus':'done','result':0}"},
    {"as short as the pile has it", "ChangeConfiguration", "{'key':'max_duration_s','value':'3600'}", {"A08C 204E", "01"},
     {"85 100E 204E"}, "DEVICE_REJECTED", "Rejected", "{'deviceStatus':'value above the model\\'s limit','result':1}"},
    {"one that it has not is not changed", "ChangeConfiguration", "{'key':'over_voltage_dv','value':'2700'}",
     {"A08C 204E"}, {NULL}, NULL, "NotSupported", "{'status':'NotSupported'}"},
    {"one that nobody knows", "ChangeConfiguration", "{'key':'x','value':'1'}", {BLOCK_1}, {NULL}, NULL, "NotSupported",
     "{'status':'NotSupported'}"},
};
/* clang-format on */

static void check_walk(size_t i)
{
    struct kit *k = kit_new();
    const char *row = walks[i].row;
    CHECK(row, kit_begin(k, ap3000_action_find(str_of(walks[i].name)), payload_of(k, walks[i].payload)) == OK);
    enum ap3000_talk_state state = AP3000_TALK_GOES_ON;
    for (size_t step = 0; step < COUNT_OF(walks[i].answers) && walks[i].answers[step] != NULL; step++) {
        struct kit_bytes b;
        uint16_t message_id = k->talk.message_id;
        kit_hex(str_of(walks[i].answers[step]), &b);
        state = kit_answer(k, kit_view(&b));
        bool goes_on = step < COUNT_OF(walks[i].sent) && walks[i].sent[step] != NULL;
        CHECK(row, state == (goes_on ? AP3000_TALK_GOES_ON : AP3000_TALK_ENDED));
        if (state == AP3000_TALK_ENDED)
            break;
        struct bytes sent = kit_sent(k);
        uint8_t whole[AP3000_PAYLOAD_SIZE_MAX + 1] = {k->talk.command};
        memcpy(whole + 1, sent.at, sent.len);
        CHECK(row, is_like((struct bytes){whole, sent.len + 1}, walks[i].sent[step]));
        CHECK(row, k->talk.step == step + 1 && k->talk.message_id != message_id);
    }
    CHECK(row, state == AP3000_TALK_ENDED && is_same(k->end.reason, walks[i].reason));
    CHECK(row, str_eq(k->end.status, str_of(walks[i].status)));
    struct str want = kit_json(k, str_of(walks[i].response));
    char *text = arena_take(&k->arena, want.len + 1);
    size_t len = 0;
    for (size_t c = 0; c < want.len; c++) { /* \' is the sign itself */
        bool is_sign = want.at[c] == '\\' && want.at[c + 1] == '"';
        c += is_sign;
        text[len++] = is_sign ? '\'' : want.at[c];
    }
    CHECK(row, str_eq(k->end.response, (struct str){text, len}));
    kit_free(k);
}

static void check_heartbeat(void)
{
    struct kit *k = kit_new();
    struct kit_bytes b;
    struct str payload = kit_json(k, STR("{'key':'HeartbeatInterval','value':'60'}"));
    CHECK("a heartbeat", kit_begin(k, &ap3000_actions[AP3000_ACTION_change_configuration], payload) == OK);
    kit_hex(STR("0300 0A00 14 0807 100E 2C01"), &b);
    CHECK("is read", kit_answer(k, kit_view(&b)) == AP3000_TALK_GOES_ON && k->pile->heartbeat_s == 300);
    kit_hex(STR("01"), &b);
    CHECK("one that is refused stays", kit_answer(k, kit_view(&b)) == AP3000_TALK_ENDED && k->pile->heartbeat_s == 300);
    CHECK("again", kit_begin(k, &ap3000_actions[AP3000_ACTION_change_configuration], payload) == OK);
    kit_hex(STR("0300 0A00 14 0807 100E 2C01"), &b);
    CHECK("is read", kit_answer(k, kit_view(&b)) == AP3000_TALK_GOES_ON);
    kit_hex(STR("00"), &b);
    CHECK("one that is set counts", kit_answer(k, kit_view(&b)) == AP3000_TALK_ENDED && k->pile->heartbeat_s == 60);
    CHECK("a pile", kit_begin(k, &ap3000_actions[AP3000_ACTION_get_parameters_1], kit_json(k, STR("{}"))) == OK);
    kit_hex(STR("0300 0A00 14 0807 100E 0000"), &b);
    CHECK("that says 0 s says nothing", kit_answer(k, kit_view(&b)) == AP3000_TALK_ENDED && k->pile->heartbeat_s == 60);
    kit_free(k);
}

/* --- shorter forms --- */

static void check_forms(void)
{
    static const struct ap3000_form forms[] = {{0x28, 0x04, 620, &ap3000_start_layout, AP3000_UP_TO(start, order_no)}};
    struct kit *k = kit_new();
    CHECK("no model is known to need one", ap3000_form_count == 0);
    CHECK("a start",
          kit_begin(k, &ap3000_actions[AP3000_ACTION_remote_start], kit_json(k, STR("{'idTag':'T'}"))) == OK);
    struct bytes all = kit_sent(k);
    CHECK("its whole form is sent", all.len == 38);
    CHECK("a row truncates", ap3000_form_size(forms, 1, k->pile, &ap3000_start_layout, all) == 25);
    struct bytes limits = {(const uint8_t *)"\1\0\1\0", 4};
    CHECK("that frame", ap3000_form_size(forms, 1, k->pile, &ap3000_limits_layout, limits) == 4);
    k->pile->firmware = 620;
    CHECK("of older firmware", ap3000_form_size(forms, 1, k->pile, &ap3000_start_layout, all) == 38);
    k->pile->firmware = 612;
    k->pile->device_type = 0x29;
    CHECK("of that type", ap3000_form_size(forms, 1, k->pile, &ap3000_start_layout, all) == 38);
    kit_free(k);
}

int main(void)
{
    check_rows();
    check_actions();
    check_update();
    check_answers();
    check_holds();
    check_start();
    check_any_port();
    check_stop();
    check_other_process();
    check_resumed();
    check_evidence();
    check_cabinet();
    for (size_t i = 0; i < COUNT_OF(walks); i++)
        check_walk(i);
    check_heartbeat();
    check_forms();
    return CHECK_REPORT();
}
