// SPDX-License-Identifier: GPL-2.0
/*
 * liov_basic [UUID [SUITE...]]: an instance does what an NVMe controller does.
 *
 * WRITES to the first MiBs of the instance's namespace.
 */
#include "basic.h"

static const struct suite *const suites[] = {
	&suite_controller, &suite_data, &suite_commands, &suite_rings, &suite_memory,
	&suite_stats, &suite_costs, &suite_worker, &suite_limits,
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
