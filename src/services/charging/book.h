/* services/charging/book.h - the sessions at hand: those of the stations that were lately heard of, as the tables have
 * them plus what the batch changed, and the points that it adds. Written at the end of a batch; thrown away when one is
 * undone. */
#ifndef SERVICES_CHARGING_BOOK_H
#define SERVICES_CHARGING_BOOK_H
#include "base/lately.h"
#include "services/charging/counts.h"
#include "services/charging/points.h"
#include "services/charging/rows.h"

struct book_station;
struct book_entry {
    struct book_station *station;
    struct book_entry *next, **from; /* of the station; from: what points at this one */
    struct book_entry *next_changed, *next_pointed;
    uint32_t point_count, first_point, last_point; /* of this batch */
    bool is_new, is_changed;         /* changed: or only to be let go at the end, since it is not active */
    bool is_rewritten;               /* more of it than what readings change */
    struct session s;
    struct instant placed_started;   /* as the row has them */
    int64_t placed_part;             /* of the counts */
    char placed_tag[SESSION_TEXT_MAX];
    struct curve_end curve;          /* as it is stored */
};
struct book_station {
    struct book_entry *first;
    struct str name;
    char text[];
};
struct book {
    struct map stations;
    struct lately lately;            /* of stations */
    uint64_t key[2];
    struct book_entry *changed, **changed_end; /* in the order in which they did: new ones by their number, as their rows lie */
    struct book_entry *pointed, **pointed_end; /* who has points in this batch, likewise */
    struct noted_point {             /* a struct curve_point in half the room: a batch has tens of thousands */
        struct instant at;
        int64_t values[CURVE_VALUES];
        uint32_t next;               /* of the same entry */
        uint32_t is_set;             /* bits of values */
    } *points;
    size_t point_count, point_room;
    struct point_list at_hand;       /* of one entry, on their way to its rows */
    struct gather sessions, blocks;  /* rows on their way */
    struct counted counts;           /* of the rows that were written */
    int64_t next_number;             /* 0: to be asked */
    uint64_t id_key[2];
    bool knows_keys;                 /* the next two are asked */
    int64_t newest_key;              /* of the table: a transaction that began later has no row */
    bool has_unkeyed;                /* rows without a key */
    int64_t known_block;             /* the last that was seen to be there; INT64_MIN: none */
};

void book_init(struct book *b, const uint64_t id_key[2]);
void book_release(struct book *b);
void book_clear(struct book *b);     /* forgets all, unwritten changes too */
void book_trim(struct book *b);      /* between batches: forgets all once it has grown too large */

/* A station with its active sessions. */
MUST_USE enum err book_open(struct book *b, struct db *d, struct str station, struct book_station **out);
/* Its session of that transaction, ended ones too; NULL: none. */
MUST_USE enum err book_find(struct book *b, struct db *d, struct book_station *at, struct str transaction_id,
                            struct book_entry **out);
/* Its active session on a connector: the one that started last; NULL: none. */
struct book_entry *book_find_active(const struct book_station *at, int64_t connector_id);
/* A new session in state NONE, with its number; no session of its transaction is there. */
MUST_USE enum err book_add(struct book *b, struct db *d, struct book_station *at, struct str transaction_id,
                           struct book_entry **out);
void book_change(struct book *b, struct book_entry *e, bool is_rewritten);
MUST_USE enum err book_add_point(struct book *b, struct db *d, struct book_entry *e, const struct curve_point *p,
                                 struct span window);
MUST_USE enum err book_write(struct book *b, struct db *d, struct span window);
#endif
