// SPDX-License-Identifier: GPL-2.0
/*
 * Shared pairs: whose command is which on a hardware pair that serves queues of many
 * instances, and in which order these are served.  guarded.h has the structs,
 * shared_pair.c the hardware's side.
 *
 * A command goes through the pair of the CPU that submits it, under a tag that names its queue
 * and slot.  As long as one instance uses a pair alone, nothing but tags limits it.  When
 * several do, no more than LIOV_SHARED_WINDOW is at the hardware through that pair, so nobody
 * comes behind more than that: what finds no room stays in the guest's ring, its queue waits,
 * its instance is in line, and whenever there is room again the first one in line has a turn of
 * LIOV_SHARED_TURN times its weight, or of one command.  The line is in the order of what each has
 * had through this pair, in bytes by its weight (start-time fair queueing): so more queues are no
 * more turns, and who had more than his turn comes later.  Who comes anew begins where it is.
 *
 * Who may run at once: takers under the liov_sq.submit of their queue, completions, teardown,
 * the reset hooks.  liov_shared_pair.lock covers ring, tags and line; it is innermost but for
 * those of jobs, may be taken by hard interrupts, and nothing is waited for under it.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/bitmap.h>
#include <linux/io.h>
#include <linux/jiffies.h>
#include <linux/smp.h>
#include <linux/workqueue.h>

#include "queue/guarded.h"

/* What counts, of a command: what it moves, and this; bytes. */
#define LIOV_SHARED_COMMAND	4096

/* What may be at the hardware through a pair that several instances use; bytes. */
#define LIOV_SHARED_WINDOW	(2U << 20)

/* Likewise while one alone uses it, if there are others; what these find at most at first. */
#define LIOV_SHARED_ALONE	(32U << 20)

/* What the first in line may have in one turn, with a weight of 100; bytes. */
#define LIOV_SHARED_TURN	(128 << 10)

/*
 * How long two instances count as using a pair at once.  One that comes less often may find
 * LIOV_SHARED_ALONE in front of it.
 */
#define LIOV_SHARED_MIXED_MS	10000

/* While there is a line, it is looked after so often: who has his turn may be stopped. */
#define LIOV_SHARED_TICK_MS	4

/* Returns whether there was something to show. */
static bool liov_shared_ring_locked(struct liov_shared_pair *pair)
{
	lockdep_assert_held(&pair->lock);
	if (!pair->live || pair->rung == pair->tail)
		return false;
	pair->rung = pair->tail;
	writel(pair->tail, pair->sq_db);
	return true;
}

/* ---- the line ---- */

/* What may be at the hardware through @pair now. */
static u32 liov_shared_limit(const struct liov_shared_pair *pair)
{
	if (time_before(jiffies, pair->mixed_until))
		return LIOV_SHARED_WINDOW;
	return READ_ONCE(pair->set->users) > 1 ? LIOV_SHARED_ALONE : U32_MAX;
}

static struct liov_shared_part *liov_shared_part(const struct liov_sq *sq,
						 const struct liov_shared_pair *pair)
{
	return &liov_pairs(sq->inst)->part[pair->index];
}

static bool liov_shared_is_before(u64 a, u64 b)
{
	return (s64)(a - b) < 0;
}

static bool liov_shared_less(struct rb_node *a, const struct rb_node *b)
{
	return liov_shared_is_before(rb_entry(a, struct liov_shared_part, node)->had,
				     rb_entry(b, struct liov_shared_part, node)->had);
}

static bool liov_shared_is_in_line(const struct liov_shared_part *part)
{
	return !RB_EMPTY_NODE(&part->node);
}

static void liov_shared_line_up(struct liov_shared_pair *pair, struct liov_shared_part *part)
{
	if (list_empty(&part->queues) || part->has_turn || liov_shared_is_in_line(part))
		return;
	if (liov_shared_is_before(part->had, pair->had))
		part->had = pair->had;
	rb_add_cached(&part->node, &pair->line, liov_shared_less);
}

static void liov_shared_step_out(struct liov_shared_pair *pair, struct liov_shared_part *part)
{
	rb_erase_cached(&part->node, &pair->line);
	RB_CLEAR_NODE(&part->node);
}

static void liov_shared_wait_no_more(struct liov_sq *sq, struct liov_shared_pair *pair)
{
	list_del_init_careful(&sq->line_node);
	pair->waiting--;
}

/* What @cost bytes are of an instance's share. */
static u32 liov_shared_share(const struct liov_sq *sq, u32 cost)
{
	unsigned int weight = READ_ONCE(liov_pairs(sq->inst)->weight);

	return likely(weight == 100) ? cost : cost * 100 / weight;
}

/* Under the pair's lock. */
static void liov_shared_set_had(struct liov_shared_pair *pair, struct liov_shared_part *part,
				u64 had)
{
	bool in_line = liov_shared_is_in_line(part);

	if (unlikely(in_line))
		liov_shared_step_out(pair, part);
	part->had = had;
	if (unlikely(in_line))
		liov_shared_line_up(pair, part);
}

/* @sq has @cost bytes. */
static void liov_shared_charge(struct liov_sq *sq, struct liov_shared_pair *pair, u32 cost)
{
	struct liov_shared_part *part = liov_shared_part(sq, pair);
	u64 had = liov_shared_is_before(part->had, pair->had) ? pair->had : part->had;

	/* Without a line, that is where it would begin. */
	if (likely(!pair->waiting && !pair->nr_turns))
		pair->had = had;
	liov_shared_set_had(pair, part, had + liov_shared_share(sq, cost));
}

/* There may be room: the first in line goes on, the next after it: liov_shared_turn_over(). */
static void liov_shared_next(struct liov_shared_pair *pair)
{
	struct rb_node *first = rb_first_cached(&pair->line);
	struct liov_shared_part *part;
	struct liov_sq *sq;

	lockdep_assert_held(&pair->lock);
	if (likely(!first) || bitmap_empty(pair->free, pair->nr_tags) ||
	    (u64)pair->inflight + (u64)pair->nr_turns * LIOV_SHARED_TURN >= liov_shared_limit(pair))
		return;
	part = rb_entry(first, struct liov_shared_part, node);
	liov_shared_step_out(pair, part);
	if (liov_shared_is_before(pair->had, part->had))
		pair->had = part->had;
	sq = list_first_entry(&part->queues, struct liov_sq, line_node);
	part->has_turn = true;
	pair->nr_turns++;
	WRITE_ONCE(sq->turn_left, LIOV_SHARED_TURN / 100 * READ_ONCE(liov_pairs(sq->inst)->weight));
	/* The turn before the line, at which liov_shared_wait() looks without this lock. */
	WRITE_ONCE(sq->turn_pair, pair->index + 1);
	liov_shared_wait_no_more(sq, pair);
	liov_job_queue(sq->inst, &sq->job);
}

static void liov_shared_tick_later(struct liov_shared_pair *pair)
{
	queue_delayed_work(system_highpri_wq, &pair->tick, msecs_to_jiffies(LIOV_SHARED_TICK_MS));
}

/* Whatever became of those who had their turn: the line moves on, and the ring is seen. */
static void liov_shared_tick(struct work_struct *work)
{
	struct liov_shared_pair *pair = container_of(to_delayed_work(work),
						     struct liov_shared_pair, tick);

	spin_lock_irq(&pair->lock);
	liov_shared_ring_locked(pair);
	/* Who has not had his turn by now may be stopped. */
	pair->nr_turns = 0;
	liov_shared_next(pair);
	if (pair->waiting)
		liov_shared_tick_later(pair);
	spin_unlock_irq(&pair->lock);
}

/*
 * @sq, whose submit is held, has to wait for @pair, if it waits for none.  Where it has its turn
 * still, its job goes on after that.  Under the pair's lock.
 */
static void liov_shared_wait(struct liov_sq *sq, struct liov_shared_pair *pair)
{
	struct liov_shared_part *part = liov_shared_part(sq, pair);

	sq->stats.held_shared++;
	/* The line before the turn, as liov_shared_next() gives that first. */
	if (!list_empty_careful(&sq->line_node))
		return;
	WRITE_ONCE(sq->turn_more, true);
	/* The mark before the look at the turn; pairs with liov_shared_turn_over(). */
	smp_mb();
	if (READ_ONCE(sq->turn_pair))
		return;
	WRITE_ONCE(sq->turn_more, false);
	sq->line_pair = pair->index;
	list_add_tail(&sq->line_node, &part->queues);
	pair->waiting++;
	liov_shared_line_up(pair, part);
	liov_shared_tick_later(pair);
}

/**
 * liov_shared_turn_over() - a queue that had its turn was gone over
 * @sq:   queue of a shared instance
 * @turn: liov_sq.turn_pair from before
 *
 * Its turn ends; the next in line has room.  Any context.
 */
void liov_shared_turn_over(struct liov_sq *sq, unsigned int turn)
{
	struct liov_shared *set = liov_pairs(sq->inst)->parent->shared;
	struct liov_shared_pair *pair = &set->pair[turn - 1];
	struct liov_shared_part *part = liov_shared_part(sq, pair);
	unsigned long flags;

	spin_lock_irqsave(&pair->lock, flags);
	if (READ_ONCE(sq->turn_pair) == turn) {
		WRITE_ONCE(sq->turn_pair, 0);
		pair->nr_turns -= !!pair->nr_turns;
		part->has_turn = false;
		liov_shared_line_up(pair, part);
	}
	liov_shared_next(pair);
	spin_unlock_irqrestore(&pair->lock, flags);
	/* The turn before the mark. */
	smp_mb();
	if (xchg(&sq->turn_more, false))
		liov_job_queue(sq->inst, &sq->job);
}

/**
 * liov_shared_leave() - a queue waits no more
 * @sq: queue without a ring: nobody submits any more
 *
 * May sleep.
 */
void liov_shared_leave(struct liov_sq *sq)
{
	struct liov_shared *set = liov_pairs(sq->inst)->parent->shared;
	struct liov_shared_pair *pair = &set->pair[sq->line_pair];
	struct liov_shared_part *part = liov_shared_part(sq, pair);
	unsigned int turn;

	/* Out of the line and having a turn are one step under this lock. */
	spin_lock_irq(&pair->lock);
	if (!list_empty(&sq->line_node))
		liov_shared_wait_no_more(sq, pair);
	if (list_empty(&part->queues) && liov_shared_is_in_line(part))
		liov_shared_step_out(pair, part);
	turn = READ_ONCE(sq->turn_pair);
	spin_unlock_irq(&pair->lock);
	if (turn)
		liov_shared_turn_over(sq, turn);
}

/* ---- tags ---- */

/* Does the next command of @sq, which counts @cost bytes, go to @pair now? */
static bool liov_shared_may(struct liov_sq *sq, struct liov_shared_pair *pair, u32 cost)
{
	struct liov_shared_part *part = liov_shared_part(sq, pair);
	struct liov_instance *inst = sq->inst;
	s32 left = READ_ONCE(sq->turn_left);

	lockdep_assert_held(&pair->lock);
	sq->turn_paid = false;
	if (pair->last != inst) {
		if (pair->inflight)
			pair->mixed_until = jiffies + msecs_to_jiffies(LIOV_SHARED_MIXED_MS) + 1;
		pair->last = inst;
	}
	/* What is alone always has room, and whoever comes to wait is woken by another. */
	if (!pair->inflight)
		return true;
	if (left > 0 && READ_ONCE(sq->turn_pair) == pair->index + 1) {
		WRITE_ONCE(sq->turn_left, left - (s32)cost);
		sq->turn_paid = true;
		return true;
	}
	if (rb_first_cached(&pair->line) || !list_empty(&part->queues))
		return false;
	/* Who had more comes after those whose turn it is. */
	if (pair->nr_turns && liov_shared_is_before(pair->had, part->had) &&
	    time_before(jiffies, pair->mixed_until))
		return false;
	return pair->inflight + cost <= liov_shared_limit(pair);
}

/* Fills a tag.  Under the pair's lock. */
static void liov_shared_tag(struct liov_sq *sq, struct liov_shared_pair *pair, unsigned int slot,
			    unsigned int tag)
{
	struct liov_slot *s = &sq->g->slot[slot];

	__clear_bit(tag, pair->free);
	pair->tag[tag] = (struct liov_tag) {
		.sq = sq, .g = sq->g, .slot = slot, .units = s->units
	};
	pair->inflight += (u32)s->units * LIOV_SHARED_UNIT;
	s->pair = pair->index;
	s->tag = tag;
}

/**
 * liov_shared_take() - a place on a shared pair for a command
 * @sq:    queue; its submit is held
 * @pair:  from liov_shared_pick()
 * @slot:  the command's, in which nothing but .units, .pair and .tag is written here
 * @bytes: it moves
 *
 * Any context.  Return: false if it has to wait; it is in line then, or the controller is being
 * reset.
 */
bool liov_shared_take(struct liov_sq *sq, struct liov_shared_pair *pair, unsigned int slot,
		      u64 bytes)
{
	/* What it does to its namespace may be any number of bytes. */
	u32 cost = round_up((u32)min_t(u64, bytes, LIOV_SHARED_WINDOW), LIOV_SHARED_UNIT) +
		   LIOV_SHARED_COMMAND;
	unsigned long flags;
	unsigned int tag;
	bool ok = false;

	spin_lock_irqsave(&pair->lock, flags);
	if (likely(pair->live && pair->gen == sq->gen)) {
		tag = find_first_bit(pair->free, pair->nr_tags);
		ok = tag < pair->nr_tags && liov_shared_may(sq, pair, cost);
		if (likely(ok)) {
			sq->g->slot[slot].units = cost / LIOV_SHARED_UNIT;
			liov_shared_charge(sq, pair, cost);
			liov_shared_tag(sq, pair, slot, tag);
		} else {
			liov_shared_wait(sq, pair);
		}
	}
	spin_unlock_irqrestore(&pair->lock, flags);
	return ok;
}

/**
 * liov_shared_take_again() - the same for a command that the hardware lost in a reset
 * @sq:   queue; its submit is held
 * @pair: from liov_shared_pick(); where it has no tag, another
 * @slot: the command's, as it was
 *
 * Process context.  Return: the pair, or NULL if no tag is left at all.
 */
struct liov_shared_pair *liov_shared_take_again(struct liov_sq *sq, struct liov_shared_pair *pair,
						unsigned int slot)
{
	struct liov_shared *set = pair->set;
	unsigned int i, tag;

	for (i = 0; i < set->nr; i++) {
		struct liov_shared_pair *p = &set->pair[(pair->index + i) % set->nr];

		spin_lock_irq(&p->lock);
		tag = p->live && p->gen == sq->gen ? find_first_bit(p->free, p->nr_tags) :
						     p->nr_tags;
		if (tag < p->nr_tags)
			liov_shared_tag(sq, p, slot, tag);
		spin_unlock_irq(&p->lock);
		if (tag < p->nr_tags)
			return p;
	}
	return NULL;
}

/* Has slot @slot of @g tag @tag still?  Under the pair's lock. */
static bool liov_shared_is_of(const struct liov_shared_pair *pair, unsigned int tag,
			      const struct liov_gsq *g, unsigned int slot)
{
	return pair->tag[tag].g == g && pair->tag[tag].slot == slot;
}

/* It is nobody's and counts nothing any more.  Under the pair's lock. */
static void liov_shared_disown(struct liov_shared_pair *pair, unsigned int tag)
{
	struct liov_tag *t = &pair->tag[tag];

	pair->inflight -= (u32)t->units * LIOV_SHARED_UNIT;
	*t = (struct liov_tag) { };
}

/* Likewise. */
static void liov_shared_free_tag(struct liov_shared_pair *pair, unsigned int tag)
{
	liov_shared_disown(pair, tag);
	__set_bit(tag, pair->free);
	liov_shared_next(pair);
}

/**
 * liov_shared_put() - a slot that had a tag is free
 * @set:  of the parent
 * @g:    queue
 * @slot: the slot
 *
 * A tag from before a reset is somebody else's, or nobody's.  Any context.
 */
void liov_shared_put(struct liov_shared *set, struct liov_gsq *g, unsigned int slot)
{
	struct liov_slot *s = &g->slot[slot];
	struct liov_shared_pair *pair = &set->pair[s->pair];
	unsigned long flags;

	spin_lock_irqsave(&pair->lock, flags);
	if (liov_shared_is_of(pair, s->tag, g, slot))
		liov_shared_free_tag(pair, s->tag);
	spin_unlock_irqrestore(&pair->lock, flags);
}

/**
 * liov_shared_take_back() - a command that has just got its place does not go after all
 * @sq:   queue; its submit is held since liov_shared_take()
 * @pair: there
 * @slot: there
 *
 * A turn of @sq is as long as before, and its instance has had no more.  Any context.
 */
void liov_shared_take_back(struct liov_sq *sq, struct liov_shared_pair *pair, unsigned int slot)
{
	u32 cost = sq->g->slot[slot].units * LIOV_SHARED_UNIT;
	struct liov_shared_part *part = liov_shared_part(sq, pair);
	unsigned long flags;

	spin_lock_irqsave(&pair->lock, flags);
	if (sq->turn_paid && READ_ONCE(sq->turn_pair) == pair->index + 1)
		WRITE_ONCE(sq->turn_left, READ_ONCE(sq->turn_left) + (s32)cost);
	liov_shared_set_had(pair, part, part->had - liov_shared_share(sq, cost));
	spin_unlock_irqrestore(&pair->lock, flags);
	liov_shared_put(pair->set, sq->g, slot);
}

/**
 * liov_shared_owner() - whose command has the hardware completed?
 * @pair: pair; the caller holds its cq_lock
 * @tag:  as the hardware says
 * @t:    out
 *
 * What was given up (liov_shared_forget()) is done with here.  Any context.
 *
 * Return: 1; 0 if it was given up; -1 if the hardware was not given it.
 */
int liov_shared_owner(struct liov_shared_pair *pair, unsigned int tag, struct liov_tag *t)
{
	int rc = -1;

	spin_lock(&pair->lock);
	if (tag < pair->nr_tags && !test_bit(tag, pair->free)) {
		*t = pair->tag[tag];
		rc = !!t->g;
		if (!rc)
			liov_shared_free_tag(pair, tag);
	}
	spin_unlock(&pair->lock);
	return rc;
}

/**
 * liov_shared_forget() - a queue goes while the hardware may still have a command of it
 * @set:  of the parent
 * @g:    queue
 * @slot: of the command
 *
 * From here on its completion finds nobody.  The tag stays taken until it comes, or the
 * controller is reset.  May sleep.
 */
void liov_shared_forget(struct liov_shared *set, struct liov_gsq *g, unsigned int slot)
{
	struct liov_slot *s = &g->slot[slot];
	struct liov_shared_pair *pair = &set->pair[s->pair];

	spin_lock_irq(&pair->cq_lock);
	spin_lock(&pair->lock);
	if (liov_shared_is_of(pair, s->tag, g, slot)) {
		/* It may never end, and others are not to wait for that. */
		liov_shared_disown(pair, s->tag);
		liov_shared_next(pair);
	}
	spin_unlock(&pair->lock);
	spin_unlock_irq(&pair->cq_lock);
}

/* ---- the ring ---- */

/**
 * liov_shared_pick() - through which pair somebody submits
 * @sq: queue of a shared instance
 *
 * That of this CPU, but where @sq has its turn.  Any context.
 */
struct liov_shared_pair *liov_shared_pick(struct liov_sq *sq)
{
	struct liov_shared *set = liov_pairs(sq->inst)->parent->shared;
	unsigned int turn = READ_ONCE(sq->turn_pair), i, n;

	i = turn ? turn - 1 : set->of_cpu[raw_smp_processor_id()];
	/* One that the drive did not grant since its last reset is no use. */
	for (n = 0; unlikely(!READ_ONCE(set->pair[i].live)) && n < set->nr; n++)
		i = i + 1 == set->nr ? 0 : i + 1;
	return &set->pair[i];
}

/**
 * liov_shared_push() - put a command into a pair's ring
 * @sq:   queue; its submit is held
 * @pair: where it has a tag
 * @cmd:  with that as identifier
 *
 * Not if @sq was shut (liov_queues_shut()), as whoever rings next shows it; nor if the
 * controller is being reset, which takes the pair's @live first.  Any context.
 *
 * Return: 0, -ESHUTDOWN, or -EAGAIN after or in a reset.
 */
int liov_shared_push(struct liov_sq *sq, struct liov_shared_pair *pair,
		     const struct nvme_command *cmd)
{
	unsigned long flags;
	int rc = 0;

	spin_lock_irqsave(&pair->lock, flags);
	spin_lock(&sq->lock);
	if (unlikely(!pair->live || pair->gen != sq->gen)) {
		rc = -EAGAIN;
	} else if (unlikely(!sq->live)) {
		rc = -ESHUTDOWN;
	} else {
		/* There are more entries than tags. */
		pair->sq[pair->tail] = *cmd;
		pair->tail = pair->tail + 1 == pair->depth ? 0 : pair->tail + 1;
	}
	spin_unlock(&sq->lock);
	spin_unlock_irqrestore(&pair->lock, flags);
	return rc;
}

/**
 * liov_shared_ring() - show the hardware what is in a pair's ring
 * @sq:   whose commands they are
 * @pair: the pair
 *
 * Any context.
 */
void liov_shared_ring(struct liov_sq *sq, struct liov_shared_pair *pair)
{
	unsigned long flags;

	spin_lock_irqsave(&pair->lock, flags);
	if (liov_shared_ring_locked(pair))
		sq->rings++;
	spin_unlock_irqrestore(&pair->lock, flags);
}

/**
 * liov_shared_reset() - the controller was disabled: nothing is at the hardware any more
 * @pair: pair that is not live
 *
 * Its commands stay in their slots.  Whoever waits looks again, in the end.  Process context.
 */
void liov_shared_reset(struct liov_shared_pair *pair)
{
	spin_lock_irq(&pair->lock);
	bitmap_fill(pair->free, pair->nr_tags);
	memset(pair->tag, 0, pair->nr_tags * sizeof(*pair->tag));
	pair->inflight = 0;
	pair->nr_turns = 0;
	pair->tail = 0;
	pair->rung = 0;
	liov_shared_next(pair);
	spin_unlock_irq(&pair->lock);
}

/**
 * liov_shared_line_init() - nobody waits for a pair; once
 * @pair: pair
 */
void liov_shared_line_init(struct liov_shared_pair *pair)
{
	pair->line = RB_ROOT_CACHED;
	INIT_DELAYED_WORK(&pair->tick, liov_shared_tick);
	pair->mixed_until = jiffies;
}
