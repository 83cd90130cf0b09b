/* wire/tls.h - OpenSSL 3 over memory BIOs, wrapped once. TLS 1.2 and 1.3, no compression, no renegotiation, buffers given
 * back while idle, one ticket. Suites of ocpp16.md 1.5. */
#ifndef WIRE_TLS_H
#define WIRE_TLS_H
#include "base/memory.h"

struct tls;
struct tls_options {
    struct str certificate, key;         /* PEM files: an ECDSA and/or an RSA pair; the second pair may be absent */
    struct str certificate2, key2;
    struct str client_ca;                /* given: a client certificate is demanded (profile 3) and checked against it */
};
MUST_USE enum err tls_server_open(const struct tls_options *o, struct tls **out, struct fault *why);
/* ca absent: nothing is checked (tests, simulators). */
MUST_USE enum err tls_client_open(struct str ca, struct str certificate, struct str key, struct tls **out, struct fault *why);
void tls_close(struct tls *t); /* connections made with it live on */
#endif
