/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * synth MIB [fill|counter|random [PER-CHUNK [ZERO-PERCENT [AGAIN]]]]: a
 * migration stream of that much RAM to standard output; see synth_stream.h for
 * what the numbers are.  Without them: fill 256 0 0.
 */
#include "tests/tool/synth_stream.h"

#include <stdlib.h>
#include <unistd.h>

static bool put(void *arg, const void *bytes, size_t len)
{
        const char *p = bytes;
        ssize_t n;

        (void)arg;
        for (; len; p += n, len -= (size_t)n)
                if ((n = write(STDOUT_FILENO, p, len)) <= 0)
                        return false;
        return true;
}

static int usage(void)
{
        fputs("usage: synth MIB [fill|counter|random [PER-CHUNK "
              "[ZERO-PERCENT [AGAIN]]]]\n",
              stderr);
        return 2;
}

static bool number(const char *word, uint64_t *out)
{
        char *end;

        *out = strtoull(word, &end, 10);
        return end != word && *end == '\0';
}

int main(int argc, char **argv)
{
        static const char *const contents[] = {"fill", "counter", "random"};
        static struct synth s = {.per_chunk = SYNTH_PER_CHUNK, .put = put};
        uint64_t *const numbers[] = {&s.per_chunk, &s.zero_percent, &s.again};
        unsigned content = 0;

        if (argc < 2 || argc > 6 || !number(argv[1], &s.ram) || s.ram == 0)
                return usage();
        s.ram *= CHUNK_SIZE;
        while (argc > 2 && strcmp(argv[2], contents[content]) != 0)
                if (++content == 3)
                        return usage();
        s.content = (enum synth_content)content;
        for (int i = 3; i < argc; i++)
                if (!number(argv[i], numbers[i - 3]))
                        return usage();
        if (!synth_stream(&s)) {
                perror("synth");
                return 1;
        }
        return 0;
}
