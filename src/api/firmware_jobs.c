/* api/firmware_jobs.c - firmware on its way to AP3000 devices: where each transfer stands. It is begun by the command
 * UpdateFirmware. */
#include "api/api_private.h"

static const struct list jobs = {
    .row = &firmware_job_row_message,
    .select = "job_id, charge_point_id, file_id, state, printf('0x%02X', command), packet, packets, reason, started_at, "
              "updated_at",
    .from = "firmware_jobs",
    .sorts = {{{"started_at", 10}, "started_at", "job_id", false, true}},
};

void handle_firmware_job_list(struct call *c)
{
    const struct firmware_job_query *q = c->query;
    struct list l = jobs;
    list_where(&l, "charge_point_id = ?", db_text(q->charge_point_id));
    list_where(&l, "file_id = ?", db_text(q->file_id));
    list_where(&l, "state = ?", db_text(q->state));
    list_answer(c, &l);
}
