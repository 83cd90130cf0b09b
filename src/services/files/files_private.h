/* services/files/files_private.h - what the files of services/files share. */
#ifndef SERVICES_FILES_FILES_PRIVATE_H
#define SERVICES_FILES_FILES_PRIVATE_H
#include "eventlog/files.h"
#include "services/files/files.h"

#define FILES_PATH_SIZE 4400 /* data.dir is limited to 4096 */
#define PART_SUFFIX     ".part"

struct files {
    char dir[FILES_PATH_SIZE - 64];
    int64_t count_max;
    unsigned orphans_max;
    const struct log_files *disk;
};

bool is_file_id(struct str s); /* as we write them: no other name is ever opened */
/* suffix: "" or PART_SUFFIX. ERR_UNKNOWN: no id; ERR_RANGE: the folder's path is too long. */
MUST_USE enum err file_path(struct str dir, struct str file_id, const char *suffix, char out[FILES_PATH_SIZE]);
MUST_USE enum err file_row_exists(struct db *d, struct str file_id, bool *is_there);
#endif
