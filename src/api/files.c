/* api/files.c - files for stations: kept as they come, described, given out, deleted. What is where, and in which order
 * it comes and goes, services/files knows. */
#include "api/api_private.h"

#include <string.h>
#include <unistd.h>

#include "base/log.h"

static const struct list files = {
    .row = &file_row_message,
    .select = "file_id, name, kind, version, note, size_bytes, sha256, byte_sum, created_at, created_by",
    .from = "files",
    .sorts = {{{"created_at", 10}, "created_at", "file_id", false, true}},
};

void handle_file_list(struct call *c)
{
    const struct file_query *q = c->query;
    struct list l = files;
    list_where(&l, "name = ?", db_text(q->name));
    list_where(&l, "sha256 = lower(?)", db_text(q->sha256));
    list_answer(c, &l);
}

void handle_file_get(struct call *c)
{
    enum err e = item_answer(c, &files, "file_id = ?", db_text(c->params[0]), 200);
    (void)e; /* answered */
}

/* --- adding --- */

struct adding {
    struct call *call;
    const struct file *file;
};

static void answer_made(struct call *c, const struct file *f)
{
    const struct file_row row = {
        .file_id = f->file_id,
        .name = f->name,
        .kind = {f->kind, choice_find(&file_kind_words_choices, f->kind)},
        .version = f->version,
        .note = f->note,
        .size_bytes = integer_of(f->size_bytes),
        .sha256 = str_of(f->sha256),
        .byte_sum = integer_of(f->byte_sum),
        .created_at = stamp_of(&c->arena, f->created_at),
        .created_by = f->created_by,
    };
    struct json_writer *w = answer_begin(c, 201, STR("kept"));
    message_write(w, &file_row_message, &row);
    answer_end(c);
    http_answer_header(&c->x->answer, "Location", arena_printf(&c->arena, "/api/v1/files/%.*s", STR_ARG(f->file_id)));
}

static enum err store_file(struct db *d, void *arg, struct fault *why)
{
    const struct adding *a = arg;
    (void)why;
    enum err e = file_row_add(d, a->call->api->o.files, a->file);
    if (e == ERR_LIMIT)
        answer_error(a->call, API_TOO_MANY_FILES, NULL);
    else if (e == OK)
        answer_made(a->call, a->file);
    return e;
}

static enum err make_row(void *arg, const struct file *f)
{
    struct adding a = {arg, f};
    return call_write(a.call, store_file, &a);
}

/* What the sender says of the bytes, if anything, is so; false: answered. */
static bool is_as_told(struct call *c, const struct file *f)
{
    struct str told = c->x->header[HTTP_CONTENT_SHA256];
    struct fault why = {"", ""};
    if (told.at == NULL || str_eq_nocase(told, str_of(f->sha256)))
        return true;
    fault_set(&why, STR("X-Content-SHA256"), "what came has %s", f->sha256);
    answer_refused(c, ERR_RANGE, &why);
    return false;
}

void handle_file_post(struct call *c)
{
    const struct file_post_query *q = c->query;
    struct fault why = {"", ""};
    char id[UUID_TEXT_SIZE];
    struct upload u = {.content = bytes_of(c->x->body), .make_row = make_row, .arg = c};
    if (q->name.len == 0) {
        fault_set(&why, STR("name"), "at least one character");
        answer_refused(c, ERR_RANGE, &why);
        return;
    }
    file_measure(u.content, &u.file);
    if (!is_as_told(c, &u.file))
        return;
    id_make(id);
    u.file.file_id = str_of(id);
    u.file.name = q->name;
    u.file.kind = STR(FILE_KIND_FIRMWARE);
    u.file.version = q->version;
    u.file.note = q->note;
    u.file.created_by = str_of(c->caller.name);
    u.file.created_at = clock_now();
    enum err e = file_add(c->api->o.files, &u, &why);
    if (e != OK && c->x->answer.status == 0) /* not by the row: that has answered */
        answer_failure(c, e, &why);
}

/* --- giving out --- */

/* A row that is there after its bytes were not has lost them: bytes come before their row and go after it. */
static void answer_lost(struct call *c, enum err e)
{
    struct fault why = {"", ""};
    fault_set(&why, c->params[0], "its bytes are not as its row says; chargeline doctor tells");
    answer_failure(c, e == ERR_UNKNOWN ? ERR_CORRUPT : e, &why);
}

void handle_file_content(struct call *c)
{
    struct http_answer *a = &c->x->answer;
    struct file f;
    int fd = -1;
    int64_t size = -1;
    enum err opened = file_open(files_dir(c->api->o.files), c->params[0], &fd, &size);
    enum err e = file_find(c->worker->db, c->params[0], &c->arena, &f);
    if (e == OK && opened == OK && size == f.size_bytes) {
        a->status = 200;
        a->content_type = "application/octet-stream";
        a->has_file = true;
        a->file_fd = fd;
        a->file_size = (uint64_t)size;
        http_answer_header(a, "X-Content-SHA256", str_of(f.sha256));
        return;
    }
    if (fd >= 0)
        (void)close(fd);
    if (e == ERR_UNKNOWN)
        answer_error(c, API_NOT_FOUND, NULL);
    else if (e != OK)
        answer_failure(c, e, NULL);
    else
        answer_lost(c, opened == OK ? ERR_CORRUPT : opened);
}

/* --- deleting --- */

static enum err remove_row(struct db *d, void *arg, struct fault *why)
{
    struct call *c = arg;
    (void)why;
    enum err e = file_row_delete(d, c->params[0]);
    if (e == ERR_UNKNOWN)
        answer_error(c, API_NOT_FOUND, NULL);
    return e;
}

void handle_file_delete(struct call *c)
{
    if (call_write(c, remove_row, c) != OK)
        return;
    enum err e = file_remove(c->api->o.files, c->params[0]);
    if (e != OK) /* nobody finds it any more, and the next start removes it */
        LOG_WARN("file.left_behind", F_STR("file", c->params[0]), F_CSTR("err", err_text(e)));
    answer_nothing(c, 200, STR("deleted"));
}
