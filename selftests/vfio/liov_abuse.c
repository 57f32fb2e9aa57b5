// SPDX-License-Identifier: GPL-2.0
/*
 * liov_abuse [UUID [SUITE...]]: bad things a guest or a VFIO user can do, each
 * with the outcome the specifications ask for, and a device that works after it.
 */
#include "abuse.h"

static const struct suite *const suites[] = {
	&suite_regs, &suite_config, &suite_mailbox, &suite_admin,
	&suite_queues, &suite_doorbells, &suite_prps, &suite_vfio, &suite_silence,
	&suite_log, &suite_ioctl, &suite_random,
};

int main(int argc, char **argv)
{
	struct nvme n;
	int rc;

	if (!test_open(&n, argc, argv, &rc))
		return rc;
	test_suites(&n, suites, ARRAY_SIZE(suites), argc, argv, test_health);
	nvme_close(&n);
	return test_done();
}
