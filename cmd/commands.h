/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The commands: cmd/NAME.c defines cmd_NAME. */
#ifndef STASIS_CMD_COMMANDS_H
#define STASIS_CMD_COMMANDS_H

#include "base/options.h"

extern const struct command cmd_save, cmd_restore, cmd_check, cmd_soak,
        cmd_import, cmd_info, cmd_list, cmd_show, cmd_verify, cmd_diff,
        cmd_export, cmd_dirty_log;

#endif
