/* TLS: the filter alone, then over sockets with both sides ours. Certificates are made here, at every run. */
#define ERR_STATE OPENSSL_ERR_STATE /* OpenSSL has a type of that name, hidden from us here */
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#undef ERR_STATE
#include "place.h"
#include "harness.h"
#include "wire/tls_session.h"
#include <sys/stat.h>

#define PATH_SIZE PLACE_PATH_MAX
#define PLAIN_MAX (1 << 20)
#define FLIGHTS   16

static char folder[PLACE_MAX];

/* A pair of files in the folder: name.crt, name.key. */
struct pair {
    char crt[PATH_SIZE], key[PATH_SIZE];
    X509 *certificate;
    EVP_PKEY *private_key;
};
static struct pair ca, other_ca, server_ec, server_rsa, station, stranger;

static void add_extension(X509 *x, int nid, const char *value)
{
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    CHECK("an extension", e != NULL && X509_add_ext(x, e, -1) == 1);
    X509_EXTENSION_free(e);
}

static void make_pair(struct pair *p, const char *name, const char *organisation, EVP_PKEY *key, const struct pair *issuer)
{
    static long serial;
    p->private_key = key;
    p->certificate = X509_new();
    X509 *x = p->certificate;
    X509_NAME *subject = X509_get_subject_name(x);
    CHECK("version 3", X509_set_version(x, X509_VERSION_3) == 1);
    CHECK("serial", ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial) == 1);
    CHECK("from", X509_gmtime_adj(X509_getm_notBefore(x), -60) != NULL);
    CHECK("until", X509_gmtime_adj(X509_getm_notAfter(x), 3600) != NULL);
    CHECK("CN", X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0) == 1);
    CHECK("O", X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_UTF8, (const unsigned char *)organisation, -1, -1, 0) == 1);
    CHECK("issuer", X509_set_issuer_name(x, issuer == NULL ? subject : X509_get_subject_name(issuer->certificate)) == 1);
    CHECK("key", X509_set_pubkey(x, key) == 1);
    if (issuer == NULL)
        add_extension(x, NID_basic_constraints, "critical,CA:TRUE");
    else
        add_extension(x, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1");
    CHECK("signed", X509_sign(x, issuer == NULL ? key : issuer->private_key, EVP_sha256()) > 0);
    (void)snprintf(p->crt, sizeof p->crt, "%s/%s-%ld.crt", folder, organisation, serial);
    (void)snprintf(p->key, sizeof p->key, "%s/%s-%ld.key", folder, organisation, serial);
    FILE *f = fopen(p->crt, "w");
    CHECK("certificate written", f != NULL && PEM_write_X509(f, x) == 1 && fclose(f) == 0);
    f = fopen(p->key, "w");
    CHECK("key written", f != NULL && PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1 && fclose(f) == 0);
}

static void make_pairs(void)
{
    place_make(folder, "test_tls");
    make_pair(&ca, "Root", "ca", EVP_EC_gen("P-256"), NULL);
    make_pair(&other_ca, "Other", "other", EVP_EC_gen("P-256"), NULL);
    make_pair(&server_ec, "localhost", "server", EVP_EC_gen("P-256"), &ca);
    make_pair(&server_rsa, "localhost", "server", EVP_RSA_gen(2048), &ca);
    make_pair(&station, "CP-17", "station", EVP_EC_gen("P-256"), &ca);
    make_pair(&stranger, "CP-17", "stranger", EVP_EC_gen("P-256"), &other_ca);
}

static void drop_pairs(void)
{
    struct pair *all[] = {&ca, &other_ca, &server_ec, &server_rsa, &station, &stranger};
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        X509_free(all[i]->certificate);
        EVP_PKEY_free(all[i]->private_key);
        (void)unlink(all[i]->crt);
        (void)unlink(all[i]->key);
    }
    CHECK("the folder is empty", rmdir(folder) == 0);
}

static struct tls *open_server(const struct pair *p, const struct pair *p2, const struct pair *client_ca)
{
    struct tls_options o = {.certificate = str_of(p->crt), .key = str_of(p->key)};
    struct tls *t = NULL;
    struct fault why = {{0}, {0}};
    if (p2 != NULL) {
        o.certificate2 = str_of(p2->crt);
        o.key2 = str_of(p2->key);
    }
    if (client_ca != NULL)
        o.client_ca = str_of(client_ca->crt);
    CHECK(why.reason, tls_server_open(&o, &t, &why) == OK);
    return t;
}

static struct tls *open_client(const struct pair *trusted, const struct pair *own)
{
    struct tls *t = NULL;
    struct fault why = {{0}, {0}};
    struct str none = {NULL, 0};
    CHECK(why.reason, tls_client_open(trusted == NULL ? none : str_of(trusted->crt), own == NULL ? none : str_of(own->crt),
                                      own == NULL ? none : str_of(own->key), &t, &why) == OK);
    return t;
}

/* ---- opening ---- */

static void test_open_errors(void)
{
    char missing[PATH_SIZE], long_path[5000];
    (void)snprintf(missing, sizeof missing, "%s/missing", folder);
    memset(long_path, 'x', sizeof long_path);
    const struct {
        const char *row;
        struct tls_options o;
        enum err want;
    } rows[] = {
        {"no certificate file", {.certificate = str_of(missing), .key = str_of(server_ec.key)}, ERR_FORMAT},
        {"no key file", {.certificate = str_of(server_ec.crt), .key = str_of(missing)}, ERR_FORMAT},
        {"a key that is no key", {.certificate = str_of(server_ec.crt), .key = str_of(server_ec.crt)}, ERR_FORMAT},
        {"another one's key", {.certificate = str_of(server_ec.crt), .key = str_of(station.key)}, ERR_FORMAT},
        {"a certificate that is none", {.certificate = str_of(server_ec.key), .key = str_of(server_ec.key)}, ERR_FORMAT},
        {"no second certificate file",
         {.certificate = str_of(server_ec.crt), .key = str_of(server_ec.key), .certificate2 = str_of(missing), .key2 = str_of(missing)},
         ERR_FORMAT},
        {"no authorities", {.certificate = str_of(server_ec.crt), .key = str_of(server_ec.key), .client_ca = str_of(missing)}, ERR_FORMAT},
        {"a path too long", {.certificate = {long_path, sizeof long_path}, .key = str_of(server_ec.key)}, ERR_RANGE},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct tls *t = NULL;
        struct fault why = {{0}, {0}};
        CHECK(rows[i].row, tls_server_open(&rows[i].o, &t, &why) == rows[i].want);
        CHECK(rows[i].row, t == NULL && why.reason[0] != 0);
    }
    struct tls *t = NULL;
    struct str none = {NULL, 0};
    CHECK("a client without its authorities", tls_client_open(str_of(missing), none, none, &t, NULL) == ERR_FORMAT && t == NULL);
    CHECK("a client without its pair", tls_client_open(none, str_of(missing), str_of(missing), &t, NULL) == ERR_FORMAT && t == NULL);
    tls_close(NULL);
}

/* ---- the filter alone, both ends in memory ---- */

struct end {
    struct tls_session *s;
    struct buf plain;
    enum err last;
    struct fault why;
};

static void end_feed(struct end *to, struct tls_session *from, size_t step)
{
    struct buf *b = tls_session_output(from);
    if (b->len == 0)
        return;
    uint8_t *copy = mem_new(1, b->len);
    size_t len = b->len;
    memcpy(copy, b->at, len);
    buf_release(b);
    for (size_t at = 0; at < len && to->last == OK; at += step)
        to->last = tls_session_feed(to->s, (struct bytes){copy + at, len - at < step ? len - at : step}, &to->plain, &to->why);
    free(copy);
}

static void shake(struct end *client, struct end *server, size_t step)
{
    client->last = tls_session_feed(client->s, (struct bytes){NULL, 0}, &client->plain, &client->why);
    for (unsigned i = 0; i < FLIGHTS; i++) {
        end_feed(server, client->s, step);
        end_feed(client, server->s, step);
    }
}

static void ends_init(struct end *client, struct end *server, struct tls *client_tls, struct tls *server_tls, const char *host)
{
    memset(client, 0, sizeof *client);
    memset(server, 0, sizeof *server);
    client->s = tls_session_new(client_tls, str_of(host));
    server->s = tls_session_new(server_tls, (struct str){NULL, 0});
    buf_init(&client->plain, PLAIN_MAX);
    buf_init(&server->plain, PLAIN_MAX);
}

static void ends_release(struct end *client, struct end *server)
{
    tls_session_free(client->s);
    tls_session_free(server->s);
    buf_release(&client->plain);
    buf_release(&server->plain);
}

static void test_filter(void)
{
    static const size_t steps[] = {1, 7, 1000, PLAIN_MAX};
    static uint8_t block[100000];
    memset(block, 'x', sizeof block);
    struct tls *st = open_server(&server_ec, &server_rsa, NULL), *ct = open_client(&ca, NULL);
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        struct end c, s;
        ends_init(&c, &s, ct, st, "localhost");
        shake(&c, &s, steps[i]);
        CHECK("hands are shaken in any pieces", tls_session_is_open(c.s) && tls_session_is_open(s.s));
        CHECK("sent", tls_session_send(c.s, (struct bytes){block, sizeof block}) == OK);
        end_feed(&s, c.s, steps[i]);
        CHECK("a hundred kilobytes arrive", s.last == OK && s.plain.len == sizeof block && memcmp(s.plain.at, block, sizeof block) == 0);
        CHECK("sent back", tls_session_send(s.s, (struct bytes){block, 10}) == OK);
        end_feed(&c, s.s, steps[i]);
        CHECK("and ten bytes back", c.plain.len == 10);
        CHECK("no certificate, no name", tls_session_peer_name(s.s).at == NULL && tls_session_peer_organisation(s.s).at == NULL);
        tls_session_shut(c.s);
        tls_session_shut(c.s);
        end_feed(&s, c.s, steps[i]);
        CHECK("a good-bye is told", s.last == ERR_CLOSED);
        ends_release(&c, &s);
    }
    tls_close(st);
    tls_close(ct);
}

static void test_garbage(void)
{
    struct tls *st = open_server(&server_ec, NULL, NULL), *ct = open_client(NULL, NULL);
    struct end c, s;
    ends_init(&c, &s, ct, st, "localhost");
    s.last = tls_session_feed(s.s, (struct bytes){(const uint8_t *)"GET / HTTP/1.1\r\n\r\n", 18}, &s.plain, &s.why);
    CHECK("plain HTTP on the TLS port", s.last == ERR_FORMAT && strstr(s.why.reason, "http request") != NULL);
    CHECK("nothing more after it", tls_session_feed(s.s, (struct bytes){(const uint8_t *)"x", 1}, &s.plain, NULL) == ERR_FORMAT);
    CHECK("nor out of it", tls_session_send(s.s, (struct bytes){(const uint8_t *)"x", 1}) == ERR_CLOSED);
    ends_release(&c, &s);

    ends_init(&c, &s, ct, st, "localhost");
    shake(&c, &s, PLAIN_MAX);
    CHECK("sent", tls_session_send(c.s, (struct bytes){(const uint8_t *)"hello", 5}) == OK);
    struct buf *b = tls_session_output(c.s);
    b->at[b->len - 1] ^= 1;
    end_feed(&s, c.s, PLAIN_MAX);
    CHECK("a changed record is not let through", s.last == ERR_FORMAT && s.plain.len == 0);
    ends_release(&c, &s);
    tls_close(st);
    tls_close(ct);
}

/* ocpp16.md 1.5: these the server must offer, each with the pair that it needs, and nothing older than TLS 1.2. */
static const struct {
    const char *row;
    int version;
    const char *suite; /* NULL: whatever is agreed */
    bool want;
} suite_rows[] = {
    {"TLS 1.3", TLS1_3_VERSION, NULL, true},
    {"ECDHE-ECDSA AES128", TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256", true},
    {"ECDHE-ECDSA AES256", TLS1_2_VERSION, "ECDHE-ECDSA-AES256-GCM-SHA384", true},
    {"RSA AES128", TLS1_2_VERSION, "AES128-GCM-SHA256", true},
    {"RSA AES256", TLS1_2_VERSION, "AES256-GCM-SHA384", true},
    {"ECDHE-RSA AES128", TLS1_2_VERSION, "ECDHE-RSA-AES128-GCM-SHA256", true},
    {"CBC is not offered", TLS1_2_VERSION, "AES128-SHA", false},
    {"TLS 1.1", TLS1_1_VERSION, NULL, false},
};

static bool can_shake(struct tls *st, int version, const char *suite)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_security_level(ctx, 0);
    CHECK("the version", SSL_CTX_set_min_proto_version(ctx, version) == 1 && SSL_CTX_set_max_proto_version(ctx, version) == 1);
    if (suite != NULL)
        CHECK(suite, SSL_CTX_set_cipher_list(ctx, suite) == 1);
    SSL *ssl = SSL_new(ctx);
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl, in, out);
    struct tls_session *s = tls_session_new(st, (struct str){NULL, 0});
    struct buf plain;
    buf_init(&plain, PLAIN_MAX);
    enum err e = OK;
    for (unsigned i = 0; i < FLIGHTS && e == OK && SSL_connect(ssl) != 1; i++) {
        char *sent;
        long n = BIO_get_mem_data(out, &sent);
        e = tls_session_feed(s, (struct bytes){(const uint8_t *)sent, (size_t)n}, &plain, NULL);
        (void)BIO_reset(out);
        struct buf *b = tls_session_output(s);
        CHECK("handed over", b->len == 0 || BIO_write(in, b->at, (int)b->len) == (int)b->len);
        buf_release(b);
    }
    bool done = SSL_is_init_finished(ssl) == 1 && (suite == NULL || strcmp(SSL_get_cipher_name(ssl), suite) == 0);
    buf_release(&plain);
    tls_session_free(s);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    return done;
}

static void test_suites(void)
{
    struct tls *st = open_server(&server_ec, &server_rsa, NULL);
    for (size_t i = 0; i < COUNT_OF(suite_rows); i++)
        CHECK(suite_rows[i].row, can_shake(st, suite_rows[i].version, suite_rows[i].suite) == suite_rows[i].want);
    tls_close(st);
}

/* ---- over sockets ---- */

static const struct {
    const char *row;
    const struct pair *client_ca, *trusted, *own;
    const char *host;
    bool want;
    const char *log;
} socket_rows[] = {
    {"nothing is checked", NULL, NULL, NULL, "127.0.0.1", true, NULL},
    {"the server is checked", NULL, &ca, NULL, "127.0.0.1", true, NULL},
    {"by its name", NULL, &ca, NULL, "localhost", true, NULL},
    {"a server of another root", NULL, &other_ca, NULL, "127.0.0.1", false, "unable to get local issuer"},
    {"a server with another name", NULL, &ca, NULL, "127.0.0.2", false, "IP address mismatch"},
    {"a station with its certificate", &ca, &ca, &station, "127.0.0.1", true, NULL},
    {"a station without", &ca, &ca, NULL, "127.0.0.1", false, "peer did not return a certificate"},
    {"a station of another root", &ca, &ca, &stranger, "127.0.0.1", false, "unable to get local issuer"},
};

static struct conn *client;
static unsigned client_opens, client_messages;
static bool is_named;

static void on_client_open(struct conn *c)
{
    static uint8_t block[200000];
    client_opens++;
    CHECK("TLS is told", conn_is_tls(c));
    block[0] = 'a';
    CHECK("sent", conn_send(c, (struct bytes){block, sizeof block}, false) == OK);
}

static void on_client_message(struct conn *c, struct bytes m, bool is_text)
{
    client_messages += m.len == 200000 && !is_text;
    is_named = str_eq(conn_peer_name(seen.conn), STR("CP-17")) && str_eq(conn_peer_organisation(seen.conn), STR("station"));
    conn_close(c, CONN_END_OURS, WS_CLOSE_NORMAL, STR(""));
}

static void on_client_close(struct conn *c, enum conn_end why, uint16_t code)
{
    (void)c;
    CHECK("the end has its reason", client_opens > 0 ? code == 1000 : why == CONN_END_PROTOCOL || why == CONN_END_TCP);
    raws_done++;
    step();
}

static const struct conn_handlers client_handlers = {
    .on_open = on_client_open, .on_message = on_client_message, .on_close = on_client_close};

static void client_connect(const char *host, struct tls *ct, const struct conn_options *o)
{
    struct conn_target t = {.host = str_of(host), .port = listener_port(listener), .path = STR("/x"), .tls = ct};
    client_opens = client_messages = 0;
    CHECK(host, conn_connect(loop, &t, o, &client_handlers, NULL, &client) == OK);
    want_raws++;
}

static void test_sockets(void)
{
    for (size_t i = 0; i < COUNT_OF(socket_rows); i++) {
        struct listener_options o = options_default();
        struct tls *st = open_server(&server_ec, &server_rsa, socket_rows[i].client_ca);
        struct tls *ct = open_client(socket_rows[i].trusted, socket_rows[i].own);
        o.address = STR("0.0.0.0:0");
        o.tls = st;
        o.handshakes_max = 1;
        begin(&o);
        client_connect(socket_rows[i].host, ct, NULL);
        tls_close(ct); /* its connections live on */
        want_closes = socket_rows[i].want;
        run(socket_rows[i].row);
        CHECK(socket_rows[i].row, client_opens == socket_rows[i].want && client_messages == socket_rows[i].want);
        CHECK(socket_rows[i].row, seen.upgrades == socket_rows[i].want);
        CHECK(socket_rows[i].row, !socket_rows[i].want || (seen.code == 1000 && seen.why == CONN_END_TCP));
        CHECK(socket_rows[i].row, is_named == (socket_rows[i].want && socket_rows[i].own != NULL));
        is_named = false;
        CHECK(socket_rows[i].row, socket_rows[i].log == NULL || log_has(socket_rows[i].log));
        end();
        tls_close(st);
    }
}

/* One handshake at a time: who is silent holds up the others no longer than the limit in time. */
static void test_handshake_limit(void)
{
    struct listener_options o = options_default();
    struct tls *st = open_server(&server_ec, NULL, NULL), *ct = open_client(NULL, NULL);
    o.tls = st;
    o.handshakes_max = 1;
    o.conn.head_timeout_ms = 60;
    begin(&o);
    int silent = dial(listener_port(listener));
    CHECK("a silent one connects first", silent >= 0);
    client_connect("127.0.0.1", ct, NULL);
    want_closes = 1;
    run("the other is served after it");
    CHECK("and whole", client_opens == 1 && client_messages == 1);
    char byte;
    CHECK("the silent one was closed", recv(silent, &byte, 1, MSG_DONTWAIT) == 0);
    (void)close(silent);
    end();
    tls_close(st);
    tls_close(ct);
}

static void test_plain_on_tls_port(void)
{
    struct listener_options o = options_default();
    struct tls *st = open_server(&server_ec, NULL, NULL);
    o.tls = st;
    begin(&o);
    struct raw *r = raw_start(HEAD("/x"), sizeof HEAD("/x") - 1);
    run("plain HTTP on the TLS port");
    raw_join(r);
    CHECK("is told apart in the log", log_has("tls.refused") && log_has("http request"));
    CHECK("nobody was told", seen.upgrades == 0 && seen.closes == 0);
    free(r);
    end();
    tls_close(st);
}

static void test_tls_to_plain_port(void)
{
    struct listener_options o = options_default();
    struct tls *ct = open_client(NULL, NULL);
    begin(&o);
    client_connect("127.0.0.1", ct, NULL);
    run("a real ClientHello on the plain port");
    CHECK("is told in the log", log_has("conn.tls_on_plain_port"));
    CHECK("and never opens", client_opens == 0 && seen.upgrades == 0);
    end();
    tls_close(ct);
}

static void test_full(void)
{
    struct listener_options o = options_default();
    struct tls *st = open_server(&server_ec, NULL, NULL), *ct = open_client(NULL, NULL);
    o.tls = st;
    o.connections_max = 1;
    begin(&o);
    int first = dial(listener_port(listener));
    client_connect("127.0.0.1", ct, NULL);
    run("one too many");
    CHECK("is closed before the handshake", client_opens == 0 && listener_connection_count(listener) == 1);
    (void)close(first);
    end();
    tls_close(st);
    tls_close(ct);
}

/* ---- bytes without HTTP and frames ---- */

#define RAW_SIZE 300000

static struct timer raw_timer;
static unsigned raw_opens;
static size_t raw_in, raw_back;
static bool is_raw_paused, is_raw_wrong;

static uint8_t raw_byte(size_t i)
{
    return (uint8_t)(i * 7 + i / 251);
}

static void raw_check(size_t *at, struct bytes b)
{
    for (size_t i = 0; i < b.len; i++)
        is_raw_wrong |= b.at[i] != raw_byte(*at + i);
    *at += b.len;
}

/* What came in one read with the end of the handshake waits. */
static void on_raw_resume(struct timer *t)
{
    (void)t;
    CHECK("nothing is told while paused", raw_in == 0);
    conn_resume(seen.conn);
    is_raw_paused = false;
}

static void on_raw_open(struct conn *c)
{
    raw_opens++;
    seen.conn = c;
    seen.is_gone = false;
    CHECK("its hands are shaken", conn_is_tls(c) && str_eq(conn_peer_name(c), STR("CP-17")));
    conn_known(c);
    conn_pause(c);
    is_raw_paused = true;
    timer_start(loop, &raw_timer, 30);
}

static void on_raw_bytes(struct conn *c, struct bytes b)
{
    CHECK("nothing is told while paused", !is_raw_paused);
    raw_check(&raw_in, b);
    CHECK("the echo is queued", conn_send(c, b, false) == OK);
}

static void on_raw_client_open(struct conn *c)
{
    static uint8_t block[RAW_SIZE];
    for (size_t i = 0; i < sizeof block; i++)
        block[i] = raw_byte(i);
    client_opens++;
    CHECK("a little is sent with the end of the handshake", conn_send(c, (struct bytes){block, 100}, false) == OK);
    CHECK("and much behind it", conn_send(c, (struct bytes){block + 100, sizeof block - 100}, false) == OK);
}

static void on_raw_client_bytes(struct conn *c, struct bytes b)
{
    raw_check(&raw_back, b);
    if (raw_back == RAW_SIZE)
        conn_close(c, CONN_END_OURS, WS_CLOSE_NORMAL, STR(""));
}

static void on_raw_client_close(struct conn *c, enum conn_end why, uint16_t code)
{
    (void)c;
    CHECK("who closed knows why", why == CONN_END_OURS && code == WS_CLOSE_ABNORMAL);
    raws_done++;
    step();
}

static const struct conn_handlers raw_handlers = {.on_open = on_raw_open, .on_bytes = on_raw_bytes, .on_close = on_server_close};

static void test_raw(void)
{
    static const struct conn_handlers handlers = {
        .on_open = on_raw_client_open, .on_bytes = on_raw_client_bytes, .on_close = on_raw_client_close};
    struct listener_options o = options_default();
    struct conn_options own = conn_options_default();
    struct tls *st = open_server(&server_ec, NULL, &ca), *ct = open_client(&ca, &station);
    o.tls = st;
    o.handlers = &raw_handlers;
    o.conn.is_raw = own.is_raw = true;
    o.conn.write_queue_max = own.write_queue_max = 2 * RAW_SIZE;
    begin(&o);
    struct conn_target t = {.host = STR("localhost"), .port = listener_port(listener), .tls = ct};
    client_opens = raw_opens = 0;
    timer_init(&raw_timer, on_raw_resume);
    CHECK("connects", conn_connect(loop, &t, &own, &handlers, NULL, &client) == OK);
    want_raws = want_closes = 1;
    run("bytes through TLS, the first of them while paused");
    CHECK("each side is opened once", client_opens == 1 && raw_opens == 1 && seen.upgrades == 0);
    CHECK("nothing is lost or out of order", !is_raw_wrong && raw_in == RAW_SIZE && raw_back == RAW_SIZE);
    CHECK("the good-bye is the end of the stream", seen.why == CONN_END_TCP && seen.code == WS_CLOSE_ABNORMAL);
    end();
    tls_close(st);
    tls_close(ct);
}

/* Who never shakes hands is nobody: the owner does not hear of it. */
static void test_raw_late(void)
{
    struct listener_options o = options_default();
    struct tls *st = open_server(&server_ec, NULL, NULL);
    o.tls = st;
    o.handlers = &raw_handlers;
    o.conn.is_raw = true;
    o.conn.head_timeout_ms = 60;
    begin(&o);
    raw_opens = 0;
    struct raw *r = raw_start("", 0);
    run("a handshake that does not begin");
    raw_join(r);
    CHECK("ends it", raw_opens == 0 && seen.closes == 0 && log_has("reason=late"));
    end();
    free(r);
    tls_close(st);
}

static void test_all(void)
{
    make_pairs();
    test_open_errors();
    test_filter();
    test_garbage();
    test_suites();
    test_sockets();
    test_handshake_limit();
    test_plain_on_tls_port();
    test_tls_to_plain_port();
    test_full();
    test_raw();
    test_raw_late();
    drop_pairs();
}

int main(void)
{
    both_ways(test_all);
    return CHECK_REPORT();
}
