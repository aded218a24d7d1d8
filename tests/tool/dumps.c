/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dumps SRC DST: two files of -dump-vmstate compared; a line each
 *      KIND tab SECTION tab VMSD tab FIELD tab SRC tab DST
 *      ("-" for what there is not)
 * dumps DUMP VMDESC: a dump, and the description of a stream's devices; the
 *      same, and "unknown tab VMSD" for what the dump does not know
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "qemu/dump.h"
#include "qemu/fields.h"

static uint8_t *contents(const char *path, size_t *len_out)
{
        size_t room = 64 << 20;
        uint8_t *bytes = malloc(room);
        FILE *f = fopen(path, "rb");

        if (!bytes || !f) {
                perror(path);
                exit(1);
        }
        *len_out = fread(bytes, 1, room, f);
        fclose(f);
        return bytes;
}

static int fail(const struct err *err)
{
        char line[1536];

        fprintf(stderr, "dumps: %s\n", err_line(err, line, sizeof line));
        return 1;
}

static const char *word(const char *s)
{
        return *s ? s : "-";
}

static void tell(void *arg, const struct dump_finding *f)
{
        (void)arg;
        printf("%s\t%s\t%s\t%s\t%s\t%s\n", dump_words(f->kind), f->section,
               word(f->vmsd), word(f->field), word(f->src), word(f->dst));
}

static int check(const struct dump *d, const uint8_t *json, size_t len)
{
        struct err err = ERR_INIT;
        json_t *vmdesc = NULL;
        const json_t *device;
        size_t i;

        if (!fields_parse(json, len, &vmdesc, &err))
                return fail(&err);
        json_array_foreach(json_object_get(vmdesc, "devices"), i, device)
        {
                const char *vmsd = json_word(device, "vmsd_name");

                if (!dump_check(d, vmsd, device, tell, NULL))
                        printf("unknown\t%s\n", word(vmsd));
        }
        json_decref(vmdesc);
        return 0;
}

int main(int argc, char **argv)
{
        struct dump *src = NULL, *dst = NULL;
        struct err err = ERR_INIT, other = ERR_INIT;
        size_t src_len, dst_len;
        uint8_t *a, *b;
        int status = 0;

        if (argc != 3)
                return 2;
        a = contents(argv[1], &src_len);
        b = contents(argv[2], &dst_len);
        if (!dump_parse(a, src_len, &src, &err))
                return fail(&err);
        if (dump_parse(b, dst_len, &dst, &other))
                dump_compare(src, dst, tell, NULL);
        else
                status = check(src, b, dst_len);
        dump_free(src);
        dump_free(dst);
        free(a);
        free(b);
        return status;
}
