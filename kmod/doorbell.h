/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shared by doorbell.c (the RAM pages and KVM's tracking of them) and
 * own_doorbell.c (the drive's own registers in their place); nobody else
 * includes it.
 */
#ifndef _LIOV_DOORBELL_H
#define _LIOV_DOORBELL_H

#include <linux/nospec.h>

#include "lightiov.h"

/* BAR0: the first I/O doorbell (SQ 1) and its pages. */
#define LIOV_DB_FIRST	(LIOV_DB_BASE + 2 * LIGHTIOV_DB_STRIDE)

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

	return idx & 1 ? &inst->cq[qid].db : &inst->sq[qid].db;
}

/* The number of them. */
static inline unsigned int liov_nr_doorbells(const struct liov_instance *inst)
{
	return 2 * inst->nr_pairs;
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

/* doorbell.c */
void liov_doorbell_kick(struct liov_instance *inst, unsigned int idx);
void liov_doorbell_zap(struct liov_instance *inst, unsigned int first, unsigned int nr);

#endif /* _LIOV_DOORBELL_H */
