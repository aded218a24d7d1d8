/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * explain [SECTION] < STDERR: what QEMU said, as a line
 *      CODE tab DEVICE tab CAUSE tab REMEDY
 * Exit status 1: nothing was recognised.
 */
#include <stdio.h>

#include "qemu/explain.h"

int main(int argc, char **argv)
{
        static char said[65536];
        size_t len = fread(said, 1, sizeof said - 1, stdin);
        struct explanation e;
        bool known;

        said[len] = '\0';
        known = explain(said, argc > 1 ? argv[1] : "", &e);
        printf("%s\t%s\t%s\t%s\n", e.code, e.device, e.cause, e.remedy);
        return known ? 0 : 1;
}
