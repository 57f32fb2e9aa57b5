// SPDX-License-Identifier: GPL-2.0
/*
 * LightIOV: hardware NVMe queue pairs for virtual machines.
 *
 * Owns the module's parameters and the order of loading and unloading: the
 * mdev driver first, so that a parent has something to register with, the host
 * boundary last, because it brings the controllers.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/module.h>
#include <linux/string.h>

#include "compat.h"
#include "lightiov.h"

bool liov_allow_direct;
module_param_named(allow_direct, liov_allow_direct, bool, 0444);
MODULE_PARM_DESC(allow_direct,
		 "allow direct mode: guests drive hardware queues themselves and must be trusted (default: off)");

static unsigned int reserve;
module_param(reserve, uint, 0444);
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

static int __init liov_parse_lacks(void)
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

static int __init liov_init(void)
{
	int rc;

	rc = liov_parse_lacks();
	if (rc)
		return rc;
	rc = liov_worker_init();
	if (rc)
		return rc;
	rc = mdev_register_driver(&liov_mdev_driver);
	if (rc) {
		pr_err("cannot register the mdev driver (%d)\n", rc);
		goto err_worker;
	}

	rc = liov_host_init(&liov_parent_ops, reserve);
	if (rc)
		goto err_mdev;

	liov_halt_init();
	if (!liov_can_track())
		pr_warn("this kernel's KVM does not track writes for others (CONFIG_KVM_EXTERNAL_WRITE_TRACKING); every doorbell of a guest will exit to user space\n");
	if (!liov_can_have_worker())
		pr_warn("this kernel has no threads for work of a user's (CONFIG_VHOST_TASK); what guests leave to be done is done by kernel workers, outside their limits\n");
	if (liov_allow_direct)
		pr_notice("direct mode is allowed: a guest in it can reach every namespace of its drive and all memory the drive is mapped for; give it to trusted guests only\n");
	return 0;

err_mdev:
	mdev_unregister_driver(&liov_mdev_driver);
err_worker:
	liov_worker_exit();
	return rc;
}

/*
 * Unloading is refused while an mdev is open: VFIO holds a reference to the
 * module.  What is left here are idle instances and parents.
 */
static void __exit liov_exit(void)
{
	liov_host_exit();
	mdev_unregister_driver(&liov_mdev_driver);
	liov_worker_exit();
	liov_halt_exit();
}

module_init(liov_init);
module_exit(liov_exit);
MODULE_DESCRIPTION("NVMe queue pairs for virtual machines (mdev)");
MODULE_AUTHOR("The LightIOV authors");
MODULE_LICENSE("GPL");
