/* simulation/tables.h - what the tables of stations must come to, made from committed events: written apart from
 * services/stations, as the header of device/station.h and ocpp16.md have it. From it the memory of a station is made
 * again after a crash, and what is looked up. */
#ifndef SIMULATION_TABLES_H
#define SIMULATION_TABLES_H
#include "proto/ocpp16/decide.h"
#include "simulation/disk.h"

#define STATIONS_MAX   4
#define CONTENTS_KEPT  STATION_METERS_MAX
#define CONNECTORS_MAX 4
#define WAITING_MAX    64

struct table_transaction {
    struct transaction t;
    size_t station;
};

struct table_station {
    enum registration registration;
    uint64_t generation, sequence;
    bool has_row, has_booted;
    struct connector connectors[CONNECTORS_MAX];
    size_t connector_count;
    uint64_t contents[CONTENTS_KEPT]; /* of readings and of what is in quarantine: the newest, a ring */
    size_t content_count;
    struct orphan waiting[WAITING_MAX];
    size_t waiting_count, waiting_most; /* most at a time */
};

struct tables {
    const uint64_t *id_key;
    struct table_station stations[STATIONS_MAX];
    struct table_transaction *transactions;
    size_t transaction_count, seen; /* records that are in */
    uint64_t last_number;
    struct arena arena;
};

void tables_init(struct tables *t, const uint64_t *id_key);
void tables_release(struct tables *t);
/* What is committed and was not seen. */
void tables_catch_up(struct tables *t, const struct disk *d);
/* What memory holds of a station after a restart. */
void tables_load(const struct tables *t, size_t station, struct station *out);
struct table_transaction *tables_find(struct tables *t, uint32_t id); /* NULL: none */

size_t station_number(struct str id);      /* of "CP-3": 3 */
uint32_t id_of(struct str transaction_id); /* 0: none */
bool has_flag(struct str_list flags, struct str flag);
#endif
