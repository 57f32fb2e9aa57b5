/* SPDX-License-Identifier: GPL-2.0 */
/* The suites of liov_basic: what an NVMe controller does when nobody is evil. */
#ifndef _LIOV_BASIC_H
#define _LIOV_BASIC_H

#include "lib/health.h"

/* Longer is a hang on any machine: what is waited for takes some ms. */
#define WAIT_MS		60000
/* How long nothing must happen, where nothing must happen. */
#define QUIET_MS	300

/* Keeps up to @depth reads outstanding until @total are done; returns those that failed. */
unsigned int read_many(struct test *t, struct nvme *n, struct nvme_queue *q,
		       unsigned int depth, unsigned int total);
/* A queue pair 1 for a test; false, and the test has failed, if there is none. */
bool basic_queue(struct test *t, struct nvme *n, struct nvme_queue *q);
/* 4 KiB in blocks, one block if they are larger. */
u32 nlb_4k(const struct nvme *n);
/* The counter @name of the instance; negative, and the test has failed, if it cannot be read. */
long long basic_stat(struct test *t, struct nvme *n, const char *name);

/* Bytes that one Write Zeroes may clear; 0 if there is none. */
u32 zeroes_limit(struct test *t, struct nvme *n);

extern const struct suite suite_controller, suite_data, suite_commands, suite_rings,
			  suite_memory, suite_stats, suite_costs, suite_worker,
			  suite_limits;

#endif /* _LIOV_BASIC_H */
