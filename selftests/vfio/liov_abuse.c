// SPDX-License-Identifier: GPL-2.0
/*
 * liov_abuse [UUID [SUITE...]]: bad things a guest or a VFIO user can do, each
 * with the outcome the specifications ask for, and a device that works after it.
 */
#include <stdio.h>
#include <string.h>

#include "abuse.h"

static const struct suite *const suites[] = {
	&suite_regs, &suite_config, &suite_mailbox, &suite_admin,
	&suite_queues, &suite_doorbells, &suite_prps, &suite_vfio,
};

static bool wanted(const struct suite *s, int argc, char **argv)
{
	int i;

	if (argc < 3)
		return true;
	for (i = 2; i < argc; i++)
		if (!strcmp(argv[i], s->name))
			return true;
	return false;
}

int main(int argc, char **argv)
{
	unsigned int i, j, nr = 0;
	struct nvme n;
	int rc;

	if (!test_open(&n, argc, argv, &rc))
		return rc;
	for (i = 0; i < ARRAY_SIZE(suites); i++)
		if (wanted(suites[i], argc, argv))
			nr += suites[i]->nr;
	test_plan(nr);
	for (i = 0; i < ARRAY_SIZE(suites); i++) {
		if (!wanted(suites[i], argc, argv))
			continue;
		diag("suite %s", suites[i]->name);
		for (j = 0; j < suites[i]->nr; j++)
			test_run(&suites[i]->tests[j], &n, test_health);
	}
	nvme_close(&n);
	return test_done();
}
