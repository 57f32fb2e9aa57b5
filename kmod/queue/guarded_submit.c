// SPDX-License-Identifier: GPL-2.0
/*
 * Guarded mode, submission: from a doorbell to the hardware's ring.  guarded.h says what a
 * queue is and who may run at once.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/bitmap.h>
#include <linux/dma-mapping.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task_stack.h>
#include <linux/timekeeping.h>

#include "queue/guarded.h"
#include "pool/trace.h"

/*
 * What a vCPU that stored, or the job, does in one stay: somebody else may have rung
 * in between, again and again.  The first is more than a busy queue has slots, and the
 * lookups take 5 ms at worst; in the middle of it others may have the CPU.
 */
#define LIOV_STAY_TURNS		8
#define LIOV_STAY_COMMANDS	1024
#define LIOV_STAY_LOOKUPS	16384
#define LIOV_STAY_INIT { .commands = LIOV_STAY_COMMANDS, .lookups = LIOV_STAY_LOOKUPS }

/*
 * Times that a halt goes over the ring before it leaves the rest to the job.  What it
 * rang for may complete at once, and that interrupt wants to look too, each time.
 */
#define LIOV_HALT_TURNS		4

/* May neither sleep nor take long. */
static bool liov_trigger_is_interrupt(enum liov_trigger trigger)
{
	return trigger == LIOV_TRIGGER_COMPLETION || trigger == LIOV_TRIGGER_TIMER ||
	       trigger == LIOV_TRIGGER_HALT;
}

/* ---- slots ---- */

/* A free slot, or nr_slots.  Under liov_sq.submit: only one takes at a time. */
static unsigned int liov_slot_get(struct liov_gsq *g)
{
	unsigned int i = find_first_bit(g->free, g->nr_slots);

	if (i < g->nr_slots) {
		clear_bit(i, g->free);
		/* Uses of the slot come after; pairs with liov_slot_put(). */
		smp_mb__after_atomic();
	}
	return i;
}

/*
 * ---- submission ----
 *
 * From the outside in: liov_guarded_submit() and _look(), who and how much; _turns(), again
 * while somebody left a mark; _go_over(), one look at the tail; _run(), until the head is
 * there; _submit_some(), while places and slots last; _submit_one(), a command.
 */

/**
 * struct liov_submit - one run over a guest's SQ; what the guard's calls need
 * @sq:    queue; its submit is held
 * @pair:  shared: through which it submits; else NULL
 * @slot:  of the command being checked
 * @trigger:    who runs
 * @pass:  what he may still do
 * @later: the command needs what only the job can get
 * @cut:   it needs more than is left of @pass
 * @load:  what the command counts for which there was no room
 * @when:  when the command that is over a limit may go
 */
struct liov_submit {
	struct liov_sq	*sq;
	struct liov_shared_pair *pair;
	struct liov_pass *pass;
	unsigned int	slot;
	enum liov_trigger	trigger;
	bool		later;
	bool		cut;
	u32		load;
	u64		when;
};

/**
 * liov_guarded_cut() - see struct liov_mode_ops, @sq_later
 * @sq: queue; somebody has done as much as he may, and its job goes on
 */
void liov_guarded_cut(struct liov_sq *sq)
{
	atomic64_inc(&sq->budget_cuts);
	liov_job_queue(sq->inst, &sq->job);
}

/*
 * Is that enough for now?  A thread that is to die leaves at once, and the job does
 * what it does for others, until the device is closed.
 */
static bool liov_guarded_enough(const struct liov_pass *pass, enum liov_trigger trigger)
{
	return !pass->commands || !pass->lookups ||
		(trigger == LIOV_TRIGGER_STORE && unlikely(fatal_signal_pending(current)));
}

/* Shows the hardware what has been put into its ring. */
static void liov_gsq_ring(struct liov_sq *sq)
{
	unsigned long flags;

	spin_lock_irqsave(&sq->lock, flags);
	if (sq->live && sq->tail != sq->g->hw_tail) {
		sq->tail = sq->g->hw_tail;
		writel(sq->tail, sq->hw_db);
		sq->rings++;
	}
	spin_unlock_irqrestore(&sq->lock, flags);
}

/* The same for a run. */
static void liov_submit_ring(const struct liov_submit *sub)
{
	if (sub->pair)
		liov_shared_ring(sub->sq, sub->pair);
	else
		liov_gsq_ring(sub->sq);
}

/*
 * Pinning may go on into a page fault and into memory reclaim, and a vCPU's doorbell begins
 * below KVM's emulation: so it is not begun there in the lower half of a stack.
 */
#define LIOV_STACK_TO_PIN	(THREAD_SIZE / 2)

static bool liov_stack_is_short(void)
{
	return current_stack_pointer - (unsigned long)task_stack_page(current) < LIOV_STACK_TO_PIN;
}

/* Is it the job's to get what a command needs? */
static bool liov_submit_defers(const struct liov_submit *sub)
{
	return liov_trigger_is_interrupt(sub->trigger) ||
	       (sub->trigger == LIOV_TRIGGER_STORE && liov_stack_is_short());
}

static struct liov_step_map liov_submit_step(void *ctx, u64 gpa, u16 *status)
{
	struct liov_submit *sub = ctx;
	struct liov_instance *inst = sub->sq->inst;
	struct liov_step_map step = { .base = LIOV_NO_DMA };

	if (unlikely(!sub->pass->lookups && liov_trigger_is_interrupt(sub->trigger))) {
		sub->later = true;
		sub->cut = true;
		return step;
	}
	sub->pass->lookups -= !!sub->pass->lookups;
	/* A list can take longer than anybody should wait for the CPU. */
	if (!liov_trigger_is_interrupt(sub->trigger))
		cond_resched();
	step = liov_gmem_step(inst, gpa);
	if (likely(!liov_step_none(step)))
		return step;
	if (liov_submit_defers(sub)) {
		sub->later = true;
		return step;
	}
	/* That takes a while: let the hardware begin with what it has. */
	liov_submit_ring(sub);
	return liov_gmem_fault(inst, gpa, status);
}

static u16 liov_submit_read(void *ctx, u64 gpa, void *buf, u32 len)
{
	struct liov_submit *sub = ctx;

	if (liov_step_none(liov_gmem_step(sub->sq->inst, gpa))) {
		if (liov_submit_defers(sub)) {
			sub->later = true;
			return LIOV_NOT_NOW;
		}
		/* As in liov_submit_step(). */
		liov_submit_ring(sub);
	}
	return liov_gmem_read(sub->sq->inst, gpa, buf, len);
}

static void *liov_submit_page(void *ctx, u32 n, u64 *bus)
{
	struct liov_submit *sub = ctx;
	struct liov_slot *s = &sub->sq->g->slot[sub->slot];

	/* Each entry may be in another step; only those that are count in the end. */
	if (unlikely(n + LIOV_LIST_LOOKUPS(n) > sub->pass->lookups &&
		     liov_trigger_is_interrupt(sub->trigger))) {
		sub->later = true;
		sub->cut = true;
		return NULL;
	}
	sub->pass->lookups -= min(LIOV_LIST_LOOKUPS(n), sub->pass->lookups);
	if (unlikely(!s->page && liov_submit_defers(sub))) {
		sub->later = true;
	} else if (unlikely(!s->page)) {
		s->page = dma_alloc_coherent(liov_dma_dev(sub->sq->inst), PAGE_SIZE,
					     &s->page_bus, LIOV_GFP_DMA);
		if (s->page)
			liov_count_host(sub->sq->inst, PAGE_SIZE);
	}
	*bus = s->page_bus;
	return s->page;
}

/* Copies an entry of the guest's ring; only the copy is looked at. */
static bool liov_gsq_copy(struct liov_gsq *g, struct nvme_command *c)
{
	return liov_read_guest(c, (struct nvme_command *)g->map.va + g->head, sizeof(*c));
}

static void liov_guarded_refuse(struct liov_sq *sq, const struct nvme_command *c, u16 status)
{
	struct liov_cq *cq = sq->cq;
	unsigned long flags;

	sq->stats.refused[liov_guard_refusal(status)]++;
	trace_lightiov_refuse(sq, c, status);
	spin_lock_irqsave(&cq->g->lock, flags);
	liov_gcq_post(cq, sq, sq->g, c->common.command_id, status, 0);
	spin_unlock_irqrestore(&cq->g->lock, flags);
}

/*
 * Is there room for a command, in what the instance may have at the drive and on a shared pair,
 * and is it within the limits?  Counts it.  Returns 0, or why it stays in the guest's ring.
 */
static u16 liov_guarded_admit(struct liov_submit *sub, const struct liov_guarded *out, u64 start)
{
	struct liov_instance *inst = sub->sq->inst;
	u16 status = LIOV_NOT_TURN;

	if (unlikely(out->load) && !liov_load_get(inst, out->load)) {
		sub->load = out->load;
		return LIOV_NO_ROOM;
	}
	if (sub->pair && unlikely(!liov_shared_take(sub->sq, sub->pair, sub->slot, out->bytes)))
		goto err_load;
	if (likely(liov_throttle_get(inst, out->io, out->bytes, start, &sub->when)))
		return 0;
	status = LIOV_TOO_SOON;
	if (sub->pair)
		liov_shared_take_back(sub->sq, sub->pair, sub->slot);
err_load:
	if (out->load)
		liov_load_put(inst, out->load);
	return status;
}

/*
 * The same on a shared pair.  A command that does not get there because of a reset is in its
 * slot, for liov_shared_sq_make().  If its queue was shut its guest hears of it no more.
 */
static void liov_guarded_put_shared(struct liov_submit *sub, struct liov_slot *s)
{
	struct liov_sq *sq = sub->sq;

	s->cmd.common.command_id = s->tag;
	if (likely(liov_shared_push(sq, sub->pair, &s->cmd) != -ESHUTDOWN))
		return;
	sq->g->submitted--;
	if (s->load)
		liov_load_put(sq->inst, s->load);
	liov_gcq_unreserve(sq->cq, 1);
	liov_slot_put(sq->g, sub->slot, LIOV_SLOT_BUSY);
}

/* Gives the command of a slot to the hardware, which sees it at the next ring. */
static void liov_guarded_put(struct liov_submit *sub, struct liov_slot *s)
{
	struct liov_gsq *g = sub->sq->g;

	atomic_set(&s->state, LIOV_SLOT_BUSY);
	s->seq = g->submitted++;
	if (sub->pair) {
		liov_guarded_put_shared(sub, s);
		return;
	}
	s->cmd.common.command_id = sub->slot;
	g->hw[g->hw_tail] = s->cmd;
	if (++g->hw_tail == g->hw_depth)
		g->hw_tail = 0;
}

/*
 * The guest's next command into slot @sub->slot.  Returns 0, the status it was refused
 * with, or one of liov_submit_stays(): it stays in the guest's ring, and is read anew.
 */
static u16 liov_guarded_submit_one(struct liov_submit *sub, u64 start)
{
	const struct liov_guard_env env = {
		.step	= liov_submit_step,
		.read	= liov_submit_read,
		.page	= liov_submit_page,
		.ctx	= sub,
	};
	struct liov_sq *sq = sub->sq;
	struct liov_gsq *g = sq->g;
	struct liov_slot *s = &g->slot[sub->slot];
	struct liov_guarded out;
	struct nvme_command c;
	u16 status;

	if (unlikely(!liov_gsq_copy(g, &c))) {
		liov_memory_broken(sq->inst, "submission", sq->qid);
		return LIOV_NOT_NOW;
	}
	status = liov_guard_check(&liov_pairs(sq->inst)->guard, &env, &c, &out);
	if (unlikely(sub->later))
		return LIOV_NOT_NOW;
	if (unlikely(status == LIOV_NOT_NOW))
		return status;
	if (likely(!status)) {
		status = liov_guarded_admit(sub, &out, start);
		if (unlikely(status))
			return status;
	}
	if (unlikely(sq->throttled_since))
		liov_throttle_over(sq, start);
	WRITE_ONCE(g->head, g->head + 1 == sq->depth ? 0 : g->head + 1);
	if (unlikely(status)) {
		liov_guarded_refuse(sq, &c, status);
		return status;
	}
	s->cid = c.common.command_id;
	s->start = start;
	s->load = out.load;
	s->cmd = out.cmd;
	liov_guarded_put(sub, s);
	sq->stats.commands[out.io]++;
	sq->stats.bytes[out.io] += out.bytes;
	trace_lightiov_submit(sq, sub->slot, &c, out.bytes);
	return 0;
}

/*
 * Marks the queue as waiting for room and looks once more: room made before the
 * mark was seen wakes nobody.  Returns whether to try again.
 *
 * If nothing is outstanding on its CQ, only the guest can make room there, by
 * its head: from now on that doorbell is listened to.  Drivers that never have
 * more outstanding than their CQ holds, which is all common ones, do not come
 * here.
 */
static bool liov_guarded_starve(struct liov_sq *sq, enum liov_trigger trigger)
{
	struct liov_cq *cq = sq->cq;
	bool listen = false;
	unsigned long flags;

	if (!sq->starved)
		sq->stats.held_back++;
	WRITE_ONCE(sq->starved, true);
	WRITE_ONCE(cq->starved, true);
	/* Mark before room; pairs with liov_guarded_wake(). */
	smp_mb();
	if (find_first_bit(sq->g->free, sq->g->nr_slots) == sq->g->nr_slots)
		return false;
	if (liov_gcq_reserve(cq, 1)) {
		liov_gcq_unreserve(cq, 1);
		return true;
	}
	if (liov_trigger_is_interrupt(trigger)) {
		if (READ_ONCE(cq->lazy))
			liov_job_queue(sq->inst, &sq->job);
		return false;
	}
	spin_lock_irqsave(&cq->lock, flags);
	if (cq->lazy) {
		cq->lazy = false;
		listen = true;
	}
	spin_unlock_irqrestore(&cq->lock, flags);
	if (!listen)
		return false;
	/* Its worker looks at every queue once it listens. */
	liov_doorbell_decode_changed(sq->inst);
	/* A head that came before the store of @lazy; pairs with liov_doorbell_kick(). */
	smp_mb();
	if (!liov_gcq_reserve(cq, 1))
		return false;
	liov_gcq_unreserve(cq, 1);
	return true;
}

/* Not an NVMe status: the command stays in the guest's ring. */
static bool liov_submit_stays(u16 status)
{
	return status == LIOV_NOT_NOW || status == LIOV_NO_ROOM || status == LIOV_TOO_SOON ||
	       status == LIOV_NOT_TURN;
}

/*
 * The next @n commands, for which there are places in the guest's CQ.  Returns how many
 * places are left over; *@status is what the last command ended with.
 */
static u32 liov_guarded_submit_some(struct liov_submit *sub, u32 n, u64 start, u16 *status,
				    bool *refused)
{
	struct liov_gsq *g = sub->sq->g;

	while (n && !liov_guarded_enough(sub->pass, sub->trigger)) {
		sub->slot = liov_slot_get(g);
		if (sub->slot == g->nr_slots)
			break;
		*status = liov_guarded_submit_one(sub, start);
		if (unlikely(*status))
			set_bit(sub->slot, g->free);
		if (unlikely(liov_submit_stays(*status)))
			break;
		*refused |= *status;
		sub->pass->commands--;
		n--;
		if (!liov_trigger_is_interrupt(sub->trigger))
			cond_resched();
	}
	return n;
}

/* The next command cannot be had now: @later by the job, else when memory is back. */
static void liov_guarded_not_now(struct liov_sq *sq, bool later)
{
	if (later)
		liov_job_queue(sq->inst, &sq->job);
	else
		liov_queue_delayed_work(sq->inst, &sq->work, msecs_to_jiffies(LIOV_QUIET_MS));
}

static void liov_guarded_run(struct liov_sq *sq, u32 tail, enum liov_trigger trigger,
			     struct liov_pass *pass)
{
	struct liov_submit sub = {
		.sq = sq,
		.pair = sq->g->shared ? liov_shared_pick(sq) : NULL,
		.trigger = trigger,
		.pass = pass,
	};
	u64 start = ktime_get_ns();
	struct liov_gsq *g = sq->g;
	bool refused = false;
	u16 status;

	while (g->head != tail) {
		u32 new = (tail + sq->depth - g->head) % sq->depth;
		u32 n, left;

		if (unlikely(liov_guarded_enough(pass, trigger))) {
			liov_guarded_cut(sq);
			break;
		}
		n = liov_gcq_reserve(sq->cq, min(new, pass->commands));
		status = 0;
		left = liov_guarded_submit_some(&sub, n, start, &status, &refused);
		if (left)
			liov_gcq_unreserve(sq->cq, left);
		if (unlikely(sub.cut)) {
			liov_guarded_cut(sq);
			break;
		}
		if (unlikely(status == LIOV_NOT_NOW)) {
			liov_guarded_not_now(sq, sub.later);
			break;
		}
		if (unlikely(status == LIOV_TOO_SOON)) {
			liov_throttle_wait(sq, start, sub.when);
			break;
		}
		/* It is in line. */
		if (unlikely(status == LIOV_NOT_TURN))
			break;
		if (g->head == tail || liov_guarded_enough(pass, trigger))
			continue;
		if (unlikely(status == LIOV_NO_ROOM)) {
			if (!liov_load_wait(sq, sub.load))
				goto out;
		} else if ((!n || left) && !liov_guarded_starve(sq, trigger)) {
			goto out;
		}
	}
	WRITE_ONCE(sq->starved, false);
	if (unlikely(READ_ONCE(sq->load_waits)))
		WRITE_ONCE(sq->load_waits, false);
out:
	liov_submit_ring(&sub);
	if (refused && sq->cq->ien)
		liov_irq_interrupt(sq->inst, sq->cq->vector);
}

/* One time over the guest's ring.  Under liov_sq.submit. */
static void liov_guarded_go_over(struct liov_sq *sq, enum liov_trigger trigger,
				 struct liov_pass *pass)
{
	struct liov_gsq *g = sq->g;
	u32 tail, head, waiting;

	if (!g || !READ_ONCE(sq->live) || !READ_ONCE(liov_pairs(sq->inst)->awake) ||
	    unlikely(READ_ONCE(liov_pairs(sq->inst)->fatal)))
		return;
	/* After a reset of the host's: what was in flight. */
	if (unlikely(sq->tail != g->hw_tail))
		liov_gsq_ring(sq);
	waiting = liov_cq_waiting(sq->cq, READ_ONCE(sq->cq->g->tail));
	head = g->head;
	tail = READ_ONCE(*sq->db.val);
	if (unlikely(tail >= sq->depth)) {
		sq->bad_doorbells++;
		liov_admin_event(sq->inst, LIOV_EVENT_DB_VALUE);
	} else if (trigger == LIOV_TRIGGER_COMPLETION &&
		   liov_busy_by_itself(g->submitted - READ_ONCE(g->completed), waiting)) {
		; /* The timer comes. */
	} else if (tail != head) {
		if (likely(g->map.va && sq->cq->ring) || liov_guarded_wait_rings(sq, trigger))
			liov_guarded_run(sq, tail, trigger, pass);
	}
	liov_busy_note(sq, trigger, (g->head + sq->depth - head) % sq->depth,
		       g->submitted - READ_ONCE(g->completed), waiting);
}

static void liov_guarded_turns(struct liov_sq *sq, enum liov_trigger trigger,
			       struct liov_pass *pass, unsigned int max)
{
	unsigned int turns = 0, turn;

	do {
		if (turns++ == max || liov_guarded_enough(pass, trigger)) {
			liov_guarded_cut(sq);
			return;
		}
		WRITE_ONCE(sq->again, true);
		/* Value and mark before the look at the owner, who looks at the mark last. */
		smp_mb();
		if (down_trylock(&sq->submit))
			return;
		/* Off before the value is read: it may be a newer one's. */
		xchg(&sq->again, false);
		turn = READ_ONCE(sq->turn_pair);
		liov_guarded_go_over(sq, trigger, pass);
		up(&sq->submit);
		if (unlikely(turn))
			liov_shared_turn_over(sq, turn);
		/* Free before the look at the mark. */
		smp_mb();
	} while (READ_ONCE(sq->again));
}

/**
 * liov_guarded_submit() - see struct liov_mode_ops, @sq_submit
 * @sq: queue, live or not
 * @trigger: who
 *
 * Typically in a vCPU thread inside KVM, with the vCPU's kvm->srcu held: may
 * sleep for pins, must not wait for memory slots.  That holds for whoever owns
 * liov_sq.submit.
 */
void liov_guarded_submit(struct liov_sq *sq, enum liov_trigger trigger)
{
	struct liov_pass stay = LIOV_STAY_INIT;

	liov_guarded_turns(sq, trigger, &stay, LIOV_STAY_TURNS);
}

/**
 * liov_guarded_look() - see struct liov_mode_ops, @sq_look
 * @sq:   queue, live or not
 * @trigger:   who
 * @pass: what he may still do
 *
 * Does not sleep.
 */
void liov_guarded_look(struct liov_sq *sq, enum liov_trigger trigger, struct liov_pass *pass)
{
	liov_guarded_turns(sq, trigger, pass, trigger == LIOV_TRIGGER_HALT ? LIOV_HALT_TURNS : 1);
}

/**
 * liov_guarded_cq_kick() - see struct liov_mode_ops
 * @cq: queue that an SQ waits for, see liov_guarded_starve()
 */
void liov_guarded_cq_kick(struct liov_cq *cq)
{
	struct liov_pass stay = LIOV_STAY_INIT;
	unsigned int turn = READ_ONCE(cq->turn), n = 0;
	struct liov_sq *sq;

	WRITE_ONCE(cq->turn, turn + 1);
	/* One stay for all of them; those for which nothing is left get their job. */
	while ((sq = liov_next_starved(cq, turn, &n)))
		liov_guarded_turns(sq, LIOV_TRIGGER_STORE, &stay, LIOV_STAY_TURNS);
}
