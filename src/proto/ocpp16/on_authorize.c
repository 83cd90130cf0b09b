/* proto/ocpp16/on_authorize.c - Authorize, and the verdict on a tag for every message that carries one (ocpp16.md 5.1).
 */
#include "proto/ocpp16/handlers.h"

int tag_verdict(struct step *s, struct str id_tag, struct id_tag_info *out)
{
    const struct id_tag *t = &s->known->tag;
    int verdict = OCPP_AUTHORIZATION_STATUS_ACCEPTED;
    if (id_tag.at == NULL || (!t->is_known && !s->in->policy->accepts_unknown_tags))
        verdict = OCPP_AUTHORIZATION_STATUS_INVALID;
    else if (t->is_known && t->is_blocked)
        verdict = OCPP_AUTHORIZATION_STATUS_BLOCKED;
    else if (t->is_known && instant_is_set(t->expires_at) && !instant_before(s->in->now, t->expires_at))
        verdict = OCPP_AUTHORIZATION_STATUS_EXPIRED;
    *out = (struct id_tag_info){.status = choice_word(&authorization_status_choices, verdict)};
    if (t->is_known && t->parent[0] != 0)
        out->parent_id_tag = str_of(t->parent);
    if (t->is_known && instant_is_set(t->expires_at)) {
        char text[INSTANT_TEXT_SIZE];
        instant_write(t->expires_at, text);
        out->expiry_date = (struct stamp){arena_copy(s->arena, str_of(text)), t->expires_at};
    }
    return verdict;
}

bool tag_is_concurrent(struct step *s, struct str id_tag, const struct transaction *superseded)
{
    int32_t most = s->known->tag.is_known && s->known->tag.max_concurrent >= 0 ? s->known->tag.max_concurrent
                                                                               : s->in->policy->max_concurrent;
    if (most == 0)
        return false;
    int open = tag_book_count(s->in->tags, id_tag);
    char mine[TAG_SIZE_MAX], theirs[TAG_SIZE_MAX];
    if (superseded != NULL) {
        struct str a = {mine, tag_key(id_tag, mine)}, b = {theirs, tag_key(str_of(superseded->id_tag), theirs)};
        open -= str_eq(a, b);
    }
    return open >= most;
}

/* No side effects: ConcurrentTx is for starts, since the same tag may be asking to stop. */
void on_authorize(struct step *s)
{
    const struct authorize_req *r = s->call->request;
    struct id_tag_info info;
    (void)tag_verdict(s, r->id_tag, &info);
    struct ev_authorization payload = {.id_tag = r->id_tag, .status = info.status.text};
    step_event(s, EVENT_AUTHORIZATION, INSTANT_NONE, &payload);
    struct authorize_conf conf = {.id_tag_info = &info};
    step_answer(s, &authorize_conf_message, &conf);
}
