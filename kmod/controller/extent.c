// SPDX-License-Identifier: GPL-2.0
/*
 * Where block devices lie in their namespaces.  The block layer counts in sectors of 512
 * bytes, a namespace in LBAs.  Owns nothing.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/blkdev.h>

#include "controller/controller.h"

/**
 * liov_extent_of() - where a block device lies in its namespace
 * @inst:      for whom
 * @bdev:      block device
 * @lba_shift: log2 of the bytes of an LBA
 * @nsze:      LBAs of the namespace
 * @ext:       out
 *
 * Return: 0, or -EINVAL after a line in the log.
 */
int liov_extent_of(struct liov_instance *inst, struct block_device *bdev, u8 lba_shift, u64 nsze,
		   struct liov_extent *ext)
{
	u64 start = get_start_sect(bdev), count = bdev_nr_sectors(bdev);
	unsigned int shift = lba_shift - SECTOR_SHIFT;

	if (!bdev_is_partition(bdev)) {
		ext->first = 0;
		ext->nlb = nsze;
		return 0;
	}
	if ((start | count) & (BIT_ULL(shift) - 1)) {
		liov_open_warn(inst, "%pg does not begin and end at a logical block; make the partition again\n",
			       bdev);
		return -EINVAL;
	}
	ext->first = start >> shift;
	ext->nlb = count >> shift;
	return 0;
}

/**
 * liov_extent_has() - does it hold all of [first, first + nlb)?
 * @ext:   extent
 * @first: first LBA
 * @nlb:   LBAs
 *
 * Return: whether it does.
 */
bool liov_extent_has(const struct liov_extent *ext, u64 first, u64 nlb)
{
	return first >= ext->first && first - ext->first <= ext->nlb &&
	       nlb <= ext->nlb - (first - ext->first);
}

/**
 * liov_backing_inside() - do the LBAs of a backing lie where it was written to lie?
 * @inst: instance; the caller holds its lock
 * @nsze: LBAs of the namespace now
 *
 * Return: 0, or a negative errno: the namespace or the partition is smaller, or elsewhere.
 */
int liov_backing_inside(struct liov_instance *inst, u64 nsze)
{
	const struct liov_backing *b = &inst->backing;
	struct liov_extent ext = {};
	int rc;

	lockdep_assert_held(&inst->lock);
	rc = liov_extent_of(inst, file_bdev(b->file), b->lba_shift, nsze, &ext);
	if (rc)
		return rc;
	if (liov_extent_has(&ext, b->first, b->nlb) && b->first <= nsze &&
	    b->nlb <= nsze - b->first)
		return 0;
	liov_open_warn(inst, "the drive or the partition table changed and %s is no longer there; write the backing again\n",
		       b->text);
	return -ENODEV;
}
