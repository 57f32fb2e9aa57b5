/* SPDX-License-Identifier: GPL-2.0 */
/* What the test programs share: the check after each test, FLR, patterns. */
#ifndef _LIOV_HEALTH_H
#define _LIOV_HEALTH_H

#include "controller.h"
#include "suite.h"

/* Cleans up after a test and shows that the device still works. */
void test_health(struct test *t, struct nvme *n);

/* Opens the instance for main(); on failure prints the plan and *rc is the exit code. */
bool test_open(struct nvme *n, int argc, char **argv, int *rc);

/* Function Level Reset through configuration space; the device is not brought up. */
int nvme_flr(struct nvme *n);

/* A pattern that tells bytes, blocks and seeds apart. */
void fill_pattern(void *buf, size_t len, u32 seed);
bool check_pattern(const void *buf, size_t len, u32 seed);

#endif /* _LIOV_HEALTH_H */
