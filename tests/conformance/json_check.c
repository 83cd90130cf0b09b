/* json-check: texts on standard input, each after its length in four bytes (big-endian); for each one letter on
 * standard output, A accepted or R rejected by json_check. For a peer in another language to compare with
 * (test_json_python.py). */
#include "base/json.h"
#include <stdio.h>
#include <stdlib.h>

#define TEXT_SIZE_MAX (1u << 20)

int main(void)
{
    uint8_t head[4];
    while (fread(head, 1, sizeof head, stdin) == sizeof head) {
        size_t len = be32(head);
        char *text = len > TEXT_SIZE_MAX ? NULL : malloc(len + 1);
        if (text == NULL || fread(text, 1, len, stdin) != len) {
            (void)fprintf(stderr, "json-check: a text of %zu bytes is too long or cut\n", len);
            free(text);
            return 1;
        }
        (void)putchar(json_check((struct str){text, len}, NULL) == OK ? 'A' : 'R');
        free(text);
    }
    return fflush(stdout) == 0 ? 0 : 1;
}
