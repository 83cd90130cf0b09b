/* clang-format off */
/* proto/ap3000/rows.h - what the lines of frames.def become. Include it after defining AP3000_STRUCTS, AP3000_INDEXES (in
 * proto/ap3000/frames.h) or AP3000_TABLES (in frames.c), then include frames.def, which ends by including rows_end.h. No include
 * guard: it is meant to be read more than once. */
#define CTYPE_U8  uint8_t
#define CTYPE_U16 uint16_t
#define CTYPE_U32 uint32_t
#define SIZE_U8   1
#define SIZE_U16  2
#define SIZE_U32  4
#if defined(AP3000_STRUCTS)
#define LAYOUT(l)     struct ap3000_##l { struct ap3000_tail tail;
#define ROW(l, declaration, key, kind, size, longest, unit, presence, list, part, count, text) declaration;
#define END(l)        }; extern const struct ap3000_layout ap3000_##l##_layout;
#define FRAME(command, direction, layout, manner, name, section)
#elif defined(AP3000_INDEXES)
#define LAYOUT(l)     enum ap3000_##l##_index {
#define ROW(l, declaration, key, kind, size, longest, unit, presence, list, part, count, text) AP3000_IN_##l##_##key,
#define END(l)        AP3000_IN_##l##_COUNT };
#define FRAME(command, direction, layout, manner, name, section)
#elif defined(AP3000_TABLES)
#define LAYOUT(l)     static const struct ap3000_field l##_fields[] = {
#define ROW(l, declaration, key, kind, size, longest, unit, presence, list, part, count, text)                           \
    {#key, text, AP3000_##kind, AP3000_IS_##unit, AP3000_##presence, count, size, longest,                               \
     offsetof(struct ap3000_##l, key), list, part},
/* The line that is left out of the count is there because an array has one at least. */
#define END(l)        {NULL, NULL, AP3000_REST, AP3000_IS_PLAIN, AP3000_OPTIONAL, NO_COUNT, 0, 0, 0, NULL, NULL}};       \
    const struct ap3000_layout ap3000_##l##_layout = {#l, l##_fields, AP3000_IN_##l##_COUNT, sizeof(struct ap3000_##l)};
#define FRAME(command, direction, layout, manner, name, section)
#elif defined(AP3000_COMMANDS)
#define LAYOUT(l)
#define ROW(l, declaration, key, kind, size, longest, unit, presence, list, part, count, text)
#define END(l)
#define FRAME(command, direction, layout, manner, name, section)                                                        \
    [AP3000_##direction][command] = {name, section, AP3000_##manner, &ap3000_##layout##_layout},
#else
#error "say AP3000_STRUCTS, AP3000_INDEXES, AP3000_TABLES or AP3000_COMMANDS first"
#endif
#define NO_COUNT      (-1)
#define COUNT_IN(l, count) AP3000_IN_##l##_##count
#define NUMBER(l, kind, key, unit, presence, text)                                                                      \
    ROW(l, CTYPE_##kind key, key, NUMBER, SIZE_##kind, 0, unit, presence, NULL, NULL, NO_COUNT, text)
#define CHOICE(l, list, key, presence, text)                                                                            \
    ROW(l, uint8_t key, key, NUMBER, 1, 0, PLAIN, presence, &ap3000_##list##_list, NULL, NO_COUNT, text)
#define FLAGS(l, list, key, presence, text) CHOICE(l, list, key, presence, text)
#define OCTETS(l, size, key, unit, presence, text)                                                                      \
    ROW(l, uint8_t key[size], key, OCTETS, size, 0, unit, presence, NULL, NULL, NO_COUNT, text)
#define CHUNK(l, size, key, presence, text)                                                                             \
    ROW(l, struct bytes key, key, CHUNK, size, 0, PLAIN, presence, NULL, NULL, NO_COUNT, text)
#define TEXT(l, size, longest, key, presence, text)                                                                     \
    ROW(l, struct str key, key, TEXT, size, longest, PLAIN, presence, NULL, NULL, NO_COUNT, text)
#define NUMBERS(l, kind, key, count, unit, presence, text)                                                              \
    ROW(l, struct bytes key, key, NUMBERS, SIZE_##kind, 0, unit, presence, NULL, NULL, COUNT_IN(l, count), text)
#define CHOICES(l, list, key, count, presence, text)                                                                    \
    ROW(l, struct bytes key, key, NUMBERS, 1, 0, PLAIN, presence, &ap3000_##list##_list, NULL, COUNT_IN(l, count), text)
#define COUNTED(l, key, count, presence, text)                                                                          \
    ROW(l, struct bytes key, key, COUNTED, 1, 0, PLAIN, presence, NULL, NULL, COUNT_IN(l, count), text)
#define PARTS(l, part, key, count, presence, text)                                                                      \
    ROW(l, struct bytes key, key, PARTS, part##_SIZE, 0, PLAIN, presence, NULL, &ap3000_##part##_layout,                   \
        COUNT_IN(l, count), text)
#define REST(l, key, text)                                                                                              \
    ROW(l, struct bytes key, key, REST, 0, 0, PLAIN, REQUIRED, NULL, NULL, NO_COUNT, text)
/* What a part has on the wire; a test compares it with its fields. */
#define slave_SIZE 8
