/* clang-format off */
/* schema/expand.h - what the lines of a .def file become. Include it after defining SCHEMA_STRUCTS (in a header: the
 * struct types, and one extern table a message) or SCHEMA_TABLES (in one .c file: the tables), then include the .def
 * file, which ends by including schema/expand_end.h. No include guard: it is meant to be read more than once.
 *
 * Lines of a .def file:
 *   CHOICES(name, WORD("A") WORD("B"))                       a list of words; its index order is the order here
 *   CHOICES(name, NAMED(A, "A") NAMED(B, "B"))               the same, and A, B are its enum constants: the indexes
 *   MESSAGE(name, "Title")
 *   FIELD(name, KIND, member, "wire", PRESENCE, limit)       STR (most characters), INTEGER, INT32 (least value),
 *                                                            DECIMAL (most digits after the point, 0 any), STRS
 *                                                            (characters each); 0 for BOOLEAN, TIME, ANY
 *   CHOICE(name, choices, member, "wire", PRESENCE)
 *   OPEN_CHOICE(name, choices, member, "wire", PRESENCE)     a list that others extend: only STRICT refuses other words
 *   PART(name, part, member, "wire", PRESENCE)               an object of another message, declared before
 *   LIST(name, part, member, "wire", PRESENCE, least)        a list of them, at least so many items
 *   END(name)
 *   EMPTY(name, "Title")                                     a message without fields                               */
#if defined(SCHEMA_STRUCTS)
#define TYPE_STR              struct str
#define TYPE_INTEGER          struct integer
#define TYPE_INT32            struct integer
#define TYPE_DECIMAL          struct str
#define TYPE_BOOLEAN          struct boolean
#define TYPE_TIME             struct stamp
#define TYPE_STRS             struct str_list
#define TYPE_ANY              struct str
#define WORD(literal)
#define NAMED(constant, literal) constant,
#define CHOICES(name, ...)                                                                                             \
    enum name##_index { name##_none = -1, __VA_ARGS__ };                                                               \
    extern const struct choice_list name##_choices;
#define MESSAGE(name, title)  struct name {
#define FIELD(m, kind, member, wire, presence, most)  TYPE_##kind member;
#define CHOICE(m, choices, member, wire, presence)    struct word member;
#define OPEN_CHOICE(m, choices, member, wire, presence) CHOICE(m, choices, member, wire, presence)
#define PART(m, part, member, wire, presence)         struct part *member;
#define LIST(m, part, member, wire, presence, least)  struct part##_list member;
#define END(name)             };                                                                                       \
    struct name##_list {                                                                                               \
        struct name *at;                                                                                               \
        size_t count;                                                                                                  \
    };                                                                                                                 \
    extern const struct message name##_message;
/* C has no struct without members. */
#define EMPTY(name, title)    MESSAGE(name, title) char nothing; END(name)
#elif defined(SCHEMA_TABLES)
#define WORD(literal)         {(literal), sizeof(literal) - 1},
#define NAMED(constant, literal) WORD(literal)
#define CHOICES(name, ...)                                                                                             \
    static const struct str name##_words[] = {__VA_ARGS__};                                                            \
    const struct choice_list name##_choices = {#name, name##_words, (int)COUNT_OF(name##_words)};
#define MESSAGE(name, title)                                                                                           \
    static const char name##_title[] = title;                                                                          \
    static const struct field name##_fields[] = {
#define WIRE(literal)         {(literal), sizeof(literal) - 1}, {"\"" literal "\":", sizeof(literal) + 2}
#define IS_NUMBER(kind)       (KIND_##kind == KIND_INTEGER || KIND_##kind == KIND_INT32)
#define FIELD(m, kind, member, wire, presence, limit)                                                                  \
    {WIRE(wire), #member, KIND_##kind, presence, offsetof(struct m, member),                                           \
     IS_NUMBER(kind) ? (limit) : 0,                                                                                    \
     KIND_##kind == KIND_INTEGER ? INT64_MAX : IS_NUMBER(kind) ? INT32_MAX : (limit),                                  \
     NULL, NULL, false},
#define CHOICE(m, choices, member, wire, presence)                                                                     \
    {WIRE(wire), #member, KIND_CHOICE, presence, offsetof(struct m, member), 0, 0, &choices##_choices, NULL, false},
#define OPEN_CHOICE(m, choices, member, wire, presence)                                                                \
    {WIRE(wire), #member, KIND_CHOICE, presence, offsetof(struct m, member), 0, 0, &choices##_choices, NULL, true},
#define PART(m, part, member, wire, presence)                                                                          \
    {WIRE(wire), #member, KIND_PART, presence, offsetof(struct m, member), 0, 0, NULL, &part##_message, false},
#define LIST(m, part, member, wire, presence, least)                                                                   \
    {WIRE(wire), #member, KIND_LIST, presence, offsetof(struct m, member), least, 0, NULL, &part##_message, false},
#define END(name)             {{NULL, 0}, {NULL, 0}, NULL, KIND_ANY, OPTIONAL, 0, 0, 0, NULL, NULL, false}};           \
    const struct message name##_message = {name##_title, name##_fields, COUNT_OF(name##_fields) - 1,                   \
                                           sizeof(struct name)};
#define EMPTY(name, title)    MESSAGE(name, title) END(name)
#else
#error "say SCHEMA_STRUCTS or SCHEMA_TABLES first"
#endif
