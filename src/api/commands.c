/* api/commands.c - commands to stations: references of ours resolved, handed to the gateway, answered with their one
 * outcome. */
#include "api/api_private.h"

#include <inttypes.h>
#include <string.h>

#include "wire/secret.h"

#define WAIT_S_DEFAULT  10
#define WAIT_FOR_LOG_MS 10000 /* until a command is durable: past it nobody knows, and the log says why */

static const struct list commands = {
    .row = &command_message,
    .select = "command_id, charge_point_id, action, payload, origin, state, outcome, status, response, reason, "
              "queued_at, sent_at, done_at, "
              "expires_at, trace_id",
    .from = "commands",
    .sorts = {{{"queued_at", 9}, "position", "position", false, false}},
};

void handle_command_get(struct call *c)
{
    enum err e = item_answer(c, &commands, "command_id = ?", db_text(c->params[0]), 200);
    (void)e; /* answered */
}

void handle_command_list(struct call *c)
{
    const struct command_query *q = c->query;
    struct list l = commands;
    if (!station_exists(c, c->params[0]))
        return;
    list_where(&l, "charge_point_id = ?", db_text(c->params[0]));
    list_where(&l, "action = ?", db_text(q->action));
    list_where(&l, "state = ?", db_text(q->state.text));
    list_where(&l, "outcome = ?", db_text(q->outcome.text));
    list_answer(c, &l);
}

/* --- references --- */

/* Of a JSON object, the member's raw value; absent: not there. */
static struct str member_of(struct str object, struct str name)
{
    struct json j;
    struct json_string key;
    struct str value, found = {NULL, 0};
    json_init(&j, object);
    if (!json_open_object(&j))
        return found;
    while (json_next_key(&j, &key) && json_get_raw(&j, &value))
        if (json_string_is(key, name))
            found = value;
    return json_end(&j) == OK ? found : (struct str){NULL, 0};
}

/* The object with one more member at its front. */
static struct str with_member(struct call *c, struct str object, const char *name, uint64_t number)
{
    struct json j;
    json_init(&j, object);
    struct json_string key;
    bool is_empty = !json_open_object(&j) || !json_next_key(&j, &key);
    const char *open = memchr(object.at, '{', object.len);
    struct str rest = {open + 1, object.len - (size_t)(open + 1 - object.at)};
    return arena_printf(&c->arena, "{\"%s\":%" PRIu64 "%s%.*s", name, number, is_empty ? "" : ",", STR_ARG(rest));
}

/* The object with the member replaced. */
static struct str replace_member(struct call *c, struct str object, struct str old, struct str new)
{
    size_t before = (size_t)(old.at - object.at);
    return arena_printf(&c->arena, "%.*s%.*s%.*s", (int)before, object.at, STR_ARG(new),
                        (int)(object.len - before - old.len), old.at + old.len);
}

enum owner { OWNER_NONE, OWNER_THIS, OWNER_OTHER };

static enum err owner_of(struct call *c, uint64_t number, enum owner *out)
{
    struct db_rows *r =
        DB_ROWS(c->worker->db,
                "SELECT charge_point_id FROM transactions WHERE number = ?1 UNION ALL "
                "SELECT charge_point_id FROM orders WHERE number = ?1 LIMIT 1",
                db_int((int64_t)number));
    *out = !db_next(r) ? OWNER_NONE : str_eq(db_col_text(r, 0), c->params[0]) ? OWNER_THIS : OWNER_OTHER;
    return db_rows_end(r);
}

static const struct {
    struct str action, holder; /* holder: the member that has transactionId; absent: the payload itself */
} referring[] = {
    {{"RemoteStopTransaction", 21}, {NULL, 0}},
    {{"SetChargingProfile", 18}, {"csChargingProfiles", 18}},
};

static void refuse_reference(struct call *c, enum api_error e, const char *reason)
{
    struct fault why = {"", ""};
    fault_set(&why, STR("transaction_id"), "%s", reason);
    answer_error(c, e, &why);
}

/* Puts our transaction_id where the protocol has its own; a payload that names a transaction of another station is
 * refused (CWE-639), one that we do not know passes: a station may have it from elsewhere. */
static bool resolve(struct call *c, const struct command_post *p, struct str *payload)
{
    size_t i = 0;
    while (i < COUNT_OF(referring) && !str_eq(referring[i].action, p->action))
        i++;
    if (i == COUNT_OF(referring)) {
        if (p->transaction_id.at != NULL)
            refuse_reference(c, API_VALUE_NOT_ALLOWED, "this action refers to no transaction");
        return p->transaction_id.at == NULL;
    }
    struct str holder = referring[i].holder.at == NULL ? *payload : member_of(*payload, referring[i].holder);
    struct str theirs = member_of(holder, STR("transactionId"));
    int64_t named = 0;
    enum owner owner = OWNER_NONE;
    bool has_named = theirs.at != NULL && json_number_int(theirs, &named) == OK && named > 0 && named <= INT32_MAX;
    uint64_t number = p->transaction_id.at != NULL ? transaction_number(c->api, p->transaction_id)
                      : has_named                  ? permute31_back(c->api->id_key, (uint32_t)named)
                                                   : 0;
    enum err e = number == 0 ? OK : owner_of(c, number, &owner);
    if (e != OK) {
        answer_failure(c, e, NULL);
        return false;
    }
    int64_t ours = 0;
    bool is_ours = p->transaction_id.at != NULL && str_to_int(p->transaction_id, &ours) == OK;
    if (owner == OWNER_OTHER || (p->transaction_id.at != NULL && owner == OWNER_NONE)) {
        refuse_reference(c, API_TRANSACTION_MISMATCH, "not a transaction of this station");
        return false;
    }
    if (is_ours && theirs.at != NULL && (!has_named || named != ours)) {
        refuse_reference(c, API_TRANSACTION_MISMATCH, "the payload names another transaction");
        return false;
    }
    if (!is_ours || theirs.at != NULL || holder.at == NULL || holder.at[0] != '{')
        return true; /* what the payload lacks otherwise its table tells */
    struct str filled = with_member(c, holder, "transactionId", (uint64_t)ours);
    *payload = referring[i].holder.at == NULL ? filled : replace_member(c, *payload, holder, filled);
    return true;
}

/* --- sending --- */

static void write_result(struct wait *w, const struct command_result *r)
{
    char trace[33];
    struct json_writer j;
    struct arena a;
    arena_init(&a, 4096);
    hex_write((struct bytes){r->trace, sizeof r->trace}, trace);
    const struct command row = {
        .command_id = r->command_id,
        .charge_point_id = r->station,
        .action = r->action,
        .payload = r->payload,
        .origin = r->origin,
        .state = {r->state, 0},
        .outcome = {r->outcome, 0},
        .status = r->status,
        .response = r->response,
        .reason = r->reason,
        .queued_at = stamp_of(&a, r->queued_at),
        .sent_at = stamp_of(&a, r->sent_at),
        .done_at = stamp_of(&a, r->done_at),
        .expires_at = stamp_of(&a, r->expires_at),
        .trace_id = str_of(trace),
    };
    wait_lock(w);
    buf_clear(&w->json);
    jw_init(&j, &w->json);
    message_write(&j, &command_message, &row);
    w->has_result = true;
    wait_unlock(w);
    arena_release(&a);
}

/* On the loop's thread. A command that is done already (a repeat) has its on_done too: that one is the last. */
static void on_queued(void *data, const struct command_result *r, enum err e, const struct fault *why)
{
    struct wait *w = data;
    if (r != NULL)
        write_result(w, r);
    wait_tell(w, e, why, r == NULL, r == NULL || w->ends_when_queued);
}

static void on_done(void *data, const struct command_result *r)
{
    struct wait *w = data;
    write_result(w, r);
    wait_tell(w, OK, NULL, true, true);
}

/* Refusals of gateway_submit; what is not here is a payload that the protocol does not allow. */
static const struct {
    enum err e;
    enum api_error error;
} submit_errors[] = {
    {ERR_EXISTS, API_COMMAND_EXISTS}, {ERR_LIMIT, API_THROTTLED}, {ERR_STATE, API_COMMAND_NOT_ALLOWED},
    {ERR_FULL, API_NOT_READY},        {ERR_CLOSED, API_STOPPING}, {ERR_UNKNOWN, API_UNKNOWN_COMMAND},
};

static void answer_submit_error(struct call *c, enum err e, const struct fault *why)
{
    enum api_error error = API_INVALID_COMMAND_PAYLOAD;
    for (size_t i = 0; i < COUNT_OF(submit_errors); i++)
        if (submit_errors[i].e == e)
            error = submit_errors[i].error;
    if (error == API_INVALID_COMMAND_PAYLOAD) {
        struct detail d = {str_of(why->field), detail_code(e),
                           str_of(why->reason[0] == '\0' ? err_text(e) : why->reason)};
        answer_error_details(c, error, &d, 1);
        return;
    }
    answer_error(c, error, why);
    if (error == API_THROTTLED || error == API_NOT_READY || error == API_STOPPING)
        answer_retry_after(c, 1);
}

static void on_command_resumed(struct call *c)
{
    struct wait *w = c->wait;
    wait_lock(w);
    if (w->error != OK) {
        answer_submit_error(c, w->error, &w->why);
    } else if (!w->has_result) {
        answer_error(c, API_NOT_READY, NULL);
        answer_retry_after(c, 1);
    } else {
        bool is_done = w->is_told;
        struct json_writer *j =
            answer_begin(c, is_done ? 200 : 202, is_done ? STR("done") : STR("taken on, and still open"));
        jw_raw(j, buf_str(&w->json));
        answer_end(c);
    }
    wait_unlock(w);
}

/* The same idempotency key names the same command: the gateway knows the repeat even where the answer was not kept. */
static struct str command_id_of(struct call *c, const struct command_post *p)
{
    struct str key = c->x->header[HTTP_IDEMPOTENCY_KEY];
    if (p->command_id.at != NULL || !c->has_key_of_idempotency)
        return p->command_id;
    const struct bytes parts[] = {bytes_of(str_of(c->caller.key_id)), bytes_of(c->params[0]), bytes_of(key)};
    uint8_t hash[SHA256_SIZE];
    char text[UUID_TEXT_SIZE];
    sha256_pieces(parts, COUNT_OF(parts), hash);
    uuid_write(uuid_v4(hash), text);
    return arena_copy(&c->arena, str_of(text));
}

void handle_command_post(struct call *c)
{
    const struct command_post *p = c->body;
    struct fault why = {"", ""};
    struct str payload = p->payload.at == NULL ? STR("{}") : p->payload;
    struct uuid id;
    if (payload.at[0] != '{') {
        fault_set(&why, STR("payload"), "an object");
        answer_refused(c, ERR_TYPE, &why);
        return;
    }
    if (p->command_id.at != NULL && uuid_parse(p->command_id, &id) != OK) {
        fault_set(&why, STR("command_id"), "a UUID");
        answer_refused(c, ERR_RANGE, &why);
        return;
    }
    if (!station_exists(c, c->params[0]) || !resolve(c, p, &payload))
        return;
    int64_t wait_s = p->wait_s.is_set ? p->wait_s.value : WAIT_S_DEFAULT;
    struct command_request r = {
        .station = c->params[0],
        .action = p->action,
        .payload = payload,
        .command_id = command_id_of(c, p),
        .origin = STR("api"),
        .expires_in_s = p->expires_in_s.is_set ? p->expires_in_s.value : 0,
        .is_urgent = p->urgent.value,
    };
    memcpy(r.trace, c->trace, sizeof r.trace);
    struct wait *w = wait_begin(c, wait_s == 0 ? WAIT_FOR_LOG_MS : wait_s * 1000, on_command_resumed);
    if (w == NULL)
        return;
    w->ends_when_queued = wait_s == 0;
    const struct command_listener l = {on_queued, on_done, w};
    gateway_submit(c->api->o.gateway, &r, &l);
}
