/* api/http_listen.h - an address of the configuration as a listening socket. */
#ifndef API_HTTP_LISTEN_H
#define API_HTTP_LISTEN_H
#include "base/base.h"

/* "host:port" or "[v6]:port"; port 0 picks a free one. ERR_FORMAT: no address; ERR_BUSY: taken; ERR_IO. *why has the
 * setting's name. */
MUST_USE enum err http_listen(struct str address, const char *setting, int *fd, struct fault *why);
#endif
