/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "restore/diff.h"

#include "restore/diff_private.h"

bool diff_tell(struct diff *d, const struct difference *difference,
               struct err *err)
{
        d->differs = true;
        return d->options->visit(d->options->arg, difference, err);
}

static bool open_one(struct diff *d, int s, struct err *err)
{
        const struct diff_input *in = &d->in[s];
        struct reader_options how = {.threads = 0};

        if (!reader_open(in->fd, in->name, &how, &d->reader[s], err))
                return err_in_file(err, in->name);
        if (reader_is_pipe(d->reader[s])) {
                err_in_file(err, in->name);
                return err_set(err, ERR_USAGE,
                               "a pipe tells its index last: give a file");
        }
        return state_read(in->fd, in->name, &d->state[s], err);
}

bool diff_run(const struct diff_input in[2], const struct diff_options *options,
              bool *equal_out, struct err *err)
{
        struct diff d = {.in = in, .options = options};
        bool ok = open_one(&d, 0, err) && open_one(&d, 1, err) &&
                  diff_config(&d, err) && diff_devices(&d, err) &&
                  diff_regions(&d, err);

        *equal_out = !d.differs;
        for (int s = 0; s < 2; s++) {
                state_fini(&d.state[s]);
                reader_close(d.reader[s]);
        }
        return ok;
}
