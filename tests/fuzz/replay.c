/* Feeds every file of the folder named on the command line to a fuzz target, then every prefix of the small ones: what a
 * fuzzer found once is tried in every run. An empty or missing folder fails: a corpus that is not there tests nothing. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_SIZE_MAX   (1 << 22)
#define PREFIX_SIZE_MAX 512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned replay_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        return 0;
    uint8_t *all = malloc(FILE_SIZE_MAX);
    size_t size = all == NULL ? 0 : fread(all, 1, FILE_SIZE_MAX, f);
    (void)fclose(f);
    for (size_t n = size <= PREFIX_SIZE_MAX ? 0 : size; n <= size; n++) {
        uint8_t *exact = malloc(n + 1); /* a copy of its own, so that the sanitizer sees the very end */
        if (exact == NULL)
            break;
        uint8_t *at_end = exact + 1; /* odd address: nothing may rely on alignment */
        memcpy(at_end, all, n);
        (void)LLVMFuzzerTestOneInput(at_end, n);
        free(exact);
    }
    free(all);
    return 1;
}

int main(int argc, char **argv)
{
    unsigned count = 0;
    DIR *d = argc == 2 ? opendir(argv[1]) : NULL;
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        char path[4096];
        if (e->d_name[0] == '.')
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", argv[1], e->d_name);
        count += replay_file(path);
    }
    if (d != NULL)
        (void)closedir(d);
    (void)printf("%u passed, %u failed\n", count, count == 0);
    return count == 0;
}
