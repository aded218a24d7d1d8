/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "restore/session.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/json.h"
#include "base/limits.h"
#include "format/manifest.h"
#include "qemu/identity.h"
#include "restore/keeper.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/un.h>

struct session {
        char dir[64];
        char base[96]; /* ID-NAME */
        char note[192], keeper_at[192], socket[192];
        struct keeper *keeper; /* NULL: none of ours yet */
        int fd;                /* of the note, locked; -1: not noted */
        json_t *content;
};

static bool make_dir(struct session *s, struct err *err)
{
        const char *runtime = getenv("XDG_RUNTIME_DIR");
        struct stat st;
        int n;

        if (runtime && runtime[0] == '/')
                n = snprintf(s->dir, sizeof s->dir, "%s/stasis", runtime);
        else if (geteuid() == 0)
                n = snprintf(s->dir, sizeof s->dir, "/run/stasis");
        else
                n = snprintf(s->dir, sizeof s->dir, "/tmp/stasis-%u",
                             (unsigned)geteuid());
        if (n >= (int)sizeof s->dir)
                return err_set(err, ERR_USAGE,
                               "$XDG_RUNTIME_DIR is too long for the path of "
                               "a socket");
        if (mkdir(s->dir, 0700) != 0 && errno != EEXIST) {
                err_in_file(err, s->dir);
                return err_os(err, errno, "cannot make it");
        }
        if (lstat(s->dir, &st) != 0 || !S_ISDIR(st.st_mode) ||
            st.st_uid != geteuid() || (st.st_mode & 077) != 0) {
                err_in_file(err, s->dir);
                return err_set(err, ERR_IO,
                               "not a directory of our own with mode 0700");
        }
        return true;
}

static void name_files(struct session *s)
{
        snprintf(s->note, sizeof s->note, "%s/%s.json", s->dir, s->base);
        snprintf(s->keeper_at, sizeof s->keeper_at, "%s/%s.sock", s->dir,
                 s->base);
        snprintf(s->socket, sizeof s->socket, "%s/%s.in", s->dir, s->base);
}

static struct session *new_session(void)
{
        struct session *s = calloc(1, sizeof *s);

        if (s)
                s->fd = -1;
        return s;
}

void session_free(struct session *s)
{
        if (!s)
                return;
        if (s->fd >= 0)
                close(s->fd);
        keeper_free(s->keeper);
        json_decref(s->content);
        free(s);
}

void session_end(struct session *s)
{
        if (s->keeper)
                keeper_dismiss(s->keeper);
        unlink(s->note);
        unlink(s->keeper_at);
        unlink(s->socket);
}

const char *session_socket(const struct session *s)
{
        return s->socket;
}

pid_t session_pid(const struct session *s)
{
        return (pid_t)json_integer_value(json_object_get(s->content, "pid"));
}

bool session_host_pages(const struct session *s, uint64_t *out, unsigned count,
                        struct err *err)
{
        const json_t *list = json_object_get(s->content, "host_pages"), *n;
        size_t i;

        if (json_array_size(list) != count) {
                err_in_file(err, s->note);
                return err_set(err, ERR_CORRUPT,
                               "not of a snapshot with %u RAMBlocks", count);
        }
        json_array_foreach(list, i, n) out[i] = (uint64_t)json_integer_value(n);
        return true;
}

/* ---- notes that are there ------------------------------------------------ */

enum found {
        FOUND_NOTHING,  /* no note, or one that cannot be read */
        FOUND_SERVED,   /* its server lives                    */
        FOUND_OVER,     /* its QEMU has ended                  */
        FOUND_DESERTED, /* its server is gone, its QEMU not    */
};

/* The server's lock is ours while the note is open. */
static enum found look(struct session *s)
{
        CLEANUP_FREE char *text = NULL;
        struct err ignored = ERR_INIT;
        unsigned long long begun;
        size_t len;
        bool ours;

        if (!io_open_locked(s->note, &s->fd, &ours, &ignored))
                return FOUND_NOTHING;
        if (!ours)
                return FOUND_SERVED;
        if (!io_read_file(s->note, LIMIT_JSON_BYTES, &text, &len, &ignored))
                return FOUND_NOTHING;
        s->content = json_loads(text, 0, NULL);
        begun = (unsigned long long)json_integer_value(
                json_object_get(s->content, "start_time"));
        return session_pid(s) > 0 &&
                               begun == identity_start_time(session_pid(s))
                       ? FOUND_DESERTED
                       : FOUND_OVER;
}

/* The note of a directory's entry; NULL: it is none, or no memory. */
static struct session *note_of(const struct session *like, const char *entry)
{
        size_t len = strlen(entry);
        struct session *s;

        if (len < 6 || len - 5 >= sizeof s->base ||
            strcmp(entry + len - 5, ".json") != 0)
                return NULL;
        s = new_session();
        if (!s)
                return NULL;
        memcpy(s->dir, like->dir, sizeof s->dir);
        memcpy(s->base, entry, len - 5);
        name_files(s);
        return s;
}

/* Ends what is over, and calls fn with what is deserted; fn owns it then. */
static void each_note(const struct session *like,
                      void (*fn)(void *arg, struct session *s), void *arg)
{
        DIR *d = opendir(like->dir);
        struct dirent *e;

        while (d && (e = readdir(d))) {
                struct session *s = note_of(like, e->d_name);
                enum found found = s ? look(s) : FOUND_NOTHING;

                if (found == FOUND_OVER)
                        session_end(s);
                if (found == FOUND_DESERTED && fn)
                        fn(arg, s);
                else
                        session_free(s);
        }
        if (d)
                closedir(d);
}

struct search {
        const char *id;
        pid_t pid;
        struct session *found;
        unsigned count;
};

static void match(void *arg, struct session *s)
{
        struct search *search = arg;
        size_t len = strlen(search->id);

        if (strncmp(s->base, search->id, len) != 0 || s->base[len] != '-' ||
            (search->pid && search->pid != session_pid(s))) {
                session_free(s);
                return;
        }
        search->count++;
        session_free(search->found);
        search->found = s;
}

bool session_find(const char *snapshot_id, pid_t pid, struct session **out,
                  struct err *err)
{
        struct search search = {.id = snapshot_id, .pid = pid};
        struct session *like = new_session();
        bool ok;

        if (!like)
                return err_nomem(err);
        ok = make_dir(like, err);
        if (ok)
                each_note(like, match, &search);
        if (ok && search.count == 0)
                ok = err_set(err, ERR_USAGE,
                             "no lazy restore of this snapshot waits to be "
                             "resumed%s",
                             pid ? " in that process" : "");
        if (ok && search.count > 1)
                ok = err_set(err, ERR_USAGE,
                             "%u lazy restores of this snapshot wait to be "
                             "resumed: say with --pid which QEMU (%ld, ...)",
                             search.count, (long)session_pid(search.found));
        session_free(like);
        if (ok)
                *out = search.found;
        else
                session_free(search.found);
        return ok;
}

/* ---- a new one ----------------------------------------------------------- */

bool session_new(const char *snapshot_id, struct session **out, struct err *err)
{
        struct session *s = new_session();
        uint32_t number;

        if (!s)
                return err_nomem(err);
        if (getrandom(&number, sizeof number, 0) != sizeof number ||
            !make_dir(s, err)) {
                session_free(s);
                return err_set(err, ERR_IO, "no random number");
        }
        each_note(s, NULL, NULL);
        snprintf(s->base, sizeof s->base, "%.64s-%08x", snapshot_id, number);
        name_files(s);
        *out = s;
        if (strlen(s->keeper_at) < sizeof((struct sockaddr_un *)0)->sun_path)
                return true;
        err_set(err, ERR_USAGE, "%s: too long for the path of a socket",
                s->keeper_at);
        session_free(s);
        return false;
}

bool session_begin(struct session *s, pid_t pid, const struct qmp *q,
                   const uint64_t *host_pages, unsigned count, struct err *err)
{
        CLEANUP_FREE char *text = NULL;
        json_t *list = json_array();

        s->content = json_pack(
                "{s:I, s:I, s:o}", "pid", (json_int_t)pid, "start_time",
                (json_int_t)identity_start_time(pid), "host_pages", list);
        if (!s->content)
                return err_nomem(err);
        for (unsigned i = 0; i < count; i++)
                if (json_array_append_new(
                            list, json_integer((json_int_t)host_pages[i])) != 0)
                        return err_nomem(err);
        text = json_dumps(s->content, JSON_COMPACT);
        if (!text)
                return err_nomem(err);
        TRY(io_create_locked(s->note, text, strlen(text), &s->fd, err));
        return keeper_start(qmp_fd(q), s->keeper_at, s->note, &s->keeper, err);
}

bool session_adopt(struct session *s, struct qmp **out, struct err *err)
{
        int fd;

        TRY(keeper_ask(s->keeper_at, &fd, err));
        TRY(qmp_adopt(fd, "QEMU", out, err));
        return keeper_start(qmp_fd(*out), s->keeper_at, s->note, &s->keeper,
                            err);
}
