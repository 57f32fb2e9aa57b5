// SPDX-License-Identifier: GPL-2.0
/*
 * What the rest of the module asks of a controller through nvme.ko: an admin command,
 * a reset, the namespace behind a block device.  Whether and when it may: see ctrl.c.
 */
#include <linux/blkdev.h>
#include <linux/nvme_ioctl.h>
#include <linux/sched/mm.h>

#include "priv.h"

/**
 * liov_host_admin - send an admin command and wait for it
 * @h:      the host
 * @cmd:    the command; with @len 0 its data pointer is sent as it is
 * @buf:    data buffer (kmalloc or pages), NULL if none
 * @len:    its length in bytes
 * @result: dword 0 of the completion, may be NULL
 *
 * Context: may sleep; in a section (liov_host_enter()), never in @stopping or
 * @stopped.
 * Return: 0, a positive NVMe status, or a negative errno: -EINTR if a reset
 * cancelled it, -EIO, -ENOMEM, -EINVAL outside a section.
 */
int liov_host_admin(struct liov_host *h, struct nvme_command *cmd, void *buf,
		    unsigned int len, u32 *result)
{
	struct liov_hostp *p = to_hostp(h);
	union nvme_result res = { };
	unsigned int noio;
	int rc;

	if (WARN_ON_ONCE(!READ_ONCE(p->sections) || !p->adminq))
		return -EINVAL;
	/* A reset that did not wait for the section for ever: a command would be in its way. */
	if (liov_host_is_down(h))
		return -EINTR;
	/* It maps @buf, and a reset waits for the section. */
	noio = memalloc_noio_save();
	rc = __nvme_submit_sync_cmd(p->adminq, cmd, &res, buf, len,
				    LIOV_QID_ANY, 0);
	memalloc_noio_restore(noio);
	if (rc >= 0 && result)
		*result = le32_to_cpu(res.u32);
	return rc;
}

/**
 * liov_host_reset - ask the host driver to reset the controller
 * @h: the host
 *
 * For queues that cannot be deleted: a disabled controller is the fence of last
 * resort.  Returns at once; @stopping and @stopped follow.
 *
 * Context: may sleep.
 * Return: 0, -EBUSY if a reset runs already, or another negative errno.
 */
int liov_host_reset(struct liov_host *h)
{
	struct device *cdev = liov_ctrl_get(h->pdev);
	int rc;

	if (!cdev)
		return -ENODEV;
	rc = nvme_reset_ctrl(dev_get_drvdata(cdev));
	put_device(cdev);
	return rc;
}

static int match_path(struct device *dev, void *data)
{
	unsigned int *id = data, subsys, ctrl, head;
	char end;

	/* A hidden path of a multipath namespace: nvmeXcYnZ. */
	return dev->class && !strcmp(dev->class->name, "block") &&
	       sscanf(dev_name(dev), "nvme%uc%un%u%c", &subsys, &ctrl, &head,
		      &end) == 3 && subsys == id[0] && head == id[1];
}

/*
 * Compares with the parent and does not look into it: a disk that is being
 * deleted holds no reference to it any more.
 */
static bool disk_is_on(struct gendisk *disk, struct device *cdev)
{
	unsigned int id[2];
	char end;

	if (disk_to_dev(disk)->parent == cdev)
		return true;
	if (sscanf(disk->disk_name, "nvme%un%u%c", &id[0], &id[1], &end) != 2)
		return false;
	return device_for_each_child(cdev, id, match_path);
}

/**
 * liov_host_nsid_of - the namespace behind a block device
 * @h:    the host
 * @bdev: a block device that the caller holds open
 * @nsid: where its NSID goes
 *
 * Also finds the namespace of a partition, and that of a multipath disk (nvmeXnZ
 * under a subsystem), if one of its paths is this controller.
 *
 * Context: may sleep.
 * Return: 0, -EINVAL if @bdev is on no namespace of this controller, -EAGAIN if a
 * multipath disk has no path at the moment, since its controllers are being reset, or
 * another negative errno of nvme's.
 */
int liov_host_nsid_of(struct liov_host *h, struct block_device *bdev, u32 *nsid)
{
	struct gendisk *disk = bdev->bd_disk;
	struct device *cdev;
	int rc = 0;

	if (!disk->fops->ioctl)
		return -EINVAL;
	cdev = liov_ctrl_get(h->pdev);
	if (cdev && disk_is_on(disk, cdev))
		rc = disk->fops->ioctl(bdev_whole(bdev), BLK_OPEN_READ, NVME_IOCTL_ID, 0);
	put_device(cdev);
	/* NSIDs have 32 bits: only the highest 4095 cannot be told from an errno. */
	if (IS_ERR_VALUE((long)rc))
		return rc;
	*nsid = rc;
	return rc ? 0 : -EINVAL;
}
