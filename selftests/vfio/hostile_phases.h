/* SPDX-License-Identifier: GPL-2.0 */
/* What is done, a slice of time after another, and what shows that all still works. */
#ifndef _LIOV_HOSTILE_PHASES_H
#define _LIOV_HOSTILE_PHASES_H

#include "hostile.h"

struct phase {
	struct test test;
	void (*fn)(struct test *t, struct hostile *h);
	unsigned int weight;
	bool vfio_only;
	const char *key;	/* for "only=" */
};

extern struct phase phases[];
extern const unsigned int nr_phases;
/* A controller that is up, with a fresh pair in @h->q, which is shown to work. */
bool phase_recover(struct test *t, struct hostile *h);

#endif /* _LIOV_HOSTILE_PHASES_H */
