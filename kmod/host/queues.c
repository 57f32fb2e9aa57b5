// SPDX-License-Identifier: GPL-2.0
/*
 * The host boundary: how the queue pairs of a controller are divided between the host's own
 * driver and guests.  That happens when nvme.ko sets its queues up, when it binds and in each
 * reset, and at no other time: what is set here meanwhile waits for the next.
 *
 * Owns liov_hostp.split, .used, .divides, .floor and .answer, under liov_hostp.lock.  Called
 * by bind.c for nvme.ko's question, by up.c, and by those who set something.
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include "priv.h"
#include "model/model.h"

/* So many beyond those the host keeps. */
static unsigned int host_spare(const struct liov_split *s)
{
	/* One shows whether the controller has more than the driver wants. */
	return s->host == LIOV_AUTO ? max(s->reserve, 1U) : s->reserve;
}

/**
 * liov_host_ask - how many I/O queues to ask for
 * @p:    the host
 * @want: what nvme.ko wants for itself
 *
 * At least what it wants, since many controllers grant no more than was asked for.
 *
 * Context: process; does not sleep.
 * Return: the number for Set Features.
 */
int liov_host_ask(struct liov_hostp *p, int want)
{
	struct liov_split s;
	unsigned int keep;

	spin_lock(&p->lock);
	p->divides = liov_host_takes_part(p);
	p->used = p->split;
	s = p->used;
	spin_unlock(&p->lock);
	if (!p->divides)
		return want;
	keep = s.host == LIOV_AUTO ? want : min_t(unsigned int, want, s.host);
	/* 0's based 16-bit fields, of which FFFFh is reserved. */
	return min(max_t(unsigned int, want, keep + host_spare(&s)), 0xffffU);
}

/**
 * liov_host_answer - how many I/O queues nvme.ko gets to see
 * @p:       the host
 * @want:    what it wanted for itself
 * @granted: what liov_host_ask() brought
 *
 * The host comes first: it gets all it wanted, as far as the controller grants
 * it, unless it was told to keep fewer (liov_queues_kept()); what is left is
 * spare.  The one exception are qids that instances hold already
 * (liov_host_set_floor()): they are kept, the host runs with fewer, but never
 * with none.
 *
 * Context: process; does not sleep.
 * Return: the number.
 */
int liov_host_answer(struct liov_hostp *p, int want, int granted)
{
	int answer = min(want, granted);

	spin_lock(&p->lock);
	if (p->divides)
		answer = liov_queues_kept(want, granted, p->used.host);
	if (p->divides && p->floor && answer >= p->floor)
		answer = max(p->floor - 1, 1);
	p->answer = answer;
	p->hooked = p->divides;
	spin_unlock(&p->lock);
	return answer;
}

/**
 * liov_host_lacks_pairs - would nvme.ko's queues be set up in another way?
 * @p: the host; they were set up without us, and its numbers are known
 *
 * Pairs whose doorbells would have no place in BAR 0 are not expected.  If not, what is set is in
 * force from here on, see liov_host_is_due().
 *
 * Context: process; does not sleep.
 * Return: what a reset is good for, or NULL.
 */
const char *liov_host_lacks_pairs(struct liov_hostp *p)
{
	u16 inside = liov_queues_in_bar(pci_resource_len(p->h.pdev, 0), p->h.db_stride);
	unsigned int spare = p->h.nr_granted - p->h.nr_host;
	struct liov_split s;

	spin_lock(&p->lock);
	s = p->split;
	spin_unlock(&p->lock);
	if (s.host != LIOV_AUTO && p->h.nr_host > s.host)
		return "to leave the host fewer queues";
	if (spare < host_spare(&s) &&
	    (p->h.nr_granted < inside || (s.host == LIOV_AUTO && !spare && p->h.nr_host > 1)))
		return "to reserve queue pairs";
	/* What was looked at, not what was set meanwhile. */
	spin_lock(&p->lock);
	if (!p->hooked)
		p->used = s;
	spin_unlock(&p->lock);
	return NULL;
}

/**
 * liov_host_may_shrink - may the host's driver get other queues at its next set-up?
 * @p: the host
 *
 * What it has in flight then on a queue that it does not get again Linux ends with an error,
 * on any drive; so that has to end before.
 *
 * Context: process; does not sleep.
 * Return: whether it may.  That the controller will grant fewer is not known.
 */
bool liov_host_may_shrink(struct liov_hostp *p)
{
	bool may;

	spin_lock(&p->lock);
	may = p->split.host != p->used.host || p->split.reserve != p->used.reserve;
	if (p->split.host == LIOV_AUTO)
		may |= p->h.nr_host > 1 && p->h.nr_granted == p->h.nr_host;
	else
		may |= p->h.nr_host > p->split.host;
	spin_unlock(&p->lock);
	return may && p->h.nr_host;
}

/**
 * liov_host_set_floor - keep the host driver below a qid
 * @h:          the host
 * @lowest_qid: lowest hardware qid that instances hold (at least 2), 0 for none
 *
 * Takes effect when nvme.ko next sets its queues up, that is at a reset.
 *
 * Context: process; does not sleep.
 * Return: the floor before.
 */
u16 liov_host_set_floor(struct liov_host *h, u16 lowest_qid)
{
	struct liov_hostp *p = to_hostp(h);
	u16 old;

	WARN_ON_ONCE(lowest_qid == 1);
	spin_lock(&p->lock);
	old = p->floor;
	p->floor = lowest_qid;
	spin_unlock(&p->lock);
	return old;
}

/**
 * liov_host_get_queues - how many queues the host's driver keeps at most, as it is set
 * @h: the host
 *
 * Context: any; does not sleep.
 * Return: the number, or LIOV_AUTO.
 */
unsigned int liov_host_get_queues(struct liov_host *h)
{
	return READ_ONCE(to_hostp(h)->split.host);
}

/**
 * liov_host_set_queues - how many queues the host's driver is to keep at most
 * @h:    the host
 * @most: number, or LIOV_AUTO
 *
 * Takes effect when nvme.ko next sets its queues up.
 *
 * Context: process; does not sleep.
 */
void liov_host_set_queues(struct liov_host *h, unsigned int most)
{
	struct liov_hostp *p = to_hostp(h);

	spin_lock(&p->lock);
	WRITE_ONCE(p->split.host, most);
	spin_unlock(&p->lock);
}

/**
 * liov_host_get_reserve - how many queue pairs are to be spare, as it is set
 * @h: the host
 *
 * Context: any; does not sleep.
 * Return: the number.
 */
unsigned int liov_host_get_reserve(struct liov_host *h)
{
	return READ_ONCE(to_hostp(h)->split.reserve);
}

/**
 * liov_host_set_reserve - how many queue pairs are to be spare
 * @h:       the host
 * @reserve: number; what is above 65535 counts as that
 *
 * Takes effect when nvme.ko next sets its queues up.
 *
 * Context: process; does not sleep.
 */
void liov_host_set_reserve(struct liov_host *h, unsigned int reserve)
{
	struct liov_hostp *p = to_hostp(h);

	spin_lock(&p->lock);
	WRITE_ONCE(p->split.reserve, min(reserve, 0xffffU));
	spin_unlock(&p->lock);
}

/**
 * liov_host_is_due - was something set since nvme.ko last set its queues up?
 * @h: the host
 *
 * Context: process; does not sleep.
 * Return: whether it was, of a controller that is in use.
 */
bool liov_host_is_due(struct liov_host *h)
{
	struct liov_hostp *p = to_hostp(h);
	bool due;

	spin_lock(&p->lock);
	due = p->announced && (p->split.host != p->used.host ||
			       p->split.reserve != p->used.reserve);
	spin_unlock(&p->lock);
	return due;
}

/* 1: it is back from the reset that moved @seq on, 0: not yet, or -ENODEV. */
static int host_is_back(struct liov_hostp *p, unsigned int seq)
{
	if (liov_host_seq(p) == seq)
		return 0;
	/* It may have been withdrawn meanwhile. */
	return READ_ONCE(p->announced) ? liov_host_is_open(p) : -ENODEV;
}

/**
 * liov_host_apply - have what is set take effect
 * @h: the host
 *
 * Resets the controller, if something was set since nvme.ko last set its queues up, and
 * waits for the end of that.  Signals end the wait: the tasks of a system that suspends get
 * one, too.
 *
 * Context: may sleep; not in a section.
 * Return: 0, -EOPNOTSUPP if the controller is not in use, -EBUSY if it is being reset or
 * unbound already, -EINTR, -ETIMEDOUT if it is not live again after LIOV_APPLY_MS, or -ENODEV
 * if it is gone.  The reason and the remedy are in the log.
 */
int liov_host_apply(struct liov_host *h)
{
	struct liov_hostp *p = to_hostp(h);
	unsigned int seq;
	int rc, back = 0;
	long left;

	if (!READ_ONCE(p->announced)) {
		pci_warn(h->pdev, "lightiov: not offered to guests, so not reset for them; nvme reset would do it\n");
		return -EOPNOTSUPP;
	}
	if (!liov_host_is_due(h))
		return 0;
	seq = liov_host_seq(p);
	rc = liov_host_reset(h);
	if (rc) {
		pci_warn(h->pdev, "lightiov: the controller cannot be reset now (%d); write to apply again when its state is live\n",
			 rc);
		return rc;
	}
	left = wait_event_interruptible_timeout(p->wq, (back = host_is_back(p, seq)) != 0,
						msecs_to_jiffies(LIOV_APPLY_MS));
	if (left < 0)
		return -EINTR;
	if (!left)
		pci_warn(h->pdev, "lightiov: the controller is not back from its reset yet; see nvme's messages\n");
	return !left ? -ETIMEDOUT : min(back, 0);
}
