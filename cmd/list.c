/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/cleanup.h"
#include "base/text.h"
#include "cmd/commands.h"
#include "cmd/common.h"
#include "format/digest.h"
#include "restore/inspect.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

struct options {
        bool chunks, json;
};

static const struct option table[] = {
        {
                .name = "chunks",
                .kind = OPTION_FLAG,
                .offset = offsetof(struct options, chunks),
                .help = "list each chunk: its place in the file, stored and "
                        "raw bytes, digest of the raw bytes, name",
        },
        CMD_OPTION_JSON(struct options),
        {0},
};

/* Printed while the index is walked: a list of them would grow with RAM. */
static bool print_chunk(void *arg, const struct index_entry *e,
                        const struct name *n, struct err *err)
{
        char shown[1024], digest[DIGEST_HEX];

        (void)arg;
        (void)n;
        (void)err;
        printf("%#14" PRIx64 " %8" PRIu64 " %8" PRIu64 " %s %s\n",
               e->data_offset, e->stored_len, e->raw_len,
               digest_hex(e->raw_digest, digest),
               text_escape(e->name, shown, sizeof shown));
        return true;
}

/* One JSON object a line, for the same reason. */
static bool print_chunk_json(void *arg, const struct index_entry *e,
                             const struct name *n, struct err *err)
{
        char shown[1024], stored[DIGEST_HEX], raw[DIGEST_HEX];
        json_t *j = json_pack("{s:s, s:I, s:I, s:I, s:I, s:s, s:s}", "name",
                              text_escape(e->name, shown, sizeof shown),
                              "address", (json_int_t)n->address, "offset",
                              (json_int_t)e->data_offset, "stored_bytes",
                              (json_int_t)e->stored_len, "raw_bytes",
                              (json_int_t)e->raw_len, "stored_digest",
                              digest_hex(e->stored_digest, stored),
                              "raw_digest", digest_hex(e->raw_digest, raw));

        (void)arg;
        if (!j)
                return err_nomem(err);
        json_dumpf(j, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(j);
        return true;
}

static void print_row(const char *kind, uint64_t chunks, uint64_t raw,
                      uint64_t stored, const char *name)
{
        char shown[512], a[32], b[32];

        printf("%-7s %8" PRIu64 " %12s %12s  %s\n", kind, chunks,
               text_bytes(raw, a, sizeof a), text_bytes(stored, b, sizeof b),
               text_escape(name, shown, sizeof shown));
}

static const char *kind_of(const struct group *g)
{
        return g->class == NAME_DISK ? "disk" : "stream";
}

/* "000034.full.timer" of "stream/000034.full.timer". */
static const char *base_of(const struct group *g)
{
        const char *slash = strchr(g->dir, '/');

        return slash ? slash + 1 : g->dir;
}

static void print_table(const struct inspection *in)
{
        printf("%-7s %8s %12s %12s  %s\n", "kind", "chunks", "raw", "stored",
               "name");
        for (size_t i = 0; i < in->blocks.count; i++) {
                const struct block *b = &in->blocks.list[i];

                print_row("ram", b->chunks, b->raw_bytes, b->stored_bytes,
                          b->name);
        }
        for (size_t i = 0; i < in->count; i++)
                print_row(kind_of(&in->groups[i]), in->groups[i].chunks,
                          in->groups[i].raw_bytes, in->groups[i].stored_bytes,
                          base_of(&in->groups[i]));
        if (in->waste_bytes)
                print_row("waste", 0, 0, in->waste_bytes,
                          "(RAM chunks that came again)");
}

static json_t *describe_block(const struct block *b)
{
        return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "name",
                         b->name, "dir", b->dir, "size", (json_int_t)b->size,
                         "chunks", (json_int_t)b->chunks, "raw_bytes",
                         (json_int_t)b->raw_bytes, "stored_bytes",
                         (json_int_t)b->stored_bytes, "replaced_chunks",
                         (json_int_t)b->replaced, "replaced_bytes",
                         (json_int_t)b->replaced_bytes);
}

static json_t *describe(const struct inspection *in)
{
        json_t *ram = json_array(), *disks = json_array(),
               *stream = json_array();

        for (size_t i = 0; i < in->blocks.count; i++)
                json_array_append_new(ram, describe_block(&in->blocks.list[i]));
        for (size_t i = 0; i < in->count; i++) {
                const struct group *g = &in->groups[i];

                json_array_append_new(
                        g->class == NAME_DISK ? disks : stream,
                        json_pack("{s:s, s:I, s:I, s:I}", "dir", g->dir,
                                  "chunks", (json_int_t)g->chunks, "raw_bytes",
                                  (json_int_t)g->raw_bytes, "stored_bytes",
                                  (json_int_t)g->stored_bytes));
        }
        return json_pack("{s:o, s:o, s:o, s:I}", "ram", ram, "disks", disks,
                         "stream", stream, "waste_bytes",
                         (json_int_t)in->waste_bytes);
}

static bool list(const char *operand, const struct options *o, struct err *err)
{
        inspect_chunk *each = o->json ? print_chunk_json : print_chunk;
        struct inspection in = {0};
        struct reader *r = NULL;
        CLEANUP_FD int fd = -1;
        const char *name;
        bool ok;

        TRY(cmd_open_input(operand, &fd, &name, err));
        ok = reader_open(fd, name, &(struct reader_options){0}, &r, err) &&
             inspect_run(r, o->chunks ? each : NULL, NULL, &in, err);
        if (ok && !o->chunks && o->json)
                ok = cmd_print_json(describe(&in), err);
        else if (ok && !o->chunks)
                print_table(&in);
        inspection_fini(&in);
        reader_close(r);
        return ok ? cmd_flush(err) : err_in_file(err, name);
}

static int run(const struct command *self, int argc, char **argv)
{
        struct options o = {0};
        struct operands operands;
        struct err err = ERR_INIT;
        int code;

        if (!cmd_parse(self, argc, argv, &o, &operands, &code))
                return code;
        if (!list(operands.items[0], &o, &err))
                return cmd_fail(self, &err);
        return 0;
}

static const char *const examples[] = {
        "stasis list web01.stasis",
        "stasis list --chunks web01.stasis",
        NULL,
};

const struct command cmd_list = {
        .name = "list",
        .summary = "list what a snapshot holds: RAMBlocks, stream items, disks",
        .usage = "[OPTION...] FILE",
        .examples = examples,
        .options = table,
        .operands_min = 1,
        .operands_max = 1,
        .run = run,
};
