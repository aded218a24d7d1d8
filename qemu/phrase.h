/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * phrase: a sentence that another program says, found in its words whatever
 * stands before and behind it.
 *
 * A pattern is matched without regard to case; a blank in it stands for one
 * or more.  Captures, at most PHRASE_CAPTURES:
 *
 *      %q   'quoted', "quoted", or one word
 *      %w   a word: anything without blanks, as short as the rest allows
 *      %x   a hexadecimal number, with 0x or without, up to 128 bits
 *      %d   a decimal number
 *      %l   the rest of the line, at least one character
 *
 * It begins where a word begins, and at a blank or a line if it begins with a
 * capture.
 */
#ifndef STASIS_QEMU_PHRASE_H
#define STASIS_QEMU_PHRASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PHRASE_CAPTURES 6

struct phrase_capture {
        char text[256];     /* without quotes; cut if longer, not escaped */
        uint64_t low, high; /* %x, %d: its value                          */
};

struct phrase {
        struct phrase_capture captures[PHRASE_CAPTURES];
        size_t count;
        const char *begin, *end; /* in the text */
};

/* The first place in text that matches. */
bool phrase_find(const char *text, const char *pattern, struct phrase *out);

#endif
