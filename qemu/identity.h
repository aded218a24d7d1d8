/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * identity: who the VM is, as QMP and /proc tell it, without touching it.
 * What a QEMU does not know (an old command, a missing device) is left out;
 * only a monitor that fails is an error.
 */
#ifndef STASIS_QEMU_IDENTITY_H
#define STASIS_QEMU_IDENTITY_H

#include "qemu/qmp.h"

/* Runs a query that this QEMU may lack or refuse: *out is then NULL.
 * arguments: consumed.  *out: new reference. */
bool qmp_ask(struct qmp *q, const char *command, json_t *arguments,
             json_t **out, struct err *err);
/* The text that a human monitor command prints, likewise. */
bool qmp_ask_human(struct qmp *q, const char *line, json_t **out,
                   struct err *err);

/* The process that is QEMU, as this PID namespace numbers it; 0: unknown (the
 * listener of a socket need not be QEMU, and /proc may be closed to us). */
bool identity_pid(struct qmp *q, pid_t *out, struct err *err);
/* Tells processes apart that had the same number; 0: no such process. */
unsigned long long identity_start_time(pid_t pid);

/* "pc-q35-7.2", the exact type; "" when it cannot be asked. */
bool identity_machine(struct qmp *q, char *out, size_t size, struct err *err);
bool identity_run_state(struct qmp *q, char *out, size_t size, struct err *err);
/* "x86_64", "aarch64", ... */
/* The distributor's name for its build ("Debian 1:7.2+dfsg-7"); "": none. */
bool identity_package(struct qmp *q, char *out, size_t size, struct err *err);
bool identity_arch(struct qmp *q, char *out, size_t size, struct err *err);
/* [{"name", "used", "total"}]: RAMBlocks; NULL when they cannot be asked. */
bool identity_ram_blocks(struct qmp *q, json_t **out, struct err *err);

/* Adds to a manifest: vm, qemu, machine, accelerator, cpu, memory, devices,
 * run_state (spec/manifest-vm.md).  pid 0: no argv. */
bool identity_describe(struct qmp *q, pid_t pid, json_t *manifest,
                       struct err *err);

#endif
