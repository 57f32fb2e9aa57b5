/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The hostile guest: what the parts of "hostile" share.
 *
 * It owns a range of LBAs and a piece of memory, and keeps some of each as
 * canaries that no command of its own may change, were every command checked as
 * the specification says.  hostile_model.c says what must become of a command,
 * hostile_gen.c makes them up, hostile_phases.c and hostile_floods.c are what is done
 * with them.
 */
#ifndef _LIOV_HOSTILE_H
#define _LIOV_HOSTILE_H

#include <pthread.h>

#include "lib/health.h"
#include "lib/prps.h"
#include "lib/stamp.h"

#define WAIT_MS		60000

/* Nothing is mapped there, neither for VFIO nor in a guest of ours. */
#define NOWHERE		0x0000123456789000ULL
#define NOWHERE_HIGH	0xfffffffffffff000ULL

/* Commands outstanding; each has pages of its own for lists and ranges. */
#define SLOTS		64

/*
 * Pages of the upper half of memory, which nothing else uses: lists, ranges,
 * data with a canary after every three pages, and canaries around all that.
 */
#define H_LIST		0
#define H_LIST2		SLOTS
#define H_RANGES	(2 * SLOTS)
#define H_DATA		256
#define H_DATA_END	1792
#define H_PAGES		2048

/* Blocks: canary, data, room for commands that begin in the data, canary, rest. */
#define B_CANARY	1024
#define B_DATA		8192
#define B_SLACK		1024
#define B_CANARY2	(B_CANARY + B_DATA + B_SLACK)
#define B_MIN		(2 * B_CANARY + B_DATA + B_SLACK + 4096)

/* Of the stamps on the own range and in the own memory. */
#define OWN_ID		0x666

/* What is wrong with a command: bits, each with the statuses it allows. */
#define V_OPCODE	BIT(0)
#define V_FIELD		BIT(1)
#define V_NSID		BIT(2)
#define V_LBA		BIT(3)
#define V_OFFSET	BIT(4)
#define V_MEMORY	BIT(5)
#define V_LIMIT		BIT(6)
#define V_MISCOMPARE	BIT(7)	/* or not: the data decide */
#define V_UNSURE	BIT(8)	/* what it points to may change meanwhile */

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

/* hostile_model.c */
u32 model_verdict(struct hostile *h, const struct nvme_sqe *sqe, unsigned int slot);
bool model_allows(u32 verdict, int status);
bool model_offers(struct hostile *h, u8 opcode);
/* The command, whatever becomes of it, spares what must be spared. */
bool model_spares_canaries(struct hostile *h, const struct nvme_sqe *sqe, unsigned int slot);

/* hostile_gen.c */
u32 rnd(u64 *rng, u32 below);
u64 rnd64(u64 *rng);
u8 *page_at(struct hostile *h, unsigned int nr);
bool is_canary(unsigned int nr);
u8 *data_page(struct hostile *h, u64 *rng);
bool is_data_page(struct hostile *h, u64 addr);
void gen_good(struct hostile *h, struct nvme_sqe *sqe, unsigned int slot);
void gen_any(struct hostile *h, struct nvme_sqe *sqe, unsigned int slot);
/* A command for a ring, or ranges, that are scribbled upon while it is read. */
void gen_racing(struct hostile *h, struct nvme_sqe *sqe, unsigned int slot);
void gen_racing_ranges(struct hostile *h, struct nvme_sqe *sqe, unsigned int slot);
/* One field of a command in the ring, of a list, of ranges gets another value. */
void gen_scribble(struct hostile *h, u64 *rng);
void gen_scribble_ranges(struct hostile *h, u64 *rng);
u64 gen_bad_address(struct hostile *h, u64 *rng);

/* hostile_floods.c */
void flood_of_doorbells(struct test *t, struct hostile *h);
void scattered_lists(struct test *t, struct hostile *h);
void zeroes_without_end(struct test *t, struct hostile *h);

/* hostile_phases.c */
struct phase {
	struct test test;
	void (*fn)(struct test *t, struct hostile *h);
	unsigned int weight;
	bool vfio_only;
	const char *key;	/* for "only=" */
};

bool flood_pair(struct test *t, struct hostile *h, u32 depth);
/* The commands in @h->shot, all of which must pass, for a slice of time. */
void flood_send(struct test *t, struct hostile *h);

extern struct phase phases[];
extern const unsigned int nr_phases;
/* A controller that is up, with a fresh pair in @h->q, which is shown to work. */
bool phase_recover(struct test *t, struct hostile *h);

#endif /* _LIOV_HOSTILE_H */
