/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * check: would the snapshot load into this target, and be right there?  All
 * reasons against it are gathered, each with a code that never changes, the
 * section that it is about, and what both sides have.  (stasis-check(1) lists
 * the codes; what QEMU does was tried with 5.2, 7.2, 10.0 and 11.1.)
 *
 * What is known of a target is in a view (restore/view.h): asked of it, or
 * learned from a twin of it.
 */
#ifndef STASIS_RESTORE_CHECK_H
#define STASIS_RESTORE_CHECK_H

#include "qemu/dump.h"
#include "restore/disks.h"
#include "restore/state.h"
#include "restore/view.h"

enum severity {
        REASON_REFUSED, /* QEMU itself refuses                               */
        REASON_WRONG,   /* QEMU loads it without a word, and the guest is not
                           what it was                                      */
        REASON_WARNING, /* told; does not stop a load                        */
};

/*
 * Codes that an operator may override: what QEMU then does is its own word.
 * Not among them: what QEMU refuses by itself in any case (RAM of another
 * size), and what would spoil something (an image that somebody else writes).
 */
#define CHECK_FORCIBLE                                                         \
        "machine-type cpu-count cpu-features ram-extra device-missing "        \
        "device-extra device-moved device-version device-config "              \
        "subsection-unknown field-size disks disk-missing disk-size value refused"

struct reason {
        const char *code; /* static */
        enum severity severity;
        bool forced;        /* overridden by the operator                    */
        char section[320];  /* idstr, RAMBlock or disk; escaped; may be ""   */
        char snapshot[160]; /* what each side has; escaped; may be ""        */
        char target[160];
        char message[500];
};

struct check {
        const char *const *forced; /* codes given with --force; borrowed     */
        unsigned forced_count;
        const struct restored_disks *restored; /* borrowed; NULL: none       */
        struct reason *list;                   /* owned                      */
        size_t count;
        size_t logged; /* so many have been logged                           */
};

/* ERR_USAGE when a code is not one that can be forced. */
bool check_init(struct check *c, const char *const *forced, unsigned count,
                const struct restored_disks *restored, struct err *err);
void check_fini(struct check *c);

/* Adds a reason.  section: as in the file, is escaped here; snapshot and
 * target: may be NULL. */
bool check_add(struct check *c, const char *code, enum severity severity,
               const char *section, const char *snapshot, const char *target,
               struct err *err, const char *fmt, ...)
        __attribute__((format(printf, 8, 9)));

/* What the manifest says against the target: machine type, architecture,
 * accelerator, CPUs, RAMBlocks. */
bool check_machine(struct check *c, const json_t *manifest,
                   const struct view *v, struct err *err);
/* Device sections against those that the target would send itself, or, when
 * that is not known, against the PCI functions that it has. */
bool check_devices(struct check *c, const struct state *s, const struct view *v,
                   struct err *err);
/* Each device's description against what the binary knows (-dump-vmstate):
 * versions, subsections, fields. */
bool check_dump(struct check *c, const struct devices *d,
                const struct dump *dump, struct err *err);
/* What state.json says of disks left outside, against the target's disks and
 * the files that they are now. */
bool check_disks(struct check *c, const json_t *state, const struct view *v,
                 struct err *err);

/* No reason stands that is `severity` or graver. */
bool check_clear(const struct check *c, enum severity severity);
const struct reason *check_find(const struct check *c, const char *code);
/* Logs what has not been logged yet. */
void check_log(struct check *c);
/* Logs them all; false with ERR_MISMATCH when a reason stands against a load.
 */
bool check_verdict(struct check *c, struct err *err);

#endif
