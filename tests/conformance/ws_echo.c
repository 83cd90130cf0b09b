/* ws-echo PORT: sends back every message as it came. For conformance tests with peers that share no code with us: no rate
 * limit, messages up to 16 MiB in any number of fragments. PORT 0 takes a free one; the first line says which. */
#include "wire/conn.h"
#include <stdio.h>
#include <stdlib.h>

#define MESSAGE_SIZE_MAX     (16 << 20)
#define WRITE_QUEUE_SIZE_MAX (64 << 20)
#define ADDRESS_SIZE         32

static void on_upgrade(struct conn *c, const struct http_head *head)
{
    (void)head;
    conn_accept(c, (struct str){NULL, 0});
}

static void on_message(struct conn *c, struct bytes message, bool is_text)
{
    if (conn_send(c, message, is_text) != OK)
        (void)fprintf(stderr, "conn=%llu: an echo was not sent\n", (unsigned long long)conn_number(c));
}

static void on_close(struct conn *c, enum conn_end why, uint16_t code)
{
    (void)c;
    (void)why;
    (void)code;
}

static void on_signal(int signal, void *data)
{
    (void)signal;
    loop_stop(data);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        (void)fprintf(stderr, "usage: ws-echo PORT\n");
        return 2;
    }
    char address[ADDRESS_SIZE];
    (void)snprintf(address, sizeof address, "127.0.0.1:%s", argv[1]);
    const struct conn_handlers handlers = {.on_upgrade = on_upgrade, .on_message = on_message, .on_close = on_close};
    struct listener_options options = {
        .address = str_of(address), .conn = conn_options_default(), .handlers = &handlers};
    options.conn.limits = (struct ws_limits){.message_max = MESSAGE_SIZE_MAX, .fragments_max = MESSAGE_SIZE_MAX};
    options.conn.write_queue_max = WRITE_QUEUE_SIZE_MAX;
    options.conn.control_frames_per_s = 0;
    struct loop *loop = loop_new();
    struct listener *listener;
    struct fault why = {{0}, {0}};
    (void)!loop_use_ring(loop, &why); /* as the server does; without it all is the same */
    if (listener_open(loop, &options, &listener, &why) != OK) {
        (void)fprintf(stderr, "ws-echo: %s\n", why.reason);
        loop_free(loop);
        return 1;
    }
    (void)printf("listening on %d\n", listener_port(listener));
    (void)fflush(stdout);
    loop_on_signal(loop, on_signal, loop);
    loop_run(loop);
    loop_free(loop);
    return 0;
}
