// SPDX-License-Identifier: GPL-2.0
/*
 * Doorbells of busy queues.
 *
 * While a guest brings one command after the other, a store to its doorbell need not
 * be reported: something can look at the page now and then instead.  So tracking of
 * that page ends, and the guest's stores go to RAM and cost nobody anything.  Who looks
 * depends on what the guest waits for:
 *
 *   the drive   most of what the guest has under way is at the hardware.  Each
 *               completion's interrupt looks, so that the drive stays as busy; or the
 *               timer, where interrupts do not come to the host.
 *   itself      a timer looks, after the time in which the guest brings a handful of
 *               commands.  They are rung for once, and their completions make fewer
 *               interrupts; the guest has enough to do meanwhile.
 *   the drive, with nothing else to do
 *               the guest halts, and that exit looks; see halt.c.  Thus one command at a
 *               time costs no exit for its doorbell either.
 *
 * Whether a guest has more to do than to wait for the command it just rang for cannot
 * be seen from here: what is completed may still wait in the guest's own queues.  So it
 * is tried.  Where commands then come more slowly than they came with an exit for each,
 * or the timer finds too few some times in a row and nobody else found any, the page is
 * tracked again, and after a try in vain the next one comes after twice as many.  Nothing
 * looks at an idle queue.
 *
 * Only under KVM, and only for a submission queue that alone posts to the completion
 * queue of its own number.
 *
 * What may run at once, of one queue:
 *
 *   begin   vCPUs, in a store that was reported
 *   look    the interrupt handler of the completion queue, the timer, the thread of the
 *           vCPU that began it.  The modes let one at a time over the ring, and that
 *           one calls liov_busy_note()
 *   end     the work item; a change of memory slots or of decode; the stop of the
 *           queue
 *
 * What looks in interrupts cost is nobody's time, and a guest can make each of them long.  So
 * on each CPU, of all queues together, they get a bounded share of it (struct
 * liov_look_share); what comes too soon is left to the next timer or to a job.  Looks
 * by completions in direct mode take next to nothing and are not held back.
 *
 * Beginnings and ends exclude each other by liov_track.lock.  No store is lost: the
 * timer runs from the beginning to the end, and who ends it looks once more when the
 * page is tracked.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/hrtimer.h>
#include <linux/kvm_host.h>
#include <linux/module.h>
#include <linux/timekeeping.h>

#include "compat.h"
#include "doorbell/doorbell.h"
#include "pool/trace.h"

/* Stores in a row that come before it is tried; at most busy_apart_us apart. */
#define LIOV_BUSY_NEED		64
#define LIOV_BUSY_NEED_MIN	16
#define LIOV_BUSY_NEED_MAX	8192
/* After a pause of so many times that the guest may do something else than before. */
#define LIOV_BUSY_PAUSE		125

/* Commands that make a beginning and an end worth it; fewer than the latter do not. */
#define LIOV_BUSY_WORTH		64
#define LIOV_BUSY_NOT_WORTH	16

/*
 * The timer comes when so many commands are to be expected, or if completions look,
 * now and then: at the latest after so many times busy_apart_us.  Its time is adapted in
 * small steps: later after a look in vain, sooner after one that found more.
 */
#define LIOV_BUSY_BATCH		4
#define LIOV_BUSY_MIN_NS	(20 * NSEC_PER_USEC)
#define LIOV_BUSY_MAX		2
/*
 * It does not come again before so many times of what its look has taken: a fifth of a CPU.
 * A completion looks again after once that time: it makes room for what it looks for.
 */
#define LIOV_BUSY_REST		4
#define LIOV_BUSY_REST_IRQ	1

/* Found by the timer: too few, if the drive does not have more than that either. */
#define LIOV_BUSY_FEW		2
#define LIOV_BUSY_LOW		6
/* Looks of the timer's in a row that find too few; the latter if it was worth it. */
#define LIOV_BUSY_QUIET		4
#define LIOV_BUSY_QUIET_WORTH	8

/*
 * The pace with an exit for each is the mean of so many stores, at most; of what was
 * before a pause or a try it keeps as much as of that many.
 */
#define LIOV_BUSY_PACED_MAX	256
#define LIOV_BUSY_PACED_OLD	32

/*
 * Commands after which it is decided whether they come more slowly: so many that were
 * found at halts, where little can be lost by looking, or a 32nd of them.
 */
#define LIOV_BUSY_WINDOW	1024
#define LIOV_BUSY_WEIGHT	32

static bool liov_busy_doorbells = true;
module_param_named(busy_doorbells, liov_busy_doorbells, bool, 0644);
MODULE_PARM_DESC(busy_doorbells,
		 "look at the doorbells of busy queues now and then, instead of an exit for each (default Y)");

static unsigned int liov_busy_apart_us = 4 * USEC_PER_MSEC;
module_param_named(busy_apart_us, liov_busy_apart_us, uint, 0644);
MODULE_PARM_DESC(busy_apart_us,
		 "commands that come at most so many microseconds apart make a queue busy (default 4000, at most a second)");

/**
 * struct liov_look_share - of a CPU: from when on interrupts may look again, ns
 * @timer:      timers
 * @completion: completions
 *
 * Of each CPU, by whoever is on it: an interrupt in between costs a little precision.
 */
struct liov_look_share {
	u64	timer;
	u64	completion;
};

static DEFINE_PER_CPU(struct liov_look_share, liov_look_share);

static struct liov_sq *liov_busy_sq(struct liov_busy *b)
{
	return container_of(b, struct liov_sq, busy);
}

/* Guest frame of its doorbell; liov_doorbell counts SQ1, CQ1, SQ2, ... from there. */
static gfn_t liov_busy_gfn(const struct liov_sq *sq)
{
	lockdep_assert_held(&liov_bells(sq->inst)->track.lock);
	return liov_bells(sq->inst)->track.base_gfn + 2 * (sq->qid - 1);
}

/* Where all other times come from: a slower machine has the same proportions. */
static u64 liov_busy_apart_ns(void)
{
	return min_t(u64, READ_ONCE(liov_busy_apart_us), USEC_PER_SEC) * NSEC_PER_USEC;
}

static u64 liov_busy_max_ns(void)
{
	return max_t(u64, LIOV_BUSY_MAX * liov_busy_apart_ns(), LIOV_BUSY_MIN_NS);
}

/*
 * A look of that time has ended; @rest times of it pass before the next one of its kind, but
 * no more than a timer may wait: the machine may have been elsewhere meanwhile.
 */
static void liov_look_took(u64 start, unsigned int rest)
{
	u64 now = ktime_get_ns(), ns = now - start, most = liov_busy_max_ns();

	this_cpu_write(liov_look_share.completion, now + min(LIOV_BUSY_REST_IRQ * ns, most));
	if (rest > LIOV_BUSY_REST_IRQ)
		this_cpu_write(liov_look_share.timer, now + min(rest * ns, most));
}

/*
 * It stays on this CPU: while that idles it would go to one that does not, for another
 * tenant.
 */
static void liov_busy_arm(struct liov_busy *b, bool soon)
{
	u64 looking = READ_ONCE(b->looking), most = liov_busy_max_ns();
	u64 wait = soon ? b->wait : most;

	if (looking)
		wait = max(wait, min(LIOV_BUSY_REST * (ktime_get_ns() - looking), most));
	b->soon = soon;
	b->armed = true;
	hrtimer_start(&b->timer, ns_to_ktime(wait), HRTIMER_MODE_REL_PINNED);
}

static u64 liov_busy_clamp(u64 ns)
{
	return clamp(ns, (u64)LIOV_BUSY_MIN_NS, liov_busy_max_ns());
}

/* Did enough commands come to make up for the beginning? */
static bool liov_busy_worth(const struct liov_busy *b, u64 commands)
{
	return READ_ONCE(b->commands) - b->first >= commands;
}

/* Time since commands came last; now some came. */
static u64 liov_busy_since(struct liov_busy *b)
{
	u64 now = ktime_get_ns();
	u64 ns = now - b->since;

	b->since = now;
	return ns;
}

static bool liov_busy_is_over(const struct liov_busy *b)
{
	return b->quiet >= (liov_busy_worth(b, LIOV_BUSY_WORTH) ?
			    LIOV_BUSY_QUIET_WORTH : LIOV_BUSY_QUIET);
}

/*
 * The timer found too few.  A try in which the first commands had to wait for it is in
 * vain; a guest that brought none may be about to.
 */
static unsigned int liov_busy_quiet(const struct liov_busy *b, u32 found)
{
	return found && !liov_busy_worth(b, LIOV_BUSY_WORTH) ? LIOV_BUSY_QUIET : 1;
}

static void liov_busy_forget_pace(struct liov_busy *b)
{
	WRITE_ONCE(b->paced, min(READ_ONCE(b->paced), LIOV_BUSY_PACED_OLD));
}

/* A store was reported, and brought commands. */
static void liov_busy_stored(struct liov_busy *b, u32 found)
{
	u64 ns = liov_busy_since(b), apart = liov_busy_apart_ns();
	u32 paced;

	if (ns >= LIOV_BUSY_PAUSE * apart) {
		WRITE_ONCE(b->need, LIOV_BUSY_NEED);
		liov_busy_forget_pace(b);
	}
	if (ns >= apart) {
		/* A guest may have lost its CPU for a while. */
		WRITE_ONCE(b->streak, b->streak - DIV_ROUND_UP(b->streak, 8));
		return;
	}
	/* Another vCPU may begin meanwhile, and forget. */
	paced = min(READ_ONCE(b->paced) + 1, LIOV_BUSY_PACED_MAX);
	WRITE_ONCE(b->paced, paced);
	ns = div_u64(ns, found);
	b->tracked_pace = div_u64(b->tracked_pace * (paced - 1) + ns, paced);
	WRITE_ONCE(b->streak, min(b->streak + 1, LIOV_BUSY_NEED_MAX));
}

/*
 * What a command may take before looking is given up.  Halts save the guest an exit for
 * each command, also where that does not make it faster.
 */
static u64 liov_busy_bearable(const struct liov_busy *b)
{
	bool halts_only = b->weight == b->window;

	return b->tracked_pace + b->tracked_pace / (halts_only ? 4 : 8);
}

/* Commands were found.  Returns whether they come more slowly than with an exit each. */
static bool liov_busy_found(struct liov_busy *b, enum liov_trigger trigger, u32 found)
{
	u64 ns = liov_busy_since(b);
	bool slow;

	/* Nothing waited for a look meanwhile; see liov_busy_stored(). */
	if (trigger == LIOV_TRIGGER_HALT && ns >= liov_busy_apart_ns())
		return false;
	b->spent += min(ns, liov_busy_max_ns());
	b->window += found;
	b->weight += trigger == LIOV_TRIGGER_HALT ? found : LIOV_BUSY_WEIGHT * found;
	if (b->weight < LIOV_BUSY_WINDOW)
		return false;
	slow = div_u64(b->spent, b->window) > liov_busy_bearable(b);
	b->spent = 0;
	b->window = 0;
	b->weight = 0;
	return slow;
}

/**
 * liov_busy_note() - the mode has gone over a submission queue
 * @sq:          queue
 * @trigger:          who
 * @found:       commands that were new
 * @outstanding: commands the hardware has now
 * @waiting:     completions the guest has not come to yet
 *
 * Not concurrently for one queue.  Any context.
 */
void liov_busy_note(struct liov_sq *sq, enum liov_trigger trigger, u32 found, u32 outstanding,
		    u32 waiting)
{
	struct liov_busy *b = &sq->busy;
	bool slow = false, soon;
	u32 others;

	b->commands += found;
	if (!READ_ONCE(b->on)) {
		if (trigger == LIOV_TRIGGER_STORE && found)
			liov_busy_stored(b, found);
		return;
	}
	if (found)
		slow = liov_busy_found(b, trigger, found);
	others = b->others;
	b->others = trigger == LIOV_TRIGGER_TIMER ? 0 : others + found;
	b->halts += trigger == LIOV_TRIGGER_HALT && found;
	if (found > LIOV_BUSY_FEW || others || outstanding > LIOV_BUSY_LOW)
		b->quiet = 0;
	else if (trigger == LIOV_TRIGGER_TIMER)
		b->quiet += liov_busy_quiet(b, found);
	if (trigger == LIOV_TRIGGER_TIMER && !found)
		b->wait = liov_busy_clamp(b->wait + b->wait / 4);
	else if (trigger == LIOV_TRIGGER_TIMER && found > LIOV_BUSY_BATCH)
		b->wait = liov_busy_clamp(b->wait - b->wait / 32);
	soon = outstanding <= LIOV_BUSY_LOW || b->blind ||
		liov_busy_by_itself(outstanding, waiting);
	if (slow || liov_busy_is_over(b)) {
		WRITE_ONCE(b->slow, slow);
		liov_queue_work(sq->inst, &b->work);
	} else if (trigger == LIOV_TRIGGER_TIMER || (soon && !b->soon)) {
		liov_busy_arm(b, soon);
	}
}

/**
 * liov_busy_begin() - if a queue has become busy, end tracking of its doorbell
 * @sq: queue, after a store to its doorbell was reported and handled
 *
 * In the vCPU's thread, with its kvm->srcu held.  Does not wait.
 */
void liov_busy_begin(struct liov_sq *sq)
{
	struct liov_instance *inst = sq->inst;
	struct liov_bells *bells = liov_bells(inst);
	struct liov_track *t = &bells->track;
	struct liov_busy *b = &sq->busy;

	if (likely(READ_ONCE(b->streak) < READ_ONCE(b->need)) || !READ_ONCE(liov_busy_doorbells))
		return;
	if (!mutex_trylock(&t->lock))
		return;
	if (!t->closing && sq->db.tracked && !b->on && READ_ONCE(sq->live) &&
	    bells->mode->may_be_busy(sq)) {
		b->first = READ_ONCE(b->commands);
		b->wait = liov_busy_clamp(LIOV_BUSY_BATCH * b->tracked_pace);
		liov_busy_forget_pace(b);
		b->spent = 0;
		b->window = 0;
		b->weight = 0;
		b->slow = false;
		b->others = 0;
		b->quiet = 0;
		sq->db.tracked = false;
		WRITE_ONCE(b->on, true);
		liov_halt_watch(sq);
		kvm_write_track_remove_gfn(bells->vdev.kvm, liov_busy_gfn(sq));
		liov_busy_arm(b, true);
		b->periods++;
		trace_lightiov_busy(sq);
	}
	WRITE_ONCE(b->streak, 0);
	mutex_unlock(&t->lock);
}

/**
 * liov_busy_forget() - the page left the guest's memory, tracked or not
 * @sq: queue
 *
 * The caller holds liov_track.lock and sees to the page's tracking.
 *
 * Return: whether the queue was busy.
 */
bool liov_busy_forget(struct liov_sq *sq)
{
	struct liov_busy *b = &sq->busy;

	lockdep_assert_held(&liov_bells(sq->inst)->track.lock);
	if (!b->on)
		return false;
	liov_halt_unwatch(sq);
	WRITE_ONCE(b->on, false);
	return true;
}

/**
 * liov_busy_completed() - completions of a busy queue came: look at its doorbell
 * @sq:   queue; it may have stopped to be busy
 * @pass: what may still be done
 *
 * Hard interrupt, or liov_cq.job.
 */
void liov_busy_completed(struct liov_sq *sq, struct liov_pass *pass)
{
	const struct liov_mode_ops *mode = liov_bells(sq->inst)->mode;
	u64 start = ktime_get_ns();

	if (mode->sq_later && unlikely(start < this_cpu_read(liov_look_share.completion))) {
		mode->sq_later(sq);
		return;
	}
	mode->sq_look(sq, LIOV_TRIGGER_COMPLETION, pass);
	liov_look_took(start, LIOV_BUSY_REST_IRQ);
}

/**
 * liov_busy_halted() - the vCPU that uses a busy queue has nothing more to do
 * @b:    of the queue; it may have stopped to be busy, or to be live
 * @pass: what may still be done
 *
 * In the vCPU's thread, inside rcu_read_lock(), interrupts perhaps off.  Does not sleep.
 */
void liov_busy_halted(struct liov_busy *b, struct liov_pass *pass)
{
	struct liov_sq *sq = liov_busy_sq(b);

	if (READ_ONCE(b->on))
		liov_bells(sq->inst)->mode->sq_look(sq, LIOV_TRIGGER_HALT, pass);
}

/*
 * A beginning and an end cost about as much as a few exits.  A queue that is at the
 * edge has to be busy for ever longer before the next beginning.
 */
static void liov_busy_end(struct liov_sq *sq)
{
	struct liov_instance *inst = sq->inst;
	struct liov_track *t = &liov_bells(inst)->track;
	struct liov_busy *b = &sq->busy;

	mutex_lock(&t->lock);
	if (!liov_busy_forget(sq) || t->closing)
		goto out;
	if (READ_ONCE(b->slow) || !liov_busy_worth(b, LIOV_BUSY_NOT_WORTH))
		WRITE_ONCE(b->need, min(2 * b->need, LIOV_BUSY_NEED_MAX));
	else if (liov_busy_worth(b, LIOV_BUSY_WORTH))
		WRITE_ONCE(b->need, max(b->need / 4, LIOV_BUSY_NEED_MIN));
	trace_lightiov_busy(sq);
	if (!kvm_write_track_add_gfn(liov_bells(inst)->vdev.kvm, liov_busy_gfn(sq)))
		sq->db.tracked = true;
	else
		liov_mod_delayed_work(inst, &t->work, 0);
out:
	mutex_unlock(&t->lock);
}

static void liov_busy_work(struct work_struct *work)
{
	struct liov_sq *sq = liov_busy_sq(container_of(work, struct liov_busy, work));
	struct mem_cgroup *old = liov_charge_begin(sq->inst);

	liov_busy_end(sq);
	/* What was stored before the page was tracked. */
	liov_sq_look_again(sq);
	liov_charge_end(old);
}

static enum hrtimer_restart liov_busy_timer(struct hrtimer *timer)
{
	struct liov_busy *b = container_of(timer, struct liov_busy, timer);
	struct liov_sq *sq = liov_busy_sq(b);
	struct liov_pass pass = LIOV_PASS_INIT;
	u64 now = ktime_get_ns(), from = this_cpu_read(liov_look_share.timer);

	if (!READ_ONCE(b->on))
		return HRTIMER_NORESTART;
	/* Another queue's has just looked here. */
	if (now < from) {
		hrtimer_start(timer, ns_to_ktime(from - now), HRTIMER_MODE_REL_PINNED);
		return HRTIMER_NORESTART;
	}
	WRITE_ONCE(b->armed, false);
	WRITE_ONCE(b->soon, false);
	WRITE_ONCE(b->looking, now);
	liov_bells(sq->inst)->mode->sq_look(sq, LIOV_TRIGGER_TIMER, &pass);
	liov_look_took(now, LIOV_BUSY_REST);
	/* Somebody else was at it, or the queue is not live. */
	if (!READ_ONCE(b->armed)) {
		b->quiet++;
		if (!liov_busy_is_over(b))
			liov_busy_arm(b, true);
		else
			liov_queue_work(sq->inst, &b->work);
	}
	WRITE_ONCE(b->looking, 0);
	return HRTIMER_NORESTART;
}

/**
 * liov_busy_stop() - a queue is about to go
 * @sq: queue, not live; the caller does not hold liov_track.lock
 *
 * Its doorbell is tracked again, if the device is not being closed.  When it returns
 * nothing of this file uses the queue, but for a halt or an interrupt that saw it busy
 * before: see liov_doorbell_close().  May sleep.
 */
void liov_busy_stop(struct liov_sq *sq)
{
	struct liov_busy *b = &sq->busy;

	liov_busy_end(sq);
	/* Nothing begins with a queue that is not live. */
	hrtimer_cancel(&b->timer);
	cancel_work_sync(&b->work);
	liov_sq_cancel(sq);
	b->streak = 0;
	b->need = LIOV_BUSY_NEED;
}

/**
 * liov_busy_init() - once, at creation of the instance
 * @sq: queue
 */
void liov_busy_init(struct liov_sq *sq)
{
	liov_hrtimer_setup(&sq->busy.timer, liov_busy_timer);
	INIT_WORK(&sq->busy.work, liov_busy_work);
	sq->busy.need = LIOV_BUSY_NEED;
}
