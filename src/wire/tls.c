/* wire/tls.c - see tls.h and tls_session.h. A session reads from and writes to memory through a BIO of our own, which borrows
 * the input instead of copying it and holds nothing while the connection is idle. */
#define ERR_STATE OPENSSL_ERR_STATE /* OpenSSL has a type of that name, hidden from us here */
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#undef ERR_STATE
#include "wire/tls_session.h"
#include <stdlib.h>
#include <string.h>

#define PATH_SIZE       4096
#define NAME_SIZE_MAX   256
#define OUTPUT_SIZE_MAX ((size_t)INT32_MAX)
#define PLAIN_STEP      16384 /* a record */
#define TICKETS         1

/* ocpp16.md 1.5; ECDHE first. The RSA key exchange is there because the standard demands it. */
static const char suites[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
                             "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384:"
                             "AES128-GCM-SHA256:AES256-GCM-SHA384";
static const unsigned char session_context[] = "chargeline";

struct tls {
    SSL_CTX *ctx;
    bool is_server;
};

struct tls_session {
    SSL *ssl;
    struct bytes in; /* borrowed for the call that feeds it */
    struct buf out;
    char *peer_name, *peer_organisation;
    bool is_failed;
};

static int pipe_read(BIO *b, char *to, size_t size, size_t *taken)
{
    struct tls_session *s = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    if (s->in.len == 0) {
        BIO_set_retry_read(b);
        *taken = 0;
        return 0;
    }
    size_t n = size < s->in.len ? size : s->in.len;
    memcpy(to, s->in.at, n);
    s->in = (struct bytes){s->in.at + n, s->in.len - n};
    *taken = n;
    return 1;
}

static int pipe_write(BIO *b, const char *from, size_t size, size_t *written)
{
    struct tls_session *s = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    buf_put(&s->out, from, size);
    *written = s->out.failed ? 0 : size;
    return !s->out.failed;
}

static long pipe_ctrl(BIO *b, int command, long number, void *pointer)
{
    (void)b;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH; /* all else is not known here */
}

/* One for the process, made at the first use and never freed. */
static BIO_METHOD *pipe_method;
static CRYPTO_ONCE pipe_once = CRYPTO_ONCE_STATIC_INIT;

static void pipe_init(void)
{
    pipe_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "memory");
    check(pipe_method != NULL);
    check(BIO_meth_set_read_ex(pipe_method, pipe_read) == 1 && BIO_meth_set_write_ex(pipe_method, pipe_write) == 1 &&
          BIO_meth_set_ctrl(pipe_method, pipe_ctrl) == 1);
}

/* The newest reason that OpenSSL has queued, in its words; the queue is emptied. */
static void tell_reason(struct fault *why, const char *field, const char *what)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code == 0 ? NULL : ERR_reason_error_string(code);
    fault_set(why, str_of(field), "%s%s%s", what, reason == NULL ? "" : ": ", reason == NULL ? "" : reason);
    ERR_clear_error();
}

static struct tls *tls_new(bool is_server)
{
    struct tls *t = mem_new(1, sizeof *t);
    t->is_server = is_server;
    t->ctx = SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method());
    check(t->ctx != NULL);
    check(SSL_CTX_set_min_proto_version(t->ctx, TLS1_2_VERSION) == 1);
    check(SSL_CTX_set_cipher_list(t->ctx, suites) == 1);
    (void)SSL_CTX_set_mode(t->ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY);
    (void)SSL_CTX_set_options(t->ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    (void)SSL_CTX_set_session_cache_mode(t->ctx, SSL_SESS_CACHE_OFF); /* tickets keep the state with the peer */
    if (is_server) {
        check(SSL_CTX_set_num_tickets(t->ctx, TICKETS) == 1);
        check(SSL_CTX_set_session_id_context(t->ctx, session_context, sizeof session_context - 1) == 1);
    }
    return t;
}

static enum err use_pair(struct tls *t, struct str certificate, struct str key, struct fault *why)
{
    char path[PATH_SIZE];
    if (certificate.len >= sizeof path || key.len >= sizeof path) {
        fault_set(why, STR("certificate"), "the path is too long");
        return ERR_RANGE;
    }
    (void)str_copy(path, sizeof path, certificate);
    if (SSL_CTX_use_certificate_chain_file(t->ctx, path) != 1) {
        tell_reason(why, path, "no certificate that can be read");
        return ERR_FORMAT;
    }
    (void)str_copy(path, sizeof path, key);
    if (SSL_CTX_use_PrivateKey_file(t->ctx, path, SSL_FILETYPE_PEM) != 1 || SSL_CTX_check_private_key(t->ctx) != 1) {
        tell_reason(why, path, "no key of that certificate");
        return ERR_FORMAT;
    }
    return OK;
}

static enum err use_authorities(struct tls *t, struct str ca, struct fault *why)
{
    char path[PATH_SIZE];
    (void)str_copy(path, sizeof path, ca);
    if (ca.len >= sizeof path || SSL_CTX_load_verify_file(t->ctx, path) != 1) {
        tell_reason(why, path, "no certificates that can be read");
        return ERR_FORMAT;
    }
    if (t->is_server)
        SSL_CTX_set_client_CA_list(t->ctx, SSL_load_client_CA_file(path));
    SSL_CTX_set_verify(t->ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return OK;
}

static enum err tls_give(struct tls *t, enum err e, struct tls **out)
{
    if (e == OK)
        *out = t;
    else
        tls_close(t);
    return e;
}

enum err tls_server_open(const struct tls_options *o, struct tls **out, struct fault *why)
{
    struct tls *t = tls_new(true);
    enum err e = use_pair(t, o->certificate, o->key, why);
    if (e == OK && o->certificate2.at != NULL)
        e = use_pair(t, o->certificate2, o->key2, why);
    if (e == OK && o->client_ca.at != NULL)
        e = use_authorities(t, o->client_ca, why);
    return tls_give(t, e, out);
}

enum err tls_client_open(struct str ca, struct str certificate, struct str key, struct tls **out, struct fault *why)
{
    struct tls *t = tls_new(false);
    enum err e = OK;
    if (certificate.at != NULL)
        e = use_pair(t, certificate, key, why);
    if (e == OK && ca.at != NULL)
        e = use_authorities(t, ca, why);
    return tls_give(t, e, out);
}

void tls_close(struct tls *t)
{
    if (t == NULL)
        return;
    SSL_CTX_free(t->ctx); /* counted: each session holds it too */
    free(t);
}

static void expect_host(struct tls_session *s, struct str host)
{
    char name[NAME_SIZE_MAX];
    (void)str_copy(name, sizeof name, host);
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(s->ssl), name) == 1)
        return;
    ERR_clear_error();
    check(SSL_set1_host(s->ssl, name) == 1);
    check(SSL_set_tlsext_host_name(s->ssl, name) == 1);
}

struct tls_session *tls_session_new(struct tls *t, struct str host)
{
    check(CRYPTO_THREAD_run_once(&pipe_once, pipe_init) == 1);
    struct tls_session *s = mem_new(1, sizeof *s);
    buf_init(&s->out, OUTPUT_SIZE_MAX);
    s->ssl = SSL_new(t->ctx);
    BIO *b = BIO_new(pipe_method);
    check(s->ssl != NULL && b != NULL);
    BIO_set_data(b, s);
    BIO_set_init(b, 1);
    SSL_set_bio(s->ssl, b, b);
    if (t->is_server) {
        SSL_set_accept_state(s->ssl);
    } else {
        SSL_set_connect_state(s->ssl);
        if (host.len > 0)
            expect_host(s, host);
    }
    return s;
}

void tls_session_free(struct tls_session *s)
{
    if (s == NULL)
        return;
    SSL_free(s->ssl);
    buf_release(&s->out);
    free(s->peer_name);
    free(s->peer_organisation);
    free(s);
}

/* NULL when the name has no such part, or one with a NUL or invalid text in it, which nobody honest writes. */
static char *name_part(const X509_NAME *name, int nid)
{
    int at = X509_NAME_get_index_by_NID(name, nid, -1);
    if (at < 0)
        return NULL;
    unsigned char *text = NULL;
    int len = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
    char *copy = NULL;
    if (len >= 0 && len < NAME_SIZE_MAX && memchr(text, 0, (size_t)len) == NULL) {
        copy = mem_new(1, (size_t)len + 1);
        memcpy(copy, text, (size_t)len);
    }
    OPENSSL_free(text);
    return copy;
}

static void read_peer(struct tls_session *s)
{
    const X509 *certificate = SSL_get0_peer_certificate(s->ssl);
    if (certificate == NULL)
        return;
    const X509_NAME *name = X509_get_subject_name(certificate);
    s->peer_name = name_part(name, NID_commonName);
    s->peer_organisation = name_part(name, NID_organizationName);
}

static enum err fail(struct tls_session *s, struct fault *why)
{
    long verified = SSL_get_verify_result(s->ssl);
    s->is_failed = true;
    if (verified != X509_V_OK && SSL_get_verify_mode(s->ssl) != SSL_VERIFY_NONE) {
        fault_set(why, STR("certificate"), "%s", X509_verify_cert_error_string(verified));
        ERR_clear_error();
        return ERR_DENIED;
    }
    tell_reason(why, "tls", tls_session_is_open(s) ? "broken stream" : "handshake failed");
    return ERR_FORMAT;
}

static enum err shake_hands(struct tls_session *s, struct fault *why)
{
    int n = SSL_do_handshake(s->ssl);
    if (n == 1) {
        read_peer(s);
        return OK;
    }
    return SSL_get_error(s->ssl, n) == SSL_ERROR_WANT_READ ? ERR_AGAIN : fail(s, why);
}

static enum err read_plain(struct tls_session *s, struct buf *plain, struct fault *why)
{
    for (;;) {
        uint8_t *to = buf_reserve(plain, PLAIN_STEP);
        if (to == NULL)
            return ERR_MEMORY;
        size_t got;
        if (SSL_read_ex(s->ssl, to, PLAIN_STEP, &got) == 1) {
            plain->len += got;
            continue;
        }
        int error = SSL_get_error(s->ssl, 0);
        if (error == SSL_ERROR_WANT_READ)
            return OK;
        return error == SSL_ERROR_ZERO_RETURN ? ERR_CLOSED : fail(s, why);
    }
}

enum err tls_session_feed(struct tls_session *s, struct bytes in, struct buf *plain, struct fault *why)
{
    if (s->is_failed)
        return ERR_FORMAT;
    ERR_clear_error();
    s->in = in;
    enum err e = tls_session_is_open(s) ? OK : shake_hands(s, why);
    if (e == OK)
        e = read_plain(s, plain, why);
    s->in = (struct bytes){NULL, 0};
    return e == ERR_AGAIN ? OK : e;
}

enum err tls_session_send(struct tls_session *s, struct bytes plain)
{
    ERR_clear_error();
    size_t written;
    if (s->is_failed || SSL_write_ex(s->ssl, plain.at, plain.len, &written) != 1 || written != plain.len) {
        ERR_clear_error();
        s->is_failed = true;
        return ERR_CLOSED;
    }
    return OK;
}

void tls_session_shut(struct tls_session *s)
{
    if (s->is_failed || !tls_session_is_open(s) || (SSL_get_shutdown(s->ssl) & SSL_SENT_SHUTDOWN) != 0)
        return;
    (void)SSL_shutdown(s->ssl); /* 0: the peer's own is still to come, and is not waited for */
    ERR_clear_error();
}

struct buf *tls_session_output(struct tls_session *s)
{
    return &s->out;
}

bool tls_session_is_open(const struct tls_session *s)
{
    return SSL_is_init_finished(s->ssl) == 1;
}

struct str tls_session_peer_name(const struct tls_session *s)
{
    return str_of(s->peer_name);
}

struct str tls_session_peer_organisation(const struct tls_session *s)
{
    return str_of(s->peer_organisation);
}
