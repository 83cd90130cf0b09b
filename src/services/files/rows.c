/* services/files/rows.c - what each file is: its row. */
#include "services/files/embedded.h"
#include "services/files/files_private.h"

const struct migration files_migrations[] = {
    {"files/0001", embedded_0001_files_sql},
};
const size_t files_migration_count = COUNT_OF(files_migrations);

static enum err count_rows(struct db *d, int64_t *count)
{
    struct db_rows *r = db_rows(d, "SELECT COUNT(*) FROM files", NULL, 0);
    *count = db_next(r) ? db_col_int(r, 0) : 0;
    return db_rows_end(r);
}

enum err file_row_add(struct db *d, const struct files *f, const struct file *row)
{
    int64_t count;
    enum err e = count_rows(d, &count);
    if (e == OK && count >= f->count_max)
        e = ERR_LIMIT;
    if (e != OK)
        return e;
    return DB_RUN(d,
                  "INSERT INTO files (file_id, name, kind, version, note, size_bytes, sha256, byte_sum, created_at, "
                  "created_by) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                  db_text(row->file_id), db_text(row->name), db_text(row->kind), db_text(row->version),
                  db_text(row->note), db_int(row->size_bytes), db_text(str_of(row->sha256)), db_int(row->byte_sum),
                  db_time(row->created_at), db_text(row->created_by));
}

enum err file_row_delete(struct db *d, struct str file_id)
{
    enum err e = DB_RUN(d, "DELETE FROM files WHERE file_id = ?1", db_text(file_id));
    return e == OK && db_changes(d) == 0 ? ERR_UNKNOWN : e;
}

enum err file_row_exists(struct db *d, struct str file_id, bool *is_there)
{
    struct db_rows *r = DB_ROWS(d, "SELECT 1 FROM files WHERE file_id = ?1", db_text(file_id));
    bool found = db_next(r);
    enum err e = db_rows_end(r);
    if (e == OK)
        *is_there = found;
    return e;
}

enum err file_find(struct db *d, struct str file_id, struct arena *a, struct file *out)
{
    struct db_rows *r = DB_ROWS(d,
                                "SELECT file_id, name, kind, version, note, created_by, size_bytes, sha256, byte_sum, "
                                "created_at FROM files WHERE file_id = ?1",
                                db_text(file_id));
    struct file f;
    bool is_there = db_next(r);
    if (is_there) {
        struct str *texts[] = {&f.file_id, &f.name, &f.kind, &f.version, &f.note, &f.created_by};
        for (size_t i = 0; i < COUNT_OF(texts); i++)
            *texts[i] = arena_copy(a, db_col_text(r, (int)i));
        f.size_bytes = db_col_int(r, 6);
        (void)str_copy(f.sha256, sizeof f.sha256, db_col_text(r, 7));
        f.byte_sum = (uint32_t)db_col_int(r, 8);
        f.created_at = db_col_time(r, 9);
    }
    enum err e = db_rows_end(r);
    if (e != OK || !is_there)
        return e != OK ? e : ERR_UNKNOWN;
    if (f.file_id.at == NULL || f.name.at == NULL || f.kind.at == NULL)
        return ERR_MEMORY;
    *out = f;
    return OK;
}
