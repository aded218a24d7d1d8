/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "save/import.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"
#include "save/birth.h"

#include <inttypes.h>
#include <string.h>

static bool convert(int in_fd, const char *in_name, int out_fd,
                    const char *out_name, const struct import_options *options,
                    struct capture_report *report, struct err *err)
{
        json_t *manifest = json_object();
        struct capture_options o = {
                .compress = options->compress,
                .level = options->level,
                .threads = options->threads,
                .spool_dir = options->spool_dir,
                .manifest = manifest,
                .progress = options->progress,
        };
        bool ok;

        ok = manifest || err_nomem(err);
        ok = ok && birth_describe(manifest, "import", &o.time, err);
        ok = ok &&
             capture_run(in_fd, in_name, out_fd, out_name, &o, report, err);
        json_decref(manifest);
        if (ok && report->trailing_bytes)
                log_warn("%s: %" PRIu64 " bytes behind the end of the stream "
                         "are left out",
                         in_name, report->trailing_bytes);
        return ok;
}

static void cleanup_publish(struct publish **p)
{
        publish_close(*p);
}

bool import_run(int in_fd, const char *in_name, const char *out_path,
                const struct import_options *options,
                struct capture_report *report, struct err *err)
{
        CLEANUP(cleanup_publish) struct publish *p = NULL;

        if (strcmp(out_path, "-") == 0)
                return convert(in_fd, in_name, STDOUT_FILENO, "standard output",
                               options, report, err);
        TRY(publish_open(out_path, options->force ? PUBLISH_REPLACE : 0, &p,
                         err));
        TRY(convert(in_fd, in_name, publish_fd(p), out_path, options, report,
                    err));
        return publish_commit(p, err);
}
