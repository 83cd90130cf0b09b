/* api/http_answer.c - the head of an answer (RFC 9112, 4; RFC 9110, 6.6.1). */
#include "api/http_private.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/time.h"
#include "loop/loop.h"

#define DAY_US INT64_C(86400000000)

/* RFC 9110, 5.6.7 */
static void put_date(struct buf *out, struct instant now)
{
    static const char days[] = "ThuFriSatSunMonTueWed"; /* 1970-01-01 was a Thursday */
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    char t[INSTANT_TEXT_SIZE]; /* 2026-03-01T09:00:00.000Z */
    instant_write(now, t);
    size_t day = (size_t)(now.us / DAY_US % 7), month = (size_t)((t[5] - '0') * 10 + t[6] - '0' - 1);
    buf_printf(out, "Date: %.3s, %.2s %.3s %.4s %.8s GMT\r\n", days + day * 3, t + 8, months + month * 3, t, t + 11);
}

void http_answer_head(const struct http_exchange *x, bool must_close, struct buf *out)
{
    const struct http_answer *a = &x->answer;
    buf_printf(out, "HTTP/1.1 %d %s\r\n", a->status, http_status_text(a->status));
    put_date(out, clock_now());
    buf_printf(out, "Content-Type: %s\r\n", a->content_type);
    for (size_t i = 0; i < a->header_count; i++)
        buf_printf(out, "%s: %s\r\n", a->headers[i].name, a->headers[i].value);
    if (must_close)
        buf_put_lit(out, "Connection: close\r\n");
    if (a->source.read != NULL)
        buf_put_lit(out, "Transfer-Encoding: chunked\r\n\r\n");
    else
        buf_printf(out, "Content-Length: %" PRIu64 "\r\n\r\n", a->has_file ? a->file_size : (uint64_t)a->body.len);
}

void http_answer_header(struct http_answer *a, const char *name, struct str value)
{
    check(a->header_count < HTTP_ANSWER_HEADERS_MAX);
    char *copy = mem_new(value.len + 1, 1);
    if (value.len > 0)
        memcpy(copy, value.at, value.len);
    a->headers[a->header_count].name = name;
    a->headers[a->header_count++].value = copy;
}
