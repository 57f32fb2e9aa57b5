/* SPDX-License-Identifier: GPL-2.0 */
/**
 * DOC: doorbell
 *
 * From a guest's store to its queue: RAM pages in place of doorbell registers and KVM's
 * tracking of them (track.c), the drive's own registers in their place (own.c), busy queues,
 * whose stores nobody reports (busy.c), and halts that look at them (halt.c).
 *
 * Owns struct liov_doorbell and struct liov_track.  Tracking changes under liov_track.lock,
 * inside KVM's slots_lock; what a page fault finds under liov_track.own_lock.
 *
 * KVM and the CPU call in here: stores of vCPUs, page faults, memory slots that go, halts,
 * timers.  What is to be done about a store is the mode's, by struct liov_mode_ops.
 */
#ifndef _LIOV_DOORBELL_H
#define _LIOV_DOORBELL_H

#include <linux/nospec.h>
#include <linux/srcu.h>
#include <asm/kvm_page_track.h>

#include "memory/memory.h"

/* VFIO regions: index in the upper bits of the file offset, as vfio-pci does. */
#define LIOV_REGION_SHIFT	40
#define LIOV_REGION_OFFSET(i)	((u64)(i) << LIOV_REGION_SHIFT)
#define LIOV_REGION_MASK	(LIOV_REGION_OFFSET(1) - 1)

/* BAR0: the first I/O doorbell (SQ 1) and its pages. */
#define LIOV_DB_FIRST	(LIOV_DB_BASE + 2 * LIGHTIOV_DB_STRIDE)

/* Looks at what KVM has mapped after a fault, see "stale MMIO entries" in track.c. */
#define LIOV_TRACK_LOOKS	2

/**
 * struct liov_track - the doorbell pages: what KVM tracks of them, and what is mapped
 * @node:       our notifier
 * @registered: it is registered with vdev.kvm
 * @lock:       liov_doorbell.tracked and @base_gfn; KVM's slots_lock may be
 *              held outside it, never taken inside
 * @base_gfn:   guest frame of the first I/O doorbell while tracked
 * @own:        the drive's own doorbell pages may be mapped; fixed at open
 * @own_lock:   liov_doorbell.own, against page faults; a leaf
 * @mapped:     user space has mapped doorbell pages
 * @closing:    no more adding
 * @work:       adds what is not tracked, then rescans
 * @looks:      how often it shall look at what KVM has mapped
 * @delay_ms:   until its next try
 * @adds:       pages added so far
 */
struct liov_track {
	struct kvm_page_track_notifier_node node;
	bool			registered;
	bool			own;
	bool			mapped;
	bool			closing;
	struct mutex		lock;	/* what is tracked where */
	struct mutex		own_lock; /* what a page fault finds */
	gfn_t			base_gfn;
	struct delayed_work	work;
	unsigned int		looks;
	unsigned int		delay_ms;
	u64			adds;
};

/**
 * struct liov_bells - an instance's doorbells
 * @bar:    where BAR0 is decoded, or ~0; written under @reg_lock, read anywhere
 */
struct liov_bells {
	struct liov_memory;
	struct liov_track	track;
	u64			bar;
};

static_assert(!offsetof(struct liov_bells, vdev));

static inline struct liov_bells *liov_bells(const struct liov_instance *inst)
{
	return (struct liov_bells *)inst;
}

static inline struct liov_instance *liov_bells_inst(struct liov_bells *bells)
{
	return (struct liov_instance *)bells;
}

/**
 * liov_doorbell() - one of an instance's I/O doorbells
 * @inst: instance
 * @idx:  counts SQ1, CQ1, SQ2, CQ2, ... from 0
 *
 * Return: the doorbell.
 */
static inline struct liov_doorbell *liov_doorbell(struct liov_instance *inst, unsigned int idx)
{
	unsigned int qid = idx / 2 + 1;

	return idx & 1 ? &liov_cq_at(liov_bells(inst), qid)->db :
			 &liov_sq_at(liov_bells(inst), qid)->db;
}

/* Which of them is that of a queue. */
static inline unsigned int liov_doorbell_nr(u16 qid, bool cq)
{
	return 2 * (qid - 1) + cq;
}

/* The number of them. */
static inline unsigned int liov_nr_doorbells(const struct liov_instance *inst)
{
	return 2 * liov_bells(inst)->nr_pairs;
}

/**
 * liov_doorbell_index() - a doorbell that a guest or user space names, as an index
 * @inst: instance
 * @idx:  as it came
 *
 * Return: @idx for liov_doorbell(), or -1 if there is none such.
 */
static inline int liov_doorbell_index(const struct liov_instance *inst, u64 idx)
{
	u64 nr = liov_nr_doorbells(inst);

	return idx < nr ? array_index_nospec(idx, nr) : -1;
}

/* track.c */
void liov_doorbell_init(struct liov_instance *inst);
bool liov_doorbell_have_page(struct liov_instance *inst, unsigned int idx);
void liov_doorbell_open(struct liov_instance *inst);
void liov_doorbell_close(struct liov_instance *inst);
bool liov_doorbell_mappable(const struct liov_instance *inst);
void liov_doorbell_decode_changed(struct liov_instance *inst);
void liov_doorbell_write(struct liov_instance *inst, u64 reg, u32 val);
void liov_track_look(struct liov_instance *inst, unsigned int looks);
void liov_doorbell_kick(struct liov_instance *inst, unsigned int idx);
void liov_doorbell_zap(struct liov_instance *inst, unsigned int first, unsigned int nr);

/* map.c */
int liov_doorbell_mmap(struct liov_instance *inst, struct vm_area_struct *vma);

/* own.c */
void liov_own_open(struct liov_instance *inst);
bool liov_doorbell_prepare_own(struct liov_instance *inst, u16 qid, bool cq);
void liov_doorbell_own(struct liov_instance *inst, u16 qid, bool cq);
void liov_doorbell_disown(struct liov_instance *inst, u16 qid, bool cq);
void liov_doorbell_revoke(struct liov_instance *inst);

/* busy.c */
void liov_busy_init(struct liov_sq *sq);
void liov_busy_note(struct liov_sq *sq, enum liov_trigger trigger, u32 found, u32 outstanding,
		    u32 waiting);
void liov_busy_begin(struct liov_sq *sq);
bool liov_busy_forget(struct liov_sq *sq);
void liov_busy_completed(struct liov_sq *sq, struct liov_pass *pass);
void liov_busy_halted(struct liov_busy *b, struct liov_pass *pass);
void liov_busy_stop(struct liov_sq *sq);

/* halt.c */
void liov_halt_init(void (*look)(struct liov_busy *b, struct liov_pass *pass));
void liov_halt_exit(void);
void liov_halt_watch(struct liov_sq *sq);
void liov_halt_unwatch(struct liov_sq *sq);

/**
 * liov_busy_look() - a completion came: look at the doorbell if the queue is busy
 * @cq:   queue
 * @pass: what may still be done
 *
 * Hard interrupt, or a job in its stead.
 */
static inline void liov_busy_look(struct liov_cq *cq, struct liov_pass *pass)
{
	struct liov_sq *sq = liov_sq_at(liov_bells(cq->inst), cq->qid);

	if (unlikely(READ_ONCE(sq->busy.on)))
		liov_busy_completed(sq, pass);
}

/**
 * liov_cq_waiting() - completions the guest has not come to yet; about
 * @cq:   queue
 * @tail: where the next one goes in the guest's ring
 *
 * Return: their number; 0 if the guest's head is none.
 */
static inline u32 liov_cq_waiting(const struct liov_cq *cq, u32 tail)
{
	u32 head = READ_ONCE(*cq->db.val);

	return head < cq->depth ? (tail + cq->depth - head) % cq->depth : 0;
}

/**
 * liov_busy_by_itself() - is it the guest itself that a busy guest waits for?
 * @outstanding: commands the hardware has
 * @waiting:     completions the guest has not come to yet
 *
 * Return: true if it has more to do than the drive.
 */
static inline bool liov_busy_by_itself(u32 outstanding, u32 waiting)
{
	return outstanding < waiting;
}

#endif /* _LIOV_DOORBELL_H */
