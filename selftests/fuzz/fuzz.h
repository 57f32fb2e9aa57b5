/* SPDX-License-Identifier: GPL-2.0 */
/* What the fuzzers share; see Makefile. */
#ifndef _LIOV_FUZZ_H
#define _LIOV_FUZZ_H

#include <stdio.h>
#include <stdlib.h>

#include "dice.h"
#include "model/model.h"

/* The entry point; the Makefile gives it the name that libFuzzer calls. */
int fuzz_one_input(const u8 *data, size_t size);

/* A broken promise ends the run; libFuzzer keeps the input. */
#define MUST(cond) \
	do { \
		if (!(cond)) { \
			fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #cond); \
			abort(); \
		} \
	} while (0)

/* 64 bytes as the fuzzer likes them. */
static inline void any_command(struct dice *d, struct nvme_command *c)
{
	u64 *qword = (u64 *)c;
	unsigned int i;

	for (i = 0; i < sizeof(*c) / 8; i++)
		qword[i] = dice_roll(d, 2) ? dice_any(d, 8) : dice_any(d, 1);
}

#endif /* _LIOV_FUZZ_H */
