/* api/call.h - one request on its way through the API, and what its handler uses to answer it. Private to api/.
 *
 * A handler runs on an HTTP thread with a worker (a read-only store connection, a log reader). It answers with
 * answer_begin .. answer_end or with answer_error; or it calls call_wait_begin, hands the wait to someone, and is asked
 * again in on_resumed. */
#ifndef API_CALL_H
#define API_CALL_H
#include "api/api.h"
#include "api/http_server.h"
#include "api/messages.h"
#include "eventlog/reader.h"
#include "loop/loop.h"
#include "store/counted.h"

#define CALL_PARAMS_MAX     2
#define CALL_ARENA_MAX      (8u << 20)   /* above the largest body; and what a page takes */
#define ANSWER_MAX          (256u << 20) /* of one answer; lists by cursor end long before, see PAGE_SOFT_MAX */
#define PAGE_SOFT_MAX       (4u << 20)   /* a page by cursor that is past it ends */
#define DETAILS_MAX         4
#define REQUEST_ID_MAX      128
#define IDEMPOTENCY_KEY_MAX 255

enum role { ROLE_NONE, ROLE_VIEWER, ROLE_OPERATOR, ROLE_ADMIN };
struct str role_text(enum role r); /* "viewer", ..; absent for NONE */

enum api_error {
#define API_ERROR(name, status, text) API_##name,
#include "api/errors.def"
    API_ERROR_COUNT
};
struct api_error_kind {
    struct str code;
    int status;
    struct str text;
};
extern const struct api_error_kind api_error_kinds[API_ERROR_COUNT];

/* --- routes --- */
struct call;
typedef void call_handler(struct call *c);
enum fresh { FRESH_NONE, FRESH_STATIONS, FRESH_CHARGING };
enum shape {
    SHAPE_ITEM,
    SHAPE_MADE,
    SHAPE_LIST,
    SHAPE_CURSOR,
    SHAPE_NOTHING,
    SHAPE_COMMAND,
    SHAPE_PLAIN,
    SHAPE_STREAM,
    SHAPE_JSON,
    SHAPE_BYTES
};
struct route {
    struct str method, path, name;
    call_handler *handle;
    enum role role;
    enum fresh reads;
    const struct message *query, *body, *answer;
    enum shape shape;
    struct str summary;
};
extern const struct route routes[];
extern const size_t route_count;
#define ROUTE(method, path, handler, role, reads, query, body, answer, shape, summary) call_handler handle_##handler;
#include "api/routes.def"

/* First route of this path, its parameters decoded into arena memory; NULL: none. Routes of the same path follow it. */
const struct route *route_find(struct str path, struct arena *a, struct str params[CALL_PARAMS_MAX]);
bool route_same_path(const struct route *a, const struct route *b);

/* --- one call --- */
struct worker {
    struct worker *next;
    struct db *db;
    struct log_reader *log;
};
struct caller {
    enum role role;
    char key_id[UUID_TEXT_SIZE];
    char name[64]; /* as resolved_by shows it */
};
struct detail {
    struct str field, code, message;
};
struct wait;
struct call {
    struct api *api; /* NULL in tests of what comes before a handler */
    struct http_exchange *x;
    struct worker *worker; /* only while a handler runs */
    const struct route *route;
    struct str params[CALL_PARAMS_MAX];
    const void *query, *body; /* structs of the route's messages */
    struct caller caller;
    struct arena arena;
    struct json_writer w;
    int64_t started_us;
    uint8_t trace[16], span[8];
    char trace_text[33];
    char request_id[REQUEST_ID_MAX + 1];
    uint8_t request_hash[32];
    struct link busy; /* with a key of idempotency: of those under way */
    bool has_key_of_idempotency, is_answer_stored, is_metrics_listener;
    call_handler *on_resumed;
    struct wait *wait;
    void *state; /* of a stream */
};

/* The envelope around a value that the caller writes with the returned writer. */
struct json_writer *answer_begin(struct call *c, int status, struct str message);
void answer_end(struct call *c);
void answer_nothing(struct call *c, int status, struct str message); /* data null */
/* Replaces whatever was begun. why (may be NULL) becomes the one detail; code absent: from the error. */
void answer_error(struct call *c, enum api_error e, const struct fault *why);
void answer_error_details(struct call *c, enum api_error e, const struct detail *details, size_t count);
/* For ERR_ that a store, log or queue said: 500 or 503, with a line in the log. */
void answer_failure(struct call *c, enum err e, const struct fault *why);
/* What schema_read refuses: 400 or 422 with the place. */
void answer_refused(struct call *c, enum err e, const struct fault *why);
void answer_retry_after(struct call *c, int seconds);
struct str detail_code(enum err e);

/* Path, query and body into the call; false: answered. Before a handler; needs no api. */
bool call_route(struct call *c); /* path and method: needs nothing else */
bool call_read_query(struct call *c);
bool call_read_body(struct call *c); /* also the Content-Type; a body of raw_bytes stays in the exchange */
void trace_begin(struct call *c, const uint8_t random[40]);

/* Query string into a struct of m, STRICT. */
MUST_USE enum err query_read(const struct message *m, struct str query, struct arena *a, void *out, struct fault *why);
/* Percent-decoding; plus: '+' is a blank. ERR_FORMAT: a bad escape, a NUL, or no UTF-8. */
MUST_USE enum err percent_decode(struct str in, bool plus, struct arena *a, struct str *out);

/* --- rows and pages --- */
/* Writes members of m from the columns of a row, in the order of its fields from column first on, up to the first LIST
 * or PART; returns how many. The object is open and stays so. STRS: words separated by blanks, or a JSON list. */
size_t row_write(struct json_writer *w, const struct message *m, struct db_rows *r, int first);

/* A struct of m, absent members as null; a stamp's text is written as it is. */
void message_write(struct json_writer *w, const struct message *m, const void *in);

/* A list over one table (or join). key: an integer or text column that is never NULL; id: unique, follows key's order
 * on ties. */
struct sort_key {
    struct str name;      /* as in ?sort= */
    const char *key, *id; /* SQL; the same where key is unique */
    bool is_text, is_text_id;
};
#define FILTERS_MAX 8
struct list {
    const struct message *row;
    const char *select; /* SQL of the columns: those of the fields, before LIST and PART */
    const char *from;
    const char *from_block, *block; /* where they are found block by block, and its column: sorts[0] follows its order; NULL: they are not */
    struct sort_key sorts[2];
    bool is_picked; /* a page is picked by key and id, then its rows are read: where rows are long, and may have to be sorted */
    /* Where the rows of a list are counted (store/counted.h), by sort, in these parts; NULL: they are not, or not with these
     * filters. */
    const struct counted_list *counted[2];
    struct counted_parts counted_parts;
    /* Writes what row_write leaves; may be NULL. */
    void (*rest)(struct call *c, struct db_rows *r, int next_column);
    /* filters: SQL with one ? each, values beside; made with list_where. */
    const char *where[FILTERS_MAX];
    struct db_value values[FILTERS_MAX];
    size_t filter_count;
};
void list_where(struct list *l, const char *sql, struct db_value v); /* sql holds one "?"; a NULL value: no filter */
void list_only(struct list *l, const char *sql);                     /* the same without a value */
/* Answers the call: pages or cursor as its query says. */
void list_answer(struct call *c, struct list *l);
/* One row by its id: where is SQL with one "?". ERR_UNKNOWN: answered with 404. */
MUST_USE enum err item_answer(struct call *c, const struct list *l, const char *where, struct db_value id, int status);

#define PAGE_SIZE_DEFAULT 20
#define LIMIT_DEFAULT     100

/* --- waiting for the loop's thread --- */
/* What is shared by the sleeping call and the one who will tell: freed when both have let go. */
struct wait {
    struct link link;
    struct api *api;
    struct call *call; /* NULL: answered */
    bool is_told;      /* nobody will tell any more */
    bool is_woken, has_result;
    bool ends_when_queued; /* a command whose sender does not wait for its outcome */
    int64_t due_ms;
    enum err error;
    struct fault why;
    struct buf json; /* what was told */
};
/* Puts the call to sleep, at most for timeout_ms; on_resumed is called then. NULL: the server stops, answered. */
struct wait *wait_begin(struct call *c, int64_t timeout_ms, call_handler *on_resumed);
void wait_tell(struct wait *w, enum err e, const struct fault *why, bool is_last,
               bool wake); /* any thread; w->json under wait_lock */
void wait_lock(struct wait *w);
void wait_unlock(struct wait *w);
void wait_end(struct call *c); /* in on_resumed, after the answer */

/* What a person decides and the gateway carries out: begin, hand the wait to the gateway as data of decision_told, and
 * answer in on_resumed. show: answers with what it was about; already: when it was decided before. */
struct wait *decision_begin(struct call *c, call_handler *on_resumed); /* NULL: answered */
void decision_told(void *data, enum err e, const struct fault *why);   /* a gateway_done */
void decision_answer(struct call *c, call_handler *show, enum api_error already);

/* --- effects --- */
/* bus_write of fn, with the first answer in the same transaction: fn makes the change and the answer (status below 300)
 * or answers with an error and returns another err than OK, which undoes the change. */
enum err call_write(struct call *c, enum err (*fn)(struct db *d, void *arg, struct fault *why), void *arg);

/* What a path names: 404 where it is none that we could have made. */
uint64_t transaction_number(const struct api *a, struct str transaction_id); /* 0: none */
bool station_exists(struct call *c, struct str charge_point_id);             /* false: answered */
#endif
