/* gateway/firmware.c - a firmware image on its way to a pile or host, packet by packet (ap3000.md 9). The rules are in
 * proto/ap3000/transfer.c; here are the file, the clock and the log.
 *
 * UpdateFirmware has its outcome when the device takes the first packet, or does not. The transfer then goes on by
 * itself, beside heartbeats and settlements; commands wait until it is over, since a charge must not begin in it.
 * "firmware.job" in the log says where it stands, so it goes on from there in the next process, and on the next
 * connection. The first frame leaves when "sent" of its command is durable, as that of any other command. */
#include "gateway/parts.h"
#include "proto/ap3000/transfer.h"
#include "services/files/files.h"

#define JOB_EVERY       20 /* packets between two words about where it stands: a restart repeats so many at most */
#define PROGRESS_STEPS  10 /* of firmware.status_changed */
#define PART_SIZE_MAX   256
#define FILE_ARENA_SIZE 65536
#define COMMAND_WAITS   5                           /* packet times until its command is no longer waited for */
#define ABSENT_MS       (INT64_C(24) * 3600 * 1000) /* a device that does not come back ends it */

struct firmware_transfer {
    struct slot *slot; /* NULL: it is over, and its job is still under way */
    struct ap3000_transfer transfer;
    struct timer timer;     /* for the answer to a packet; for its device, while that is away */
    bool is_begun;          /* the image is known */
    bool is_told, is_held;  /* "sent" of its command is in the log; and the first frame waits for it to be durable */
    bool has_left;          /* a frame, in this life or another: what the device says may be about it */
    char command_id[65];    /* of the UpdateFirmware that waits for the first packet; "" none */
    uint8_t wanted_command; /* 0: the one that its product takes */
    struct fault why;
    unsigned told_step;
    /* The job: what it reads is set before it begins, and what it found is looked at when it is done. */
    struct job job;
    bool is_reading, is_wanted; /* wanted: the part at hand is still to be sent */
    bool wants_row;             /* not bytes, but what is known of the file */
    int64_t offset;
    size_t len;
    enum err error;
    int64_t size;
    uint32_t byte_sum;
    struct buf part;
    char *files_dir;
};

/* Who ended it, as its command's outcome says it. */
enum ended_by { BY_DEVICE, BY_SILENCE, BY_US };

static void firmware_free(struct firmware_transfer *f)
{
    timer_stop(&f->timer);
    buf_release(&f->part);
    free(f->files_dir);
    free(f);
}

/* --- what is told --- */

static void tell_job(struct firmware_transfer *f, const char *word)
{
    const struct ap3000_transfer *t = &f->transfer;
    struct ev_firmware_job p = {
        .job_id = str_of(t->job_id),
        .file_id = str_of(t->file_id),
        .status = str_of(word),
        .command = {t->command, true},
        .packet = {t->index, true},
        .packets = {t->total, true},
        .reason = t->reason[0] == 0 ? (struct str){NULL, 0} : str_of(t->reason),
        .size_bytes = {t->image.size, true},
        .byte_sum = {t->image.byte_sum, true},
        .version = {t->image.version, true},
        .device_type = {t->image.device_type, true},
        .check_packet = {t->image.has_check_packet, true},
    };
    (void)gateway_tell(f->slot->gateway, f->slot, EVENT_FIRMWARE_JOB, &p);
}

static void tell_status(struct firmware_transfer *f, const char *word)
{
    const struct ap3000_transfer *t = &f->transfer;
    struct ev_job_status p = {
        .status = str_of(word),
        .job_id = str_of(t->job_id),
        .file_id = str_of(t->file_id),
        .command = {t->command, true},
        .packet = {t->index, true},
        .packets = {t->total, true},
        .reason = t->reason[0] == 0 ? (struct str){NULL, 0} : str_of(t->reason),
    };
    (void)gateway_tell(f->slot->gateway, f->slot, EVENT_FIRMWARE_STATUS, &p);
    tell_job(f, word);
    LOG_INFO("firmware.status", F_CSTR("station", f->slot->station.id), F_CSTR("job", t->job_id),
             F_CSTR("status", word), F_INT("packet", t->index), F_INT("packets", t->total),
             F_CSTR("reason", t->reason));
}

/* --- its command's one outcome --- */

static struct command *command_of(struct firmware_transfer *f)
{
    struct command *c = f->slot->outstanding;
    return c != NULL && f->command_id[0] != 0 && strcmp(c->id, f->command_id) == 0 ? c : NULL;
}

static void answer_command(struct firmware_transfer *f, const char *outcome, struct str status, const char *reason)
{
    struct command *c = command_of(f);
    f->command_id[0] = 0;
    if (c != NULL)
        command_finish(
            c, &(struct command_ending){
                   .outcome = outcome, .status = status, .reason = reason, .error_text = str_of(f->transfer.reason)});
}

/* --- the end --- */

static void let_go(struct firmware_transfer *f)
{
    struct slot *slot = f->slot;
    timer_stop(&f->timer);
    slot->firmware = NULL;
    f->slot = NULL;
    slot->pins--;
    if (!f->is_reading)
        firmware_free(f);
    commands_try_send(slot);
    if (slot->session == NULL)
        slot_rest(slot);
}

static const char *reason_not_sent(const struct firmware_transfer *f, enum ended_by by)
{
    bool is_file = !f->is_reading && f->error != OK;
    return is_file ? talk_reason_of(f->error) : by == BY_SILENCE ? "DEVICE_OFFLINE" : "NOT_ALLOWED_NOW";
}

static void end(struct firmware_transfer *f, enum ended_by by)
{
    bool is_done = f->transfer.state == TRANSFER_DONE;
    if (is_done)
        answer_command(f, "answered", STR("Accepted"), NULL);
    else if (!f->has_left)
        answer_command(f, "not_sent", STR("Rejected"), reason_not_sent(f, by));
    else if (by == BY_DEVICE)
        answer_command(f, "answered", STR("Rejected"), "DEVICE_REJECTED");
    else
        answer_command(f, "unknown", STR("Rejected"), "NO_ANSWER");
    tell_status(f, is_done ? "Downloaded" : "DownloadFailed");
    let_go(f);
}

static void fail(struct firmware_transfer *f, enum ended_by by, const char *reason)
{
    f->transfer.state = TRANSFER_FAILED;
    (void)str_copy(f->transfer.reason, sizeof f->transfer.reason, str_of(reason));
    end(f, by);
}

/* It never came to a packet. */
static void refuse(struct firmware_transfer *f, enum err e)
{
    struct command *c = command_of(f);
    f->command_id[0] = 0;
    if (c != NULL)
        command_finish(c, &(struct command_ending){
                              .outcome = "not_sent", .reason = talk_reason_of(e), .error_text = str_of(f->why.reason)});
    let_go(f);
}

/* --- packets --- */

static void put_out(struct firmware_transfer *f, struct session *s, struct bytes frame)
{
    struct gateway *g = f->slot->gateway;
    struct command *c = command_of(f);
    if (c != NULL && !c->is_on_the_wire) {
        c->is_on_the_wire = true;
        metric_observe_us(METRIC_COMMAND_LATENCY, (clock_monotonic_ms() - c->queued_ms) * 1000);
        timer_start(g->loop, &c->timer, COMMAND_WAITS * g->config->pile_firmware_s * 1000);
    }
    f->has_left = true;
    pile_send(pile_of(s), frame, false);
    timer_start(g->loop, &f->timer, g->config->pile_firmware_s * 1000);
}

/* "sent" into the log, and the frame into the queue of what waits for it. */
static void hold(struct firmware_transfer *f, struct command *c, struct bytes frame)
{
    struct slot *slot = f->slot;
    struct gateway *g = slot->gateway;
    struct ev_command_sent p = {.command_id = str_of(c->id), .message_id = str_of(f->transfer.job_id)};
    f->is_told = f->is_held = true;
    buf_clear(&g->text);
    schema_write(&ev_command_sent_message, &p, &g->text);
    struct event e = {.type = EVENT_COMMAND_SENT,
                      .station = str_of(slot->station.id),
                      .received = c->sent_at = clock_now(),
                      .device_time = INSTANT_NONE,
                      .payload = buf_str(&g->text),
                      .frame = hex_of(&g->hex, frame)};
    gateway_append(g, slot, &e, c->trace);
    struct held *h = held_new(g, HELD_COMMAND, (struct str){(const char *)frame.at, frame.len});
    h->command = c;
    h->session = slot->session;
    h->received = c->sent_at;
    held_add(g, h, e.position);
}

static void send_frame(struct firmware_transfer *f, struct bytes data)
{
    struct slot *slot = f->slot;
    uint8_t frame[AP3000_SENT_FIRMWARE_SIZE_MAX];
    struct session *s = slot->session;
    f->is_wanted = false;
    if (s == NULL || f->is_held)
        return; /* when it is back: firmware_on_back; when it may leave: firmware_leave */
    size_t len = transfer_write(&f->transfer, slot->pile, data, frame);
    struct command *c = command_of(f);
    if (c != NULL && !f->is_told)
        hold(f, c, (struct bytes){frame, len});
    else
        put_out(f, s, (struct bytes){frame, len});
}

static void run_read(struct job *j)
{
    struct firmware_transfer *f = CONTAINER(j, struct firmware_transfer, job);
    struct db *d = workers_state();
    struct arena a;
    struct file row;
    arena_init(&a, FILE_ARENA_SIZE);
    f->error = d == NULL ? ERR_IO : OK;
    if (f->error == OK && f->wants_row) {
        f->error = file_find(d, str_of(f->transfer.file_id), &a, &row);
        if (f->error == OK) {
            f->size = row.size_bytes;
            f->byte_sum = row.byte_sum;
        }
    } else if (f->error == OK) {
        buf_clear(&f->part);
        f->error = file_read(str_of(f->files_dir), str_of(f->transfer.file_id), (uint64_t)f->offset, f->len, &f->part);
    }
    arena_release(&a);
}

static void go_on(struct firmware_transfer *f, enum transfer_next next, enum ended_by by);

/* The file is known: may it go to this device at all? */
static void begin(struct firmware_transfer *f)
{
    f->is_begun = true;
    f->transfer.image.size = f->size;
    f->transfer.image.byte_sum = f->byte_sum;
    enum err e = transfer_begin(f->slot->pile, f->wanted_command, &f->transfer.image, &f->transfer, &f->why);
    if (e != OK) {
        refuse(f, e);
        return;
    }
    tell_status(f, "Downloading");
    go_on(f, f->transfer.state == TRANSFER_WAITING ? TRANSFER_SEND_TRIGGER : TRANSFER_SEND_PACKET, BY_US);
}

static void done_read(struct job *j);

static void start_read(struct firmware_transfer *f)
{
    f->is_reading = true;
    f->error = ERR_CLOSED; /* what it stays when it is never run */
    f->job = (struct job){.run = run_read, .done = done_read};
    workers_add(f->slot->gateway->workers, &f->job);
}

/* The packet at hand; one that is read already may be another, and is read anew when that is done. */
static void read_part(struct firmware_transfer *f)
{
    f->is_wanted = true;
    if (f->is_reading)
        return;
    transfer_part(&f->transfer, &f->offset, &f->len);
    f->wants_row = false;
    start_read(f);
}

static void send_part(struct firmware_transfer *f)
{
    int64_t offset;
    size_t len;
    if (!f->is_wanted)
        return; /* the device said something else meanwhile */
    transfer_part(&f->transfer, &offset, &len);
    if (offset != f->offset || len != f->len)
        read_part(f);
    else if (f->part.len != len)
        fail(f, BY_US, "the file is shorter than it was");
    else
        send_frame(f, (struct bytes){f->part.at, f->part.len});
}

static void done_read(struct job *j)
{
    struct firmware_transfer *f = CONTAINER(j, struct firmware_transfer, job);
    f->is_reading = false;
    if (f->slot == NULL) {
        firmware_free(f);
    } else if (!j->was_run) {
        return; /* we stop: the log says where it stands */
    } else if (f->error != OK) {
        const char *reason = f->error == ERR_UNKNOWN ? "no such file" : "the file cannot be read";
        fault_set(&f->why, STR("fileId"), "%s", reason);
        if (f->is_begun)
            fail(f, BY_US, reason);
        else
            refuse(f, f->error);
    } else if (!f->is_begun) {
        begin(f);
    } else {
        send_part(f);
    }
}

static void tell_progress(struct firmware_transfer *f)
{
    const struct ap3000_transfer *t = &f->transfer;
    unsigned step = t->total == 0 ? 0 : (unsigned)((t->index - 1u) * PROGRESS_STEPS / t->total);
    if (t->index > 1)
        answer_command(f, "answered", STR("Accepted"), NULL); /* it took the first one */
    if (step != f->told_step)
        tell_status(f, "Downloading");
    else if (t->index % JOB_EVERY == 0)
        tell_job(f, "Downloading");
    f->told_step = step;
}

static void go_on(struct firmware_transfer *f, enum transfer_next next, enum ended_by by)
{
    const struct bytes nothing = {NULL, 0};
    int64_t offset;
    size_t len;
    switch (next) {
    case TRANSFER_END:
        end(f, by);
        break;
    case TRANSFER_WAIT:
        break;
    case TRANSFER_SEND_TRIGGER:
        send_frame(f, nothing);
        break;
    case TRANSFER_SEND_PACKET:
        tell_progress(f);
        transfer_part(&f->transfer, &offset, &len);
        if (len == 0)
            send_frame(f, nothing);
        else
            read_part(f);
        break;
    }
}

static void on_timer(struct timer *t)
{
    struct firmware_transfer *f = CONTAINER(t, struct firmware_transfer, timer);
    struct gateway *g = f->slot->gateway;
    if (f->slot->session == NULL)
        fail(f, BY_SILENCE, "the device did not come back");
    else if (!gateway_has_room(g)) /* its answers are not taken up: it is not the device that is silent */
        timer_start(g->loop, t, g->config->pile_firmware_s * 1000);
    else
        go_on(f, transfer_on_silence(&f->transfer), BY_SILENCE);
}

static struct firmware_transfer *firmware_new(struct slot *slot)
{
    struct firmware_transfer *f = mem_new(1, sizeof *f);
    struct gateway *g = slot->gateway;
    f->slot = slot;
    f->files_dir = strdup(g->files_dir);
    check(f->files_dir != NULL);
    timer_init(&f->timer, on_timer);
    buf_init(&f->part, PART_SIZE_MAX);
    slot->firmware = f;
    slot->pins++;
    return f;
}

/* --- from outside --- */

/* One at a time behind a host (ap3000.md 9). */
static bool is_line_taken(const struct slot *slot)
{
    const struct line *line = slot->session->line;
    for (const struct link *l = line->piles.next; l != &line->piles; l = l->next) {
        const struct session *s = &CONTAINER((struct link *)(uintptr_t)l, struct pile_session, on_line)->s;
        if (s->is_open && s->slot->firmware != NULL)
            return true;
    }
    return false;
}

void firmware_start(struct slot *slot, struct command *c)
{
    struct gateway *g = slot->gateway;
    struct ap3000_update update = {0};
    struct fault why = {0};
    arena_reset(&g->arena);
    enum err e = ap3000_update_read(str_of(c->payload), &g->arena, &update, &why);
    if (e == OK && is_line_taken(slot)) {
        fault_set(&why, STR("fileId"), "another transfer is under way on its connection");
        e = ERR_STATE;
    }
    if (e != OK) {
        command_finish(c, &(struct command_ending){
                              .outcome = "not_sent", .reason = talk_reason_of(e), .error_text = str_of(why.reason)});
        return;
    }
    struct firmware_transfer *f = firmware_new(slot);
    uint8_t random[16];
    gateway_random(g, random, sizeof random);
    uuid_write(uuid_v4(random), f->transfer.job_id);
    memcpy(f->command_id, c->id, sizeof f->command_id);
    (void)str_copy(f->transfer.file_id, sizeof f->transfer.file_id, update.file_id);
    f->wanted_command = update.command;
    f->transfer.image = (struct ap3000_image){
        .version = update.version, .device_type = update.device_type, .has_check_packet = update.has_check_packet};
    timer_start(g->loop, &c->timer, g->config->pile_firmware_s * 1000);
    f->wants_row = true;
    start_read(f);
}

void firmware_resume(struct slot *slot, const struct firmware_job *job)
{
    struct firmware_transfer *f = firmware_new(slot);
    memcpy(f->transfer.job_id, job->job_id, sizeof job->job_id);
    memcpy(f->transfer.file_id, job->file_id, sizeof job->file_id);
    f->transfer.image = job->image;
    f->is_begun = f->has_left = true;
    if (transfer_begin(slot->pile, job->command, &job->image, &f->transfer, &f->why) != OK) {
        fail(f, BY_US, f->why.reason);
        return;
    }
    if (job->packet >= 1 && job->packet <= f->transfer.total && f->transfer.state == TRANSFER_SENDING)
        f->transfer.index = (uint16_t)job->packet;
    timer_start(slot->gateway->loop, &f->timer, ABSENT_MS);
}

bool firmware_take(struct pile_session *p, const struct ap3000_frame *frame, struct bytes raw)
{
    struct slot *slot = p->s.slot;
    struct firmware_transfer *f = slot->firmware;
    if (f == NULL || !f->is_begun || f->transfer.command != frame->command)
        return false;
    const struct str none = {NULL, 0};
    struct gateway *g = slot->gateway;
    gateway_append_frame(g, slot, hex_of(&g->hex, raw), none, clock_now());
    if (!f->has_left)
        return true; /* nothing that it could be about */
    uint16_t before = f->transfer.index;
    enum transfer_next next = transfer_on_frame(&f->transfer, frame);
    if (next != TRANSFER_WAIT || f->transfer.index != before)
        timer_stop(&f->timer);
    go_on(f, next, BY_DEVICE);
    return true;
}

void firmware_leave(struct slot *slot, struct bytes frame)
{
    struct firmware_transfer *f = slot->firmware;
    check(f != NULL); /* its end is its command's too */
    f->is_held = false;
    if (slot->session != NULL)
        put_out(f, slot->session, frame);
}

/* Its first frame could not leave, or had no answer in all the time that packets have; then it goes on by itself. */
void firmware_on_late(struct command *c)
{
    struct slot *slot = c->slot;
    if (!c->is_on_the_wire) {
        firmware_stop(slot, "the device was not there for it");
        return;
    }
    slot->firmware->command_id[0] = 0;
    command_finish(c, &(struct command_ending){.outcome = "unknown",
                                               .reason = slot->session == NULL ? "CONNECTION_LOST" : "NO_ANSWER"});
}

void firmware_on_request(struct slot *slot)
{
    struct firmware_transfer *f = slot->firmware;
    if (f != NULL && f->has_left)
        go_on(f, transfer_on_request(&f->transfer), BY_DEVICE);
}

void firmware_on_back(struct slot *slot)
{
    struct firmware_transfer *f = slot->firmware;
    if (f != NULL && f->is_begun)
        go_on(f, transfer_resume(&f->transfer), BY_SILENCE);
}

void firmware_on_lost(struct slot *slot, bool is_for_good)
{
    struct firmware_transfer *f = slot->firmware;
    struct command *c = command_of(f);
    timer_start(slot->gateway->loop, &f->timer, ABSENT_MS);
    if (is_for_good && c != NULL && !c->is_on_the_wire)
        firmware_stop(slot, "the server stops");
    else if (is_for_good && c != NULL)
        answer_command(f, "unknown", STR("Rejected"), "CONNECTION_LOST"); /* it goes on in the next process */
}

void firmware_stop(struct slot *slot, const char *reason)
{
    struct firmware_transfer *f = slot->firmware;
    enum ended_by by = slot->session == NULL ? BY_SILENCE : BY_US;
    if (f == NULL)
        return;
    if (f->is_begun) {
        fail(f, by, reason);
        return;
    }
    (void)str_copy(f->transfer.reason, sizeof f->transfer.reason, str_of(reason));
    answer_command(f, "not_sent", STR("Rejected"), reason_not_sent(f, by));
    let_go(f);
}

void firmware_forget(struct slot *slot)
{
    struct firmware_transfer *f = slot->firmware;
    if (f == NULL)
        return;
    slot->firmware = NULL;
    f->slot = NULL;
    timer_stop(&f->timer);
    if (!f->is_reading)
        firmware_free(f);
}
