/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/stream.h"

#include "base/cleanup.h"
#include "base/emit.h"
#include "base/text.h"
#include "qemu/stream_private.h"

#include <assert.h>
#include <string.h>

/* Device state in memory; more goes to the spool's file. */
#define TAIL_MEMORY (16 * MiB)

bool stream_new(struct source *source, const struct stream_events *events,
                const struct stream_options *options, struct stream **out,
                struct err *err)
{
        struct stream *s = calloc(1, sizeof *s);

        if (!s)
                return err_nomem(err);
        s->source = source;
        s->events = *events;
        s->options = *options;
        s->last_block = -1;
        s->split = "";
        if (!spool_new(options->spool_dir, TAIL_MEMORY, &s->spool, err)) {
                stream_free(s);
                return false;
        }
        *out = s;
        return true;
}

void stream_free(struct stream *s)
{
        if (!s)
                return;
        ram_blocks_fini(&s->ram);
        spool_free(s->spool);
        free(s);
}

const char *stream_machine(const struct stream *s)
{
        return s->config.machine;
}

uint32_t stream_page_size(const struct stream *s)
{
        return s->page_size;
}

bool stream_has_footers(const struct stream *s)
{
        return s->footers == FOOTERS_ON;
}

const char *stream_split(const struct stream *s)
{
        return s->split;
}

bool stream_saw_multifd(const struct stream *s)
{
        return s->multifd;
}

uint64_t stream_trailing(const struct stream *s)
{
        return s->trailing;
}

bool stream_view(struct stream *s, size_t n, const uint8_t **p, struct err *err)
{
        size_t len;

        return source_need(s->source, n, p, &len, err);
}

bool stream_fail(struct stream *s, struct err *err, enum status status,
                 const char *section, const char *fmt, ...)
{
        char shown[300];
        va_list ap;

        va_start(ap, fmt);
        err_setv(err, status, fmt, ap);
        va_end(ap);
        err_at(err, source_offset(s->source));
        return err_in_section(err, text_escape(section, shown, sizeof shown));
}

/*
 * Parses a structure of unknown length from the view, asking for more as long
 * as it is cut short; *len_out: its length.  Nothing is taken.
 */
static bool parse(struct stream *s, const char *section,
                  bool (*fn)(struct stream *s, struct cursor *c, void *out),
                  void *out, size_t *len_out, struct err *err)
{
        size_t need = 1;

        for (;;) {
                struct err local = ERR_INIT;
                struct cursor c;
                const uint8_t *p;
                size_t len;

                TRY(source_need(s->source, need, &p, &len, err));
                cursor_init(&c, p, len, source_offset(s->source), section,
                            &local);
                if (fn(s, &c, out)) {
                        *len_out = c.pos;
                        return true;
                }
                if (local.status != ERR_TRUNCATED) {
                        *err = local;
                        return false;
                }
                if (len >= SOURCE_VIEW_MAX)
                        return stream_fail(s, err, ERR_LIMIT, section,
                                           "larger than %d bytes",
                                           SOURCE_VIEW_MAX);
                need = len + 1;
        }
}

static bool item_begin(struct stream *s, struct stream_item *item,
                       struct err *err)
{
        if (s->items >= LIMIT_STREAM_ITEMS)
                return stream_fail(s, err, ERR_LIMIT, item->idstr,
                                   "more than %d items", LIMIT_STREAM_ITEMS);
        item->number = s->items++;
        return s->events.item_begin(s->events.arg, item, err);
}

static bool item_bytes(struct stream *s, const uint8_t *p, size_t len,
                       struct err *err)
{
        return len == 0 || s->events.item_bytes(s->events.arg, p, len, err);
}

static bool item_end(struct stream *s, struct err *err)
{
        return s->events.item_end(s->events.arg, err);
}

bool stream_item_whole(struct stream *s, struct stream_item *item,
                       const uint8_t *p, size_t len, struct err *err)
{
        TRY(item_begin(s, item, err));
        TRY(item_bytes(s, p, len, err));
        return item_end(s, err);
}

/* The next n bytes belong to the item that is open. */
static bool pass(struct stream *s, uint64_t n, struct err *err)
{
        while (n > 0) {
                const uint8_t *p;
                size_t len;

                TRY(source_need(s->source, 1, &p, &len, err));
                if (len > n)
                        len = (size_t)n;
                TRY(item_bytes(s, p, len, err));
                source_take(s->source, len);
                n -= len;
        }
        return true;
}

static bool read_header(struct stream *s, struct err *err)
{
        struct stream_item item = {.kind = "header"};
        uint32_t magic, version;
        struct cursor c;
        const uint8_t *p;

        TRY(stream_view(s, 8, &p, err));
        cursor_init(&c, p, 8, 0, "header", err);
        TRY(cursor_u32be(&c, "magic", &magic));
        if (magic != STREAM_MAGIC)
                return cursor_bad(&c, ERR_CORRUPT,
                                  "0x%08x: not a migration stream", magic);
        TRY(cursor_u32be(&c, "version", &version));
        if (version != STREAM_VERSION)
                return cursor_bad(&c, ERR_UNSUPPORTED,
                                  "stream version %u, not 3", version);
        TRY(stream_item_whole(s, &item, p, 8, err));
        source_take(s->source, 8);
        return true;
}

static bool parse_config(struct stream *s, struct cursor *c, void *out)
{
        const uint8_t *p;

        (void)s;
        TRY(stream_config_parse(c, out));
        /* Whether a subsection follows shows in the byte behind. */
        if (cursor_left(c) == 0)
                return cursor_view(c, "next item", 1, &p);
        return true;
}

static bool read_config(struct stream *s, struct err *err)
{
        struct stream_item item = {.kind = "configuration"};
        const uint8_t *p;
        size_t len;

        TRY(stream_view(s, 1, &p, err));
        if (*p != ITEM_CONFIGURATION)
                return true; /* machine types up to 2.3 */
        TRY(parse(s, "configuration", parse_config, &s->config, &len, err));
        if (s->config.mapped_ram)
                return stream_fail(
                        s, err, ERR_UNSUPPORTED, "configuration",
                        "a mapped-ram file: its RAM is not in the stream; "
                        "load it into QEMU and save it from there");
        TRY(stream_view(s, len, &p, err));
        TRY(stream_item_whole(s, &item, p, len, err));
        source_take(s->source, len);
        return true;
}

static struct live_section *find_live(struct stream *s, uint32_t id)
{
        for (unsigned i = 0; i < s->live_count; i++)
                if (s->live[i].id == id)
                        return &s->live[i];
        return NULL;
}

/* The footer behind a payload whose end is known; also the moment in which
 * the first one tells whether there are any. */
static bool read_footer(struct stream *s, uint32_t id, const char *section,
                        bool tell, struct err *err)
{
        uint8_t want[FOOTER_SIZE];
        const uint8_t *p;
        struct emit e;

        if (s->footers == FOOTERS_OFF)
                return true;
        emit_init(&e, want, sizeof want);
        emit_u8(&e, ITEM_FOOTER);
        emit_u32be(&e, id);
        TRY(stream_view(s, FOOTER_SIZE, &p, err));
        if (s->footers == FOOTERS_UNKNOWN) {
                s->footers = p[0] == ITEM_FOOTER ? FOOTERS_ON : FOOTERS_OFF;
                if (s->footers == FOOTERS_OFF)
                        return true;
        }
        if (memcmp(p, want, FOOTER_SIZE) != 0)
                return stream_fail(
                        s, err, ERR_CORRUPT, section,
                        "no footer of section %u where its payload ends", id);
        if (tell)
                TRY(item_bytes(s, p, FOOTER_SIZE, err));
        source_take(s->source, FOOTER_SIZE);
        return true;
}

static bool parse_section(struct stream *s, struct cursor *c, void *out)
{
        struct section_header *h = out;

        (void)s;
        TRY(cursor_u8(c, "type", &h->type));
        TRY(cursor_u32be(c, "section_id", &h->section_id));
        TRY(cursor_str8(c, "idstr", h->idstr));
        TRY(cursor_u32be(c, "instance_id", &h->instance_id));
        TRY(cursor_u32be(c, "version_id", &h->version_id));
        if (!h->idstr[0])
                return cursor_bad(c, ERR_CORRUPT, "section without idstr");
        h->len = c->pos;
        return true;
}

static void item_of(struct stream_item *item, const char *kind,
                    const struct section_header *h)
{
        *item = (struct stream_item){
                .kind = kind,
                .section_id = h->section_id,
                .instance_id = h->instance_id,
                .version_id = h->version_id,
        };
        strcpy(item->idstr, h->idstr);
}

struct ram_setup {
        struct section_header header;
        struct ram_blocks ram;
};

static bool parse_ram_start(struct stream *s, struct cursor *c, void *out)
{
        struct ram_setup *setup = out;

        ram_blocks_fini(&setup->ram);
        TRY(parse_section(s, c, &setup->header));
        return ram_parse_start(c, s->config.ignore_shared, &setup->ram);
}

/* RAM's START, told in the form that every plain destination takes. */
static bool tell_ram_start(struct stream *s, const struct section_header *h,
                           const uint8_t *head, struct err *err)
{
        size_t size = h->len + ram_emit_start(&s->ram, NULL);
        CLEANUP_FREE uint8_t *bytes = malloc(size);
        struct stream_item item;
        struct emit e;

        if (!bytes)
                return err_nomem(err);
        emit_init(&e, bytes, size);
        emit_bytes(&e, head, h->len);
        ram_emit_start(&s->ram, &e);
        item_of(&item, "start", h);
        TRY(item_begin(s, &item, err));
        return item_bytes(s, bytes, e.len, err);
}

/* No page of the main channel tells; the vmdesc has the last word. */
static void find_multifd_page_size(struct stream *s)
{
        if (s->config.page_bits)
                s->page_size = 1U << s->config.page_bits;
        else if (s->advised_page_size)
                s->page_size = s->advised_page_size;
        else
                s->page_size = 4096;
}

bool stream_barrier(struct stream *s, struct err *err)
{
        return !s->options.barrier || s->options.barrier(s->options.arg, err);
}

/* A multifd source may begin with the pages before it sends the footer of RAM's
 * START: whether there is one is known, since QEMU has had the configuration
 * and footers for as long. */
static bool begin_multifd(struct stream *s, struct err *err)
{
        uint8_t footer[FOOTER_SIZE];
        struct emit e;

        s->footers = stream_machine(s)[0] ? FOOTERS_ON : FOOTERS_OFF;
        emit_init(&e, footer, sizeof footer);
        emit_u8(&e, ITEM_FOOTER);
        emit_u32be(&e, s->ram.section_id);
        if (s->footers == FOOTERS_ON)
                TRY(item_bytes(s, footer, sizeof footer, err));
        TRY(item_end(s, err));
        find_multifd_page_size(s);
        TRY(s->events.ram_start(s->events.arg, &s->ram, err));
        TRY(stream_barrier(s, err));
        return read_footer(s, s->ram.section_id, "ram", false, err);
}

static bool read_ram_start(struct stream *s, struct err *err)
{
        struct ram_setup setup = {0};
        const uint8_t *p;
        size_t len;
        bool ok;

        if (s->ram_started)
                return stream_fail(s, err, ERR_CORRUPT, "ram", "started twice");
        ok = parse(s, "ram", parse_ram_start, &setup, &len, err);
        s->ram = setup.ram; /* freed with s, also after failure */
        TRY(ok);
        if (setup.header.version_id != RAM_VERSION)
                return stream_fail(s, err, ERR_UNSUPPORTED, "ram",
                                   "section version %u, not %u",
                                   setup.header.version_id, RAM_VERSION);
        s->ram.section_id = setup.header.section_id;
        s->ram_started = true;
        TRY(stream_view(s, len, &p, err));
        TRY(tell_ram_start(s, &setup.header, p, err));
        source_take(s->source, len);
        if (s->options.barrier)
                return begin_multifd(s, err);
        TRY(read_footer(s, setup.header.section_id, "ram", true, err));
        TRY(item_end(s, err));
        return s->events.ram_start(s->events.arg, &s->ram, err);
}

bool stream_end_ram(struct stream *s, struct err *err)
{
        if (s->ram_ended)
                return true;
        s->ram_ended = true;
        if (!s->ram_started)
                return stream_fail(s, err, ERR_CORRUPT, "ram",
                                   "the stream has no RAM section");
        return s->events.ram_end(s->events.arg, err);
}

struct iterable_parse {
        enum iterable which;
        enum item_type type;
        struct iterable_state state, before;
        uint64_t body;
        bool done;
};

static bool parse_record(struct stream *s, struct cursor *c, void *out)
{
        struct iterable_parse *r = out;

        (void)s;
        r->state = r->before;
        return iterable_record(r->which, r->type, c, &r->state, &r->body,
                               &r->done);
}

/* Another live section, told as it is; its header is in view. */
static bool read_iterable(struct stream *s, struct stream_item *item,
                          enum iterable which, enum item_type type,
                          size_t header, struct err *err)
{
        struct iterable_parse r = {.which = which, .type = type};
        size_t len;

        TRY(item_begin(s, item, err));
        TRY(pass(s, header, err));
        while (!r.done) {
                r.before = r.state;
                TRY(parse(s, item->idstr, parse_record, &r, &len, err));
                TRY(pass(s, len, err));
                TRY(pass(s, r.body, err));
        }
        TRY(read_footer(s, item->section_id, item->idstr, true, err));
        return item_end(s, err);
}

/* Block migration: its records are told as what they hold, START and END as
 * items without them. */
static bool read_disks(struct stream *s, struct stream_item *item,
                       enum item_type type, size_t header, struct err *err)
{
        bool told = type != ITEM_PART;
        uint8_t eos[8];
        struct emit e;

        if (told) {
                TRY(item_begin(s, item, err));
                TRY(pass(s, header, err));
        } else {
                source_take(s->source, header);
        }
        TRY(stream_disk_records(s, err));
        emit_init(&e, eos, sizeof eos);
        emit_u64be(&e, DISK_EOS);
        if (told)
                TRY(item_bytes(s, eos, sizeof eos, err));
        TRY(read_footer(s, item->section_id, item->idstr, told, err));
        return !told || item_end(s, err);
}

static bool add_live(struct stream *s, const struct section_header *h,
                     enum iterable which, struct err *err)
{
        struct live_section *live = &s->live[s->live_count];

        if (find_live(s, h->section_id))
                return stream_fail(s, err, ERR_CORRUPT, h->idstr,
                                   "section id %u is in use", h->section_id);
        if (s->live_count == LIVE_SECTIONS_MAX)
                return stream_fail(s, err, ERR_LIMIT, h->idstr,
                                   "more than %d live sections",
                                   LIVE_SECTIONS_MAX);
        live->id = h->section_id;
        live->ram = strcmp(h->idstr, "ram") == 0;
        live->disks = strcmp(h->idstr, STREAM_DISKS) == 0;
        live->iterable = which;
        strcpy(live->idstr, h->idstr);
        s->live_count++;
        return true;
}

static bool read_start(struct stream *s, struct err *err)
{
        struct section_header h;
        struct stream_item item;
        enum iterable which;
        size_t len;

        TRY(parse(s, "section header", parse_section, &h, &len, err));
        which = iterable_of(h.idstr);
        TRY(add_live(s, &h, which, err));
        if (strcmp(h.idstr, "ram") == 0)
                return read_ram_start(s, err);
        item_of(&item, "start", &h);
        if (strcmp(h.idstr, STREAM_DISKS) == 0)
                return read_disks(s, &item, ITEM_START, len, err);
        if (which == ITERABLE_NONE)
                return stream_fail(
                        s, err, ERR_UNSUPPORTED, h.idstr,
                        "live migration data of this device is not known; "
                        "unplug it before saving");
        return read_iterable(s, &item, which, ITEM_START, len, err);
}

/* RAM's END as told: header, EOS and footer, without records. */
static bool tell_ram_end(struct stream *s, uint32_t id, struct err *err)
{
        struct stream_item item = {
                .kind = "end", .idstr = "ram", .section_id = id};
        uint8_t bytes[1 + 4 + 8];
        struct emit e;

        emit_init(&e, bytes, sizeof bytes);
        emit_u8(&e, ITEM_END);
        emit_u32be(&e, id);
        emit_u64be(&e, RAM_EOS);
        TRY(item_begin(s, &item, err));
        return item_bytes(s, bytes, e.len, err);
}

static bool read_ram(struct stream *s, enum item_type type, uint32_t id,
                     struct err *err)
{
        if (!s->ram_started || s->ram_ended)
                return stream_fail(s, err, ERR_CORRUPT, "ram", "pages %s",
                                   s->ram_started ? "after the end of RAM"
                                                  : "before its start");
        s->ram_moved = true;
        source_take(s->source, 5);
        TRY(stream_ram_records(s, id, err));
        if (type == ITEM_PART) {
                TRY(read_footer(s, id, "ram", false, err));
                return !s->events.part_end ||
                       s->events.part_end(s->events.arg, err);
        }
        TRY(stream_end_ram(s, err));
        TRY(tell_ram_end(s, id, err));
        TRY(read_footer(s, id, "ram", true, err));
        return item_end(s, err);
}

/* With dirty-bitmaps on, a stopped QEMU 7.2 may write tens of thousands of
 * empty parts; they say nothing and are dropped. */
static bool drop_empty_part(struct stream *s, const struct live_section *live,
                            bool *dropped, struct err *err)
{
        const uint8_t *p;

        TRY(stream_view(s, 6, &p, err));
        *dropped = live->iterable == ITERABLE_DIRTY_BITMAP && p[5] == 0x01;
        if (!*dropped)
                return true;
        source_take(s->source, 6);
        return read_footer(s, live->id, live->idstr, false, err);
}

static bool read_part(struct stream *s, enum item_type type, struct err *err)
{
        struct stream_item item = {.kind = type == ITEM_PART ? "part" : "end"};
        const struct live_section *live;
        bool dropped = false;
        const uint8_t *p;

        TRY(stream_view(s, 5, &p, err));
        item.section_id = (uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 |
                          (uint32_t)p[3] << 8 | p[4];
        live = find_live(s, item.section_id);
        if (!live)
                return stream_fail(s, err, ERR_CORRUPT, item.kind,
                                   "section %u was never started",
                                   item.section_id);
        if (live->ram)
                return read_ram(s, type, live->id, err);
        if (type == ITEM_PART)
                TRY(drop_empty_part(s, live, &dropped, err));
        if (dropped)
                return true;
        strcpy(item.idstr, live->idstr);
        if (live->disks)
                return read_disks(s, &item, type, 5, err);
        return read_iterable(s, &item, live->iterable, type, 5, err);
}

static const char *command_name(unsigned command)
{
        static const char *const names[] = {
                [COMMAND_OPEN_RETURN_PATH] = "open-return-path",
                [COMMAND_PING] = "ping",
                [COMMAND_POSTCOPY_ADVISE] = "postcopy-advise",
                [COMMAND_POSTCOPY_LISTEN] = "postcopy-listen",
                [COMMAND_POSTCOPY_RUN] = "postcopy-run",
                [COMMAND_POSTCOPY_RAM_DISCARD] = "postcopy-ram-discard",
                [COMMAND_PACKAGED] = "packaged",
                [COMMAND_ENABLE_COLO] = "enable-colo",
                [COMMAND_POSTCOPY_RESUME] = "postcopy-resume",
                [COMMAND_RECV_BITMAP] = "recv-bitmap",
                [COMMAND_SWITCHOVER_START] = "switchover-start",
        };

        if (command == 0 || command >= sizeof names / sizeof *names)
                return NULL;
        return names[command];
}

static bool heed_advice(struct stream *s, const uint8_t *be64, struct err *err)
{
        uint64_t size;

        memcpy(&size, be64, sizeof size);
        size = __builtin_bswap64(size);
        if (size < TARGET_PAGE_MIN || size > TARGET_PAGE_MAX ||
            (size & (size - 1)) != 0)
                return stream_fail(s, err, ERR_CORRUPT, "command",
                                   "target pages of 0x%llx bytes",
                                   (unsigned long long)size);
        s->advised_page_size = (uint32_t)size;
        return true;
}

static bool read_command(struct stream *s, struct err *err)
{
        struct stream_item item = {.kind = "command"};
        unsigned command, len;
        const char *name;
        const uint8_t *p;

        TRY(stream_view(s, 5, &p, err));
        command = (unsigned)p[1] << 8 | p[2];
        len = (unsigned)p[3] << 8 | p[4];
        TRY(stream_view(s, 5 + len, &p, err));
        name = command_name(command);
        if (!name)
                return stream_fail(s, err, ERR_UNSUPPORTED, "command",
                                   "unknown command 0x%x of %u bytes", command,
                                   len);
        switch (command) {
        case COMMAND_SWITCHOVER_START:
                strcpy(item.idstr, name);
                TRY(stream_item_whole(s, &item, p, 5 + len, err));
                break;
        case COMMAND_POSTCOPY_ADVISE:
                TRY(len != 16 || heed_advice(s, p + 13, err));
                break;
        case COMMAND_OPEN_RETURN_PATH:
        case COMMAND_PING:
                break;
        default:
                return stream_fail(
                        s, err, ERR_UNSUPPORTED, "command",
                        "%s: a stream that switched to postcopy or COLO "
                        "cannot be kept",
                        name);
        }
        source_take(s->source, 5 + len);
        return true;
}

/* What may follow an early section. */
static bool begins_item(struct stream *s, const uint8_t *p, size_t len)
{
        struct section_header h;

        switch (p[0]) {
        case ITEM_START:
        case ITEM_FULL:
                return section_header_parse(p, len, &h);
        case ITEM_PART:
        case ITEM_END:
                return find_live(s, (uint32_t)p[1] << 24 |
                                            (uint32_t)p[2] << 16 |
                                            (uint32_t)p[3] << 8 | p[4]) != NULL;
        case ITEM_COMMAND:
                return command_name((unsigned)p[1] << 8 | p[2]) != NULL;
        default:
                return false;
        }
}

/* Bytes of header, name and fixed fields: what begins_item looks at. */
#define ITEM_HEAD_MAX 270

/*
 * A device section among the START sections (QEMU 8.0 and later: virtio-mem).
 * Nothing tells its length yet: the first footer behind which an item begins
 * ends it, and vmdesc, which lists early sections first, proves it.
 */
static bool early_length(struct stream *s, const struct section_header *h,
                         size_t *len_out, struct err *err)
{
        uint8_t footer[FOOTER_SIZE];
        struct emit e;

        emit_init(&e, footer, sizeof footer);
        emit_u8(&e, ITEM_FOOTER);
        emit_u32be(&e, h->section_id);
        for (size_t at = h->len; at < SOURCE_VIEW_MAX - ITEM_HEAD_MAX; at++) {
                const uint8_t *p;

                TRY(stream_view(s, at + FOOTER_SIZE, &p, err));
                if (memcmp(p + at, footer, FOOTER_SIZE) != 0)
                        continue;
                TRY(stream_view(s, at + FOOTER_SIZE + ITEM_HEAD_MAX, &p, err));
                if (begins_item(s, p + at + FOOTER_SIZE, ITEM_HEAD_MAX)) {
                        *len_out = at + FOOTER_SIZE;
                        return true;
                }
        }
        return stream_fail(s, err, ERR_CORRUPT, h->idstr,
                           "no footer within %d bytes", SOURCE_VIEW_MAX);
}

static bool read_early(struct stream *s, struct err *err)
{
        struct tail_early *early = &s->early[s->early_count];
        struct section_header h;
        struct stream_item item;
        const uint8_t *p;
        size_t len;

        TRY(parse(s, "section header", parse_section, &h, &len, err));
        if (s->early_count == EARLY_MAX)
                return stream_fail(s, err, ERR_LIMIT, h.idstr,
                                   "more than %d early sections", EARLY_MAX);
        TRY(early_length(s, &h, &len, err));
        s->footers = FOOTERS_ON;
        strcpy(early->idstr, h.idstr);
        early->instance_id = h.instance_id;
        early->payload_len = len - h.len - FOOTER_SIZE;
        s->early_count++;
        item_of(&item, "early", &h);
        TRY(stream_view(s, len, &p, err));
        TRY(stream_item_whole(s, &item, p, len, err));
        source_take(s->source, len);
        return true;
}

/* Items up to the first one of the tail. */
static bool read_live(struct stream *s, struct err *err)
{
        for (;;) {
                const uint8_t *p;

                TRY(stream_view(s, 1, &p, err));
                switch (*p) {
                case ITEM_START:
                        TRY(read_start(s, err));
                        break;
                case ITEM_PART:
                case ITEM_END:
                        TRY(read_part(s, (enum item_type) * p, err));
                        break;
                case ITEM_COMMAND:
                        TRY(read_command(s, err));
                        break;
                case ITEM_FULL:
                        if (s->ram_moved)
                                return true;
                        TRY(read_early(s, err));
                        break;
                case ITEM_EOF:
                        return true;
                default:
                        return stream_fail(s, err, ERR_CORRUPT, "stream",
                                           "item type 0x%02x is not known", *p);
                }
        }
}

bool stream_run(struct stream *s, struct err *err)
{
        TRY(read_header(s, err));
        TRY(read_config(s, err));
        TRY(read_live(s, err));
        return stream_tail(s, err);
}
