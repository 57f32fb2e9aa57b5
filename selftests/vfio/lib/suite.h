/* SPDX-License-Identifier: GPL-2.0 */
/* Tests that are run one after the other on one instance. */
#ifndef _LIOV_SUITE_H
#define _LIOV_SUITE_H

#include "test.h"

struct suite {
	const char *name;
	struct test *tests;
	unsigned int nr;
};

/*
 * Plans and runs those of @suites that argv[2] and on name, or all; @after is the check
 * that everybody must pass, it may be NULL.
 */
void test_suites(struct nvme *n, const struct suite *const *suites, unsigned int nr,
		 int argc, char **argv, void (*after)(struct test *t, struct nvme *n));

#endif /* _LIOV_SUITE_H */
