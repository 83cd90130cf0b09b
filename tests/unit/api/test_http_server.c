/* The HTTP server by itself, under handlers of the test: connections that go on, readers that are slow, exchanges that
 * wait, sources, what is refused, limits, the end. */
#include "apikit.h"

#include <sched.h>
#include <sys/mman.h>

#include "api/http_server.h"

#define BIG       (6u << 20) /* above what two sockets hold */
#define BODY_MAX  1000
#define MUCH      3000 /* where more is taken */
#define PIPELINED 300
#define SHARED    32

static struct {
    struct http_server *server;
    struct kit k; /* only its port */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned begun, ended;
    struct http_exchange *asleep;
    pthread_t threads[8];
    unsigned thread_count;
} all = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

/* --- handlers, by the target --- */

static void put_answer(struct http_exchange *x, int status)
{
    x->answer.status = status;
    x->answer.content_type = "text/plain";
}

static enum http_next echo(struct http_exchange *x)
{
    put_answer(x, 200);
    buf_put_str(&x->answer.body, x->body);
    return HTTP_ANSWERED;
}

static enum http_next big(struct http_exchange *x)
{
    put_answer(x, 200);
    for (unsigned i = 0; i < BIG; i++)
        buf_put_byte(&x->answer.body, (uint8_t)('a' + i % 23));
    return HTTP_ANSWERED;
}

/* A file of BIG bytes, or, from "/short", of which one is missing. */
static enum http_next give_file(struct http_exchange *x)
{
    struct buf *b = &x->answer.body;
    (void)big(x);
    x->answer.file_fd = memfd_create("file", MFD_CLOEXEC);
    check(x->answer.file_fd >= 0 && write(x->answer.file_fd, b->at, b->len) == (ssize_t)b->len);
    x->answer.has_file = true;
    x->answer.file_size = BIG + str_eq(x->target, STR("/short"));
    return HTTP_ANSWERED;
}

/* Which thread it was: 'a' the first that was asked, and so on. */
static enum http_next which_thread(struct http_exchange *x)
{
    unsigned i = 0;
    pthread_mutex_lock(&all.lock);
    while (i < all.thread_count && !pthread_equal(all.threads[i], pthread_self()))
        i++;
    if (i == all.thread_count && i < COUNT_OF(all.threads))
        all.threads[all.thread_count++] = pthread_self();
    pthread_mutex_unlock(&all.lock);
    put_answer(x, 200);
    buf_printf(&x->answer.body, "thread=%c end", (int)('a' + i));
    return HTTP_ANSWERED;
}

/* Woken before it sleeps. */
static enum http_next wait_not(struct http_exchange *x)
{
    http_resume(x);
    return HTTP_WAITS;
}

static enum http_next wait_long(struct http_exchange *x)
{
    pthread_mutex_lock(&all.lock);
    all.asleep = x;
    pthread_cond_broadcast(&all.changed);
    pthread_mutex_unlock(&all.lock);
    return HTTP_WAITS;
}

/* "one two three ", each word after a sleep. */
struct words {
    struct http_exchange *x;
    unsigned turn;
};

static long words_read(void *state, char *to, size_t room)
{
    static const char *const said[] = {"one ", "two ", "three "};
    struct words *w = state;
    unsigned turn = w->turn++;
    if (turn % 2 == 0) {
        http_resume(w->x);
        return 0;
    }
    if (turn / 2 == COUNT_OF(said))
        return -1;
    return (long)str_copy(to, room, str_of(said[turn / 2]));
}

static void words_close(void *state)
{
    free(state);
}

static enum http_next words(struct http_exchange *x)
{
    struct words *w = mem_new(1, sizeof *w);
    w->x = x;
    put_answer(x, 200);
    x->answer.source = (struct http_source){words_read, words_close, w};
    return HTTP_ANSWERED;
}

static const struct {
    const char *target;
    enum http_next (*handle)(struct http_exchange *x);
} targets[] = {{"/echo", echo},       {"/much", echo},         {"/big", big},        {"/file", give_file},
               {"/short", give_file}, {"/wait-not", wait_not}, {"/wait", wait_long}, {"/words", words},
               {"/thread", which_thread}};

static void begin(struct http_exchange *x)
{
    x->user = &all;
    buf_init(&x->answer.body, BIG);
    pthread_mutex_lock(&all.lock);
    all.begun++;
    pthread_cond_broadcast(&all.changed);
    pthread_mutex_unlock(&all.lock);
}

static enum http_next on_head(void *data, struct http_exchange *x)
{
    (void)data;
    begin(x);
    if (str_eq(x->target, STR("/much")))
        x->body_max = MUCH;
    if (!str_eq(x->target, STR("/refuse")))
        return HTTP_READ_BODY;
    put_answer(x, 401);
    return HTTP_ANSWERED;
}

static enum http_next on_request(void *data, struct http_exchange *x)
{
    (void)data;
    for (size_t i = 0; i < COUNT_OF(targets); i++)
        if (str_eq(x->target, str_of(targets[i].target)))
            return targets[i].handle(x);
    put_answer(x, 404);
    return HTTP_ANSWERED;
}

static enum http_next on_resumed(void *data, struct http_exchange *x)
{
    (void)data;
    put_answer(x, 200);
    buf_put_lit(&x->answer.body, "woken");
    return HTTP_ANSWERED;
}

static void on_refused(void *data, struct http_exchange *x, enum http_refusal r, const char *reason)
{
    static const int statuses[] = {[HTTP_BAD_REQUEST] = 400,
                                   [HTTP_BODY_TOO_LARGE] = 413,
                                   [HTTP_TARGET_TOO_LONG] = 414,
                                   [HTTP_HEADERS_TOO_LARGE] = 431,
                                   [HTTP_OTHER_VERSION] = 505};
    (void)data;
    if (x->user == NULL)
        begin(x);
    put_answer(x, statuses[r]);
    CHECK("a refusal says why", reason[0] != '\0');
}

static void on_end(void *data, struct http_exchange *x)
{
    (void)data, (void)x;
    pthread_mutex_lock(&all.lock);
    all.ended++;
    pthread_cond_broadcast(&all.changed);
    pthread_mutex_unlock(&all.lock);
}

static void open_server(unsigned threads, unsigned connections_max)
{
    const struct http_server_options o = {.address = STR("127.0.0.1:0"),
                                          .setting = "listen.api",
                                          .threads = threads,
                                          .connections_max = connections_max,
                                          .body_max = BODY_MAX,
                                          .on_head = on_head,
                                          .on_request = on_request,
                                          .on_resumed = on_resumed,
                                          .on_refused = on_refused,
                                          .on_end = on_end};
    struct fault why = {"", ""};
    check(http_server_open(&o, &all.server, &why) == OK);
    all.k.port = atoi(strrchr(http_server_address(all.server).at, ':') + 1);
}

static void close_server(void)
{
    http_server_close(all.server);
    CHECK("every exchange has ended once", all.begun == all.ended);
}

/* --- peers --- */

static int say(const char *text)
{
    int fd = kit_connect(&all.k);
    kit_send(fd, text, strlen(text));
    return fd;
}

/* Returns when its exchange has begun. */
static int say_begun(const char *text)
{
    pthread_mutex_lock(&all.lock);
    unsigned before = all.begun;
    int fd = say(text);
    while (all.begun == before)
        pthread_cond_wait(&all.changed, &all.lock);
    pthread_mutex_unlock(&all.lock);
    return fd;
}

/* What is said comes, and is the whole of it if the connection ends there. */
static void expect(const char *row, int fd, const char *text, bool must_end)
{
    struct buf b;
    buf_init(&b, KIT_READ_MAX);
    bool came = kit_await(fd, &b, must_end ? NULL : text);
    buf_put_byte(&b, 0);
    bool is_so = came && strstr((const char *)b.at, text) != NULL;
    CHECK(row, is_so);
    if (!is_so)
        (void)fprintf(stderr, "%s: %.600s\n", row, (const char *)b.at);
    buf_release(&b);
}

#define HEAD(method, target) method " " target " HTTP/1.1\r\nHost: h\r\n"
#define LAST                 HEAD("GET", "/words") "Connection: close\r\n\r\n"
#define WORDS                "4\r\none \r\n4\r\ntwo \r\n6\r\nthree \r\n0\r\n\r\n"

static const struct {
    const char *row, *bytes, *answer; /* what is among what is answered before the connection ends */
} exchanges[] = {
    {"a body comes back", HEAD("POST", "/echo") "Content-Length: 5\r\nConnection: close\r\n\r\nhello",
     "Content-Length: 5\r\n\r\nhello"},
    {"its date is one", HEAD("GET", "/echo") "Connection: close\r\n\r\n", " GMT\r\nContent-Type: text/plain\r\n"},
    {"it is told that it ends", HEAD("GET", "/echo") "Connection: close\r\n\r\n", "Connection: close\r\n"},
    {"one in chunks too",
     HEAD("POST", "/echo") "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
     "Content-Length: 5\r\n\r\nhello"},
    {"one after the other", HEAD("POST", "/echo") "Content-Length: 5\r\n\r\nhello" LAST, "hello"},
    {"and the other", HEAD("POST", "/echo") "Content-Length: 5\r\n\r\nhello" LAST, WORDS},
    {"a source that sleeps", LAST, "Transfer-Encoding: chunked\r\n\r\n" WORDS},
    {"HEAD of a source has none of it",
     HEAD("HEAD", "/words") "\r\n" HEAD("GET", "/nothing") "Connection: close\r\n\r\n",
     "Transfer-Encoding: chunked\r\n\r\nHTTP/1.1 404 "},
    {"HEAD of a text says how long it is",
     HEAD("HEAD", "/wait-not") "\r\n" HEAD("GET", "/nothing") "Connection: close\r\n\r\n",
     "Content-Length: 5\r\n\r\nHTTP/1.1 404 "},
    {"one that is woken before it sleeps", HEAD("GET", "/wait-not") "Connection: close\r\n\r\n", "\r\n\r\nwoken"},
    {"HEAD of a file says how long it is",
     HEAD("HEAD", "/file") "\r\n" HEAD("GET", "/nothing") "Connection: close\r\n\r\n",
     "Content-Length: 6291456\r\n\r\nHTTP/1.1 404 "},
    {"a file that is shorter than it was", HEAD("GET", "/short") "\r\n" LAST, "Content-Length: 6291457\r\n"},
    {"and goes on", HEAD("GET", "/wait-not") "\r\n" LAST, "wokenHTTP/1.1 200 OK"},
    {"refused, its body is read past", HEAD("PUT", "/refuse") "Content-Length: 5\r\n\r\nhello" LAST, WORDS},
    {"one above the limit too", HEAD("PUT", "/echo") "Content-Length: 99999999\r\n\r\n", "HTTP/1.1 413 "},
    {"malformed", HEAD("GET", "/echo") "X : y\r\n\r\n" LAST, "HTTP/1.1 400 "},
    {"malformed behind its head", HEAD("PUT", "/echo") "Transfer-Encoding: chunked\r\n\r\nx" LAST, "HTTP/1.1 400 "},
    {"malformed in a body that nobody wants", HEAD("PUT", "/refuse") "Transfer-Encoding: chunked\r\n\r\nx" LAST,
     "HTTP/1.1 401 "},
    {"another version", "GET /echo HTTP/1.0\r\n\r\n", "HTTP/1.1 505 "},
    {"a key that stands twice", HEAD("GET", "/echo") "Authorization: a\r\nAuthorization: b\r\n\r\n", "HTTP/1.1 400 "},
};

static void test_exchanges(void)
{
    for (size_t i = 0; i < COUNT_OF(exchanges); i++) {
        int fd = say(exchanges[i].bytes);
        check(shutdown(fd, SHUT_WR) == 0); /* for those that do not say that they end */
        expect(exchanges[i].row, fd, exchanges[i].answer, true);
        (void)close(fd);
    }
}

/* More than a connection may do in its turn, and than the sockets hold. */
static void test_pipelined(void)
{
    struct buf b;
    int fd = kit_connect(&all.k);
    buf_init(&b, KIT_READ_MAX);
    for (int i = 0; i < PIPELINED; i++)
        buf_printf(&b, HEAD("POST", "/echo") "Content-Length: 4\r\n\r\n%04d", i);
    kit_send(fd, (const char *)b.at, b.len);
    buf_clear(&b);
    CHECK("the last is answered", kit_await(fd, &b, "\r\n\r\n0299"));
    const char *at = (const char *)b.at;
    for (int i = 0; i < PIPELINED && at != NULL; i++) {
        char want[24];
        (void)snprintf(want, sizeof want, "\r\n\r\n%04d", i);
        at = strstr(at, want);
    }
    CHECK("all are, in their order", at != NULL);
    (void)close(fd);
    buf_release(&b);
}

/* Who does not read is waited for, and nobody else is. */
static void test_slow_reader(void)
{
    struct buf b;
    int slow = say(HEAD("GET", "/big") "\r\n" HEAD("GET", "/file") "Connection: close\r\n\r\n"), other = say(LAST);
    expect("another is served meanwhile", other, WORDS, true);
    (void)close(other);
    buf_init(&b, 3 * BIG);
    (void)kit_await(slow, &b, NULL);
    buf_put_byte(&b, 0);
    size_t good = 0;
    const char *at = (const char *)b.at;
    for (int n = 0; n < 2 && (at = strstr(at, "\r\n\r\n")) != NULL; n++, at += BIG) {
        at += 4;
        check((const uint8_t *)at + BIG < b.at + b.len);
        for (size_t i = 0; i < BIG; i++)
            good += at[i] == (char)('a' + i % 23);
    }
    CHECK("and it has every byte", good == 2 * BIG);
    (void)close(slow);
    buf_release(&b);
}

/* Bodies at the limit and past it, of a length and in chunks, where it is the server's and where it is another. */
static void test_body_max(void)
{
    static const struct {
        const char *row, *target;
        size_t size;
        const char *answer;
    } rows[] = {
        {"as much as is taken", "/echo", BODY_MAX, "Content-Length: 1000\r\n"},
        {"one byte more", "/echo", BODY_MAX + 1, "HTTP/1.1 413 "},
        {"as much as is taken there", "/much", MUCH, "Content-Length: 3000\r\n"},
        {"one byte more than there", "/much", MUCH + 1, "HTTP/1.1 413 "},
    };
    static const char text[MUCH + 1];
    struct buf b;
    buf_init(&b, 1 << 20);
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        for (int is_chunked = 0; is_chunked < 2; is_chunked++) {
            buf_clear(&b);
            buf_printf(&b, "PUT %s HTTP/1.1\r\nHost: h\r\n", rows[i].target);
            if (is_chunked)
                buf_printf(&b, "Transfer-Encoding: chunked\r\n\r\n%zx\r\n", rows[i].size);
            else
                buf_printf(&b, "Content-Length: %zu\r\n\r\n", rows[i].size);
            buf_put(&b, text, rows[i].size);
            if (is_chunked)
                buf_put_lit(&b, "\r\n0\r\n\r\n");
            int fd = kit_connect(&all.k);
            kit_send(fd, (const char *)b.at, b.len);
            expect(rows[i].row, fd, rows[i].answer, false);
            kit_send(fd, LAST, sizeof LAST - 1);
            expect("the connection lives on", fd, WORDS, true);
            (void)close(fd);
        }
    buf_release(&b);
}

static struct http_exchange *await_asleep(void)
{
    pthread_mutex_lock(&all.lock);
    while (all.asleep == NULL)
        pthread_cond_wait(&all.changed, &all.lock);
    struct http_exchange *x = all.asleep;
    all.asleep = NULL;
    pthread_mutex_unlock(&all.lock);
    return x;
}

static void await_ended(void)
{
    pthread_mutex_lock(&all.lock);
    while (all.ended < all.begun)
        pthread_cond_wait(&all.changed, &all.lock);
    pthread_mutex_unlock(&all.lock);
}

static void test_waiting(void)
{
    int fd = say(HEAD("GET", "/wait") "\r\n" LAST);
    struct http_exchange *x = await_asleep();
    CHECK("its peer is there", !http_peer_is_gone(x));
    http_resume(x);
    expect("one that was asleep, and what was sent behind it", fd, "wokenHTTP/1.1 200 OK", true);
    (void)close(fd);
    fd = say(HEAD("GET", "/wait") "\r\n");
    x = await_asleep();
    (void)close(fd);
    while (!http_peer_is_gone(x))
        (void)sched_yield(); /* until the kernel has told the other end */
    http_resume(x);
    await_ended();
    CHECK("its peer has left meanwhile", true);
}

static void test_continue(void)
{
    int fd = say(HEAD("PUT", "/echo") "Content-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n");
    expect("who asks is told to go on", fd, "HTTP/1.1 100 Continue\r\n\r\n", false);
    kit_send(fd, "hello", 5);
    expect("and then answered", fd, "\r\n\r\nhello", true);
    (void)close(fd);
    fd = say(HEAD("PUT", "/refuse") "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    expect("or refused at once, and that is the end", fd, "HTTP/1.1 401 ", false);
    kit_send(fd, "hello" LAST, sizeof "hello" LAST - 1);
    expect("whatever is said then", fd, "", true);
    (void)close(fd);
}

/* Peers that leave at any point. */
static void test_leaving(void)
{
    static const char *const said[] = {"",
                                       "GET /ec",
                                       HEAD("PUT", "/echo") "Content-Length: 5\r\n\r\nhel",
                                       HEAD("PUT", "/refuse") "Content-Length: 5\r\n\r\nhel",
                                       HEAD("GET", "/big") "\r\n",
                                       LAST};
    for (size_t i = 0; i < COUNT_OF(said); i++)
        for (int is_reset = 0; is_reset < 2; is_reset++) {
            int fd = say(said[i]);
            struct linger now = {1, 0};
            if (is_reset)
                check(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now) == 0);
            (void)close(fd);
        }
    int fd = say(LAST);
    expect("after those who left", fd, WORDS, true);
    (void)close(fd);
    await_ended();
}

static void test_full(void)
{
    int first = say(HEAD("GET", "/echo") "\r\n"), second = say(HEAD("GET", "/echo") "\r\n");
    expect("one", first, "HTTP/1.1 200 OK", false);
    expect("two", second, "HTTP/1.1 200 OK", false);
    CHECK("are as many as there may be", http_server_connections(all.server) == 2);
    int third = say(LAST);
    struct pollfd p = {third, POLLIN, 0};
    CHECK("the third waits", poll(&p, 1, 50) == 0);
    (void)close(first);
    expect("until one leaves", third, WORDS, true);
    (void)close(second);
    (void)close(third);
}

/* Many at once are shared by the threads, whichever is woken for the first: none has all of them. */
static void test_shared(void)
{
    int fds[SHARED];
    unsigned served[2] = {0, 0};
    for (unsigned i = 0; i < SHARED; i++)
        fds[i] = kit_connect(&all.k);
    for (unsigned i = 0; i < SHARED; i++) {
        static const char request[] = HEAD("GET", "/thread") "\r\n";
        struct buf b;
        buf_init(&b, KIT_READ_MAX);
        kit_send(fds[i], request, sizeof request - 1);
        CHECK("it is served", kit_await(fds[i], &b, " end"));
        served[strstr((const char *)b.at, "thread=b end") != NULL]++;
        buf_release(&b);
        (void)close(fds[i]);
    }
    CHECK("each thread has some", served[0] > 0 && served[1] > 0);
    if (served[0] == 0 || served[1] == 0)
        (void)fprintf(stderr, "%u and %u\n", served[0], served[1]);
}

static void test_quiet(void)
{
    int fd = say(HEAD("GET", "/echo") "\r\n");
    expect("before the end", fd, "HTTP/1.1 200 OK", false);
    int half = say_begun(HEAD("PUT", "/echo") "Content-Length: 5\r\n\r\nhel");
    http_server_quiesce(all.server);
    struct sockaddr_in sa = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)all.k.port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int late = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK("who comes late is not let in", connect(late, (struct sockaddr *)&sa, sizeof sa) != 0);
    (void)close(late);
    kit_send(fd, LAST, sizeof LAST - 1);
    expect("who is there is served, and told that it ends", fd, "Connection: close\r\n", true);
    http_server_drain(all.server, 1);
    kit_send(half, "lo", 2);
    http_server_drain(all.server, KIT_PATIENCE);
    expect("what was under way is answered", half, "\r\n\r\nhello", true);
    (void)close(fd);
    (void)close(half);
}

static void test_closing(void)
{
    int half = say_begun(HEAD("PUT", "/echo") "Content-Length: 5\r\n\r\nhel"), idle = say("");
    close_server();
    expect("what was under way is ended", half, "", true);
    expect("and what was not", idle, "", true);
    (void)close(half);
    (void)close(idle);
}

int main(void)
{
    open_server(1, 100);
    test_exchanges();
    test_pipelined();
    test_slow_reader();
    test_body_max();
    test_waiting();
    test_continue();
    test_leaving();
    close_server();
    open_server(3, 2);
    test_full();
    close_server();
    open_server(2, 100);
    test_shared();
    close_server();
    open_server(2, 100);
    test_quiet();
    close_server();
    open_server(2, 100);
    test_closing();
    return CHECK_REPORT();
}
