// SPDX-License-Identifier: GPL-2.0
/*
 * What a guest, or whoever opened the VFIO device, may make the host log: one line a
 * second and instance (Documentation/threat-model.rst).  The kernel's *_ratelimited()
 * count by call site, for all instances together: a guest that floods would hide what
 * another one has to say, and could write ten lines at once at each of them.
 *
 * Owns liov_instance.log_at and .log_held.  Any context, no lock.
 */
#include <linux/jiffies.h>

#include "pool/pool.h"

/* @last of 0 is never, also where jiffies wrap. */
static bool liov_log_is_due(unsigned long last, unsigned long now)
{
	return !last || !time_before(now, last + HZ);
}

/**
 * liov_guest_may_log() - has this instance a line of the host's log left?
 * @inst: instance
 *
 * For liov_guest_warn().  Of several that ask at once one is told yes.
 * Any context.
 *
 * Return: true if the caller shall write its line; else it was counted.
 */
bool liov_guest_may_log(struct liov_instance *inst)
{
	struct liov_env *env = liov_env(inst);
	unsigned long last = READ_ONCE(env->log_at), now = jiffies;

	if (liov_log_is_due(last, now) &&
	    cmpxchg(&env->log_at, last, now | 1) == last)
		return true;
	atomic64_inc(&env->log_held);
	return false;
}

/**
 * liov_guest_log_left() - would liov_guest_may_log() say yes now?
 * @inst: instance
 *
 * For what can wait a moment and is to be told when it fails.  Any context.
 *
 * Return: whether it would.
 */
bool liov_guest_log_left(const struct liov_instance *inst)
{
	return liov_log_is_due(READ_ONCE(liov_env(inst)->log_at), jiffies);
}
