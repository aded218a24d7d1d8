/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cluster: compressed clusters of a qcow2 image; the last one is kept, so
 * that a cluster that is read in pieces is decompressed once. */
#ifndef STASIS_QCOW_CLUSTER_H
#define STASIS_QCOW_CLUSTER_H

#include "qcow/header.h"

struct cluster_reader;

/* fd, name and h outlive it. */
bool cluster_reader_new(int fd, const char *name, const struct qcow2_header *h,
                        struct cluster_reader **out, struct err *err);
void cluster_reader_free(struct cluster_reader *r); /* NULL is fine */

/* len bytes at `within` of the cluster that is compressed in at most `stored`
 * bytes at host, host > 0, stored at most two clusters. */
bool cluster_read(struct cluster_reader *r, uint64_t host, uint64_t stored,
                  uint64_t within, uint8_t *bytes, size_t len, struct err *err);

#endif
