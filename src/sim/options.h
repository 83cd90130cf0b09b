/* sim/options.h - the command line of the simulator. */
#ifndef SIM_OPTIONS_H
#define SIM_OPTIONS_H
#include "base/memory.h"

#define OPTION_TYPE_TEXT   struct str
#define OPTION_TYPE_NUMBER int64_t
#define OPTION_TYPE_SWITCH bool
#define OPTION_TYPE_QUIRKS struct quirk_words
#define QUIRK_WORDS_MAX    32
struct quirk_words {
    struct str at[QUIRK_WORDS_MAX];
    size_t count;
};
struct sim_options {
#define OPTION(member, flag, kind, place, standard, least, most, sentence) OPTION_TYPE_##kind member;
#include "sim/options.def"
    bool is_quirk_list; /* --quirk list */
    bool is_ap3000;
    uint32_t quirks; /* bits of the protocol's own list */
    /* of the URL or address; they borrow from it */
    struct str host, path;
    int port;
    bool is_tls;
};

/* argv[0] is passed over. Text borrows from argv. ERR_FORMAT: why says which flag and what is wrong with it. */
MUST_USE enum err sim_options_parse(int argc, char **argv, struct sim_options *out, struct fault *why);
void sim_options_help(struct buf *out);
void sim_quirks_help(const struct sim_options *o, struct buf *out);
#endif
