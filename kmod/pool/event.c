// SPDX-License-Identifier: GPL-2.0
/*
 * What somebody shall hear of, from whoever comes upon it.
 *
 * A guest, by an Asynchronous Event Request: sets a bit of liov_events.waiting and queues the
 * admin queue's work item, which reports it.  The operator, by the attribute "state" and
 * uevents: queues liov_env.tell, at most once a second, since a guest can change its state
 * as often as it likes.  No lock: bits and work items are atomic.
 */
#include <linux/bitops.h>
#include <linux/jiffies.h>

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

/**
 * liov_state_changed() - the attribute "state" may read otherwise now
 * @inst: instance
 *
 * Any context.
 */
void liov_state_changed(struct liov_instance *inst)
{
	struct liov_env *env = liov_env(inst);
	unsigned long now = jiffies, at = READ_ONCE(env->told_at) + HZ;

	schedule_delayed_work(&env->tell, time_before(now, at) ? at - now : 0);
}
