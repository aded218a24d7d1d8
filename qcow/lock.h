/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lock: the locks that QEMU (file-posix, `locking=auto`) takes on image files
 * and block devices: open-file-description read locks of one byte each, 100+i
 * for "I use permission i", 200+i for "I do not share permission i", with i: 0
 * consistent read, 1 write, 2 write unchanged, 3 resize.  (QEMU 5.2 to 11.1.)
 *
 * lock_check looks without taking anything, so that it cannot disturb a QEMU.
 * With locking=off, or on another host without NFSv4, a user shows no locks.
 */
#ifndef STASIS_QCOW_LOCK_H
#define STASIS_QCOW_LOCK_H

#include "base/err.h"

/* (Not LOCK_READ: <fcntl.h> has that.) */
enum lock_use {
        LOCK_TO_READ,  /* somebody who writes it is in the way  */
        LOCK_TO_WRITE, /* anybody who uses it is in the way */
};

/* ERR_MISMATCH when the file is in use, naming who holds it ("qemu-system-x86
 * (pid 4711)") as far as /proc tells.  fd: any mode; name: for errors. */
bool lock_check(int fd, const char *name, enum lock_use use, struct err *err);

/* Holds it as a QEMU that reads (keeps others from writing) or writes (keeps
 * others from using it) would, or fails as lock_check does, holding nothing.
 * The locks go with the last descriptor of this open file, or by lock_drop. */
bool lock_hold(int fd, const char *name, enum lock_use use, struct err *err);
void lock_drop(int fd);

#endif
