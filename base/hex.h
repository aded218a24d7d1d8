/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hex: a hex digit's value, in lower case only.  Without branches: of an index
 * with many digests they would be mispredicted half of the time. */
#ifndef STASIS_BASE_HEX_H
#define STASIS_BASE_HEX_H

/* 0 to 15; more: it is no digit. */
static inline unsigned hex_digit(char c)
{
        unsigned number = (unsigned)(unsigned char)c - '0';
        unsigned letter = (unsigned)(unsigned char)c - 'a';
        unsigned is_number = number < 10, is_letter = letter < 6;

        return (number & -is_number) | ((letter + 10) & -is_letter) |
               ((is_number | is_letter) - 1);
}

#endif
