#include "migrations.h"

#include "api/api.h"
#include "bus/bus.h"
#include "services/charging/charging.h"
#include "services/files/files.h"
#include "services/stations/stations.h"

/* clang-format off */
/* A part comes after those whose tables its steps read. */
static const struct {
    const struct migration *list;
    const size_t *count;
} parts[] = {
    {bus_migrations,      &bus_migration_count},
    {stations_migrations, &stations_migration_count},
    {charging_migrations, &charging_migration_count},
    {files_migrations,    &files_migration_count},
    {api_migrations,      &api_migration_count},
};
/* clang-format on */

enum err migrations_run(struct db *d, struct fault *why)
{
    enum err e = OK;
    for (size_t p = 0; p < COUNT_OF(parts) && e == OK; p++)
        e = db_migrate(d, parts[p].list, *parts[p].count, why);
    return e;
}

bool migration_is_known(struct str name)
{
    for (size_t p = 0; p < COUNT_OF(parts); p++)
        for (size_t i = 0; i < *parts[p].count; i++)
            if (str_eq(str_of(parts[p].list[i].name), name))
                return true;
    return false;
}

size_t migrations_count(void)
{
    size_t count = 0;
    for (size_t p = 0; p < COUNT_OF(parts); p++)
        count += *parts[p].count;
    return count;
}
