// SPDX-License-Identifier: GPL-2.0
/*
 * What a guest's accesses to registers and configuration space set off.
 *
 * Owns struct liov_control.  An access never waits: it changes the registers under
 * liov_instance.reg_lock, a spinlock, and what follows from it - deleting the hardware's
 * queues, a Flush, enabling - is left to the work item, which takes liov_instance.lock.
 * The registers show it under way: CSTS.RDY, CSTS.SHST, Transactions Pending, and after an
 * FLR a function that is not ready.
 *
 * From the moment of a write that ends the function's use of the guest's memory (CC.EN=0,
 * CC.SHN, FLR) until the next enable, and while bus mastering is off or in D3hot,
 * liov_instance.awake is false: no completion is posted, no command fetched, no interrupt
 * signalled.  What the hardware still has is ended by the work item before the registers say
 * that it is over; a function that loses its I/O queues by the latter two needs a reset.
 *
 * What may run at once: any number of accesses, one after the other by reg_lock; the work
 * item, one at a time; the reset hooks, which only start it (liov_control_kick()).
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include "controller/controller.h"

/* From one look whether a controller that is being reset is back to the next. */
#define LIOV_CONTROL_AGAIN_MS	50

/* @what supersedes what was to be done before of @voids. */
static void liov_control_want(struct liov_instance *inst, unsigned int what, unsigned int voids)
{
	lockdep_assert_held(&inst->reg_lock);
	inst->control.todo = (inst->control.todo & ~voids) | what;
}

/* ---- accesses; none of them waits ---- */

/**
 * liov_control_reg_read() - the guest reads a controller register
 * @inst: open instance
 * @off:  offset in BAR0, below LIOV_DB_BASE
 * @size: 1, 2, 4 or 8 bytes
 *
 * Of a controller that will not come back all ones, as of any function that is not there any
 * more: drivers know that, and do not wait for CAP.TO to end.  Does not sleep.
 *
 * Return: the value.
 */
u64 liov_control_reg_read(struct liov_instance *inst, u32 off, unsigned int size)
{
	struct liov_regs regs;

	if (unlikely(liov_host_is_gone(inst->parent->host)))
		return GENMASK_ULL(8 * size - 1, 0);
	spin_lock(&inst->reg_lock);
	regs = inst->regs;
	spin_unlock(&inst->reg_lock);
	/* Not kept in the registers: the admin queue still reports why. */
	if (READ_ONCE(inst->fatal))
		liov_regs_set_fatal(&regs);
	return liov_regs_read(&regs, off, size);
}

/**
 * liov_control_reg_write() - the guest writes a controller register
 * @inst: open instance
 * @off:  offset in BAR0, below LIOV_DB_BASE
 * @val:  value
 * @size: 1, 2, 4 or 8 bytes
 *
 * Does not sleep.
 */
void liov_control_reg_write(struct liov_instance *inst, u32 off, u64 val, unsigned int size)
{
	spin_lock(&inst->reg_lock);
	switch (liov_regs_write(&inst->regs, off, val, size)) {
	case LIOV_REGS_ENABLE:
		liov_control_want(inst, LIOV_DO_ENABLE, 0);
		break;
	case LIOV_REGS_DISABLE:
		liov_control_want(inst, LIOV_DO_DISABLE, LIOV_DO_ENABLE);
		break;
	case LIOV_REGS_SHUTDOWN:
		liov_control_want(inst, LIOV_DO_SHUTDOWN, 0);
		break;
	case LIOV_REGS_NONE:
		break;
	}
	liov_control_update(inst);
	spin_unlock(&inst->reg_lock);
	liov_control_kick(inst);
}

/**
 * liov_control_config_read() - the guest reads configuration space
 * @inst: open instance
 * @off:  offset
 * @buf:  result
 * @n:    bytes
 *
 * While an FLR is under way the function does not answer, and reads find all ones (PCIe
 * 5.0 section 6.6.2).  Does not sleep.
 */
void liov_control_config_read(struct liov_instance *inst, u64 off, void *buf, unsigned int n)
{
	spin_lock(&inst->reg_lock);
	liov_mailbox_poll(inst);
	if ((inst->control.todo | inst->control.doing) & LIOV_DO_FLR)
		memset(buf, 0xff, n);
	else
		liov_pci_read(inst->pci, off, buf, n);
	spin_unlock(&inst->reg_lock);
}

/* All that a guest set is forgotten. */
static void liov_control_reset(struct liov_instance *inst)
{
	lockdep_assert_held(&inst->reg_lock);
	liov_regs_function_reset(&inst->regs);
	liov_pci_function_reset(inst->pci);
	memset(inst->msix_table, 0, inst->nr_vectors * PCI_MSIX_ENTRY_SIZE);
}

/**
 * liov_control_config_write() - the guest writes configuration space
 * @inst: open instance
 * @off:  offset
 * @buf:  the bytes
 * @n:    so many
 *
 * May sleep for a mutex that is held for moments only, where decode changes.
 */
void liov_control_config_write(struct liov_instance *inst, u64 off, const void *buf,
			       unsigned int n)
{
	unsigned int action;

	spin_lock(&inst->reg_lock);
	action = liov_pci_write(inst->pci, off, buf, n);
	if (action & LIOV_PCI_FLR) {
		liov_control_reset(inst);
		liov_control_want(inst, LIOV_DO_FLR, ~0U);
	} else if (action & LIOV_PCI_MASTER && !liov_pci_is_master(inst->pci)) {
		liov_control_want(inst, LIOV_DO_SILENCE, 0);
	}
	if (action & LIOV_PCI_VSEC)
		liov_mailbox_written(inst);
	liov_control_update(inst);
	spin_unlock(&inst->reg_lock);

	liov_control_kick(inst);
	if (action & LIOV_PCI_MASTER)
		liov_admin_kick(inst);
	if (action & (LIOV_PCI_DECODE | LIOV_PCI_FLR))
		liov_doorbell_decode_changed(inst);
}

/**
 * liov_control_msix_access() - user space accesses the MSI-X table
 * @inst:  open instance
 * @off:   offset in its BAR
 * @buf:   the bytes
 * @n:     so many
 * @write: to the table
 *
 * User space emulates MSI-X; what it stores in the table is kept for it.  Does not sleep.
 */
void liov_control_msix_access(struct liov_instance *inst, u64 off, void *buf, unsigned int n,
			      bool write)
{
	u64 size = inst->nr_vectors * PCI_MSIX_ENTRY_SIZE;
	bool entry = off + n <= size;

	static_assert(LIOV_MSIX_TABLE_OFF == 0);
	off = array_index_nospec(off, size);
	spin_lock(&inst->reg_lock);
	if (!write && entry)
		memcpy(buf, inst->msix_table + off, n);
	else if (!write)
		memset(buf, 0, n);
	else if (entry)
		memcpy(inst->msix_table + off, buf, n);
	spin_unlock(&inst->reg_lock);
}

/* ---- the work item ---- */

/*
 * Takes the hardware's queues away.  Returns 0, or -EAGAIN if that has to wait for the
 * host.  One that has given the controller up has taken its bus mastering, too.
 */
static int liov_control_stop(struct liov_instance *inst)
{
	int rc = liov_fence(inst, false);

	return rc == -ENODEV ? 0 : rc;
}

/*
 * Lets go of the lock meanwhile: a Flush waits for the drive, and for a reset of the host's.
 * Returns whether the device is still open.
 */
static bool liov_control_flush(struct liov_instance *inst)
{
	struct file *file = liov_flush_begin(inst);

	if (!file)
		return true;
	mutex_unlock(&inst->lock);
	liov_flush_run(inst, file);
	mutex_lock(&inst->lock);
	return inst->is_open;
}

static void liov_control_forget(struct liov_instance *inst)
{
	liov_admin_reset(inst);
	liov_features_reset(&inst->features);
	liov_irq_forget(inst);
	liov_set_fatal(inst, false);
}

/* The guest waits for CSTS.RDY = 1, as long as CAP.TO says, so for the host's reset as well. */
static int liov_control_enable(struct liov_instance *inst)
{
	struct liov_host *h = inst->parent->host;
	bool ok;
	int rc;

	rc = liov_host_enter(h);
	if (rc == -EAGAIN)
		return rc;
	if (!rc)
		liov_host_leave(h);
	/* For the end of a command of the host's to its namespace, too. */
	if (!rc)
		rc = liov_backing_recheck(inst);
	if (rc == -EAGAIN)
		return rc;
	/*
	 * Windows that are being dropped must not be found any more.  Not waited for: a MAP may
	 * wait for the end of an unmap, which wants the lock that is held here.
	 */
	if (liov_mailbox_is_busy(inst))
		return -EAGAIN;
	/* Not the guest's doing, and nothing it can mend: for sysfs too. */
	if (rc)
		liov_set_fatal(inst, true);
	ok = !rc && liov_admin_enable(inst);
	spin_lock(&inst->reg_lock);
	if (ok)
		liov_regs_set_ready(&inst->regs);
	else if (!(inst->control.todo & (LIOV_DO_FLR | LIOV_DO_DISABLE)))
		liov_regs_set_fatal(&inst->regs);
	liov_control_update(inst);
	spin_unlock(&inst->reg_lock);
	return 0;
}

/* A function that may not use memory has lost its queues; only a reset brings them back. */
static void liov_control_silence(struct liov_instance *inst)
{
	if (!liov_queues_made(inst))
		return;
	spin_lock(&inst->reg_lock);
	if (!(inst->control.todo & LIOV_DO_FLR))
		liov_regs_set_fatal(&inst->regs);
	liov_control_update(inst);
	spin_unlock(&inst->reg_lock);
}

/* Returns what is left because the host's reset has to end first. */
static unsigned int liov_control_do(struct liov_instance *inst, unsigned int todo)
{
	if (todo & LIOV_DO_FLR)
		liov_mailbox_cancel(inst);
	if (todo & LIOV_DO_SILENCE)
		liov_control_silence(inst);
	if (todo & LIOV_DO_STOP && liov_control_stop(inst))
		return todo;
	if (todo & LIOV_DO_SHUTDOWN && !liov_control_flush(inst))
		return 0;
	if (todo & (LIOV_DO_FLR | LIOV_DO_DISABLE))
		liov_control_forget(inst);

	spin_lock(&inst->reg_lock);
	if (todo & LIOV_DO_SHUTDOWN)
		liov_regs_set_shutdown_done(&inst->regs);
	if (todo & LIOV_DO_DISABLE) {
		liov_regs_set_disabled(&inst->regs);
		/* Once more: liov_watch_shut() may have found it ready until now. */
		liov_set_fatal(inst, false);
	}
	liov_control_update(inst);
	spin_unlock(&inst->reg_lock);

	if (todo & LIOV_DO_ENABLE && liov_control_enable(inst))
		return LIOV_DO_ENABLE;
	return 0;
}

static unsigned int liov_control_take(struct liov_instance *inst)
{
	struct liov_control *ctl = &inst->control;

	spin_lock(&inst->reg_lock);
	ctl->doing = ctl->todo;
	WRITE_ONCE(ctl->todo, 0);
	spin_unlock(&inst->reg_lock);
	return ctl->doing;
}

/* What came meanwhile may have made @left void, as in liov_control_want(). */
static void liov_control_done(struct liov_instance *inst, unsigned int left)
{
	struct liov_control *ctl = &inst->control;

	spin_lock(&inst->reg_lock);
	if (ctl->todo & LIOV_DO_FLR)
		left = 0;
	else if (ctl->todo & LIOV_DO_DISABLE)
		left &= ~LIOV_DO_ENABLE;
	ctl->doing = 0;
	WRITE_ONCE(ctl->todo, ctl->todo | left);
	liov_control_update(inst);
	spin_unlock(&inst->reg_lock);
}

static void liov_control_work(struct work_struct *work)
{
	struct liov_control *ctl = container_of(to_delayed_work(work), struct liov_control, work);
	struct liov_instance *inst = container_of(ctl, struct liov_instance, control);
	unsigned int todo, left = 0;
	struct mem_cgroup *old;

	mutex_lock(&inst->lock);
	old = liov_charge_begin(inst);
	while (!left && inst->is_open && (todo = liov_control_take(inst))) {
		left = liov_control_do(inst, todo);
		liov_control_done(inst, left);
	}
	liov_charge_end(old);
	mutex_unlock(&inst->lock);
	/* The end of a reset comes here too, but not all that may prevent it. */
	if (left)
		liov_queue_delayed_work(inst, &ctl->work, msecs_to_jiffies(LIOV_CONTROL_AGAIN_MS));
}

/* ---- reset by VFIO, open and close ---- */

/* All pins; the guest may have asked for another window meanwhile. */
static void liov_control_release(struct liov_instance *inst)
{
	lockdep_assert_held(&inst->lock);
	liov_mailbox_cancel(inst);
	inst->mode->drop(inst, 0, U64_MAX);
}

/**
 * liov_control_function_reset() - VFIO_DEVICE_RESET: at once, and with all pins dropped
 * @inst: open instance; the caller holds its lock
 *
 * The next guest pins its own.  May sleep until the hardware has let go.
 */
void liov_control_function_reset(struct liov_instance *inst)
{
	lockdep_assert_held(&inst->lock);
	spin_lock(&inst->reg_lock);
	liov_control_want(inst, 0, ~0U);
	liov_control_reset(inst);
	liov_control_update(inst);
	spin_unlock(&inst->reg_lock);

	liov_mailbox_cancel(inst);
	if (liov_fence(inst, true))
		liov_fence_failed(inst);
	else
		liov_control_release(inst);
	liov_control_forget(inst);
	liov_doorbell_decode_changed(inst);
}

/**
 * liov_control_close() - the device is being closed: all is off
 * @inst: instance; the caller holds its lock and has cleared is_open
 *
 * May sleep until the hardware has let go.
 */
void liov_control_close(struct liov_instance *inst)
{
	lockdep_assert_held(&inst->lock);
	spin_lock(&inst->reg_lock);
	liov_control_want(inst, 0, ~0U);
	liov_regs_function_reset(&inst->regs);
	liov_control_update(inst);
	spin_unlock(&inst->reg_lock);

	liov_mailbox_cancel(inst);
	if (liov_fence(inst, true))
		liov_fence_failed(inst);
	liov_control_forget(inst);
	liov_control_release(inst);
}

/**
 * liov_control_cancel() - wait until the work item does not run
 * @inst: instance that is closed; its lock must not be held
 *
 * May sleep as long as a Flush takes.
 */
void liov_control_cancel(struct liov_instance *inst)
{
	cancel_delayed_work_sync(&inst->control.work);
}

/**
 * liov_control_init() - once, at creation
 * @inst: instance
 */
void liov_control_init(struct liov_instance *inst)
{
	spin_lock_init(&inst->reg_lock);
	INIT_DELAYED_WORK(&inst->control.work, liov_control_work);
}
