/* raw_echo.c - the limit that the machine sets: one epoll thread that speaks just enough WebSocket to give back what it
 * gets. It reads no message, checks nothing and keeps no state but what a frame needs.
 *
 *     raw-echo                   answers at once
 *     raw-echo --append FILE     each message is appended to FILE first; a second thread writes what a round gathered
 *                                and syncs it (two buffers, as the event log has), and only then the answers leave
 *     raw-echo --body N          what a plain GET is answered with: N bytes
 *     raw-echo --ap3000 yes      no WebSocket: frames of AP3000, told apart by their length
 *
 * Prints "port=N" when it listens; ends with its standard input. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE  65536
#define REST_MAX   65536 /* of one peer's unfinished input */
#define EVENTS_MAX 512
#define BUFFER_MAX ((size_t)64 << 20)
#define BACKLOG    4096
#define PILE_HEAD  5 /* of a frame of AP3000, up to the end of its length */

struct peer {
    int fd;
    bool is_open;
    size_t rest_len;
    uint8_t *rest;
};
/* An answer that waits for the disk. */
struct held {
    struct peer *peer;
    uint64_t end; /* bytes of the file that must be synced */
    size_t at, len;
};
struct file {
    int fd, wake;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct bytes {
        uint8_t *at;
        size_t len;
    } buffers[2], *fill, *offer; /* offered at the end of a round, taken back by the next one if nobody has taken it */
    bool is_offered;
    uint64_t appended, synced;
};
static struct file *file;
static struct held *held;
static size_t held_first, held_count, held_room;
static uint8_t *texts;
static size_t text_len, text_room;
static bool is_ap3000;
static char *page;
static size_t page_len;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void *grow(void *at, size_t *room, size_t wanted, size_t each)
{
    if (wanted <= *room)
        return at;
    *room = wanted * 2;
    at = realloc(at, *room * each);
    if (at == NULL)
        die("memory");
    return at;
}

static void send_all(struct peer *p, const void *bytes, size_t len)
{
    if (send(p->fd, bytes, len, MSG_NOSIGNAL) != (ssize_t)len)
        (void)shutdown(p->fd, SHUT_RDWR); /* a closed loop never fills a socket's buffer */
}

/* ---- the file ---- */

static void *write_file(void *arg)
{
    struct file *f = arg;

    for (;;) {
        (void)pthread_mutex_lock(&f->lock);
        while (f->offer == NULL)
            (void)pthread_cond_wait(&f->work, &f->lock);
        struct bytes *b = f->offer;
        f->offer = NULL;
        (void)pthread_mutex_unlock(&f->lock);
        for (size_t done = 0; done < b->len;) {
            ssize_t n = write(f->fd, b->at + done, b->len - done);
            if (n < 0)
                die("append");
            done += (size_t)n;
        }
        if (fdatasync(f->fd) != 0)
            die("fdatasync");
        (void)pthread_mutex_lock(&f->lock);
        f->synced += b->len;
        (void)pthread_mutex_unlock(&f->lock);
        b->len = 0;
        uint64_t one = 1;
        if (write(f->wake, &one, sizeof one) != sizeof one)
            die("eventfd");
    }
    return NULL;
}

static void open_file(const char *path, int epoll)
{
    file = calloc(1, sizeof *file);
    if (file == NULL)
        die("memory");
    file->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    file->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (file->fd < 0 || file->wake < 0)
        die(path);
    for (size_t i = 0; i < 2; i++)
        if ((file->buffers[i].at = malloc(BUFFER_MAX)) == NULL)
            die("memory");
    file->fill = &file->buffers[0];
    (void)pthread_mutex_init(&file->lock, NULL);
    (void)pthread_cond_init(&file->work, NULL);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = file};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, file->wake, &e) != 0 ||
        pthread_create(&file->thread, NULL, write_file, file) != 0)
        die("thread");
}

static void end_round(void)
{
    if (file == NULL || file->is_offered || file->fill->len == 0)
        return;
    (void)pthread_mutex_lock(&file->lock);
    file->offer = file->fill;
    (void)pthread_cond_signal(&file->work);
    (void)pthread_mutex_unlock(&file->lock);
    file->is_offered = true;
}

static void take_back(void)
{
    (void)pthread_mutex_lock(&file->lock);
    if (file->offer == NULL)
        file->fill = &file->buffers[file->fill == &file->buffers[0]];
    file->offer = NULL;
    (void)pthread_mutex_unlock(&file->lock);
    file->is_offered = false;
}

static void on_synced(void)
{
    uint64_t n;

    if (read(file->wake, &n, sizeof n) != sizeof n)
        return;
    (void)pthread_mutex_lock(&file->lock);
    uint64_t synced = file->synced;
    (void)pthread_mutex_unlock(&file->lock);
    while (held_first < held_count && held[held_first].end <= synced) {
        struct held *h = &held[held_first++];
        if (h->peer->is_open)
            send_all(h->peer, texts + h->at, h->len);
    }
    if (held_first == held_count)
        held_first = held_count = text_len = 0;
}

static void append(struct peer *p, const uint8_t *message, size_t len, const uint8_t *answer, size_t answer_len)
{
    if (file->is_offered)
        take_back();
    if (file->fill->len + len > BUFFER_MAX)
        die("the buffer is full");
    memcpy(file->fill->at + file->fill->len, message, len);
    file->fill->len += len;
    file->appended += len;
    held = grow(held, &held_room, held_count + 1, sizeof *held);
    texts = grow(texts, &text_room, text_len + answer_len, 1);
    memcpy(texts + text_len, answer, answer_len);
    held[held_count++] = (struct held){p, file->appended, text_len, answer_len};
    text_len += answer_len;
}

/* ---- frames ---- */

static void unmask(uint8_t *at, size_t len, const uint8_t key[4])
{
    uint64_t wide, word;
    uint32_t narrow;

    memcpy(&narrow, key, sizeof narrow);
    wide = (uint64_t)narrow << 32 | narrow;
    size_t i = 0;
    for (; i + 8 <= len; i += 8) {
        memcpy(&word, at + i, 8);
        word ^= wide;
        memcpy(at + i, &word, 8);
    }
    for (; i < len; i++)
        at[i] ^= key[i & 3];
}

/* Takes one frame; how many bytes it had, 0: not all there. */
static size_t take_frame(struct peer *p, uint8_t *at, size_t len)
{
    if (len < 6)
        return 0;
    size_t size = at[1] & 0x7f, head = 2;
    if (size == 126) {
        size = (size_t)at[2] << 8 | at[3];
        head = 4;
    }
    if (size == 127 || (at[1] & 0x80) == 0) {
        (void)shutdown(p->fd, SHUT_RDWR);
        return len;
    }
    if (len < head + 4 + size)
        return 0;
    uint8_t opcode = at[0] & 0x0f, *body = at + head + 4, *answer = body - head;
    unmask(body, size, at + head);
    if (opcode == 8) {
        (void)shutdown(p->fd, SHUT_RDWR);
        return len;
    }
    memmove(answer, at, head); /* the answer's head stands right before the body: what the mask stood in */
    answer[0] = 0x80 | (opcode == 9 ? 10 : opcode);
    answer[1] &= 0x7f;
    if (file != NULL)
        append(p, body, size, answer, head + size);
    else
        send_all(p, answer, head + size);
    return head + 4 + size;
}

/* "DNY" and the length of what follows it; what stands before it is skipped. */
static size_t take_pile_frame(struct peer *p, uint8_t *at, size_t len)
{
    if (len > 0 && at[0] != 'D')
        return 1;
    size_t size = len < PILE_HEAD ? PILE_HEAD : PILE_HEAD + ((size_t)at[4] << 8 | at[3]);
    if (len < size)
        return 0;
    if (file != NULL)
        append(p, at, size, at, size);
    else
        send_all(p, at, size);
    return size;
}

static size_t upgrade(struct peer *p, uint8_t *at, size_t len)
{
    static const char magic[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", name[] = "Sec-WebSocket-Key: ";
    uint8_t hash[EVP_MAX_MD_SIZE];
    char text[256], accept[64];
    const uint8_t *end = memmem(at, len, "\r\n\r\n", 4);

    if (end == NULL)
        return 0;
    size_t used = (size_t)(end - at) + 4;
    const char *key = memmem(at, used, name, sizeof name - 1);
    if (key == NULL) {
        send_all(p, page, page_len);
        return used;
    }
    key += sizeof name - 1;
    int n = snprintf(text, sizeof text, "%.*s%s", (int)strcspn(key, "\r"), key, magic);
    unsigned hash_len = 0;
    if (EVP_Digest(text, (size_t)n, hash, &hash_len, EVP_sha1(), NULL) != 1)
        die("sha1");
    (void)EVP_EncodeBlock((unsigned char *)accept, hash, (int)hash_len);
    n = snprintf(text, sizeof text,
                 "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: ocpp1.6\r\n\r\n",
                 accept);
    send_all(p, text, (size_t)n);
    p->is_open = true;
    return used;
}

static void take(struct peer *p, uint8_t *at, size_t len)
{
    size_t used;

    while (len > 0 && (used = is_ap3000    ? take_pile_frame(p, at, len)
                              : p->is_open ? take_frame(p, at, len)
                                           : upgrade(p, at, len)) > 0) {
        at += used;
        len -= used;
    }
    if (len > REST_MAX)
        die("a message is too long for this program");
    if (len > 0 && p->rest == NULL && (p->rest = malloc(REST_MAX)) == NULL)
        die("memory");
    if (len > 0)
        memmove(p->rest, at, len);
    p->rest_len = len;
}

static void on_input(struct peer *p)
{
    static uint8_t in[READ_SIZE + REST_MAX];
    size_t before = p->rest_len;

    if (before > 0)
        memcpy(in, p->rest, before);
    ssize_t n = recv(p->fd, in + before, READ_SIZE, 0);
    if (n > 0) {
        take(p, in, before + (size_t)n);
    } else if (n == 0 || errno != EAGAIN) {
        (void)close(p->fd);
        p->is_open = false; /* the struct stays: answers held for it may name it */
    }
}

static void on_accept(int listener, int epoll)
{
    int fd, one = 1;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct peer *p = calloc(1, sizeof *p);
        if (p == NULL)
            die("memory");
        p->fd = fd;
        p->is_open = is_ap3000;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = p};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) != 0)
            die("epoll");
    }
}

static int listen_any(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(fd, BACKLOG) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &len) != 0)
        die("listen");
    (void)printf("port=%d\n", ntohs(a.sin_port));
    (void)fflush(stdout);
    return fd;
}

static void make_page(size_t body)
{
    page = calloc(1, body + 256);
    if (page == NULL)
        die("memory");
    int head =
        snprintf(page, 256, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n", body);
    memset(page + head, ' ', body);
    page_len = (size_t)head + body;
}

int main(int argc, char **argv)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    size_t body = 2;

    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--append") == 0)
            open_file(argv[i + 1], epoll);
        else if (strcmp(argv[i], "--body") == 0)
            body = strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--ap3000") == 0)
            is_ap3000 = true;
    }
    make_page(body);
    int listener = listen_any();
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = &listener}, in = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &e) != 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &in) != 0)
        die("epoll: the standard input must be a pipe");
    for (;;) {
        struct epoll_event events[EVENTS_MAX];
        int n = epoll_wait(epoll, events, EVENTS_MAX, -1);
        for (int i = 0; i < n; i++) {
            void *who = events[i].data.ptr;
            if (who == NULL)
                return 0;
            if (who == &listener)
                on_accept(listener, epoll);
            else if (who == file)
                on_synced();
            else
                on_input(who);
        }
        end_round();
    }
}
