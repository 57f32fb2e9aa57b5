// SPDX-License-Identifier: GPL-2.0
/*
 * LightIOV: hardware NVMe queue pairs for virtual machines.
 *
 * Owns the order of loading and unloading: the mdev driver first, so that a parent has
 * something to register with, the host boundary last, because it brings the controllers.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/module.h>

#include "compat.h"
#include "vfio/vfio.h"

static int __init liov_init(void)
{
	int rc;

	rc = liov_core_init();
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

	rc = liov_host_init(&liov_parent_ops);
	if (rc)
		goto err_mdev;

	liov_halt_init(liov_busy_halted);
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
