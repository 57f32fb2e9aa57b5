/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The hostile guest: what the parts of "hostile" share.
 *
 * It owns a range of LBAs and a piece of memory, and keeps some of each as
 * canaries that no command of its own may change, were every command checked as
 * the specification says.  hostile_memory.c knows which memory that is,
 * hostile_model.c says what must become of a command, hostile_gen.c makes them up,
 * hostile_send.c sends them, hostile_phases.c and hostile_floods.c are what is done
 * with them; each calls those before it.
 */
#ifndef _LIOV_HOSTILE_H
#define _LIOV_HOSTILE_H

#include <pthread.h>

#include "lib/health.h"

#define WAIT_MS		60000

/* Nothing is mapped there, neither for VFIO nor in a guest of ours. */
#define NOWHERE		0x0000123456789000ULL
#define NOWHERE_HIGH	0xfffffffffffff000ULL

/* Commands outstanding; each has pages of its own for lists and ranges. */
#define SLOTS		64

/* Blocks: canary, data, room for commands that begin in the data, canary, rest. */
#define B_CANARY	1024
#define B_DATA		8192
#define B_SLACK		1024
#define B_CANARY2	(B_CANARY + B_DATA + B_SLACK)
#define B_MIN		(2 * B_CANARY + B_DATA + B_SLACK + 4096)

/* Of the stamps on the own range and in the own memory. */
#define OWN_ID		0x666

/**
 * struct shot - a command that is outstanding
 * @verdict: V_*, what may become of it
 */
struct shot {
	bool busy;
	u32 verdict;
	struct nvme_sqe sqe;
};

/**
 * struct hostile - the program
 * @mem:       the upper half of the device's memory
 * @rng:       state of the generator, @seed where it began
 * @copy_len, @copy_total, @copy_ranges: MSSRL, MCL, MSRC + 1
 * @mdts:      bytes of one command
 * @slot:      whose pages the model may look into
 * @q:         the queue pair of the present phase
 * @resets:    the host resets the controller meanwhile: a Copy may have to be tried
 *             again
 * @racer:     second thread, which @race tells what to do until @stop
 * @sent, @passed, @refused: commands so far
 */
struct hostile {
	struct nvme n;
	u8 *mem;
	u64 seed, rng;
	u32 copy_len, copy_total, copy_ranges;
	u32 mdts;
	unsigned int slot;
	struct nvme_queue q;
	struct shot shot[SLOTS];
	unsigned int outstanding;

	pthread_t racer;
	void (*race)(struct hostile *h, u64 *rng);
	bool stop;
	bool resets;

	u64 sent, passed, refused, toggles, rounds;
};

#endif /* _LIOV_HOSTILE_H */
