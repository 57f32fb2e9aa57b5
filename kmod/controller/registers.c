// SPDX-License-Identifier: GPL-2.0
/*
 * The virtual controller's registers, for all who need to know or change what they say.
 *
 * Everything here is under liov_instance.reg_lock, a spinlock that is held for moments, and
 * never sleeps.  What the guest's accesses set off: control.c.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include "controller/controller.h"

/**
 * liov_control_update() - registers or configuration space changed
 * @inst: instance; the caller holds its reg_lock
 *
 * What others may look at without that lock follows.
 */
void liov_control_update(struct liov_instance *inst)
{
	bool ready = inst->regs.csts & NVME_CSTS_RDY;
	struct liov_control *ctl = &inst->control;

	lockdep_assert_held(&inst->reg_lock);
	WRITE_ONCE(inst->awake, liov_regs_is_running(&inst->regs) &&
		   liov_pci_is_master(inst->pci));
	WRITE_ONCE(inst->bar, liov_pci_bar_addr(inst->pci, 0));
	liov_pci_set_pending(inst->pci, (ctl->todo | ctl->doing) &
			     (LIOV_DO_FLR | LIOV_DO_SILENCE));
	/* A guest may write registers as often as it likes. */
	if (ready != ctl->ready)
		liov_state_changed(inst);
	ctl->ready = ready;
}

/**
 * liov_control_kick() - what held the work item up may be over
 * @inst: instance
 *
 * Any context.
 */
void liov_control_kick(struct liov_instance *inst)
{
	if (READ_ONCE(inst->control.todo))
		liov_mod_delayed_work(inst, &inst->control.work, 0);
}

/**
 * liov_control_is_idle() - is nothing that a guest asked for under way?
 * @inst: instance; the caller holds its reg_lock
 *
 * Return: true if the controller is disabled and all that followed from it is done.
 */
bool liov_control_is_idle(const struct liov_instance *inst)
{
	lockdep_assert_held(&inst->reg_lock);
	return !(inst->regs.cc & NVME_CC_ENABLE) && !(inst->regs.csts & NVME_CSTS_RDY) &&
	       !inst->control.todo && !inst->control.doing;
}

/**
 * liov_control_set_fatal() - the virtual controller cannot go on: CSTS.CFS
 * @inst: open instance
 *
 * It stays so until the guest resets it.  Does not sleep.
 */
void liov_control_set_fatal(struct liov_instance *inst)
{
	spin_lock(&inst->reg_lock);
	liov_regs_set_fatal(&inst->regs);
	liov_control_update(inst);
	spin_unlock(&inst->reg_lock);
}

/**
 * liov_control_entry_sizes_ok() - may an I/O queue be made?
 * @inst: open instance
 *
 * Does not sleep.  Return: as liov_regs_entry_sizes_ok().
 */
bool liov_control_entry_sizes_ok(struct liov_instance *inst)
{
	bool ok;

	spin_lock(&inst->reg_lock);
	ok = liov_regs_entry_sizes_ok(&inst->regs);
	spin_unlock(&inst->reg_lock);
	return ok;
}
