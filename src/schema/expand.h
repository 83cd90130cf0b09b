/* schema/expand.h - what the lines of a .def file become. Include it after defining SCHEMA_STRUCTS (in a header: the struct
 * types, and one extern table a message) or SCHEMA_TABLES (in one .c file: the tables), then include the .def file, which
 * ends by including schema/expand_end.h. No include guard: it is meant to be read more than once.
 *
 * Lines of a .def file:
 *   CHOICES(name, WORD("A") WORD("B"))                         a list of words; its index order is the order here
 *   MESSAGE(name, "Title")
 *   FIELD(name, KIND, member, "wire", PRESENCE, most)          STR (most characters), INTEGER, INT32 (least value), DECIMAL,
 *                                                              BOOLEAN, TIME, STRS (characters each), ANY
 *   CHOICE(name, choices, member, "wire", PRESENCE)
 *   PART(name, part, member, "wire", PRESENCE)                 an object of another message, declared before
 *   LIST(name, part, member, "wire", PRESENCE, least)          a list of them, at least so many items
 *   END(name)                                                                                                          */
#if defined(SCHEMA_STRUCTS)
#define TYPE_STR              struct str
#define TYPE_INTEGER          struct integer
#define TYPE_INT32            struct integer
#define TYPE_DECIMAL          struct str
#define TYPE_BOOLEAN          struct boolean
#define TYPE_TIME             struct stamp
#define TYPE_STRS             struct str_list
#define TYPE_ANY              struct str
#define CHOICES(name, ...)    extern const struct choice_list name##_choices;
#define MESSAGE(name, title)  struct name {
#define FIELD(m, kind, member, wire, presence, most)  TYPE_##kind member;
#define CHOICE(m, choices, member, wire, presence)    struct word member;
#define PART(m, part, member, wire, presence)         struct part *member;
#define LIST(m, part, member, wire, presence, least)  struct part##_list member;
#define END(name)             };                                                                                       \
    struct name##_list {                                                                                               \
        struct name *at;                                                                                               \
        size_t count;                                                                                                  \
    };                                                                                                                 \
    extern const struct message name##_message;
#elif defined(SCHEMA_TABLES)
#define WORD(literal)         {(literal), sizeof(literal) - 1},
#define CHOICES(name, ...)                                                                                             \
    static const struct str name##_words[] = {__VA_ARGS__};                                                            \
    const struct choice_list name##_choices = {#name, name##_words, (int)COUNT_OF(name##_words)};
#define MESSAGE(name, title)                                                                                           \
    static const char name##_title[] = title;                                                                          \
    static const struct field name##_fields[] = {
#define WIRE(literal)         {(literal), sizeof(literal) - 1}
#define IS_NUMBER(kind)       (KIND_##kind == KIND_INTEGER || KIND_##kind == KIND_INT32)
#define FIELD(m, kind, member, wire, presence, limit)                                                                  \
    {WIRE(wire), #member, KIND_##kind, presence, offsetof(struct m, member),                                           \
     IS_NUMBER(kind) ? (limit) : 0, KIND_##kind == KIND_INTEGER ? INT64_MAX : IS_NUMBER(kind) ? INT32_MAX : (limit),    \
     NULL, NULL},
#define CHOICE(m, choices, member, wire, presence)                                                                     \
    {WIRE(wire), #member, KIND_CHOICE, presence, offsetof(struct m, member), 0, 0, &choices##_choices, NULL},
#define PART(m, part, member, wire, presence)                                                                          \
    {WIRE(wire), #member, KIND_PART, presence, offsetof(struct m, member), 0, 0, NULL, &part##_message},
#define LIST(m, part, member, wire, presence, least)                                                                   \
    {WIRE(wire), #member, KIND_LIST, presence, offsetof(struct m, member), least, 0, NULL, &part##_message},
#define END(name)             {{NULL, 0}, NULL, KIND_ANY, OPTIONAL, 0, 0, 0, NULL, NULL}};                             \
    const struct message name##_message = {name##_title, name##_fields, COUNT_OF(name##_fields) - 1, sizeof(struct name)};
#else
#error "say SCHEMA_STRUCTS or SCHEMA_TABLES first"
#endif
