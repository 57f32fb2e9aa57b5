// SPDX-License-Identifier: GPL-2.0
/*
 * What a guest shall hear of by an Asynchronous Event Request, from whoever comes upon it.
 *
 * Sets a bit of liov_events.waiting and queues the admin queue's work item, which reports it.
 * No lock: the bits are atomic.
 */
#include <linux/bitops.h>

#include "pool/pool.h"

/**
 * liov_admin_kick() - what held the admin queue up may be over
 * @inst: open instance
 *
 * Any context.
 */
void liov_admin_kick(struct liov_instance *inst)
{
	liov_mod_delayed_work(inst, &liov_env(inst)->events.work, 0);
}

/**
 * liov_admin_event() - something the guest should hear of
 * @inst: instance
 * @ev:   what
 *
 * Reported with the next Asynchronous Event Request.  Any context.
 */
void liov_admin_event(struct liov_instance *inst, enum liov_event ev)
{
	if (!test_and_set_bit(ev, &liov_env(inst)->events.waiting))
		liov_admin_kick(inst);
}
