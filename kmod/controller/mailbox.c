// SPDX-License-Identifier: GPL-2.0
/*
 * The mailbox in configuration space, by which a guest in direct mode asks for windows
 * (uapi/lightiov.h; the guest's side is guest/mailbox.c).
 *
 * Owns struct liov_mailbox.  A command runs in a work item, as it may take seconds; the
 * guest polls the status.  The work item takes liov_mem.lock and not liov_instance.lock,
 * whose holder may wait for it (liov_mailbox_cancel()).  All else is under
 * liov_instance.reg_lock.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/delay.h>

#include "controller/controller.h"

/* Memory other than what is asked for may be taken away meanwhile: begins again then. */
static int liov_mailbox_map(struct liov_instance *inst)
{
	struct liov_mailbox *mb = &inst->mailbox;
	int rc;

	for (;;) {
		rc = liov_mem_map(inst, mb->req.gpa, mb->req.size, &mb->cancel, &mb->bus);
		if (rc != -EAGAIN || READ_ONCE(mb->cancel))
			return rc;
		msleep(LIOV_QUIET_MS);
	}
}

/*
 * Takes liov_mem.lock only, so that the owner of liov_instance.lock may wait for
 * it.  The result is handed over by @done.
 */
static void liov_mailbox_work(struct work_struct *work)
{
	struct liov_mailbox *mb = container_of(work, struct liov_mailbox, work);
	struct liov_instance *inst = container_of(mb, struct liov_instance, mailbox);
	struct mem_cgroup *old = liov_charge_begin(inst);

	mb->bus = 0;
	mb->rc = 0;
	if (mb->req.cmd != LIGHTIOV_CMD_MAP)
		liov_mem_drop(inst, 0, U64_MAX);
	else
		mb->rc = liov_mailbox_map(inst);
	liov_charge_end(old);
	/* After @rc and @bus; pairs with liov_mailbox_poll(). */
	smp_store_release(&mb->done, true);
}

static void liov_mailbox_answer(struct liov_instance *inst, u32 status, int rc, u64 bus)
{
	liov_pci_vsec_set(inst->pci, LIGHTIOV_CAP_BUS_LO, lower_32_bits(bus));
	liov_pci_vsec_set(inst->pci, LIGHTIOV_CAP_BUS_HI, upper_32_bits(bus));
	liov_pci_vsec_set(inst->pci, LIGHTIOV_CAP_ERRNO, -rc);
	liov_pci_vsec_set(inst->pci, LIGHTIOV_CAP_STATUS, status);
}

static void liov_mailbox_finish(struct liov_instance *inst, int rc, u64 bus)
{
	liov_mailbox_answer(inst, rc ? LIGHTIOV_STATUS_ERROR : LIGHTIOV_STATUS_DONE, rc, bus);
}

/**
 * liov_mailbox_poll() - the guest is about to read the mailbox
 * @inst: open instance; the caller holds its reg_lock
 */
void liov_mailbox_poll(struct liov_instance *inst)
{
	struct liov_mailbox *mb = &inst->mailbox;

	lockdep_assert_held(&inst->reg_lock);
	/* Before @rc and @bus; pairs with liov_mailbox_work(). */
	if (!mb->busy || !smp_load_acquire(&mb->done))
		return;
	mb->busy = false;
	liov_mailbox_finish(inst, mb->rc, mb->bus);
}

/**
 * liov_mailbox_cancel() - no mailbox command after this
 * @inst: open instance; the caller holds its lock
 *
 * One that runs is cut short and forgotten; windows it made stay.  May sleep.
 */
void liov_mailbox_cancel(struct liov_instance *inst)
{
	struct liov_mailbox *mb = &inst->mailbox;

	lockdep_assert_held(&inst->lock);
	WRITE_ONCE(mb->cancel, true);
	cancel_work_sync(&mb->work);
	WRITE_ONCE(mb->cancel, false);
	spin_lock(&inst->reg_lock);
	/* The guest may have written another command since. */
	if (mb->busy && !work_busy(&mb->work)) {
		mb->busy = false;
		liov_mailbox_answer(inst, LIGHTIOV_STATUS_IDLE, 0, 0);
	}
	spin_unlock(&inst->reg_lock);
}

/**
 * liov_mailbox_is_busy() - is a mailbox command under way?
 * @inst: open instance; the caller holds its lock
 *
 * Does not sleep.
 *
 * Return: whether one is; if not, windows are what they stay until the next one.
 */
bool liov_mailbox_is_busy(struct liov_instance *inst)
{
	struct liov_mailbox *mb = &inst->mailbox;
	bool busy;

	lockdep_assert_held(&inst->lock);
	spin_lock(&inst->reg_lock);
	/* Before the windows; pairs with liov_mailbox_work(). */
	busy = mb->busy && !smp_load_acquire(&mb->done);
	spin_unlock(&inst->reg_lock);
	return busy;
}

/**
 * liov_mailbox_written() - the guest wrote LIGHTIOV_CAP_CMD
 * @inst: open instance; the caller holds its reg_lock
 *
 * Commands run in the background, as they may take seconds.  One that comes
 * while another runs is ignored, as the interface says.
 */
void liov_mailbox_written(struct liov_instance *inst)
{
	u32 cmd = liov_pci_vsec_get(inst->pci, LIGHTIOV_CAP_CMD);
	struct liov_mailbox *mb = &inst->mailbox;
	u64 end;

	liov_mailbox_poll(inst);
	if (mb->busy || cmd == LIGHTIOV_CMD_NONE)
		return;
	if (!inst->mode->windows) {
		liov_mailbox_finish(inst, -EOPNOTSUPP, 0);
		return;
	}
	switch (cmd) {
	case LIGHTIOV_CMD_MAP:
		mb->req.gpa = liov_pci_vsec_get(inst->pci, LIGHTIOV_CAP_GPA_LO) |
			       (u64)liov_pci_vsec_get(inst->pci, LIGHTIOV_CAP_GPA_HI) << 32;
		mb->req.size = liov_pci_vsec_get(inst->pci, LIGHTIOV_CAP_SIZE_LO) |
				(u64)liov_pci_vsec_get(inst->pci, LIGHTIOV_CAP_SIZE_HI) << 32;
		if (!mb->req.size || !PAGE_ALIGNED(mb->req.gpa) ||
		    !PAGE_ALIGNED(mb->req.size) ||
		    check_add_overflow(mb->req.gpa, mb->req.size, &end) ||
		    mb->req.size >> PAGE_SHIFT > U32_MAX ||
		    liov_mem_hits_bar(inst, mb->req.gpa, mb->req.size)) {
			liov_mailbox_finish(inst, -EINVAL, 0);
			return;
		}
		break;
	case LIGHTIOV_CMD_UNMAP_ALL:
		/* While nothing is under way nobody makes a queue, and enabling waits for this. */
		if (!liov_control_is_idle(inst) || liov_queues_made(inst)) {
			liov_mailbox_finish(inst, -EBUSY, 0);
			return;
		}
		break;
	default:
		liov_mailbox_finish(inst, -EINVAL, 0);
		return;
	}
	mb->req.cmd = cmd;
	mb->busy = true;
	mb->done = false;
	liov_pci_vsec_set(inst->pci, LIGHTIOV_CAP_STATUS, LIGHTIOV_STATUS_BUSY);
	liov_queue_work(inst, &mb->work);
}

/* Is a MAP under way that touches [iova, iova + len)? */
static bool liov_mailbox_maps(struct liov_instance *inst, u64 iova, u64 len)
{
	struct liov_mailbox *mb = &inst->mailbox;
	bool hit;

	lockdep_assert_held(&inst->lock);
	spin_lock(&inst->reg_lock);
	hit = mb->busy && mb->req.cmd == LIGHTIOV_CMD_MAP &&
		mb->req.gpa <= iova + (len - 1) && iova <= mb->req.gpa + (mb->req.size - 1);
	spin_unlock(&inst->reg_lock);
	return hit;
}

/**
 * liov_mailbox_unmapping() - VFIO takes guest memory away: a MAP of it ends
 * @inst: instance; the caller holds its lock
 * @iova: guest-physical start
 * @len:  bytes, not 0
 *
 * May sleep.
 */
void liov_mailbox_unmapping(struct liov_instance *inst, u64 iova, u64 len)
{
	if (liov_mailbox_maps(inst, iova, len))
		liov_mailbox_cancel(inst);
}

/**
 * liov_mailbox_init() - once, at creation
 * @inst: instance
 */
void liov_mailbox_init(struct liov_instance *inst)
{
	INIT_WORK(&inst->mailbox.work, liov_mailbox_work);
}
