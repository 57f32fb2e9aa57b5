// SPDX-License-Identifier: GPL-2.0
/*
 * Guarded mode: how much work an instance may have at the drive that moves no data
 * through guest memory (LIOV_LOAD_MAX; which commands, and what each counts, says
 * guard.c).  Reads and writes are slowed by what they move and do not come here.
 *
 * Owns struct liov_load and liov_sq.load_waits.  What finds no room stays in the guest's
 * ring, and so does what comes behind it there.  A command that is alone always has room.
 *
 * Who may run at once: liov_load_get() and liov_load_wait() under the liov_sq.submit of
 * their queue, several queues at a time; liov_load_put() by whoever ends a command
 * (guarded.h and guarded_queue.c: each command that leaves LIOV_SLOT_BUSY), in any context, under
 * liov_gcq.lock.  No lock of its own: one atomic counter, and marks with full barriers as
 * for liov_sq.starved.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include "queue/guarded.h"

static bool liov_load_fits(int now, u32 load)
{
	return !now || now + load <= LIOV_LOAD_MAX;
}

/**
 * liov_load_get() - count a command that is about to go to the hardware
 * @inst: instance
 * @load: liov_guarded.load, not 0
 *
 * Any context.
 *
 * Return: false if there is no room for it now.
 */
bool liov_load_get(struct liov_instance *inst, u32 load)
{
	struct liov_load *l = &liov_pairs(inst)->load;
	int now = atomic_read(&l->now);

	do {
		if (!liov_load_fits(now, load))
			return false;
	} while (!atomic_try_cmpxchg(&l->now, &now, now + load));
	/* For statistics: two at once may lose the larger one. */
	if (now + load > READ_ONCE(l->most))
		WRITE_ONCE(l->most, now + load);
	return true;
}

/**
 * liov_load_wait() - the next command of a queue found no room
 * @sq:   queue; its submit is held
 * @load: what the command counts
 *
 * Marks the queue and looks once more: room made before the mark was seen wakes nobody.
 * Any context.
 *
 * Return: whether to try again.
 */
bool liov_load_wait(struct liov_sq *sq, u32 load)
{
	struct liov_load *l = &liov_pairs(sq->inst)->load;

	if (!READ_ONCE(sq->load_waits))
		sq->stats.held_load++;
	WRITE_ONCE(sq->load_waits, true);
	/* That before this: pairs with xchg() in liov_load_put(). */
	smp_mb();
	WRITE_ONCE(l->waiting, true);
	/* Mark before room; pairs with liov_load_put(). */
	smp_mb();
	return liov_load_fits(atomic_read(&l->now), load);
}

/**
 * liov_load_put() - a counted command has ended
 * @inst: instance
 * @load: what it counted
 *
 * Queues the jobs of the queues that wait for room; those that still find none mark
 * themselves again.  Any context.
 */
void liov_load_put(struct liov_instance *inst, u32 load)
{
	struct liov_pairs *pairs = liov_pairs(inst);
	struct liov_load *l = &pairs->load;
	unsigned int i, turn;

	WARN_ON_ONCE(atomic_sub_return(load, &l->now) < 0);
	/* Room before mark; pairs with liov_load_wait(). */
	smp_mb();
	if (likely(!READ_ONCE(l->waiting)) || !xchg(&l->waiting, false))
		return;
	/* Beginning with another each time: the first one may take all of the room. */
	turn = READ_ONCE(l->turn);
	WRITE_ONCE(l->turn, turn + 1);
	for (i = 0; i < pairs->nr_pairs; i++) {
		struct liov_sq *sq = liov_sq_at(pairs, (turn + i) % pairs->nr_pairs + 1);

		if (READ_ONCE(sq->load_waits) && xchg(&sq->load_waits, false))
			liov_job_queue(inst, &sq->job);
	}
}
