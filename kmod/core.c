// SPDX-License-Identifier: GPL-2.0
/*
 * What all floors of the module may look at: its parameters, and what tests take away.
 * Nothing here changes after it was loaded, and nothing is called from here.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/module.h>
#include <linux/string.h>

#include "compat.h"
#include "core.h"

bool liov_allow_direct;
module_param_named(allow_direct, liov_allow_direct, bool, 0444);
MODULE_PARM_DESC(allow_direct,
		 "allow direct mode: guests drive hardware queues themselves and must be trusted (default: off)");

unsigned int liov_reserve_pairs;
module_param_named(reserve, liov_reserve_pairs, uint, 0444);
MODULE_PARM_DESC(reserve,
		 "queue pairs to ask each controller for beyond those the host uses (default: 0)");

static const char * const lack_names[LIOV_NR_LACKS] = {
	[LIOV_LACK_WRITE_TRACKING]	= "write_tracking",
	[LIOV_LACK_IPMODIFY]		= "ipmodify",
	[LIOV_LACK_DYNAMIC_MSIX]	= "dynamic_msix",
	[LIOV_LACK_HALTS]		= "halts",
	[LIOV_LACK_HOST_INTERRUPTS]	= "host_interrupts",
	[LIOV_LACK_FENCE]		= "fence",
	[LIOV_LACK_SEPARATE_NVME]	= "separate_nvme",
	[LIOV_LACK_CALLS]		= "calls",
	[LIOV_LACK_WORKER]		= "worker",
};

static char *lacks[LIOV_NR_LACKS];
static unsigned int nr_lacks;
module_param_array(lacks, charp, &nr_lacks, 0444);
MODULE_PARM_DESC(lacks,
		 "for tests: behave as if this were missing, of write_tracking, ipmodify, dynamic_msix, halts, host_interrupts, fence, separate_nvme, calls, worker (default: none)");

static bool lacking[LIOV_NR_LACKS] __ro_after_init;

/**
 * liov_lacks() - shall this be taken for missing?
 * @what: what
 *
 * Any context.  Return: true if a test wants it.
 */
bool liov_lacks(enum liov_lack what)
{
	return lacking[what];
}

/**
 * liov_core_init() - once, before anything else of the module
 *
 * Return: 0, or -EINVAL if a parameter is none.
 */
int __init liov_core_init(void)
{
	unsigned int i;
	int what;

	for (i = 0; i < nr_lacks; i++) {
		what = match_string(lack_names, LIOV_NR_LACKS, lacks[i]);
		if (what < 0) {
			pr_err("lacks=%s: no such thing; write_tracking, ipmodify, dynamic_msix, halts, host_interrupts, fence, separate_nvme, calls and worker are known\n",
			       lacks[i]);
			return -EINVAL;
		}
		lacking[what] = true;
		pr_notice("for a test: going on as if there were no %s\n", lacks[i]);
	}
	return 0;
}
