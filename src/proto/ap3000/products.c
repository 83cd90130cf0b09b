/* products.c - which product a pile or a host is. */
#include "proto/ap3000/frames.h"

#define ABSENT     AP3000_TYPE_ABSENT
#define TYPES(...) {__VA_ARGS__}, sizeof((uint16_t[]){__VA_ARGS__}) / sizeof(uint16_t)
#define CODES(...) {__VA_ARGS__}, sizeof((uint8_t[]){__VA_ARGS__})
const struct ap3000_product ap3000_products[] = {
#define PILE(name, types, codes, major, upgrade, request, packet_size) \
    {name, types, codes, major, upgrade, request, packet_size},
#define HOST(name, types, major, upgrade, request, packet_size) \
    {name, types, {0}, 0, major, upgrade, request, packet_size},
#include "proto/ap3000/products.def"
};
const size_t ap3000_product_count = COUNT_OF(ap3000_products);

static bool has_type(const struct ap3000_product *p, uint16_t type)
{
    for (size_t i = 0; i < p->type_count; i++)
        if (p->types[i] == type)
            return true;
    return false;
}

static bool has_code(const struct ap3000_product *p, uint8_t code)
{
    for (size_t i = 0; i < p->code_count; i++)
        if (p->codes[i] == code)
            return true;
    return false;
}

const struct ap3000_product *ap3000_pile_find(uint16_t type, uint8_t code, uint16_t firmware)
{
    for (size_t i = 0; i < ap3000_product_count; i++) {
        const struct ap3000_product *p = &ap3000_products[i];
        if (p->major == firmware / 100 && has_type(p, type) && has_code(p, code))
            return p;
    }
    return NULL;
}

const struct ap3000_product *ap3000_host_find(uint16_t type, uint16_t firmware)
{
    for (size_t i = 0; i < ap3000_product_count; i++) {
        const struct ap3000_product *p = &ap3000_products[i];
        if (p->code_count == 0 && p->major == firmware / 100 && has_type(p, type))
            return p;
    }
    return NULL;
}
