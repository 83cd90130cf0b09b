/* store/wal.h - SQLite's write-ahead log, written in large pieces.
 *
 * SQLite writes each page of a transaction in two calls, one of 24 bytes and one of a page, at odd places of the file.
 * The pieces of a transaction lie one after another, so they are gathered here and written together: at the latest
 * before the last of them, whose head says that the transaction ends with it; so all is in the file when SQLite tells
 * other connections of it, and when it asks the disk for it. A process that is killed loses what no commit has told of.
 */
#ifndef STORE_WAL_H
#define STORE_WAL_H
#include "base/base.h"

/* Name of the file system to open databases with (sqlite3_open_v2): the system's own, but for the log's writes. NULL:
 * out of memory, or SQLite has none. Made once; any thread. */
const char *wal_file_system(void);
#endif
