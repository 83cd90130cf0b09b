/* gateway/firmware.c - a firmware image on its way to a pile or host, packet by packet (ap3000.md 9). The rules are in
 * proto/ap3000/transfer.c; here are the file, the clock and the log.
 *
 * UpdateFirmware has its outcome when the device takes the first packet, or does not. The transfer then goes on by
 * itself, beside heartbeats and settlements; commands wait until it is over, since a charge must not begin in it.
 * "firmware.job" in the log says where it stands, so it goes on from there in the next process, and on the next
 * connection. */
#include "gateway/parts.h"
#include "proto/ap3000/transfer.h"
#include "services/files/files.h"

#define JOB_EVERY       20 /* packets between two words about where it stands: a restart repeats so many at most */
#define PROGRESS_STEPS  10 /* of firmware.status_changed */
#define PART_SIZE_MAX   256
#define FILE_ARENA_SIZE 65536

struct firmware_transfer {
    struct slot *slot; /* NULL: it is over, and its job is still under way */
    struct ap3000_transfer transfer;
    struct timer timer;
    struct job job;
    bool is_reading, is_begun; /* begun: the image is known */
    char command_id[65];       /* of the UpdateFirmware that waits for the first packet; "" none */
    uint8_t wanted_command;    /* 0: the one that its product takes */
    enum err error;
    struct fault why;
    struct buf part;
    unsigned told_step;
    char *db_dir;
};

static void firmware_free(struct firmware_transfer *f)
{
    timer_stop(&f->timer);
    buf_release(&f->part);
    free(f->db_dir);
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

static void end(struct firmware_transfer *f)
{
    bool is_done = f->transfer.state == TRANSFER_DONE;
    bool is_unanswered = !is_done && f->transfer.tries > 0;
    if (is_done)
        answer_command(f, "answered", STR("Accepted"), NULL);
    else if (is_unanswered)
        answer_command(f, "unknown", STR("Rejected"), "NO_ANSWER");
    else
        answer_command(f, "answered", STR("Rejected"), "DEVICE_REJECTED");
    tell_status(f, is_done ? "Downloaded" : "DownloadFailed");
    let_go(f);
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

static void send_frame(struct firmware_transfer *f, struct bytes data)
{
    struct slot *slot = f->slot;
    struct gateway *g = slot->gateway;
    uint8_t frame[AP3000_SENT_FIRMWARE_SIZE_MAX];
    struct session *s = slot->session;
    if (s == NULL || s->conn == NULL)
        return; /* when it is back: firmware_on_back */
    size_t len = transfer_write(&f->transfer, slot->pile, data, frame);
    pile_send(pile_of(s), (struct bytes){frame, len}, false);
    timer_start(g->loop, &f->timer, g->config->pile_firmware_s * 1000);
}

static void run_read(struct job *j)
{
    struct firmware_transfer *f = CONTAINER(j, struct firmware_transfer, job);
    struct db *d = workers_state();
    struct arena a;
    struct file row;
    arena_init(&a, FILE_ARENA_SIZE);
    f->error = d == NULL ? ERR_IO : OK;
    if (f->error == OK && !f->is_begun) {
        f->error = file_find(d, str_of(f->transfer.file_id), &a, &row);
        if (f->error == OK) {
            f->transfer.image.size = row.size_bytes;
            f->transfer.image.byte_sum = row.byte_sum;
        }
    } else if (f->error == OK) {
        int64_t offset;
        size_t len;
        transfer_part(&f->transfer, &offset, &len);
        buf_clear(&f->part);
        f->error = file_read(str_of(f->db_dir), str_of(f->transfer.file_id), (uint64_t)offset, len, &f->part);
    }
    arena_release(&a);
}

static void go_on(struct firmware_transfer *f, enum transfer_next next);

/* The file is known: may it go to this device at all? */
static void begin(struct firmware_transfer *f)
{
    struct slot *slot = f->slot;
    f->is_begun = true;
    enum err e = transfer_begin(slot->pile, f->wanted_command, &f->transfer.image, &f->transfer, &f->why);
    if (e != OK) {
        refuse(f, e);
        return;
    }
    struct command *c = command_of(f);
    if (c != NULL) { /* "sent" is in the log before the first packet leaves */
        struct ev_command_sent p = {.command_id = str_of(c->id), .message_id = str_of(f->transfer.job_id)};
        c->is_on_the_wire = true;
        c->sent_at = clock_now();
        (void)gateway_tell(slot->gateway, slot, EVENT_COMMAND_SENT, &p);
    }
    tell_status(f, "Downloading");
    go_on(f, f->transfer.state == TRANSFER_WAITING ? TRANSFER_SEND_TRIGGER : TRANSFER_SEND_PACKET);
}

static void done_read(struct job *j)
{
    struct firmware_transfer *f = CONTAINER(j, struct firmware_transfer, job);
    f->is_reading = false;
    if (f->slot == NULL) {
        firmware_free(f);
        return;
    }
    if (f->error != OK) {
        fault_set(&f->why, STR("fileId"), f->error == ERR_UNKNOWN ? "no such file" : "the file cannot be read");
        (void)str_copy(f->transfer.reason, sizeof f->transfer.reason, str_of(f->why.reason));
        if (f->is_begun) {
            f->transfer.state = TRANSFER_FAILED;
            f->transfer.tries = 0;
            end(f);
        } else {
            refuse(f, f->error);
        }
        return;
    }
    if (!f->is_begun)
        begin(f);
    else
        send_frame(f, (struct bytes){f->part.at, f->part.len});
}

static void read_part(struct firmware_transfer *f)
{
    if (f->is_reading)
        return;
    f->is_reading = true;
    f->error = ERR_CLOSED; /* what it stays when it is never run */
    f->job = (struct job){.run = run_read, .done = done_read};
    workers_add(f->slot->gateway->workers, &f->job);
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

static void go_on(struct firmware_transfer *f, enum transfer_next next)
{
    const struct bytes nothing = {NULL, 0};
    int64_t offset;
    size_t len;
    switch (next) {
    case TRANSFER_END:
        end(f);
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
    if (f->slot->session != NULL)
        go_on(f, transfer_on_silence(&f->transfer));
}

static struct firmware_transfer *firmware_new(struct slot *slot)
{
    struct firmware_transfer *f = mem_new(1, sizeof *f);
    struct gateway *g = slot->gateway;
    f->slot = slot;
    f->db_dir = strdup(g->files_dir);
    check(f->db_dir != NULL);
    timer_init(&f->timer, on_timer);
    buf_init(&f->part, PART_SIZE_MAX);
    slot->firmware = f;
    slot->pins++;
    return f;
}

/* --- from outside --- */

void firmware_start(struct slot *slot, struct command *c)
{
    struct gateway *g = slot->gateway;
    struct ap3000_update update = {0};
    struct fault why = {0};
    arena_reset(&g->arena);
    enum err e = ap3000_update_read(str_of(c->payload), &g->arena, &update, &why);
    if (e == OK && slot->firmware != NULL) {
        fault_set(&why, STR("fileId"), "another transfer is under way");
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
    read_part(f);
}

void firmware_resume(struct slot *slot, const struct firmware_job *job)
{
    struct firmware_transfer *f = firmware_new(slot);
    memcpy(f->transfer.job_id, job->job_id, sizeof job->job_id);
    memcpy(f->transfer.file_id, job->file_id, sizeof job->file_id);
    f->transfer.image = job->image;
    f->is_begun = true;
    if (transfer_begin(slot->pile, job->command, &job->image, &f->transfer, &f->why) != OK) {
        f->transfer.state = TRANSFER_FAILED;
        (void)str_copy(f->transfer.reason, sizeof f->transfer.reason, str_of(f->why.reason));
        end(f);
        return;
    }
    if (job->packet >= 1 && job->packet <= f->transfer.total && f->transfer.state == TRANSFER_SENDING)
        f->transfer.index = (uint16_t)job->packet;
}

bool firmware_take(struct pile_session *p, const struct ap3000_frame *frame, struct bytes raw)
{
    struct slot *slot = p->s.slot;
    struct firmware_transfer *f = slot->firmware;
    if (f == NULL || !f->is_begun || f->transfer.command != frame->command)
        return false;
    const struct str none = {NULL, 0};
    struct gateway *g = slot->gateway;
    pile_note_frame(g, slot, hex_of(&g->hex, raw), none);
    uint16_t before = f->transfer.index;
    enum transfer_next next = transfer_on_frame(&f->transfer, frame);
    if (next != TRANSFER_WAIT || f->transfer.index != before)
        timer_stop(&f->timer);
    go_on(f, next);
    return true;
}

void firmware_on_request(struct slot *slot)
{
    if (slot->firmware != NULL && slot->firmware->is_begun)
        go_on(slot->firmware, transfer_on_request(&slot->firmware->transfer));
}

void firmware_on_back(struct slot *slot)
{
    if (slot->firmware != NULL && slot->firmware->is_begun)
        go_on(slot->firmware, transfer_resume(&slot->firmware->transfer));
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
