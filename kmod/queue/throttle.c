// SPDX-License-Identifier: GPL-2.0
/*
 * Guarded mode: limits of an instance, in commands and bytes a second (UUID/lightiov/
 * iops_max and its like; model/rate.c has the arithmetic).
 *
 * Owns struct liov_throttle and liov_sq.throttled.  What is over a limit stays in the guest's
 * ring, and so does what comes behind it there; one timer of the instance has the queues'
 * jobs go on when the first of them may.  Nothing looks meanwhile.
 *
 * Who may run at once: liov_throttle_get() and liov_throttle_wait() under the liov_sq.submit
 * of their queue, several queues at a time; the timer; a change of a limit, under
 * liov_instance.lock.  Of each limit there is one atomic word.  Two queues that ask at the
 * same time may both pass where one should: both are counted, and what comes after them
 * waits longer.  liov_throttle.lock (raw, a leaf) is for the timer alone: a queue marks itself
 * before it arms the timer, and the timer says that it is not armed before it looks for
 * marks.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/timekeeping.h>

#include "compat.h"
#include "queue/guarded.h"

/* What a command counts of a limit: itself, its bytes, or nothing. */
static u32 liov_throttle_units(enum liov_rate_id id, enum liov_io_class io, u32 bytes)
{
	bool moves = io == LIOV_IO_READ || io == LIOV_IO_WRITE;
	bool writes = io == LIOV_IO_WRITE || io == LIOV_IO_DISCARD;

	switch (id) {
	case LIOV_RATE_IOPS:
		return 1;
	case LIOV_RATE_IOPS_READ:
		return io == LIOV_IO_READ;
	case LIOV_RATE_IOPS_WRITE:
		return writes;
	case LIOV_RATE_BPS:
		return moves ? bytes : 0;
	case LIOV_RATE_BPS_READ:
		return io == LIOV_IO_READ ? bytes : 0;
	case LIOV_RATE_BPS_WRITE:
		return io == LIOV_IO_WRITE ? bytes : 0;
	default:
		return 0;
	}
}

static void liov_throttle_take(struct liov_rate *r, u64 now, u64 cost)
{
	s64 due = atomic64_read(&r->due);

	while (!atomic64_try_cmpxchg(&r->due, &due, liov_rate_take(due, now, cost)))
		;
}

/*
 * Until when nothing may pass, or 0.  Later than it might: many go at once then, and the
 * timer comes less often.  For all queues: one that rings all the time would take what
 * comes free, and those that wait for the timer never find any.
 */
static u64 liov_throttle_closed(struct liov_rate *r, u64 now, u64 burst)
{
	u64 until = READ_ONCE(r->closed_until), due;

	if (now < until)
		return until;
	due = atomic64_read(&r->due);
	if (liov_rate_allows(due, now, burst))
		return 0;
	until = due - burst + burst / 2;
	WRITE_ONCE(r->closed_until, until);
	return until;
}

/**
 * liov_throttle_ask() - see liov_throttle_get(); for an instance that has limits
 * @inst:  instance
 * @io:    kind of the command
 * @bytes: it moves
 * @now:   ns
 * @when:  out: when to ask again, ns, if it has to wait
 *
 * Any context.  Return: whether the command may go; it is counted then.
 */
bool liov_throttle_ask(struct liov_instance *inst, enum liov_io_class io, u32 bytes, u64 now,
		       u64 *when)
{
	struct liov_throttle *t = &liov_pairs(inst)->throttle;
	u64 burst = READ_ONCE(t->burst), until = 0;
	enum liov_rate_id id;

	for (id = 0; id < LIOV_NR_RATES; id++) {
		if (READ_ONCE(t->rate[id].mult) && liov_throttle_units(id, io, bytes))
			until = max(until, liov_throttle_closed(&t->rate[id], now, burst));
	}
	if (until) {
		*when = until;
		return false;
	}
	for (id = 0; id < LIOV_NR_RATES; id++) {
		u32 units = liov_throttle_units(id, io, bytes);
		u64 mult = READ_ONCE(t->rate[id].mult);

		if (mult && units)
			liov_throttle_take(&t->rate[id], now, liov_rate_cost(mult, units));
	}
	return true;
}

/**
 * liov_throttle_wait() - the next command of a queue is over a limit
 * @sq:   queue; its submit is held
 * @now:  ns
 * @when: from liov_throttle_get()
 *
 * Its job goes on then.  Any context.
 */
void liov_throttle_wait(struct liov_sq *sq, u64 now, u64 when)
{
	struct liov_throttle *t = &liov_pairs(sq->inst)->throttle;
	unsigned long flags;

	if (!sq->throttled_since) {
		sq->throttled_since = now;
		sq->stats.throttled++;
	}
	WRITE_ONCE(sq->throttled, true);
	raw_spin_lock_irqsave(&t->lock, flags);
	if (!t->armed || when < t->armed_at) {
		t->armed = true;
		t->armed_at = when;
		hrtimer_start(&t->timer, ns_to_ktime(when), HRTIMER_MODE_ABS);
	}
	raw_spin_unlock_irqrestore(&t->lock, flags);
}

/**
 * liov_throttle_over() - a queue that waited goes on
 * @sq:  queue; its submit is held
 * @now: ns
 */
void liov_throttle_over(struct liov_sq *sq, u64 now)
{
	if (now > sq->throttled_since)
		sq->stats.throttled_ns += now - sq->throttled_since;
	sq->throttled_since = 0;
}

/* Queues that wait look again; those that still have to mark themselves anew. */
static void liov_throttle_wake(struct liov_instance *inst)
{
	struct liov_pairs *pairs = liov_pairs(inst);
	unsigned int i, turn = READ_ONCE(pairs->throttle.turn);

	WRITE_ONCE(pairs->throttle.turn, turn + 1);
	/* Beginning with another each time: the first one may take all there is. */
	for (i = 0; i < pairs->nr_pairs; i++) {
		struct liov_sq *sq = liov_sq_at(pairs, (turn + i) % pairs->nr_pairs + 1);

		if (READ_ONCE(sq->throttled) && xchg(&sq->throttled, false))
			liov_job_queue(inst, &sq->job);
	}
}

static enum hrtimer_restart liov_throttle_timer(struct hrtimer *timer)
{
	struct liov_throttle *t = container_of(timer, struct liov_throttle, timer);
	struct liov_pairs *pairs = container_of(t, struct liov_pairs, throttle);
	unsigned long flags;

	raw_spin_lock_irqsave(&t->lock, flags);
	t->armed = false;
	raw_spin_unlock_irqrestore(&t->lock, flags);
	/* Marks made before it was armed again or found to be are seen from here on. */
	liov_throttle_wake(liov_pairs_inst(pairs));
	return HRTIMER_NORESTART;
}

/**
 * liov_throttle_set() - change a limit
 * @inst:       instance; the caller holds its lock
 * @id:         which
 * @per_second: commands or bytes, up to LIOV_RATE_MAX; 0: none
 *
 * For commands that come to their turn from now on, of an instance that is open or not.  Does
 * not sleep.
 */
void liov_throttle_set(struct liov_instance *inst, enum liov_rate_id id, u64 per_second)
{
	struct liov_throttle *t = &liov_pairs(inst)->throttle;
	enum liov_rate_id i;
	bool on = false;

	lockdep_assert_held(&liov_pairs(inst)->lock);
	t->rate[id].max = per_second;
	WRITE_ONCE(t->rate[id].mult, liov_rate_mult(per_second));
	/* Of the old rate nothing is owed. */
	atomic64_set(&t->rate[id].due, 0);
	WRITE_ONCE(t->rate[id].closed_until, 0);
	for (i = 0; i < LIOV_NR_RATES; i++)
		on |= t->rate[i].max;
	WRITE_ONCE(t->on, on);
	liov_throttle_wake(inst);
}

/**
 * liov_throttle_stop() - the timer does not run any more
 * @inst: instance without queues
 *
 * May sleep.
 */
void liov_throttle_stop(struct liov_instance *inst)
{
	struct liov_throttle *t = &liov_pairs(inst)->throttle;

	hrtimer_cancel(&t->timer);
	t->armed = false;
}

/**
 * liov_throttle_init() - no limits; once, at creation
 * @inst: instance
 */
void liov_throttle_init(struct liov_instance *inst)
{
	struct liov_throttle *t = &liov_pairs(inst)->throttle;

	raw_spin_lock_init(&t->lock);
	liov_hrtimer_setup(&t->timer, liov_throttle_timer);
	t->burst = LIOV_BURST_MS * NSEC_PER_MSEC;
}
