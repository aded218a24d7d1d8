/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/return_path.h"

#include "base/cursor.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#define HEAD_SIZE 4

/* Behind a bitmap. */
#define BITMAP_END UINT64_C(0x0123456789abcdef)

void return_path_init(struct return_path *r, int fd)
{
        *r = (struct return_path){.fd = fd};
}

enum got { GOT_ALL, GOT_NOTHING, GOT_END };

/* Some of len bytes at out, waiting for the first; GOT_NOTHING also when a
 * signal was caught. */
static bool receive(int fd, uint8_t *out, size_t len, int timeout_ms,
                    size_t *done, enum got *got, struct err *err)
{
        struct pollfd p = {.fd = fd, .events = POLLIN};
        bool waited = false;

        for (;;) {
                ssize_t n = recv(fd, out, len, MSG_DONTWAIT);

                *got = GOT_ALL;
                if (n > 0) {
                        *done += (size_t)n;
                        return true;
                }
                *got = GOT_END;
                if (n == 0 || errno == ECONNRESET || errno == EPIPE)
                        return true;
                if (errno != EAGAIN && errno != EINTR)
                        return err_os(err, errno, "return path: recv");
                *got = GOT_NOTHING;
                if (waited)
                        return true;
                n = poll(&p, 1, timeout_ms);
                if (n < 0 && errno != EINTR)
                        return err_os(err, errno, "poll");
                if (n <= 0)
                        return true;
                waited = true;
        }
}

/* Up to want bytes of the message. */
static bool fill(struct return_path *r, size_t want, int timeout_ms,
                 enum got *got, struct err *err)
{
        *got = GOT_ALL;
        while (r->len < want && *got == GOT_ALL)
                TRY(receive(r->fd, r->bytes + r->len, want - r->len, timeout_ms,
                            &r->len, got, err));
        return true;
}

static bool request(struct return_path *r, struct cursor *c, bool named,
                    struct return_message *out)
{
        TRY(cursor_u64be(c, "start", &out->start));
        TRY(cursor_u32be(c, "length", &out->len));
        if (named)
                TRY(cursor_str8(c, "RAMBlock", r->block));
        out->type = RETURN_REQUEST;
        memcpy(out->block, r->block, sizeof out->block);
        return true;
}

static bool parse(struct return_path *r, unsigned type, size_t len,
                  struct return_message *out, struct err *err)
{
        struct cursor c;

        cursor_init(&c, r->bytes + HEAD_SIZE, len, 0, "return path", err);
        *out = (struct return_message){.type = (enum return_type)type};
        switch (type) {
        case RETURN_SHUT:
        case RETURN_PONG:
        case RETURN_RESUMED:
                return cursor_u32be(&c, "value", &out->value);
        case RETURN_REQUEST_BLOCK:
        case RETURN_REQUEST:
                return request(r, &c, type == RETURN_REQUEST_BLOCK, out);
        case RETURN_BITMAP:
                return cursor_str8(&c, "RAMBlock", out->block);
        default:
                /* Without words, or of a newer QEMU. */
                return true;
        }
}

bool return_path_next(struct return_path *r, int timeout_ms,
                      struct return_message *out, struct err *err)
{
        enum got got;
        unsigned type;
        size_t len;

        *out = (struct return_message){.type = RETURN_NONE};
        TRY(fill(r, HEAD_SIZE, timeout_ms, &got, err));
        if (got == GOT_END)
                out->type = RETURN_ENDED;
        if (got != GOT_ALL)
                return true;
        type = (unsigned)r->bytes[0] << 8 | r->bytes[1];
        len = (size_t)r->bytes[2] << 8 | r->bytes[3];
        if (HEAD_SIZE + len > sizeof r->bytes)
                return err_set(err, ERR_QEMU,
                               "the destination sends a message of %zu bytes "
                               "(type %u)",
                               len, type);
        TRY(fill(r, HEAD_SIZE + len, timeout_ms, &got, err));
        if (got == GOT_END)
                out->type = RETURN_ENDED;
        if (got != GOT_ALL)
                return true;
        r->len = 0;
        return parse(r, type, len, out, err);
}

size_t return_path_bits_size(uint64_t pages)
{
        return (size_t)((pages + 63) / 64 * 8);
}

static bool take(struct return_path *r, int timeout_ms, uint8_t *out,
                 size_t len, struct err *err)
{
        size_t done = 0;

        while (done < len) {
                enum got got;

                TRY(receive(r->fd, out + done, len - done, timeout_ms, &done,
                            &got, err));
                if (got != GOT_ALL)
                        return err_set(err, ERR_QEMU,
                                       "the destination stops in the middle "
                                       "of a bitmap");
        }
        return true;
}

bool return_path_bits(struct return_path *r, int timeout_ms, uint8_t *bits,
                      uint64_t pages, struct err *err)
{
        uint8_t number[8];
        struct cursor c;
        uint64_t size, end;

        TRY(take(r, timeout_ms, number, sizeof number, err));
        cursor_init(&c, number, sizeof number, 0, "return path", err);
        TRY(cursor_u64be(&c, "bitmap's size", &size));
        if (size != return_path_bits_size(pages))
                return err_set(err, ERR_QEMU, "a bitmap of %llu bytes, not %zu",
                               (unsigned long long)size,
                               return_path_bits_size(pages));
        TRY(take(r, timeout_ms, bits, (size_t)size, err));
        TRY(take(r, timeout_ms, number, sizeof number, err));
        cursor_init(&c, number, sizeof number, 0, "return path", err);
        TRY(cursor_u64be(&c, "bitmap's end", &end));
        return end == BITMAP_END ||
               err_set(err, ERR_QEMU, "a bitmap that does not end as one");
}
