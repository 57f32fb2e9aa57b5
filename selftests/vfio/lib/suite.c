// SPDX-License-Identifier: GPL-2.0
/* Runs suites: which tests the mode of the instance makes sense for, and what comes after each. */
#include <string.h>

#include "nvme.h"
#include "suite.h"

static void test_run(struct test *t, struct nvme *n,
		     void (*after)(struct test *t, struct nvme *n))
{
	if ((t->flags & TEST_DIRECT) && !n->direct)
		t->skipped = "for direct mode";
	else if ((t->flags & TEST_GUARDED) && n->direct)
		t->skipped = "direct mode trusts its guest here";
	if (!t->skipped) {
		t->fn(t, n);
		if (after)
			after(t, n);
	}
	test_report(t);
}

static bool suite_wanted(const struct suite *s, int argc, char **argv)
{
	int i;

	if (argc < 3)
		return true;
	for (i = 2; i < argc; i++)
		if (!strcmp(argv[i], s->name))
			return true;
	return false;
}

void test_suites(struct nvme *n, const struct suite *const *suites, unsigned int nr,
		 int argc, char **argv, void (*after)(struct test *t, struct nvme *n))
{
	unsigned int i, j, total = 0;

	for (i = 0; i < nr; i++)
		if (suite_wanted(suites[i], argc, argv))
			total += suites[i]->nr;
	test_plan(total);
	for (i = 0; i < nr; i++) {
		if (!suite_wanted(suites[i], argc, argv))
			continue;
		diag("suite %s", suites[i]->name);
		for (j = 0; j < suites[i]->nr; j++)
			test_run(&suites[i]->tests[j], n, after);
	}
}
