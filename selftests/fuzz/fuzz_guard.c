// SPDX-License-Identifier: GPL-2.0
/*
 * guard.c against its reference (selftests/unit/guard_ref.c), on commands and guest
 * memory that the fuzzer makes: first in the form that a driver would give them, then
 * changed here and there without regard to any form.
 */
#include "fuzz.h"
#include "guard_world.h"

static void spoil(struct dice *d, struct nvme_command *c)
{
	u64 where;
	u32 n;

	for (n = dice_roll(d, 8); n && d->size; n--) {
		switch (dice_roll(d, 4)) {
		case 0:
			((u8 *)c)[dice_roll(d, 64)] = dice_any(d, 1);
			break;
		case 1:
			((u64 *)c)[dice_roll(d, 8)] ^= 1ULL << dice_roll(d, 64);
			break;
		case 2:
			where = le64_to_cpu(dice_roll(d, 2) ? c->common.dptr.prp1 :
					    c->common.dptr.prp2);
			world_poke64(where + 8 * dice_roll(d, 512), dice_any(d, 8));
			break;
		default:
			where = le64_to_cpu(dice_roll(d, 2) ? c->common.dptr.prp1 :
					    c->common.dptr.prp2);
			world_poke64(where + 8 * dice_roll(d, 512), where & ~(PAGE - 1));
		}
	}
}

int fuzz_one_input(const u8 *data, size_t size)
{
	struct dice d = { .data = data, .size = size };
	struct nvme_command c;
	struct liov_guard g;
	const char *what;
	u16 status;

	world_generate(&d, &g, &c);
	spoil(&d, &c);
	what = world_compare(&g, &c, &status);
	if (what) {
		fprintf(stderr, "guard and reference: %s; status %#x, opcode %#x\n", what, status,
			c.common.opcode);
		abort();
	}
	MUST(!status || liov_guard_refusal(status) < LIOV_NR_REFUSALS);
	return 0;
}
