/* A head that is accepted or refused whole is accepted or refused alike as soon as enough of it is there; its parts lie
 * within the text; an identity never has a control byte, whatever the target. Input: the text, read as a request, an
 * answer and a target. */
/* covers: src/wire/http.c src/wire/http_text.c */
#include "wire/http.h"

#include <stdlib.h>
#include <string.h>

#define PARTS_MAX 60 /* parts tried of a long text */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef enum err read_function(struct str text, struct http_head *out, int *status);

static enum err read_answer(struct str text, struct http_head *out, int *status)
{
    *status = 0;
    return http_read_answer(text, out, NULL);
}

static enum err read_request(struct str text, struct http_head *out, int *status)
{
    *status = 0;
    return http_read_request(text, out, status, NULL);
}

static void check_within(struct str text, struct str part)
{
    check(part.at == NULL || (part.at >= text.at && part.at + part.len <= text.at + text.len));
}

static void check_parts(struct str text, const struct http_head *h)
{
    check(h->size <= text.len && h->size <= HTTP_HEAD_MAX && h->header_count <= HTTP_HEADERS_MAX);
    check_within(text, h->method);
    check_within(text, h->target);
    for (size_t i = 0; i < h->header_count; i++) {
        check_within(text, h->headers[i].name);
        check_within(text, h->headers[i].value);
        check(h->headers[i].name.len > 0);
        for (size_t k = 0; k < h->headers[i].value.len; k++)
            check(h->headers[i].value.at[k] == '\t' || (uint8_t)h->headers[i].value.at[k] >= ' ');
    }
}

static void check_identity(struct str target)
{
    static const struct str prefixes[] = {{"/ocpp", 5}, {"/", 1}, {"/{tenant}/x", 11}};
    char out[IDENTITY_MAX + 1];
    size_t len;
    if (http_identity(target, prefixes, COUNT_OF(prefixes), out, &len) != OK)
        return;
    check(len > 0 && len <= IDENTITY_MAX && out[len] == '\0');
    check(utf8_is_valid((struct bytes){(const uint8_t *)out, len}));
    for (size_t i = 0; i < len; i++)
        check((uint8_t)out[i] >= ' ' && out[i] != 0x7F);
}

/* What a gateway asks of a request that it has read. */
static void check_request(const struct http_head *h)
{
    struct buf scratch;
    struct bytes password;
    struct str key, token;
    int status = 0;
    bool strict = http_check_upgrade(h, false, &key, &status, NULL) == OK;
    bool lenient = http_check_upgrade(h, true, &key, &status, NULL) == OK;
    check(lenient || !strict);
    check(lenient || status == 400 || status == 405 || status == 426);
    for (size_t cursor = 0, count = 0; http_next_token(h, STR("Connection"), &cursor, &token); count++)
        check(token.len > 0 && count < HTTP_HEAD_MAX);
    check_identity(h->target);
    buf_init(&scratch, HTTP_HEAD_MAX);
    if (http_basic_password(h, STR("CP1"), &scratch, &password) == OK)
        check(password.at >= scratch.at && password.at + password.len == scratch.at + scratch.len);
    buf_release(&scratch);
}

/* Returns what reading all of it gives, after trying its parts: nothing, up to the outcome of the whole. */
static enum err check_stable(read_function *read, struct str text, struct http_head *out)
{
    static struct http_head part_head;
    int status, part_status;
    enum err whole = read(text, out, &status);
    size_t step = text.len / PARTS_MAX + 1;
    bool is_decided = false;
    for (size_t len = 0; len < text.len; len += step) {
        char *part = malloc(len + 1); /* of its own, so that the sanitizer sees its end */
        check(part != NULL);
        memcpy(part + 1, text.at, len);
        enum err e = read((struct str){part + 1, len}, &part_head, &part_status);
        is_decided = is_decided || e != ERR_AGAIN;
        check(!is_decided || (e == whole && part_status == status));
        check(e != OK || part_head.size == out->size);
        free(part);
    }
    return whole;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct http_head h;
    struct str text = {(const char *)data, size};
    if (check_stable(read_request, text, &h) == OK) {
        check_parts(text, &h);
        check_request(&h);
    }
    if (check_stable(read_answer, text, &h) == OK)
        check_parts(text, &h);
    check_identity(text);
    return 0;
}
