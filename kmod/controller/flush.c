// SPDX-License-Identifier: GPL-2.0
/*
 * The drive's volatile cache at a shutdown of the guest's controller.
 *
 * A real controller that reports a shutdown complete (CSTS.SHST) has saved what was in its
 * cache (NVM Express Base 2.0 section 3.6.1), and Linux relies on it: at a power off it
 * sends no Flush of its own after the last write.  The drive is not shut down with a
 * guest's controller, so it gets a Flush of the backing's namespace, by the host's queues:
 * the guest's are gone by then.
 *
 * Owns liov_instance.flushed and .flushes.  Called by control.c.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/blkdev.h>
#include <linux/file.h>

#include "controller/controller.h"

/* Changes with every command that may have left something in the cache. */
static u64 liov_flush_written(const struct liov_instance *inst)
{
	u64 n = 0;
	unsigned int i;

	for (i = 1; i <= inst->nr_pairs; i++)
		n += READ_ONCE(liov_sq_at(inst, i)->stats.commands[LIOV_IO_WRITE]) +
		     READ_ONCE(liov_sq_at(inst, i)->stats.commands[LIOV_IO_DISCARD]);
	return n;
}

/**
 * liov_flush_begin() - what is to be flushed before a shutdown is complete
 * @inst: open instance without queues at the hardware; the caller holds its lock
 *
 * Return: the block device, for liov_flush_run(), with a reference; NULL if the drive has
 * no volatile cache or nothing was written since the last time.  Where there is no guard
 * nobody knows what was.
 */
struct file *liov_flush_begin(struct liov_instance *inst)
{
	u64 written = liov_flush_written(inst);

	lockdep_assert_held(&inst->lock);
	if (!READ_ONCE(inst->parent->vwc) || !inst->backing.file)
		return NULL;
	if (inst->mode->guard && inst->flushed == written)
		return NULL;
	inst->flushed = written;
	return get_file(inst->backing.file);
}

/**
 * liov_flush_run() - flush it
 * @inst: instance
 * @file: from liov_flush_begin(), not NULL; the reference is dropped
 *
 * Needs no lock.  May sleep as long as the drive takes, and as a reset of the host's.
 *
 * The guest cannot be told of a failure: a shutdown has no status but complete.  The line
 * in the log has to do, as for a drive that loses power with dirty blocks.
 */
void liov_flush_run(struct liov_instance *inst, struct file *file)
{
	int rc = blkdev_issue_flush(file_bdev(file));

	WRITE_ONCE(inst->flushes, inst->flushes + 1);
	if (rc) {
		/* The next one tries again. */
		WRITE_ONCE(inst->flushed, U64_MAX);
		liov_guest_warn(inst, "flushing %pg at the shutdown of the guest's controller failed (%d); what was written last may be lost at a power cut, see the log of nvme\n",
				file_bdev(file), rc);
	}
	/* Not bdev_fput(): the claim is the instance's. */
	fput(file);
}
