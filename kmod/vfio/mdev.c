// SPDX-License-Identifier: GPL-2.0
/*
 * The mdev driver: an instance comes with a UUID written to "create" of one of the parent's
 * types, and goes with its "remove".  Owns the order of both; the driver core serialises
 * them for one device.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/module.h>

#include "vfio/vfio.h"

/* Of its own, or a part in those that are shared. */
static int liov_mdev_take_pairs(struct liov_instance *inst)
{
	struct liov_parent *p = inst->parent;
	int rc;

	rc = inst->shared ? liov_shared_get(inst) : 0;
	if (!rc) {
		rc = liov_pool_take_qids(p, inst);
		/* The controller may have been withdrawn just now. */
		if (rc && inst->shared)
			liov_shared_release(inst);
	}
	if (rc == -ENOSPC)
		pci_err(p->host->pdev, "lightiov: %u queue pairs wanted, %u free; remove an instance, or write a larger number to lightiov/reserve, or a smaller one to lightiov/host_queues, and then 1 to lightiov/apply\n",
			inst->shared ? 1 : inst->nr_pairs, liov_pool_free_pairs(p));
	return rc;
}

static void liov_mdev_put_pairs(struct liov_instance *inst)
{
	liov_pool_put_qids(inst->parent, inst);
	if (inst->shared)
		liov_shared_release(inst);
}

static int liov_mdev_probe(struct mdev_device *mdev)
{
	struct liov_parent *p = container_of(mdev->type->parent, struct liov_parent, mdev);
	struct liov_type *type = container_of(mdev->type, struct liov_type, type);
	struct liov_instance *inst;
	int rc;

	inst = vfio_alloc_device(liov_instance, vdev, &mdev->dev, &liov_vfio_ops);
	if (IS_ERR(inst))
		return PTR_ERR(inst);
	inst->mdev = mdev;
	inst->parent = p;
	inst->nr_pairs = type->nr_pairs;
	inst->nr_vectors = type->nr_pairs + 1;
	inst->shared = type->shared;
	inst->sq_made = liov_stats_add_queue;
	liov_sysfs_init_instance(inst);
	rc = liov_instance_create(inst);
	if (rc)
		goto err_put;
	rc = liov_mdev_take_pairs(inst);
	if (rc)
		goto err_put;
	rc = vfio_register_emulated_iommu_dev(&inst->vdev);
	if (rc) {
		liov_err(inst, "cannot register with VFIO (%d)\n", rc);
		goto err_qids;
	}
	rc = liov_sysfs_add_instance(inst);
	if (rc) {
		liov_err(inst, "cannot make sysfs files (%d)\n", rc);
		goto err_vfio;
	}
	dev_set_drvdata(&mdev->dev, inst);
	return 0;

err_vfio:
	vfio_unregister_group_dev(&inst->vdev);
	/* One may have been written already. */
	liov_backing_put(inst);
err_qids:
	liov_mdev_put_pairs(inst);
	liov_instance_stop(inst);
err_put:
	vfio_put_device(&inst->vdev);
	return rc;
}

static void liov_mdev_remove(struct mdev_device *mdev)
{
	struct liov_instance *inst = dev_get_drvdata(&mdev->dev);

	liov_sysfs_del_instance(inst);
	/* Waits for user space to close the device, after asking it to. */
	vfio_unregister_group_dev(&inst->vdev);
	liov_backing_put(inst);
	/* No reset hook finds it from here on. */
	liov_mdev_put_pairs(inst);
	liov_instance_stop(inst);
	vfio_put_device(&inst->vdev);
}

static unsigned int liov_mdev_get_available(struct mdev_type *mtype)
{
	struct liov_parent *p = container_of(mtype->parent, struct liov_parent, mdev);
	struct liov_type *type = container_of(mtype, struct liov_type, type);

	if (type->shared)
		return liov_shared_available(p);
	return liov_pool_free_pairs(p) / type->nr_pairs;
}

static ssize_t liov_mdev_show_description(struct mdev_type *mtype, char *buf)
{
	struct liov_type *type = container_of(mtype, struct liov_type, type);

	if (type->shared)
		return sysfs_emit(buf, "NVMe controller, %u shared queue pairs, %u vectors\n",
				  type->nr_pairs, type->nr_pairs + 1);
	return sysfs_emit(buf, "NVMe controller, %u hardware queue pair%s, %u vectors\n",
			  type->nr_pairs, type->nr_pairs == 1 ? "" : "s", type->nr_pairs + 1);
}

struct mdev_driver liov_mdev_driver = {
	.device_api	  = VFIO_DEVICE_API_PCI_STRING,
	.max_instances	  = LIOV_MAX_INSTANCES,
	.driver = {
		.name	  = "lightiov",
		.owner	  = THIS_MODULE,
		.mod_name = KBUILD_MODNAME,
	},
	.probe		  = liov_mdev_probe,
	.remove		  = liov_mdev_remove,
	.get_available	  = liov_mdev_get_available,
	.show_description = liov_mdev_show_description,
};
