/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* save_report: what a save that is done tells of itself. */
#ifndef STASIS_CMD_SAVE_REPORT_H
#define STASIS_CMD_SAVE_REPORT_H

#include "save/live.h"

/* --json. */
bool save_report_print(const struct live_report *r, struct err *err);
/* One line, for a live save. */
void save_report_note(const struct live_report *r);

#endif
