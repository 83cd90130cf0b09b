/* wire/tls_session.h - one TLS connection as a filter between two kinds of bytes; knows no socket. Private to wire/. */
#ifndef WIRE_TLS_SESSION_H
#define WIRE_TLS_SESSION_H
#include "wire/tls.h"

struct tls_session;
/* host: a client's idea of who answers, for SNI and the check of the certificate; absent on a server. */
struct tls_session *tls_session_new(struct tls *t, struct str host);
void tls_session_free(struct tls_session *s);

/* Bytes from the network; a client begins with none. What they said is appended to *plain, what is to be answered waits in
 * tls_session_output. ERR_CLOSED: the peer said good-bye (*plain may have got bytes before it). ERR_FORMAT, ERR_DENIED (its
 * certificate): over, an alert may wait in the output. */
MUST_USE enum err tls_session_feed(struct tls_session *s, struct bytes in, struct buf *plain, struct fault *why);
MUST_USE enum err tls_session_send(struct tls_session *s, struct bytes plain); /* only when open */
void tls_session_shut(struct tls_session *s);                                 /* says good-bye, if open */
struct buf *tls_session_output(struct tls_session *s);                        /* ciphertext to be sent; the caller takes it */
bool tls_session_is_open(const struct tls_session *s);                        /* handshake done */
/* Of the peer's certificate; absent without one. */
struct str tls_session_peer_name(const struct tls_session *s);
struct str tls_session_peer_organisation(const struct tls_session *s);
#endif
