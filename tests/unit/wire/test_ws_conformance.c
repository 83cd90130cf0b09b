/* What RFC 6455 asks of one who reads frames, case by case: framing, control frames, reserved bits and opcodes,
 * fragments, UTF-8, close, limits. Each case runs as server and as client, whole, byte by byte and in pieces of other
 * sizes, with one outcome. Cases by hand are in ws_cases.def; families over a table (every first byte, lengths, codes,
 * sequences) are here. */
#include "check.h"
#include "wire/ws.h"

#include <stdlib.h>
#include <string.h>

#define CASES_MIN      520
#define MESSAGE_MAX    70000
#define FRAGMENTS_MAX  64
#define PATTERN_LENGTH 23 /* prime: a piece that is lost or doubled shows */
#define SHOWN_MAX      40 /* longer payloads are shown by their length, if they are the pattern */
#define INPUT_MAX      (1 << 20)
#define NAME_SIZE      160

static const size_t piece_sizes[] = {INPUT_MAX, 1, 2, 3, 7, 126};
static unsigned case_count;

static uint8_t pattern_at(size_t i)
{
    return (uint8_t)('a' + i % PATTERN_LENGTH);
}

static unsigned hex_take(const char **at, size_t digits)
{
    char text[9] = {0};
    memcpy(text, *at, digits);
    *at += digits;
    return (unsigned)strtoul(text, NULL, 16);
}

/* The frame's head, in the form asked for or in the shortest one. */
static void head_put(struct buf *out, unsigned first, uint64_t len, unsigned form, bool is_masked)
{
    unsigned mask_bit = is_masked ? 0x80 : 0;
    if (form == 0)
        form = len < 126 ? 7 : len <= UINT16_MAX ? 16 : 64;
    buf_put_byte(out, (uint8_t)first);
    buf_put_byte(out, (uint8_t)(mask_bit | (form == 7 ? (unsigned)len : form == 16 ? 126 : 127)));
    for (int shift = (form == 7 ? 0 : (int)form) - 8; shift >= 0; shift -= 8)
        buf_put_byte(out, (uint8_t)(len >> shift));
}

/* One frame of ws_cases.def. *pattern: how far the message's pattern has come; frame_index chooses the mask. */
static void frame_put(struct buf *out, const char *at, bool is_server, size_t *pattern, unsigned frame_index)
{
    struct buf payload;
    bool is_masked = (*at == '~') != is_server, has_payload = true;
    uint64_t len = 0;
    unsigned form = 0;
    buf_init(&payload, INPUT_MAX);
    at += *at == '~';
    if (*at == '=') {
        for (at++; *at != '\0' && *at != ' ';)
            buf_put_byte(out, (uint8_t)hex_take(&at, 2));
        return;
    }
    unsigned first = hex_take(&at, 2);
    size_t own = 0, *index = (first & 0x08) != 0 ? &own : pattern;
    if ((first & 0x0F) != 0)
        *index = 0;
    switch (*at++) {
    case ':':
        while (*at != '\0' && *at != ' ' && *at != '/')
            buf_put_byte(&payload, (uint8_t)*at++);
        break;
    case '#':
        while (*at != '\0' && *at != ' ' && *at != '/')
            buf_put_byte(&payload, (uint8_t)hex_take(&at, 2));
        break;
    case '*':
        for (size_t n = strtoul(at, (char **)(uintptr_t)&at, 10); n > 0; n--)
            buf_put_byte(&payload, pattern_at((*index)++));
        break;
    case '@':
        len = strtoul(at, (char **)(uintptr_t)&at, 10);
        has_payload = false;
        break;
    case '^':
        len = (uint64_t)hex_take(&at, 8) << 32;
        len |= hex_take(&at, 8);
        form = 64;
        has_payload = false;
        break;
    default:
        check_failed("a frame of the table can be read", __FILE__, __LINE__);
    }
    if (*at == '/')
        form = (unsigned)strtoul(at + 1, NULL, 10);
    head_put(out, first, has_payload ? payload.len : len, form, is_masked);
    const uint8_t mask[4] = {(uint8_t)(0x37 + frame_index), 0xFA, (uint8_t)(0x21 * frame_index), 0x80};
    if (is_masked)
        buf_put(out, mask, sizeof mask);
    for (size_t i = 0; i < payload.len; i++)
        buf_put_byte(out, (uint8_t)(payload.at[i] ^ (is_masked ? mask[i % 4] : 0)));
    buf_release(&payload);
}

static void input_build(struct buf *out, const char *frames, bool is_server)
{
    size_t pattern = 0;
    unsigned frame_index = 0;
    for (const char *at = frames; *at != '\0';) {
        if (*at != ' ')
            frame_put(out, at, is_server, &pattern, frame_index++);
        at += strcspn(at, " ");
        at += strspn(at, " ");
    }
}

static void payload_show(struct buf *out, struct bytes p)
{
    bool is_text = p.len <= SHOWN_MAX, is_pattern = p.len > SHOWN_MAX;
    for (size_t i = 0; i < p.len; i++) {
        is_text = is_text && p.at[i] > ' ' && p.at[i] <= '~';
        is_pattern = is_pattern && p.at[i] == pattern_at(i);
    }
    if (is_pattern)
        buf_printf(out, "*%zu ", p.len);
    else if (is_text)
        buf_printf(out, ":%.*s ", (int)p.len, (const char *)p.at);
    else
        buf_put_byte(out, '#');
    for (size_t i = 0; !is_pattern && !is_text && i < p.len; i++)
        buf_printf(out, "%02x%s", p.at[i], i + 1 == p.len ? " " : "");
}

/* Errors and the codes that go with them. */
static const struct {
    uint16_t code;
    enum err err;
} error_codes[] = {
    {WS_CLOSE_PROTOCOL, ERR_FORMAT},
    {WS_CLOSE_UTF8, ERR_FORMAT},
    {WS_CLOSE_TOO_BIG, ERR_RANGE},
    {WS_CLOSE_POLICY, ERR_RANGE},
};

static void outcome_read(struct buf *out, const struct ws_limits *limits, bool is_server, struct bytes input,
                         size_t piece_size)
{
    struct ws_reader r;
    enum err e = ERR_AGAIN;
    uint16_t code = 0;
    ws_reader_init(&r, limits, is_server);
    if (piece_size > input.len)
        piece_size = input.len;
    uint8_t *piece = malloc(piece_size + 1); /* + 1: there may be no input */
    check(piece != NULL);
    for (size_t from = 0; from < input.len && e == ERR_AGAIN;) {
        size_t len = input.len - from < piece_size ? input.len - from : piece_size;
        uint8_t *at = piece + 1 + piece_size - len; /* to the very end, so that a sanitizer sees a step past it */
        memcpy(at, input.at + from, len);
        from += len;
        struct ws_message m;
        while ((e = ws_read(&r, &at, &len, &m, &code)) == OK) {
            buf_put_byte(out, (uint8_t) "TBIOC"[m.kind]);
            if (m.kind == WS_CLOSE)
                buf_put_int(out, m.code);
            payload_show(out, m.payload);
        }
        check(e != ERR_AGAIN || len == 0);
    }
    free(piece);
    ws_reader_release(&r);
    if (e == ERR_AGAIN) {
        buf_put_byte(out, '.');
        return;
    }
    bool is_known = false;
    for (size_t i = 0; i < COUNT_OF(error_codes); i++)
        is_known = is_known || (error_codes[i].code == code && error_codes[i].err == e);
    buf_printf(out, is_known ? "E%u" : "unknown error, code %u", code);
}

static void case_run(const char *name, struct ws_limits limits, const char *frames, const char *want)
{
    struct buf input, got;
    buf_init(&input, INPUT_MAX);
    buf_init(&got, INPUT_MAX);
    case_count++;
    for (int is_server = 0; is_server <= 1; is_server++) {
        buf_clear(&input);
        input_build(&input, frames, is_server != 0);
        check(!input.failed);
        for (size_t i = 0; i < COUNT_OF(piece_sizes); i++) {
            char row[NAME_SIZE + 64];
            buf_clear(&got);
            outcome_read(&got, &limits, is_server != 0, (struct bytes){input.at, input.len}, piece_sizes[i]);
            (void)snprintf(row, sizeof row, "%s (%s, in pieces of %zu): got %.40s", name,
                           is_server ? "server" : "client", piece_sizes[i], got.at == NULL ? "" : (char *)got.at);
            CHECK(row, str_eq(buf_str(&got), str_of(want)));
        }
    }
    buf_release(&input);
    buf_release(&got);
}

static const struct ws_limits usual = {MESSAGE_MAX, FRAGMENTS_MAX};

static const struct {
    const char *name;
    struct ws_limits limits;
    const char *frames, *want;
} rows[] = {
#define CASE(name, frames, want)                              {name, {MESSAGE_MAX, FRAGMENTS_MAX}, frames, want},
#define LIMIT(name, message_max, fragments_max, frames, want) {name, {message_max, fragments_max}, frames, want},
#include "ws_cases.def"
#undef CASE
#undef LIMIT
};

/* RFC 6455, 5.2: the first bytes that are legal outside of a message and within one; all others, of 256, are not. */
static const struct {
    uint8_t first;
    bool is_open;
    const char *want; /* of the byte and an empty payload, in the message "ab" that is being put together */
} legal_first_bytes[] = {
    {0x01, false, "."},        {0x02, false, "."},       {0x81, false, "T: ."}, {0x82, false, "B: ."},
    {0x88, false, "C1005: ."}, {0x89, false, "I: ."},    {0x8A, false, "O: ."}, {0x00, true, "."},
    {0x80, true, "T:ab ."},    {0x88, true, "C1005: ."}, {0x89, true, "I: ."},  {0x8A, true, "O: ."},
};

static void run_first_bytes(void)
{
    for (unsigned i = 0; i < 512; i++) {
        char name[NAME_SIZE], frames[32];
        bool is_open = i > 255;
        const char *want = "E1002";
        for (size_t k = 0; k < COUNT_OF(legal_first_bytes); k++)
            if (legal_first_bytes[k].first == (i & 0xFF) && legal_first_bytes[k].is_open == is_open)
                want = legal_first_bytes[k].want;
        (void)snprintf(name, sizeof name, "first byte %02x %s a message", i & 0xFF, is_open ? "within" : "outside of");
        (void)snprintf(frames, sizeof frames, "%s%02x:", is_open ? "01:ab " : "", i & 0xFF);
        case_run(name, usual, frames, want);
    }
}

static const size_t lengths[] = {0,
                                 1,
                                 2,
                                 41,
                                 124,
                                 125,
                                 126,
                                 127,
                                 128,
                                 129,
                                 255,
                                 256,
                                 257,
                                 32767,
                                 32768,
                                 65534,
                                 65535,
                                 65536,
                                 65537,
                                 65538,
                                 MESSAGE_MAX - 1,
                                 MESSAGE_MAX,
                                 MESSAGE_MAX + 1};

/* The pattern of that length, as payload_show() shows it. */
static void pattern_show(struct buf *out, size_t len)
{
    struct buf pattern;
    buf_init(&pattern, INPUT_MAX);
    for (size_t i = 0; i < len; i++)
        buf_put_byte(&pattern, pattern_at(i));
    payload_show(out, (struct bytes){pattern.at, pattern.len});
    buf_release(&pattern);
}

/* Each length as text and binary, whole, in two halves, and with an empty fragment in front. */
static void run_lengths(void)
{
    static const char *const shapes[] = {"%02x*%zu", "0%x*%zu 80*%zu", "0%x: 80*%zu"};
    for (size_t i = 0; i < COUNT_OF(lengths) * COUNT_OF(shapes) * 2; i++) {
        size_t len = lengths[i / 6], shape = i % 3;
        unsigned opcode = 1 + (unsigned)(i / 3 % 2);
        char name[NAME_SIZE], frames[64];
        if (shape == 0)
            (void)snprintf(frames, sizeof frames, "%02x*%zu", 0x80 | opcode, len);
        else if (shape == 1)
            (void)snprintf(frames, sizeof frames, "%02x*%zu 80*%zu", opcode, len / 2, len - len / 2);
        else
            (void)snprintf(frames, sizeof frames, "%02x: 80*%zu", opcode, len);
        (void)snprintf(name, sizeof name, "length %zu: %s", len, frames);
        struct buf want;
        buf_init(&want, INPUT_MAX);
        if (len > MESSAGE_MAX) {
            buf_put_lit(&want, "E1009");
        } else {
            buf_put_byte(&want, opcode == 1 ? 'T' : 'B');
            pattern_show(&want, len);
            buf_put_byte(&want, '.');
        }
        buf_put_byte(&want, '\0');
        case_run(name, usual, frames, (char *)want.at);
        buf_release(&want);
    }
}

/* 7.4: may it stand in a close frame? */
static const struct {
    uint16_t code;
    bool is_legal;
} close_codes[] = {
    {0, false},     {1, false},     {3, false},    {999, false},  {1000, true},  {1001, true},  {1002, true},
    {1003, true},   {1004, false},  {1005, false}, {1006, false}, {1007, true},  {1008, true},  {1009, true},
    {1010, true},   {1011, true},   {1012, true},  {1013, true},  {1014, true},  {1015, false}, {1016, false},
    {1017, false},  {1100, false},  {1999, false}, {2000, false}, {2999, false}, {3000, true},  {3001, true},
    {3999, true},   {4000, true},   {4321, true},  {4999, true},  {5000, false}, {9999, false}, {32768, false},
    {59395, false}, {65535, false},
};

static void run_close_codes(void)
{
    static const char *const reasons[] = {"", "6f6b"};
    for (size_t i = 0; i < COUNT_OF(close_codes) * COUNT_OF(reasons); i++) {
        unsigned code = close_codes[i / 2].code;
        char name[NAME_SIZE], frames[32], want[32];
        (void)snprintf(name, sizeof name, "close code %u %s a reason", code, i % 2 == 0 ? "without" : "with");
        (void)snprintf(frames, sizeof frames, "88#%04x%s", code, reasons[i % 2]);
        (void)snprintf(want, sizeof want, "C%u:%s .", code, i % 2 == 0 ? "" : "ok");
        case_run(name, usual, frames, close_codes[i / 2].is_legal ? want : "E1002");
    }
}

/* RFC 3629: sequences in hex, and how many of their bytes are good; all of them: valid. */
static const struct {
    const char *hex;
    bool is_valid;
} sequences[] = {
    {"00", true},           {"7f", true},
    {"c280", true},         {"dfbf", true},
    {"e0a080", true},       {"e0bfbf", true},
    {"e18080", true},       {"ecbfbf", true},
    {"ed8080", true},       {"ed9fbf", true},
    {"ee8080", true},       {"efbfbd", true},
    {"efbfbf", true},       {"f0908080", true},
    {"f0bfbfbf", true},     {"f1808080", true},
    {"f3bfbfbf", true},     {"f4808080", true},
    {"f48fbfbf", true},     {"cebae1bdb9cf83cebcceb5", true},
    {"e59bbde6a087", true}, {"f09f948cf09f9a97", true},
    {"c3a9", true},         {"f1bfbfbf", true},
    {"80", false},          {"bf", false},
    {"8080", false},        {"c0", false},
    {"c080", false},        {"c0af", false},
    {"c1bf", false},        {"c2", false},
    {"c200", false},        {"c27f", false},
    {"c2c0", false},        {"df", false},
    {"e080", false},        {"e08080", false},
    {"e09fbf", false},      {"e0a0", false},
    {"e0a07f", false},      {"e0a0c0", false},
    {"e18000", false},      {"e180", false},
    {"eda080", false},      {"edadbf", false},
    {"edbfbf", false},      {"eda080edb080", false},
    {"ef", false},          {"efbf", false},
    {"efbf41", false},      {"f080", false},
    {"f0808080", false},    {"f08fbfbf", false},
    {"f09080", false},      {"f0908041", false},
    {"f0", false},          {"f1", false},
    {"f180", false},        {"f18080", false},
    {"f4908080", false},    {"f4bfbfbf", false},
    {"f5808080", false},    {"f7bfbfbf", false},
    {"f888808080", false},  {"fc8480808080", false},
    {"fe", false},          {"ff", false},
    {"fefeffff", false},    {"c3a9c3", false},
    {"e59bbde6a0", false},  {"cebae1bdb9cf83cebcceb5eda080", false},
};

/* Each sequence alone; behind 1 to 9 letters (the step of 8 bytes); before letters; and cut in two fragments at each
 * byte. */
static void run_sequences(void)
{
    char name[NAME_SIZE], frames[NAME_SIZE], want[NAME_SIZE];
    static const char letters[] = "616263646566676869";
    for (size_t i = 0; i < COUNT_OF(sequences); i++) {
        const char *hex = sequences[i].hex;
        for (int before = 0; before <= 9; before += before < 7 ? 7 : 1) {
            (void)snprintf(name, sizeof name, "UTF-8 %s behind %d letters", hex, before);
            (void)snprintf(frames, sizeof frames, "81#%.*s%s", 2 * before, letters, hex);
            (void)snprintf(want, sizeof want, "T#%.*s%s .", 2 * before, letters, hex);
            case_run(name, usual, frames, sequences[i].is_valid ? want : "E1007");
        }
        (void)snprintf(name, sizeof name, "UTF-8 %s before letters", hex);
        (void)snprintf(frames, sizeof frames, "81#%s%s", hex, letters);
        (void)snprintf(want, sizeof want, "T#%s%s .", hex, letters);
        case_run(name, usual, frames, sequences[i].is_valid ? want : "E1007");
        for (int cut = 2; cut < (int)strlen(hex); cut += 2) {
            (void)snprintf(name, sizeof name, "UTF-8 %s in two fragments, the first of %d", hex, cut / 2);
            (void)snprintf(frames, sizeof frames, "01#%.*s 80#%s", cut, hex, hex + cut);
            (void)snprintf(want, sizeof want, "T#%s .", hex);
            case_run(name, usual, frames, sequences[i].is_valid ? want : "E1007");
        }
    }
}

/* The first bad byte of a text, and that the refusal comes with it though frame and message go on for long. */
static const struct {
    const char *good, *bad;
} first_bad[] = {
    {"", "80"},
    {"", "ff"},
    {"61", "c0"},
    {"c2", "41"},
    {"e0", "9f"},
    {"e0a0", "41"},
    {"ed", "a0"},
    {"f0", "8f"},
    {"f4", "90"},
    {"f09f9a", "c2"},
    {"6162636465666768", "80"},
    {"e794b5e6a1", "28"},
    {"f48fbf", "ff"},
    {"616263646566676869c3", "c3"},
};

static void run_first_bad(void)
{
    for (size_t i = 0; i < COUNT_OF(first_bad) * 2; i++) {
        char name[NAME_SIZE], input[NAME_SIZE];
        const char *good = first_bad[i / 2].good, *bad = first_bad[i / 2].bad;
        bool has_bad = i % 2 != 0;
        /* A client's reader takes what is raw; that masking changes nothing is shown by all other cases. */
        (void)snprintf(input, sizeof input, "=017d%s%s", good, has_bad ? bad : "");
        (void)snprintf(name, sizeof name, "%s %s %s", good,
                       has_bad ? "is refused at the byte" : "may still become good without", bad);
        struct buf raw, got;
        buf_init(&raw, INPUT_MAX);
        buf_init(&got, INPUT_MAX);
        input_build(&raw, input, false);
        case_count++;
        for (size_t k = 0; k < COUNT_OF(piece_sizes); k++) {
            buf_clear(&got);
            outcome_read(&got, &usual, false, (struct bytes){raw.at, raw.len}, piece_sizes[k]);
            CHECK(name, str_eq(buf_str(&got), has_bad ? STR("E1007") : STR(".")));
        }
        buf_release(&raw);
        buf_release(&got);
    }
}

int main(void)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        case_run(rows[i].name, rows[i].limits, rows[i].frames, rows[i].want);
    unsigned by_hand = case_count;
    run_first_bytes();
    run_lengths();
    run_close_codes();
    run_sequences();
    run_first_bad();
    (void)printf("%u cases (%u by hand), each as server and client and cut in %zu ways\n", case_count, by_hand,
                 COUNT_OF(piece_sizes));
    CHECK("there are enough cases", case_count >= CASES_MIN);
    return CHECK_REPORT();
}
