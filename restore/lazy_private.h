/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What lazy.c and lazy_resume.c share: a target while its pages are served. */
#ifndef STASIS_RESTORE_LAZY_PRIVATE_H
#define STASIS_RESTORE_LAZY_PRIVATE_H

#include "restore/lazy.h"

struct lazy {
        struct qmp *q;
        struct target *target; /* NULL: resumed */
        const struct devices *devices;
        pid_t pid;
        struct progress *progress;
        double begun;
        struct session *session;
        bool foreground;
        int signal; /* passed on; 0: none came */
        int fd;     /* of the stream */
        char (*dir_names)[512];
        const char **dirs;
        uint64_t *sizes, *host_pages;
        struct places *places;
        struct layout layout;
        struct return_path back;
        struct server *server;
        struct working_set first, record;
        uint64_t stream_bytes;
        bool loaded;
        uint64_t shown; /* bytes told to progress */
};

/* "" when it has none. */
const char *lazy_id(const struct reader *r);
/* The RAMBlocks by name; host_pages are to be filled in then. */
bool lazy_name_blocks(struct lazy *l, struct err *err);
/* ERR_CORRUPT, ERR_UNSUPPORTED: pages that cannot be served. */
bool lazy_lay_out(struct lazy *l, struct reader *r, struct err *err);
/* For l->fd. */
bool lazy_make_server(struct lazy *l, unsigned threads, bool record,
                      struct err *err);
/* Serves until all is there, or it breaks off. */
bool lazy_finish(struct lazy *l, struct lazy_report *report, struct err *err);
void lazy_fini(struct lazy *l);

#endif
