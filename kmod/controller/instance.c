// SPDX-License-Identifier: GPL-2.0
/*
 * An instance: one mdev, one virtual controller.
 *
 * Owns its life from creation (queue pairs are reserved) over open (backing
 * checked, doorbells made) to the last close.  liov_instance.lock covers all of it
 * except creation and removal, which the driver core serialises.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/module.h>
#include <linux/slab.h>

#include "compat.h"
#include "controller/controller.h"

/*
 * CAP.TO at least, in units of 500 ms: a guest that resets its controller while the host
 * resets the drive's waits for CSTS.RDY until that is over.
 */
#define LIOV_TO_MIN	240

/* The newest version whose mandatory parts we have; older drives say so. */
#define LIOV_VS_MAX	NVME_VS(1, 4, 0)

/**
 * liov_instance_set_mode() - choose direct or guarded mode
 * @inst: instance, not open
 * @name: "guarded" or "direct"
 *
 * May sleep.  Return: 0, -EINVAL (no such mode), -EBUSY (open), -EPERM (direct mode is not
 * allowed) or -EOPNOTSUPP (it has limits or shared queue pairs, which is nothing for direct mode).
 */
int liov_instance_set_mode(struct liov_instance *inst, const char *name)
{
	const struct liov_mode_ops *mode;
	int rc = 0;

	if (sysfs_streq(name, liov_guarded_ops.name)) {
		mode = inst->shared ? &liov_shared_ops : &liov_guarded_ops;
	} else if (sysfs_streq(name, liov_direct_ops.name)) {
		mode = &liov_direct_ops;
	} else {
		liov_warn(inst, "no such mode; write guarded or direct\n");
		return -EINVAL;
	}
	if (mode->trusted && !liov_allow_direct) {
		liov_warn(inst, "direct mode is off; load lightiov with allow_direct=1 if the guest is trusted\n");
		return -EPERM;
	}
	mutex_lock(&inst->lock);
	if (inst->is_open) {
		liov_warn(inst, "the mode cannot be changed while a VM uses this device\n");
		rc = -EBUSY;
	} else if (!mode->guard && inst->shared) {
		liov_warn(inst, "its queue pairs are shared, which %s mode cannot have; create a device of another type\n",
			  mode->name);
		rc = -EOPNOTSUPP;
	} else if (!mode->guard && inst->throttle.on) {
		liov_warn(inst, "this device has limits, which %s mode cannot keep; write 0 to them first\n",
			  mode->name);
		rc = -EOPNOTSUPP;
	} else {
		inst->mode = mode;
	}
	mutex_unlock(&inst->lock);
	return rc;
}

/**
 * liov_instance_set_weight() - how much of shared pairs a guest gets beside others
 * @inst:   instance, open or not
 * @weight: in percent of the usual
 *
 * May sleep.  Return: 0, -ERANGE, or -EOPNOTSUPP: its pairs are its own.
 */
int liov_instance_set_weight(struct liov_instance *inst, unsigned int weight)
{
	if (!inst->shared) {
		liov_warn(inst, "its queue pairs are its own, which the drive serves in turn; a weight is for those of a shared type\n");
		return -EOPNOTSUPP;
	}
	if (weight < LIOV_WEIGHT_MIN || weight > LIOV_WEIGHT_MAX) {
		liov_warn(inst, "no such weight; write %u to %u\n", LIOV_WEIGHT_MIN,
			  LIOV_WEIGHT_MAX);
		return -ERANGE;
	}
	mutex_lock(&inst->lock);
	WRITE_ONCE(inst->weight, weight);
	mutex_unlock(&inst->lock);
	return 0;
}

/**
 * liov_instance_set_limit() - limit what a guest may do in a second
 * @inst:       instance, open or not
 * @id:         what
 * @per_second: commands or bytes; 0: no limit
 *
 * May sleep.  Return: 0, -ERANGE, or -EOPNOTSUPP: in direct mode the drive decides.
 */
int liov_instance_set_limit(struct liov_instance *inst, enum liov_rate_id id, u64 per_second)
{
	int rc = 0;

	if (per_second > LIOV_RATE_MAX)
		return -ERANGE;
	mutex_lock(&inst->lock);
	if (per_second && !inst->mode->guard) {
		liov_warn(inst, "direct mode knows no limits, its guest rings the drive itself; write guarded to lightiov/mode\n");
		rc = -EOPNOTSUPP;
	} else {
		liov_throttle_set(inst, id, per_second);
	}
	mutex_unlock(&inst->lock);
	return rc;
}

/**
 * liov_instance_set_burst() - how far limits may be exceeded for a moment
 * @inst: instance, open or not
 * @ms:   1 to LIOV_BURST_MAX_MS: what may pass at once, as time at the limit
 *
 * Return: 0 or -ERANGE.
 */
int liov_instance_set_burst(struct liov_instance *inst, unsigned int ms)
{
	if (!ms || ms > LIOV_BURST_MAX_MS)
		return -ERANGE;
	WRITE_ONCE(inst->throttle.burst, ms * NSEC_PER_MSEC);
	return 0;
}

/* ---- controller state; all under liov_instance.lock ---- */

/**
 * liov_instance_state() - the instance's state in one word, for sysfs
 * @inst: instance
 *
 * Return: "idle", "open", "enabled", "paused", "lost" or "short".
 */
const char *liov_instance_state(struct liov_instance *inst)
{
	if (READ_ONCE(inst->is_open) &&
	    (READ_ONCE(inst->fatal) || liov_host_is_gone(inst->parent->host)))
		return "lost";
	if (READ_ONCE(inst->lacks))
		return "short";
	if (!READ_ONCE(inst->is_open))
		return "idle";
	if (!(READ_ONCE(inst->regs.csts) & NVME_CSTS_RDY))
		return "open";
	return READ_ONCE(inst->paused) ? "paused" : "enabled";
}

/*
 * If the hardware may use any of it and that cannot be waited for, its queues go first; the
 * guest then finds a fatal status.
 */
static void liov_instance_take_away(struct liov_instance *inst, u64 iova, u64 len)
{
	const struct liov_mode_ops *mode = inst->mode;

	lockdep_assert_held(&inst->lock);
	if (mode->unmap) {
		/* What was in flight at a reset is better done than given up. */
		liov_resume_now(inst);
		if (!mode->unmap(inst, iova, len))
			return;
		liov_guest_warn(inst, "commands did not complete while the VM gave memory up; deleting their queues\n");
	}
	/* Also of one that sleeps at the moment: what wakes it brings no queues back. */
	if (READ_ONCE(inst->awake) || liov_queues_made(inst))
		liov_control_set_fatal(inst);
	if (liov_fence(inst, true))
		liov_fence_failed(inst);
	else
		mode->drop(inst, iova, len);
}

/**
 * liov_instance_dma_unmap() - VFIO takes guest memory away
 * @inst: open instance
 * @iova: guest-physical start
 * @len: bytes
 *
 * May sleep.
 */
void liov_instance_dma_unmap(struct liov_instance *inst, u64 iova, u64 len)
{
	if (!len)
		return;
	/* Before any lock. */
	liov_unmap_begin(inst, iova, len);
	mutex_lock(&inst->lock);
	liov_mailbox_unmapping(inst, iova, len);
	if (inst->mode->in_use(inst, iova, len))
		liov_instance_take_away(inst, iova, len);
	mutex_unlock(&inst->lock);
}

/* ---- open and close ---- */

static void liov_instance_model_init(struct liov_instance *inst)
{
	struct liov_host *h = inst->parent->host;
	struct liov_regs_cfg cfg = {
		.mqes	 = NVME_CAP_MQES(h->cap),
		.mps	 = (h->cc >> NVME_CC_MPS_SHIFT) & 0xf,
		.to	 = max(NVME_CAP_TIMEOUT(h->cap), LIOV_TO_MIN),
		.vs	 = min_t(u32, h->vs, LIOV_VS_MAX),
		.nvm_css = true,
	};
	struct liov_pci_ids ids = {
		.vendor	   = h->pdev->vendor,
		.device	   = h->pdev->device,
		.subvendor = h->pdev->subsystem_vendor,
		.subdevice = h->pdev->subsystem_device,
		.revision  = h->pdev->revision,
	};

	liov_regs_init(&inst->regs, &cfg);
	liov_pci_init(inst->pci, &ids, inst->nr_vectors,
		      inst->mode->windows ? LIGHTIOV_FLAG_DIRECT : 0);

	memset(&inst->queues, 0, sizeof(inst->queues));
	inst->queues.nr_pairs = inst->nr_pairs;
	inst->queues.nr_vectors = inst->nr_vectors;
	inst->queues.mqes = cfg.mqes;
	inst->queues.page_size = 1U << (12 + cfg.mps);

	inst->ident.nsid = inst->mode->guard ? inst->guard.nsid : inst->backing.nsid;
	inst->ident.nr_pairs = inst->nr_pairs;
	inst->ident.vs = cfg.vs;
	inst->ident.cntlid = 1;
	inst->ident.guard = inst->mode->guard ? &inst->guard : NULL;

	memset(inst->log, 0, sizeof(*inst->log));
	memset(inst->msix_table, 0, inst->nr_vectors * PCI_MSIX_ENTRY_SIZE);
	mutex_lock(&inst->parent->pool_lock);
	liov_features_init(&inst->features, inst->nr_pairs, inst->ident.nsid, inst->parent->vwc,
			   inst->parent->id);
	mutex_unlock(&inst->parent->pool_lock);
	liov_admin_reset(inst);
	inst->fatal = false;
	inst->awake = false;
	inst->bar = ~0ULL;
}

/* May it be opened in its mode now?  Says why not. */
static int liov_instance_check(struct liov_instance *inst)
{
	const struct liov_mode_ops *mode = inst->mode;
	int rc;

	lockdep_assert_held(&inst->lock);
	if (mode->trusted && !liov_allow_direct) {
		liov_guest_warn(inst, "direct mode is off; load lightiov with allow_direct=1 if the guest is trusted\n");
		return -EPERM;
	}
	if (!mode->guard && !inst->backing.whole) {
		liov_guest_warn(inst, "%s is not a whole namespace of %s; direct mode needs one\n",
				inst->backing.text, pci_name(inst->parent->host->pdev));
		return -EINVAL;
	}
	rc = liov_backing_check(inst);
	if (rc)
		return rc;
	return mode->check ? mode->check(inst) : 0;
}

/**
 * liov_instance_open() - first open of the VFIO device
 * @inst: instance
 *
 * Return: 0, or a negative errno after a line that says what is missing; or, without one,
 * -ERESTARTNOINTR.
 */
int liov_instance_open(struct liov_instance *inst)
{
	int rc;

	rc = liov_work_open(inst);
	if (rc)
		return rc;
	mutex_lock(&inst->lock);
	if (!inst->backing.file) {
		liov_guest_warn(inst, "no backing; write a block device's path (/dev/nvme0n1) to lightiov/backing\n");
		rc = -ENODEV;
		goto out;
	}
	inst->opening = true;
	rc = liov_instance_check(inst);
	inst->opening = false;
	if (rc)
		goto out;
	liov_instance_model_init(inst);
	rc = liov_unmap_open(inst);
	if (rc) {
		liov_unmap_close(inst);
		goto out;
	}
	liov_doorbell_open(inst);
	liov_own_open(inst);
	inst->mode->open(inst);
	liov_charge_open(inst);
	inst->is_open = true;
	liov_state_changed(inst);
out:
	mutex_unlock(&inst->lock);
	if (rc)
		return rc;
	rc = liov_worker_open(inst);
	if (rc)
		liov_instance_close(inst);
	return rc;
}

/**
 * liov_instance_close() - last close of the VFIO device, also by kill -9
 * @inst: instance
 *
 * Order: no more work can start, the hardware lets go, then memory.
 * May sleep as long as deleting the queues takes.
 */
void liov_instance_close(struct liov_instance *inst)
{
	mutex_lock(&inst->lock);
	WRITE_ONCE(inst->is_open, false);
	liov_state_changed(inst);
	liov_control_close(inst);
	mutex_unlock(&inst->lock);

	liov_control_cancel(inst);
	liov_admin_stop(inst);
	liov_doorbell_close(inst);
	liov_direct_stop(inst);
	liov_throttle_stop(inst);
	liov_worker_close(inst);
	liov_unmap_close(inst);
	liov_irq_clear_triggers(inst);
	liov_virq_reset(&inst->req);
	liov_virq_reset(&inst->err);

	mutex_lock(&inst->lock);
	liov_charge_close(inst);
	mutex_unlock(&inst->lock);
}

/* ---- creation and removal ---- */

static int liov_instance_alloc(struct liov_instance *inst)
{
	inst->pci = kzalloc(sizeof(*inst->pci), GFP_KERNEL_ACCOUNT);
	inst->msix_table = kcalloc(inst->nr_vectors, PCI_MSIX_ENTRY_SIZE, GFP_KERNEL_ACCOUNT);
	inst->virq = kcalloc(inst->nr_vectors, sizeof(*inst->virq), GFP_KERNEL_ACCOUNT);
	inst->cq = kvcalloc(inst->nr_pairs, sizeof(*inst->cq), GFP_KERNEL_ACCOUNT);
	inst->sq = kvcalloc(inst->nr_pairs, sizeof(*inst->sq), GFP_KERNEL_ACCOUNT);
	inst->log = kzalloc(sizeof(*inst->log), GFP_KERNEL_ACCOUNT);
	if (!inst->pci || !inst->msix_table || !inst->virq || !inst->cq || !inst->sq || !inst->log)
		return -ENOMEM;
	return liov_unmap_init(inst) ?: liov_hw_inst_alloc(inst);
}

/**
 * liov_instance_free() - what liov_instance_alloc() got, as far as it did
 * @inst: instance nobody uses any more
 */
void liov_instance_free(struct liov_instance *inst)
{
	liov_work_free(inst);
	liov_unmap_free(inst);
	kfree(inst->pci);
	kfree(inst->msix_table);
	kfree(inst->virq);
	kvfree(inst->cq);
	kvfree(inst->sq);
	kfree(inst->log);
	liov_hw_inst_free(inst);
}

/* All that needs no undoing. */
static void liov_instance_init(struct liov_instance *inst)
{
	mutex_init(&inst->lock);
	liov_jobs_init(inst);
	liov_irq_init(inst);
	spin_lock_init(&inst->err.lock);
	spin_lock_init(&inst->req.lock);
	liov_doorbell_init(inst);
	liov_pin_init(inst);
	liov_mem_init(inst);
	liov_mailbox_init(inst);
	liov_gmem_init(inst);
	liov_direct_init(inst);
	liov_guarded_init(inst);
	liov_throttle_init(inst);
	liov_resume_init(inst);
	liov_control_init(inst);
	liov_watch_init(inst);
	liov_admin_init(inst);
	inst->weight = LIOV_WEIGHT;
	inst->mode = inst->shared ? &liov_shared_ops : &liov_guarded_ops;
}

/**
 * liov_instance_create() - what an instance needs before anybody can see it
 * @inst: zeroed, with its mdev, parent and numbers
 *
 * May sleep.  Return: 0 or a negative errno; liov_instance_free() undoes it, and what of it
 * was done when it failed.
 */
int liov_instance_create(struct liov_instance *inst)
{
	int rc = liov_instance_alloc(inst);

	if (rc)
		return rc;
	liov_instance_init(inst);
	return uuid_parse(dev_name(liov_dev(inst)), &inst->ident.uuid);
}

/**
 * liov_instance_stop() - no more work of it
 * @inst: instance that is not open and that no reset hook finds any more
 *
 * May sleep.
 */
void liov_instance_stop(struct liov_instance *inst)
{
	liov_resume_stop(inst);
	liov_watch_cancel(inst);
}
