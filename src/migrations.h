/* migrations.h - the steps of every part's tables, in the order in which they run: what serve brings a store up to and
 * doctor compares one with. */
#ifndef MIGRATIONS_H
#define MIGRATIONS_H
#include "store/db.h"

MUST_USE enum err migrations_run(struct db *d, struct fault *why);
bool migration_is_known(struct str name);
size_t migrations_count(void);
#endif
